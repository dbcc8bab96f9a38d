//! The document: SPDX 2.3 as JSON, with the fields that say something here.

use super::names::References;
use super::{Bill, Component, copyright::NO_ASSERTION};
use crate::hash::{Hasher, Sha256};
use serde::Serialize;

/// Identifier of the image in its document.
const IMAGE: &str = "SPDXRef-Image";
/// Identifier of the document in itself.
const DOCUMENT: &str = "SPDXRef-DOCUMENT";

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    spdx_version: &'static str,
    data_license: &'static str,
    #[serde(rename = "SPDXID")]
    id: &'static str,
    name: &'a str,
    document_namespace: String,
    creation_info: CreationInfo,
    packages: Vec<Package<'a>>,
    has_extracted_licensing_infos: Vec<Extracted<'a>>,
    relationships: Vec<Relationship>,
}

#[derive(Debug, Serialize)]
struct CreationInfo {
    created: String,
    creators: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Package<'a> {
    #[serde(rename = "SPDXID")]
    id: String,
    name: &'a str,
    version_info: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    supplier: Option<&'static str>,
    download_location: &'static str,
    files_analyzed: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    checksums: Vec<Checksum>,
    license_concluded: &'static str,
    license_declared: &'a str,
    copyright_text: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    external_refs: Vec<ExternalReference<'a>>,
    primary_package_purpose: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Checksum {
    algorithm: &'static str,
    checksum_value: Sha256,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ExternalReference<'a> {
    reference_category: &'static str,
    reference_type: &'static str,
    reference_locator: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Extracted<'a> {
    license_id: &'a str,
    name: &'a str,
    extracted_text: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Relationship {
    spdx_element_id: String,
    relationship_type: &'static str,
    related_spdx_element: String,
}

impl Relationship {
    fn new(from: &str, kind: &'static str, to: &str) -> Self {
        let [spdx_element_id, related_spdx_element] = [from, to].map(str::to_owned);
        Self { spdx_element_id, relationship_type: kind, related_spdx_element }
    }
}

/// The text of a bill's document.
pub fn text(bill: &Bill<'_>) -> String {
    let References { extracted } = &bill.references;
    let mut packages = vec![image(bill)];
    let mut relationships = vec![Relationship::new(DOCUMENT, "DESCRIBES", IMAGE)];
    for (number, component) in bill.components.iter().enumerate() {
        let package = package(component, number + 1);
        relationships.push(Relationship::new(IMAGE, "CONTAINS", &package.id));
        packages.push(package);
    }
    let extracted = extracted.iter().map(|(license_id, (name, extracted_text))| Extracted {
        license_id,
        name,
        extracted_text,
    });
    let mut document = Document {
        spdx_version: "SPDX-2.3",
        data_license: "CC0-1.0",
        id: DOCUMENT,
        name: bill.name,
        document_namespace: String::new(),
        creation_info: CreationInfo {
            created: catalogue::time::iso(bill.epoch),
            creators: vec![format!("Tool: mkimage-{}", env!("CARGO_PKG_VERSION"))],
        },
        packages,
        has_extracted_licensing_infos: extracted.collect(),
        relationships,
    };
    // Another document has another name: it follows from all of this one.
    document.document_namespace = namespace(&json(&document));
    json(&document)
}

fn json(document: &Document<'_>) -> String {
    let mut text = serde_json::to_string_pretty(document).unwrap_or_default();
    text.push('\n');
    text
}

fn namespace(text: &str) -> String {
    let mut hasher = Hasher::default();
    hasher.part("xenolith bill of materials").part(text);
    let (mut bytes, digest) = ([0; 16], hasher.finish());
    bytes.copy_from_slice(digest.bytes().split_at(16).0);
    format!("urn:uuid:{}", crate::disk::gpt::random_uuid(bytes))
}

fn image<'a>(bill: &Bill<'a>) -> Package<'a> {
    Package {
        id: IMAGE.to_owned(),
        name: bill.name,
        version_info: env!("CARGO_PKG_VERSION"),
        supplier: None,
        download_location: NO_ASSERTION,
        files_analyzed: false,
        checksums: Vec::new(),
        license_concluded: NO_ASSERTION,
        license_declared: NO_ASSERTION,
        copyright_text: NO_ASSERTION,
        external_refs: Vec::new(),
        primary_package_purpose: "OPERATING-SYSTEM",
    }
}

fn package(component: &Component, number: usize) -> Package<'_> {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    let name: String = component.name.chars().map(plain).collect();
    let checksum = |checksum_value| Checksum { algorithm: "SHA256", checksum_value };
    Package {
        id: format!("SPDXRef-{number}-{name}"),
        name: &component.name,
        version_info: &component.version,
        supplier: component.supplier,
        download_location: NO_ASSERTION,
        files_analyzed: false,
        checksums: component.sha256.map(checksum).into_iter().collect(),
        license_concluded: NO_ASSERTION,
        license_declared: &component.licence,
        copyright_text: NO_ASSERTION,
        external_refs: vec![ExternalReference {
            reference_category: "PACKAGE-MANAGER",
            reference_type: "purl",
            reference_locator: &component.purl,
        }],
        primary_package_purpose: "LIBRARY",
    }
}
