//! The bill of materials: what is in an image, as SPDX 2.3 for programs, and as a list of licences
//! for people. Both follow from the image's packages alone, so they are the same in each build.

mod copyright;
mod document;
mod names;

use crate::artifacts::Crate;
use crate::fs;
use crate::hash::Sha256;
use crate::lock::Locked;
use crate::scratch::Scratch;
use names::References;
use std::fmt::Write;
use std::path::Path;

/// One thing that is in an image.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Component {
    name: String,
    version: String,
    supplier: Option<&'static str>,
    /// Digest of the package that it came in.
    sha256: Option<Sha256>,
    /// Its name among all packages of the world (package URL).
    purl: String,
    /// An expression of SPDX.
    licence: String,
}

/// What is in an image.
#[derive(Debug)]
pub struct Bill<'a> {
    name: &'a str,
    /// In seconds of Unix time.
    epoch: u64,
    components: Vec<Component>,
    references: References,
}

/// The files beside an image of this name.
pub fn files(name: &str) -> [String; 2] {
    [format!("{name}.spdx.json"), format!("{name}.licences.txt")]
}

impl<'a> Bill<'a> {
    /// An image of this name and time with nothing in it.
    pub fn new(name: &'a str, epoch: u64) -> Self {
        Self { name, epoch, components: Vec::new(), references: References::default() }
    }

    /// Adds a package of Debian, with its `copyright` file.
    pub fn debian(&mut self, package: &Locked, copyright: Option<&str>) {
        let licence = copyright::licence(&package.name, copyright, &mut self.references);
        let [name, version, arch] =
            [&package.name, &package.version, &package.arch].map(|t| quoted(t));
        self.components.push(Component {
            name: package.name.clone(),
            version: package.version.clone(),
            supplier: Some("Organization: Debian"),
            sha256: Some(package.sha256),
            purl: format!("pkg:deb/debian/{name}@{version}?arch={arch}"),
            licence,
        });
    }

    /// Adds a crate of Rust.
    pub fn rust(&mut self, part: &Crate) {
        let licence = Some(&part.licence).filter(|licence| !licence.is_empty());
        self.components.push(Component {
            name: part.name.clone(),
            version: part.version.clone(),
            supplier: None,
            sha256: None,
            purl: format!("pkg:cargo/{}@{}", quoted(&part.name), quoted(&part.version)),
            licence: licence.map_or(copyright::NO_ASSERTION, String::as_str).to_owned(),
        });
    }

    /// Writes both files into a folder, under temporary names: they are to be finished. `name` is
    /// what they are called after.
    ///
    /// # Errors
    /// When they can't be written.
    pub fn write(&self, folder: &Path, name: &str) -> fs::Result<Vec<Scratch>> {
        let texts = [document::text(self), self.licences()];
        let staged = files(name).into_iter().zip(texts).map(|(name, text)| {
            let scratch = Scratch::new(&folder.join(name))?;
            fs::write(scratch.path(), text)?;
            Ok(scratch)
        });
        staged.collect()
    }

    /// One line for each component.
    fn licences(&self) -> String {
        let mut text = format!(
            "Licences of what is in {}, in the terms of SPDX. LicenseRef-... are texts of their own:\n\
             {} has them, and so have usr/share/doc/*/copyright in systems.\n\n",
            self.name,
            files(self.name)[0]
        );
        for Component { name, version, licence, .. } in &self.components {
            // Writing to a string can't fail.
            let _infallible = writeln!(text, "{name} {version}: {licence}");
        }
        text
    }
}

/// A part of a package URL.
fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_~".contains(&byte);
    let quote = |byte: u8| match byte {
        byte if plain(byte) => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(quote).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apt::index::Archive;

    fn bill() -> Bill<'static> {
        let mut bill = Bill::new("tiny", 1_767_225_600);
        for (name, copyright) in [
            ("libstdc++6", Some("Anybody may.")),
            ("base-files", Some("Format: dep5\n\nFiles: *\nLicense: GPL-2+\n")),
            ("bare", None),
        ] {
            let package = Locked {
                name: name.to_owned(),
                version: "2:1.0+x~1".to_owned(),
                arch: "amd64".to_owned(),
                filename: String::new(),
                size: 1,
                sha256: Sha256::of(name.as_bytes()),
                archive: Archive::Main,
            };
            bill.debian(&package, copyright);
        }
        bill
    }

    #[test]
    fn the_document_is_whole() {
        let text = document::text(&bill());
        assert_eq!(text, document::text(&bill()), "the same in each build");
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(document["spdxVersion"], "SPDX-2.3");
        assert_eq!(document["creationInfo"]["created"], "2026-01-01T00:00:00Z");
        assert!(document["documentNamespace"].as_str().unwrap().starts_with("urn:uuid:"));
        let packages = document["packages"].as_array().unwrap();
        let field = |name: &str| packages.iter().map(|p| p[name].clone()).collect::<Vec<_>>();
        assert_eq!(field("name"), ["tiny", "libstdc++6", "base-files", "bare"]);
        let declared = field("licenseDeclared");
        assert_eq!(declared[2..], ["GPL-2.0-or-later", "NOASSERTION"]);
        let texts = document["hasExtractedLicensingInfos"].as_array().unwrap();
        assert_eq!((texts.len(), &texts[0]["licenseId"]), (1, &declared[1]));
        assert_eq!(texts[0]["extractedText"], "Anybody may.");
        let reference = &packages[1]["externalRefs"][0]["referenceLocator"];
        assert_eq!(reference, "pkg:deb/debian/libstdc%2B%2B6@2%3A1.0%2Bx~1?arch=amd64");
        // Whatever is named is there.
        let ids = field("SPDXID");
        for relationship in document["relationships"].as_array().unwrap() {
            let (from, to) = (&relationship["spdxElementId"], &relationship["relatedSpdxElement"]);
            assert!(ids.contains(to) && (ids.contains(from) || from == "SPDXRef-DOCUMENT"));
        }
        assert_eq!(document["relationships"].as_array().unwrap().len(), packages.len());
    }

    #[test]
    fn another_content_has_another_name() {
        let namespace = |bill: &Bill<'_>| {
            let document: serde_json::Value = serde_json::from_str(&document::text(bill)).unwrap();
            document["documentNamespace"].as_str().unwrap().to_owned()
        };
        let mut other = bill();
        other.components.pop();
        assert_ne!(namespace(&bill()), namespace(&other));
    }

    #[test]
    fn the_list_has_a_line_for_each() {
        let text = bill().licences();
        assert!(text.contains("\nbase-files 2:1.0+x~1: GPL-2.0-or-later\n"), "{text}");
        assert!(text.ends_with("\nbare 2:1.0+x~1: NOASSERTION\n"), "{text}");
    }
}
