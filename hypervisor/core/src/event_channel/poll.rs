//! Polling: a vCPU that waits until one of some ports is pending, masked or not.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use crate::domain::Domain;
use crate::errno::Errno;
use crate::event_channel::vcpu_events::PollTarget;
use crate::hypervisor::Hypervisor;
use crate::platform::Platform;
use crate::timer::TimerKind;
use crate::types::{Nanos, Port};
use crate::vcpu::Vcpu;

impl<P: Platform> Hypervisor<P> {
    /// Makes the vCPU wait until one of the ports is pending, an interrupt comes for it, or the
    /// time has come. If a port is pending already it doesn't wait. The caller checks after this
    /// whether an interrupt waits, and wakes the vCPU then.
    ///
    /// # Errors
    /// `EINVAL` if one of the ports doesn't exist.
    pub fn poll_events(
        &self,
        domain: &Arc<Domain<P>>,
        vcpu: &Arc<Vcpu<P>>,
        ports: &[Port],
        timeout: Option<Nanos>,
    ) -> Result<(), Errno> {
        let target = match ports {
            [port] => PollTarget::Port(*port),
            _ => PollTarget::Any,
        };
        self.stop_polling(vcpu);
        domain.events.pollers.fetch_add(1, Ordering::SeqCst);
        vcpu.events.swap_poll_target(target);
        if let Some(deadline) = timeout {
            self.arm_timer(vcpu, TimerKind::Poll, deadline);
        }
        self.block(vcpu);

        // An event from now on finds the vCPU waiting; one from before is seen here.
        let ready = ports.iter().try_fold(false, |ready, port| {
            domain.events.ports.require(*port)?;
            Ok(ready || self.is_pending(domain, *port))
        });
        if ready != Ok(false) {
            self.wake(vcpu);
            self.stop_polling(vcpu);
        }
        ready.map(drop)
    }

    /// Ends a vCPU's polling, if it does.
    ///
    /// Only the pCPU that runs it, or is about to, does this. Who wakes it must not: it might poll
    /// for something else by then, which nobody would wake it for.
    pub(crate) fn stop_polling(&self, vcpu: &Vcpu<P>) {
        if vcpu.events.poll_target() == PollTarget::Nothing {
            return;
        }
        if vcpu.events.swap_poll_target(PollTarget::Nothing) != PollTarget::Nothing {
            self.cancel_timer(vcpu, TimerKind::Poll);
            if let Some(domain) = vcpu.domain() {
                domain.events.pollers.fetch_sub(1, Ordering::SeqCst);
            }
        }
    }

    /// Wakes the vCPUs that poll for a port.
    pub(super) fn wake_pollers(&self, domain: &Domain<P>, port: Port) {
        if domain.events.pollers.load(Ordering::SeqCst) == 0 {
            return;
        }
        for vcpu in domain.vcpus() {
            let wanted = match vcpu.events.poll_target() {
                PollTarget::Nothing => false,
                PollTarget::Port(polled) => polled == port,
                PollTarget::Any => true,
            };
            if wanted {
                self.wake(vcpu);
            }
        }
    }
}
