//! From a recipe's package list to the exact set of packages, by a SAT solver (resolvo).
//!
//! A requirement with virtual packages is spelled out as a choice among real ones, in the order
//! the archive writes them, so the solver only knows real names. Recommendations are never
//! followed.

use super::index::{self, Archive, Index, PackageId};
use super::relation::{Operator, Relation};
use crate::glob::{self, Globs};
use resolvo::utils::{Pool, VersionSet};
use resolvo::{
    Candidates, Condition, ConditionId, Dependencies, DependencyProvider, Interner,
    KnownDependencies, NameId, Problem, Requirement, SolvableId, Solver, SolverCache, StringId,
    UnsolvableOrCancelled, VersionSetId, VersionSetUnionId,
};
use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::fmt;

/// Why no set of packages was found.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A listed package is in no suite.
    #[error("package `{name}` is not in {suites}{}", hint(.similar.as_deref()))]
    Unknown {
        /// The name in the recipe.
        name: String,
        /// Where it was looked for.
        suites: String,
        /// A close name.
        similar: Option<String>,
    },
    /// The packages can't be together.
    #[error("the packages can't be installed together:\n{0}")]
    Conflict(String),
    /// The index holds nonsense.
    #[error(transparent)]
    Index(#[from] index::Error),
}

fn hint(similar: Option<&str>) -> String {
    similar.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}

/// What to resolve.
#[derive(Debug, Default)]
pub struct Request {
    /// The packages, each with the dependencies to follow: `None` for all of them. A name with
    /// `*` lists nothing; it says what is followed from packages that fit it.
    pub packages: BTreeMap<String, Option<Globs>>,
    /// Names that count as installed already: a dependency on them is satisfied.
    pub exclude: Globs,
    /// Versions to keep where they still exist, by name.
    pub keep: HashMap<String, String>,
}

impl Request {
    /// The names that are listed, without the patterns.
    fn roots(&self) -> impl Iterator<Item = &String> {
        self.packages.keys().filter(|name| !name.contains('*'))
    }

    /// What is followed from a package; `None` for everything.
    fn follow(&self, name: &str) -> Option<&Globs> {
        let fits = || self.packages.iter().find(|(pattern, _)| glob::matches(pattern, name));
        let found = self.packages.get_key_value(name).or_else(fits);
        found.and_then(|(_, follow)| follow.as_ref())
    }
}

/// Solves a request; the answer is sorted by name.
///
/// # Errors
/// See [`Error`].
pub fn resolve(
    index: &Index<'_>,
    suites: &str,
    request: &Request,
) -> Result<Vec<PackageId>, Error> {
    let provider = Provider::new(index, request);
    let mut roots = Vec::new();
    for name in request.roots() {
        let relation = Relation { name, constraint: None };
        let choice = provider.choice(&[relation]).ok_or_else(|| Error::Unknown {
            name: name.clone(),
            suites: suites.to_owned(),
            similar: index.similar(name).map(str::to_owned),
        })?;
        roots.push(choice.into());
    }
    let mut solver = Solver::new(provider);
    let answer = solver.solve(Problem::new().requirements(roots));
    if let Some(error) = solver.provider().failure.borrow_mut().take() {
        return Err(error.into());
    }
    match answer {
        Ok(solvables) => {
            let pool = &solver.provider().pool;
            let ids = solvables.iter().map(|id| pool.resolve_solvable(*id).record.id);
            let mut ids: Vec<PackageId> = ids.collect();
            ids.sort_by_key(|id| index.get(*id).map(|package| (package.name, package.arch)));
            Ok(ids)
        }
        Err(UnsolvableOrCancelled::Unsolvable(conflict)) => {
            Err(Error::Conflict(conflict.display_user_friendly(&solver).to_string()))
        }
        Err(UnsolvableOrCancelled::Cancelled(_)) => {
            Err(Error::Conflict("the solver was stopped".to_owned()))
        }
    }
}

/// A set of versions of one real package.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Versions {
    /// A constraint; `None` is any version.
    constraint: Option<(Operator, String)>,
    /// Exactly these packages of the index: the providers of a virtual name.
    only: Option<Vec<PackageId>>,
    /// The complement: used by conflicts.
    not: bool,
}

/// A candidate: one package of the index.
struct Candidate {
    id: PackageId,
    version: String,
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.version)
    }
}

impl VersionSet for Versions {
    type V = Candidate;
}

