//! The annotated example, the demonstration and the documentation page say what the reader does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::read::read;
use crate::report::Report;
use crate::{Config, Lists, Mode, Security};

/// Every key the reader asks for, by section, with its default.
type Keys = BTreeMap<(&'static str, &'static str), Option<String>>;

fn top(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn text(path: &str) -> String {
    std::fs::read_to_string(top(path)).unwrap()
}

/// The example with every setting in force: a line that begins with `#` and no blank is one.
fn uncommented(example: &str) -> String {
    let line = |line: &str| match line.strip_prefix('#') {
        Some(setting) if setting.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => setting.to_owned(),
        _ => line.to_owned(),
    };
    example.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn folder_of_the_example() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("press.password"), "secret\n").unwrap();
    std::fs::write(folder.path().join("press-signals.csv"), "name,node\nfan/speed,/Plant/Fan/Speed\n").unwrap();
    for file in ["gateway.der", "gateway.pem", "shift-lead.der"] {
        std::fs::write(folder.path().join(file), "").unwrap();
    }
    std::fs::create_dir(folder.path().join("plugins")).unwrap();
    for file in ["vibration.wasm", "vibration.onnx"] {
        std::fs::write(folder.path().join("plugins").join(file), "").unwrap();
    }
    std::fs::write(folder.path().join("texts.csv"), "text,de\nActive,Aktiv\n").unwrap();
    std::fs::write(folder.path().join("alarms.csv"), "condition,severity\n").unwrap();
    let users = folder.path().join("users");
    std::fs::write(&users, "# nobody yet\n").unwrap();
    std::fs::set_permissions(&users, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    folder
}

fn keys() -> Keys {
    let example = uncommented(&text("config/watchfire.toml"));
    let folder = folder_of_the_example();
    let report = Report::new("example", &example);
    let (config, unread) = read(&report, &example, folder.path(), Lists::AsNamed);
    assert!(config.is_some() && unread.is_empty());
    report.asked.borrow().clone()
}

#[test]
fn the_example_is_right_as_it_is_and_with_everything_uncommented() {
    let example = text("config/watchfire.toml");
    let folder = folder_of_the_example();
    let as_it_is = Config::parse(&example, "watchfire.toml", folder.path()).unwrap_or_else(|told| panic!("{told}"));
    assert_eq!((as_it_is.sources.len(), as_it_is.detectors.len()), (1, 1));
    let whole = Config::parse(&uncommented(&example), "watchfire.toml", folder.path());
    let whole = whole.unwrap_or_else(|told| panic!("{told}"));
    assert_eq!((whole.sources.len(), whole.detectors.len()), (3, 2));
    assert_eq!(as_it_is.server.security, vec![Security::Basic256Sha256]);
    assert_eq!(whole.sources[0].password().unwrap().unwrap().expose(), "secret");
}

#[test]
fn the_examples_comments_show_every_key_and_give_the_defaults() {
    let keys = keys();
    let mut shown: Keys = Keys::new();
    let mut section = "top level";
    for line in text("config/watchfire.toml").lines() {
        let (commented, setting) = line.strip_prefix('#').map_or((false, line), |setting| (true, setting));
        if setting.starts_with('[') {
            let title = if setting.starts_with("[detector.alarm.") { "[detector.alarm.CONDITION]" } else { setting };
            section = keys.keys().map(|(known, _)| *known).find(|known| *known == title).unwrap_or("[detector.config]");
        } else if let Some((key, value)) = setting.split_once(" = ") {
            let Some((known, default)) = keys.iter().find(|(known, _)| **known == (section, key)) else { continue };
            // What differs from the source's own is shown with an example.
            if let (true, Some(default)) = (commented, default) {
                assert_eq!(value, default, "{section} {key}");
            }
            shown.insert(*known, commented.then(|| value.to_owned()));
        }
    }
    for (key, default) in &keys {
        let tables = [
            ("[server]", "user"),
            ("[server]", "access"),
            ("[server]", "lockout"),
            ("[[source]]", "signal"),
            ("[[source]]", "select"),
            ("[[source]]", "events"),
            ("[[detector]]", "config"),
            ("[[detector]]", "quota"),
        ];
        let is_table = key.0 == "top level" || tables.contains(key) || *key == ("[[detector]]", "alarm");
        assert!(is_table || shown.contains_key(key), "{key:?} is missing from the example");
        assert!(default.is_none() || shown.get(key).is_some_and(Option::is_some), "{key:?}: show its default");
    }
}

#[test]
fn the_page_has_every_key_under_its_section_with_its_default() {
    let page = text("docs/configuration.md");
    let mut rows = 0;
    for ((section, key), default) in keys().iter().filter(|((section, _), _)| *section != "top level") {
        let heading = format!("\n## `{section}`\n");
        let (_, below) = page.split_once(&heading).unwrap_or_else(|| panic!("no heading {section}"));
        let part = below.split("\n## ").next().unwrap();
        let default = default.as_ref().map_or("–".to_owned(), |default| format!("`{default}`"));
        let row = format!("\n| `{key}` | {default} | ");
        assert!(part.contains(&row), "{section} lacks {row}");
        rows += 1;
    }
    let described = page.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(described, rows, "the page describes keys that the reader does not know");
}

#[test]
fn the_pages_examples_are_right_together() {
    let page = text("docs/configuration.md");
    let mut blocks = page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let first = blocks.next().unwrap();
    Config::parse(first, "first", Path::new("")).unwrap_or_else(|told| panic!("{told}"));
    let example = blocks.collect::<Vec<_>>().join("\n") + "\n[[source.signal]]\nname = 'line/mode'\nnode = 'i=1'\n";
    let config = Config::parse(&example, "page", Path::new("")).unwrap_or_else(|told| panic!("{told}"));
    assert_eq!(config.sources[0].signals[0].area, "line/press/pump");
    assert_eq!(config.detectors[0].signals, vec!["press/pump/bearing_temp"]);
}

#[test]
fn the_demonstration_is_right() {
    let config = Config::load(&top("config/demo.toml")).unwrap_or_else(|told| panic!("{told}"));
    assert!((25..=40).contains(&config.sources[0].signals.len()));
    assert!(config.detectors.iter().all(|detector| detector.mode == Mode::Live));
}
