//! What the event channels keep in each vCPU.

use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use spin::Mutex;
use xen_abi::xen::{NR_VIRQS, Virq};

use crate::event_channel::fifo::Queues;
use crate::types::{FRAME_SHIFT, Mfn, Port};

/// A place in a guest's frame, at an offset that is a multiple of 8; or nowhere.
///
/// It can be read while another pCPU changes it. Bit 0 says that there is a place, the bits up
/// to the frame's number are the offset.
pub(super) struct GuestPlace(AtomicU64);

impl GuestPlace {
    pub const fn nowhere() -> Self {
        Self(AtomicU64::new(0))
    }

    pub fn get(&self) -> Option<(Mfn, usize)> {
        let word = self.0.load(Ordering::Acquire);
        let offset = word & ((1 << FRAME_SHIFT) - 2);
        (word & 1 != 0).then_some((Mfn(word >> FRAME_SHIFT), offset as usize))
    }

    pub fn set(&self, place: Option<(Mfn, usize)>) {
        let word = place.map_or(0, |(mfn, offset)| (mfn.0 << FRAME_SHIFT) | offset as u64 | 1);
        self.0.store(word, Ordering::Release);
    }
}

#[derive(Default)]
pub(super) struct PinnedFrames {
    pub info: Option<Mfn>,
    pub control_block: Option<Mfn>,
}

/// The event channels' part of a vCPU.
pub struct VcpuEvents {
    pub(super) info: GuestPlace,
    pub(super) control_block: GuestPlace,
    pub(super) queues: Queues,
    /// Frames of the guest that are referenced for as long as the places above are in them.
    pub(super) pinned: Mutex<PinnedFrames>,
    /// The vector of the local APIC that an upcall raises; 0 for the domain's callback.
    upcall_vector: AtomicU8,
    /// By number, the port that each virtual interrupt is bound to; 0 for none. Global ones are
    /// with vCPU 0.
    virqs: [AtomicU32; NR_VIRQS as usize],
    /// What the vCPU polls for: see [`PollTarget`].
    poll: AtomicU32,
}

/// What a vCPU polls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PollTarget {
    /// It doesn't.
    Nothing,
    /// One port.
    Port(Port),
    /// Several: it is woken for any of its domain's, and looks itself.
    Any,
}

impl VcpuEvents {
    /// A vCPU whose `vcpu_info` is at this place.
    pub(crate) fn new(info: Option<(Mfn, usize)>) -> Self {
        let events = Self {
            info: GuestPlace::nowhere(),
            control_block: GuestPlace::nowhere(),
            queues: Queues::new(),
            pinned: Mutex::new(PinnedFrames::default()),
            upcall_vector: AtomicU8::new(0),
            virqs: [const { AtomicU32::new(0) }; NR_VIRQS as usize],
            poll: AtomicU32::new(0),
        };
        events.info.set(info);
        events
    }

    /// Where the vCPU's `vcpu_info` is. Those from number 32 have none until they register one.
    pub fn info(&self) -> Option<(Mfn, usize)> {
        self.info.get()
    }

    pub(super) fn control_block(&self) -> Option<(Mfn, usize)> {
        self.control_block.get()
    }

    /// The vector of the local APIC that an upcall raises, if the vCPU chose one.
    pub fn upcall_vector(&self) -> Option<u8> {
        match self.upcall_vector.load(Ordering::Acquire) {
            0 => None,
            vector => Some(vector),
        }
    }

    pub(super) fn set_upcall_vector(&self, vector: u8) {
        self.upcall_vector.store(vector, Ordering::Release);
    }

    /// The port that a virtual interrupt is bound to.
    pub(super) fn virq_port(&self, virq: Virq) -> Option<Port> {
        match self.virqs.get(virq.0 as usize)?.load(Ordering::Acquire) {
            0 => None,
            port => Some(Port(port)),
        }
    }

    /// Binds a virtual interrupt to a port. Whether it was free.
    pub(super) fn bind_virq(&self, virq: Virq, port: Port) -> bool {
        self.virqs.get(virq.0 as usize).is_some_and(|bound| {
            bound.compare_exchange(0, port.0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        })
    }

    pub(super) fn unbind_virq(&self, virq: Virq) {
        if let Some(bound) = self.virqs.get(virq.0 as usize) {
            bound.store(0, Ordering::Release);
        }
    }

    pub(super) fn poll_target(&self) -> PollTarget {
        PollTarget::unpack(self.poll.load(Ordering::SeqCst))
    }

    /// Sets what the vCPU polls for. Gives what it polled for before.
    pub(super) fn swap_poll_target(&self, target: PollTarget) -> PollTarget {
        PollTarget::unpack(self.poll.swap(target.pack(), Ordering::SeqCst))
    }
}

impl PollTarget {
    const fn pack(self) -> u32 {
        match self {
            Self::Nothing => 0,
            Self::Port(port) => port.0,
            Self::Any => u32::MAX,
        }
    }

    const fn unpack(word: u32) -> Self {
        match word {
            0 => Self::Nothing,
            u32::MAX => Self::Any,
            port => Self::Port(Port(port)),
        }
    }
}
