//! What the hypervisor says about itself (`xen_version`).
#![expect(unsafe_code, reason = "hypercalls read and write memory by address")]

use xen_abi::version::{CompileInfo, PlatformParameters, VarBuf, VersionCmd};
use xen_abi::xen::Hypercall;
use zerocopy::FromBytes;

use crate::Xen;
use crate::buffer::HypercallBuffer;
use crate::error::Result;
use crate::text::until_zero;

/// How the hypervisor was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compilation {
    /// The compiler and its version.
    pub compiler: String,
    /// Who built it.
    pub by: String,
    /// In which domain.
    pub domain: String,
    /// When.
    pub date: String,
}

impl Xen {
    /// The version, major and minor.
    ///
    /// # Errors
    /// When the hypercall fails.
    pub fn version(&self) -> Result<(u16, u16)> {
        let version = self.ask_number(VersionCmd::VERSION)?.to_be_bytes();
        let [m0, m1, n0, n1] = version;
        Ok((u16::from_be_bytes([m0, m1]), u16::from_be_bytes([n0, n1])))
    }

    /// What follows the version, for example `.0`.
    ///
    /// # Errors
    /// When the hypercall fails.
    pub fn extra_version(&self) -> Result<String> {
        self.ask_text(VersionCmd::EXTRAVERSION)
    }

    /// How it was built.
    ///
    /// # Errors
    /// When the hypercall fails.
    pub fn compilation(&self) -> Result<Compilation> {
        let info: CompileInfo = self.ask(VersionCmd::COMPILE_INFO)?;
        Ok(Compilation {
            compiler: until_zero(&info.compiler),
            by: until_zero(&info.compile_by),
            domain: until_zero(&info.compile_domain),
            date: until_zero(&info.compile_date),
        })
    }

    /// The kinds of guests that it runs.
    ///
    /// # Errors
    /// When the hypercall fails.
    pub fn capabilities(&self) -> Result<String> {
        Ok(self.ask_text(VersionCmd::CAPABILITIES)?.trim_end().to_owned())
    }

    /// The source's revision.
    ///
    /// # Errors
    /// When the hypercall fails.
    pub fn changeset(&self) -> Result<String> {
        self.ask_text(VersionCmd::CHANGESET)
    }

    /// Where the hypervisor's part of a PV address space starts.
    ///
    /// # Errors
    /// When the hypercall fails.
    pub fn platform_parameters(&self) -> Result<u64> {
        Ok(self.ask::<PlatformParameters>(VersionCmd::PLATFORM_PARAMETERS)?.virt_start)
    }

    /// The size of pages.
    ///
    /// # Errors
    /// When the hypercall fails.
    pub fn page_size(&self) -> Result<u32> {
        self.ask_number(VersionCmd::PAGESIZE)
    }

    /// Its command line.
    ///
    /// # Errors
    /// When the hypercall fails.
    pub fn command_line(&self) -> Result<String> {
        Ok(self.ask_text(VersionCmd::COMMANDLINE)?.trim_end().to_owned())
    }

    /// The identity of the build, in hexadecimal; `None` if it has none.
    ///
    /// # Errors
    /// None but those of the buffer: a hypervisor without one refuses the call.
    pub fn build_id(&self) -> Result<Option<String>> {
        const LONGEST: u32 = 1020;
        let mut buffer = self.privcmd.buffer_with(&VarBuf { len: LONGEST })?;
        let Ok(length) = self.ask_into(VersionCmd::BUILD_ID, &mut buffer) else { return Ok(None) };
        let length = usize::try_from(length).unwrap_or(0);
        let bytes = buffer.bytes().get(4..4 + length).unwrap_or_default();
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok((!text.is_empty()).then_some(text))
    }

    fn ask_text(&self, cmd: VersionCmd) -> Result<String> {
        let mut buffer = self.privcmd.buffer(1024)?;
        self.ask_into(cmd, &mut buffer)?;
        Ok(until_zero(buffer.bytes()))
    }

    fn ask<T: FromBytes>(&self, cmd: VersionCmd) -> Result<T> {
        let mut buffer = self.privcmd.buffer(size_of::<T>())?;
        self.ask_into(cmd, &mut buffer)?;
        Ok(buffer.get())
    }

    /// The questions that are answered by the result alone take a null address.
    fn ask_number(&self, cmd: VersionCmd) -> Result<u32> {
        let name = cmd.name().unwrap_or("xen_version");
        let number = u64::from(Hypercall::XEN_VERSION.0);
        // SAFETY: the call gets no address.
        unsafe { self.privcmd.hypercall(name, number, [u64::from(cmd.0), 0, 0, 0, 0], &mut []) }
    }

    fn ask_into(&self, cmd: VersionCmd, buffer: &mut HypercallBuffer) -> Result<u32> {
        let name = cmd.name().unwrap_or("xen_version");
        let arguments = [u64::from(cmd.0), buffer.handle().0, 0, 0, 0];
        let number = u64::from(Hypercall::XEN_VERSION.0);
        // SAFETY: the call writes at most a page behind the one address it gets, the buffer's;
        // all of its structures, and the length in a VarBuf here, are smaller.
        unsafe { self.privcmd.hypercall(name, number, arguments, &mut [buffer]) }
    }
}
