//! A domain's life: pauses, shutdown and resumption, destruction.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;
use xen_abi::sched::ShutdownReason;
use xen_abi::xen::Virq;

use crate::domain::Domain;
use crate::errno::Errno;
use crate::hypervisor::Hypervisor;
use crate::platform::Platform;
use crate::sched::entity::BlockReason;
use crate::types::Port;
use crate::vcpu::Vcpu;

/// Under a domain's lifecycle lock.
pub(super) struct Lifecycle {
    /// How often the toolstack has paused it.
    controller_pauses: u32,
    shutdown: ShutdownState,
    /// The code that a shutdown will report, whatever it is called with.
    latched: Option<ShutdownReason>,
}

/// Whether a domain has shut down, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShutdownState {
    /// It runs, or could.
    Alive,
    /// Its vCPUs are being stopped.
    Stopping(ShutdownReason),
    /// None of its vCPUs runs.
    Stopped(ShutdownReason),
}

/// How far a long operation got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It is complete.
    Done,
    /// It stopped to let others run: call it again.
    Again,
}

impl Lifecycle {
    pub const fn new() -> Self {
        Self { controller_pauses: 1, shutdown: ShutdownState::Alive, latched: None }
    }
}

impl<P: Platform> Domain<P> {
    /// Whether it has shut down, and why.
    pub fn shutdown_state(&self) -> ShutdownState {
        self.lifecycle.lock().shutdown
    }

    /// Whether the toolstack has paused it.
    pub fn is_paused_by_controller(&self) -> bool {
        self.lifecycle.lock().controller_pauses != 0
    }

    /// Sets the code that the next shutdown reports, whatever it is called with.
    ///
    /// # Errors
    /// `EINVAL` if a code is set already.
    pub fn latch_shutdown_code(&self, reason: ShutdownReason) -> Result<(), Errno> {
        let mut lifecycle = self.lifecycle.lock();
        if lifecycle.latched.is_some() {
            return Err(Errno::EINVAL);
        }
        lifecycle.latched = Some(reason);
        Ok(())
    }
}

impl<P: Platform> Hypervisor<P> {
    /// Keeps a domain from running until the matching [`Self::release_domain`].
    pub fn hold_domain(&self, domain: &Domain<P>) {
        domain.share.pause();
        for vcpu in domain.vcpus() {
            self.settle(vcpu);
        }
    }

    /// As [`Self::hold_domain`], and waits until none of its vCPUs runs, but for the one that
    /// this pCPU is acting for. Only under the domctl lock, as
    /// [`pause_vcpu_sync`](Self::pause_vcpu_sync).
    pub fn hold_domain_sync(&self, domain: &Domain<P>) {
        self.hold_domain(domain);
        for vcpu in domain.vcpus() {
            self.wait_stopped(vcpu);
        }
    }

    /// Takes back one [`Self::hold_domain`].
    pub fn release_domain(&self, domain: &Domain<P>) {
        domain.share.unpause();
        for vcpu in domain.vcpus() {
            self.settle(vcpu);
        }
    }

    /// Pauses a domain on behalf of the toolstack, and waits until it doesn't run.
    pub fn pause_domain(&self, domain: &Domain<P>) {
        {
            let mut lifecycle = domain.lifecycle.lock();
            lifecycle.controller_pauses = lifecycle.controller_pauses.saturating_add(1);
        }
        self.hold_domain_sync(domain);
    }

    /// Takes back one [`Self::pause_domain`]; a new domain starts with one.
    ///
    /// # Errors
    /// `EINVAL` if it isn't paused.
    pub fn unpause_domain(&self, domain: &Domain<P>) -> Result<(), Errno> {
        {
            let mut lifecycle = domain.lifecycle.lock();
            lifecycle.controller_pauses =
                lifecycle.controller_pauses.checked_sub(1).ok_or(Errno::EINVAL)?;
        }
        self.release_domain(domain);
        Ok(())
    }

    /// Stops a domain, keeps why, and tells the toolstack once none of its vCPUs runs. The
    /// hardware domain takes the machine along. A domain that has shut down already is left as it
    /// is.
    pub fn shut_down(&self, domain: &Arc<Domain<P>>, reason: ShutdownReason) {
        let reason = {
            let mut lifecycle = domain.lifecycle.lock();
            if lifecycle.shutdown != ShutdownState::Alive {
                return;
            }
            let reason = *lifecycle.latched.get_or_insert(reason);
            lifecycle.shutdown = ShutdownState::Stopping(reason);
            domain.share.set_stopping(true);
            reason
        };
        if domain.config.hardware {
            self.platform.machine_shutdown(reason);
        }
        self.hold_domain(domain);
        self.finish_shutdown(domain);
    }

    /// Ends a shutdown, if there is one and none of the domain's vCPUs runs any more. Whoever
    /// stops running one calls this; nobody waits for another pCPU.
    pub(crate) fn finish_shutdown(&self, domain: &Arc<Domain<P>>) {
        let reason = {
            let mut lifecycle = domain.lifecycle.lock();
            let ShutdownState::Stopping(reason) = lifecycle.shutdown else { return };
            if domain.vcpus().any(|vcpu| vcpu.sched.running_on().is_some()) {
                return;
            }
            lifecycle.shutdown = ShutdownState::Stopped(reason);
            domain.share.set_stopping(false);
            reason
        };
        let port = Port(domain.suspend_port.load(Ordering::Acquire));
        if reason == ShutdownReason::SUSPEND && port != Port(0) {
            // If the toolstack has closed it, nobody waits.
            let _ = self.send_event(domain, port);
        } else {
            self.raise_global_virq(Virq::DOM_EXC);
        }
    }

    /// Stops a domain that broke its own state. `why` goes to the log.
    pub fn crash_domain(&self, domain: &Arc<Domain<P>>, why: &str) {
        self.platform.log_domain_crash(domain.id, why);
        self.shut_down(domain, ShutdownReason::CRASH);
    }

    /// Brings a vCPU down. A domain without any vCPU that is up has switched itself off.
    pub fn bring_down(&self, domain: &Arc<Domain<P>>, vcpu: &Arc<Vcpu<P>>) {
        let others = domain.vcpus().any(|other| !Arc::ptr_eq(other, vcpu) && other.sched.is_up());
        if others {
            self.suspend(vcpu, BlockReason::Down);
        } else {
            self.shut_down(domain, ShutdownReason::POWEROFF);
        }
    }

    /// Lets a domain that has shut down run on, as after a checkpoint.
    pub fn resume_domain(&self, domain: &Domain<P>) {
        {
            let mut lifecycle = domain.lifecycle.lock();
            lifecycle.latched = None;
            if !matches!(lifecycle.shutdown, ShutdownState::Stopped(_)) {
                return;
            }
            lifecycle.shutdown = ShutdownState::Alive;
        }
        self.release_domain(domain);
    }
}
