//! The client's state machine (RFC 2131, figure 5), told the time and what arrives, telling what
//! to send and how to configure the interface.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::Lease;
use super::message::{self, Answer, Ask, Sender};

/// The first wait for an answer; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait for an answer while there is no address.
const LONGEST_WAIT: Duration = Duration::from_secs(32);
/// How often an offer is asked for before looking for others.
const REQUESTS: u32 = 4;
/// How often an address from before is asked for before looking for another.
const CONFIRMATIONS: u32 = 2;
/// The shortest wait between two requests for more time.
const SHORTEST_RENEWAL: Duration = Duration::from_secs(60);

/// What the machine wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send this packet to this server (or all of them).
    Send {
        /// Where to.
        to: Ipv4Addr,
        /// The DHCP message.
        packet: Vec<u8>,
    },
    /// Give the interface this lease.
    Configure(Lease),
    /// Take the address from the interface.
    Deconfigure,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// Looking for servers.
    Discovering,
    /// Asking for an offer.
    Requesting { offer: Lease },
    /// Asking whether the address from before is still ours.
    Confirming { lease: Lease, granted: Duration },
    /// All is well until it is time to renew.
    Bound { lease: Lease, granted: Duration },
    /// Asking for more time.
    Extending { lease: Lease, granted: Duration },
}

/// One interface's client. Times are since the client began.
#[derive(Debug)]
pub struct Machine {
    sender: Sender,
    state: State,
    random: u64,
    began: Duration,
    attempt: u32,
    deadline: Duration,
}

impl Machine {
    /// A client that waits for its link.
    pub fn new(hardware_address: [u8; 6], host_name: String, seed: u64) -> Self {
        let sender = Sender { hardware_address, host_name, transaction: 0, seconds: 0 };
        Self {
            sender,
            state: State::Discovering,
            random: seed | 1,
            began: Duration::ZERO,
            attempt: 0,
            deadline: Duration::MAX,
        }
    }

    /// When to call [`Machine::time_passed`].
    pub fn deadline(&self) -> Duration {
        // A year from the beginning stands for never; sums with it don't overflow.
        self.deadline.min(Duration::from_secs(365 * 24 * 3600))
    }

    /// The link came, or came back: perhaps to another network.
    pub fn link_is_up(&mut self, now: Duration) -> Vec<Action> {
        self.begin_exchange(now);
        self.state = match std::mem::replace(&mut self.state, State::Discovering) {
            State::Bound { lease, granted }
            | State::Extending { lease, granted }
            | State::Confirming { lease, granted } => State::Confirming { lease, granted },
            State::Discovering | State::Requesting { .. } => State::Discovering,
        };
        self.ask(now)
    }

    /// The deadline has come.
    pub fn time_passed(&mut self, now: Duration) -> Vec<Action> {
        if now < self.deadline {
            return Vec::new();
        }
        match &self.state {
            State::Discovering => self.ask(now),
            State::Requesting { .. } if self.attempt < REQUESTS => self.ask(now),
            State::Requesting { .. } => self.start_over(now),
            State::Confirming { .. } if self.attempt < CONFIRMATIONS => self.ask(now),
            // Nobody answers: the address is ours until its end (RFC 2131, 3.2).
            State::Confirming { lease, granted } => {
                let (lease, granted) = (lease.clone(), *granted);
                self.become_bound(lease, granted);
                self.time_passed(now)
            }
            State::Bound { lease, granted } => {
                let (lease, granted) = (lease.clone(), *granted);
                self.begin_exchange(now);
                self.state = State::Extending { lease, granted };
                self.extend(now)
            }
            State::Extending { .. } => self.extend(now),
        }
    }

    /// A packet arrived.
    pub fn receive(&mut self, now: Duration, packet: &[u8]) -> Vec<Action> {
        let sender = &self.sender;
        let Some(answer) = message::parse(packet, sender.hardware_address, sender.transaction)
        else {
            return Vec::new();
        };
        match (&self.state, answer) {
            (State::Discovering, Answer::Offer(offer)) => {
                self.attempt = 0;
                self.state = State::Requesting { offer };
                self.ask(now)
            }
            (
                State::Requesting { .. } | State::Confirming { .. } | State::Extending { .. },
                Answer::Granted(lease),
            ) => {
                self.become_bound(lease.clone(), now);
                vec![Action::Configure(lease)]
            }
            (State::Requesting { .. }, Answer::Refused) => self.start_over(now),
            (State::Confirming { .. } | State::Extending { .. }, Answer::Refused) => {
                let mut actions = vec![Action::Deconfigure];
                actions.extend(self.start_over(now));
                actions
            }
            _ => Vec::new(),
        }
    }

    fn become_bound(&mut self, lease: Lease, granted: Duration) {
        self.deadline = match lease.duration {
            Some(_) => granted.saturating_add(lease.renew_after),
            None => Duration::MAX,
        };
        self.state = State::Bound { lease, granted };
    }

