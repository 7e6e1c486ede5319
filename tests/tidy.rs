//! The house rules of ARCHITECTURE.md as tests: who may depend on whom, how files begin, what no file may hold.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::harness::top;

/// Libraries that only these rooms may name.
const KEPT: [(&str, &[&str]); 8] = [
    ("minisign", &["package"]),
    ("minisign-verify", &["package"]),
    ("parquet", &["exchange"]),
    ("roxmltree", &["ua"]),
    ("async-opcua", &["ua", "source", "server", "plant", "console"]),
    ("sled", &["history"]),
    ("redb", &["history"]),
    ("wasmtime", &["sandbox"]),
];
/// Rooms behind the pipeline's ports: none sees another.
const APART: [&str; 5] = ["source", "journal", "history", "sandbox", "server"];
/// Rooms that only calculate.
const PURE: [&str; 5] = ["model", "aggregates", "calibration", "alarms", "package"];
/// Names that say nothing.
const EMPTY_NAMES: [&str; 4] = ["mod", "utils", "common", "helpers"];
/// Where the one `unsafe` of the gateway is: the sandbox loads its own compiled code.
const UNSAFE_ROOM: &str = "gateway/sandbox/";
/// Where guests have theirs: there they meet their host by addresses. It can harm no memory but a guest's own.
const UNSAFE_GUESTS: [&str; 3] = ["plugins/sdk/src/frame.rs", "plugins/sdk/src/glue.rs", "plugins/sdk/src/memory.rs"];

fn packages() -> Vec<Value> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(cargo);
    command.args(["metadata", "--format-version", "1", "--offline", "--no-deps"]).current_dir(top());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

/// What each room names in its manifest, whether to build, to test or to run; the rooms without their prefix.
fn named() -> BTreeMap<String, BTreeSet<String>> {
    let one = |package: &Value| {
        let named = package["dependencies"].as_array().unwrap().iter();
        (short(&package["name"]), named.map(|dependency| short(&dependency["name"])).collect())
    };
    packages().iter().map(one).collect()
}

fn short(name: &Value) -> String {
    let name = name.as_str().unwrap();
    name.strip_prefix("watchfire-").unwrap_or(name).to_owned()
}

/// The files under version control.
pub(crate) fn tracked() -> Vec<PathBuf> {
    let output = Command::new("git").args(["ls-files", "-z"]).current_dir(top()).output().unwrap();
    assert!(output.status.success(), "the rules are checked on what git tracks");
    let names = String::from_utf8(output.stdout).unwrap();
    // A file that was removed but not yet committed is still listed.
    names.split_terminator('\0').map(PathBuf::from).filter(|path| top().join(path).exists()).collect()
}

/// Those with an extension, with what is in them.
pub(crate) fn with_extension(extension: &str) -> Vec<(PathBuf, String)> {
    let fits = tracked().into_iter().filter(|path| path.extension().is_some_and(|found| found == extension));
    fits.map(|path| (path.clone(), std::fs::read_to_string(top().join(path)).unwrap())).collect()
}

#[test]
fn heavy_libraries_are_named_in_their_rooms_alone() {
    for (room, named) in named() {
        for (library, rooms) in KEPT {
            assert!(!named.contains(library) || rooms.contains(&room.as_str()), "`{room}` names `{library}`");
        }
    }
}

#[test]
fn rooms_behind_the_ports_do_not_see_each_other() {
    let named = named();
    for room in APART {
        let others = APART.iter().filter(|other| **other != room);
        let seen: Vec<&&str> = others.filter(|other| named[room].contains(**other)).collect();
        assert!(seen.is_empty(), "`{room}` sees {seen:?}");
    }
}

#[test]
fn the_model_depends_on_no_room_and_only_the_program_sees_all() {
    let named = named();
    let rooms: BTreeSet<&String> = named.keys().collect();
    assert!(named["model"].iter().all(|name| !rooms.contains(name)), "{:?}", named["model"]);
    for (room, names) in &named {
        assert!(!names.contains("watchfire"), "`{room}` sees the program");
    }
    for pure in PURE {
        let busy: Vec<&String> =
            named[pure].iter().filter(|name| name.starts_with("tokio") || *name == "async-trait").collect();
        assert!(busy.is_empty(), "`{pure}` calculates, but names {busy:?}");
    }
}

