//! A CPU policy: the CPUID leaves of a processor, the machine's or a guest's, as a table.
//!
//! Policies are derived one from the other: [`CpuPolicy::of_machine`], what guests can have at
//! most ([`CpuPolicy::guest_max`]), what they have by default ([`CpuPolicy::guest_default`]),
//! and what a toolstack asks for ([`CpuPolicy::overlay`], [`CpuPolicy::sanitise`]).

use xen_abi::arch_x86::xen::{CPUID_NO_SUBLEAF, CpuidLeaf};

use super::Leaf;
use super::features::{
    ALLOWED, COMMON_1D, EMULATED, FeatureSet, ON_REQUEST, PCID, Register, SOURCES, SPEC_CTRL, word,
};
use super::xstate;

/// The highest basic leaf that guests have.
const BASIC_MAX: u32 = 0xd;
/// The highest extended leaf that guests have.
const EXTENDED_MAX: u32 = 0x8000_0021;
const EXTENDED: u32 = 0x8000_0000;

/// What the machine and the hypervisor can do for guests, beyond what CPUID says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Width of the guest-physical addresses that the second stage maps.
    pub physical_bits: u8,
    /// The state components (bits of XCR0) that are switched between vCPUs.
    pub xcr0: u64,
    /// The hardware switches SPEC_CTRL with the control block.
    pub spec_ctrl: bool,
    /// Process context identifiers work in guest mode.
    pub pcid: bool,
}

/// A leaf that can't be part of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadLeaf {
    /// The leaf.
    pub leaf: u32,
    /// The subleaf.
    pub subleaf: u32,
}

/// The CPUID leaves of a processor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuPolicy {
    /// Leaves 0 to 0xD. Those with subleaves are in the arrays below instead.
    basic: [Leaf; 14],
    caches: [Leaf; 6],
    structured: [Leaf; 3],
    topology: [Leaf; 2],
    xsave: [Leaf; 63],
    /// Leaves 0x80000000 to 0x80000021.
    extended: [Leaf; 34],
}

impl CpuPolicy {
    const EMPTY: Self = Self {
        basic: [Leaf::ZERO; 14],
        caches: [Leaf::ZERO; 6],
        structured: [Leaf::ZERO; 3],
        topology: [Leaf::ZERO; 2],
        xsave: [Leaf::ZERO; 63],
        extended: [Leaf::ZERO; 34],
    };

    /// All places of a policy, in the order in which they are serialised.
    fn places() -> impl Iterator<Item = (u32, u32)> {
        let basic = (0..=BASIC_MAX).flat_map(|leaf| {
            let subleaves = match leaf {
                0x4 => 6,
                0x7 => 3,
                0xb => 2,
                0xd => 63,
                _ => 1,
            };
            (0..subleaves).map(move |subleaf| (leaf, subleaf))
        });
        basic.chain((EXTENDED..=EXTENDED_MAX).map(|leaf| (leaf, 0)))
    }

    /// Whether the leaf's answer depends on the subleaf.
    const fn has_subleaves(leaf: u32) -> bool {
        matches!(leaf, 0x4 | 0x7 | 0xb | 0xd)
    }

    /// A leaf as it is in the table; `None` if it has no place there.
    pub fn get(&self, leaf: u32, subleaf: u32) -> Option<&Leaf> {
        let subleaf = subleaf as usize;
        match leaf {
            0x4 => self.caches.get(subleaf),
            0x7 => self.structured.get(subleaf),
            0xb => self.topology.get(subleaf),
            0xd => self.xsave.get(subleaf),
            EXTENDED.. => self.extended.get((leaf ^ EXTENDED) as usize),
            _ => self.basic.get(leaf as usize),
        }
    }

    pub(super) fn get_mut(&mut self, leaf: u32, subleaf: u32) -> Option<&mut Leaf> {
        let subleaf = subleaf as usize;
        match leaf {
            0x4 => self.caches.get_mut(subleaf),
            0x7 => self.structured.get_mut(subleaf),
            0xb => self.topology.get_mut(subleaf),
            0xd => self.xsave.get_mut(subleaf),
            EXTENDED.. => self.extended.get_mut((leaf ^ EXTENDED) as usize),
            _ => self.basic.get_mut(leaf as usize),
        }
    }

    pub(super) fn leaf(&self, leaf: u32, subleaf: u32) -> Leaf {
        self.get(leaf, subleaf).copied().unwrap_or(Leaf::ZERO)
    }

    fn edit(&mut self, leaf: u32, subleaf: u32, change: impl FnOnce(&mut Leaf)) {
        if let Some(place) = self.get_mut(leaf, subleaf) {
            change(place);
        }
    }

