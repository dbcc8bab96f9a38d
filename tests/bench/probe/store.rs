//! Requests as a machine with many guests makes them, one after the other over the socket, and as
//! many again with every guest watching its own nodes.

use std::error::Error;

use xenstore::client::{Client, Result, Tx};

use crate::clock;
use crate::said;

/// Guests, as far as the store knows.
const GUESTS: usize = 100;
/// Nodes of each guest.
const NODES: usize = 50;
/// Nodes of each guest that it watches.
const WATCHED: usize = 10;
/// How often all watched nodes are written.
const ROUNDS: usize = 2;
/// Transactions, each of which reads and writes some nodes.
const TRANSACTIONS: usize = 500;
const IN_EACH: usize = 5;

/// Measures each kind of request.
pub fn measure() -> std::result::Result<(), Box<dyn Error>> {
    let mut store = Client::connect()?;
    phase("write", || every_node(|node| store.write(Tx::NONE, &node, "some value")))?;
    phase("read", || every_node(|node| store.read(Tx::NONE, &node).map(drop)))?;
    phase("list", || every_guest(|guest| store.list(Tx::NONE, &home(guest)).map(drop)))?;
    phase("transact", || {
        (0..TRANSACTIONS).try_for_each(|number| transact(&mut store, number % GUESTS))
    })?;
    let mut guests = Vec::new();
    for _ in 0..GUESTS {
        guests.push(Client::connect()?);
    }
    phase("watch", || {
        for (guest, client) in guests.iter_mut().enumerate() {
            for number in 0..WATCHED {
                client.watch(&node(guest, number), "token")?;
                client.event(None)?;
            }
        }
        Ok(())
    })?;
    phase("tell", || {
        for _ in 0..ROUNDS {
            for (guest, client) in guests.iter_mut().enumerate() {
                for number in 0..WATCHED {
                    store.write(Tx::NONE, &node(guest, number), "another value")?;
                    client.event(None)?;
                }
            }
        }
        Ok(())
    })?;
    phase("unwatched", || every_node(|node| store.write(Tx::NONE, &node, "a third value")))?;
    phase("remove", || every_guest(|guest| store.remove(Tx::NONE, &home(guest))))?;
    Ok(())
}

fn phase(name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    let start = clock::now();
    work()?;
    said(name, start);
    Ok(())
}

fn home(guest: usize) -> String {
    format!("/bench/domain/{guest}/device")
}

fn node(guest: usize, number: usize) -> String {
    format!("{}/vif/{number}/state", home(guest))
}

fn every_node(mut work: impl FnMut(String) -> Result<()>) -> Result<()> {
    (0..GUESTS).try_for_each(|guest| (0..NODES).try_for_each(|number| work(node(guest, number))))
}

fn every_guest(work: impl FnMut(usize) -> Result<()>) -> Result<()> {
    (0..GUESTS).try_for_each(work)
}

fn transact(store: &mut Client, guest: usize) -> Result<()> {
    store.transact(|store, tx| {
        for number in 0..IN_EACH {
            store.read(tx, &node(guest, number))?;
            store.write(tx, &node(guest, number), "in a transaction")?;
        }
        Ok(())
    })
}
