//! Alarms whose detector cannot be made, or is configured no longer: none of them vanishes.

use watchfire_alarms::{AlarmType, ConditionState};
use watchfire_model::{CommandKind, ConditionKey, StatusCode};

use super::rig::{Rig, Site, plan};
use crate::{BindingPlan, History, Mode};

const HIGH: &str = "plain/high/s/0";

fn named(name: &str, plugin: &str) -> BindingPlan {
    let mut other = plan(Mode::Live);
    (other.spec.name, other.spec.plugin, other.kept_as) = (name.into(), plugin.into(), name.into());
    other
}

/// A site whose high alarm stands, unacknowledged; and how it was.
async fn stands(site: &Site, plans: Vec<BindingPlan>, key: &str) -> ConditionState {
    let rig = Rig::start_with(site, plans).await;
    rig.value(0, 50.0).await;
    let state = rig.shown_active(key).await.state.clone();
    rig.stop().await;
    (*state).clone()
}

async fn acknowledge(rig: &Rig, key: &str) {
    let key = ConditionKey::parse(key).unwrap();
    let event = *rig.state(&key).event_id(&key).bytes();
    rig.command(&key, CommandKind::Acknowledge, &event).await.unwrap();
    rig.wait_ms(300).await;
}

#[tokio::test(start_paused = true)]
async fn an_alarm_whose_detector_cannot_be_made_at_a_start_stands_as_it_was_and_can_be_acknowledged() {
    let site = Site::new();
    let before = stands(&site, vec![plan(Mode::Live)], HIGH).await;
    let rig = Rig::start_with(&site, vec![named("plain", "broken")]).await;
    let shown = rig.last_of(HIGH);
    assert_eq!((&*shown.def.response, shown.def.scope), ("look", watchfire_model::Scope::Signal));
    assert_eq!((&*shown.def.area, &*shown.def.source_name), ("area", "s/0"));
    assert!(shown.def.detector.starts_with("plain 1.0.0"), "{}", shown.def.detector);
    let state = &shown.state;
    assert!(state.active.value && !state.acked.value && state.retain);
    assert_eq!((&state.message, state.severity.value), (&before.message, before.severity.value));
    assert_eq!(state.quality.value, StatusCode::UNCERTAIN_LAST_USABLE, "nobody watches it");
    assert_eq!(rig.state_of("plain/high/s/1").quality.value, StatusCode::UNCERTAIN_LAST_USABLE);
    assert!(rig.state_of("gateway/detector/plain").active.value);
    acknowledge(&rig, HIGH).await;
    assert!(rig.state_of(HIGH).acked.value && rig.state_of(HIGH).active.value);
    rig.stop().await;

    // It goes on where it was once it can be made.
    let rig = Rig::start(&site).await;
    rig.value(0, 50.0).await;
    rig.wait_ms(300).await;
    let state = rig.state_of(HIGH);
    assert!(state.active.value && state.acked.value && state.quality.value.is_good(), "{state:?}");
    assert_eq!(state.activations, before.activations);
    rig.value(0, 1.0).await;
    rig.shown_normal(HIGH).await;
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_alarm_of_which_only_its_state_is_known_stands_all_the_same() {
    let site = Site::new();
    stands(&site, vec![plan(Mode::Live)], HIGH).await;
    site.history.set_note("conditions/plain", &[]).unwrap();
    site.history.set_note("defined/plain", &[]).unwrap();
    let rig = Rig::start_with(&site, vec![named("plain", "broken")]).await;
    let shown = rig.last_of(HIGH);
    assert_eq!((&*shown.def.area, &*shown.def.source_name), ("area", "s/0"));
    assert_eq!(shown.def.alarm_type, AlarmType::Alarm);
    assert!(shown.state.active.value && shown.state.retain && !shown.state.quality.value.is_good());
    acknowledge(&rig, HIGH).await;
    assert!(rig.state_of(HIGH).acked.value);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_alarm_whose_detector_was_taken_away_while_the_gateway_was_off_ends_and_waits_for_its_acknowledgement() {
    const OTHER: &str = "other/high/s/0";
    let site = Site::new();
    let before = stands(&site, vec![plan(Mode::Live), named("other", "plain")], OTHER).await;
    for life in 0..2 {
        let rig = Rig::start(&site).await;
        let ended = rig.shown_normal(OTHER).await.state.clone();
        assert!(ended.message.contains("its detector was taken out of the configuration"), "{}", ended.message);
        assert!(ended.retain && !ended.acked.value && ended.quality.value == StatusCode::UNCERTAIN);
        let def = rig.last_of(OTHER).def;
        assert_eq!((&*def.area, &*def.source_name, &*def.response), ("area", "s/0", "look"), "it is what it was");
        assert!(def.alarm_type != AlarmType::Alarm && def.detector.starts_with("plain 1.0.0"), "{def:?}");
        assert_eq!(ended.transitions, before.transitions + 1, "it is told once, in life {life}");
        if life == 1 {
            acknowledge(&rig, OTHER).await;
            assert!(!rig.state_of(OTHER).retain);
        }
        rig.stop().await;
    }
    let rig = Rig::start(&site).await;
    assert!(rig.events().iter().all(|(key, _)| key.as_str() != OTHER));
    assert!(rig.never_shown(OTHER), "nothing is left to do");
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn all_that_stood_before_a_start_is_shown_before_it_is_said_that_it_is_all() {
    let site = Site::new();
    let before = stands(&site, vec![plan(Mode::Live), named("other", "plain")], HIGH).await;
    // As it was, where its detector cannot be made, and where it is configured no longer.
    for (plans, stands) in [
        (vec![plan(Mode::Live), named("other", "plain")], true),
        (vec![named("plain", "broken"), named("other", "plain")], true),
        (vec![named("other", "plain")], false),
    ] {
        let count = plans.len();
        let rig = Rig::start_with(&site, plans).await;
        rig.wait_ms(1_000).await;
        let shown = rig.shown_at_the_beginning(HIGH).unwrap_or_else(|| panic!("{count} detectors: it is not there"));
        assert_eq!((shown.state.active.value, shown.state.retain), (stands, true), "{count} detectors");
        assert_eq!(shown.state.activations, before.activations);
        rig.stop().await;
    }
}
