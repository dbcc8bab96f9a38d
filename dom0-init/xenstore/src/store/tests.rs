//! The store as its connections see it.

use xen_abi::io::xs_wire::{Message, MessageType};

use super::*;
use crate::error::Error;
use crate::wire::Assembler;

/// A host whose rings always connect, unless the domain is 13.
#[derive(Default)]
struct Rings(Vec<DomId>);

impl Host for Rings {
    fn connect(&mut self, domain: DomId, _: u64, _: u32, _: ConnectionId) -> std::io::Result<()> {
        if domain == DomId(13) {
            return Err(std::io::ErrorKind::NotFound.into());
        }
        self.0.push(domain);
        Ok(())
    }

    fn disconnect(&mut self, domain: DomId) {
        self.0.retain(|known| *known != domain);
    }
}

struct Bench {
    store: Store,
    rings: Rings,
    control: ConnectionId,
}

type Reply = Result<String, String>;

impl Bench {
    fn new() -> Self {
        let mut store =
            Store::new(Quota { nodes: 8, watches: 2, transactions: 2, ..Quota::default() });
        let control = store.open();
        Self { store, rings: Rings::default(), control }
    }

    /// A guest with a home of its own.
    fn guest(&mut self, domain: u16) -> ConnectionId {
        let home = format!("/local/domain/{domain}");
        self.ok(MessageType::INTRODUCE, 0, &format!("{domain}\x000\x001\0"));
        self.ok(MessageType::MKDIR, 0, &format!("{home}\0"));
        self.ok(MessageType::SET_PERMS, 0, &format!("{home}\0n{domain}\0"));
        self.store.connection_of(DomId(domain)).unwrap()
    }

    fn ask(&mut self, who: ConnectionId, ty: MessageType, tx: u32, payload: &str) -> Reply {
        let head = Message { ty, req_id: 77, tx_id: tx, len: payload.len() as u32 };
        let packet = Packet { head, payload: payload.as_bytes().to_vec() };
        self.events(who);
        self.store.receive(who, &packet, &mut self.rings);
        let answer = self.next(who).expect("an answer");
        assert_eq!((answer.head.req_id, answer.head.tx_id), (77, tx));
        let text = String::from_utf8(answer.payload).unwrap();
        if answer.head.ty == MessageType::ERROR { Err(text) } else { Ok(text) }
    }

    fn ok(&mut self, ty: MessageType, tx: u32, payload: &str) -> String {
        self.ask(self.control, ty, tx, payload).unwrap()
    }

    fn next(&mut self, who: ConnectionId) -> Option<Packet> {
        let bytes = self.store.outgoing(who).to_vec();
        self.store.sent(who, bytes.len());
        let mut assembler = Assembler::default();
        assembler.add(&bytes);
        assembler.take().unwrap()
    }

    fn events(&mut self, who: ConnectionId) -> Vec<String> {
        let mut events = Vec::new();
        while let Some(packet) = self.next(who) {
            assert_eq!(packet.head.ty, MessageType::WATCH_EVENT);
            events.push(String::from_utf8(packet.payload).unwrap());
        }
        events
    }
}

fn refused(error: Error) -> Reply {
    Err(format!("{}\0", error.name()))
}

#[test]
fn values_lists_and_permissions() {
    let mut bench = Bench::new();
    assert_eq!(bench.ok(MessageType::WRITE, 0, "/a/b\0one"), "OK\0");
    bench.ok(MessageType::MKDIR, 0, "/a/c\0");
    bench.ok(MessageType::MKDIR, 0, "/a/b\0");
    assert_eq!(bench.ok(MessageType::READ, 0, "/a/b\0"), "one");
    assert_eq!(bench.ok(MessageType::READ, 0, "/a/c\0"), "");
    assert_eq!(bench.ok(MessageType::DIRECTORY, 0, "/a\0"), "b\0c\0");
    assert_eq!(bench.ok(MessageType::GET_PERMS, 0, "/a/b\0"), "n0\0");
    bench.ok(MessageType::SET_PERMS, 0, "/a/b\0n0\0r3\0");
    assert_eq!(bench.ok(MessageType::GET_PERMS, 0, "/a/b\0"), "n0\0r3\0");
    bench.ok(MessageType::RM, 0, "/a\0");
    bench.ok(MessageType::RM, 0, "/a\0");
    let control = bench.control;
    assert_eq!(bench.ask(control, MessageType::READ, 0, "/a\0"), refused(Error::Missing));
    assert_eq!(bench.ask(control, MessageType::RM, 0, "/x/y\0"), refused(Error::Missing));
    assert_eq!(bench.ask(control, MessageType::RM, 0, "/\0"), refused(Error::Invalid));
    assert_eq!(bench.ask(control, MessageType(55), 0, "\0"), refused(Error::Unknown));
}

