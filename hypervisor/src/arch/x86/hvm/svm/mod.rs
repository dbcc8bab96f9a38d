//! AMD SVM behind the [`Backend`] seam.
//!
//! [`cpu`] turns the extension on for a pCPU, [`vcpu`] holds one vCPU's control block,
//! [`decode`] turns exit codes into the portable [`Exit`](super::exit::Exit).

mod cpu;
mod decode;
mod vcpu;

pub use cpu::SvmCpu;
pub use vcpu::SvmVcpu;
