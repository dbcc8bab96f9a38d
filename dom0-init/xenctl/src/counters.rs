//! The hypervisor's performance counters (`XEN_SYSCTL_perfc_op`).
#![expect(unsafe_code, reason = "hypercalls read and write memory by address")]

use xen_abi::GuestHandle;
use xen_abi::sysctl::{PERFCOP_QUERY, PERFCOP_RESET, PerfcDesc, PerfcOp, SysctlCmd};

use crate::Xen;
use crate::error::Result;
use crate::text::until_zero;

/// Counters may be added between asking how many there are and reading them.
const SPARE: u32 = 64;
/// More than any hypervisor has.
const MOST: u32 = 1 << 20;

/// One counter: a name, and a value for each of what it is counted by (CPUs, vCPUs, reasons).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counter {
    /// Its name.
    pub name: String,
    /// Its values.
    pub values: Vec<u32>,
}

impl Xen {
    /// Every counter.
    ///
    /// # Errors
    /// When the hypercall fails; hypervisors built without counters don't support it.
    pub fn counters(&self) -> Result<Vec<Counter>> {
        let how_many = self.perfc(&query(0, 0, GuestHandle::NULL, GuestHandle::NULL), None)?;
        let counters = how_many.nr_counters.min(MOST).saturating_add(SPARE);
        let values = how_many.nr_vals.min(MOST).saturating_add(SPARE);
        let count = |n: u32| usize::try_from(n).unwrap_or(0);
        let mut names = self.privcmd.buffer(count(counters) * size_of::<PerfcDesc>())?;
        let mut numbers = self.privcmd.buffer(count(values) * 4)?;
        let question = query(counters, values, names.handle(), numbers.handle());
        let answer = self.perfc(&question, Some([&mut names, &mut numbers]))?;
        Ok(assemble(&names.list(count(answer.nr_counters)), &numbers.list(count(answer.nr_vals))))
    }

    /// Sets every counter to zero.
    ///
    /// # Errors
    /// As for [`Self::counters`].
    pub fn reset_counters(&self) -> Result<()> {
        self.perfc(&PerfcOp { cmd: PERFCOP_RESET, ..PerfcOp::default() }, None).map(|_answer| ())
    }

    fn perfc(
        &self,
        question: &PerfcOp,
        buffers: Option<[&mut crate::buffer::HypercallBuffer; 2]>,
    ) -> Result<PerfcOp> {
        let mut buffers = buffers.map(Vec::from).unwrap_or_default();
        // SAFETY: the handles are null, or those of the two buffers, which have room for the
        // numbers of counters and values that the question names.
        unsafe { self.sysctl(SysctlCmd::PERFC_OP, question, &mut buffers) }
    }
}

fn query(nr_counters: u32, nr_vals: u32, desc: GuestHandle, val: GuestHandle) -> PerfcOp {
    PerfcOp { cmd: PERFCOP_QUERY, nr_counters, nr_vals, desc, val, ..PerfcOp::default() }
}

/// Deals the values out to the counters, in order.
fn assemble(names: &[PerfcDesc], values: &[u32]) -> Vec<Counter> {
    let mut rest = values;
    names
        .iter()
        .map(|description| {
            let count = usize::try_from(description.nr_vals).unwrap_or(usize::MAX).min(rest.len());
            let (own, others) = rest.split_at(count);
            rest = others;
            Counter { name: until_zero(&description.name), values: own.to_vec() }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_dealt_out_in_order() {
        let description = |name: &str, nr_vals| {
            let mut bytes = [0; 80];
            bytes[..name.len()].copy_from_slice(name.as_bytes());
            PerfcDesc { name: bytes, nr_vals }
        };
        let names = [description("a", 2), description("b", 0), description("c", 9)];
        let counters = assemble(&names, &[1, 2, 3]);
        assert_eq!(counters[0], Counter { name: "a".into(), values: vec![1, 2] });
        assert_eq!(counters[1].values, []);
        assert_eq!(counters[2].values, [3], "fewer values than were told");
    }
}