    /// The machine's processor: `cpuid` executes the instruction with a leaf and a subleaf.
    pub fn of_machine(cpuid: impl Fn(u32, u32) -> Leaf) -> Self {
        let mut policy = Self::EMPTY;
        let (basic, extended) = (cpuid(0, 0).eax, cpuid(EXTENDED, 0).eax);
        for (leaf, subleaf) in Self::places() {
            let max = if leaf < EXTENDED { basic } else { extended };
            if leaf <= max {
                policy.edit(leaf, subleaf, |place| *place = cpuid(leaf, subleaf));
            }
        }
        policy
    }

    /// What guests on the machine `self` can have at most. It is what dom0 has, which stays.
    #[must_use]
    pub fn guest_max(&self, limits: &Limits) -> Self {
        let mut policy = self.clone();
        let mut features = self.features();
        features.intersect(&ALLOWED);
        features.add(&EMULATED);
        if !limits.spec_ctrl {
            features.remove(&SPEC_CTRL);
        }
        if !limits.pcid {
            features.remove(&PCID);
        }
        let xcr0 = limits.xcr0 & self.leaf(0xd, 0).xcr0();
        xstate::drop_without_state(&mut features, xcr0);
        features.drop_orphans();
        policy.set_features(&features);
        policy.limit_leaves();
        policy.edit(0x8000_0008, 0, |leaf| {
            let physical = (leaf.eax & 0xff).min(u32::from(limits.physical_bits));
            leaf.eax = physical | (leaf.eax & 0xff00).min(48 << 8);
        });
        xstate::fill(&mut policy.xsave, &features, xcr0);
        policy
    }

    /// What guests have unless their creator says otherwise, derived from the maximum.
    #[must_use]
    pub fn guest_default(&self) -> Self {
        let mut policy = self.clone();
        let mut features = self.features();
        features.remove(&ON_REQUEST);
        policy.set_features(&features);
        policy
    }

    /// Clears the leaves that tell of hardware that guests do not get: thermal, performance
    /// counters, SVM, sampling, memory encryption, quality of service.
    fn limit_leaves(&mut self) {
        let intel = self.is_intel();
        self.edit(0, 0, |leaf| leaf.eax = leaf.eax.min(BASIC_MAX));
        self.edit(EXTENDED, 0, |leaf| leaf.eax = leaf.eax.min(EXTENDED_MAX));
        for leaf in [0x3, 0x5, 0x6, 0x8, 0x9, 0xa, 0xc] {
            self.edit(leaf, 0, |place| *place = Leaf::ZERO);
        }
        for leaf in (0x8000_000a..=0x8000_0018).chain(0x8000_001b..=0x8000_0020) {
            self.edit(leaf, 0, |place| *place = Leaf::ZERO);
        }
        if !intel {
            self.edit(0x2, 0, |place| *place = Leaf::ZERO);
            self.caches = [Leaf::ZERO; 6];
        }
        self.topology = [Leaf::ZERO; 2];
        self.edit(0x7, 0, |leaf| leaf.eax = leaf.eax.min(2));
        self.edit(0x7, 1, |leaf| *leaf = Leaf { ecx: 0, ..*leaf });
        self.edit(0x7, 2, |leaf| *leaf = Leaf { edx: leaf.edx, ..Leaf::ZERO });
        self.edit(0x8000_0007, 0, |leaf| *leaf = Leaf { edx: leaf.edx, ..Leaf::ZERO });
        self.edit(0x8000_0008, 0, |leaf| leaf.edx = 0);
        self.edit(0x8000_0021, 0, |leaf| (leaf.ebx, leaf.edx) = (0, 0));
    }

    /// Whether the vendor is Intel, else AMD (or Hygon, whose processors are AMD's).
    pub fn is_intel(&self) -> bool {
        self.leaf(0, 0).ebx.to_le_bytes() == *b"Genu"
    }

    /// The features as words.
    pub fn features(&self) -> FeatureSet {
        let mut set = FeatureSet::default();
        for (to, source) in set.0.iter_mut().zip(SOURCES) {
            let Some((leaf, subleaf, register)) = source else { continue };
            let leaf = self.leaf(leaf, subleaf);
            *to = match register {
                Register::A => leaf.eax,
                Register::B => leaf.ebx,
                Register::C => leaf.ecx,
                Register::D => leaf.edx,
            };
        }
        set.remove(&[(word::E1D, COMMON_1D)]);
        set
    }

