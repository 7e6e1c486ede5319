//! Another version runs beside its detector, is compared with it, takes over and is rolled back.

use std::sync::Arc;

use watchfire_model::{Control, DetectorOrigin, Lsn, RecordBody, UpgradeStep};

use super::rig::{Rig, Site, plan};
use crate::{Beside, BindingPlan, Change, Compared, Mode, ReplayError, place_at};

/// The name under which the new version runs.
const NEXT: &str = "plain/next.7";

/// A version beside the plain detector.
fn beside(version: &str, learns_from: Lsn, since: Lsn) -> BindingPlan {
    let beside = Beside { detector: "plain".into(), from: "plain".into(), learns_from, since };
    let mut next = plan(Mode::Live).another(NEXT, beside);
    next.spec.plugin = version.into();
    next
}

/// The plain detector as that version, once it has taken over.
fn taken_over(version: &str) -> BindingPlan {
    let mut now = plan(Mode::Live);
    (now.spec.plugin, now.kept_as) = (version.into(), NEXT.into());
    now
}

impl Rig {
    async fn begin(&self, version: &str, learns_from: Lsn) -> Lsn {
        let since = self.log.tail();
        self.change(Change::Detector(Arc::new(beside(version, learns_from, since)))).await;
        since
    }

    async fn upgraded(&self, step: UpgradeStep, digest: &str, kept_as: &str) {
        let (binding, by) = ("plain".to_owned(), "test".to_owned());
        let (digest, kept_as) = (digest.to_owned(), kept_as.to_owned());
        let control = Control::Upgraded { binding, step, digest, kept_as, by };
        self.log.put(RecordBody::Control(control)).await.unwrap();
    }

    async fn take_over(&self, version: &str, digest: &str) {
        self.upgraded(UpgradeStep::TookOver, digest, NEXT).await;
        self.change(Change::EndDetector(NEXT.into())).await;
        self.change(Change::Detector(Arc::new(taken_over(version)))).await;
    }

    async fn roll_back(&self) {
        self.upgraded(UpgradeStep::RolledBack, "1123456789abcdef", "plain").await;
        self.change(Change::Detector(Arc::new(plan(Mode::Live)))).await;
    }

    async fn compared(&self) -> Compared {
        self.wait_ms(3_000).await;
        self.stats.compared.lock()[NEXT].clone()
    }
}

fn counts(compared: &Compared) -> (u64, u64, u64) {
    (compared.same, compared.only_old, compared.only_new)
}

#[tokio::test(start_paused = true)]
async fn what_the_versions_say_otherwise_is_told_and_only_the_detector_alarms() {
    let site = Site::new();
    let rig = Rig::start(&site).await;
    rig.value(0, 15.0).await;
    let since = rig.begin("plain 2", Lsn(0)).await;
    assert_eq!(counts(&rig.compared().await), (0, 0, 0), "only what came since is compared");
    rig.value(1, 15.0).await;
    rig.value(2, 1.0).await;
    rig.value(2, 25.0).await;
    let compared = rig.compared().await;
    assert!(compared.since == since && compared.upto > since && compared.reached >= compared.upto);
    // Both say of two signals that they are not odd, of one then that it is high and odd.
    assert_eq!(counts(&compared), (4, 1, 0), "{compared:?}");
    let only = &compared.last[0];
    assert_eq!((only.condition.as_str(), only.by_new), ("high/s/1", false));
    assert!(only.message.starts_with("15 after a sum of 30 "), "{only:?}");
    assert!(rig.events().iter().all(|(key, _)| !key.as_str().contains("next")));

    // What was compared is remembered, however the gateway ends.
    rig.kill();
    tokio::task::yield_now().await;
    site.lose_what_is_not_durable();
    let plans = || vec![plan(Mode::Live), beside("plain 2", Lsn(0), since)];
    let rig = Rig::start_with(&site, plans()).await;
    rig.value(1, 25.0).await;
    rig.value(1, 1.0).await;
    let compared = rig.compared().await;
    assert_eq!(
        (compared.only_old, compared.only_new),
        (1, 1),
        "the new one alone says now that it is high: {compared:?}"
    );
    assert!(compared.same > 4 && compared.last.len() == 2, "{compared:?}");
    rig.stop().await;
    let rig = Rig::start_with(&site, plans()).await;
    let again = rig.compared().await;
    assert_eq!((again.only_old, again.only_new, again.last), (1, 1, compared.last));
    assert!(again.same >= compared.same);
    rig.stop().await;
    site.check();
}

