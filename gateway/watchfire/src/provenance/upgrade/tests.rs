//! What a detector runs that was moved to another version, by what its entry says afterwards.

use std::fs;
use std::path::PathBuf;

use watchfire_config::PluginRef;
use watchfire_model::SystemClock;
use watchfire_package::{Trust, Version};

use super::super::Use;
use super::*;

const OLD: &[u8] = b"version 1";
const NEW: &[u8] = b"version 2";
const OTHER: &[u8] = b"version 3";

/// The detector `oil`, which was moved from a file with the version 1 to the version 2. Both are trusted, 3 is not.
struct Moved {
    folder: tempfile::TempDir,
    plugins: Plugins,
}

impl Moved {
    fn new(named: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::of(&folder.path().join("data"));
        for (name, bytes) in [("old.wasm", OLD), ("copy.wasm", OLD), ("other.wasm", OTHER)] {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        store.put_bare(Digest::of(NEW), NEW).unwrap();
        let named = named.then(|| folder.path().join("old.wasm").display().to_string());
        let now = Version { digest: Some(Digest::of(NEW)), kept_as: "oil/next.7".to_owned(), since: 7, learns_from: 0 };
        let upgrade = Upgrade { named, now: Some(now), ..Upgrade::over(Digest::of(OLD)) };
        store.bind(|bound| _ = bound.upgrade.insert("oil".to_owned(), upgrade)).unwrap();
        let plugins = Plugins {
            bound: Ok(store.bound().unwrap()),
            store,
            trust: Trust { allowed: [OLD, NEW].map(Digest::of).into(), ..Trust::default() },
            uses: BTreeMap::new(),
            judged: std::sync::Arc::default(),
            clock: std::sync::Arc::new(SystemClock),
            unbound: false,
            models: None,
        };
        Self { folder, plugins }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// The same with this entry.
    fn configured(&mut self, file: &str, digest: Option<&[u8]>) -> &mut Plugins {
        let plugin = PluginRef::File(self.path(file));
        let used = Use { plugin, pinned: digest.map(Digest::of), model: None, model_pinned: false };
        self.plugins.uses.insert("oil".to_owned(), used);
        &mut self.plugins
    }
}

fn digest(bytes: &[u8]) -> String {
    Digest::of(bytes).to_string()
}

fn runs(plugins: &Plugins) -> Result<String, String> {
    plugins.resolve("oil").map(|resolved| resolved.provenance.digest).map_err(|refused| refused.reason)
}

#[test]
fn a_moved_detector_runs_what_it_was_moved_to_until_its_entry_says_otherwise() {
    let mut moved = Moved::new(true);
    assert_eq!(runs(moved.configured("old.wasm", None)), Ok(digest(NEW)));
    assert_eq!(runs(moved.configured("copy.wasm", None)), Ok(digest(NEW)), "the same bytes under another name");
    assert_eq!(runs(moved.configured("old.wasm", Some(OLD))), Ok(digest(OLD)), "these bytes and no others");
    let refused = runs(moved.configured("old.wasm", Some(OTHER))).unwrap_err();
    assert!(refused.contains(&format!("the detector's `digest` is {}", digest(OTHER))), "{refused}");
    let refused = runs(moved.configured("other.wasm", None)).unwrap_err();
    assert!(refused.contains("other.wasm") && refused.contains(&digest(OTHER)), "it is not trusted: {refused}");
    fs::remove_file(moved.path("old.wasm")).unwrap();
    assert_eq!(runs(moved.configured("old.wasm", None)), Ok(digest(NEW)), "what it was moved from is not needed");
}

#[test]
fn what_was_moved_before_entries_were_kept_runs_on_where_its_file_is_gone() {
    let mut moved = Moved::new(false);
    assert_eq!(runs(moved.configured("gone.wasm", None)), Ok(digest(NEW)));
    assert_eq!(runs(moved.configured("old.wasm", Some(OLD))), Ok(digest(OLD)));
}

#[test]
fn a_detector_that_is_bound_in_the_configuration_is_changed_there_alone() {
    let mut moved = Moved::new(true);
    moved.configured("old.wasm", None).may_be_moved("oil").unwrap();
    let refused = moved.configured("old.wasm", Some(OLD)).may_be_moved("oil").unwrap_err().to_string();
    assert!(refused.contains(&digest(OLD)) && refused.contains("change it there"), "{refused}");
}

#[test]
fn a_file_is_accepted_as_what_it_is_and_not_as_what_runs_in_its_place() {
    let mut moved = Moved::new(true);
    let found = moved.configured("copy.wasm", None).begin();
    assert_eq!(found["oil"].digest, digest(NEW));
    let bound = moved.plugins.store.bound().unwrap();
    assert_eq!(bound.detector.get("oil"), Some(&Digest::of(OLD)));
    moved.plugins.store.bind(|bound| bound.upgrade.clear()).unwrap();
    let rolled_back = moved.configured("copy.wasm", None).with_upgrades().unwrap();
    assert_eq!(runs(&rolled_back), Ok(digest(OLD)));
}
