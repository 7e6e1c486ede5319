//! The author's guide, word by word: its commands make, build, pack, check, try and measure a detector. And what the
//! commands say of a detector that is none.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};

use crate::harness::gateway::PROGRAM;
use crate::harness::top;

const GUIDE: &str = "docs/detectors.md";
const RUST: &str = "watchfire plugin new hot-oil --lang rust";

/// Whether each language is tried (`make conformance`), or those alone whose compiler is quick to have.
pub fn all_languages() -> bool {
    std::env::var_os("WATCHFIRE_LANGUAGES").is_some_and(|languages| languages == "all")
}

/// The block of commands of a page that begins with this line.
pub fn commands(page: &str, first: &str) -> String {
    let text = fs::read_to_string(top().join(page)).unwrap();
    let block = text.split("```sh\n").skip(1).find(|block| block.starts_with(first));
    block
        .unwrap_or_else(|| panic!("{page} has no commands that begin with `{first}`"))
        .split("```")
        .next()
        .unwrap()
        .into()
}

/// A folder with the program and a cargo in it that builds guests with the compiler which the set-up made available.
fn tools(folder: &Path) {
    symlink(PROGRAM, folder.join("watchfire")).unwrap();
    let toolchain = Command::new("python3").arg(top().join("plugins/toolchain.py")).arg("--env").output().unwrap();
    assert!(toolchain.status.success(), "{}", String::from_utf8_lossy(&toolchain.stderr));
    let guests = String::from_utf8(toolchain.stdout).unwrap();
    let cargo = std::env::var("CARGO").unwrap();
    // The standard library is built for guests once, not for each run of this test.
    let kept = top().join("plugins/target/guide");
    fs::create_dir_all(&kept).unwrap();
    let script = format!(
        "#!/bin/sh\n[ -e target ] || ln -s '{}' target\ncase \"$*\" in *wasm32*)\n{guests}exec '{cargo}' \"$@\" \
         --offline $GUEST_CARGO_ARGS;;\nesac\nexec '{cargo}' \"$@\" --offline\n",
        kept.display()
    );
    fs::write(folder.join("cargo"), script).unwrap();
    fs::set_permissions(folder.join("cargo"), fs::Permissions::from_mode(0o755)).unwrap();
}

/// The C compiler that the set-up brought, as the guide says where there is no clang.
fn c_compiler() -> String {
    let python = top().join("third_party/languages/c/bin/python");
    assert!(python.exists(), "there is no C compiler for guests; run `make languages`");
    format!("{} -m ziglang cc --target=wasm32-freestanding", python.display())
}

/// A Go that the set-up brought, which asks nobody for anything.
fn go(folder: &Path) {
    let made = top().join("third_party/languages/go");
    assert!(made.join("bin/go").exists(), "there is no Go; run `make languages`");
    let script = format!(
        "#!/bin/sh\nexport GOCACHE='{0}/cache' GOPATH='{0}/path' GOPROXY=off GOTOOLCHAIN=local GOWORK=off GOENV=off\n\
         exec '{0}/bin/go' \"$@\"\n",
        made.display()
    );
    fs::write(folder.join("go"), script).unwrap();
    fs::set_permissions(folder.join("go"), fs::Permissions::from_mode(0o755)).unwrap();
}

fn shell(commands: &str, tools: &Path, folder: &Path) -> (Output, String) {
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell.args(["-e", "-x", "-c", commands]).current_dir(folder).env("PATH", path).env("WASM_CC", c_compiler());
    // The project is on its own: none of the settings of the build that runs this test.
    for name in ["CARGO_TARGET_DIR", "CARGO_MANIFEST_DIR", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"] {
        shell.env_remove(name);
    }
    let output = shell.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output, told)
}

fn plugin(words: &[&str], folder: &Path) -> (Option<i32>, String) {
    let output = Command::new(PROGRAM).arg("plugin").args(words).current_dir(folder).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code(), told)
}

