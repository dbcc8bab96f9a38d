//! The host's name.

use anyhow::Context;

use crate::init::Host;

/// The name of a host that nobody named.
const DEFAULT: &str = "xenolith";

/// Where a name is looked for: the data partition's wins over the image's.
const FILES: &[&str] = &["/data/config/hostname", "/etc/hostname"];

/// Sets the host's name: from `xenolith.hostname=` on the kernel's command line, else from the
/// data partition, else from the image.
///
/// # Errors
/// When the kernel refuses the name.
pub fn set_hostname(host: &mut Host) -> anyhow::Result<String> {
    let given = host.command_line.value("xenolith.hostname").map(str::to_owned);
    let from_files = FILES.iter().filter_map(|file| std::fs::read_to_string(file).ok());
    let name = given
        .into_iter()
        .chain(from_files)
        .map(|text| text.trim().to_owned())
        .find(|name| is_host_name(name))
        .unwrap_or_else(|| DEFAULT.to_owned());
    rustix::system::sethostname(name.as_bytes())
        .with_context(|| format!("the kernel refuses the name {name:?}"))?;
    Ok(name)
}

/// Whether a text is a host's name (RFC 1123).
fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 64 && text.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert!(is_host_name("xenolith") && is_host_name("a-1.lab.example"));
        assert!(!is_host_name("") && !is_host_name("a b") && !is_host_name("-a"));
        assert!(!is_host_name("a..b") && !is_host_name(&"a".repeat(65)));
    }
}
