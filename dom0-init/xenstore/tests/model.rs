//! The store against a model that copies everything and compares everything: whatever requests
//! come, in and out of transactions, both give the same answers and the same events.
//!
//! A transaction ends well only if the same requests, made now, would have got the same answers
//! and it must end well if nothing happened meanwhile.

mod naive;

use naive::{Model, Op, Reply};
use proptest::prelude::*;
use xen_abi::io::xs_wire::{Message, MessageType};
use xenstore::quota::Quota;
use xenstore::wire::{Assembler, Packet};
use xenstore::{ConnectionId, DomId, Host, Store};

struct Rings;

impl Host for Rings {
    fn connect(&mut self, _: DomId, _: u64, _: u32, _: ConnectionId) -> std::io::Result<()> {
        Ok(())
    }

    fn disconnect(&mut self, _: DomId) {}
}

/// The control domain, and two guests.
const WHO: [u16; 3] = [0, 3, 4];

#[derive(Debug, Clone)]
enum Step {
    Do(Op),
    Watch(String, String, Option<usize>),
    Unwatch(String, String),
    Begin,
    End(bool),
}

fn path() -> impl Strategy<Value = String> {
    let absolute = prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 0..4)
        .prop_map(|names| format!("/{}", names.join("/")));
    let home = prop::sample::select(vec!["x", "y", "x/y", "x/z"]).prop_map(str::to_owned);
    prop_oneof![3 => absolute, 1 => home]
}

