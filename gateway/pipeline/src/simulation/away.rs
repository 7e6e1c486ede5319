//! What a source is told after a start of the time before: since when it was away, and what was watched.

use std::time::Duration;

use watchfire_model::{Frame, Instant, Quality, RecordBody, Rows, SignalId, SourceState, StatusCode};

use super::rig::{Known, Rig, Site};
use crate::{Arrival, Last, SignalsOf, push_gap, record_late, recover, seal_all};

const DOWN: SourceState = SourceState::Down;
const UP: SourceState = SourceState::Up;

/// Whether two times are the same but for what the simulation takes.
fn near(a: Instant, b: Instant) -> bool {
    a.since_ns(b).abs() < 3_000_000_000
}

#[track_caller]
fn assert_until(known: &Known, expected: Instant) {
    assert!(known.all_until.is_some_and(|until| near(until, expected)), "{known:?}, expected {expected}");
}

fn minute_before(time: Instant) -> Instant {
    time.minus(Duration::from_secs(60))
}

#[tokio::test(start_paused = true)]
async fn since_when_a_source_is_away_is_known_through_kills_and_starts_until_it_has_come_back() {
    let site = Site::new();
    let rig = Rig::start(&site).await;
    assert_eq!(rig.known().all_until, None, "it is configured for the first time");
    rig.source(UP).await;
    rig.value(0, 1.0).await;
    rig.pass_s(100).await;
    rig.value(1, 1.0).await;
    let of_one = site.now();
    rig.pass_s(30).await;
    rig.source(DOWN).await;
    let down = site.now();
    // Sealed twice meanwhile, and nothing of it is among the last minute's.
    rig.pass_s(1_300).await;
    assert!(site.history.seals() >= 2);
    rig.kill();
    site.lose_what_is_not_durable();
    for _ in 0..2 {
        site.pass(Duration::from_secs(600));
        let rig = Rig::start(&site).await;
        let known = rig.known();
        assert!(matches!(known.last[1], Some(Last::Value(time)) if near(time, of_one)), "{known:?}");
        assert_eq!((known.last[0], known.last[2]), (None, None));
        assert_until(&known, minute_before(of_one));
        // It cannot be reached, and that is told late.
        rig.pass_s(90).await;
        rig.source(DOWN).await;
        rig.pass_s(700).await;
        rig.kill();
        site.lose_what_is_not_durable();
    }
    let rig = Rig::start(&site).await;
    rig.source(UP).await;
    rig.pass_s(20).await;
    rig.kill();
    let rig = Rig::start(&site).await;
    assert_until(&rig.known(), minute_before(of_one));
    rig.source(UP).await;
    rig.pass_s(700).await;
    rig.kill();
    let end = site.now();
    site.pass(Duration::from_secs(600));
    let rig = Rig::start(&site).await;
    assert_until(&rig.known(), minute_before(end));
    assert!(rig.known().last.iter().all(Option::is_none), "{down}: {:?}", rig.known());
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_source_that_was_quiet_before_the_gateway_ended_or_was_changed_was_watched_until_then() {
    let site = Site::new();
    let mut rig = Rig::start(&site).await;
    rig.source(UP).await;
    rig.value(0, 1.0).await;
    rig.pass_s(700).await;
    rig.change_source("s", [0, 1, 2].map(SignalId).to_vec()).await;
    assert_until(&rig.known(), minute_before(site.now()));
    rig.source(UP).await;
    rig.pass_s(700).await;
    rig.stop().await;
    let end = site.now();
    site.seal();
    site.pass(Duration::from_secs(3_600));
    let rig = Rig::start(&site).await;
    assert_eq!(rig.known().last, [None; 3]);
    assert_until(&rig.known(), minute_before(end));
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn where_a_server_gives_no_times_of_its_sources_what_was_received_last_counts() {
    let site = Site::new();
    let rig = Rig::start(&site).await;
    rig.source(UP).await;
    rig.pass_s(100).await;
    let mut rows = Rows::default();
    // Its clock is nobody's business.
    for (signal, status) in [(0, StatusCode::GOOD), (1, StatusCode::BAD_NO_DATA)] {
        rows.push(SignalId(signal), Instant::from_s(77), 1.0, status, Quality::SERVER_TIME, 0);
    }
    rig.hand_in(Arrival::Rows(rows));
    rig.pass_s(10).await;
    let end = site.now();
    rig.kill();
    site.pass(Duration::from_secs(600));
    let rig = Rig::start(&site).await;
    let Known { last: [good, bad, _], .. } = rig.known();
    assert!(
        matches!(good, Some(Last::Received(at)) if at.since_ns(end) < 0 && at > end.minus(Duration::from_secs(15)))
    );
    assert_eq!(bad, None, "it may be the word that it cannot be watched");
    rig.stop().await;
}

/// A row that came late.
fn late(time: Instant) -> Rows {
    let mut rows = Rows::default();
    rows.push(SignalId(0), time, 1.0, StatusCode::GOOD, Quality::LATE, 0);
    rows
}

#[tokio::test(start_paused = true)]
async fn an_import_while_the_gateway_is_stopped_is_no_time_that_was_watched() {
    for gaps_alone in [false, true] {
        let site = Site::new();
        let rig = Rig::start(&site).await;
        rig.source(UP).await;
        rig.value(0, 1.0).await;
        rig.pass_s(200).await;
        let end = site.now();
        rig.kill();
        site.pass(Duration::from_secs(7_200));
        let mut rows = if gaps_alone { Rows::default() } else { late(Instant::from_s(5)) };
        push_gap(&mut rows, SignalId(0), Instant::from_s(5), Instant::from_s(9));
        for _ in 0..2 {
            record_late(&site.log(), rows.clone(), site.now(), 0).unwrap();
        }
        site.pass(Duration::from_secs(3_600));
        let rig = Rig::start(&site).await;
        assert_until(&rig.known(), minute_before(end));
        // What is running again is watched again.
        rig.source(UP).await;
        rig.pass_s(200).await;
        let end = site.now();
        rig.kill();
        site.pass(Duration::from_secs(3_600));
        let rig = Rig::start(&site).await;
        assert_until(&rig.known(), minute_before(end));
        rig.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_running_gateway_fetches_or_imports_alone_is_time_that_was_watched() {
    let site = Site::new();
    let rig = Rig::start(&site).await;
    rig.source(UP).await;
    rig.pass_s(100).await;
    // So often that there is no frame without any.
    for _ in 0..600 {
        rig.hand_in(Arrival::Late(late(Instant::from_s(5))));
        rig.wait_ms(500).await;
    }
    let end = site.now();
    rig.kill();
    site.pass(Duration::from_secs(600));
    let rig = Rig::start(&site).await;
    assert_until(&rig.known(), minute_before(end));
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_read_last_is_found_however_much_was_imported_since() {
    let site = Site::new();
    let rig = Rig::start(&site).await;
    rig.source(UP).await;
    rig.pass_s(200).await;
    rig.value(1, 1.0).await;
    let of_one = site.now();
    rig.pass_s(20).await;
    rig.kill();
    site.pass(Duration::from_secs(7_200));
    let log = site.log();
    record_late(&log, late(Instant::from_s(5)), site.now(), 0).unwrap();
    for _ in 0..10_001 {
        let frame = Frame { now: site.now(), rows: late(Instant::from_s(5)), ..Frame::default() };
        log.journal().append(&RecordBody::Data(frame)).unwrap();
    }
    log.sync().unwrap();
    seal_all(&log).unwrap();
    drop(log);
    site.pass(Duration::from_secs(3_600));
    let rig = Rig::start(&site).await;
    let known = rig.known();
    assert!(matches!(known.last[1], Some(Last::Value(time)) if near(time, of_one)), "{known:?}");
    assert_until(&known, minute_before(of_one));
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_changed_on_a_full_disk_is_told_what_was_recorded() {
    let site = Site::new();
    let mut rig = Rig::start(&site).await;
    rig.source(UP).await;
    rig.pass_s(100).await;
    site.history.leave_room_for_notes(false);
    rig.change_source("s", [0, 1, 2].map(SignalId).to_vec()).await;
    assert_until(&rig.known(), minute_before(site.now()));
    site.history.leave_room_for_notes(true);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn one_device_whose_clock_is_ahead_says_nothing_of_the_other_signals() {
    for (ahead_s, goes_first) in [(3_600, false), (2_000_000_000, false), (3_600, true)] {
        let site = Site::new();
        let rig = Rig::start(&site).await;
        rig.source(UP).await;
        rig.pass_s(200).await;
        let mut rows = Rows::default();
        let time = site.now().plus(Duration::from_secs(ahead_s));
        rows.push(SignalId(0), time, 1.0, StatusCode::GOOD, Quality::NONE, 0);
        rig.hand_in(Arrival::Rows(rows));
        rig.pass_s(10).await;
        if goes_first {
            rig.source(DOWN).await;
        }
        let end = site.now();
        rig.kill();
        site.pass(Duration::from_secs(600));
        let rig = Rig::start(&site).await;
        assert_until(&rig.known(), minute_before(end));
        rig.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_looked_for_of_sources_that_are_not_configured() {
    let site = Site::new();
    let rig = Rig::start(&site).await;
    rig.source(UP).await;
    rig.pass_s(100).await;
    rig.source(DOWN).await;
    rig.stop().await;
    let signals = |ids: Vec<SignalId>| SignalsOf::new([("s".into(), ids)].into());
    let is_known = |of: &SignalsOf| recover(&site.log(), of).unwrap().last.since("s").is_some();
    assert!(is_known(&signals(vec![SignalId(0)])));
    assert!(!is_known(&signals(Vec::new())), "it has ended");
    assert!(!is_known(&SignalsOf::default()));
}
