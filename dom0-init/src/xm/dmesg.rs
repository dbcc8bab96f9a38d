//! `xm dmesg`: the hypervisor's log.

use std::io::Write;

use super::domains;

/// Arguments of `xm dmesg`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Empty the log after showing it
    #[arg(short, long)]
    clear: bool,
}

/// Runs it.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let text = domains::open()?.console_ring(arguments.clear)?;
    std::io::stdout().write_all(&printable(&text))?;
    Ok(())
}

/// The log without the bytes that would change a terminal's state: guests can write to it.
fn printable(text: &[u8]) -> Vec<u8> {
    text.iter().copied().filter(|&b| b == b'\n' || b == b'\t' || (b >= 0x20 && b != 0x7f)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_left_out() {
        assert_eq!(printable(b"(XEN) a\x1b[2J\r\n\xc3\xa4\0"), b"(XEN) a[2J\n\xc3\xa4");
    }
}