    fn start_over(&mut self, now: Duration) -> Vec<Action> {
        self.begin_exchange(now);
        self.state = State::Discovering;
        // A server that offers and then refuses must not be asked in a tight loop.
        self.deadline = now + self.jittered(FIRST_WAIT);
        Vec::new()
    }

    /// A new question gets a new transaction number.
    fn begin_exchange(&mut self, now: Duration) {
        self.sender.transaction = u32::try_from(self.next_random() >> 32).unwrap_or(1);
        self.began = now;
        self.attempt = 0;
    }

    /// Asks, or asks again, what the state is about; by broadcast.
    fn ask(&mut self, now: Duration) -> Vec<Action> {
        let ask = match &self.state {
            State::Discovering => Ask::Discover,
            State::Requesting { offer } => Ask::Take(offer.address, offer.server),
            State::Confirming { lease, .. } => Ask::Confirm(lease.address),
            State::Bound { lease, .. } | State::Extending { lease, .. } => {
                Ask::Extend(lease.address)
            }
        };
        let wait = FIRST_WAIT.saturating_mul(1 << self.attempt.min(8)).min(LONGEST_WAIT);
        self.attempt = self.attempt.saturating_add(1);
        self.deadline = now + self.jittered(wait);
        vec![self.send(now, Ipv4Addr::BROADCAST, ask)]
    }

    /// Asks for more time: first the server that gave the lease, then everyone.
    fn extend(&mut self, now: Duration) -> Vec<Action> {
        let State::Extending { lease, granted } = &self.state else { return Vec::new() };
        let end = granted.saturating_add(lease.duration.unwrap_or(Duration::MAX));
        if now >= end {
            let mut actions = vec![Action::Deconfigure];
            self.begin_exchange(now);
            self.state = State::Discovering;
            actions.extend(self.ask(now));
            return actions;
        }
        let rebind = granted.saturating_add(lease.rebind_after);
        let (to, until) =
            if now < rebind { (lease.server, rebind) } else { (Ipv4Addr::BROADCAST, end) };
        let ask = Ask::Extend(lease.address);
        let half = until.saturating_sub(now) / 2;
        self.deadline = now + half.max(SHORTEST_RENEWAL).min(until.saturating_sub(now));
        vec![self.send(now, to, ask)]
    }

    fn send(&mut self, now: Duration, to: Ipv4Addr, ask: Ask) -> Action {
        let seconds = now.saturating_sub(self.began).as_secs();
        self.sender.seconds = u16::try_from(seconds).unwrap_or(u16::MAX);
        Action::Send { to, packet: message::compose(&self.sender, ask) }
    }

    /// Three quarters to five quarters of a wait, so that a rack that was switched on at once
    /// doesn't ask at once for ever.
    fn jittered(&mut self, wait: Duration) -> Duration {
        let half = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX) / 2;
        wait - wait / 4 + Duration::from_millis(self.next_random() % half.max(1))
    }

    /// Xorshift; it needs to differ between machines, not to be unguessable.
    fn next_random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}

#[cfg(test)]
mod tests {
    use super::super::lease::tests::example;
    use super::super::message::tests::{HARDWARE, from_server};
    use super::*;

    const OPTIONS: &[u8] =
        &[1, 4, 255, 255, 255, 0, 3, 4, 10, 0, 2, 2, 6, 4, 10, 0, 2, 3, 51, 4, 0, 1, 0x51, 0x80];

