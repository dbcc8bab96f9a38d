//! The client over a real socket, against a server of a few lines.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use xenstore::client::{Client, ClientError, Event, Tx};
use xenstore::permission::{Access, Permission};
use xenstore::quota::Quota;
use xenstore::wire::Assembler;
use xenstore::{ConnectionId, DomId, Error, Host, Store};

struct NoRings;

impl Host for NoRings {
    fn connect(&mut self, _: DomId, _: u64, _: u32, _: ConnectionId) -> std::io::Result<()> {
        Err(std::io::ErrorKind::Unsupported.into())
    }

    fn disconnect(&mut self, _: DomId) {}
}

fn client() -> Client {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    std::thread::spawn(move || {
        let mut store = Store::new(Quota::default());
        let connection = store.open();
        let (mut incoming, mut buffer) = (Assembler::default(), [0; 512]);
        while let Ok(count) = theirs.read(&mut buffer)
            && count > 0
        {
            incoming.add(&buffer[..count]);
            while let Some(packet) = incoming.take().unwrap() {
                store.receive(connection, &packet, &mut NoRings);
            }
            while !store.outgoing(connection).is_empty() {
                let count = theirs.write(store.outgoing(connection)).unwrap();
                store.sent(connection, count);
            }
        }
    });
    Client::over(ours)
}

#[test]
fn what_is_written_is_read() {
    let mut client = client();
    client.write(Tx::NONE, "/a/b", "ü").unwrap();
    assert_eq!(client.read(Tx::NONE, "/a/b").unwrap(), Some("ü".into()));
    assert_eq!(client.read(Tx::NONE, "/a/c").unwrap(), None);
    let entries = [Permission { domain: DomId(3), access: Access::NONE }];
    client.set_permissions(Tx::NONE, "/a", &entries).unwrap();
    client.remove(Tx::NONE, "/a").unwrap();
    client.remove(Tx::NONE, "/x/y").unwrap();
    assert_eq!(client.list(Tx::NONE, "/a").unwrap(), Vec::<String>::new());
}

#[test]
fn errors_name_the_node() {
    let mut client = client();
    let error = client.write(Tx::NONE, "/a b", "").unwrap_err();
    assert_eq!(error.refusal(), Some(Error::Invalid));
    assert!(error.to_string().contains("write /a b"), "{error}");
    let error = client.introduce(DomId(3), 1, 1).unwrap_err();
    assert!(matches!(error, ClientError::Refused { error: Error::Io, .. }));
}

#[test]
fn long_lists_come_whole() {
    let mut client = client();
    let names: Vec<String> = (0..1000).map(|n| format!("{n:06}")).collect();
    client
        .transact(|client, tx| {
            names.iter().try_for_each(|n| client.make(tx, &format!("/many/{n}")))
        })
        .unwrap();
    assert_eq!(client.list(Tx::NONE, "/many").unwrap(), names);
}

#[test]
fn a_failed_transaction_leaves_nothing() {
    let mut client = client();
    let done = client.transact(|client, tx| {
        client.write(tx, "/half", "1")?;
        client.write(tx, "/not a path", "2")
    });
    assert!(done.is_err());
    assert_eq!(client.read(Tx::NONE, "/half").unwrap(), None);
}

#[test]
fn events_wait_until_they_are_asked_for() {
    let mut client = client();
    let event = |path: &str| Some(Event { path: path.into(), token: "t".into() });
    client.watch("/w", "t").unwrap();
    client.write(Tx::NONE, "/w/x", "1").unwrap();
    assert_eq!(client.read(Tx::NONE, "/w/x").unwrap(), Some("1".into()));
    assert_eq!(client.event(None).unwrap(), event("/w"));
    assert_eq!(client.event(None).unwrap(), event("/w/x"));
    assert_eq!(client.event(Some(Duration::from_millis(20))).unwrap(), None);
    client.unwatch("/w", "t").unwrap();
}
