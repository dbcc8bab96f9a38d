//! Counters: per domain, how often its vCPUs left guest mode for each reason, and made each
//! hypercall. One value per vCPU.

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

use xen_abi::sysctl::{PERFCOP_QUERY, PERFCOP_RESET, PerfcDesc, PerfcOp, Sysctl};
use xen_abi::xen::Hypercall;

use crate::domain::Domain;
use crate::errno::Errno;
use crate::hypercall::Call;
use crate::machine::Machine;
use crate::perf::{HYPERCALLS, VcpuCounters};
use crate::types::Gva;

const HYPERCALL_PREFIX: &str = "__HYPERVISOR_";

/// What a counter counts.
#[derive(Clone, Copy)]
enum Counted {
    /// Exits for the reason of this index.
    Exit(usize),
    /// Hypercalls of this number.
    Hypercall(usize),
}

pub(super) fn perfc_op<P: Machine>(call: &Call<'_, P>, op: &mut Sysctl) -> Result<(), Errno> {
    let mut perfc: PerfcOp = op.u.read();
    let domains: Vec<_> =
        call.hv.domains().into_iter().filter(|domain| domain.vcpus().count() > 0).collect();
    match perfc.cmd {
        PERFCOP_RESET => {
            let vcpus = domains.iter().flat_map(|domain| domain.vcpus());
            vcpus.for_each(|vcpu| vcpu.counters.reset());
            return Ok(());
        }
        PERFCOP_QUERY => {}
        _ => return Err(Errno::EINVAL),
    }
    (perfc.nr_counters, perfc.nr_vals) = (0, 0);
    for domain in &domains {
        for (counted, name) in counters::<P>() {
            write_counter(call, &mut perfc, domain, counted, name)?;
        }
    }
    op.u.write(&perfc);
    Ok(())
}

/// The counters that every domain has, and their names.
fn counters<P: Machine>() -> impl Iterator<Item = (Counted, &'static str)> {
    let reasons = P::EXIT_REASONS.iter().enumerate();
    let exits = reasons.map(|(index, name)| (Counted::Exit(index), *name));
    let hypercalls = (0..HYPERCALLS).filter_map(|number| {
        let name = Hypercall(number as u32).name()?;
        let name = name.strip_prefix(HYPERCALL_PREFIX).unwrap_or(name);
        Some((Counted::Hypercall(number), name))
    });
    exits.chain(hypercalls)
}

/// Writes a counter's description and values behind those that were written before, where the
/// caller wants them.
fn write_counter<P: Machine>(
    call: &Call<'_, P>,
    perfc: &mut PerfcOp,
    domain: &Arc<Domain<P>>,
    counted: Counted,
    name: &str,
) -> Result<(), Errno> {
    let vcpus = domain.vcpus().count() as u32;
    if !perfc.desc.is_null() {
        let desc = PerfcDesc { name: full_name(domain, counted, name), nr_vals: vcpus };
        let at = call.element::<PerfcDesc>(Gva(perfc.desc.0), u64::from(perfc.nr_counters))?;
        call.write(at, &desc)?;
    }
    if !perfc.val.is_null() {
        for (vcpu, index) in domain.vcpus().zip(0_u64..) {
            let index = u64::from(perfc.nr_vals).saturating_add(index);
            let at = call.element::<u32>(Gva(perfc.val.0), index)?;
            // The ABI's values are words; they wrap around.
            call.write(at, &(value(&vcpu.counters, counted) as u32))?;
        }
    }
    perfc.nr_counters = perfc.nr_counters.saturating_add(1);
    perfc.nr_vals = perfc.nr_vals.saturating_add(vcpus);
    Ok(())
}

fn value(counters: &VcpuCounters, counted: Counted) -> u64 {
    match counted {
        Counted::Exit(reason) => counters.exits(reason),
        Counted::Hypercall(number) => counters.hypercalls(number),
    }
}

/// `d<domid>.exit.<reason>` or `d<domid>.hypercall.<name>`, NUL-terminated.
fn full_name<P: Machine>(domain: &Domain<P>, counted: Counted, name: &str) -> [u8; 80] {
    let kind = match counted {
        Counted::Exit(_) => "exit",
        Counted::Hypercall(_) => "hypercall",
    };
    let text = format!("{}.{kind}.{name}", domain.id);
    let mut field = [0; 80];
    let room = field.len().saturating_sub(1);
    for (to, from) in field.iter_mut().take(room).zip(text.bytes()) {
        *to = from;
    }
    field
}
