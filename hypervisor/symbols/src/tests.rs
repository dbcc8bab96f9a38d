use std::collections::BTreeMap;
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn every_address_finds_the_function_before_it(
        functions in prop::collection::btree_map(
            0..0x4000u32, "(core|hv)::(a|b|mm)(::[a-z]{1,8}){0,3}|[é]{90,110}", 1..200),
        questions in prop::collection::vec(0..0x5000u32, 20))
    {
        let list: Vec<(u32, String)> = functions.clone().into_iter().collect();
        let mut section = build(&list);
        section.resize(section.len() + 100, 0);
        let symbols = Symbols::new(&section).unwrap();
        prop_assert_eq!(symbols.len(), functions.len());
        for offset in questions {
            let expected = functions.range(..=offset).next_back();
            let found = symbols.find(offset);
            prop_assert_eq!(found.is_some(), expected.is_some());
            if let (Some((name, into)), Some((address, full))) = (found, expected) {
                prop_assert!(full.starts_with(name.as_str()));
                prop_assert!(full.len() == name.as_str().len() || name.as_str().len() > 190);
                prop_assert_eq!(into, offset - address);
            }
        }
    }

    #[test]
    fn no_bytes_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..300), at in any::<u32>()) {
        if let Some(magic) = bytes.first_chunk_mut() {
            *magic = MAGIC.to_le_bytes();
        }
        if let Some(symbols) = Symbols::new(&bytes) {
            let _ = symbols.find(at);
        }
    }
}

#[test]
fn an_empty_section_has_no_table() {
    assert!(Symbols::new(&[0; 64]).is_none());
    assert!(Symbols::new(&build(&[])).unwrap().find(0).is_none());
}

#[test]
fn the_plainest_of_several_names_is_kept() {
    let table = build(&[(8, "memmove_alias".to_string()), (8, "memcpy".to_string())]);
    let (name, into) = Symbols::new(&table).unwrap().find(9).unwrap();
    assert_eq!((name.as_str(), into), ("memcpy", 1));
}

#[test]
fn other_files_are_refused() {
    assert!(matches!(embed(b"no ELF"), Err(EmbedError::Elf(_))));
    let empty = BTreeMap::<u32, String>::new();
    assert_eq!(
        build(&empty.into_iter().collect::<Vec<_>>()),
        vec![b'X', b'L', b's', b'y', 0, 0, 0, 0, 0, 0, 0, 0]
    );
}
