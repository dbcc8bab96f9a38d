//! Amounts of memory as text: `512M`, `1g`, `0x10000`.

/// Reads an amount: a number, decimal or after `0x` hexadecimal, and a unit `B K M G T` in
/// either case; without a unit it counts KiB, as Xen has it.
pub fn parse_size(text: &[u8]) -> Option<u64> {
    let (unit, rest) = text.split_last()?;
    let (digits, shift) = match unit.to_ascii_lowercase() {
        // A hexadecimal number may end in a letter that is a unit too.
        b'b' if !text.starts_with(b"0x") => (rest, 0),
        b'k' => (rest, 10),
        b'm' => (rest, 20),
        b'g' => (rest, 30),
        b't' => (rest, 40),
        _ => (text, 10),
    };
    let digits = core::str::from_utf8(digits).ok()?;
    let number = match digits.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok()?,
        None => digits.parse().ok()?,
    };
    number.checked_shl(shift).filter(|bytes| bytes >> shift == number)
}
