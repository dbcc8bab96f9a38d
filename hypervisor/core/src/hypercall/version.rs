//! `xen_version`: who the hypervisor is, and what it offers (public header `version.h`).

use xen_abi::Argument;
use xen_abi::features::Feature;
use xen_abi::version::{
    CapabilitiesInfo, ChangesetInfo, CommandLine, CompileInfo, ExtraVersion, FeatureInfo,
    PlatformParameters, VarBuf, VersionCmd,
};

use super::{Call, HypercallResult, Outcome};
use crate::errno::Errno;
use crate::platform::Platform;
use crate::types::{FRAME_BYTES, Gva};

/// The ABI's version: Debian 13's tools look for exactly this one.
pub const MAJOR: u32 = 4;
/// See [`MAJOR`].
pub const MINOR: u32 = 20;
/// What follows major and minor in the version's name.
pub const EXTRA: &str = ".0-xenolith";
/// What kinds of guest the containers take.
pub const CAPABILITIES: &str = "hvm-3.0-x86_32 hvm-3.0-x86_32p hvm-3.0-x86_64 ";
/// The features of every domain.
const FEATURES: u32 = Feature::AUTO_TRANSLATED_PHYSMAP.bit()
    | Feature::PAE_PGDIR_ABOVE_4GB.bit()
    | Feature::HVM_CALLBACK_VECTOR.bit()
    | Feature::HVM_SAFE_PVCLOCK.bit()
    | Feature::MEMORY_OP_VNODE_SUPPORTED.bit()
    | Feature::LINUX_RSDP_UNRESTRICTED.bit()
    | Feature::RUNSTATE_PHYS_AREA.bit()
    | Feature::VCPU_TIME_PHYS_AREA.bit();

/// How this hypervisor was built, for people to read.
#[derive(Clone, Copy, Debug)]
pub struct BuildInfo {
    /// The compiler and its version.
    pub compiler: &'static str,
    /// The source's revision.
    pub changeset: &'static str,
    /// When the source is from.
    pub date: &'static str,
    /// Identifies the build.
    pub build_id: &'static [u8],
}

/// `xen_version(cmd, arg)`.
pub fn xen_version<P: Platform>(call: &Call<'_, P>) -> HypercallResult {
    let [cmd, arg, ..] = call.args;
    let arg = Gva(arg);
    let build = call.hv.build;
    match VersionCmd(cmd as u32) {
        VersionCmd::VERSION => Ok(Outcome::Done(u64::from(MAJOR << 16 | MINOR))),
        VersionCmd::EXTRAVERSION => write_text::<ExtraVersion, P>(call, arg, EXTRA),
        VersionCmd::CAPABILITIES => write_text::<CapabilitiesInfo, P>(call, arg, CAPABILITIES),
        VersionCmd::CHANGESET => write_text::<ChangesetInfo, P>(call, arg, build.changeset),
        VersionCmd::COMMANDLINE => write_text::<CommandLine, P>(call, arg, &call.hv.cmdline),
        VersionCmd::COMPILE_INFO => {
            call.write(arg, &compile_info(build))?;
            Ok(Outcome::OK)
        }
        VersionCmd::PLATFORM_PARAMETERS => {
            call.write(arg, &PlatformParameters::default())?;
            Ok(Outcome::OK)
        }
        VersionCmd::GET_FEATURES => get_features(call, arg),
        VersionCmd::PAGESIZE => Ok(Outcome::Done(FRAME_BYTES as u64)),
        VersionCmd::GUEST_HANDLE => {
            call.write(arg, &call.domain.handle())?;
            Ok(Outcome::OK)
        }
        VersionCmd::BUILD_ID if build.build_id.is_empty() => Err(Errno::ENODATA),
        VersionCmd::BUILD_ID => write_var(call, arg, build.build_id),
        VersionCmd::EXTRAVERSION2 => write_var(call, arg, EXTRA.as_bytes()),
        VersionCmd::CAPABILITIES2 => write_var(call, arg, CAPABILITIES.as_bytes()),
        VersionCmd::CHANGESET2 => write_var(call, arg, build.changeset.as_bytes()),
        VersionCmd::COMMANDLINE2 => write_var(call, arg, call.hv.cmdline.as_bytes()),
        _ => Err(Errno::ENOSYS),
    }
}

/// A text in one of the ABI's fixed-size buffers, cut if need be, always NUL-terminated.
fn fixed<const N: usize>(text: &str) -> [u8; N] {
    let mut buffer = [0; N];
    let room = buffer.len().saturating_sub(1);
    for (to, from) in buffer.iter_mut().take(room).zip(text.bytes()) {
        *to = from;
    }
    buffer
}

/// The ABI's text buffers, by size.
trait TextBuffer: Argument {
    fn holding(text: &str) -> Self;
}

impl<const N: usize> TextBuffer for [u8; N] {
    fn holding(text: &str) -> Self {
        fixed(text)
    }
}

fn write_text<T: TextBuffer, P: Platform>(
    call: &Call<'_, P>,
    to: Gva,
    text: &str,
) -> HypercallResult {
    call.write(to, &T::holding(text))?;
    Ok(Outcome::OK)
}

/// Fills a variable-length buffer. A null `to` asks for the length; the result is the length.
fn write_var<P: Platform>(call: &Call<'_, P>, to: Gva, bytes: &[u8]) -> HypercallResult {
    let len = bytes.len() as u64;
    if to.0 != 0 {
        let head: VarBuf = call.read(to)?;
        if head.len == 0 {
            return Err(Errno::EINVAL);
        }
        if u64::from(head.len) < len {
            return Err(Errno::ENOBUFS);
        }
        let data = call.element::<VarBuf>(to, 1)?;
        call.guest.copy_to(data, bytes)?;
    }
    Ok(Outcome::Done(len))
}

fn compile_info(build: BuildInfo) -> CompileInfo {
    CompileInfo {
        compiler: fixed(build.compiler),
        compile_by: fixed("xenolith"),
        compile_domain: fixed(""),
        compile_date: fixed(build.date),
    }
}

fn get_features<P: Platform>(call: &Call<'_, P>, arg: Gva) -> HypercallResult {
    let mut info: FeatureInfo = call.read(arg)?;
    info.submap = match info.submap_idx {
        0 => features(call.domain.config.hardware, call.domain.memory.is_identity()),
        index if index < xen_abi::features::XENFEAT_NR_SUBMAPS => 0,
        _ => return Err(Errno::EINVAL),
    };
    call.write(arg, &info)?;
    Ok(Outcome::OK)
}

/// Submap 0 of a domain's features.
const fn features(hardware: bool, identity_mapped: bool) -> u32 {
    let dom0 = if hardware { Feature::DOM0.bit() } else { 0 };
    let mapping = if identity_mapped {
        Feature::DIRECT_MAPPED.bit()
    } else {
        Feature::NOT_DIRECT_MAPPED.bit()
    };
    FEATURES | dom0 | mapping
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_and_terminated() {
        assert_eq!(fixed::<4>("abcdef"), *b"abc\0");
        assert_eq!(fixed::<4>(""), [0; 4]);
    }

    #[test]
    fn physical_interrupts_over_event_channels_are_never_offered() {
        for (hardware, identity) in [(false, false), (true, true)] {
            assert_eq!(features(hardware, identity) & Feature::HVM_PIRQS.bit(), 0);
        }
        assert_ne!(features(true, true) & Feature::DOM0.bit(), 0);
        assert_eq!(features(false, false) & Feature::DOM0.bit(), 0);
    }
}
