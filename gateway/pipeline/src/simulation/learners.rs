//! Detectors that learn from what came late and from what is on record: from the log alone, so that replay is the same
//! and a kill loses none of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use watchfire_model::{Control, DetectorOrigin, Lsn, Quality, RecordBody, SignalId};

use super::plain::{POISON, PlainFactory};
use super::rig::{Rig, Site, plan};
use crate::{Beside, BindingPlan, Change, LearnedError, Mode, forget, learned};

/// The plain detector as one that learns.
fn learner() -> BindingPlan {
    let mut plan = plan(Mode::Live);
    plan.spec.plugin = "learner".into();
    plan
}

/// The same, taught an hour of what is on record.
fn taught() -> BindingPlan {
    BindingPlan { learns_back: Duration::from_secs(3600), ..learner() }
}

impl Site {
    /// What the detector has learned, as its saved state says.
    async fn learned(&self, plan: &BindingPlan) -> String {
        let learned = learned(&self.log(), &PlainFactory, plan).await.unwrap();
        String::from_utf8(learned.model).unwrap()
    }

    /// What it must have learned of late rows, as the log says.
    fn late(&self) -> String {
        let mut sums: BTreeMap<u32, f64> = BTreeMap::new();
        for record in self.records() {
            match record.body {
                RecordBody::Data(frame) => {
                    let rows = frame.rows.signal.iter().zip(&frame.rows.value).zip(&frame.rows.quality);
                    for ((signal, value), _) in rows.filter(|(_, quality)| quality.has(Quality::LATE)) {
                        *sums.entry(signal.0).or_default() += value;
                    }
                }
                RecordBody::Control(Control::Forgot { signal, .. }) => {
                    sums.retain(|id, _| signal.is_some_and(|signal| signal.0 != *id));
                }
                _ => {}
            }
        }
        format!("{sums:?}")
    }
}

impl Rig {
    async fn forget(&self, signal: Option<u32>) -> Lsn {
        let place = forget(&self.log, &PlainFactory, &learner(), signal.map(SignalId), "test").await.unwrap();
        self.wait_ms(11).await;
        place
    }
}

