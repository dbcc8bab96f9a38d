//! The recipes of this tree over the archive's present index: mkimage and apt read the same text,
//! so the answers must be the same whatever the archive holds by now.

use crate::oracle::{self, Question};
use mkimage::commands::lock::{self, Update};
use mkimage::recipe::{Kind, Recipe};
use std::collections::BTreeSet;
use xenolith_tests::debian::Debian;
use xenolith_tests::images;

#[test]
fn guests_get_the_packages_that_apt_would_install() {
    let project = images::project();
    let recipes = project.recipes_named(&[]).expect("the recipes");
    // Of the other kinds, packages are no systems that apt could install.
    let guests: Vec<Recipe> = recipes.into_iter().filter(|r| r.kind == Kind::Guest).collect();
    assert!(guests.len() > 1, "there are recipes of guests");
    let base = &guests[0].base;
    let others = guests.iter().filter(|guest| format!("{:?}", guest.base) != format!("{base:?}"));
    assert_eq!(others.count(), 0, "all guests have the same suites, which are read once");
    let archive = project.archive().unwrap_or_else(|error| panic!("{error}"));
    let suites = lock::read_suites(&archive, &guests[0]).unwrap_or_else(|error| panic!("{error}"));
    let texts = suites.iter().flat_map(|suite| &suite.indices).map(|index| index.text.as_str());
    let text: String = texts.collect::<Vec<_>>().join("\n");
    let index = lock::index(&guests[0], &suites).unwrap_or_else(|error| panic!("{error}"));
    let debian = Debian::new("apt-recipes");
    for recipe in &guests {
        let ours = lock::resolve_recipe(recipe, &suites, None, &Update::All);
        let ours = ours.unwrap_or_else(|error| panic!("{error}"));
        let ours: BTreeSet<String> =
            ours.iter().map(|package| format!("{} {}", package.name, package.version)).collect();
        let names = lock::wanted(recipe, &index).into_keys().collect();
        let question = Question { index: text.clone(), names };
        let apt = oracle::ask(&debian, &[question]).remove(0);
        let apt = apt.unwrap_or_else(|| panic!("apt has no answer for {}", recipe.name));
        let more: Vec<_> = ours.difference(&apt).collect();
        let less: Vec<_> = apt.difference(&ours).collect();
        assert!(
            more.is_empty() && less.is_empty(),
            "{}: only mkimage takes {more:?}, only apt {less:?}",
            recipe.name
        );
        eprintln!("{}: {} packages, as apt", recipe.name, ours.len());
    }
}
