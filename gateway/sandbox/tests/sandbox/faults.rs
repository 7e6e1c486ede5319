//! Guests that misbehave: each fault ends its own instance with its reason, and nothing else.

use std::time::Duration;

use watchfire_model::Level;
use watchfire_pipeline::{CreateError, Detector, DetectorFactory, DetectorFault, Quota};

use crate::setup::{batch, binding, create, refusal, sandbox};

fn faulty(fault: &str, at: u32) -> String {
    format!(r#"{{"fault":"{fault}","at":{at}}}"#)
}

/// The kind of a fault and its reason.
fn named(fault: &DetectorFault) -> (&'static str, &str) {
    match fault {
        DetectorFault::Trap(why) => ("trap", why),
        DetectorFault::Quota(why) => ("quota", why),
        DetectorFault::Contract(why) => ("contract", why),
        DetectorFault::Refused(why) => ("refused", why),
    }
}

async fn still_works(detector: &mut Box<dyn Detector>) {
    let said = detector.process(&batch(9, &[101.0])).await.unwrap();
    assert_eq!(said.verdicts.iter().map(|verdict| verdict.level).collect::<Vec<_>>(), [Level::Active]);
}

#[tokio::test]
async fn each_fault_ends_its_instance_alone_with_its_reason() {
    let mut other = create("faulty", "{}", 1).await;
    for (fault, kind, reason) in [
        ("trap", "trap", "unreachable"),
        ("recursion", "quota", "stack"),
        ("loop", "quota", "fuel"),
        ("memory", "quota", "memory: it wanted more than 67108864 bytes (`memory_mb`)"),
        ("bad-index", "contract", "condition `above` has no instance 1048576"),
        ("bad-condition", "contract", "condition index 7, there are 1 conditions"),
        ("nan-score", "contract", "the score NaN is no number"),
        ("unequal-columns", "contract", "score columns of unequal lengths 0, 0, 0 and 1"),
        ("bad-share", "contract", "the share 1.5 is not between 0 and 1"),
        ("bad-text", "contract", "a verdict's reason holds control characters"),
        ("huge-result", "quota", "result"),
        ("refuse-batch", "refused", "`fault`: this is what was asked for"),
    ] {
        let mut detector = create("faulty", &faulty(fault, 2), 1).await;
        still_works(&mut detector).await;
        let said = detector.process(&batch(2, &[1.0])).await.unwrap_err();
        let (got, why) = named(&said);
        assert!(got == kind && why.contains(reason), "{fault}: {said}");
        assert!(detector.process(&batch(3, &[1.0])).await.is_err(), "{fault}: a failed instance is finished");
        still_works(&mut other).await;
    }
}

#[tokio::test]
async fn what_goes_wrong_at_the_start_is_told_apart() {
    let sandbox = sandbox();
    let of = async |fault: &str| refusal(&sandbox, &binding("faulty", &faulty(fault, 1), 1)).await;
    let refused = of("refuse").await;
    assert_eq!(refused.to_string(), "plugin `faulty` refuses its configuration: `fault`: this is what was asked for");
    assert!(matches!(of("trap-at-init").await, CreateError::Fault(DetectorFault::Trap(_))));
    let twins = of("twin-conditions").await;
    assert!(
        matches!(&twins, CreateError::Fault(DetectorFault::Contract(why)) if why.contains("named `above`")),
        "{twins}"
    );
    let severity = create("faulty", "{}", 1).await.conditions()[0].severity;
    assert_eq!(severity.get(), 1_000, "a severity out of range is clamped");
}

#[tokio::test]
async fn a_state_larger_than_allowed_is_not_taken() {
    let mut detector = create("faulty", &faulty("huge-state", 1), 1).await;
    let fault = detector.save().await.unwrap_err();
    assert!(matches!(&fault, DetectorFault::Quota(why) if why.contains("`state_kb`")), "{fault}");
}

#[tokio::test]
async fn a_flood_of_log_lines_harms_nobody() {
    let mut detector = create("faulty", &faulty("log-flood", 1), 1).await;
    still_works(&mut detector).await;
    still_works(&mut detector).await;
}

#[tokio::test]
async fn time_is_counted_in_slices_that_were_run() {
    let mut binding = binding("faulty", &faulty("loop", 1), 1);
    binding.quota = Quota { fuel_per_call: u64::MAX, call: Duration::from_millis(50), ..Quota::default() };
    let mut detector = sandbox().create(&binding).await.unwrap();
    let fault = detector.process(&batch(1, &[1.0])).await.unwrap_err();
    assert_eq!(fault, DetectorFault::Quota("time: it ran for 10 slices of 5 ms (`call_ms`)".into()));
}

#[tokio::test]
async fn a_caller_that_goes_away_ends_the_call() {
    let mut binding = binding("faulty", &faulty("loop", 1), 1);
    binding.quota = Quota { fuel_per_call: u64::MAX, call: Duration::from_secs(3_600), ..Quota::default() };
    let mut detector = sandbox().create(&binding).await.unwrap();
    let values = batch(1, &[1.0]);
    assert!(tokio::time::timeout(Duration::from_millis(20), detector.process(&values)).await.is_err());
    let fault = detector.process(&values).await.unwrap_err();
    assert!(matches!(&fault, DetectorFault::Trap(why) if why.contains("interrupted")), "{fault}");
}

/// As long as any machine takes for a call that is held up by nothing but other programs.
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test]
async fn detectors_in_a_loop_hold_nobody_up() {
    let cores = std::thread::available_parallelism().unwrap().get();
    let mut binding = binding("faulty", &faulty("loop", 1), 1);
    binding.quota = Quota { fuel_per_call: u64::MAX, call: Duration::from_secs(3_600), ..Quota::default() };
    let mut loops = Vec::new();
    for _ in 0..2 * cores {
        let mut detector = sandbox().create(&binding).await.unwrap();
        loops.push(tokio::spawn(async move { detector.process(&batch(1, &[1.0])).await }));
    }
    let mut quick = create("limit", r#"{"high":10}"#, 1).await;
    for s in 1..=15 {
        let values = batch(s, &[1.0]);
        let answered = tokio::time::timeout(PATIENCE, quick.process(&values)).await;
        assert!(answered.is_ok_and(|said| said.is_ok()), "it waits for the loops, which end after an hour");
    }
    assert!(loops.iter().all(|greedy| !greedy.is_finished()));
    loops.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn who_uses_every_slice_gives_way_and_is_still_held_to_its_time() {
    let cores = std::thread::available_parallelism().unwrap().get();
    let mut spec = binding("faulty", &faulty("loop", 1), 1);
    spec.quota = Quota { fuel_per_call: u64::MAX, call: Duration::from_millis(500), ..Quota::default() };
    let threads = sandbox().threads().unwrap();
    let mut loops = Vec::new();
    for _ in 0..4 * cores {
        let mut detector = sandbox().create(&spec).await.unwrap();
        loops.push(threads.spawn(async move { detector.process(&batch(1, &[1.0])).await }));
    }
    let mut quick = create("limit", r#"{"high":10}"#, 1).await;
    let served = threads.spawn(async move {
        for s in 1..=15 {
            quick.process(&batch(s, &[1.0])).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    served.await.unwrap();
    // Together they need two seconds of all cores, and the other three tenths of none.
    assert!(loops.iter().all(|greedy| !greedy.is_finished()), "it was served after one of {} loops", loops.len());
    for greedy in loops {
        let fault = greedy.await.unwrap().unwrap_err();
        assert_eq!(fault, DetectorFault::Quota("time: it ran for 100 slices of 5 ms (`call_ms`)".into()));
    }
}
