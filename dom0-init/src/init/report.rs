//! What the prompts tell about the boot: the phases that failed.

use serde::{Deserialize, Serialize};

use super::phase::Outcome;

/// Where PID 1 leaves it.
const FILE: &str = "/run/xenolith/boot.json";

/// A phase that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The phase's name.
    pub phase: String,
    /// Why.
    pub reason: String,
}

/// Writes the failed phases down for the consoles.
pub fn publish(outcomes: &[Outcome]) {
    let failures: Vec<Failure> = outcomes
        .iter()
        .filter_map(|o| {
            let reason = o.result.as_ref().err()?.clone();
            Some(Failure { phase: o.name.to_owned(), reason })
        })
        .collect();
    let written = serde_json::to_vec(&failures)
        .map_err(std::io::Error::from)
        .and_then(|text| std::fs::write(FILE, text));
    if let Err(error) = written {
        log::warn!("{FILE}: {error}");
    }
}

/// The phases that failed in this boot.
pub fn failures() -> Vec<Failure> {
    std::fs::read(FILE).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}