#[tokio::test(start_paused = true)]
async fn the_new_version_takes_over_with_its_alarms_and_goes_back_to_the_old_one() {
    let site = Site::new();
    let rig = Rig::start(&site).await;
    rig.value(1, 15.0).await;
    rig.value(2, 25.0).await;
    let (lost, kept) = (rig.shown_active("plain/high/s/1").await, rig.shown_active("plain/high/s/2").await);
    rig.wait_ms(61_000).await;
    rig.begin("plain 2", Lsn(0)).await;
    // It has the old one's levels, and learns here that 15 is not high.
    rig.value(1, 14.0).await;
    rig.value(0, 5.0).await;
    rig.take_over("plain 2", "2123456789abcdef").await;
    let ended = rig.shown_normal("plain/high/s/1").await;
    assert!(ended.notify && ended.state.transitions == lost.state.transitions + 1, "{ended:?}");
    assert_eq!(rig.state_of("plain/high/s/2").transitions, kept.state.transitions, "nobody was told of it again");
    rig.value(0, 15.0).await;
    rig.value(0, 30.0).await;
    let raised = rig.shown_active("plain/high/s/0").await;
    assert!(raised.state.message.starts_with("30 after a sum of 104 "), "it learned on: {}", raised.state.message);
    rig.value(0, 2.0).await;
    rig.shown_normal("plain/high/s/0").await;

    rig.roll_back().await;
    let again = rig.shown_active("plain/high/s/1").await;
    assert!(again.state.message.starts_with("15 after a sum of 15 "), "{}", again.state.message);
    rig.value(0, 11.0).await;
    let raised = rig.shown_active("plain/high/s/0").await;
    assert!(raised.state.message.starts_with("11 after a sum of 117 "), "it caught up: {}", raised.state.message);
    rig.stop().await;
    site.check();
    for now in [taken_over("plain 2"), plan(Mode::Live)] {
        let replayed = site.try_replay_of(&now).await.unwrap();
        assert!(replayed.recorded >= 3 && replayed.is_same(), "{}: {replayed:?}", now.spec.plugin);
    }
    site.seal();
    for now in [taken_over("plain 2"), plan(Mode::Live)] {
        assert!(site.try_replay_of(&now).await.unwrap().is_same(), "{}", now.spec.plugin);
    }
}

#[tokio::test(start_paused = true)]
async fn a_version_that_cannot_read_the_old_state_learns_from_history() {
    let site = Site::new();
    let rig = Rig::start(&site).await;
    rig.value(0, 3.0).await;
    rig.wait_ms(60_000).await;
    let from = place_at(&rig.log, site.now()).unwrap();
    rig.value(0, 4.0).await;
    rig.value(1, 50.0).await;
    rig.wait_ms(61_000).await;
    rig.begin("plain 3", from).await;
    let compared = rig.compared().await;
    assert!(compared.reached > compared.since, "it has come through history: {compared:?}");
    rig.take_over("plain 3", "3123456789abcdef").await;
    assert!(rig.state_of("plain/high/s/1").active.value);
    rig.value(0, 20.0).await;
    let raised = rig.shown_active("plain/high/s/0").await;
    assert!(raised.state.message.starts_with("20 after a sum of 74 "), "not the 3: {}", raised.state.message);
    rig.stop().await;
    site.check();
    let origin = site.records().into_iter().rev().find_map(|record| match record.body {
        RecordBody::Control(Control::DetectorStarted { binding, origin, .. }) if binding == NEXT => Some(origin),
        _ => None,
    });
    assert_eq!(origin, Some(DetectorOrigin::Fresh(from)));
    let replayed = site.try_replay_of(&taken_over("plain 3")).await.unwrap();
    assert!(replayed.recorded >= 3 && replayed.is_same(), "{replayed:?}");
    assert!(matches!(
        site.try_replay_of(&beside("plain 1", Lsn(0), Lsn(0))).await,
        Ok(_) | Err(ReplayError::NeverRan(_))
    ));
}

#[tokio::test(start_paused = true)]
async fn a_shadow_that_fails_harms_nobody_and_ends_without_a_trace() {
    let site = Site::new();
    let rig = Rig::start(&site).await;
    rig.begin("plain 2", Lsn(0)).await;
    rig.value(0, super::plain::POISON).await;
    rig.wait_ms(10_000).await;
    rig.value(0, 15.0).await;
    rig.shown_active("plain/high/s/0").await;
    rig.change(Change::EndDetector(NEXT.into())).await;
    assert!(!rig.stats.compared.lock().contains_key(NEXT) && !rig.stats.detectors.lock().contains_key(NEXT));
    assert!(rig.state_of("plain/high/s/0").active.value && rig.state_of("plain/high/s/0").quality.value.is_good());
    assert!(rig.events().iter().all(|(key, _)| !key.as_str().contains("next")));
    rig.stop().await;
    site.check();
    assert!(site.replay().await.is_same());
}