/// The index as the solver sees it.
struct Provider<'i, 'a> {
    index: &'i Index<'a>,
    request: &'i Request,
    pool: Pool<Versions>,
    solvables: HashMap<PackageId, SolvableId>,
    failure: RefCell<Option<index::Error>>,
}

impl<'i, 'a> Provider<'i, 'a> {
    fn new(index: &'i Index<'a>, request: &'i Request) -> Self {
        let pool = Pool::new();
        let mut solvables = HashMap::new();
        for (id, package) in index.iter() {
            let name = pool.intern_package_name(package.name);
            let candidate = Candidate { id, version: package.version.as_str().to_owned() };
            solvables.insert(id, pool.intern_solvable(name, candidate));
        }
        Self { index, request, pool, solvables, failure: RefCell::default() }
    }

    fn version_set(&self, name: &str, versions: Versions) -> VersionSetId {
        self.pool.intern_version_set(self.pool.intern_package_name(name), versions)
    }

    /// The real packages that satisfy a group of alternatives; `None` when there are none.
    fn choice(&self, group: &[Relation<'_>]) -> Option<Requirement> {
        let mut sets: Vec<VersionSetId> = Vec::new();
        for relation in group {
            if !self.index.versions(relation.name).is_empty() {
                let constraint = relation.constraint.map(|(o, v)| (o, v.as_str().to_owned()));
                let versions = Versions { constraint, only: None, not: false };
                sets.push(self.version_set(relation.name, versions));
            }
            for (name, only) in self.providers_by_name(relation) {
                let versions = Versions { constraint: None, only: Some(only), not: false };
                sets.push(self.version_set(name, versions));
            }
        }
        let (first, rest) = sets.split_first()?;
        Some(if rest.is_empty() {
            Requirement::Single(*first)
        } else {
            let rest = rest.iter().copied();
            Requirement::Union(self.pool.intern_version_set_union(*first, rest))
        })
    }

    /// Who provides a name, in apt's order of preference: whose newest version does, by priority,
    /// and of equals the last in the index.
    fn providers_by_name(&self, relation: &Relation<'_>) -> Vec<(&'a str, Vec<PackageId>)> {
        let mut by_name: BTreeMap<&str, Vec<PackageId>> = BTreeMap::new();
        for id in self.index.providers(relation) {
            if let Some(package) = self.index.get(id) {
                by_name.entry(package.name).or_default().push(id);
            }
        }
        let mut all: Vec<_> = by_name.into_iter().collect();
        all.sort_by_cached_key(|(name, ids)| {
            let newest = self.index.newest(name);
            let package = newest.and_then(|id| self.index.get(id));
            let is_old = newest.is_none_or(|id| !ids.contains(&id));
            (is_old, package.map(|package| package.importance()), Reverse(newest))
        });
        all
    }

    /// Requirements and conflicts of one package, as the recipe lets them count.
    fn dependencies(&self, id: PackageId) -> Result<Dependencies, index::Error> {
        let mut known = KnownDependencies::default();
        let Some(package) = self.index.get(id) else { return Ok(Dependencies::Known(known)) };
        let follow = self.request.follow(package.name);
        for mut group in package.dependencies()? {
            if group.iter().any(|relation| self.request.exclude.matches(relation.name)) {
                continue;
            }
            if let Some(follow) = follow {
                group.retain(|relation| follow.matches(relation.name));
                if group.is_empty() {
                    continue;
                }
            }
            match self.choice(&group) {
                Some(requirement) => known.requirements.push(requirement.into()),
                None => {
                    let names: Vec<String> = group.iter().map(ToString::to_string).collect();
                    let reason = format!("it needs {}, which nothing provides", names.join(" | "));
                    return Ok(Dependencies::Unknown(self.pool.intern_string(reason)));
                }
            }
        }
        // Files-only packages are never installed, so they conflict with nothing.
        if follow.is_none() {
            for relation in package.conflicts()? {
                known.constrains.extend(self.exclusions(id, package.name, &relation));
            }
        }
        Ok(Dependencies::Known(known))
    }

    /// Version sets that keep everything matched by a conflict out, except the package itself.
    fn exclusions(&self, id: PackageId, own: &str, relation: &Relation<'_>) -> Vec<VersionSetId> {
        let mut sets = Vec::new();
        if relation.name != own && !self.index.versions(relation.name).is_empty() {
            let constraint = relation.constraint.map(|(o, v)| (o, v.as_str().to_owned()));
            let versions = Versions { constraint, only: None, not: true };
            sets.push(self.version_set(relation.name, versions));
        }
        for (name, only) in self.providers_by_name(relation) {
            if name != own && !only.contains(&id) {
                let versions = Versions { constraint: None, only: Some(only), not: true };
                sets.push(self.version_set(name, versions));
            }
        }
        sets
    }

    fn contains(&self, versions: &Versions, solvable: SolvableId) -> bool {
        let id = self.pool.resolve_solvable(solvable).record.id;
        let Some(package) = self.index.get(id) else { return false };
        let constraint = versions.constraint.as_ref();
        let in_range = constraint.is_none_or(|(operator, version)| {
            let constraint = Some((*operator, super::version::Version::new(version)));
            Relation { name: package.name, constraint }.allows(package.version)
        });
        let named = versions.only.as_ref().is_none_or(|only| only.contains(&id));
        (in_range && named) != versions.not
    }
}

impl Interner for Provider<'_, '_> {
    type NameId = NameId;
    type SolvableId = SolvableId;

