//! Answers and components that nobody would write: the seeds of `make fuzz`, and what comes of them when bytes are changed
//! at random. What is lifted and let pass keeps the contract; all else is a sentence.

use std::path::PathBuf;

use watchfire_model::{Batch, Finding, Instant, Lsn, Verdict};
use watchfire_pipeline::DetectorFactory;
use watchfire_sandbox::{Sandbox, SandboxOptions};

use crate::guest::guest;
use crate::setup::binding;

const SIGNALS: u32 = 3;
/// Answers the column of times, which lies at 4,192.
const MIRROR: (&str, &str) =
    ("process", "(global.set $next (i32.const 4096)) (return (i32.load offset=32 (local.get 0)))");

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

fn is_good(verdict: &Verdict) -> bool {
    let finding = |finding: &Finding| {
        let observed = finding.observed.is_finite() || finding.observed.to_bits() == f64::NAN.to_bits();
        let bounds = [finding.low, finding.high].iter().flatten().all(|bound| bound.is_finite());
        finding.signal < SIGNALS && observed && bounds && (0.0..=1.0).contains(&finding.share)
    };
    verdict.condition == 0
        && verdict.instance < SIGNALS
        && verdict.score.is_none_or(|score| !score.is_nan())
        && verdict.why.len() <= 2_048
        && !verdict.why.contains('\u{1b}')
        && verdict.evidence.iter().all(finding)
}

#[track_caller]
fn is_a_sentence(told: &str) {
    assert!(!told.is_empty() && !told.contains(['\n', '\u{1b}']), "{told:?}");
}

#[tokio::test]
async fn what_is_let_pass_of_any_answer_keeps_the_contract() {
    let bundled = vec![("mirror".to_owned(), guest(&[MIRROR]).into())];
    let sandbox = Sandbox::new(SandboxOptions { bundled, ..SandboxOptions::default() }).unwrap();
    let (mut changes, mut passed) = (Changes(0x9E37_79B9_7F4A_7C15), Vec::new());
    for (path, seed) in seeds("results") {
        for turn in 0..200 {
            let bytes = if turn == 0 { seed.clone() } else { changes.of(&seed) };
            let time = bytes.as_chunks::<8>().0.iter().map(|word| i64::from_le_bytes(*word)).collect();
            let batch = Batch { frame: Lsn(1), now: Instant::from_s(1), time, ..Batch::default() };
            let mut detector = sandbox.create(&binding("mirror", "{}", SIGNALS)).await.unwrap();
            match detector.process(&batch).await {
                Ok(outcome) => {
                    let (scores, rows) = (&outcome.scores, outcome.scores.at.len());
                    let lengths = [scores.condition.len(), scores.instance.len(), scores.score.len()];
                    assert!(lengths.iter().all(|length| *length == rows), "{}", path.display());
                    assert!(scores.score.iter().all(|score| !score.is_nan()), "{}", path.display());
                    assert!(outcome.verdicts.iter().all(is_good), "{}: {:?}", path.display(), outcome.verdicts);
                    if turn == 0 {
                        passed.push(path.file_name().unwrap().to_string_lossy().into_owned());
                    }
                }
                Err(fault) => {
                    is_a_sentence(&fault.to_string());
                    assert!(detector.process(&batch).await.is_err(), "it is finished");
                }
            }
        }
    }
    assert_eq!(
        passed,
        ["evidence", "evidence-without-numbers", "nothing", "progress", "scores", "verdict"],
        "the seeds are where the guest hands them back"
    );
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
