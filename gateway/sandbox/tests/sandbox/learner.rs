//! Guests that learn: what they are taught, forget and show, and what comes of those that mean harm.

use watchfire_model::{Level, Outcome};
use watchfire_pipeline::{Detector, DetectorFault};

use crate::setup::{batch, create};

async fn model(detector: &mut Box<dyn Detector>) -> String {
    String::from_utf8(detector.model().await.unwrap()).unwrap()
}

fn levels(outcome: &Outcome) -> Vec<(u32, Level)> {
    outcome.verdicts.iter().map(|verdict| (verdict.instance, verdict.level)).collect()
}

#[tokio::test]
async fn a_learner_learns_from_history_is_frozen_and_forgets_what_it_is_asked_to() {
    let mut it = create("apprentice", r#"{"learn":2}"#, 2).await;
    assert!(it.learns());
    it.learn(&batch(1, &[4.0, 10.0])).await.unwrap();
    it.learn(&batch(2, &[6.0, 20.0])).await.unwrap();
    let said = it.process(&batch(3, &[7.0, 15.0])).await.unwrap();
    assert_eq!(levels(&said), [(0, Level::Active), (1, Level::Normal)]);
    it.freeze(true).await.unwrap();
    it.learn(&batch(2, &[100.0, 100.0])).await.unwrap();
    it.freeze(false).await.unwrap();
    it.learn(&batch(2, &[5.0, 30.0])).await.unwrap();
    assert_eq!(model(&mut it).await, "plant/s0: 4 to 6 in 3 values\nplant/s1: 10 to 30 in 3 values\n");

    let state = it.save().await.unwrap().unwrap();
    let mut again = create("apprentice", r#"{"learn":2}"#, 2).await;
    again.load(it.identity().state_version, &state).await.unwrap();
    again.forget(Some(0)).await.unwrap();
    assert_eq!(model(&mut again).await, "plant/s0: inf to -inf in 0 values\nplant/s1: 10 to 30 in 3 values\n");
    again.forget(None).await.unwrap();
    assert_eq!(model(&mut again).await, "plant/s0: inf to -inf in 0 values\nplant/s1: inf to -inf in 0 values\n");
}

#[tokio::test]
async fn a_detector_without_a_learner_is_not_asked() {
    let mut limit = create("limit", r#"{"high":10}"#, 1).await;
    assert!(!limit.learns());
    let fault = limit.learn(&batch(1, &[1.0])).await.unwrap_err();
    assert!(matches!(&fault, DetectorFault::Refused(why) if why.contains("learns nothing")), "{fault}");
}

#[tokio::test]
async fn one_that_traps_at_learning_or_floods_with_its_model_ends_alone() {
    let mut other = create("faulty", "{}", 1).await;
    let mut traps = create("faulty", r#"{"fault":"learn-trap"}"#, 1).await;
    traps.process(&batch(1, &[1.0])).await.unwrap();
    let fault = traps.learn(&batch(1, &[1.0])).await.unwrap_err();
    assert!(matches!(&fault, DetectorFault::Trap(why) if why.contains("unreachable")), "{fault}");
    assert!(traps.process(&batch(2, &[1.0])).await.is_err(), "a failed instance is finished");
    let mut floods = create("faulty", r#"{"fault":"huge-model"}"#, 1).await;
    let fault = floods.model().await.unwrap_err();
    assert!(matches!(&fault, DetectorFault::Quota(why) if why.contains("`state_kb`")), "{fault}");
    assert_eq!(levels(&other.process(&batch(3, &[101.0])).await.unwrap()), [(0, Level::Active)]);
}