    pub(super) fn set_features(&mut self, features: &FeatureSet) {
        for (value, source) in features.0.iter().zip(SOURCES) {
            let Some((leaf, subleaf, register)) = source else { continue };
            self.edit(leaf, subleaf, |leaf| match register {
                Register::A => leaf.eax = *value,
                Register::B => leaf.ebx = *value,
                Register::C => leaf.ecx = *value,
                Register::D => leaf.edx = *value,
            });
        }
        if !self.is_intel() {
            let common = features.word(word::L1D) & COMMON_1D;
            self.edit(0x8000_0001, 0, |leaf| leaf.edx |= common);
        }
    }

    /// The guest-physical address width.
    pub fn physical_bits(&self) -> u8 {
        match self.leaf(0x8000_0008, 0).eax as u8 {
            0 => 36,
            bits => bits,
        }
    }

    /// The state components that a guest may enable in XCR0.
    pub fn xcr0(&self) -> u64 {
        self.leaf(0xd, 0).xcr0()
    }

    /// The size of the standard format of an XSAVE area with these state components.
    pub fn xstate_bytes(&self, states: u64) -> u32 {
        xstate::standard_bytes(self.components(), states)
    }

    /// Leaf 0xD from subleaf 2 on: where each state component is.
    pub(super) fn components(&self) -> &[Leaf] {
        let [_, _, components @ ..] = &self.xsave;
        components
    }

    /// The leaves in the form of a toolstack's policy buffer, without those that are zero and
    /// have a subleaf.
    pub fn leaves(&self) -> impl Iterator<Item = CpuidLeaf> {
        Self::places().filter_map(|(leaf, subleaf)| {
            let max =
                if leaf < EXTENDED { self.leaf(0, 0).eax } else { self.leaf(EXTENDED, 0).eax };
            let place = self.leaf(leaf, subleaf);
            let named = !Self::has_subleaves(leaf);
            let wanted = leaf <= max && (named || subleaf == 0 || place != Leaf::ZERO);
            let subleaf = if named { CPUID_NO_SUBLEAF } else { subleaf };
            let Leaf { eax: a, ebx: b, ecx: c, edx: d } = place;
            wanted.then_some(CpuidLeaf { leaf, subleaf, a, b, c, d })
        })
    }

    /// The most entries that [`leaves`](Self::leaves) can give.
    pub fn max_leaves() -> usize {
        Self::places().count()
    }

    /// Replaces the leaves that are given. The leaves that mark the hypervisors' ranges are
    /// accepted and ignored.
    ///
    /// # Errors
    /// The first leaf that has no place in a policy. The leaves before it were replaced.
    pub fn overlay(&mut self, leaves: impl IntoIterator<Item = CpuidLeaf>) -> Result<(), BadLeaf> {
        for CpuidLeaf { leaf, subleaf, a, b, c, d } in leaves {
            if matches!(leaf, 0x4000_0000 | 0x4000_0100) && subleaf == CPUID_NO_SUBLEAF {
                continue;
            }
            let index = match (Self::has_subleaves(leaf), subleaf) {
                (false, CPUID_NO_SUBLEAF) => Some(0),
                (true, subleaf) if subleaf != CPUID_NO_SUBLEAF => Some(subleaf),
                _ => None,
            };
            let place = index.and_then(|index| self.get_mut(leaf, index));
            let place = place.ok_or(BadLeaf { leaf, subleaf })?;
            *place = Leaf { eax: a, ebx: b, ecx: c, edx: d };
        }
        Ok(())
    }

    /// Makes a policy that a toolstack has put together safe: nothing beyond `max` remains.
    ///
    /// # Errors
    /// It has leaves beyond the maximum's last, which a guest could notice to be missing.
    pub fn sanitise(&mut self, max: &Self) -> Result<(), BadLeaf> {
        for leaf in [0, EXTENDED] {
            if self.leaf(leaf, 0).eax > max.leaf(leaf, 0).eax {
                return Err(BadLeaf { leaf, subleaf: CPUID_NO_SUBLEAF });
            }
        }
        let mut features = self.features();
        features.intersect(&max.features());
        features.add(&EMULATED);
        features.drop_orphans();
        let vendor = max.leaf(0, 0);
        self.edit(0, 0, |leaf| *leaf = Leaf { eax: leaf.eax, ..vendor });
        self.set_features(&features);
        self.limit_leaves();
        let widths = max.leaf(0x8000_0008, 0).eax;
        self.edit(0x8000_0008, 0, |leaf| {
            let at_most = |mask: u32| (leaf.eax & mask).min(widths & mask);
            leaf.eax = at_most(0xff).max(32) | at_most(0xff00);
        });
        self.xsave = max.xsave;
        xstate::fill(&mut self.xsave, &features, max.xcr0());
        Ok(())
    }
}
