//! Catalogues of guest images: entries `(image-catalogue 'URL key=... product=... channel=...')`.

use catalogue::client::Expected;
use catalogue::keys::KeySet;
use catalogue::names;

/// The architecture of this machine's guests, as Debian has it.
const ARCH: &str = "amd64";
/// How an entry is written.
const FORM: &str = "write 'https://HOST/FOLDER key=RW... product=PRODUCT channel=CHANNEL', and \
                    perhaps name=NAME, more keys and threshold=NUMBER";

/// A place that images come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalogue {
    /// What the host calls it.
    pub name: String,
    /// The release folder's address, without a slash at its end.
    pub url: String,
    /// What it must be.
    pub expected: Expected,
    /// Who signs it, as far as the configuration knows.
    pub keys: KeySet,
}

impl Catalogue {
    /// Reads the value of an entry.
    ///
    /// # Errors
    /// What is wrong with it, and what to write.
    pub fn parse(value: &str) -> Result<Self, String> {
        let mut words = value.split_whitespace();
        let url = words.next().unwrap_or_default().trim_end_matches('/').to_owned();
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(format!("{url:?} is no address of a catalogue: {FORM}"));
        }
        let (mut keys, mut threshold) = (Vec::new(), 1);
        let (mut name, mut product, mut channel) = (None, None, None);
        for word in words {
            let (key, text) = word.split_once('=').unwrap_or((word, ""));
            match key {
                "key" => keys.push(text.to_owned()),
                "threshold" => {
                    threshold = text
                        .parse()
                        .map_err(|_| format!("threshold={text} is no number of keys"))?;
                }
                "name" => name = Some(text.to_owned()),
                "product" => product = Some(text.to_owned()),
                "channel" => channel = Some(text.to_owned()),
                _ => return Err(format!("{word:?} is no part of a catalogue: {FORM}")),
            }
        }
        let missing = |what: &str| format!("{what}= is missing: {FORM}");
        if keys.is_empty() {
            return Err(missing("key"));
        }
        let product = product.ok_or_else(|| missing("product"))?;
        let channel = channel.ok_or_else(|| missing("channel"))?;
        let name = name.unwrap_or_else(|| product.clone());
        for text in [&name, &product, &channel] {
            if !names::is_image_name(text) {
                return Err(format!("{text:?} is no name: use lower-case letters, digits and `-`"));
            }
        }
        let keys = KeySet { generation: 1, threshold, keys };
        keys.check()?;
        Ok(Self { name, url, expected: Expected { product, channel, arch: ARCH.to_owned() }, keys })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of minisign's own manual.
    const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";

    #[test]
    fn entries() {
        let text = format!("https://images.example/g/ key={KEY} product=guests channel=stable");
        let read = Catalogue::parse(&text).unwrap();
        assert_eq!((read.name.as_str(), read.url.as_str()), ("guests", "https://images.example/g"));
        assert_eq!((read.expected.arch.as_str(), read.keys.threshold), ("amd64", 1));
        for (from, to, words) in [
            ("https:", "ftp:", "no address"),
            (KEY, "RWQf6", "no public key"),
            ("key=", "kez=", "no part of a catalogue"),
            ("product=guests", "", "product= is missing"),
            ("stable", "../x", "no name"),
            ("channel=stable", "channel=stable threshold=2", "2 of 1"),
        ] {
            let error = Catalogue::parse(&text.replace(from, to)).unwrap_err();
            assert!(error.contains(words), "{words}: {error}");
        }
    }
}
