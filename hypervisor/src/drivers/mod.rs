//! Drivers of the few devices that the hypervisor itself uses.

pub mod acpi;
pub mod framebuffer;
pub mod iommu;
pub mod pci;
pub mod uart;
pub mod vga_text;
