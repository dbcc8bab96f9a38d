//! stub
use crate::arch::port;
use crate::platform::Domain;
use alloc::sync::Arc;
use hv_core::types::Gpa;
pub fn mmio_read(_domain: &Arc<Domain>, _gpa: Gpa, _len: u8) -> Option<u64> {
    None
}
pub fn mmio_write(_domain: &Arc<Domain>, _gpa: Gpa, _len: u8, _value: u64) {}
pub fn port_read(_domain: &Arc<Domain>, port: u16, bytes: u8) -> u32 {
    port::read(port, bytes)
}
pub fn port_write(_domain: &Arc<Domain>, port: u16, bytes: u8, value: u32) {
    port::write(port, bytes, value)
}
