//! Interrupt messages: what an MSI, an IO-APIC pin or an ICR write asks for, and which local
//! APICs of a domain it is for.
//!
//! A [`Message`] is made by the sender ([`Message::from_msi`], the virtual IO-APIC, the virtual
//! local APIC) and given to [`route`], which names the vCPUs. Routing reads only an [`Identity`]
//! per vCPU, a word that [`SharedVlapic`](crate::vlapic::SharedVlapic) publishes, so that it
//! takes no lock.

use hv_core::types::VcpuId;

/// How an interrupt line signals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trigger {
    /// Each rising edge is one interrupt.
    #[default]
    Edge,
    /// Asserted until the device is served; the guest ends it by an EOI.
    Level,
}

/// What arrives at the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The message's vector becomes pending in every target.
    Fixed,
    /// The message's vector becomes pending in one of the targets.
    LowestPriority,
    /// A system management interrupt. Guests have none; it is dropped.
    Smi,
    /// A non-maskable interrupt; the vector is ignored.
    Nmi,
    /// The vCPU is reset and waits for a start-up message.
    Init,
    /// The vCPU starts in real mode at `vector << 12`, if it waits for that.
    StartUp,
    /// The vector comes from an 8259. Guests have none; it is dropped.
    ExtInt,
    /// The reserved encoding 3 (and the ICR's remote read); it is dropped.
    Reserved,
}

impl Delivery {
    /// Decodes the three-bit field that ICR, LVT, IO-APIC entries and MSI data share.
    pub const fn from_bits(bits: u32) -> Self {
        match bits & 7 {
            0 => Self::Fixed,
            1 => Self::LowestPriority,
            2 => Self::Smi,
            4 => Self::Nmi,
            5 => Self::Init,
            6 => Self::StartUp,
            7 => Self::ExtInt,
            _ => Self::Reserved,
        }
    }
}

/// Whom a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// The sender (an ICR shorthand).
    Myself,
    /// Every local APIC.
    All,
    /// Every local APIC but the sender's (an ICR shorthand).
    Others,
    /// The local APIC with this id.
    Physical(u32),
    /// The local APICs whose logical id matches.
    Logical(u32),
}

impl Destination {
    /// The destination that an 8-bit field names (xAPIC ICR, IO-APIC entry, MSI address).
    pub const fn from_u8(id: u8, logical: bool) -> Self {
        match (logical, id) {
            (true, _) => Self::Logical(id as u32),
            (false, 0xff) => Self::All,
            (false, _) => Self::Physical(id as u32),
        }
    }

    /// The destination that a 32-bit field names (x2APIC ICR).
    pub const fn from_u32(id: u32, logical: bool) -> Self {
        match (logical, id) {
            (_, u32::MAX) => Self::All,
            (true, _) => Self::Logical(id),
            (false, _) => Self::Physical(id),
        }
    }
}

/// One interrupt on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// The vector, where the delivery has one.
    pub vector: u8,
    /// What arrives.
    pub delivery: Delivery,
    /// Whether the target's EOI must come back to the sender.
    pub trigger: Trigger,
    /// Who gets it.
    pub destination: Destination,
}

impl Message {
    /// Decodes an MSI (Intel SDM volume 3, 11.11). `None` if the address is not one of a
    /// message in compatibility format.
    pub const fn from_msi(address: u64, data: u32) -> Option<Self> {
        if address >> 20 != 0xfee {
            return None;
        }
        let logical = address & 4 != 0;
        Some(Self {
            vector: data as u8,
            delivery: Delivery::from_bits(data >> 8),
            trigger: if data & (1 << 15) != 0 { Trigger::Level } else { Trigger::Edge },
            destination: Destination::from_u8((address >> 12) as u8, logical),
        })
    }
}

/// The local APIC id of a vCPU. The ACPI tables, CPUID and the virtual local APIC agree on it.
pub const fn apic_id(vcpu: VcpuId) -> u32 {
    vcpu.0.wrapping_mul(2)
}

/// The vCPU with this local APIC id, if one can have it: the inverse of [`apic_id`].
pub const fn vcpu_of(apic_id: u32) -> Option<VcpuId> {
    if apic_id & 1 == 0 { Some(VcpuId(apic_id >> 1)) } else { None }
}

/// What routing must know of a local APIC, in one word.
///
/// Layout: logical id in bits 0-31, APIC id in 32-55, then [`Self::ENABLED`] and its neighbours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity(pub u64);

