//! Answers and components that nobody would write: the seeds of `make fuzz`, and what comes of them when bytes are changed
//! at random. What is lifted and let pass keeps the contract; all else is a sentence.

use std::collections::BTreeMap;
use std::path::PathBuf;

use watchfire_sandbox::{Sandbox, SandboxOptions, misfits};

use crate::mirror::{self, is_a_sentence};

fn seeds(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fuzz/seeds")).join(target);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

/// Bytes changed at random, some to what lies at edges.
struct Changes(u64);

impl Changes {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 20).unwrap() % below
    }

    fn of(&mut self, seed: &[u8]) -> Vec<u8> {
        let mut bytes = seed.to_vec();
        for _ in 0..=self.next(4) {
            let place = self.next(bytes.len());
            bytes[place] = match self.next(4) {
                0 => 0,
                1 => 0xff,
                2 => bytes[place] ^ (1 << self.next(8)),
                _ => u8::try_from(self.next(256)).unwrap(),
            };
        }
        bytes
    }
}

#[tokio::test]
async fn what_is_let_pass_of_any_answer_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let (file, bundled) = (folder.path().join("answer"), vec![mirror::bundled()]);
    let sandbox = Sandbox::new(SandboxOptions { bundled, ..SandboxOptions::default() }).unwrap();
    let (mut changes, mut passed, mut others) = (Changes(0x9E37_79B9_7F4A_7C15), Vec::new(), BTreeMap::new());
    for (path, seed) in seeds("results") {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        for turn in 0..200 {
            let bytes = if turn == 0 { seed.clone() } else { changes.of(&seed) };
            if mirror::processed(&sandbox, &bytes).await && turn == 0 {
                passed.push(name.clone());
            }
            if turn % 10 == 0 {
                let calls = mirror::others(&sandbox, &bytes, &file).await;
                calls.into_iter().for_each(|call| *others.entry(call).or_insert(0) += 1);
            }
        }
    }
    assert_eq!(
        passed,
        ["evidence", "evidence-without-numbers", "nothing", "progress", "scores", "verdict"],
        "the seeds are where the guest hands them back"
    );
    let met: Vec<&str> = others.into_keys().collect();
    assert_eq!(met, ["explain", "init", "learn", "model", "observe", "save"], "each lets some pass");
}

#[tokio::test]
async fn a_component_with_changed_bytes_is_a_sentence_or_a_detector() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::new(SandboxOptions::default()).unwrap();
    let (mut changes, file) = (Changes(7), folder.path().join("changed.wasm"));
    for (path, seed) in seeds("component") {
        for turn in 0..20 {
            let bytes = if turn == 0 { seed.clone() } else { changes.of(&seed) };
            std::fs::write(&file, &bytes).unwrap();
            match sandbox.inspect(&file).await {
                Ok(said) => assert!(!said.id.is_empty(), "{}", path.display()),
                Err(error) => is_a_sentence(&error.to_string()),
            }
        }
    }
}

#[test]
fn whatever_a_schema_and_a_configuration_are_what_does_not_fit_is_told_in_sentences() {
    let (mut changes, mut told) = (Changes(11), 0);
    for (path, seed) in seeds("schema") {
        for turn in 0..300 {
            let bytes = if turn == 0 || seed.is_empty() { seed.clone() } else { changes.of(&seed) };
            let text = String::from_utf8_lossy(&bytes);
            let (schema, config) = text.split_once("\n---\n").unwrap_or((&text, "{}"));
            let found = misfits(schema, config);
            assert!(found.len() <= 64, "{}: {}", path.display(), found.len());
            found.iter().for_each(|misfit| is_a_sentence(&misfit.to_string()));
            told += found.len();
        }
    }
    assert!(told > 300, "{told}");
}
