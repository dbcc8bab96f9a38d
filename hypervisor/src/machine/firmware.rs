//! The firmware's services and its screen, for the hardware domain.

use hv_boot::info::{Display, Framebuffer};
use hv_core::hypercall::GuestCopy;
use hv_core::machine::Firmware;
use hv_core::types::Hpa;
use spin::Once;
use xen_abi::errno::Errno;
use xen_abi::platform::{EfiRuntimeCall, FirmwareInfo, FirmwareInfoType};
use xen_abi::xen::{Dom0VgaConsoleInfo, VgaLfb, VgaTextMode3, VgaType};
use zerocopy::IntoBytes;

use crate::mm::phys;
use crate::platform::Machine;

/// The shift keys' state in the BIOS's data area.
const BIOS_SHIFT_FLAGS: Hpa = Hpa(0x417);

/// The screen as the boot loader left it.
static SCREEN: Once<Display> = Once::new();
/// Whether UEFI firmware started the machine.
static EFI: Once<bool> = Once::new();

/// Keeps what the boot loader said about the screen.
pub fn set_screen(display: Display, efi: bool) {
    SCREEN.call_once(|| display);
    EFI.call_once(|| efi);
}

impl Firmware for Machine {
    fn firmware_info(&self, info: &mut FirmwareInfo, _: &dyn GuestCopy) -> Result<(), Errno> {
        match info.ty {
            // The boot loader asked the BIOS for none of this: the list of each is empty.
            FirmwareInfoType::DISK_INFO
            | FirmwareInfoType::DISK_MBR_SIGNATURE
            | FirmwareInfoType::VBEDDC_INFO => Err(Errno::ESRCH),
            FirmwareInfoType::KBD_SHIFT_FLAGS if EFI.get() == Some(&false) => {
                let mut flags = [0];
                phys::read(BIOS_SHIFT_FLAGS, &mut flags);
                info.u.write(&flags);
                Ok(())
            }
            // It ended EFI's boot services, and kept its tables to itself.
            FirmwareInfoType::EFI_INFO | FirmwareInfoType::KBD_SHIFT_FLAGS => Err(Errno::ENODEV),
            _ => Err(Errno::EINVAL),
        }
    }

    fn efi_call(&self, _: &mut EfiRuntimeCall, _: &dyn GuestCopy) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }

    fn dom0_console(&self) -> Option<(Dom0VgaConsoleInfo, usize)> {
        match *SCREEN.get()? {
            Display::Linear(framebuffer) => Some(linear(&framebuffer, *EFI.get()?)),
            Display::VgaText => Some(text()),
            Display::Unknown if !*EFI.get()? => Some(text()),
            Display::Unknown => None,
        }
    }
}

fn screen(video_type: VgaType, fields: &[u8]) -> Dom0VgaConsoleInfo {
    let mut info = Dom0VgaConsoleInfo { video_type, ..Dom0VgaConsoleInfo::default() };
    for (to, from) in info.u.as_mut_bytes().iter_mut().zip(fields) {
        *to = *from;
    }
    info
}

fn text() -> (Dom0VgaConsoleInfo, usize) {
    let mode = VgaTextMode3 { font_height: 16, rows: 25, columns: 80, ..VgaTextMode3::default() };
    let info = screen(VgaType::TEXT_MODE_3, mode.as_bytes());
    (info, size_of::<Dom0VgaConsoleInfo>())
}

fn linear(framebuffer: &Framebuffer, efi: bool) -> (Dom0VgaConsoleInfo, usize) {
    let bytes = u64::from(framebuffer.pitch) * u64::from(framebuffer.height);
    let lfb = VgaLfb {
        width: framebuffer.width as u16,
        height: framebuffer.height as u16,
        bytes_per_line: framebuffer.pitch as u16,
        bits_per_pixel: framebuffer.bits_per_pixel.into(),
        lfb_base: framebuffer.start.0 as u32,
        lfb_size: bytes.div_ceil(1 << 16) as u32,
        red_pos: framebuffer.red.position,
        red_size: framebuffer.red.size,
        green_pos: framebuffer.green.position,
        green_size: framebuffer.green.size,
        blue_pos: framebuffer.blue.position,
        blue_size: framebuffer.blue.size,
        ext_lfb_base: (framebuffer.start.0 >> 32) as u32,
        ..VgaLfb::default()
    };
    let kind = if efi { VgaType::EFI_LFB } else { VgaType::VESA_LFB };
    (screen(kind, lfb.as_bytes()), size_of::<Dom0VgaConsoleInfo>())
}