#[test]
fn long_lists_come_in_parts() {
    let mut bench = Bench::new();
    for number in 0..900 {
        bench.ok(MessageType::MKDIR, 0, &format!("/many/{number:08}\0"));
    }
    let control = bench.control;
    assert_eq!(bench.ask(control, MessageType::DIRECTORY, 0, "/many\0"), refused(Error::TooBig));
    let (mut seen, mut stamps) = (String::new(), Vec::new());
    loop {
        let part = bench.ok(MessageType::DIRECTORY_PART, 0, &format!("/many\0{}\0", seen.len()));
        assert!(part.len() <= 4096);
        let (stamp, names) = part.split_once('\0').unwrap();
        stamps.push(stamp.to_owned());
        match names.strip_suffix("\0\0") {
            Some(last) => break seen.push_str(&format!("{last}\0")),
            None => seen.push_str(names),
        }
    }
    stamps.dedup();
    assert_eq!((seen.split_terminator('\0').count(), stamps.len()), (900, 1));
    assert_eq!(
        bench
            .ok(MessageType::DIRECTORY_PART, 0, &format!("/many\0{}\0", seen.len()))
            .split_once('\0')
            .unwrap()
            .1,
        "\0"
    );
}

#[test]
fn guests_see_what_they_may() {
    let mut bench = Bench::new();
    bench.ok(MessageType::WRITE, 0, "/secret/x\0s");
    bench.ok(MessageType::WRITE, 0, "/local/domain/3/name\0web");
    bench.ok(MessageType::SET_PERMS, 0, "/local/domain/3/name\0n0\0r3\0");
    let guest = bench.guest(3);
    assert_eq!(bench.ask(guest, MessageType::READ, 0, "name\0"), Ok("web".into()));
    assert_eq!(bench.ask(guest, MessageType::WRITE, 0, "name\0x"), refused(Error::Denied));
    assert_eq!(bench.ask(guest, MessageType::READ, 0, "/secret/x\0"), refused(Error::Denied));
    assert_eq!(bench.ask(guest, MessageType::READ, 0, "/secret/none\0"), refused(Error::Denied));
    assert_eq!(bench.ask(guest, MessageType::WRITE, 0, "data/a\x001"), Ok("OK\0".into()));
    assert_eq!(bench.ask(guest, MessageType::GET_PERMS, 0, "data/a\0"), Ok("n3\0".into()));
    let stolen = bench.ask(guest, MessageType::SET_PERMS, 0, "data/a\0n0\0");
    assert_eq!(stolen, refused(Error::NotPrivileged));
    assert_eq!(
        bench.ask(guest, MessageType::INTRODUCE, 0, "9\x001\x001\0"),
        refused(Error::NotPrivileged)
    );
    assert_eq!(
        bench.ask(guest, MessageType::GET_DOMAIN_PATH, 0, "3\0"),
        Ok("/local/domain/3\0".into())
    );
}

#[test]
fn guests_have_quotas() {
    let mut bench = Bench::new();
    let guest = bench.guest(3);
    assert_eq!(bench.ask(guest, MessageType::MKDIR, 0, "1/2/3/4/5/6/7\0"), Ok("OK\0".into()));
    assert_eq!(bench.ask(guest, MessageType::MKDIR, 0, "8\0"), refused(Error::NoSpace));
    let long = format!("1\0{}", "x".repeat(2045));
    assert_eq!(bench.ask(guest, MessageType::WRITE, 0, &long), refused(Error::NoSpace));
    for token in ["a", "b"] {
        bench.ask(guest, MessageType::WATCH, 0, &format!("1\0{token}\0")).unwrap();
        bench.ask(guest, MessageType::TRANSACTION_START, 0, "\0").unwrap();
    }
    assert_eq!(bench.ask(guest, MessageType::WATCH, 0, "1\0c\0"), refused(Error::TooBig));
    assert_eq!(bench.ask(guest, MessageType::TRANSACTION_START, 0, "\0"), refused(Error::NoSpace));
    bench.ask(guest, MessageType::RESET_WATCHES, 0, "\0").unwrap();
    assert!(bench.ask(guest, MessageType::TRANSACTION_START, 0, "\0").is_ok());
}

