//! `version.h`: `xen_version(cmd, arg)`. The interface version of this crate is Xen 4.20.

use crate::macros::{layout, open_enum};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

open_enum! {
    /// Sub-operations of `xen_version`.
    pub struct VersionCmd(u32) {
        /// Returns `major << 16 | minor`.
        VERSION = 0, "XENVER_version";
        /// Writes a [`ExtraVersion`].
        EXTRAVERSION = 1, "XENVER_extraversion";
        /// Writes a [`CompileInfo`].
        COMPILE_INFO = 2, "XENVER_compile_info";
        /// Writes a [`CapabilitiesInfo`].
        CAPABILITIES = 3, "XENVER_capabilities";
        /// Writes a [`ChangesetInfo`].
        CHANGESET = 4, "XENVER_changeset";
        /// Writes a [`PlatformParameters`].
        PLATFORM_PARAMETERS = 5, "XENVER_platform_parameters";
        /// Reads and writes a [`FeatureInfo`].
        GET_FEATURES = 6, "XENVER_get_features";
        /// Returns the page size.
        PAGESIZE = 7, "XENVER_pagesize";
        /// Writes the caller's 16-byte UUID.
        GUEST_HANDLE = 8, "XENVER_guest_handle";
        /// Writes a [`CommandLine`].
        COMMANDLINE = 9, "XENVER_commandline";
        /// Fills a [`VarBuf`]; the size if the argument is null.
        BUILD_ID = 10, "XENVER_build_id";
        /// As `extraversion`, in a [`VarBuf`].
        EXTRAVERSION2 = 11, "XENVER_extraversion2";
        /// As `capabilities`, in a [`VarBuf`].
        CAPABILITIES2 = 12, "XENVER_capabilities2";
        /// As `changeset`, in a [`VarBuf`].
        CHANGESET2 = 13, "XENVER_changeset2";
        /// As `commandline`, in a [`VarBuf`].
        COMMANDLINE2 = 14, "XENVER_commandline2";
    }
}

/// Argument of `XENVER_extraversion`: NUL-terminated text.
#[doc(alias = "xen_extraversion_t")]
pub type ExtraVersion = [u8; 16];
/// Argument of `XENVER_capabilities`: NUL-terminated, space-separated guest types.
#[doc(alias = "xen_capabilities_info_t")]
pub type CapabilitiesInfo = [u8; 1024];
/// Argument of `XENVER_changeset`: NUL-terminated text.
#[doc(alias = "xen_changeset_info_t")]
pub type ChangesetInfo = [u8; 64];
/// Argument of `XENVER_commandline`: NUL-terminated text.
#[doc(alias = "xen_commandline_t")]
pub type CommandLine = [u8; 1024];

/// How the hypervisor was built: NUL-terminated texts.
///
/// `xen_compile_info` in `version.h`.
#[doc(alias = "xen_compile_info")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct CompileInfo {
    /// Compiler and its version.
    pub compiler: [u8; 64],
    /// Who.
    pub compile_by: [u8; 16],
    /// Where.
    pub compile_domain: [u8; 32],
    /// When.
    pub compile_date: [u8; 32],
}

layout!(CompileInfo, size 144, {
    compiler: 0, compile_by: 64, compile_domain: 80, compile_date: 112,
});

/// Argument of `XENVER_platform_parameters`.
///
/// `xen_platform_parameters` in `version.h`.
#[doc(alias = "xen_platform_parameters")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct PlatformParameters {
    /// Where the hypervisor's part of a PV address space starts; zero in HVM containers.
    pub virt_start: u64,
}

layout!(PlatformParameters, size 8, { virt_start: 0 });

/// Argument of `XENVER_get_features`.
///
/// `xen_feature_info` in `version.h`.
#[doc(alias = "xen_feature_info")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct FeatureInfo {
    /// IN: which 32 features; only 0 exists.
    pub submap_idx: u32,
    /// OUT: bit n is feature `32 * submap_idx + n`.
    pub submap: u32,
}

layout!(FeatureInfo, size 8, { submap_idx: 0, submap: 4 });

/// Head of a variable-length buffer; `len` bytes follow.
///
/// `xen_varbuf` in `version.h`.
#[doc(alias = "xen_varbuf")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct VarBuf {
    /// IN: bytes that follow.
    pub len: u32,
}

layout!(VarBuf, size 4, { len: 0 });
