//! No response, no alarm: what nobody has settled is told as an event, once it is on record, and is no alarm anywhere.

use std::sync::Arc;

use watchfire_alarms::Window;
use watchfire_model::{AlarmSettings, Instant, RecordBody};

use super::rig::{Rig, Site, plan};
use crate::{BindingPlan, Change, Mode, PastEvent, PastWanted, past};

const ALARM: &str = "plain/high/s/0";
const PLAIN: &str = "plain/high/s/1";

/// A detector of which one condition has no response.
fn unsettled(mode: Mode) -> BindingPlan {
    let mut plan = plan(mode);
    for condition in ["high/s/1", "odd/s/1"] {
        plan.spec
            .alarms
            .insert(condition.into(), AlarmSettings { response: Some(" ".into()), ..AlarmSettings::default() });
    }
    plan
}

fn told(rig: &Rig) -> Vec<String> {
    rig.plain_events().into_iter().filter(|event| event.key.as_str() == PLAIN).map(|event| event.message).collect()
}

#[tokio::test(start_paused = true)]
async fn what_has_no_response_is_told_as_an_event_and_is_no_alarm() {
    let site = Site::new();
    let rig = Rig::start_with(&site, vec![unsettled(Mode::Live)]).await;
    for _ in 0..2 {
        rig.values(&[(0, 50.0), (1, 50.0)]).await;
        rig.shown_active(ALARM).await;
        rig.values(&[(0, 1.0), (1, 1.0)]).await;
        rig.shown_normal(ALARM).await;
    }
    let events = rig.plain_events();
    assert_eq!(told(&rig).len(), 2, "each time it is found, and not when it is over: {events:?}");
    let event = events.iter().find(|event| event.key.as_str() == PLAIN).unwrap();
    assert_eq!((&*event.source_name, &*event.area, event.severity.get()), ("s/1", "area", 500));
    assert!(event.at <= event.receive_time);
    let mut ids: Vec<_> = events.iter().map(|event| event.event_id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), events.len(), "each has an EventId of its own");
    assert!(rig.events().iter().all(|(key, _)| key.instance() != "s/1"));
    let counted = rig.figures.detector("plain", site.now()).alarms;
    assert_eq!(rig.figures.area("area", site.now(), |figures| figures.alarms(Window::Month)), counted);
    assert_eq!(counted as usize, rig.alarms_raised(), "they count in no figure");
    rig.stop().await;

    let rig = Rig::start_with(&site, vec![unsettled(Mode::Live)]).await;
    rig.wait_ms(1_000).await;
    assert!(rig.plain_events().is_empty(), "none is told twice");
    rig.stop().await;
    let verdicts = site.records().into_iter().filter_map(|record| match record.body {
        RecordBody::Decided(decided) => Some(decided.verdicts),
        _ => None,
    });
    assert!(verdicts.flatten().any(|verdict| verdict.instance == 1), "it is on record");
    let mut again = Vec::new();
    let all = PastWanted { from: Instant::MIN, to: Instant::MAX, backwards: false, begin: None };
    past(&site.log(), &all, &|| true, &mut |past| {
        again.extend(if let PastEvent::Plain(event) = past.event { Some(event) } else { None });
        true
    })
    .unwrap();
    assert_eq!(again, events, "what was told is read back");
    site.check();
    assert!(site.replay().await.is_same());
}

#[tokio::test(start_paused = true)]
async fn what_gets_a_response_is_an_alarm_and_what_loses_it_is_none_any_more() {
    let site = Site::new();
    let rig = Rig::start_with(&site, vec![unsettled(Mode::Live)]).await;
    rig.value(1, 50.0).await;
    rig.wait_ms(200).await;
    assert_eq!(told(&rig).len(), 1);
    rig.change(Change::Detector(Arc::new(plan(Mode::Live)))).await;
    assert!(rig.shown_active(PLAIN).await.state.retain, "it still stands");
    rig.change(Change::Detector(Arc::new(unsettled(Mode::Live)))).await;
    let ended = rig.shown_normal(PLAIN).await;
    assert!(ended.state.message.contains("it is no alarm of its detector any more"), "{}", ended.state.message);
    rig.value(1, 1.0).await;
    rig.value(1, 60.0).await;
    rig.wait_ms(200).await;
    assert!(!rig.state_of(PLAIN).active.value);
    assert_eq!(told(&rig).len(), 2);
    rig.stop().await;
    site.check();
}

#[tokio::test(start_paused = true)]
async fn nothing_is_told_of_a_detector_in_shadow() {
    let site = Site::new();
    let rig = Rig::start_with(&site, vec![unsettled(Mode::Shadow)]).await;
    rig.value(1, 50.0).await;
    rig.wait_ms(200).await;
    assert!(rig.plain_events().is_empty());
    rig.stop().await;
}