#[test]
fn a_refusal_that_no_longer_holds_ends_no_transaction_well() {
    let mut bench = Bench::new();
    let guest = bench.guest(3);
    for (others, end) in [("2", refused(Error::Conflict)), ("none", Ok("OK\0".into()))] {
        bench.ask(guest, MessageType::MKDIR, 0, "1/2/3/4/5/6/7\0").unwrap();
        bench.ask(guest, MessageType::MKDIR, 0, "elsewhere\0").unwrap_err();
        let begun = bench.ask(guest, MessageType::TRANSACTION_START, 0, "\0").unwrap();
        let tx = begun.trim_end_matches('\0').parse().unwrap();
        let full = bench.ask(guest, MessageType::MKDIR, tx, "elsewhere\0");
        assert_eq!(full, refused(Error::NoSpace));
        bench.ask(guest, MessageType::RM, 0, &format!("1/{others}\0")).unwrap();
        assert_eq!(bench.ask(guest, MessageType::TRANSACTION_END, tx, "T\0"), end);
    }
}

#[test]
fn transactions_end_or_begin_again() {
    let mut bench = Bench::new();
    let control = bench.control;
    bench.ok(MessageType::WRITE, 0, "/a\x000");
    let begin = |bench: &mut Bench| -> u32 {
        bench.ok(MessageType::TRANSACTION_START, 0, "\0").trim_end_matches('\0').parse().unwrap()
    };
    let (one, two, three) = (begin(&mut bench), begin(&mut bench), begin(&mut bench));
    for tx in [one, two] {
        assert_eq!(bench.ok(MessageType::READ, tx, "/a\0"), "0");
        bench.ok(MessageType::WRITE, tx, &format!("/a\0{tx}"));
    }
    bench.ok(MessageType::WRITE, three, "/other/place\x003");
    assert_eq!(bench.ok(MessageType::READ, 0, "/a\0"), "0", "nobody sees it yet");
    bench.ok(MessageType::TRANSACTION_END, one, "T\0");
    assert_eq!(bench.ok(MessageType::READ, 0, "/a\0"), one.to_string());
    let again = bench.ask(control, MessageType::TRANSACTION_END, two, "T\0");
    assert_eq!(again, refused(Error::Conflict));
    bench.ok(MessageType::TRANSACTION_END, three, "T\0");
    assert_eq!(bench.ok(MessageType::READ, 0, "/other/place\0"), "3", "it relied on nothing else");
    let four = begin(&mut bench);
    bench.ok(MessageType::RM, four, "/a\0");
    bench.ok(MessageType::TRANSACTION_END, four, "F\0");
    assert!(bench.ask(control, MessageType::READ, 0, "/a\0").is_ok());
    assert_eq!(bench.ask(control, MessageType::READ, four, "/a\0"), refused(Error::Missing));
    let five = begin(&mut bench);
    assert_eq!(
        bench.ask(control, MessageType::TRANSACTION_START, five, "\0"),
        refused(Error::Nested)
    );
}

#[test]
fn creations_side_by_side_do_not_conflict_but_lists_do() {
    let mut bench = Bench::new();
    let control = bench.control;
    bench.ok(MessageType::MKDIR, 0, "/local/domain\0");
    for tx in [1, 2, 3] {
        bench.ok(MessageType::TRANSACTION_START, 0, "\0");
        bench.ok(MessageType::WRITE, tx, &format!("/local/domain/{tx}/name\0x"));
    }
    bench.ok(MessageType::DIRECTORY, 3, "/local/domain\0");
    bench.ok(MessageType::TRANSACTION_END, 1, "T\0");
    bench.ok(MessageType::TRANSACTION_END, 2, "T\0");
    let listed = bench.ask(control, MessageType::TRANSACTION_END, 3, "T\0");
    assert_eq!(listed, refused(Error::Conflict));
    assert_eq!(bench.ok(MessageType::DIRECTORY, 0, "/local/domain\0"), "1\x002\0");
}

