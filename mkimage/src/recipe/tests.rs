//! What a wrong recipe says.

use super::*;
use crate::formats::Form;

const GOOD: &str = r#"kind = "appliance"
[base]
suites = ["trixie"]
[packages]
linux-image-amd64 = { follow = ["linux-image-*"] }
[appliance]
product = "xenolith"
epoch = 1
hypervisor-args = "console=com1"
kernel-args = "console=hvc0"
kernel = { package = "linux-image-*-amd64", modules = ["ext4"] }
layout = { esp = "36M", system = "64M", data = "32M" }
[[appliance.entry]]
title = "Xenolith"
"#;

fn parse(text: &str) -> Result<Recipe, String> {
    let path = Path::new("recipes/test.toml");
    Recipe::parse(path, text.to_owned()).map_err(|error| error.to_string())
}

#[test]
fn a_good_recipe() {
    let recipe = parse(GOOD).unwrap();
    assert_eq!(recipe.name, "test");
    assert_eq!(recipe.base.components, ["main"]);
    assert_eq!(recipe.lock_path(), Path::new("recipes/test.lock"));
    assert_eq!(recipe.resolve("../overlays"), Path::new("recipes/../overlays"));
}

#[test]
fn wrong_recipes_name_line_and_reason() {
    for (from, to, expected) in [
        ("suites =", "suits =", "unknown field `suits`"),
        ("kind = \"appliance\"", "kind = \"applience\"", "unknown variant `applience`"),
        ("[\"trixie\"]", "[]", "recipes/test.toml:3: `suites` is empty"),
        ("\"xenolith\"", "\"Xeno lith\"", "recipes/test.toml:7: `product`"),
        ("\"36M\"", "\"8M\"", "at least 36M"),
        ("\"64M\"", "\"64 apples\"", "is no size"),
        ("\"console=hvc0\"", "\"a'b\"", "leave out the `'`"),
        ("[[appliance.entry]]\ntitle = \"Xenolith\"", "entry = []", "boot menu is empty"),
        ("kind = \"appliance\"", "kind = \"tools\"", "has no table [appliance]"),
        ("epoch = 1", "epoch = 1\nformats = [\"raw\", \"vdi\"]", "known are raw, raw.zst, qcow2"),
        ("epoch = 1", "epoch = 1\nformats = [\"bmap\"]", "test.toml:9: bmap is the map of"),
        ("epoch = 1", "epoch = ", "TOML parse error at line 8"),
    ] {
        let error = parse(&GOOD.replace(from, to)).unwrap_err();
        assert!(error.contains("recipes/test.toml"), "{error}");
        assert!(error.contains(expected), "expected {expected}: {error}");
    }
}

#[test]
fn recipes_inherit() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| {
        std::fs::write(folder.path().join(format!("{name}.toml")), text).unwrap();
    };
    let read = |name: &str| Recipe::find(folder.path(), name).map_err(|error| error.to_string());
    put(
        "parent",
        "kind = \"guest\"\n[base]\nsuites = [\"trixie\"]\n[packages]\na = {}\nb = {}\n[guest]\n\
         epoch = 1\nsize = \"1G\"\noverlay = \"one\"\nunits.enable = [\"a.service\"]\n",
    );
    let child = "inherits = \"parent\"\n[packages]\nc = {}\nb = { follow = [] }\n[guest]\n\
                 size = \"2G\"\noverlay = \"two\"\nunits.enable = [\"b.service\"]\n";
    put("child", child);
    let recipe = read("child").unwrap();
    let guest = recipe.guest.as_ref().unwrap();
    assert_eq!(recipe.packages.keys().collect::<Vec<_>>(), ["a", "b", "c"]);
    assert!(recipe.packages["b"].follow.is_some());
    assert_eq!((guest.epoch, guest.size_bytes()), (Some(1), 2 << 30));
    assert_eq!(guest.overlays, ["one", "two"].map(|name| folder.path().join(name)));
    assert_eq!(guest.units.enable, ["a.service", "b.service"]);
    assert!(recipe.text().contains("epoch = 1") && recipe.text().ends_with(child));
    for (text, reason) in [
        ("inherits = \"child\"\n", "child.toml:1: `child` inherits from itself"),
        ("inherits = \"none\"\n", "no recipe `none`; known are: child, parent"),
        ("inherits = \"parent\"\nkind = \"tools\"\n", "only guests inherit"),
        ("[packages]\na = {}\n", "`kind` is missing"),
    ] {
        put("child", text);
        let error = read("child").unwrap_err();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn formats_are_one_choice() {
    let folder = tempfile::tempdir().unwrap();
    let read = |name: &str, text: &str| {
        let path = folder.path().join(format!("{name}.toml"));
        std::fs::write(&path, text).unwrap();
        Recipe::read(&path).unwrap().guest.unwrap()
    };
    let parent = "kind = \"guest\"\n[base]\nsuites = [\"trixie\"]\n[packages]\na = {}\n[guest]\n\
                  epoch = 1\nsize = \"1G\"\n";
    let given = format!("{parent}formats = [\"raw\", \"vhd\"]\npartition-table = \"none\"\n");
    assert_eq!(read("parent", parent).formats(), [Form::RAW]);
    assert_eq!(read("parent", &given).partition_table(), PartitionTable::None);
    let heir = "inherits = \"parent\"\n";
    assert_eq!(read("heir", heir).formats(), [Form::RAW, Form::named("vhd").unwrap()]);
    assert_eq!(read("heir", heir).partition_table(), PartitionTable::None);
    let other = format!("{heir}[guest]\nformats = [\"qcow2\"]\npartition-table = \"gpt\"\n");
    assert_eq!(read("heir", &other).formats(), [Form::named("qcow2").unwrap()]);
    assert_eq!(read("heir", &other).partition_table(), PartitionTable::Gpt);
}

#[test]
fn the_schema_names_all_formats() {
    let schema: serde_json::Value = serde_json::from_str(&schema()).unwrap();
    let names = &schema["$defs"]["Format"]["enum"];
    assert_eq!(names.as_array().unwrap().len(), Form::all().count());
    assert!(names.as_array().unwrap().contains(&"bmap".into()));
}

#[test]
fn the_request_digest_covers_what_the_lock_answers() {
    let digest = |text: &str| parse(text).unwrap().request_digest();
    let good = digest(GOOD);
    assert_eq!(good, digest(&GOOD.replace("xenolith", "other")));
    assert_ne!(good, digest(&GOOD.replace("trixie", "forky")));
    assert_ne!(good, digest(&GOOD.replace("[\"linux-image-*\"]", "[]")));
    assert_ne!(good, digest(&GOOD.replace("[base]", "exclude = [\"x\"]\n[base]")));
}

#[test]
fn an_unknown_recipe_lists_the_known_ones() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tools.toml"), "").unwrap();
    let error = Recipe::find(folder.path(), "tolls").unwrap_err().to_string();
    assert!(error.contains("known are: tools"), "{error}");
}

#[test]
fn errors_about_packages_have_their_line() {
    let recipe = parse(GOOD).unwrap();
    let error = recipe.wrong_package("linux-image-amd64", "is gone").to_string();
    assert_eq!(error, "recipes/test.toml:5: is gone");
}

proptest::proptest! {
    #[test]
    fn any_text_is_survived(cut in 0_usize..GOOD.len(), more in "[a-z=\"\\[\\]{}\n]{0,10}") {
        let _ = parse(&format!("{}{more}{}", &GOOD[..cut], &GOOD[cut..]));
    }
}