impl Identity {
    /// APIC_BASE enables the APIC.
    pub const ENABLED: u64 = 1 << 56;
    /// The spurious-vector register enables the APIC too: it takes vectors.
    pub const ACCEPTS_VECTORS: u64 = 1 << 57;
    /// The APIC is in x2APIC mode.
    pub const X2APIC: u64 = 1 << 58;
    /// The destination format is the cluster model (xAPIC mode).
    pub const CLUSTER: u64 = 1 << 59;

    /// Packs an identity; `flags` are the constants above.
    pub const fn new(apic_id: u32, logical_id: u32, flags: u64) -> Self {
        Self(logical_id as u64 | ((apic_id & 0x00ff_ffff) as u64) << 32 | flags)
    }

    /// The local APIC id.
    pub const fn apic_id(self) -> u32 {
        (self.0 >> 32) as u32 & 0x00ff_ffff
    }

    const fn logical_id(self) -> u32 {
        self.0 as u32
    }

    const fn has(self, flag: u64) -> bool {
        self.0 & flag != 0
    }

    /// Whether the APIC takes a message for `destination`. The shorthands that depend on the
    /// sender are [`route`]'s.
    pub const fn matches(self, destination: Destination) -> bool {
        if !self.has(Self::ENABLED) {
            return false;
        }
        match destination {
            Destination::All => true,
            Destination::Physical(id) => id == self.apic_id(),
            Destination::Logical(id) => self.matches_logical(id),
            Destination::Myself | Destination::Others => false,
        }
    }

    const fn matches_logical(self, id: u32) -> bool {
        let mine = self.logical_id();
        if self.has(Self::X2APIC) {
            return id >> 16 == mine >> 16 && id & mine & 0xffff != 0;
        }
        let (id, mine) = (id & 0xff, mine >> 24);
        if self.has(Self::CLUSTER) {
            let all = id == 0xff;
            return all || (id >> 4 == mine >> 4 && id & mine & 0xf != 0);
        }
        id & mine != 0
    }

    /// Whether the APIC can do anything with this kind of message.
    const fn accepts(self, delivery: Delivery) -> bool {
        match delivery {
            Delivery::Fixed | Delivery::LowestPriority => self.has(Self::ACCEPTS_VECTORS),
            Delivery::Nmi | Delivery::Init | Delivery::StartUp => self.has(Self::ENABLED),
            Delivery::Smi | Delivery::ExtInt | Delivery::Reserved => false,
        }
    }
}

/// Calls `deliver` with each vCPU that takes `message`.
///
/// `sender` is the vCPU whose ICR write this is. `identity` gives the published identity of the
/// vCPUs 0 to `vcpus - 1`, `None` for one that does not exist. Of the candidates for a
/// lowest-priority message one is chosen by the vector, which spreads a device's vectors over
/// the vCPUs that it may use.
pub fn route(
    message: &Message,
    sender: Option<VcpuId>,
    vcpus: u32,
    identity: impl Fn(VcpuId) -> Option<Identity>,
    mut deliver: impl FnMut(VcpuId),
) {
    let takes = |vcpu: VcpuId| {
        let Some(identity) = identity(vcpu) else { return false };
        identity.accepts(message.delivery)
            && match message.destination {
                Destination::Myself => Some(vcpu) == sender,
                Destination::Others => Some(vcpu) != sender && identity.matches(Destination::All),
                other => identity.matches(other),
            }
    };
    let one = match message.destination {
        Destination::Physical(id) => vcpu_of(id),
        Destination::Myself => sender,
        _ => {
            if message.delivery == Delivery::LowestPriority {
                arbitrate(message.vector, vcpus, &takes)
            } else {
                (0..vcpus).map(VcpuId).filter(|vcpu| takes(*vcpu)).for_each(deliver);
                return;
            }
        }
    };
    if let Some(vcpu) = one
        && vcpu.0 < vcpus
        && takes(vcpu)
    {
        deliver(vcpu);
    }
}

fn arbitrate(vector: u8, vcpus: u32, takes: &impl Fn(VcpuId) -> bool) -> Option<VcpuId> {
    let candidates = || (0..vcpus).map(VcpuId).filter(|vcpu| takes(*vcpu));
    let turn = usize::from(vector).checked_rem(candidates().count())?;
    candidates().nth(turn)
}
