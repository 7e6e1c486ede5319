//! A running gateway is changed: detectors and sources come, go and are replaced, and everything else goes on.

use std::sync::Arc;

use watchfire_model::{Control, DetectorOrigin, RecordBody, SignalId, SourceState, StatusCode};

use super::rig::{Rig, Site, plan};
use crate::{BindingPlan, Change, Mode};

/// The same detector under another name.
fn named(name: &str) -> BindingPlan {
    let mut other = plan(Mode::Live);
    other.spec.name = name.into();
    other.kept_as = name.into();
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
    assert!(ended.state.message.contains("its detector no longer has this condition"), "{}", ended.state.message);
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
