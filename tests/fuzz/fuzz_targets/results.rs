//! Any bytes in place of what a detector answers: a guest hands back, as its answer, the very memory in which it was handed
//! the input. What the gateway lifts and lets pass must keep the contract; all else ends the instance with a sentence.

#![no_main]

use std::sync::{Arc, OnceLock};

use libfuzzer_sys::fuzz_target;
use tokio::runtime::Runtime;
use watchfire_model::{Batch, Instant, Lsn, SignalId, SignalInfo, Verdict};
use watchfire_pipeline::{BindingSpec, Detector, DetectorFactory, Quota};
use watchfire_sandbox::{Sandbox, SandboxOptions};

#[path = "../../../gateway/sandbox/tests/sandbox/guest.rs"]
mod guest;

/// Answers the column of times, which lies at 4,192.
const MIRROR: (&str, &str) = ("process", "(global.set $next (i32.const 4096)) (return (i32.load offset=32 (local.get 0)))");
const SIGNALS: u32 = 3;

fn sandbox() -> &'static (Runtime, Arc<Sandbox>) {
    static SANDBOX: OnceLock<(Runtime, Arc<Sandbox>)> = OnceLock::new();
    SANDBOX.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let bundled = vec![("mirror".to_owned(), guest::guest(&[MIRROR]).into())];
        let options = SandboxOptions { bundled, ..SandboxOptions::default() };
        (runtime.expect("a runtime"), Sandbox::new(options).expect("a sandbox"))
    })
}

fn binding() -> BindingSpec {
    let signal = |id| SignalInfo { id: SignalId(id), name: format!("s{id}").into(), ..SignalInfo::default() };
    BindingSpec {
        name: "mirror".to_owned(),
        plugin: "mirror".to_owned(),
        signals: (0..SIGNALS).map(signal).collect(),
        config: "{}".to_owned(),
        places: Default::default(),
        model: None,
        seed: 0,
        alarms: Default::default(),
        quota: Quota::default(),
    }
}

fn is_good(verdict: &Verdict) -> bool {
    let finding = |finding: &watchfire_model::Finding| {
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

async fn answered(mut detector: Box<dyn Detector>, batch: &Batch) {
    match detector.process(batch).await {
        Ok(outcome) => {
            let scores = &outcome.scores;
            let rows = scores.at.len();
            assert!([scores.condition.len(), scores.instance.len(), scores.score.len()].iter().all(|len| *len == rows));
            assert!(scores.score.iter().all(|score| !score.is_nan()));
            assert!(outcome.verdicts.iter().all(is_good), "{:?}", outcome.verdicts);
        }
        Err(fault) => {
            let told = fault.to_string();
            assert!(!told.is_empty() && !told.contains(['\n', '\u{1b}']), "{told:?}");
            assert!(detector.process(batch).await.is_err(), "it is finished");
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let word = |bytes: &[u8]| {
        let mut whole = [0; 8];
        whole.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        i64::from_le_bytes(whole)
    };
    let batch = Batch { frame: Lsn(1), now: Instant::from_s(1), time: bytes.chunks(8).map(word).collect(), ..Batch::default() };
    let (runtime, sandbox) = sandbox();
    runtime.block_on(async {
        let detector = sandbox.create(&binding()).await.expect("the guest is good");
        answered(detector, &batch).await;
    });
});
