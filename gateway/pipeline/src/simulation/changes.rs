//! A running gateway is changed: detectors and sources come, go and are replaced, and everything else goes on.

use std::sync::Arc;
use std::time::Duration;

use watchfire_alarms::Suppression;
use watchfire_model::{
    AlarmSettings, CommandKind, ConditionKey, Control, DetectorOrigin, Maintained, PlannedMaintenance, RecordBody,
    SignalId, SourceState, StatusCode,
};

use super::rig::{Rig, Site, plan};
use crate::{BindingPlan, Change, Mode};

/// The same detector under another name.
fn named(name: &str) -> BindingPlan {
    let mut other = plan(Mode::Live);
    other.spec.name = name.into();
    other.kept_as = name.into();
    other
}

/// A detector whose high alarms are set so.
fn set(plan: BindingPlan, settings: &AlarmSettings) -> BindingPlan {
    let mut other = plan;
    other.spec.alarms.insert("high".into(), settings.clone());
    other
}

/// The values that were recorded of a signal.
fn values(site: &Site, signal: u32) -> Vec<f64> {
    let mut all = Vec::new();
    for record in site.records() {
        if let RecordBody::Data(frame) = record.body {
            let rows = frame.rows.signal.iter().zip(&frame.rows.value);
            all.extend(rows.filter(|(id, _)| id.0 == signal).map(|(_, value)| *value));
        }
    }
    all
}

