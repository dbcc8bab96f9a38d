//! apt, asked what it would install into an empty system.

use std::collections::BTreeSet;
use std::fmt::Write;
use xenolith_tests::debian::Debian;

/// Packages with their versions, as `NAME VERSION`.
pub type Answer = BTreeSet<String>;

/// What apt is asked: packages of an index, by `NAME` or `NAME=VERSION`.
#[derive(Debug, Clone)]
pub struct Question {
    /// The text of a package index.
    pub index: String,
    /// What is to be installed.
    pub names: Vec<String>,
}

const ASK: &str = "apt-get --simulate --no-install-recommends \
    -o Dir::State::status=/questions/status -o APT::Architectures=amd64 -o APT::Get::Upgrade=false \
    -o APT::Sandbox::User=root";

/// apt's answers, in order; `None` where it finds none, with its reason on standard error.
pub fn ask(debian: &Debian, questions: &[Question]) -> Vec<Option<Answer>> {
    let folder = debian.file("questions");
    mkimage::fs::remove(&folder).expect("old questions can be removed");
    std::fs::create_dir(&folder).expect("a folder for questions");
    std::fs::write(folder.join("status"), "").expect("an empty system");
    let mut script = String::new();
    for (number, question) in questions.iter().enumerate() {
        let place = folder.join(number.to_string());
        std::fs::create_dir(&place).expect("a folder for a question");
        std::fs::write(place.join("Packages"), &question.index).expect("an index");
        std::fs::write(place.join("names"), question.names.join("\n")).expect("names");
        let here = format!("/questions/{number}");
        // Writing to a string can't fail.
        let _ = writeln!(
            script,
            "echo '# {number}'\n{ASK} --with-source {here}/Packages install $(cat {here}/names) \
             2>/dev/null || echo '! {number}'"
        );
    }
    let said = debian.run("apt-get", &script);
    let mut parts = said.split("# ").skip(1);
    let answers = questions.iter().map(|_| parse(parts.next().expect("an answer to each")));
    answers.collect()
}

/// Reads lines such as `Inst apt (3.0.3 stable [amd64])`.
fn parse(said: &str) -> Option<Answer> {
    let failed = said.lines().any(|line| line.starts_with("! "));
    let installed = said.lines().filter_map(|line| {
        let (name, rest) = line.strip_prefix("Inst ")?.split_once(" (")?;
        let version = rest.split([' ', ')']).next()?;
        Some(format!("{name} {version}"))
    });
    (!failed).then(|| installed.collect())
}
