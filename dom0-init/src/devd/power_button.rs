//! The power button: an input device of the ACPI button driver.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::sync::Mutex;

use crate::control::{self, Request};

/// `struct input_event` of `linux/input.h` on 64-bit machines: time (16), type, code, value.
const EVENT_SIZE: usize = 24;
/// `EV_KEY` and `KEY_POWER` of `linux/input-event-codes.h`.
const KEY: u16 = 1;
const POWER: u16 = 116;

/// The devices that have a thread, so that none gets two.
static WATCHED: Mutex<Option<HashSet<String>>> = Mutex::new(None);

/// Watches every power button that is there.
pub fn watch_present() {
    let Ok(entries) = std::fs::read_dir("/sys/class/input") else { return };
    for entry in entries.flatten() {
        watch(&format!("input/{}", entry.file_name().to_string_lossy()));
    }
}

/// Watches an input device, given by its name below `/dev`, if it is a power button.
pub fn watch(device: &str) {
    let Some(event) = device.strip_prefix("input/").filter(|e| e.starts_with("event")) else {
        return;
    };
    let name = std::fs::read_to_string(format!("/sys/class/input/{event}/device/name"));
    if !name.is_ok_and(|name| is_power_button(&name)) || !claim(device) {
        return;
    }
    let device = device.to_owned();
    let started =
        std::thread::Builder::new().name("power button".into()).spawn(move || serve(&device));
    if let Err(error) = started {
        log::error!("can't watch the power button: {error}");
    }
}

fn is_power_button(name: &str) -> bool {
    name.trim() == "Power Button"
}

fn claim(device: &str) -> bool {
    let mut watched = WATCHED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    watched.get_or_insert_default().insert(device.to_owned())
}

fn release(device: &str) {
    let mut watched = WATCHED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    watched.get_or_insert_default().remove(device);
}

/// Reads events until the device goes away; a press asks PID 1 to power off.
fn serve(device: &str) {
    let path = format!("/dev/{device}");
    log::info!("watching the power button at {path}");
    let mut event = [0; EVENT_SIZE];
    let ended = File::open(&path).and_then(|mut file| {
        loop {
            file.read_exact(&mut event)?;
            if is_press(&event) {
                let request = Request::PowerOff { why: "the power button was pressed".into() };
                if let Err(error) = control::ask(&request) {
                    log::error!("{error:#}");
                }
            }
        }
    });
    let ended: std::io::Result<()> = ended;
    if let Err(error) = ended {
        log::info!("the power button at {path} is gone: {error}");
    }
    release(device);
}

/// Whether an event says that the power key went down.
fn is_press(event: &[u8; EVENT_SIZE]) -> bool {
    let [.., t0, t1, c0, c1, v0, v1, v2, v3] = *event;
    u16::from_ne_bytes([t0, t1]) == KEY
        && u16::from_ne_bytes([c0, c1]) == POWER
        && i32::from_ne_bytes([v0, v1, v2, v3]) == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: u16, code: u16, value: i32) -> [u8; EVENT_SIZE] {
        let mut event = [0x5a; EVENT_SIZE];
        event[16..18].copy_from_slice(&kind.to_ne_bytes());
        event[18..20].copy_from_slice(&code.to_ne_bytes());
        event[20..].copy_from_slice(&value.to_ne_bytes());
        event
    }

    #[test]
    fn only_a_press_of_the_power_key_counts() {
        assert!(is_press(&event(KEY, POWER, 1)));
        assert!(!is_press(&event(KEY, POWER, 0)), "a release");
        assert!(!is_press(&event(KEY, 30, 1)), "another key");
        assert!(!is_press(&event(0, POWER, 1)), "not a key");
        assert!(is_power_button("Power Button\n") && !is_power_button("Sleep Button\n"));
    }
}
