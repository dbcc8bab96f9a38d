//! The kernel's command line, and the `xenolith.*` settings on it.

/// A parsed kernel command line: words, and `name=value` pairs, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommandLine {
    words: Vec<(String, Option<String>)>,
}

impl CommandLine {
    /// Parses the text of `/proc/cmdline`. Double quotes keep spaces together, as the kernel's
    /// own parser has it.
    pub fn parse(text: &str) -> Self {
        let mut words = Vec::new();
        let mut word = String::new();
        let mut quoted = false;
        for character in text.chars() {
            match character {
                '"' => quoted = !quoted,
                c if c.is_whitespace() && !quoted => push_word(&mut words, &mut word),
                c => word.push(c),
            }
        }
        push_word(&mut words, &mut word);
        Self { words }
    }

    /// Reads and parses the running kernel's command line; empty if `/proc` isn't there.
    pub fn of_running_kernel() -> Self {
        Self::parse(&std::fs::read_to_string("/proc/cmdline").unwrap_or_default())
    }

    /// The last value given to `name`.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.words.iter().rev().find(|(n, _)| n == name).and_then(|(_, v)| v.as_deref())
    }

    /// Whether `name` appears, with or without a value.
    pub fn has(&self, name: &str) -> bool {
        self.words.iter().any(|(n, _)| n == name)
    }

    /// The parameters given to a kernel module as `module.parameter=value`, in the form that
    /// the module loader wants. Dashes and underscores are the same.
    pub fn module_parameters(&self, module: &str) -> String {
        let parameters: Vec<String> = self
            .words
            .iter()
            .filter_map(|(name, value)| {
                let (owner, parameter) = name.split_once('.')?;
                (owner.replace('-', "_") == module).then(|| match value {
                    Some(value) => format!("{parameter}={value}"),
                    None => parameter.to_owned(),
                })
            })
            .collect();
        parameters.join(" ")
    }
}

fn push_word(words: &mut Vec<(String, Option<String>)>, word: &mut String) {
    if word.is_empty() {
        return;
    }
    let word = std::mem::take(word);
    words.push(match word.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => (word, None),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_wins() {
        let line = CommandLine::parse("console=tty0 quiet console=hvc0 xenolith.slot=a\n");
        assert_eq!(line.value("console"), Some("hvc0"));
        assert_eq!(line.value("xenolith.slot"), Some("a"));
        assert!(line.has("quiet") && !line.has("loud"));
        assert_eq!(line.value("quiet"), None);
    }

    #[test]
    fn quotes_keep_spaces() {
        let line = CommandLine::parse(r#"dyndbg="file a.c +p" x="1 2"y"#);
        assert_eq!(line.value("dyndbg"), Some("file a.c +p"));
        assert_eq!(line.value("x"), Some("1 2y"));
    }

    #[test]
    fn module_parameters_are_collected() {
        let line = CommandLine::parse("usb-storage.delay_use=0 usb_storage.quirks=1:2:u e1000e.x");
        assert_eq!(line.module_parameters("usb_storage"), "delay_use=0 quirks=1:2:u");
        assert_eq!(line.module_parameters("e1000e"), "x");
        assert_eq!(line.module_parameters("ext4"), "");
    }
}