#[tokio::test(start_paused = true)]
async fn a_detector_comes_and_goes_while_another_sees_everything() {
    let site = Site::new();
    let rig = Rig::start(&site).await;
    rig.value(0, 1.0).await;
    rig.change(Change::Detector(Arc::new(named("other")))).await;
    rig.value(0, 50.0).await;
    rig.shown_active("plain/high/s/0").await;
    let raised = rig.shown_active("other/high/s/0").await;
    assert!(raised.state.message.starts_with("50 after a sum of 50 "), "it saw nothing of before: {raised:?}");

    rig.change(Change::EndDetector("other".into())).await;
    let ended = rig.shown_normal("other/high/s/0").await;
    assert!(ended.notify && ended.state.message.contains("its detector was taken out of the configuration"));
    assert_eq!(ended.state.quality.value, StatusCode::UNCERTAIN);
    assert!(ended.state.retain && !ended.state.acked.value, "it waits for its acknowledgement: {ended:?}");
    assert_eq!(rig.state_of("other/high/s/1").quality.value, StatusCode::UNCERTAIN);
    let others = rig.state_of("plain/high/s/0");
    assert!(others.active.value && others.quality.value.is_good());
    rig.value(0, 1.0).await;
    rig.shown_normal("plain/high/s/0").await;
    rig.stop().await;
    let is_end = |body: &RecordBody| matches!(body, RecordBody::Control(Control::DetectorEnded { binding, .. }) if binding == "other");
    assert_eq!(site.records().iter().filter(|record| is_end(&record.body)).count(), 1);
    site.check();
    let replayed = site.replay().await;
    assert!(replayed.recorded > 1 && replayed.is_same(), "{replayed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_detector_that_comes_back_goes_on_from_what_it_had_learned() {
    let site = Site::new();
    let rig = Rig::start(&site).await;
    rig.change(Change::Detector(Arc::new(named("other")))).await;
    rig.value(0, 7.0).await;
    rig.change(Change::EndDetector("other".into())).await;
    rig.value(0, 8.0).await;
    rig.change(Change::Detector(Arc::new(named("other")))).await;
    rig.value(0, 50.0).await;
    let raised = rig.shown_active("other/high/s/0").await;
    assert!(raised.state.message.starts_with("50 after a sum of 65 "), "{}", raised.state.message);
    assert!(raised.state.quality.value.is_good());
    rig.stop().await;
    site.check();
}

#[tokio::test(start_paused = true)]
async fn a_replaced_detector_keeps_its_alarms_and_judges_each_frame_once() {
    let site = Site::new();
    let rig = Rig::start(&site).await;
    rig.value(0, 50.0).await;
    rig.value(1, 60.0).await;
    let raised = rig.shown_active("plain/high/s/0").await;
    rig.shown_active("plain/high/s/1").await;
    // It watches two of the three signals from here on.
    let mut smaller = plan(Mode::Live);
    smaller.spec.signals.remove(1);
    smaller.areas.remove(1);
    rig.change(Change::Detector(Arc::new(smaller))).await;
    let kept = rig.state_of("plain/high/s/0");
    assert_eq!((kept.active.value, kept.transitions), (true, raised.state.transitions), "nobody was told again");
    let ended = rig.shown_normal("plain/high/s/1").await;
    assert!(ended.state.message.contains("it is no alarm of its detector any more"), "{}", ended.state.message);
    rig.value(0, 1.0).await;
    rig.shown_normal("plain/high/s/0").await;
    rig.stop().await;
    site.check();
}

#[tokio::test(start_paused = true)]
async fn a_detector_that_goes_into_shadow_leaves_nothing_active_and_raises_again_what_stands() {
    let site = Site::new();
    let rig = Rig::start(&site).await;
    rig.value(0, 50.0).await;
    rig.shown_active("plain/high/s/0").await;
    rig.change(Change::Detector(Arc::new(plan(Mode::Shadow)))).await;
    rig.shown_normal("plain/high/s/0").await;
    rig.change(Change::Detector(Arc::new(plan(Mode::Live)))).await;
    rig.shown_active("plain/high/s/0").await;
    rig.stop().await;
    site.check();
    assert!(site.replay().await.is_same());
}

#[tokio::test(start_paused = true)]
async fn a_source_is_replaced_without_losing_what_it_handed_in_and_one_that_goes_leaves_no_alarm() {
    let site = Site::new();
    let mut rig = Rig::start(&site).await;
    rig.value(0, 1.0).await;
    rig.change_source("s", vec![SignalId(0), SignalId(1)]).await;
    rig.value(1, 50.0).await;
    rig.shown_active("plain/high/s/1").await;
    rig.change_source("t", vec![SignalId(7)]).await;
    rig.value(7, 3.0).await;
    let down = crate::Arrival::State { source: "t".into(), state: SourceState::Down, reason: "test".into() };
    rig.hand_in(down);
    rig.shown_active("gateway/source/t").await;
    rig.change(Change::EndSource("t".into())).await;
    let ended = rig.shown_normal("gateway/source/t").await;
    assert!(ended.state.message.contains("taken out of the configuration"), "{}", ended.state.message);
    assert!(rig.state_of("plain/high/s/1").active.value, "what rests on others goes on");
    rig.stop().await;
    assert_eq!((values(&site, 0), values(&site, 1), values(&site, 7)), (vec![1.0], vec![50.0], vec![3.0]));
    site.check();
}

#[tokio::test(start_paused = true)]
async fn a_change_survives_a_kill_at_any_moment() {
    for life in 0..6 {
        let site = Site::new();
        let rig = Rig::start(&site).await;
        rig.value(0, 5.0).await;
        for step in 0..4 {
            rig.value(1, if step % 2 == 0 { 50.0 } else { 1.0 }).await;
            rig.change(Change::Detector(Arc::new(plan(Mode::Live)))).await;
            if step == life {
                break;
            }
        }
        rig.wait_ms(life * 37).await;
        rig.kill();
        tokio::task::yield_now().await;
        site.lose_what_is_not_durable();
        let rig = Rig::start(&site).await;
        rig.value(2, 50.0).await;
        let raised = rig.shown_active("plain/high/s/2").await;
        let sum: f64 = [0, 1, 2].iter().flat_map(|signal| values(&site, *signal)).sum();
        assert!(raised.state.message.contains(&format!("a sum of {sum} ")), "{} {sum}", raised.state.message);
        rig.stop().await;
        site.check();
        let fresh = |body: &RecordBody| {
            matches!(body, RecordBody::Control(Control::DetectorStarted { origin: DetectorOrigin::Fresh(_), .. }))
        };
        assert_eq!(site.records().iter().filter(|record| fresh(&record.body)).count(), 1, "it learns on");
        assert!(site.replay().await.is_same());
    }
}

#[tokio::test(start_paused = true)]
async fn an_alarm_that_need_not_be_reset_any_more_leaves_every_list_and_is_on_record() {
    let site = Site::new();
    let latches = AlarmSettings { latch: Some(true), ..AlarmSettings::default() };
    let rig = Rig::start_with(&site, vec![set(plan(Mode::Live), &latches)]).await;
    rig.value(0, 50.0).await;
    let raised = rig.shown_active("plain/high/s/0").await;
    let (key, event) = (raised.def.key.clone(), raised.state.event_id(&raised.def.key));
    rig.command(&key, CommandKind::Acknowledge, event.bytes()).await.unwrap();
    rig.value(0, 1.0).await;
    assert!(rig.shown_normal("plain/high/s/0").await.state.retain, "it is latched");
    rig.change(Change::Detector(Arc::new(plan(Mode::Live)))).await;
    let last = rig.last_of("plain/high/s/0");
    assert!(last.notify && !last.state.retain, "{last:?}");
    assert_eq!(site.told("plain/high/s/0").last(), Some(&*last.state));
    rig.stop().await;
    let rig = Rig::start(&site).await;
    assert_eq!(rig.state_of("plain/high/s/0"), *last.state);
    rig.stop().await;
    site.check();
}

#[tokio::test(start_paused = true)]
async fn what_is_below_the_first_of_its_group_is_told_when_that_one_ends_or_its_detector_goes() {
    let grouped = AlarmSettings { group: Some("g".into()), first_only: Some(true), ..AlarmSettings::default() };
    let site = Site::new();
    let detectors = || vec![set(plan(Mode::Live), &grouped), set(named("other"), &grouped)];
    let rig = Rig::start_with(&site, detectors()).await;
    rig.value(0, 50.0).await;
    let states = || ["plain/high/s/0", "other/high/s/0"].map(|key| rig.state_of(key));
    rig.shown_active("plain/high/s/0").await;
    rig.shown_active("other/high/s/0").await;
    let (first, below) =
        if states()[0].first_in_group { ("plain", "other/high/s/0") } else { ("other", "plain/high/s/0") };
    assert!(rig.state_of(below).is_aside());
    rig.stop().await;

    let rig = Rig::start_with(&site, detectors()).await;
    for _ in 0..80 {
        rig.wait_ms(1_000).await;
    }
    let told = rig.events().into_iter().filter(|(key, _)| key.as_str().ends_with("high/s/0")).count();
    assert!(rig.state_of(below).is_aside() && told == 0, "a restart tells nobody anything");
    let (other, _) = below.split_once('/').unwrap();
    let counted = |rig: &Rig| rig.figures.detector(other, site.now()).alarms;
    let before = counted(&rig);
    rig.change(Change::EndDetector(first.into())).await;
    let told = rig.last_of(below);
    assert!(told.notify && told.state.first_in_group && !told.state.is_aside() && !told.state.acked.value);
    assert_eq!(rig.events().iter().filter(|(key, _)| key.as_str() == below).count(), 1, "once");
    assert_eq!(counted(&rig), before + 1, "it counts from then on");
    rig.stop().await;
    site.check();
}

#[tokio::test(start_paused = true)]
async fn what_is_below_one_that_was_taken_out_while_nobody_ran_is_told_after_the_start() {
    let grouped = AlarmSettings { group: Some("g".into()), first_only: Some(true), ..AlarmSettings::default() };
    let site = Site::new();
    let rig = Rig::start_with(&site, vec![set(plan(Mode::Live), &grouped)]).await;
    rig.change(Change::Detector(Arc::new(set(named("other"), &grouped)))).await;
    rig.change(Change::Detector(Arc::new(set(plan(Mode::Shadow), &grouped)))).await;
    rig.value(0, 50.0).await;
    rig.shown_active("other/high/s/0").await;
    rig.change(Change::Detector(Arc::new(set(plan(Mode::Live), &grouped)))).await;
    assert!(rig.state_of("other/high/s/0").first_in_group && rig.state_of("plain/high/s/0").is_aside());
    rig.stop().await;
    let rig = Rig::start_with(&site, vec![set(plan(Mode::Live), &grouped)]).await;
    assert!(rig.state_of("plain/high/s/0").is_aside(), "the other may still start");
    rig.wait_ms(62_000).await;
    rig.wait_ms(2_000).await;
    let told = rig.last_of("plain/high/s/0");
    assert!(told.notify && told.state.first_in_group && !told.state.is_aside());
    rig.stop().await;
    site.check();
}

#[tokio::test(start_paused = true)]
async fn a_detector_without_a_budget_any_more_is_suppressed_by_none() {
    let site = Site::new();
    let budget = |most| BindingPlan { budget: Some(most), ..plan(Mode::Live) };
    let rig = Rig::start_with(&site, vec![budget(1)]).await;
    rig.values(&[(0, 50.0), (1, 50.0)]).await;
    rig.shown_active("gateway/budget/plain").await;
    rig.wait_ms(100).await;
    assert!(rig.state_of("plain/high/s/0").is_aside() && rig.state_of("plain/high/s/1").is_aside());
    rig.change(Change::Detector(Arc::new(budget(0)))).await;
    assert!(!rig.state_of("plain/high/s/0").is_aside() && !rig.state_of("plain/high/s/1").is_aside());
    assert!(!rig.state_of("gateway/budget/plain").active.value);
    rig.stop().await;
    site.check();
}

#[tokio::test(start_paused = true)]
async fn what_a_detector_over_its_budget_watches_from_now_on_is_suppressed_with_the_rest() {
    let site = Site::new();
    let mut fewer = BindingPlan { budget: Some(1), ..plan(Mode::Live) };
    let all = fewer.clone();
    fewer.spec.signals.truncate(2);
    fewer.areas.truncate(2);
    let rig = Rig::start_with(&site, vec![fewer]).await;
    rig.values(&[(0, 50.0), (1, 50.0)]).await;
    rig.shown_active("gateway/budget/plain").await;
    rig.wait_ms(100).await;
    let lift = async |key: &str| {
        rig.command(&ConditionKey::parse(key).unwrap(), CommandKind::Unsuppress, &[]).await.unwrap();
    };
    lift("plain/high/s/0").await;
    rig.change(Change::Detector(Arc::new(all))).await;
    let suppressed = |key: &str| rig.state_of(key).suppressed.value.has(Suppression::BUDGET);
    assert!(suppressed("plain/high/s/1") && suppressed("plain/high/s/2"));
    assert!(!suppressed("plain/high/s/0"), "a person has lifted it");
    lift("gateway/budget/plain").await;
    assert!(!suppressed("plain/high/s/1") && !suppressed("plain/high/s/2"));
    rig.stop().await;
    site.check();
}

#[tokio::test(start_paused = true)]
async fn what_the_configuration_plans_begins_after_a_restart_too_and_somebody_is_reminded() {
    let site = Site::new();
    let planned = |of: &str, after_s: u64| {
        let of = Maintained::parse(of).unwrap();
        let from = site.now().plus(Duration::from_secs(after_s));
        vec![PlannedMaintenance { of, from, lasts: Duration::from_secs(60), comment: "seal".into() }]
    };
    let with =
        |maintenance: &Vec<PlannedMaintenance>| BindingPlan { maintenance: maintenance.clone(), ..plan(Mode::Live) };
    let rig = Rig::start(&site).await;
    let work = planned("signal:s/0", 120);
    rig.change(Change::Detector(Arc::new(with(&work)))).await;
    let state = |rig: &Rig, signal: u32| rig.state_of(&format!("plain/high/s/{signal}")).maintenance;
    assert!(state(&rig, 0).planned.is_some() && state(&rig, 1).planned.is_none());
    rig.wait_ms(5_000).await;
    rig.kill();
    tokio::task::yield_now().await;
    site.lose_what_is_not_durable();
    let rig = Rig::start_with(&site, vec![with(&work)]).await;
    for _ in 0..130 {
        rig.wait_ms(1_000).await;
    }
    let out = rig.state_of("plain/high/s/0");
    assert!(out.out_of_service.value && out.comment.value.text == "seal" && !out.maintenance.overdue);
    for _ in 0..60 {
        rig.wait_ms(1_000).await;
    }
    rig.shown_active("gateway/maintenance/plain").await;
    rig.change(Change::Detector(Arc::new(with(&planned("condition:plain", 600))))).await;
    assert!(state(&rig, 1).planned.is_some());
    rig.change(Change::Detector(Arc::new(plan(Mode::Live)))).await;
    assert!(state(&rig, 1).planned.is_none(), "it is in the configuration no longer");
    assert!(rig.state_of("plain/high/s/0").out_of_service.value, "what is out stays out");
    rig.stop().await;
    site.check();
}