#[test]
fn the_patched_opcua_crates_are_the_ones_in_use() {
    // Cargo only warns when a patch fits nothing, and takes the unpatched crate.
    let lock = std::fs::read_to_string(top().join("Cargo.lock")).unwrap();
    assert!(!lock.contains("[[patch.unused]]"), "a patched crate is not used: its version does not fit");
    for name in
        ["async-opcua-client", "async-opcua-core", "async-opcua-crypto", "async-opcua-nodes", "async-opcua-server"]
    {
        let named = format!("name = \"{name}\"");
        let found: Vec<&str> =
            lock.split("[[package]]").filter(|package| package.lines().any(|line| line == named)).collect();
        let [package] = found[..] else { panic!("there is one `{name}`, not {}", found.len()) };
        assert!(!package.contains("source = "), "`{name}` comes from outside, not from third_party");
        assert!(top().join("third_party").join(name).join("Cargo.toml").exists());
    }
}

#[test]
fn files_have_names_that_say_something() {
    for path in tracked() {
        let parts = path
            .components()
            .map(|part| Path::new(part.as_os_str()).file_stem().unwrap().to_string_lossy().into_owned());
        let empty: Vec<String> = parts.filter(|part| EMPTY_NAMES.contains(&part.as_str())).collect();
        assert!(empty.is_empty(), "{} is named {empty:?}", path.display());
    }
}

#[test]
fn rust_files_say_first_what_they_are_for() {
    let silent: Vec<PathBuf> =
        with_extension("rs").into_iter().filter(|(_, text)| !text.starts_with("//!")).map(|(path, _)| path).collect();
    assert!(silent.is_empty(), "these do not begin with `//!`: {silent:?}");
}

#[test]
fn no_test_is_ignored_and_nothing_is_left_to_do() {
    let left = [["#[ign", "ore"].concat(), ["tod", "o!("].concat(), ["unimple", "mented!("].concat()];
    for (path, text) in with_extension("rs") {
        for (count, line) in text.lines().enumerate() {
            let found: Vec<&String> = left.iter().filter(|word| line.contains(word.as_str())).collect();
            assert!(found.is_empty(), "{}:{}: {line}", path.display(), count + 1);
        }
    }
}

#[test]
fn unsafe_code_is_where_it_is_expected_and_nowhere_else() {
    let keyword = ["uns", "afe"].concat();
    let mut found = Vec::new();
    for (path, text) in with_extension("rs") {
        if UNSAFE_GUESTS.iter().any(|guest| path.ends_with(guest)) {
            continue;
        }
        for (count, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap();
            let words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
            if words.into_iter().any(|word| word == keyword) {
                found.push(format!("{}:{}", path.display(), count + 1));
            }
        }
    }
    let [only] = &found[..] else { panic!("one is expected, in {UNSAFE_ROOM}: {found:?}") };
    assert!(only.starts_with(UNSAFE_ROOM), "{only}");
}

#[test]
fn no_file_names_a_registry_or_a_place_of_one_machine() {
    let words: Vec<String> = [
        ["crates.", "io"],
        ["pypi.", "org"],
        ["pythonhosted.", "org"],
        ["npmjs.", "org"],
        ["npmjs.", "com"],
        ["debian.", "org"],
        ["ubuntu.", "com"],
        ["/ro", "ot/"],
        ["/wo", "rk/"],
        ["/ho", "me/"],
    ]
    .iter()
    .map(|parts| parts.concat())
    .collect();
    for path in tracked() {
        // Cargo writes its registry's name into its lock by itself.
        if path.file_name().is_some_and(|name| name == "Cargo.lock") {
            continue;
        }
        let Ok(text) = std::fs::read_to_string(top().join(&path)) else { continue };
        for (count, line) in text.lines().enumerate() {
            let found: Vec<&String> = words.iter().filter(|word| line.contains(word.as_str())).collect();
            assert!(found.is_empty(), "{}:{}: {found:?}", path.display(), count + 1);
        }
    }
}

/// The rows of the table of clauses: what the first cell says, and the tests of the last.
fn rows_of_clauses() -> Vec<(String, Vec<String>)> {
    let page = std::fs::read_to_string(top().join("docs/conditions.md")).unwrap();
    let table = page.split("\n## ").next().unwrap();
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches(['|', ' ']).split(" | ").collect();
        let tests = cells.last().unwrap().split('`').skip(1).step_by(2).map(str::to_owned).collect();
        (cells[0].to_owned(), tests)
    };
    table.lines().filter(|line| line.starts_with("| ")).map(row).collect()
}