fn op() -> impl Strategy<Value = Op> {
    let letter = prop::sample::select(vec!['n', 'r', 'w', 'b']);
    let entry = (letter, prop::sample::select(WHO.to_vec()));
    prop_oneof![
        path().prop_map(Op::Read),
        path().prop_map(Op::List),
        path().prop_map(Op::GetPermissions),
        (path(), "[a-c]{0,2}").prop_map(|(path, value)| Op::Write(path, value)),
        path().prop_map(Op::Make),
        path().prop_map(Op::Remove),
        (path(), prop::collection::vec(entry, 1..4)).prop_map(|(p, e)| Op::SetPermissions(p, e)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let token = || prop::sample::select(vec!["t", "u"]).prop_map(str::to_owned);
    prop_oneof![
        12 => op().prop_map(Step::Do),
        2 => (path(), token(), prop::option::of(0..3_usize))
            .prop_map(|(path, token, depth)| Step::Watch(path, token, depth)),
        1 => (path(), token()).prop_map(|(path, token)| Step::Unwatch(path, token)),
        2 => Just(Step::Begin),
        2 => prop::bool::weighted(0.8).prop_map(Step::End),
    ]
}

struct Real {
    store: Store,
    connections: [ConnectionId; 3],
}

impl Real {
    fn new() -> Self {
        let mut store = Store::new(Quota { nodes: 6, ..Quota::default() });
        let control = store.open();
        let guests = [store.introduce(DomId(3)), store.introduce(DomId(4))];
        Self { store, connections: [control, guests[0], guests[1]] }
    }

    fn ask(&mut self, who: usize, tx: u32, ty: MessageType, payload: &str) -> Reply {
        let head = Message { ty, req_id: 1, tx_id: tx, len: payload.len() as u32 };
        let packet = Packet { head, payload: payload.as_bytes().to_vec() };
        self.store.receive(self.connections[who], &packet, &mut Rings);
        let answer = self.take(who).into_iter().find(|packet| packet.head.req_id == 1);
        let answer = answer.expect("an answer");
        let text = String::from_utf8(answer.payload).unwrap();
        if answer.head.ty == MessageType::ERROR { Err(text) } else { Ok(text) }
    }

    /// Takes everything up to the answer, or everything.
    fn take(&mut self, who: usize) -> Vec<Packet> {
        let mut packets = Vec::new();
        loop {
            let bytes = self.store.outgoing(self.connections[who]).to_vec();
            self.store.sent(self.connections[who], bytes.len());
            let mut assembler = Assembler::default();
            assembler.add(&bytes);
            match assembler.take().unwrap() {
                Some(packet) if packet.head.ty == MessageType::WATCH_EVENT => packets.push(packet),
                Some(packet) => {
                    packets.push(packet);
                    return packets;
                }
                None => return packets,
            }
        }
    }

    fn events(&mut self, who: usize) -> Vec<String> {
        let text = |packet: Packet| String::from_utf8(packet.payload).unwrap();
        let mut events: Vec<String> = self.take(who).into_iter().map(text).collect();
        events.sort();
        events
    }
}

fn message(op: &Op) -> (MessageType, String) {
    match op {
        Op::Read(path) => (MessageType::READ, format!("{path}\0")),
        Op::List(path) => (MessageType::DIRECTORY, format!("{path}\0")),
        Op::GetPermissions(path) => (MessageType::GET_PERMS, format!("{path}\0")),
        Op::Write(path, value) => (MessageType::WRITE, format!("{path}\0{value}")),
        Op::Make(path) => (MessageType::MKDIR, format!("{path}\0")),
        Op::Remove(path) => (MessageType::RM, format!("{path}\0")),
        Op::SetPermissions(path, entries) => {
            let entries: String = entries.iter().map(|(l, d)| format!("{l}{d}\0")).collect();
            (MessageType::SET_PERMS, format!("{path}\0{entries}"))
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn the_store_is_as_the_model(
        steps in prop::collection::vec((0..3_usize, prop::bool::ANY, step()), 1..80),
    ) {
        let (mut real, mut model) = (Real::new(), Model::new(6));
        // What guests may do anything with at all.
        for (index, path) in ["/a", "/local/domain/3", "/local/domain/4"].iter().enumerate() {
            let owner = [4, 3, 4][index];
            let make = [Op::Make((*path).into()), Op::SetPermissions((*path).into(), vec![('b', owner)])];
            for op in make {
                let (ty, payload) = message(&op);
                prop_assert_eq!(real.ask(0, 0, ty, &payload), model.apply(0, &op));
            }
        }
        model.take_events();
        let mut open: [Option<u32>; 3] = [None; 3];
        for (who, inside, step) in steps {
            let domain = WHO[who];
            let tx = open[who].filter(|_| inside);
            match step {
                Step::Do(op) => {
                    let (ty, payload) = message(&op);
                    let answer = real.ask(who, tx.unwrap_or(0), ty, &payload);
                    let expected = match tx {
                        None => model.apply(domain, &op),
                        Some(_) => model.apply_inside(domain, &op),
                    };
                    prop_assert_eq!(answer, expected, "{:?} {:?}", who, op);
                }
                Step::Watch(path, token, depth) => {
                    let depth_text = depth.map(|depth| format!("{depth}\0")).unwrap_or_default();
                    let payload = format!("{path}\0{token}\0{depth_text}");
                    let answer = real.ask(who, 0, MessageType::WATCH, &payload);
                    prop_assert_eq!(answer, model.watch(domain, &path, &token, depth));
                }
                Step::Unwatch(path, token) => {
                    let payload = format!("{path}\0{token}\0");
                    let answer = real.ask(who, 0, MessageType::UNWATCH, &payload);
                    prop_assert_eq!(answer, model.unwatch(domain, &path, &token));
                }
                Step::Begin if open[who].is_none() => {
                    let id = real.ask(who, 0, MessageType::TRANSACTION_START, "\0").unwrap();
                    open[who] = Some(id.trim_end_matches('\0').parse().unwrap());
                    model.begin(domain);
                }
                Step::Begin => {}
                Step::End(keep) => {
                    let Some(id) = open[who].take() else { continue };
                    let text = if keep { "T\0" } else { "F\0" };
                    let answer = real.ask(who, id, MessageType::TRANSACTION_END, text);
                    let done = answer == Ok("OK\0".into());
                    prop_assert!(done || answer == Err("EAGAIN\0".into()) || answer == Err("ENOSPC\0".into()));
                    if let Err(problem) = model.end(domain, keep, done) {
                        return Err(TestCaseError::fail(problem));
                    }
                }
            }
            let mut events = model.take_events();
            for (who, domain) in WHO.iter().enumerate() {
                let mut expected = events.remove(domain).unwrap_or_default();
                expected.sort();
                // Events that wait already aren't repeated.
                expected.dedup();
                prop_assert_eq!(real.events(who), expected, "of {}", domain);
            }
        }
    }

    #[test]
    fn no_bytes_at_all_break_it(
        messages in prop::collection::vec(
            (0..30_u32, 0..3_u32, prop::collection::vec(any::<u8>(), 0..40)), 1..60),
    ) {
        let mut real = Real::new();
        for (ty, tx_id, payload) in messages {
            let head = Message { ty: MessageType(ty), req_id: 1, tx_id, len: payload.len() as u32 };
            let guest = real.connections[1];
            real.store.receive(guest, &Packet { head, payload }, &mut Rings);
            real.take(1);
        }
    }
}