    fn seconds(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    fn machine() -> Machine {
        Machine::new(HARDWARE, "x".into(), 42)
    }

    /// A server's answer to the machine's present question.
    fn answer(machine: &Machine, kind: u8) -> Vec<u8> {
        from_server(kind, machine.sender.transaction, [10, 0, 2, 15], OPTIONS)
    }

    fn kind_sent(actions: &[Action]) -> Option<(Ipv4Addr, u8)> {
        actions.iter().find_map(|action| match action {
            Action::Send { to, packet } => Some((*to, packet[242])),
            _ => None,
        })
    }

    /// A machine that was granted the example lease at second 1.
    fn bound() -> Machine {
        let mut machine = machine();
        machine.link_is_up(seconds(0));
        let offer = answer(&machine, 2);
        machine.receive(seconds(1), &offer);
        let granted = answer(&machine, 5);
        assert_eq!(machine.receive(seconds(1), &granted), [Action::Configure(example())]);
        machine
    }

    #[test]
    fn a_lease_in_four_messages() {
        let mut machine = machine();
        assert_eq!(machine.deadline(), seconds(365 * 24 * 3600));
        let asked = machine.link_is_up(seconds(0));
        assert_eq!(kind_sent(&asked), Some((Ipv4Addr::BROADCAST, 1)));
        let offer = answer(&machine, 2);
        let taken = machine.receive(seconds(1), &offer);
        assert_eq!(kind_sent(&taken), Some((Ipv4Addr::BROADCAST, 3)));
        let granted = answer(&machine, 5);
        assert_eq!(machine.receive(seconds(1), &granted), [Action::Configure(example())]);
        assert_eq!(machine.deadline(), seconds(43_201));
        assert_eq!(machine.receive(seconds(2), &granted), [], "a late copy changes nothing");
    }

    #[test]
    fn silence_is_asked_into_more_and_more_slowly() {
        let mut machine = machine();
        machine.link_is_up(seconds(0));
        let mut now = seconds(0);
        let mut waits = Vec::new();
        for _ in 0..10 {
            waits.push((machine.deadline() - now).as_secs_f64());
            now = machine.deadline();
            assert!(kind_sent(&machine.time_passed(now)).is_some());
        }
        assert!(waits[0] >= 0.75 && waits[0] <= 1.25, "{waits:?}");
        assert!(waits[3] >= 6.0 && waits[3] <= 10.0, "{waits:?}");
        assert!(waits[9] >= 24.0 && waits[9] <= 40.0, "{waits:?}");
        assert_eq!(machine.time_passed(seconds(0)), [], "not yet");
    }

    #[test]
    fn a_refused_request_starts_over_without_hurry() {
        let mut machine = machine();
        machine.link_is_up(seconds(0));
        let offer = answer(&machine, 2);
        machine.receive(seconds(0), &offer);
        let refused = answer(&machine, 6);
        assert_eq!(machine.receive(seconds(0), &refused), []);
        assert!(machine.deadline() > Duration::from_millis(500));
        let now = machine.deadline();
        assert_eq!(kind_sent(&machine.time_passed(now)), Some((Ipv4Addr::BROADCAST, 1)));
    }

    #[test]
    fn renewal_asks_the_server_then_everyone_then_gives_up() {
        let mut machine = bound();
        let server = example().server;
        assert_eq!(kind_sent(&machine.time_passed(seconds(43_201))), Some((server, 3)));
        let mut now = machine.deadline();
        while now < seconds(75_601) {
            assert_eq!(kind_sent(&machine.time_passed(now)), Some((server, 3)));
            now = machine.deadline();
        }
        assert_eq!(now, seconds(75_601));
        while now < seconds(86_401) {
            assert_eq!(kind_sent(&machine.time_passed(now)), Some((Ipv4Addr::BROADCAST, 3)));
            now = machine.deadline();
        }
        let actions = machine.time_passed(now);
        assert_eq!(actions[0], Action::Deconfigure);
        assert_eq!(kind_sent(&actions), Some((Ipv4Addr::BROADCAST, 1)));
    }

    #[test]
    fn a_renewed_lease_counts_from_its_renewal() {
        let mut machine = bound();
        machine.time_passed(seconds(43_201));
        let granted = answer(&machine, 5);
        assert_eq!(machine.receive(seconds(43_202), &granted), [Action::Configure(example())]);
        assert_eq!(machine.deadline(), seconds(86_402));
    }

    #[test]
    fn a_link_that_comes_back_asks_for_the_same_address() {
        let mut machine = bound();
        let asked = machine.link_is_up(seconds(100));
        assert_eq!(kind_sent(&asked), Some((Ipv4Addr::BROADCAST, 3)));
        let refused = answer(&machine, 6);
        assert_eq!(machine.receive(seconds(100), &refused), [Action::Deconfigure]);

        let mut machine = bound();
        machine.link_is_up(seconds(100));
        let mut now = machine.deadline();
        machine.time_passed(now);
        now = machine.deadline();
        assert_eq!(machine.time_passed(now), [], "nobody answers: the lease still holds");
        assert_eq!(machine.deadline(), seconds(43_201));
    }

    #[test]
    fn a_lease_for_ever_is_never_renewed() {
        let mut machine = machine();
        machine.link_is_up(seconds(0));
        let offer = answer(&machine, 2);
        machine.receive(seconds(0), &offer);
        let granted = from_server(
            5,
            machine.sender.transaction,
            [10, 0, 2, 15],
            &[51, 4, 255, 255, 255, 255],
        );
        machine.receive(seconds(0), &granted);
        assert_eq!(machine.time_passed(machine.deadline()), []);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_at_any_time_are_survived(
            packets in proptest::collection::vec(
                (proptest::collection::vec(proptest::num::u8::ANY, 0..400), 0u64..100_000),
                0..20,
            ),
        ) {
            let mut machine = machine();
            machine.link_is_up(seconds(0));
            for (mut packet, at) in packets {
                let transaction = machine.sender.transaction;
                let mut valid = from_server(packet.first().copied().unwrap_or(2) % 8, transaction,
                    [10, 0, 2, 15], &packet);
                machine.receive(seconds(at), &packet);
                machine.receive(seconds(at), &valid);
                valid.append(&mut packet);
                machine.time_passed(seconds(at));
            }
        }
    }
}