#[test]
fn watches_tell_of_changes_when_they_hold() {
    let mut bench = Bench::new();
    let guest = bench.guest(3);
    let control = bench.control;
    bench.ok(MessageType::WATCH, 0, "/local\0all\0");
    assert_eq!(bench.events(control), ["/local\0all\0"]);
    bench.ask(guest, MessageType::WATCH, 0, "device\0dev\0").unwrap();
    assert_eq!(bench.events(guest), ["device\0dev\0"]);
    bench.ok(MessageType::TRANSACTION_START, 0, "\0");
    bench.ok(MessageType::WRITE, 1, "/local/domain/3/device/vif/0\0x");
    assert_eq!(bench.events(guest), Vec::<String>::new(), "not yet");
    bench.ok(MessageType::TRANSACTION_END, 1, "T\0");
    assert_eq!(bench.events(guest), ["device/vif/0\0dev\0"]);
    assert_eq!(bench.events(control), ["/local/domain/3/device/vif/0\0all\0"]);
    bench.ok(MessageType::RM, 0, "/local/domain/3\0");
    assert_eq!(bench.events(guest), ["device\0dev\0"], "it went with its parent");
    bench.ask(guest, MessageType::UNWATCH, 0, "device\0dev\0").unwrap();
    assert_eq!(bench.ask(guest, MessageType::UNWATCH, 0, "device\0dev\0"), refused(Error::Missing));
}

#[test]
fn what_may_not_be_read_is_not_told() {
    let mut bench = Bench::new();
    let guest = bench.guest(3);
    bench.ask(guest, MessageType::WATCH, 0, "/\0t\0").unwrap();
    bench.events(guest);
    bench.ok(MessageType::WRITE, 0, "/secret\0x");
    assert_eq!(bench.events(guest), Vec::<String>::new());
    bench.ok(MessageType::SET_PERMS, 0, "/secret\0r0\0");
    assert_eq!(bench.events(guest), ["/secret\0t\0"]);
    bench.ok(MessageType::SET_PERMS, 0, "/secret\0n0\0");
    assert_eq!(
        bench.events(guest),
        ["/secret\0t\0"],
        "that it may no longer is the last it learns"
    );
    bench.ok(MessageType::RM, 0, "/secret\0");
    assert_eq!(bench.events(guest), Vec::<String>::new());
}

#[test]
fn domains_come_and_go() {
    let mut bench = Bench::new();
    let control = bench.control;
    bench.ok(MessageType::WATCH, 0, "@introduceDomain\0in\0");
    bench.ok(MessageType::WATCH, 0, "@releaseDomain\0out\0");
    bench.events(control);
    let guest = bench.guest(3);
    bench.ok(MessageType::WRITE, 0, "/tool\0x");
    bench.ok(MessageType::SET_PERMS, 0, "/tool\0n0\0b3\0");
    bench.ask(guest, MessageType::WRITE, 0, "/tool/of-3/deep\0x").unwrap();
    assert_eq!(bench.ok(MessageType::IS_DOMAIN_INTRODUCED, 0, "3\0"), "T\0");
    bench.store.shut_down(DomId(3));
    bench.store.shut_down(DomId(3));
    assert_eq!(bench.events(control), ["@releaseDomain\0out\0"]);
    bench.ok(MessageType::RELEASE, 0, "3\0");
    assert_eq!(bench.events(control), ["@releaseDomain\0out\0"]);
    assert!(bench.rings.0.is_empty() && bench.store.guests().is_empty());
    assert_eq!(bench.ok(MessageType::DIRECTORY, 0, "/tool\0"), "", "what it owned is gone");
    assert_eq!(bench.ok(MessageType::GET_PERMS, 0, "/tool\0"), "n0\0");
    assert_eq!(bench.ask(control, MessageType::RELEASE, 0, "3\0"), refused(Error::Missing));
    assert_eq!(bench.ask(control, MessageType::INTRODUCE, 0, "13\x001\x001\0"), refused(Error::Io));
    assert_eq!(bench.ok(MessageType::IS_DOMAIN_INTRODUCED, 0, "13\0"), "F\0");
    assert_eq!(bench.ask(control, MessageType::RELEASE, 0, "0\0"), refused(Error::Invalid));
}

