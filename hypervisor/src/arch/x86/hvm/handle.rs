//! What the hypervisor does about each exit.

use hv_boot::options::Level;
use hv_core::hypercall::{self, Call, Outcome, Width};
use hv_x86::decode::{EmulateError, Gpr, Intercepted, mmio, string};
use hv_x86::fault::Exception;
use xen_abi::errno::Errno;

use super::backend::{Backend, Event};
use super::exit::{Exit, MemoryFault, PortAccess, REASON_MMIO};
use super::guest::Guest;
use super::{cpuid, has_interrupt, msrs, ports, second_stage};

const RFLAGS_IF: u64 = 1 << 9;
const CR4_OSXSAVE: u64 = 1 << 18;
const VECTOR_UD: u8 = 6;
const VECTOR_MC: u8 = 18;

impl Guest<'_> {
    /// Acts on an exit. This is the table of contents of all that a guest can ask for.
    pub fn handle(&mut self, exit: Exit) {
        self.take_task_priority();
        match exit {
            // Taken when interrupts are let in.
            Exit::Interrupt | Exit::Nmi => {}
            // The next entry offers the interrupt.
            Exit::InterruptWindow => {}
            Exit::Cpuid => cpuid::execute(self),
            Exit::Hlt => self.halt(),
            Exit::Hypercall => self.hypercall(),
            Exit::MsrRead => msrs::read(self),
            Exit::MsrWrite => msrs::write(self),
            Exit::Port(access) => self.port(access),
            Exit::MemoryFault(fault) => self.memory_fault(fault),
            Exit::Xsetbv => self.xsetbv(),
            // Caches are coherent, and no device of the guest's is not.
            Exit::CacheFlush => self.skip(Intercepted::Wbinvd),
            Exit::Exception { vector: VECTOR_MC, .. } => self.machine_check(),
            Exit::Exception { vector, error_code } => {
                self.context.hw.inject(Event::Exception(vector, error_code));
            }
            Exit::Forbidden => self.context.hw.inject(Event::Exception(VECTOR_UD, None)),
            Exit::TripleFault => self.crash("triple fault"),
            Exit::Refused => self.crash("its state is one that no CPU can enter"),
            Exit::Unknown(code) => {
                error!("{}v{}: unknown exit {code:#x}", self.domain.id, self.vcpu.id.0);
                self.crash("an exit that nobody knows");
            }
        }
    }

    fn crash(&mut self, why: &str) {
        super::dump::log(self.domain, self.vcpu, self.context);
        self.hv.crash_domain(self.domain, why);
    }

    /// HLT: with interrupts off it is the vCPU's end, and the domain's when all vCPUs did so.
    fn halt(&mut self) {
        self.skip(Intercepted::Hlt);
        if self.context.hw.regs().general.rflags & RFLAGS_IF == 0 {
            return self.hv.bring_down(self.domain, self.vcpu);
        }
        self.hv.block(self.vcpu);
        if has_interrupt(self.vcpu) || self.vcpu.arch.signals.any() {
            self.hv.wake(self.vcpu);
        }
    }

    fn hypercall(&mut self) {
        const ARGUMENTS: [Gpr; 6] = [Gpr::RDI, Gpr::RSI, Gpr::RDX, Gpr(10), Gpr(8), Gpr(9)];
        const ARGUMENTS_32: [Gpr; 6] = [Gpr::RBX, Gpr::RCX, Gpr::RDX, Gpr::RSI, Gpr::RDI, Gpr::RBP];
        let (width, registers) = match self.code_size().bits() {
            64 => (Width::Wide, ARGUMENTS),
            _ => (Width::Narrow, ARGUMENTS_32),
        };
        let general = &self.context.hw.regs().general;
        // A number that is out of range is none, whatever its lower half says.
        let number = u32::try_from(width.truncate(general.get(Gpr::RAX))).unwrap_or(u32::MAX);
        let args = registers.map(|register| width.truncate(general.get(register)));
        let memory = self.memory();
        let outcome = if self.context.hw.cpl() != 0 {
            Outcome::Done(Errno::EPERM.negated().cast_unsigned())
        } else {
            let (hv, domain, vcpu) = (self.hv, self.domain, self.vcpu);
            hypercall::dispatch(number, &Call { hv, domain, vcpu, args, width, guest: &memory })
        };
        match outcome {
            Outcome::Done(result) => {
                self.context.hw.regs_mut().general.set(Gpr::RAX, width.truncate(result));
                self.skip(Intercepted::Vmmcall);
            }
            Outcome::Continue(args) => {
                for (register, value) in registers.into_iter().zip(args) {
                    self.context.hw.regs_mut().general.set(register, width.truncate(value));
                }
            }
        }
    }

    fn port(&mut self, access: PortAccess) {
        if access.string {
            return self.port_string(access);
        }
        let general = &mut self.context.hw.regs_mut().general;
        let accumulator = general.get(Gpr::RAX);
        if access.input {
            let value = u64::from(ports::read(self.domain, access.port, access.size));
            let merged = match access.size {
                1 => accumulator & !0xff | value & 0xff,
                2 => accumulator & !0xffff | value & 0xffff,
                _ => value,
            };
            general.set(Gpr::RAX, merged);
        } else {
            ports::write(self.domain, access.port, access.size, accumulator as u32);
        }
        self.context.hw.complete_at(access.next_rip);
    }

    fn port_string(&mut self, access: PortAccess) {
        let segment = match self.instruction() {
            Ok(code) => string::outs_segment(&code),
            Err(exception) => return self.raise(exception),
        };
        let request = string::PortString {
            port: access.port,
            bytes: access.size,
            output: !access.input,
            repeat: access.repeat,
            address_bits: access.address_bits,
            segment,
        };
        let mut bus = self.bus();
        match string::port_io(&request, &mut self.cpu(), &mut bus) {
            Ok(hv_x86::decode::Outcome::Done) => self.context.hw.complete_at(access.next_rip),
            Ok(hv_x86::decode::Outcome::Again) => {}
            Err(exception) => self.raise(exception),
        }
    }

    fn memory_fault(&mut self, fault: MemoryFault) {
        if second_stage::resolve(self.domain, &fault) {
            return;
        }
        self.vcpu.counters.count_exit(REASON_MMIO);
        if fault.in_walk || fault.fetch {
            error!("{}v{} runs or walks at {:#x}", self.domain.id, self.vcpu.id.0, fault.gpa.0);
            return self.crash("code or page tables where there is no memory");
        }
        let code = match self.instruction() {
            Ok(code) => code,
            Err(exception) => return self.raise(exception),
        };
        let mut bus = self.bus();
        let faulted = mmio::Faulted { gpa: fault.gpa, write: fault.write };
        match mmio::emulate(faulted, &code, &mut self.cpu(), &mut bus) {
            Ok(hv_x86::decode::Outcome::Done) => {
                let rip = self.context.hw.regs().general.rip;
                self.context.hw.complete_at(rip);
                self.put_task_priority();
            }
            Ok(hv_x86::decode::Outcome::Again) => {}
            Err(EmulateError::Exception(exception)) => self.raise(exception),
            Err(EmulateError::Unsupported) => {
                let (bytes, gpa) = (code.bytes(), fault.gpa.0);
                guest_log!(
                    Level::Debug,
                    "{}: no {bytes:02x?} on the device at {gpa:#x}",
                    self.domain.id
                );
                self.context.hw.inject(Event::Exception(VECTOR_UD, None));
            }
        }
    }

    fn xsetbv(&mut self) {
        let general = &self.context.hw.regs().general;
        let index = general.get(Gpr::RCX) as u32;
        let value = general.get(Gpr::RDX) << 32 | general.get(Gpr::RAX) & 0xffff_ffff;
        let allowed = self.context.hw.cpl() == 0
            && self.context.hw.paging().cr4 & CR4_OSXSAVE != 0
            && index == 0
            && value & !self.domain.arch.xcr0_mask() == 0;
        if allowed && self.context.fpu.set_xcr0(value) {
            self.skip(Intercepted::Xsetbv);
        } else {
            self.raise(Exception::Gp);
        }
    }

    /// A machine check that the hardware raised while the guest ran is the host's.
    fn machine_check(&mut self) {
        panic!("machine check while {}v{} ran", self.domain.id, self.vcpu.id.0);
    }
}
