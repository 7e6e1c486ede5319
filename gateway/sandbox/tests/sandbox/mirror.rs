//! A guest that answers its calls with bytes of somebody's choice, and what must hold of all that is let pass.

use std::path::Path;

use watchfire_model::{Batch, ConditionSpec, Finding, Instant, Lsn, Outcome, SignalId, SignalInfo, Verdict, plain};
use watchfire_pipeline::{BindingSpec, Detector, DetectorFactory, ModelFile, Quota};
use watchfire_sandbox::Sandbox;

use crate::guest::guest;

const NAME: &str = "mirror";
const SIGNALS: u32 = 3;
const KEPT: &str = "(return (global.get $kept))";
/// Answers a batch with its column of times, which lies at 4,192; in any mode but 0 with nothing, and keeps the column
/// as the answer to all other calls. To `init` it answers the model that it is handed.
const MIRROR: [(&str, &str); 8] = [
    ("defs", "(global $kept (mut i32) (i32.const 0))"),
    (
        "process",
        "(global.set $next (i32.const 4096)) (global.set $kept (i32.load offset=32 (local.get 0)))
         (if (i32.eqz (i32.load offset=20 (local.get 0))) (then (return (global.get $kept))))
         (global.set $next (i32.const 32768)) (return (i32.const 704))",
    ),
    ("init", "(if (local.get 5) (then (global.set $next (i32.const 4096)) (return (local.get 6))))"),
    ("explain", KEPT),
    ("save", KEPT),
    ("model", KEPT),
    ("learn", KEPT),
    ("observe", KEPT),
];

/// The plugin, by its name.
pub fn bundled() -> (String, std::borrow::Cow<'static, [u8]>) {
    (NAME.to_owned(), guest(&MIRROR).into())
}

fn binding() -> BindingSpec {
    let signal = |id| SignalInfo { id: SignalId(id), name: format!("s{id}").into(), ..SignalInfo::default() };
    BindingSpec {
        name: NAME.to_owned(),
        plugin: NAME.to_owned(),
        signals: (0..SIGNALS).map(signal).collect(),
        config: "{}".to_owned(),
        places: Default::default(),
        model: None,
        seed: 0,
        alarms: Default::default(),
        quota: Quota::default(),
    }
}

fn batch(bytes: &[u8], mode: u32) -> Batch {
    let word = |bytes: &[u8]| {
        let mut whole = [0; 8];
        whole.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        i64::from_le_bytes(whole)
    };
    let time = bytes.chunks(8).map(word).collect();
    Batch { frame: Lsn(1), now: Instant::from_s(1), mode, time, ..Batch::default() }
}

#[track_caller]
pub fn is_a_sentence(told: &str) {
    assert!(!told.is_empty() && plain(told) == told, "{told:?}");
}

fn is_good(verdict: &Verdict) -> bool {
    let finding = |finding: &Finding| {
        let observed = finding.observed.is_finite() || finding.observed.to_bits() == f64::NAN.to_bits();
        let bounds = [finding.low, finding.high].iter().flatten().all(|bound| bound.is_finite());
        finding.signal < SIGNALS && observed && bounds && (0.0..=1.0).contains(&finding.share)
    };
    verdict.condition == 0
        && verdict.instance < SIGNALS
        && verdict.score.is_none_or(f64::is_finite)
        && verdict.why.len() <= 2_048
        && !verdict.why.contains('\u{1b}')
        && verdict.evidence.iter().all(finding)
}

fn outcome(outcome: &Outcome) {
    let (scores, rows) = (&outcome.scores, outcome.scores.at.len());
    assert!([scores.condition.len(), scores.instance.len(), scores.score.len()].iter().all(|length| *length == rows));
    assert!(scores.score.iter().all(|score| score.is_finite()));
    assert!(outcome.verdicts.iter().all(is_good), "{:?}", outcome.verdicts);
}

fn conditions(conditions: &[ConditionSpec]) {
    assert!(conditions.len() <= 256);
    for condition in conditions {
        for text in [&condition.id, &condition.alarm_type, &condition.text, &condition.response] {
            assert_eq!(plain(text), **text);
        }
        assert_eq!(conditions.iter().filter(|other| other.id == condition.id).count(), 1, "{conditions:?}");
    }
}

async fn started(sandbox: &Sandbox) -> Box<dyn Detector> {
    sandbox.create(&binding()).await.unwrap()
}

/// Has a batch answered with the bytes; whether that was let pass.
pub async fn processed(sandbox: &Sandbox, bytes: &[u8]) -> bool {
    let (mut detector, batch) = (started(sandbox).await, batch(bytes, 0));
    match detector.process(&batch).await {
        Ok(answer) => outcome(&answer),
        Err(fault) => {
            is_a_sentence(&fault.to_string());
            assert!(detector.process(&batch).await.is_err(), "it is finished");
            return false;
        }
    }
    true
}

/// Has every other call answered with them; the calls of which the answer was let pass. `file` is written.
pub async fn others(sandbox: &Sandbox, bytes: &[u8], file: &Path) -> Vec<&'static str> {
    let mut passed = Vec::new();
    for call in ["explain", "save", "model", "learn", "observe"] {
        let mut detector = started(sandbox).await;
        detector.process(&batch(bytes, 1)).await.unwrap();
        let most = Quota::default().state_bytes;
        let answer = match call {
            "explain" => {
                detector.explain(0, 0).await.map(|verdict| assert!(verdict.iter().all(is_good), "{verdict:?}"))
            }
            "save" => detector.save().await.map(|state| assert!(state.unwrap_or_default().len() <= most)),
            "model" => detector.model().await.map(|model| assert!(model.len() <= most)),
            "learn" => detector.learn(&Batch::default()).await,
            _ => detector.observe(Lsn(2), Instant::from_s(2), &[]).await.map(|answer| outcome(&answer)),
        };
        match answer {
            Ok(()) => passed.push(call),
            Err(fault) => {
                is_a_sentence(&fault.to_string());
                assert!(detector.save().await.is_err(), "it is finished");
            }
        }
    }
    std::fs::write(file, bytes).unwrap();
    let model = Some(ModelFile { path: file.to_owned(), sha256: None });
    match sandbox.create(&BindingSpec { model, ..binding() }).await {
        Ok(detector) => {
            conditions(detector.conditions());
            passed.push("init");
        }
        Err(error) => is_a_sentence(&error.to_string()),
    }
    passed
}
