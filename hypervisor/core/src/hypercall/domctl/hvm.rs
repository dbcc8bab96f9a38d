//! HVM containers: saved state, triggers, time, CPU policy.

use alloc::vec::Vec;

use xen_abi::arch_x86::xen::{CpuidLeaf, MsrEntry};
use xen_abi::domctl::{CpuPolicy, HvmContext, HvmContextPartial, SendTrigger, Trigger, TscInfo};
use zerocopy::{FromBytes, IntoBytes};

use super::Request;
use crate::errno::Errno;
use crate::machine::{Machine, PolicyError};
use crate::time::guest::TscMode;
use crate::types::{Gva, VcpuId};

/// The largest set of records that is taken. Four KiB per vCPU and the virtual devices fit.
const MAX_CONTEXT_BYTES: u32 = 1 << 21;
/// The most leaves of a CPU policy; the ABI's own bound is lower.
const MAX_LEAVES: u32 = 512;
/// The most MSRs of a CPU policy.
const MAX_MSRS: u32 = 64;
/// In a subleaf's place: the leaf has none.
const NO_SUBLEAF: u32 = u32::MAX;

impl<P: Machine> Request<'_, P> {
    /// A null buffer asks for the size.
    pub(super) fn save_context(&mut self) -> Result<(), Errno> {
        self.not_self()?;
        let mut context: HvmContext = self.op.u.read();
        let records =
            self.while_paused(|request| request.call.hv.platform.save_context(request.domain))?;
        let size = u32::try_from(records.len()).map_err(|_| Errno::E2BIG)?;
        if !context.buffer.is_null() {
            if context.size < size {
                return Err(Errno::ENOSPC);
            }
            self.call.guest.copy_to(Gva(context.buffer.0), &records)?;
        }
        context.size = size;
        self.op.u.write(&context);
        Ok(())
    }

    pub(super) fn save_record(&mut self) -> Result<(), Errno> {
        self.not_self()?;
        let mut partial: HvmContextPartial = self.op.u.read();
        let record = self.while_paused(|request| {
            let platform = &request.call.hv.platform;
            platform.save_record(request.domain, partial.ty, partial.instance)
        })?;
        if !partial.buffer.is_null() {
            let room = usize::try_from(partial.bufsz).unwrap_or(usize::MAX);
            let part = record.get(..room).unwrap_or(&record);
            self.call.guest.copy_to(Gva(partial.buffer.0), part)?;
        }
        partial.bufsz = record.len() as u64;
        self.op.u.write(&partial);
        Ok(())
    }

    pub(super) fn load_context(&self) -> Result<(), Errno> {
        self.not_self()?;
        let context: HvmContext = self.op.u.read();
        if context.size > MAX_CONTEXT_BYTES {
            return Err(Errno::E2BIG);
        }
        let records = self.read_array::<u8>(Gva(context.buffer.0), context.size)?;
        self.while_paused(|request| {
            request.call.hv.platform.load_context(request.call.hv, request.domain, &records)
        })
    }

    pub(super) fn while_paused<R>(&self, action: impl FnOnce(&Self) -> R) -> R {
        self.call.hv.hold_domain_sync(self.domain);
        let result = action(self);
        self.call.hv.release_domain(self.domain);
        result
    }

    pub(super) fn send_trigger(&self) -> Result<(), Errno> {
        let send: SendTrigger = self.op.u.read();
        let vcpu = self.domain.vcpu(VcpuId(send.vcpu)).ok_or(Errno::EINVAL)?;
        match send.trigger {
            Trigger::NMI => self.call.hv.platform.inject_nmi(self.call.hv, vcpu),
            // There are no buttons.
            _ => return Err(Errno::EOPNOTSUPP),
        }
        Ok(())
    }

    pub(super) fn tsc_info(&mut self) {
        let clock = self.call.hv.platform.clock();
        let state = self.domain.time.tsc_state();
        let now = self.call.hv.platform.now();
        self.op.u.write(&TscInfo {
            tsc_mode: state.mode as u32,
            gtsc_khz: clock.khz(),
            incarnation: state.incarnation,
            elapsed_nsec: state.elapsed_ns(now),
            ..TscInfo::default()
        });
    }

    /// The TSC is never emulated: a guest that saw another frequency before can't go on.
    pub(super) fn set_tsc_info(&self) -> Result<(), Errno> {
        self.not_self()?;
        let info: TscInfo = self.op.u.read();
        let mode = TscMode::from_abi(info.tsc_mode).ok_or(Errno::EINVAL)?;
        let khz = self.call.hv.platform.clock().khz();
        if mode == TscMode::AlwaysEmulate || (info.gtsc_khz != 0 && info.gtsc_khz != khz) {
            return Err(Errno::EOPNOTSUPP);
        }
        let now = self.call.hv.platform.now();
        self.domain.time.set_tsc_state(mode, info.incarnation, info.elapsed_nsec, now);
        Ok(())
    }

    pub(super) fn cpu_policy(&mut self) -> Result<(), Errno> {
        let mut get: CpuPolicy = self.op.u.read();
        let policy = self.call.hv.platform.domain_policy(self.domain);
        let room = (&mut get.nr_leaves, &mut get.nr_msrs);
        self.call.write_policy(&policy, room, (get.leaves, get.msrs))?;
        self.op.u.write(&get);
        Ok(())
    }

    pub(super) fn set_cpu_policy(&mut self) -> Result<(), Errno> {
        self.not_self()?;
        let mut set: CpuPolicy = self.op.u.read();
        (set.err_leaf, set.err_subleaf, set.err_msr) = (NO_SUBLEAF, NO_SUBLEAF, NO_SUBLEAF);
        if set.nr_leaves > MAX_LEAVES || set.nr_msrs > MAX_MSRS {
            return Err(Errno::E2BIG);
        }
        let leaves = self.read_array::<CpuidLeaf>(Gva(set.leaves.0), set.nr_leaves)?;
        let msrs = self.read_array::<MsrEntry>(Gva(set.msrs.0), set.nr_msrs)?;
        let platform = &self.call.hv.platform;
        let refused = platform.set_domain_policy(self.domain, &leaves, &msrs).err();
        match refused {
            None => {}
            Some(PolicyError::Leaf(leaf, subleaf)) => {
                (set.err_leaf, set.err_subleaf) = (leaf, subleaf.unwrap_or(NO_SUBLEAF));
            }
            Some(PolicyError::Msr(msr)) => set.err_msr = msr,
        }
        self.op.u.write(&set);
        if refused.is_some() {
            // The caller looks here for what was refused.
            let [arg, ..] = self.call.args;
            self.call.write(Gva(arg), self.op)?;
            return Err(Errno::EINVAL);
        }
        Ok(())
    }

    fn read_array<T: FromBytes + IntoBytes + Clone>(
        &self,
        from: Gva,
        count: u32,
    ) -> Result<Vec<T>, Errno> {
        let count = count as usize;
        let mut values = Vec::new();
        values.try_reserve_exact(count).map_err(|_| Errno::ENOMEM)?;
        values.resize(count, T::new_zeroed());
        self.call.guest.copy_from(from, values.as_mut_slice().as_mut_bytes())?;
        Ok(values)
    }
}