#[test]
fn what_a_page_says_is_shown_by_a_test_has_that_test() {
    let sources: String = with_extension("rs").into_iter().map(|(_, text)| text).collect();
    let mut named = 0;
    for (row, tests) in rows_of_clauses() {
        for test in tests {
            assert!(sources.contains(&format!("fn {test}(")), "there is no test `{test}`: {row}");
            named += 1;
        }
    }
    assert!(named > 40, "the table is read: {named}");
    let page = std::fs::read_to_string(top().join("docs/outages.md")).unwrap();
    let shown = page.lines().filter(|line| line.starts_with("| ")).flat_map(|line| line.split('`').skip(1).step_by(2));
    let tests: Vec<&str> = shown.filter_map(|name| Some(name.split_once("::")?.1)).collect();
    assert!(tests.len() > 40, "so is that of outages: {tests:?}");
    for test in tests {
        assert!(sources.contains(&format!("fn {test}(")), "there is no test `{test}` of outages");
    }
}

/// Clauses that a row is about, with their part; what stands in brackets is only mentioned.
fn clauses_of_row(cell: &str) -> BTreeSet<(u32, String)> {
    let mut found = BTreeSet::new();
    let mut part = 9;
    let mut bracketed = false;
    for word in cell.split_whitespace() {
        bracketed |= word.starts_with('(');
        let bare = word.trim_matches([',', ';', ':']);
        if let Some(number) = bare.strip_prefix("10000-") {
            part = number.parse().unwrap();
        } else if !bracketed && bare.contains('.') && bare.split('.').all(|n| n.parse::<u32>().is_ok()) {
            found.insert((part, bare.to_owned()));
        }
        if word.ends_with(';') {
            part = 9;
        }
        bracketed &= !word.contains(')');
    }
    found
}

/// Clauses in a test's name: `p9_5_5_4_and_5_5_5_an_alarm…` has two of part 9.
fn clauses_of_test(name: &str) -> BTreeSet<(u32, String)> {
    let mut words = name.split('_').peekable();
    let Some(part) = words.next().and_then(|word| word.strip_prefix('p')).and_then(|part| part.parse().ok()) else {
        return BTreeSet::new();
    };
    let is_number = |word: &&str| word.parse::<u32>().is_ok();
    let mut found = BTreeSet::new();
    loop {
        let mut clause = Vec::new();
        while let Some(number) = words.next_if(is_number) {
            clause.push(number);
        }
        if clause.is_empty() {
            return found;
        }
        found.insert((part, clause.join(".")));
        words.next_if_eq(&"and");
    }
}

#[test]
fn each_clause_has_a_test_that_bears_it_in_its_name() {
    let rows = rows_of_clauses();
    for (row, tests) in &rows {
        let borne: BTreeSet<(u32, String)> = tests.iter().flat_map(|test| clauses_of_test(test)).collect();
        for (part, clause) in clauses_of_row(row) {
            assert!(borne.contains(&(part, clause.clone())), "no test of {clause} of part {part}: {row}");
        }
    }
    let told: BTreeSet<(u32, String)> = rows.iter().flat_map(|(row, _)| clauses_of_row(row)).collect();
    let mut tests = 0;
    for (path, text) in with_extension("rs") {
        let names = text.lines().filter_map(|line| line.trim().trim_start_matches("async ").strip_prefix("fn p"));
        for name in names.map(|rest| format!("p{}", rest.split('(').next().unwrap())) {
            let clauses = clauses_of_test(&name);
            let unknown: Vec<_> = clauses.iter().filter(|clause| !told.contains(*clause)).collect();
            assert!(unknown.is_empty(), "{}: docs/conditions.md has no row of {unknown:?}: {name}", path.display());
            let cited = rows.iter().any(|(_, tests)| tests.contains(&name));
            assert!(clauses.is_empty() || cited, "{}: docs/conditions.md does not cite {name}", path.display());
            tests += usize::from(!clauses.is_empty());
        }
    }
    assert!(tests > 50, "the names are read: {tests}");
}
