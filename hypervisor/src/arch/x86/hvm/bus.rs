//! What an instruction reaches when the hypervisor executes it in the guest's place: its
//! memory, its devices, its ports.

use alloc::sync::Arc;

use hv_core::types::{Gpa, Gva};
use hv_x86::decode::Bus;
use hv_x86::fault::Exception;
use hv_x86::walk::{Access, Kind, WalkError};

use super::{mmio, ports};
use crate::guest_access::{self, VcpuMemory};
use crate::platform::{Domain, Vcpu};

/// The surroundings of a stopped vCPU.
pub struct VcpuBus<'a> {
    pub domain: &'a Arc<Domain>,
    pub vcpu: &'a Arc<Vcpu>,
    pub memory: VcpuMemory<'a>,
    /// The instruction runs at CPL 3.
    pub user: bool,
}

impl Bus for VcpuBus<'_> {
    fn translate(&mut self, linear: u64, kind: Kind) -> Result<Gpa, Exception> {
        let access = Access { kind, user: self.user };
        match self.memory.locate(Gva(linear), access) {
            Ok((gpa, _)) => Ok(gpa),
            Err(WalkError::Fault(fault)) => Err(Exception::Page(fault)),
            Err(WalkError::NonCanonical | WalkError::Memory(_)) => Err(Exception::Gp),
        }
    }

    fn read(&mut self, gpa: Gpa, into: &mut [u8]) {
        if guest_access::read_physical(self.domain, gpa, into).is_err() {
            mmio::read(self.domain, self.vcpu, gpa, into);
        }
    }

    fn write(&mut self, gpa: Gpa, from: &[u8]) {
        if guest_access::write_physical(self.domain, gpa, from).is_err() {
            mmio::write(self.domain, self.vcpu, gpa, from);
        }
    }

    fn input(&mut self, port: u16, bytes: u8) -> u32 {
        ports::read(self.domain, port, bytes)
    }

    fn output(&mut self, port: u16, bytes: u8, value: u32) {
        ports::write(self.domain, port, bytes, value);
    }
}
