//! `mkimage lock`: resolves recipes over the signed index and writes their lock files.

use crate::apt::index::Index;
use crate::apt::resolve::{self, Request};
use crate::error::Error;
use crate::fs;
use crate::glob::Globs;
use crate::lock::{Lock, Locked, LockedSuite};
use crate::net::archive::{Archive, Suite};
use crate::progress;
use crate::project::Project;
use crate::recipe::{Kind, Recipe};
use crate::scratch::Scratch;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Which packages may move to newer versions than the present lock's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    /// None, as far as the archive still has them.
    None,
    /// These.
    Named(Vec<String>),
    /// All.
    All,
}

impl Update {
    fn keeps(&self, name: &str) -> bool {
        match self {
            Self::None => true,
            Self::Named(names) => !names.iter().any(|named| named == name),
            Self::All => false,
        }
    }
}

/// Locks recipes (all of them when none is named).
///
/// # Errors
/// When the archive can't be read or verified, or a recipe can't be satisfied.
pub fn lock(project: &Project, names: &[String], update: &Update) -> Result<(), Error> {
    for_each(project, names, |recipe, suites| lock_one(recipe, suites, update))
}

/// Says what the newest versions of recipes' packages (all recipes when none is named) would
/// change in their locks. Nothing is written.
///
/// # Errors
/// When the archive can't be read or verified, or a recipe can't be satisfied.
pub fn outdated(project: &Project, names: &[String]) -> Result<(), Error> {
    for_each(project, names, |recipe, suites| {
        let old = project.lock(recipe)?;
        let packages = resolve_recipe(recipe, suites, None, &Update::All)?;
        let new = Lock::new(recipe.request_digest(), Vec::new(), packages);
        let changes = new.changes_since(Some(&old));
        if changes.is_empty() {
            println!("{}: up to date", recipe.name);
        } else {
            println!("{}: run `mkimage lock --update {}`", recipe.name, recipe.name);
            changes.iter().for_each(|line| println!("  {line}"));
        }
        Ok(())
    })
}

/// Calls a function with recipes and their suites, of which each is read once.
fn for_each(
    project: &Project,
    names: &[String],
    mut work: impl FnMut(&Recipe, &[Suite]) -> Result<(), Error>,
) -> Result<(), Error> {
    let recipes = project.recipes_named(names)?;
    let archive = project.archive()?;
    let mut suites: HashMap<String, Vec<Suite>> = HashMap::new();
    for recipe in &recipes {
        let key = format!("{:?}", recipe.base);
        if !suites.contains_key(&key) {
            suites.insert(key.clone(), read_suites(&archive, recipe)?);
        }
        if let Some(suites) = suites.get(&key) {
            work(recipe, suites)?;
        }
    }
    Ok(())
}

/// Reads the suites of a recipe from the archive.
///
/// # Errors
/// When the archive can't be read or verified.
pub fn read_suites(archive: &Archive, recipe: &Recipe) -> Result<Vec<Suite>, Error> {
    let base = &recipe.base;
    let read = |name: &String| Ok(archive.suite(name, &base.components, &base.arch)?);
    base.suites.iter().map(read).collect()
}

fn lock_one(recipe: &Recipe, suites: &[Suite], update: &Update) -> Result<(), Error> {
    let path = recipe.lock_path();
    let old = fs::read_text(&path).ok().and_then(|text| Lock::parse(&text).ok());
    let packages = resolve_recipe(recipe, suites, old.as_ref(), update)?;
    let dates = suites.iter().map(|s| LockedSuite { name: s.name.clone(), date: s.date.clone() });
    let new = Lock::new(recipe.request_digest(), dates.collect(), packages);
    let changes = new.changes_since(old.as_ref());
    let size: u64 = new.packages.iter().map(|package| package.size).sum();
    let total = format!("{} packages, {}", new.packages.len(), progress::human(size));
    if old.as_ref().is_some_and(|old| old.request == new.request && changes.is_empty()) {
        println!("{}: up to date ({total})", recipe.name);
        return Ok(());
    }
    let scratch = Scratch::new(&path)?;
    fs::write(scratch.path(), new.to_text())?;
    scratch.finish()?;
    changes.iter().for_each(|line| println!("{line}"));
    println!("{}: wrote {} ({total})", recipe.name, path.display());
    Ok(())
}

/// The packages that a recipe means, given the archive's present state.
///
/// # Errors
/// When the index is malformed, or the recipe can't be satisfied.
pub fn resolve_recipe(
    recipe: &Recipe,
    suites: &[Suite],
    old: Option<&Lock>,
    update: &Update,
) -> Result<Vec<Locked>, Error> {
    let index = index(recipe, suites)?;
    let kept = old.iter().flat_map(|old| &old.packages).filter(|p| update.keeps(&p.name));
    let request = Request {
        packages: wanted(recipe, &index),
        exclude: recipe.exclude.clone(),
        keep: kept.map(|p| (p.name.clone(), p.version.clone())).collect(),
    };
    let names = recipe.base.suites.join(", ");
    let ids = resolve::resolve(&index, &names, &request).map_err(|source| match &source {
        resolve::Error::Unknown { name, .. } => {
            recipe.wrong_package(name, &source.to_string()).into()
        }
        _ => Error::Resolve { recipe: recipe.path.clone(), source },
    })?;
    Ok(ids.into_iter().filter_map(|id| index.get(id)).map(Locked::from).collect())
}

/// The packages of suites that fit a recipe's machine.
///
/// # Errors
/// When an index is malformed.
pub fn index<'a>(recipe: &Recipe, suites: &'a [Suite]) -> Result<Index<'a>, Error> {
    let mut index = Index::default();
    for text in suites.iter().flat_map(|suite| &suite.indices) {
        index.add(&text.text, &recipe.base.arch, text.origin)?;
    }
    Ok(index)
}

/// The packages that a recipe asks for, each with the dependencies to follow.
pub fn wanted(recipe: &Recipe, index: &Index<'_>) -> BTreeMap<String, Option<Globs>> {
    let listed = recipe.packages.iter().map(|(n, s)| (n.clone(), s.follow.clone()));
    // A guest is a whole system: what every system has comes without being listed.
    let base = if recipe.kind == Kind::Guest { index.required() } else { BTreeSet::new() };
    base.into_iter().map(|name| (name.to_owned(), None)).chain(listed).collect()
}
