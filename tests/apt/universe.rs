//! Small archives, made up at random: virtual packages, alternatives, versions, conflicts.

use crate::oracle::{self, Answer, Question};
use mkimage::apt::index::{Archive, Index};
use mkimage::apt::resolve::{self, Request};
use std::fmt::Write;
use xenolith_tests::debian::Debian;

/// How many archives; a third of a second each.
const UNIVERSES: u64 = 150;
/// Real and virtual packages of each.
const PACKAGES: u64 = 14;
const VIRTUAL: u64 = 3;
/// Packages that are asked for.
const ROOTS: u64 = 3;

/// A generator of numbers (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }
}

/// Whether relations leave a choice.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Choices {
    /// They name real packages, one each.
    None,
    /// They have alternatives, and virtual packages in them.
    Many,
}

/// One relation: a name, perhaps with a constraint.
fn relation(random: &mut Random, choices: Choices) -> String {
    if choices == Choices::Many && random.percent(20) {
        return format!("v{}", random.below(VIRTUAL));
    }
    let name = format!("p{}", random.below(PACKAGES));
    match random.below(8) {
        0 => format!("{name} (>= {})", 1 + random.below(3)),
        1 => format!("{name} (<< 3)"),
        2 => format!("{name} (= 2)"),
        _ => name,
    }
}

fn universe(seed: u64, choices: Choices) -> Question {
    let random = &mut Random(seed);
    let mut index = String::new();
    for number in 0..PACKAGES {
        let newest = 1 + random.below(3);
        // The older version comes from another suite.
        let oldest = if random.percent(25) { 1 } else { newest };
        for version in [oldest, newest].into_iter().take(if oldest == newest { 1 } else { 2 }) {
            index += &stanza(random, number, version, choices);
        }
    }
    let mut names: Vec<String> =
        (0..ROOTS).map(|_| format!("p{}", random.below(PACKAGES))).collect();
    names.sort();
    names.dedup();
    Question { index, names }
}

fn stanza(random: &mut Random, number: u64, version: u64, choices: Choices) -> String {
    let mut text = format!(
        "Package: p{number}\nVersion: {version}\nArchitecture: amd64\nMaintainer: nobody\n\
         Filename: pool/p{number}_{version}.deb\nSize: 1\nSHA256: {:064x}\nDescription: p\n",
        number * 10 + version
    );
    let groups: Vec<String> = (0..random.below(3))
        .map(|_| {
            let most = if choices == Choices::Many { 3 } else { 1 };
            let count = 1 + random.below(most);
            let group: Vec<String> = (0..count).map(|_| relation(random, choices)).collect();
            group.join(" | ")
        })
        .collect();
    let mut field = |name: &str, value: String| {
        // Writing to a string can't fail.
        let _ = writeln!(text, "{name}: {value}");
    };
    if !groups.is_empty() {
        field("Depends", groups.join(", "));
    }
    if choices == Choices::Many && random.percent(35) {
        let name = random.below(VIRTUAL);
        field("Provides", format!("v{name}"));
    }
    if random.percent(12) {
        let kind = if random.percent(50) { "Conflicts" } else { "Breaks" };
        field(kind, relation(random, choices));
    }
    text + "\n"
}

fn resolved(question: &Question) -> Option<Answer> {
    let mut index = Index::default();
    index.add(&question.index, "amd64", Archive::Main).expect("the index is well-formed");
    let packages = question.names.iter().map(|name| (name.clone(), None)).collect();
    let request = Request { packages, ..Request::default() };
    let found = match resolve::resolve(&index, "a universe", &request) {
        Ok(found) => found,
        Err(resolve::Error::Conflict(_)) => return None,
        Err(error) => panic!("{error}:\n{}", question.index),
    };
    let name = |id| {
        let package = index.get(id).expect("a package of the index");
        format!("{} {}", package.name, package.version)
    };
    Some(found.into_iter().map(name).collect())
}

/// Has apt check answers: each must be whole and free of conflicts, so that apt, asked for exactly
/// that, adds nothing.
fn check(debian: &Debian, questions: &[Question], answers: &[Option<Answer>]) {
    let (asked, wanted): (Vec<Question>, Vec<&Answer>) = questions
        .iter()
        .zip(answers)
        .filter_map(|(question, answer)| {
            let answer = answer.as_ref()?;
            let names = answer.iter().map(|package| package.replace(' ', "=")).collect();
            Some((Question { index: question.index.clone(), names }, answer))
        })
        .unzip();
    for ((question, wanted), found) in asked.iter().zip(wanted).zip(oracle::ask(debian, &asked)) {
        assert_eq!(found.as_ref(), Some(wanted), "apt refuses the answer for\n{}", question.index);
    }
}

#[test]
fn without_choices_there_is_one_answer() {
    let debian = Debian::new("apt-one");
    let questions: Vec<Question> =
        (0..UNIVERSES).map(|seed| universe(seed, Choices::None)).collect();
    let ours: Vec<Option<Answer>> = questions.iter().map(resolved).collect();
    let answers = oracle::ask(&debian, &questions);
    let mut found = 0;
    for ((question, ours), apt) in questions.iter().zip(&ours).zip(&answers) {
        if let Some(apt) = apt {
            let (names, index) = (&question.names, &question.index);
            assert_eq!(ours.as_ref(), Some(apt), "asked for {names:?} of\n{index}");
            found += 1;
        }
    }
    assert!(found > UNIVERSES / 5, "apt found only {found} answers");
    check(&debian, &questions, &ours);
}

#[test]
fn with_choices_the_answer_is_as_good() {
    let debian = Debian::new("apt-many");
    let questions: Vec<Question> =
        (0..UNIVERSES).map(|seed| universe(1000 + seed, Choices::Many)).collect();
    let ours: Vec<Option<Answer>> = questions.iter().map(resolved).collect();
    let answers = oracle::ask(&debian, &questions);
    let (mut found, mut same) = (0, 0);
    for ((question, ours), apt) in questions.iter().zip(&ours).zip(&answers) {
        let Some(apt) = apt else { continue };
        let (names, index) = (&question.names, &question.index);
        let ours =
            ours.as_ref().unwrap_or_else(|| panic!("apt finds {apt:?} for {names:?} in\n{index}"));
        found += 1;
        same += u64::from(ours == apt);
    }
    eprintln!("{same} of {found} answers are apt's");
    assert!(found > UNIVERSES / 2, "apt found only {found} answers");
    // The others differ in what was chosen before something else made the choice needless.
    assert!(same * 20 >= found * 17, "only {same} of {found} answers are apt's");
    check(&debian, &questions, &ours);
}