#[test]
fn a_device_model_may_what_its_guest_may() {
    let mut bench = Bench::new();
    bench.guest(3);
    let model = bench.guest(4);
    let read = "/local/domain/3\0";
    assert_eq!(bench.ask(model, MessageType::DIRECTORY, 0, read), refused(Error::Denied));
    bench.ok(MessageType::SET_TARGET, 0, "4\x003\0");
    assert!(bench.ask(model, MessageType::DIRECTORY, 0, read).is_ok());
    bench.ok(MessageType::RELEASE, 0, "3\0");
    bench.guest(3);
    assert_eq!(bench.ask(model, MessageType::DIRECTORY, 0, read), refused(Error::Denied));
}

#[test]
fn whoever_does_not_read_is_choked() {
    let mut bench = Bench::new();
    let guest = bench.guest(3);
    bench.ask(guest, MessageType::WATCH, 0, "/local/domain/3\0t\0").unwrap();
    assert!(!bench.store.is_choked(guest));
    let mut number = 0;
    while !bench.store.is_choked(guest) {
        number += 1;
        assert!(number < 100_000);
        bench.ok(MessageType::WRITE, 0, &format!("/local/domain/3/{number}\0"));
        bench.ok(MessageType::SET_PERMS, 0, &format!("/local/domain/3/{number}\0n3\0"));
    }
}

#[test]
fn a_later_store_goes_on_from_the_journal() {
    let mut bench = Bench::new();
    let guest = bench.guest(3);
    let mut journal = bench.store.whole_journal(&[]);
    bench.ok(MessageType::WRITE, 0, "/local/domain/3/name\0web");
    bench.ask(guest, MessageType::WATCH, 0, "name\0token\0").unwrap();
    bench.ask(guest, MessageType::WATCH, 0, "gone\0token\0").unwrap();
    bench.ask(guest, MessageType::UNWATCH, 0, "gone\0token\0").unwrap();
    let transaction = bench.ask(guest, MessageType::TRANSACTION_START, 0, "\0").unwrap();
    let transaction = transaction.trim_end_matches('\0').parse().unwrap();
    // An event waits.
    bench.ok(MessageType::WRITE, 0, "/local/domain/3/name\0web");
    bench.store.note_received(DomId(3), 7, b"half");
    bench.store.note_queued(DomId(3), 100);
    journal.extend(bench.store.take_journal());
    assert_eq!(bench.store.take_journal(), b"");

    let (store, left) = Store::of_journal(bench.store.quota, &journal);
    let mut later = Bench { store, ..Bench::new() };
    later.control = later.store.open();
    let left = left.get(&DomId(3)).unwrap();
    assert_eq!((left.ring, &left.received), (Some((0, 1)), &Some((7, b"half"[..].into()))));
    let waiting = bench.store.outgoing(guest);
    assert!(!waiting.is_empty() && left.unsent(100).starts_with(waiting));
    assert_eq!(left.unsent(101), &left.unsent(100)[1..]);
    assert_eq!((left.unsent(99), left.unsent(1 << 20)), (&[][..], &[][..]));
    later.store.connect_again(DomId(3), left, &mut later.rings).unwrap();
    assert_eq!(later.rings.0, [DomId(3)]);

    let guest = later.store.connection_of(DomId(3)).unwrap();
    assert_eq!(later.ask(guest, MessageType::READ, 0, "name\0"), Ok("web".into()));
    let permissions = later.ok(MessageType::GET_PERMS, 0, "/local/domain/3\0");
    assert_eq!(permissions, "n3\0");
    later.ok(MessageType::WRITE, 0, "/local/domain/3/name\0db");
    assert_eq!(later.events(guest), ["name\0token\0"]);
    // What it had seen and changed in its transaction is lost: it begins again.
    assert_eq!(later.ask(guest, MessageType::READ, transaction, "name\0"), Ok("web".into()));
    let ended = later.ask(guest, MessageType::TRANSACTION_END, transaction, "T\0");
    assert_eq!(ended, refused(Error::Conflict));
    // A journal that begins anew says the same.
    later.store.go_on_sending(DomId(3), b"rest");
    let ring = RingState { domain: DomId(3), received: 7, sent: 105, partial: b"half".to_vec() };
    let whole = later.store.whole_journal(&[ring]);
    let (_, again) = Store::of_journal(later.store.quota, &whole);
    let again = again.get(&DomId(3)).unwrap();
    assert_eq!((again.ring, &again.received), (Some((0, 1)), &left.received));
    assert!(again.unsent(105).ends_with(b"rest"));
}
