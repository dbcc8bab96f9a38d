//! Changes of the filter that happen all at once, or not at all.

use std::time::Duration;

use anyhow::{Context, bail};
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_netfilter::nftables::{
    ChainAttribute, ChainMessage, Hook, HookNumber, NfTablesMessage, RuleAttribute, RuleMessage,
    TableAttribute, TableMessage,
};
use netlink_packet_netfilter::none::ControlMessage;
use netlink_packet_netfilter::{NetfilterHeader, NetfilterMessage, NetfilterProtoFamily};
use netlink_sys::protocols::NETLINK_NETFILTER;
use netlink_sys::{Socket, SocketAddr};
use rustix::net::sockopt::{Timeout, set_socket_timeout};

use super::rule::{Rule, Verdict};

/// `NFNL_SUBSYS_NFTABLES`: what a batch is for.
const SUBSYSTEM: u16 = 10;
/// How long the kernel may take to answer; it may have to load modules.
const PATIENCE: Duration = Duration::from_secs(30);

/// Changes to one table.
pub struct Batch {
    family: NetfilterProtoFamily,
    table: String,
    messages: Vec<NetlinkMessage<NetfilterMessage>>,
}

/// Where a chain of rules is asked.
pub struct Place {
    /// `filter` or `nat`.
    pub kind: &'static str,
    /// The hook's number, which depends on the table's family.
    pub hook: u32,
    /// The device, for hooks of devices.
    pub device: Option<String>,
    /// Smaller numbers are asked first.
    pub priority: u32,
}

impl Batch {
    /// For a table, which is gone after the batch unless more is added to it.
    pub fn without(family: NetfilterProtoFamily, table: &str) -> Self {
        let mut batch = Self { family, table: table.to_owned(), messages: Vec::new() };
        batch.control(ControlMessage::BatchBegin);
        // A table must be there to be deleted.
        batch.add(NfTablesMessage::NewTable(batch.named()), NLM_F_CREATE);
        batch.add(NfTablesMessage::DeleteTable(batch.named()), 0);
        batch
    }

    /// For a table, which is new and empty in the batch.
    pub fn anew(family: NetfilterProtoFamily, table: &str) -> Self {
        let mut batch = Self::without(family, table);
        batch.add(NfTablesMessage::NewTable(batch.named()), NLM_F_CREATE);
        batch
    }

    /// Adds a chain with its rules.
    pub fn chain(&mut self, name: &str, place: &Place, rules: &[Rule], otherwise: Verdict) {
        let mut hook =
            vec![Hook::Number(HookNumber::Other(place.hook)), Hook::Priority(place.priority)];
        hook.extend(place.device.clone().map(Hook::NetDeviceName));
        let chain = ChainMessage {
            attributes: vec![
                ChainAttribute::Table(self.table.clone()),
                ChainAttribute::Name(name.to_owned()),
                ChainAttribute::Hook(hook),
                ChainAttribute::Policy(otherwise.policy()),
                ChainAttribute::Type(place.kind.to_owned()),
            ],
        };
        self.add(NfTablesMessage::NewChain(chain), NLM_F_CREATE);
        for rule in rules {
            let rule = RuleMessage {
                attributes: vec![
                    RuleAttribute::Table(self.table.clone()),
                    RuleAttribute::Chain(name.to_owned()),
                    RuleAttribute::Expressions(rule.expressions()),
                ],
            };
            self.add(NfTablesMessage::NewRule(rule), NLM_F_CREATE | NLM_F_APPEND);
        }
    }

    fn named(&self) -> TableMessage {
        TableMessage { attributes: vec![TableAttribute::Name(self.table.clone())] }
    }

    fn add(&mut self, message: NfTablesMessage, flags: u16) {
        let header = NetfilterHeader::new(self.family, 0, 0);
        let mut message = NetlinkMessage::from(NetfilterMessage::new(header, message));
        message.header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
        self.messages.push(message);
    }

    fn control(&mut self, message: ControlMessage) {
        let header = NetfilterHeader::new(NetfilterProtoFamily::Unspec, 0, SUBSYSTEM);
        let mut message = NetlinkMessage::from(NetfilterMessage::new(header, message));
        message.header.flags = NLM_F_REQUEST;
        self.messages.push(message);
    }

    /// The messages, each with its place as its number.
    fn bytes(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (number, message) in (0..).zip(&mut self.messages) {
            message.header.sequence_number = number;
            message.finalize();
            let mut one = vec![0; message.buffer_len()];
            message.serialize(&mut one);
            one.resize(one.len().next_multiple_of(4), 0);
            bytes.extend(one);
        }
        bytes
    }

    /// Has the kernel do it.
    ///
    /// # Errors
    /// What the kernel doesn't like; nothing is changed then.
    pub fn commit(mut self) -> anyhow::Result<()> {
        self.control(ControlMessage::BatchEnd);
        let bytes = self.bytes();
        let mut socket = Socket::new(NETLINK_NETFILTER).context("the kernel has no nftables")?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
        socket.send(&bytes, 0).context("the kernel doesn't take the change")?;
        // All but the two that frame the batch are answered.
        let mut open = self.messages.len().saturating_sub(2);
        while open > 0 {
            let (answers, _) = socket.recv_from_full().context("the kernel doesn't answer")?;
            open = open.saturating_sub(self.check(&answers)?);
        }
        Ok(())
    }

    /// Counts the answers in a datagram.
    fn check(&self, mut answers: &[u8]) -> anyhow::Result<usize> {
        let mut count = 0;
        while !answers.is_empty() {
            let answer = NetlinkMessage::<NetfilterMessage>::deserialize(answers)
                .context("the kernel's answer isn't understood")?;
            if let NetlinkPayload::Error(error) = &answer.payload {
                if error.code.is_some() {
                    let number = answer.header.sequence_number;
                    bail!("nftables, table {}, step {number}: {}", self.table, error.to_io());
                }
                count += 1;
            }
            let length = usize::try_from(answer.header.length)?.next_multiple_of(4);
            answers = answers.get(length.max(16)..).unwrap_or_default();
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::super::rule::{Base, Match};
    use super::*;

    #[test]
    fn a_batch_is_framed_numbered_and_aligned() {
        let mut batch = Batch::anew(NetfilterProtoFamily::NetDev, "vif1.0");
        let place = Place { kind: "filter", hook: 0, device: Some("vif1.0".into()), priority: 0 };
        let rule = Rule(vec![Match::NotField(Base::Link, 6, vec![0; 6])], Verdict::Drop);
        batch.chain("from", &place, &[rule], Verdict::Accept);
        batch.control(ControlMessage::BatchEnd);
        let bytes = batch.bytes();
        let (mut rest, mut kinds) = (bytes.as_slice(), Vec::new());
        while let Some((head, _)) = rest.split_first_chunk::<16>() {
            let length = u32::from_ne_bytes([head[0], head[1], head[2], head[3]]);
            assert_eq!(usize::from(head[8]), kinds.len(), "the number");
            kinds.push((head[5], head[4]));
            rest = &rest[usize::try_from(length).unwrap().next_multiple_of(4)..];
        }
        assert!(rest.is_empty());
        // Begin, table, no table, table, chain, rule, end.
        assert_eq!(kinds, [(0, 16), (10, 0), (10, 2), (10, 0), (10, 3), (10, 6), (0, 17)]);
        let text = String::from_utf8_lossy(&bytes);
        for part in ["vif1.0\0", "filter\0", "payload\0", "cmp\0", "immediate\0"] {
            assert!(text.contains(part), "{part}");
        }
    }
}
