//! Released contracts stay what they were, and what was built for them stays good: each folder of `wit/` has the digest
//! it was released with, and the newest contract can stand in for every older one that a gateway treats as compatible.

#![expect(clippy::expect_used, reason = "a test says by failing what is not so")]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use wit_component::semver_check;
use wit_parser::{Resolve, WorldId};

/// The digests of the released contracts, `b3sum`'s way.
const RELEASED: &str = "released.txt";

fn wit() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../wit")
}

/// The version's numbers.
fn numbers(version: &str) -> Vec<u64> {
    version.split('.').map(|number| number.parse().expect("a version is three numbers")).collect()
}

/// The contracts by version, oldest first.
fn contracts() -> BTreeMap<Vec<u64>, String> {
    let folders = fs::read_dir(wit()).expect("wit/ is there").map(|entry| entry.expect("it is read").path());
    let read = |folder: PathBuf| {
        let version = folder.file_name().and_then(|name| name.to_str()).expect("a version").to_owned();
        let text = fs::read_to_string(folder.join("detector.wit")).expect("a version has its contract");
        assert!(text.contains(&format!("package watchfire:detector@{version};")), "`{version}` is another version");
        (numbers(&version), text)
    };
    folders.filter(|path| path.is_dir()).map(read).collect()
}

/// Whether a gateway links components of the older version to the newer: below 1.0 the second number must agree.
fn is_compatible(older: &[u64], newer: &[u64]) -> bool {
    let significant = if newer.first() == Some(&0) { 2 } else { 1 };
    older.get(..significant) == newer.get(..significant)
}

/// Why the newer contract cannot stand in for the older one, in either world.
fn breaks(older: &str, newer: &str) -> Option<String> {
    // Of one package and version there is one in a resolve, and the check passes over versions.
    let (head, rest) = newer.split_once("package watchfire:detector@").expect("it is a contract");
    let (_, rest) = rest.split_once(';').expect("it is a contract");
    let newer = format!("{head}package watchfire:detector@9999.0.0;{rest}");
    ["minimal", "full"].into_iter().find_map(|world| {
        let mut resolve = Resolve::default();
        let first = select(&mut resolve, "older.wit", older, world);
        let second = select(&mut resolve, "newer.wit", &newer, world);
        semver_check(resolve, first, second).err().map(|error| format!("{error:#}"))
    })
}

fn select(resolve: &mut Resolve, name: &str, text: &str, world: &str) -> WorldId {
    let package = resolve.push_str(name, text).expect("the contract parses");
    resolve.select_world(&[package], Some(world)).expect("the world is there")
}

#[test]
fn a_released_contract_is_never_edited() {
    let known = fs::read_to_string(wit().join(RELEASED)).expect("wit/released.txt is there");
    let line = |version: &[u64], text: &str| {
        let version: Vec<String> = version.iter().map(u64::to_string).collect();
        format!("{}  {}/detector.wit\n", blake3::hash(text.as_bytes()).to_hex(), version.join("."))
    };
    let found: String = contracts().iter().map(|(version, text)| line(version, text)).collect();
    assert_eq!(
        found, known,
        "a released contract never changes: make a folder of the next version, and add its line to `wit/{RELEASED}`"
    );
}

#[test]
fn the_newest_contract_stands_in_for_each_that_it_replaces() {
    let contracts = contracts();
    let (newest, current) = contracts.last_key_value().expect("there is a contract");
    for (version, released) in contracts.iter().filter(|(version, _)| is_compatible(version, newest)) {
        assert_eq!(breaks(released, current), None, "{version:?} to {newest:?}");
    }
}

/// What breaks components is a version of its own, which the gateway goes on answering to by a module of its own.
#[test]
fn each_version_has_its_module_in_the_sandbox() {
    let mut modules: Vec<String> = contracts()
        .keys()
        .map(|version| match version.as_slice() {
            [0, minor, ..] => format!("v0_{minor}.rs"),
            [major, ..] => format!("v{major}.rs"),
            [] => String::new(),
        })
        .collect();
    modules.dedup();
    for module in modules {
        assert!(wit().join("../gateway/sandbox/src").join(&module).is_file(), "`{module}` answers to no version");
    }
}

/// The first version was kept word for word: whoever moves to 1.0 changes the number, and nothing else.
#[test]
fn the_first_stable_contract_is_the_one_before_it() {
    let contracts = contracts();
    let of = |version: [u64; 3]| contracts.get(&version[..]).expect("it is there");
    assert_eq!(breaks(of([0, 1, 0]), of([1, 0, 0])), None);
    assert_eq!(breaks(of([1, 0, 0]), of([0, 1, 0])), None);
}

#[test]
fn a_change_that_breaks_components_is_seen() {
    let contracts = contracts();
    let (_, current) = contracts.last_key_value().expect("there is a contract");
    let minimal = "world minimal { import log; export detector; }";
    for (from, to, is_break) in [
        ("    mode: u32,                          // operating mode\n", "", true),
        ("utc-offset-s: s32", "utc-offset-s: s64", true),
        ("instance: u32) -> option<verdict>", "instance: u64) -> option<verdict>", true),
        ("enum level { normal, low-low,", "enum level { low-low, normal,", true),
        (minimal, "world minimal { export detector; }", true),
        (minimal, "world minimal { import log; export detector; export state; }", true),
        (
            minimal,
            "interface more { ask: func() -> u32; } world minimal { import log; import more; export detector; }",
            false,
        ),
    ] {
        let changed = current.replace(from, to);
        assert_ne!(&changed, current, "`{from}` is in the contract");
        let broken = breaks(current, &changed);
        assert_eq!(broken.is_some(), is_break, "`{from}` to `{to}`: {broken:?}");
    }
}
