//! What says nothing worth an alarm in a mode of operation is suppressed in it, and comes back with the next.

use watchfire_alarms::Suppression;
use watchfire_model::{AlarmClass, AlarmSettings, Instant, Lsn, Quality, RecordBody, Rows, SignalId, StatusCode};

use super::rig::{Rig, Site, plan};
use crate::{BindingPlan, Mode, push_gap, record_late};

const HIGH: &str = "plain/high/s/0";
const MODE_SIGNAL: u32 = 2;

fn site() -> Site {
    let mut site = Site::new();
    site.mode_signal = Some(SignalId(MODE_SIGNAL));
    site
}

/// The plain detector, one of whose alarms is suppressed in these modes.
fn quiet_in(modes: &[u32], class: Option<AlarmClass>) -> BindingPlan {
    let mut plan = plan(Mode::Live);
    let settings = AlarmSettings { suppress_in_modes: Some(modes.to_vec()), class, ..AlarmSettings::default() };
    plan.spec.alarms.insert("high/s/0".to_owned(), settings);
    plan
}

fn mode_of(body: &RecordBody) -> Option<u32> {
    if let RecordBody::Data(frame) = body { Some(frame.mode) } else { None }
}

fn by_mode(rig: &Rig, key: &str) -> bool {
    rig.state_of(key).suppressed.value.has(Suppression::MODE)
}

#[tokio::test(start_paused = true)]
async fn an_alarm_is_suppressed_in_the_modes_that_are_set_and_stands_again_in_others() {
    let site = site();
    let rig = Rig::start_with(&site, vec![quiet_in(&[2, 3], None)]).await;
    rig.value(0, 50.0).await;
    assert!(!rig.shown_active(HIGH).await.state.is_aside(), "nobody knows the mode yet");
    assert_eq!(rig.latest.mode(), None);
    rig.value(MODE_SIGNAL, 3.0).await;
    rig.wait_ms(300).await;
    assert_eq!(rig.latest.mode(), Some(3), "for whoever shows it");
    assert!(by_mode(&rig, HIGH) && rig.state_of(HIGH).active.value, "it stands, and nobody is bothered");
    let told = rig.state_of(HIGH).transitions;
    rig.value(MODE_SIGNAL, 2.0).await;
    rig.wait_ms(300).await;
    assert_eq!((by_mode(&rig, HIGH), rig.state_of(HIGH).transitions), (true, told), "the next mode is as quiet");
    rig.value(1, 50.0).await;
    assert!(!rig.shown_active("plain/high/s/1").await.state.is_aside(), "the other one says something in every mode");
    rig.value(MODE_SIGNAL, 1.0).await;
    rig.wait_ms(300).await;
    assert!(!by_mode(&rig, HIGH) && rig.state_of(HIGH).active.value);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_of_a_quiet_mode_is_told_before_it_is_suppressed() {
    let site = site();
    let rig = Rig::start_with(&site, vec![quiet_in(&[3], None)]).await;
    rig.value(MODE_SIGNAL, 1.0).await;
    rig.wait_ms(300).await;
    let before = rig.events().len();
    // One frame brings the mode and what is to be expected in it.
    rig.values(&[(0, 50.0), (MODE_SIGNAL, 3.0)]).await;
    let shown = rig.shown_active(HIGH).await;
    assert!(shown.state.suppressed.value.has(Suppression::MODE));
    let states = site.told(HIGH);
    assert!(
        states.iter().all(|state| !state.active.value || state.is_aside()),
        "{} events",
        rig.events().len() - before
    );
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_keeps_it_until_the_mode_is_known_and_a_changed_configuration_lets_it_go() {
    let site = site();
    let rig = Rig::start_with(&site, vec![quiet_in(&[3], None)]).await;
    rig.value(MODE_SIGNAL, 3.0).await;
    rig.value(0, 50.0).await;
    rig.shown_active(HIGH).await;
    rig.wait_ms(300).await;
    rig.kill();
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    site.lose_what_is_not_durable();

    let rig = Rig::start_with(&site, vec![quiet_in(&[3], None)]).await;
    assert!(by_mode(&rig, HIGH));
    rig.value(0, 51.0).await;
    rig.wait_ms(300).await;
    let records = site.log().read(Lsn(1), usize::MAX).unwrap();
    let modes: Vec<u32> = records.iter().filter_map(|record| mode_of(&record.body)).collect();
    let begin = modes.iter().position(|mode| *mode == 3).unwrap();
    assert!(modes[begin..].iter().all(|mode| *mode == 3), "detectors see no other before it is known: {modes:?}");
    rig.value(MODE_SIGNAL, 3.0).await;
    rig.wait_ms(300).await;
    assert!(by_mode(&rig, HIGH));
    rig.stop().await;

    let rig = Rig::start_with(&site, vec![plan(Mode::Live)]).await;
    rig.wait_ms(300).await;
    assert!(!by_mode(&rig, HIGH), "no mode concerns it any more");
    rig.stop().await;

    let managed = quiet_in(&[3], Some(AlarmClass::HighlyManaged));
    let rig = Rig::start_with(&site, vec![managed]).await;
    rig.value(MODE_SIGNAL, 3.0).await;
    rig.wait_ms(300).await;
    assert!(!by_mode(&rig, HIGH), "what is highly managed is suppressed by people alone");
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_imported_while_the_gateway_is_stopped_is_of_the_mode_that_it_ended_in() {
    for is_sealed in [false, true] {
        let site = site();
        let rig = Rig::start_with(&site, vec![quiet_in(&[3], None)]).await;
        rig.value(MODE_SIGNAL, 1.0).await;
        rig.value(MODE_SIGNAL, 3.0).await;
        rig.wait_ms(300).await;
        rig.stop().await;
        if is_sealed {
            site.seal();
        }
        let mut rows = Rows::default();
        let of_2001 = Instant::from_s(1_000_000_000);
        rows.push(SignalId(0), of_2001, 1.0, StatusCode::GOOD, Quality::LATE, 0);
        let mut gap = Rows::default();
        push_gap(&mut gap, SignalId(0), of_2001, Instant::from_s(1_000_000_009));
        for rows in [rows, gap] {
            record_late(&site.log(), rows, site.now(), 0).unwrap();
        }

        let rig = Rig::start_with(&site, vec![quiet_in(&[3], None)]).await;
        rig.value(0, 51.0).await;
        rig.wait_ms(300).await;
        rig.stop().await;
        let modes: Vec<u32> = site.records().iter().filter_map(|record| mode_of(&record.body)).collect();
        let begin = modes.iter().position(|mode| *mode == 3).unwrap();
        assert!(modes.len() >= begin + 4 && modes[begin..].iter().all(|mode| *mode == 3), "{is_sealed}: {modes:?}");
    }
}
