//! That the patched crates are those that are built, and that making them fails loudly.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const CRATES: [&str; 5] =
    ["async-opcua-client", "async-opcua-core", "async-opcua-crypto", "async-opcua-nodes", "async-opcua-server"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Cargo ignores a patch of another version with a mere warning. In the lock file a package that comes from a path has
/// no source, and a patch that is not used stands under `patch.unused`.
#[test]
fn the_patched_crates_are_those_that_are_built() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).expect("the lock file");
    assert!(!lock.contains("[[patch.unused]]"), "a patch in Cargo.toml is not used");
    for name in CRATES {
        let packages: Vec<_> =
            lock.split("[[package]]").filter(|package| package.contains(&format!("name = \"{name}\"\n"))).collect();
        assert_eq!(packages.len(), 1, "{name} is there once: {packages:?}");
        assert!(!packages[0].contains("\nsource ="), "{name} does not come from third_party: {}", packages[0]);
        assert!(root().join("third_party").join(name).join("LICENSE-MPL-2.0.txt").is_file());
    }
}

/// A folder with a `cargo` that hands out two small crates, their digests as pinned or not.
struct Workshop {
    folder: tempfile::TempDir,
}

impl Workshop {
    fn new(pinned: bool) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let script = fs::read_to_string(root().join("gateway/ua/patches/apply.py")).expect("the script");
        let mut packages = Vec::new();
        for name in CRATES {
            let at = script.split(&format!("\"{name}\": \"")).nth(1).and_then(|rest| rest.split('"').next());
            let digest = if pinned { at.expect("a pinned digest") } else { "another" };
            let unpacked = folder.path().join(name);
            fs::create_dir_all(&unpacked).expect("a folder");
            fs::write(unpacked.join("Cargo.toml"), "old line\n").expect("a file");
            let sum = "9e9894bfcaf8d63b9898e90db0fe05f5a0388d45bcf60a0a208ad31153072142";
            let listing = serde_json::json!({ "package": digest, "files": { "Cargo.toml": sum } });
            fs::write(unpacked.join(".cargo-checksum.json"), listing.to_string()).expect("a file");
            packages.push(serde_json::json!({
                "name": name, "version": "0.19.0", "manifest_path": unpacked.join("Cargo.toml"),
            }));
        }
        let metadata = serde_json::json!({ "packages": packages }).to_string();
        fs::write(folder.path().join("metadata.json"), metadata).expect("a file");
        let cargo = folder.path().join("cargo");
        let answer = folder.path().join("metadata.json");
        fs::write(&cargo, format!("#!/bin/sh\ncat '{}'\n", answer.display())).expect("a script");
        fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).expect("a program");
        fs::create_dir(folder.path().join("patches")).expect("a folder");
        Self { folder }
    }

    fn patch(&self, old: &str) {
        let path = "async-opcua-nodes/Cargo.toml";
        let patch = format!("say why\n---\n--- a/{path}\n+++ b/{path}\n@@ -1 +1 @@\n-{old}\n+new line\n");
        fs::write(self.folder.path().join("patches/1.patch"), patch).expect("a patch");
    }

    fn apply(&self) -> Output {
        Command::new("python3")
            .arg(root().join("gateway/ua/patches/apply.py"))
            .arg("--into")
            .arg(self.folder.path().join("made"))
            .arg("--patches")
            .arg(self.folder.path().join("patches"))
            .env("CARGO", self.folder.path().join("cargo"))
            .output()
            .expect("python3 runs")
    }

    fn made(&self) -> String {
        fs::read_to_string(self.folder.path().join("made/async-opcua-nodes/Cargo.toml")).unwrap_or_default()
    }
}

#[test]
fn a_second_run_does_nothing_and_a_changed_patch_makes_the_crates_anew() {
    let workshop = Workshop::new(true);
    workshop.patch("old line");
    let first = workshop.apply();
    assert!(first.status.success(), "{first:?}");
    assert_eq!(workshop.made(), "new line\n");

    fs::remove_file(workshop.folder.path().join("cargo")).expect("cargo goes");
    let second = workshop.apply();
    assert!(second.status.success() && second.stdout.is_empty() && second.stderr.is_empty(), "{second:?}");

    fs::remove_file(workshop.folder.path().join("patches/1.patch")).expect("the patch goes");
    assert!(!workshop.apply().status.success(), "the stamp tells that the patches changed");
}

#[test]
fn a_patch_that_no_longer_applies_is_named() {
    let workshop = Workshop::new(true);
    workshop.patch("another line");
    let failed = workshop.apply();
    let said = String::from_utf8_lossy(&failed.stderr);
    assert!(!failed.status.success() && said.contains("1.patch") && said.contains("does not apply"), "{said}");
    assert_eq!(workshop.made(), "", "nothing half made is left behind");
}

#[test]
fn a_crate_of_another_digest_is_refused() {
    let workshop = Workshop::new(false);
    let failed = workshop.apply();
    let said = String::from_utf8_lossy(&failed.stderr);
    assert!(!failed.status.success() && said.contains("SHA-256") && said.contains("async-opcua-client"), "{said}");
}