    fn display_solvable(&self, solvable: SolvableId) -> impl fmt::Display + '_ {
        let solvable = self.pool.resolve_solvable(solvable);
        format!("{} {}", self.pool.resolve_package_name(solvable.name), solvable.record)
    }

    fn display_name(&self, name: NameId) -> impl fmt::Display + '_ {
        self.pool.resolve_package_name(name).clone()
    }

    fn display_version_set(&self, version_set: VersionSetId) -> impl fmt::Display + '_ {
        let versions = self.pool.resolve_version_set(version_set);
        let not = if versions.not { "not " } else { "" };
        match (&versions.constraint, &versions.only) {
            (Some((operator, version)), _) => format!("{not}{} {version}", operator.symbol()),
            (None, Some(_)) => format!("{not}providing it"),
            (None, None) => format!("{not}any"),
        }
    }

    fn display_string(&self, string_id: StringId) -> impl fmt::Display + '_ {
        self.pool.resolve_string(string_id).to_owned()
    }

    fn version_set_name(&self, version_set: VersionSetId) -> NameId {
        self.pool.resolve_version_set_package_name(version_set)
    }

    fn solvable_name(&self, solvable: SolvableId) -> NameId {
        self.pool.resolve_solvable(solvable).name
    }

    fn version_sets_in_union(
        &self,
        version_set_union: VersionSetUnionId,
    ) -> impl Iterator<Item = VersionSetId> {
        self.pool.resolve_version_set_union(version_set_union)
    }

    fn resolve_condition(&self, condition: ConditionId) -> Condition {
        self.pool.resolve_condition(condition).clone()
    }
}

impl DependencyProvider for Provider<'_, '_> {
    async fn filter_candidates(
        &self,
        candidates: &[SolvableId],
        version_set: VersionSetId,
        inverse: bool,
    ) -> Vec<SolvableId> {
        let versions = self.pool.resolve_version_set(version_set);
        let fits = |id: &SolvableId| self.contains(versions, *id) != inverse;
        candidates.iter().copied().filter(fits).collect()
    }

    async fn get_candidates(&self, name: NameId) -> Option<Candidates> {
        let name = self.pool.resolve_package_name(name);
        let ids = self.index.versions(name);
        let solvable = |id: &PackageId| self.solvables.get(id).copied();
        let kept = self.request.keep.get(name);
        let is_kept = |id: &&PackageId| {
            let version = self.index.get(**id).map(|package| package.version.as_str());
            kept.is_some_and(|kept| version == Some(kept))
        };
        Some(Candidates {
            candidates: ids.iter().filter_map(solvable).collect(),
            favored: ids.iter().find(is_kept).and_then(solvable),
            ..Candidates::default()
        })
    }

    async fn sort_candidates(&self, _: &SolverCache<Self>, solvables: &mut [SolvableId]) {
        let package = |id: &SolvableId| self.index.get(self.pool.resolve_solvable(*id).record.id);
        solvables.sort_by(|a, b| match (package(a), package(b)) {
            // Newest first; of equal versions the main archive's, so that locks don't flap.
            (Some(a), Some(b)) => b.version.cmp(&a.version).then_with(|| {
                (a.archive == Archive::Security).cmp(&(b.archive == Archive::Security))
            }),
            _ => std::cmp::Ordering::Equal,
        });
    }

