//! What the benchmarks run inside their machines. Each figure is a line `PROBE NAME: TICKS`, in
//! ticks of the machine's clock.
//!
//! | called | does |
//! |---|---|
//! | as PID 1, of a guest | tells the store that user space runs, and waits for ever |
//! | `run NAME COMMAND...` | how long a command takes |
//! | `until NAME NODE COMMAND...` | how long it takes until a node of the store is written |
//! | `phases FOLDER NODE...` | how long it takes from one node's appearance to the next's |
//! | `tell NODE` | of a guest: writes a node of its own |
//! | `copies DOMAIN` | how long [`ROUNDS`] copies of the page take that a guest grants for its store |
//! | `events` | how long [`ROUNDS`] round trips of events take, between two ports of this domain |
//! | `store` | how long many requests to the store take, by kind ([`store`]) |

mod store;

use std::error::Error;
use std::fs::File;
use std::io::{Read, Write};
use std::process::Command;

use rustix::mount::{MountFlags, mount};
use xen_abi::PAGE_SIZE;
use xen_abi::grant_table::TAB_RESERVED_XENSTORE;
use xen_abi::io::xs_wire::MessageType;
use xenctl::Piece;
use xenctl::evtchn::EventChannels;
use xenctl::gntdev::Grants;
use xenstore::client::{Client, Tx};
use xenstore::wire;

/// How often an event goes to and fro.
const ROUNDS: usize = 1000;
/// The node, below a guest's home, that its PID 1 writes.
const READY: &str = "data/ready";

fn main() -> Result<(), Box<dyn Error>> {
    if std::process::id() == 1 {
        return guest();
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["run", name, command @ ..] => {
            let start = clock::now();
            run(command)?;
            said(name, start);
        }
        ["until", name, node, command @ ..] => until(name, node, command)?,
        ["phases", folder, nodes @ ..] => phases(folder, nodes)?,
        ["tell", node] => tell(&format!("data/{node}"))?,
        ["copies", domain] => copies(domain.parse()?)?,
        ["events"] => events()?,
        ["store"] => store::measure()?,
        _ => return Err(format!("{words:?}: main.rs says what there is").into()),
    }
    Ok(())
}

/// Says how much time has passed.
fn said(name: &str, start: u64) {
    println!("PROBE {name}: {}", clock::now().wrapping_sub(start));
}

fn run(command: &[&str]) -> Result<(), Box<dyn Error>> {
    let (program, arguments) = command.split_first().ok_or("there is no command")?;
    let status = Command::new(program).args(arguments).status()?;
    if status.success() { Ok(()) } else { Err(format!("{program} ended with {status}").into()) }
}

fn until(name: &str, node: &str, command: &[&str]) -> Result<(), Box<dyn Error>> {
    let mut store = Client::connect()?;
    store.watch(node, "ready")?;
    let start = clock::now();
    run(command)?;
    while store.read(Tx::NONE, node)?.is_none() {
        store.event(None)?;
    }
    said(name, start);
    Ok(())
}

fn phases(folder: &str, nodes: &[&str]) -> Result<(), Box<dyn Error>> {
    let mut store = Client::connect()?;
    store.watch(folder, "phase")?;
    let mut start = None;
    for name in nodes {
        while store.read(Tx::NONE, &format!("{folder}/{name}"))?.is_none() {
            store.event(None)?;
        }
        let last = start.replace(clock::now());
        if let Some(last) = last {
            said(name, last);
        }
    }
    Ok(())
}

fn copies(domain: u16) -> Result<(), Box<dyn Error>> {
    let grants = Grants::open()?;
    let page = u16::try_from(PAGE_SIZE)?;
    let page = [Piece { reference: TAB_RESERVED_XENSTORE, offset: 0, length: page }];
    let mut bytes = [0; PAGE_SIZE];
    let start = clock::now();
    for _ in 0..ROUNDS {
        grants.copy_in(domain, &page, &mut bytes)?;
    }
    said("copies", start);
    Ok(())
}

fn events() -> Result<(), Box<dyn Error>> {
    let channels = EventChannels::open()?;
    let here = channels.bind_unbound(0)?;
    let there = channels.bind_interdomain(0, here.0)?;
    let send = |from, to| -> xenctl::Result<()> {
        channels.notify(from)?;
        while channels.pending()? != Some(to) {}
        channels.unmask(to)
    };
    // The first event of a port tells that it is connected.
    while let Some(port) = channels.pending()? {
        channels.unmask(port)?;
    }
    let start = clock::now();
    for _ in 0..ROUNDS {
        send(here, there)?;
        send(there, here)?;
    }
    said("events", start);
    Ok(())
}

/// PID 1 of a guest.
fn guest() -> Result<(), Box<dyn Error>> {
    std::fs::create_dir_all("/dev")?;
    mount("devtmpfs", "/dev", "devtmpfs", MountFlags::empty(), None)?;
    tell(READY)?;
    loop {
        std::thread::park();
    }
}

/// Writes a node of this guest.
fn tell(node: &str) -> Result<(), Box<dyn Error>> {
    let mut store = File::options().read(true).write(true).open("/dev/xen/xenbus")?;
    let payload = format!("{node}\0yes");
    store.write_all(&wire::encode(MessageType::WRITE, 1, 0, payload.as_bytes()))?;
    let mut answer = [0; wire::HEAD_BYTES];
    store.read_exact(&mut answer)?;
    Ok(())
}

mod clock {
    //! The machine's clock.
    #![expect(unsafe_code, reason = "reads the time stamp counter")]

    /// What it shows.
    pub fn now() -> u64 {
        // SAFETY: RDTSC is there on every x86-64 CPU, and user space may execute it.
        unsafe { core::arch::x86_64::_rdtsc() }
    }
}
