//! From SVM's exit codes to the portable [`Exit`].

use hv_core::types::Gpa;
use x86defs::vmcb::{Control, ExitCode, ioio, npf};

use super::super::exit::{Exit, MemoryFault, PortAccess};

/// Exceptions that push an error code: #DF #TS #NP #SS #GP #PF #AC #CP #VC #SX.
const WITH_ERROR_CODE: u32 = 1 << 8
    | 1 << 10
    | 1 << 11
    | 1 << 12
    | 1 << 13
    | 1 << 14
    | 1 << 17
    | 1 << 21
    | 1 << 29
    | 1 << 30;

/// What the control area says after an exit.
pub fn exit(control: &Control) -> Exit {
    match control.exit_code {
        ExitCode::INTR => Exit::Interrupt,
        ExitCode::NMI => Exit::Nmi,
        ExitCode::VINTR => Exit::InterruptWindow,
        ExitCode::CPUID => Exit::Cpuid,
        ExitCode::HLT => Exit::Hlt,
        ExitCode::VMMCALL => Exit::Hypercall,
        ExitCode::MSR if control.exit_info1 == 0 => Exit::MsrRead,
        ExitCode::MSR => Exit::MsrWrite,
        ExitCode::IOIO => Exit::Port(port(control)),
        ExitCode::NPF => Exit::MemoryFault(memory_fault(control)),
        ExitCode::XSETBV => Exit::Xsetbv,
        ExitCode::INVD | ExitCode::WBINVD => Exit::CacheFlush,
        ExitCode::SHUTDOWN => Exit::TripleFault,
        ExitCode::INVALID => Exit::Refused,
        ExitCode::RDPMC
        | ExitCode::INVLPGA
        | ExitCode::VMRUN
        | ExitCode::VMLOAD
        | ExitCode::VMSAVE
        | ExitCode::STGI
        | ExitCode::CLGI
        | ExitCode::SKINIT
        | ExitCode::MONITOR
        | ExitCode::MWAIT
        | ExitCode::MWAIT_ARMED
        | ExitCode::RDPRU => Exit::Forbidden,
        code if (ExitCode::EXCEPTION_FIRST.0..=ExitCode::EXCEPTION_LAST.0).contains(&code.0) => {
            let vector = (code.0 - ExitCode::EXCEPTION_FIRST.0) as u8;
            let has_code = WITH_ERROR_CODE & 1 << vector != 0;
            Exit::Exception { vector, error_code: has_code.then_some(control.exit_info1 as u32) }
        }
        code => Exit::Unknown(code.0),
    }
}

fn port(control: &Control) -> PortAccess {
    let info = control.exit_info1;
    PortAccess {
        port: (info >> ioio::PORT_SHIFT) as u16,
        size: (info >> ioio::SIZE_SHIFT & 7) as u8,
        input: info & ioio::INPUT != 0,
        string: info & ioio::STRING != 0,
        repeat: info & ioio::REP != 0,
        address_bits: (info >> ioio::ADDRESS_SHIFT & 7) as u8 * 16,
        next_rip: control.exit_info2,
    }
}

fn memory_fault(control: &Control) -> MemoryFault {
    let info = control.exit_info1;
    MemoryFault {
        gpa: Gpa(control.exit_info2),
        write: info & npf::WRITE != 0,
        fetch: info & npf::FETCH != 0,
        present: info & npf::PRESENT != 0,
        in_walk: info & npf::WALK != 0,
    }
}