#[tokio::test(start_paused = true)]
async fn late_rows_are_learned_from_once_through_kills_and_replay_learns_the_same() {
    for seed in 0..super::SEEDS {
        let site = Site::new();
        let mut random = SmallRng::seed_from_u64(seed);
        for life in 0..4 {
            let rig = Rig::start_with(&site, vec![learner()]).await;
            for _ in 0..40 {
                // None is high, so nothing is frozen.
                let of = random.random_range(0..3);
                match random.random_range(0..10) {
                    0..5 => rig.value(of, random.random_range(0..9).into()).await,
                    // As high as one likes: nothing of it is judged.
                    5..9 => rig.late(&[(of, f64::from(random.random_range(0..90))), (2, 1.0)]).await,
                    _ => drop(rig.forget((of < 2).then_some(of)).await),
                }
                if random.random_bool(0.02) {
                    rig.wait_ms(61_000).await;
                }
            }
            assert!(!rig.state_of("plain/high/s/0").active.value);
            if life < 3 && random.random_bool(0.8) {
                rig.kill();
                tokio::task::yield_now().await;
                site.lose_what_is_not_durable();
            } else {
                rig.stop().await;
            }
            site.check();
        }
        assert_eq!(site.learned(&learner()).await, site.late(), "seed {seed}");
        for sealed in [false, true] {
            if sealed {
                site.seal();
            }
            let report = site.try_replay_of(&learner()).await.unwrap();
            assert_eq!((report.differences, report.same_state), (vec![], Some(true)), "seed {seed}, sealed: {sealed}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_learned_while_a_finding_of_its_own_stands_not_even_after_a_kill() {
    let site = Site::new();
    let mut rig = Rig::start_with(&site, vec![learner()]).await;
    rig.late(&[(0, 1.0)]).await;
    rig.value(1, 50.0).await;
    rig.late(&[(0, 20.0)]).await;
    for clean in [false, true] {
        rig.wait_ms(61_000).await;
        if clean {
            rig.stop().await;
        } else {
            rig.kill();
            tokio::task::yield_now().await;
            site.lose_what_is_not_durable();
        }
        rig = Rig::start_with(&site, vec![learner()]).await;
        rig.late(&[(0, 400.0)]).await;
    }
    rig.value(1, 5.0).await;
    rig.shown_normal("plain/odd/s/1").await;
    rig.late(&[(0, 2.0)]).await;
    rig.stop().await;
    assert_eq!(site.learned(&learner()).await, "{0: 3.0}");
    let report = site.try_replay_of(&learner()).await.unwrap();
    assert_eq!((report.differences, report.same_state), (vec![], Some(true)));
}

#[tokio::test(start_paused = true)]
async fn what_a_person_has_it_forget_is_forgotten_by_the_version_beside_it_too() {
    let site = Site::new();
    let rig = Rig::start_with(&site, vec![learner()]).await;
    rig.late(&[(0, 1.0), (1, 2.0)]).await;
    rig.wait_ms(61_000).await;
    let (name, since) = ("plain/next.7", rig.log.tail());
    let beside = Beside { detector: "plain".into(), from: "plain".into(), learns_from: Lsn(0), since };
    let mut next = learner().another(name, beside);
    next.spec.plugin = "learner 2".into();
    rig.change(Change::Detector(Arc::new(next.clone()))).await;
    let place = rig.forget(Some(0)).await;
    rig.late(&[(2, 4.0)]).await;
    rig.stop().await;
    for plan in [learner(), next] {
        assert_eq!(site.learned(&plan).await, "{1: 2.0, 2: 4.0}");
    }
    let record = site.records().into_iter().find(|record| record.lsn == place).unwrap();
    let forgot = Control::Forgot { binding: "plain".into(), signal: Some(SignalId(0)), by: "test".into() };
    assert_eq!(record.body, RecordBody::Control(forgot));
    assert_eq!(site.try_replay_of(&learner()).await.unwrap().same_state, Some(true));
}

#[tokio::test(start_paused = true)]
async fn a_new_detector_is_taught_what_is_on_record_and_says_nothing_of_it() {
    for kill in [false, true] {
        let site = Site::new();
        let rig = Rig::start(&site).await;
        for n in 0..200 {
            rig.value(n % 3, if n == 100 { 50.0 } else { 1.0 }).await;
        }
        rig.late(&[(1, 1000.0)]).await;
        rig.stop().await;
        site.history.forget_checkpoints();
        let rig = Rig::start_with(&site, vec![taught()]).await;
        if kill {
            // Its first saved state stands before what it was taught.
            rig.kill();
            tokio::task::yield_now().await;
            site.lose_what_is_not_durable();
        } else {
            rig.stop().await;
        }
        let rig = Rig::start_with(&site, vec![taught()]).await;
        assert!(!rig.state_of("plain/high/s/1").active.value, "the past is learned from, not judged");
        rig.value(0, 9.0).await;
        rig.late(&[(2, 5.0)]).await;
        rig.stop().await;
        // 200 values of which one is higher, what came late then, and now.
        assert_eq!(site.learned(&taught()).await, "{0: 67.0, 1: 1116.0, 2: 71.0}");
        let begun = site.records().into_iter().filter_map(|record| match record.body {
            RecordBody::Control(Control::DetectorStarted { origin, .. }) => Some(origin),
            _ => None,
        });
        let origins: Vec<_> = begun.collect();
        assert!(matches!(origins[1], DetectorOrigin::Taught { from: Lsn(0), .. }), "{origins:?}");
        assert!(matches!(origins[2], DetectorOrigin::Checkpoint(_)), "{origins:?}");
        let report = site.try_replay_of(&taught()).await.unwrap();
        assert_eq!((report.differences, report.same_state), (vec![], Some(true)), "killed: {kill}");
    }
}

#[tokio::test(start_paused = true)]
async fn late_rows_on_which_it_traps_are_left_out_on_record_and_its_alarms_stand() {
    let site = Site::new();
    let rig = Rig::start_with(&site, vec![learner()]).await;
    rig.value(0, 50.0).await;
    rig.shown_active("plain/high/s/0").await;
    rig.late(&[(1, POISON)]).await;
    rig.shown_active("gateway/detector/plain").await;
    rig.value(2, 50.0).await;
    rig.shown_active("plain/high/s/2").await;
    rig.shown_normal("gateway/detector/plain").await;
    assert!(rig.state_of("plain/high/s/0").active.value);
    rig.stop().await;
    let report = site.try_replay_of(&learner()).await.unwrap();
    assert_eq!((report.differences, report.skipped, report.same_state), (vec![], 1, Some(true)));
}

#[tokio::test(start_paused = true)]
async fn a_detector_without_a_learner_has_nothing_to_show_or_forget() {
    let site = Site::new();
    let rig = Rig::start(&site).await;
    rig.late(&[(0, 1.0)]).await;
    rig.stop().await;
    let plan = plan(Mode::Live);
    let shown = learned(&site.log(), &PlainFactory, &plan).await;
    let forgotten = forget(&site.log(), &PlainFactory, &plan, None, "test").await;
    assert!(matches!(shown, Err(LearnedError::NoLearner(_))), "{shown:?}");
    assert!(matches!(forgotten, Err(LearnedError::NoLearner(_))), "{forgotten:?}");
    assert_eq!(site.try_replay_of(&plan).await.unwrap().same_state, Some(true));
}