    async fn get_dependencies(&self, solvable: SolvableId) -> Dependencies {
        let id = self.pool.resolve_solvable(solvable).record.id;
        self.dependencies(id).unwrap_or_else(|error| {
            let reason = self.pool.intern_string(error.to_string());
            *self.failure.borrow_mut() = Some(error);
            Dependencies::Unknown(reason)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apt::index::tests::stanza;

    fn solve(text: &str, request: &Request) -> Result<Vec<String>, String> {
        let mut index = Index::default();
        index.add(text, "amd64", Archive::Main).map_err(|error| error.to_string())?;
        let ids = resolve(&index, "trixie", request).map_err(|error| error.to_string())?;
        let name = |id: PackageId| {
            let package = index.get(id).unwrap();
            format!("{} {}", package.name, package.version)
        };
        Ok(ids.into_iter().map(name).collect())
    }

    fn request(names: &[&str]) -> Request {
        let packages = names.iter().map(|name| ((*name).to_owned(), None)).collect();
        Request { packages, ..Request::default() }
    }

    fn archive() -> String {
        [
            stanza(
                "app",
                "1",
                "Depends: lib (>= 2), mta | mail, missing | tool\nPre-Depends: base\n",
            ),
            stanza("lib", "2.1", ""),
            stanza("lib", "2~rc1", ""),
            stanza("base", "1", ""),
            stanza("postfix", "3", "Provides: mta\nConflicts: mta\n"),
            stanza("exim", "4", "Provides: mta\nConflicts: mta\n"),
            stanza("tool", "1", "Recommends: extra\n"),
            stanza("extra", "1", ""),
            stanza("meta", "1", "Depends: kernel-7 (= 7), initramfs\n"),
            stanza("kernel-7", "7", "Depends: huge\n"),
            stanza("broken", "1", "Depends: nowhere (>= 9)\n"),
        ]
        .concat()
    }

    #[test]
    fn closure_with_virtual_packages_and_alternatives() {
        let names = solve(&archive(), &request(&["app"])).unwrap();
        assert_eq!(names, ["app 1", "base 1", "exim 4", "lib 2.1", "tool 1"]);
    }

    #[test]
    fn a_listed_provider_is_preferred_and_conflicts_hold() {
        let names = solve(&archive(), &request(&["app", "postfix"])).unwrap();
        assert!(names.contains(&"postfix 3".to_owned()) && !names.contains(&"exim 4".to_owned()));
        let error = solve(&archive(), &request(&["postfix", "exim"])).unwrap_err();
        assert!(error.contains("can't be installed together"), "{error}");
    }

    #[test]
    fn among_providers_apts_order_counts() {
        let text = [
            stanza("a", "1", "Provides: v\nPriority: optional\n"),
            stanza("old", "1", "Provides: v\nPriority: required\n"),
            stanza("old", "2", "Priority: required\n"),
            stanza("b", "1", "Provides: v\nPriority: optional\n"),
            stanza("c", "1", "Provides: v\nPriority: extra\n"),
        ];
        assert_eq!(solve(&text.concat(), &request(&["v"])).unwrap(), ["b 1"]);
        let important =
            text.concat().replace("optional\n\nPackage: old", "important\n\nPackage: old");
        assert_eq!(solve(&important, &request(&["v"])).unwrap(), ["a 1"]);
    }

    #[test]
    fn kept_versions_and_excluded_names() {
        let mut wanted = request(&["app"]);
        wanted.keep.insert("lib".to_owned(), "2~rc1".to_owned());
        wanted.exclude = Globs::new(&["mta", "base"]);
        // 2~rc1 is too old for `>= 2`, so it can't be kept.
        assert_eq!(solve(&archive(), &wanted).unwrap(), ["app 1", "lib 2.1", "tool 1"]);
        let mut wanted = request(&["lib"]);
        wanted.keep.insert("lib".to_owned(), "2~rc1".to_owned());
        assert_eq!(solve(&archive(), &wanted).unwrap(), ["lib 2~rc1"]);
    }

    #[test]
    fn only_some_dependencies_are_followed() {
        let mut wanted = Request::default();
        wanted.packages.insert("meta".to_owned(), Some(Globs::new(&["kernel-*"])));
        wanted.packages.insert("kernel-*".to_owned(), Some(Globs::default()));
        assert_eq!(solve(&archive(), &wanted).unwrap(), ["kernel-7 7", "meta 1"]);
    }

    #[test]
    fn messages_name_the_package() {
        let error = solve(&archive(), &request(&["ap"])).unwrap_err();
        assert!(error.contains("`ap` is not in trixie; did you mean `app`?"), "{error}");
        let error = solve(&archive(), &request(&["broken"])).unwrap_err();
        assert!(error.contains("nowhere (>= 9)"), "{error}");
    }
}
