//! Rules: what a packet must be like, and what becomes of it then.

use netlink_packet_core::DefaultNla;
use netlink_packet_netfilter::nftables::{
    Bitwise, Cmp, DataAttribute, ExpressionAttribute, Expressions, Immediate, ListAttribute, Meta,
    MetaKey, Operator, Payload, Register, Verdict as Code, VerdictAttribute,
};

/// Where a field is counted from: `NFT_PAYLOAD_*` of `linux/netfilter/nf_tables.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// The Ethernet header.
    Link = 0,
    /// The header behind it.
    Network = 1,
    /// The header behind that, and behind all extensions of it.
    Transport = 2,
}

/// What a packet must be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Match {
    /// Bytes of it are these.
    Field(Base, u32, Vec<u8>),
    /// Bytes of it are anything but these.
    NotField(Base, u32, Vec<u8>),
    /// An IPv4 address in its network header is in a range: offset, base, mask.
    Range(u32, [u8; 4], [u8; 4]),
    /// Its Ethernet type.
    EtherType(u16),
    /// The protocol behind its IP header.
    Protocol(u8),
    /// It came by this interface.
    From(String),
    /// It goes by this interface.
    To(String),
    /// It goes by any other interface.
    NotTo(String),
    /// It belongs to a connection that was there before.
    Established,
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Accept,
    /// It is thrown away.
    Drop,
    /// It goes on with the host's own address.
    Masquerade,
}

/// A packet for which all matches hold gets the verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule(pub Vec<Match>, pub Verdict);

/// `NF_DROP` and `NF_ACCEPT` of `linux/netfilter.h`.
const DROP: u32 = 0;
const ACCEPT: u32 = 1;
/// `NFT_CT_STATE`, and the bits of established and related connections.
const CT_STATE: u32 = 0;
const CT_KNOWN: u32 = 0b110;
/// Attributes of the expression `ct`, which the crate doesn't know.
const CT_REGISTER: u16 = 1;
const CT_KEY: u16 = 2;
/// Names are compared whole, as the kernel pads them.
const NAME_LENGTH: usize = 16;

type Expression = ListAttribute<ExpressionAttribute>;

impl Verdict {
    /// As a chain's policy.
    pub fn policy(self) -> u32 {
        if self == Self::Drop { DROP } else { ACCEPT }
    }
}

impl Rule {
    /// As the kernel takes it.
    pub fn expressions(&self) -> Vec<Expression> {
        let Self(matches, verdict) = self;
        let mut all: Vec<Expressions> = matches.iter().flat_map(Match::expressions).collect();
        all.push(match verdict {
            Verdict::Masquerade => other("masq", Vec::new()),
            _ => Expressions::Immediate(vec![
                Immediate::DestinationRegister(Register::Verdict),
                Immediate::Data(DataAttribute::Verdict(vec![VerdictAttribute::Code(Code::Other(
                    verdict.policy(),
                ))])),
            ]),
        });
        all.into_iter().map(Into::into).collect()
    }
}

impl Match {
    fn expressions(&self) -> Vec<Expressions> {
        let is = |value: &[u8]| compare(Operator::Equal, value);
        let isnt = |value: &[u8]| compare(Operator::NotEqual, value);
        match self {
            Self::Field(base, offset, value) => vec![load(*base, *offset, value.len()), is(value)],
            Self::NotField(base, offset, value) => {
                vec![load(*base, *offset, value.len()), isnt(value)]
            }
            Self::Range(offset, base, bits) => {
                vec![load(Base::Network, *offset, base.len()), mask(bits), is(base)]
            }
            Self::EtherType(value) => {
                vec![meta(MetaKey::EtherTypeProtocol), is(&value.to_be_bytes())]
            }
            Self::Protocol(value) => vec![meta(MetaKey::L4Proto), is(&[*value])],
            Self::From(name) => vec![meta(MetaKey::Iifname), is(&padded(name))],
            Self::To(name) => vec![meta(MetaKey::Oifname), is(&padded(name))],
            Self::NotTo(name) => vec![meta(MetaKey::Oifname), isnt(&padded(name))],
            Self::Established => {
                let register = u32::from(Register::Reg1);
                let attributes = vec![
                    DefaultNla::new(CT_REGISTER, register.to_be_bytes().to_vec()),
                    DefaultNla::new(CT_KEY, CT_STATE.to_be_bytes().to_vec()),
                ];
                vec![other("ct", attributes), mask(&CT_KNOWN.to_ne_bytes()), isnt(&[0; 4])]
            }
        }
    }
}

fn other(name: &str, attributes: Vec<DefaultNla>) -> Expressions {
    Expressions::Other { expression_type: name.to_owned(), attributes }
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

fn load(base: Base, offset: u32, bytes: usize) -> Expressions {
    Expressions::Payload(vec![
        Payload::DestinationRegister(Register::Reg1),
        Payload::Base(base as u32),
        Payload::Offset(offset),
        Payload::Len(length(bytes)),
    ])
}

fn meta(key: MetaKey) -> Expressions {
    Expressions::Meta(vec![Meta::DestinationRegister(Register::Reg1), Meta::Key(key)])
}

fn mask(bits: &[u8]) -> Expressions {
    Expressions::Bitwise(vec![
        Bitwise::SourceRegister(Register::Reg1),
        Bitwise::DestinationRegister(Register::Reg1),
        Bitwise::Length(length(bits.len())),
        Bitwise::Mask(DataAttribute::Value(bits.to_vec())),
        Bitwise::Xor(DataAttribute::Value(vec![0; bits.len()])),
    ])
}

fn compare(operator: Operator, value: &[u8]) -> Expressions {
    Expressions::Cmp(vec![
        Cmp::SourceRegister(Register::Reg1),
        Cmp::Op(operator),
        Cmp::Data(DataAttribute::Value(value.to_vec())),
    ])
}

fn padded(name: &str) -> Vec<u8> {
    let mut bytes = name.as_bytes().to_vec();
    bytes.resize(NAME_LENGTH, 0);
    bytes
}