#[test]
fn the_authors_guide_leads_to_a_detector_that_runs() {
    let folder = tempfile::tempdir().unwrap();
    let bin = folder.path().join("bin");
    fs::create_dir(&bin).unwrap();
    tools(&bin);
    let (output, told) = shell(&commands(GUIDE, RUST), &bin, folder.path());
    assert!(output.status.success(), "{told}");
    let wanted = [
        "test result: ok. 2 passed",
        "imports      watchfire:detector/log@1.0.0, watchfire:detector/types@1.0.0",
        "licence      Apache-2.0 OR MIT",
        "condition    above: for each signal, the plugin decides, severity 500",
        "good         a gateway of this version runs it",
        "all 3 verdicts are the golden ones",
        "fuel/sample",
    ];
    tells(&told, &wanted);

    // The same detector with another limit does not say what it is known to say.
    let project = folder.path().join("hot-oil");
    let arguments = ["test", "hot-oil.wasm", "--data", "data/sample.csv", "--golden", "data/golden.jsonl", "--config"];
    let (code, told) = plugin(&[&arguments[..], &[r#"{"above": 92}"#]].concat(), &project);
    assert!(code == Some(1) && told.contains("verdict 2: golden") && told.contains("--update"), "{told}");
    // A configuration without the limit, and a core module in place of the component.
    let (code, told) = plugin(&[&arguments[..], &["{}"]].concat(), &project);
    assert!(code == Some(1) && told.contains("refuses its configuration") && told.contains("above"), "{told}");
    let module = "target/wasm32-unknown-unknown/release/hot_oil.wasm";
    let (code, told) = plugin(&["check", module], &project);
    assert!(code == Some(1) && told.contains("watchfire plugin pack"), "{told}");
    has_the_same_commands(&project, RUST);
}

#[track_caller]
fn tells(told: &str, wanted: &[&str]) {
    for part in wanted {
        assert!(told.contains(part), "`{part}` is missing in:\n{told}");
    }
}

/// The README of a project has the commands of the guide.
fn has_the_same_commands(project: &Path, first: &str) {
    let readme = fs::read_to_string(project.join("README.md")).unwrap();
    let guide = commands(GUIDE, first);
    assert!(guide.lines().skip(2).all(|line| readme.contains(line)), "{guide}\n{readme}");
}

#[test]
fn the_guide_leads_to_a_detector_in_other_languages() {
    let languages: &[&str] = if all_languages() { &["c", "go", "python", "javascript"] } else { &["c", "go"] };
    for &language in languages {
        let first = format!("watchfire plugin new hot-oil --lang {language}\n");
        let folder = tempfile::tempdir().unwrap();
        let bin = folder.path().join("bin");
        fs::create_dir(&bin).unwrap();
        symlink(PROGRAM, bin.join("watchfire")).unwrap();
        go(&bin);
        let (output, told) = shell(&commands(GUIDE, &first), &bin, folder.path());
        assert!(output.status.success(), "{told}");
        let tests = match language {
            "c" => "2 passed, 0 failed",
            "go" => "ok  \thot-oil",
            "python" => "Ran 2 tests",
            _ => "# pass 2",
        };
        let wanted = [
            tests,
            "licence      Apache-2.0 OR MIT",
            "condition    above: for each signal, the plugin decides, severity 500",
            "good         a gateway of this version runs it",
            "all 3 verdicts are the golden ones",
            "fuel/sample",
        ];
        tells(&told, &wanted);
        assert!(!told.contains("warning:"), "{told}");
        has_the_same_commands(&folder.path().join("hot-oil"), &first);
        let project = folder.path().join("hot-oil");
        names_mistakes_by_their_key(&project);
        if language != "javascript" {
            learns_and_hears(language, &commands(GUIDE, &first), &project, &bin);
        }
    }
}

/// What the guide adds for state, learning and events is exported, and the detector is the one that it was.
fn learns_and_hears(language: &str, commands: &str, project: &Path, bin: &Path) {
    let guide = fs::read_to_string(top().join(GUIDE)).unwrap();
    let added = guide.split(&format!("```{language}\n")).nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let append = |file: &str| {
        let text = fs::read_to_string(project.join(file)).unwrap_or_default();
        fs::write(project.join(file), text + added).unwrap();
    };
    match language {
        "c" => append("detector.c"),
        "go" => append("learner.go"),
        _ => append("detector.py"),
    }
    if language == "python" {
        let world = project.join("wit/guest.wit");
        let text = fs::read_to_string(&world).unwrap();
        let (head, _) = text.split_once("world guest {\n").unwrap();
        let full = guide.lines().find_map(|line| line.split_once("`include ")?.1.split('`').next()).unwrap();
        fs::write(&world, format!("{head}world guest {{\n  include {full}\n}}\n")).unwrap();
    }
    let is_for_once = |line: &str| line.contains("-m venv") || line.contains("pip install");
    let again: Vec<&str> = commands.lines().skip(2).filter(|line| !is_for_once(line)).collect();
    let (output, told) = shell(&again.join("\n"), bin, project);
    assert!(output.status.success(), "{told}");
    for interface in ["state", "learner", "events-in"] {
        let exported = told.lines().any(|line| line.starts_with("exports") && line.contains(&format!("/{interface}@")));
        assert!(exported, "{language}: `{interface}` is missing in:\n{told}");
    }
    tells(&told, &["all 3 verdicts are the golden ones"]);
}

fn names_mistakes_by_their_key(project: &Path) {
    for (config, part) in [
        ("{}", "`above`: it is missing"),
        (r#"{"above": "hot"}"#, "`above`: must be a number, not \"hot\""),
        (r#"{"abvoe": 1}"#, "`abvoe`: unknown key; known here: `above`"),
    ] {
        let (code, told) = plugin(&["test", "hot-oil.wasm", "--data", "data/sample.csv", "--config", config], project);
        assert!(code == Some(1) && told.contains(part), "{config}: {told}");
    }
}

#[test]
fn what_is_no_detector_is_refused_by_name_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let greedy = r#"(component
        (import "wasi:clocks/wall-clock@0.2.0" (instance))
        (import "wasi:filesystem/types@0.2.0" (instance)))"#;
    fs::write(at.join("greedy.wasm"), wat::parse_str(greedy).unwrap()).unwrap();
    fs::write(at.join("mute.wasm"), wat::parse_str("(component)").unwrap()).unwrap();
    fs::write(at.join("script.wasm"), "#!/bin/sh").unwrap();
    let cases = [
        ("greedy.wasm", "`wasi:clocks/wall-clock@0.2.0`; no clock: `now` of the batch is the time"),
        ("greedy.wasm", "`wasi:filesystem/types@0.2.0`; no files"),
        ("mute.wasm", "does not export `watchfire:detector/detector@1.0.0`"),
        ("script.wasm", "it is no WebAssembly component"),
    ];
    for (file, part) in cases {
        let (code, told) = plugin(&["check", file], at);
        assert!(code == Some(1) && told.contains(part), "{file}: {told}");
    }
    let (code, told) = plugin(&["new", "Hot Oil"], at);
    assert!(code == Some(1) && told.contains("cannot be a detector's name"), "{told}");
}
