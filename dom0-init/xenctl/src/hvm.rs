//! A domain's HVM container: parameters, event channels made for it, vCPU state.
#![expect(unsafe_code, reason = "hypercalls read and write memory by address")]

use xen_abi::domctl::{DomctlCmd, HvmContext};
use xen_abi::event_channel::{AllocUnbound, EventChannelCmd};
use xen_abi::hvm::hvm_op::{HvmCmd, HvmParamOp};
use xen_abi::hvm::params::HvmParam;
use xen_abi::xen::Hypercall;

use crate::Xen;
use crate::error::Result;

/// More than any context has, in bytes.
const LARGEST_CONTEXT: u32 = 16 << 20;

impl Xen {
    /// Sets a parameter of a domain.
    ///
    /// # Errors
    /// When there is no such domain or parameter.
    pub fn set_parameter(&self, domain: u16, index: HvmParam, value: u64) -> Result<()> {
        self.parameter_op(HvmCmd::SET_PARAM, domain, index, value).map(|_same| ())
    }

    /// A parameter of a domain.
    ///
    /// # Errors
    /// When there is no such domain or parameter.
    pub fn parameter(&self, domain: u16, index: HvmParam) -> Result<u64> {
        self.parameter_op(HvmCmd::GET_PARAM, domain, index, 0)
    }

    fn parameter_op(&self, cmd: HvmCmd, domid: u16, index: HvmParam, value: u64) -> Result<u64> {
        let argument = HvmParamOp { domid, index, value, ..HvmParamOp::default() };
        let name = cmd.name().unwrap_or("hvm_op");
        // SAFETY: the structure holds no address.
        let done = unsafe { self.operation(name, Hypercall::HVM_OP, cmd.0, &argument, &mut []) };
        done.map(|(answer, _)| answer.value)
    }

    /// Makes a port of `domain` that `remote` may connect to.
    ///
    /// # Errors
    /// When there is no such domain, or it has no more ports.
    pub fn alloc_unbound(&self, domain: u16, remote: u16) -> Result<u32> {
        let argument = AllocUnbound { dom: domain, remote_dom: remote, port: 0 };
        let cmd = EventChannelCmd::ALLOC_UNBOUND;
        let name = cmd.name().unwrap_or("event_channel_op");
        let call = Hypercall::EVENT_CHANNEL_OP;
        // SAFETY: the structure holds no address.
        let (answer, _) = unsafe { self.operation(name, call, cmd.0, &argument, &mut []) }?;
        Ok(answer.port)
    }

    /// The state of a domain's vCPUs and devices, as records.
    ///
    /// # Errors
    /// When there is no such domain.
    pub fn hvm_context(&self, domain: u16) -> Result<Vec<u8>> {
        let how_much = HvmContext::default();
        // SAFETY: the handle is null, which asks for the size.
        let answer = unsafe { self.domctl(DomctlCmd::GETHVMCONTEXT, domain, &how_much, &mut []) }?;
        let size = answer.size.min(LARGEST_CONTEXT);
        let mut buffer = self.privcmd.buffer(usize::try_from(size).unwrap_or(0))?;
        let question = HvmContext { size, buffer: buffer.handle(), ..HvmContext::default() };
        let buffers = &mut [&mut buffer];
        // SAFETY: the handle is the buffer's, which has that many bytes.
        let answer = unsafe { self.domctl(DomctlCmd::GETHVMCONTEXT, domain, &question, buffers) }?;
        let length = usize::try_from(answer.size.min(size)).unwrap_or(0);
        Ok(buffer.bytes().get(..length).unwrap_or_default().to_vec())
    }

    /// Loads the state of a domain's vCPUs and devices.
    ///
    /// # Errors
    /// When there is no such domain, or a record isn't valid.
    pub fn set_hvm_context(&self, domain: u16, records: &[u8]) -> Result<()> {
        let mut buffer = self.privcmd.buffer(records.len())?;
        for (to, from) in buffer.bytes_mut().iter_mut().zip(records) {
            *to = *from;
        }
        let size = u32::try_from(records.len()).unwrap_or(u32::MAX);
        let question = HvmContext { size, buffer: buffer.handle(), ..HvmContext::default() };
        let buffers = &mut [&mut buffer];
        // SAFETY: the handle is the buffer's, which has that many bytes.
        unsafe { self.domctl(DomctlCmd::SETHVMCONTEXT, domain, &question, buffers) }?;
        Ok(())
    }
}
