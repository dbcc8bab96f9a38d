//! Debug keys: single letters that print or do something, typed on the serial line or sent by
//! `xm debug-keys`.

use arrayvec::ArrayVec;
use spin::RwLock;

/// What a key does. It may be called on any CPU, from an interrupt.
pub type Action = fn(key: u8);

#[derive(Clone, Copy)]
struct Key {
    does: &'static str,
    action: Action,
    /// Whether it only prints, so that `*` includes it.
    prints: bool,
}

static KEYS: RwLock<[Option<Key>; 128]> = RwLock::new([None; 128]);

/// Gives a key its meaning. `does` completes the line in the help.
///
/// # Panics
/// If the key is not ASCII.
pub fn register(key: u8, does: &'static str, action: Action) {
    KEYS.write()[usize::from(key)] = Some(Key { does, action, prints: false });
}

/// As [`register`], for keys that only print: `*` calls them all.
///
/// # Panics
/// If the key is not ASCII.
pub fn register_report(key: u8, does: &'static str, action: Action) {
    KEYS.write()[usize::from(key)] = Some(Key { does, action, prints: true });
}

/// Registers the keys of the console itself.
pub fn init() {
    register(b'h', "show this help", |_| help());
    register(b'*', "print all reports", |_| print_all());
}

/// Does what a key means; others are ignored.
pub fn handle(key: u8) {
    let found = KEYS.read().get(usize::from(key)).copied().flatten();
    if let Some(found) = found {
        say!("'{}' pressed: {}", char::from(key), found.does);
        (found.action)(key);
    }
}

fn all() -> ArrayVec<(u8, Key), 128> {
    let keys = KEYS.read();
    (0..).zip(keys.iter()).filter_map(|(key, found)| Some((key, (*found)?))).collect()
}

fn help() {
    for (key, found) in all() {
        say!(" {}: {}", char::from(key), found.does);
    }
}

fn print_all() {
    for (key, found) in all().into_iter().filter(|(_, found)| found.prints) {
        say!("[{}: {}]", char::from(key), found.does);
        (found.action)(key);
    }
}
