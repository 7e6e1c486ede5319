//! Outages of every sort: each is told at once, outlived, and leaves a gap.

use std::time::Duration;

use opcua::types::Variant;
use tokio_util::sync::CancellationToken;
use watchfire_config::{PasswordFrom, SignalConfig, SourceConfig};
use watchfire_model::{Clock, Gap, GapCause, Instant, SignalId, SourceState, SystemClock};
use watchfire_plant::{Plant, PlantOptions};
use watchfire_ua::date_time_from_instant;

use super::harness::{Gathered, PATIENCE, config, healthy, of_plant, quick, signal, start_plant, start_source};
use super::liars::Liar;
use super::proxy::Proxy;
use crate::Timing;

const SIGNALS: [&str; 3] = ["pump/flow", "tank/level", "motor/bearing_temp"];

fn assert_one_gap_each(gaps: &[Gap]) {
    for id in 0..3 {
        let of_signal: Vec<_> = gaps.iter().filter(|gap| gap.signal == Some(SignalId(id))).collect();
        assert_eq!(of_signal.len(), 1, "signal {id}: {of_signal:?}");
        assert_eq!(of_signal[0].cause, GapCause::SourceLost);
        assert!(of_signal[0].since < of_signal[0].until);
    }
}

/// The signals with so long queues that their server can keep what comes while nobody listens, also where that is long.
fn patient() -> Vec<SignalConfig> {
    of_plant(&SIGNALS).into_iter().map(|signal| SignalConfig { queue_size: 500, ..signal }).collect()
}

#[tokio::test]
async fn a_killed_server_is_read_again_once_it_is_back() {
    let plant = start_plant(healthy(0)).await;
    let dir = tempfile::tempdir().unwrap();
    let mut source = start_source(config(&plant.url, of_plant(&SIGNALS)), dir.path().join("pki"), quick());
    source.until_values(3).await;
    let port = plant.kill();
    source.until_state(SourceState::Down).await;
    source.until_down_with("cannot reach").await;
    let _plant = start_plant(healthy(port)).await;
    source.until_state(SourceState::Up).await;
    assert_one_gap_each(&source.until_values(3).await);
    source.stop().await;
}

#[tokio::test]
async fn a_server_that_is_stopped_in_order_is_down_at_once() {
    let stop = CancellationToken::new();
    let plant = Plant::start(healthy(0), stop.clone()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut source = start_source(config(plant.url(), of_plant(&SIGNALS)), dir.path().join("pki"), quick());
    source.until_values(3).await;
    stop.cancel();
    tokio::time::timeout(PATIENCE, plant.stopped()).await.expect("a plant stops");
    source.until_state(SourceState::Down).await;
    source.stop().await;
}

#[tokio::test]
async fn a_cut_line_is_told_at_once_and_nothing_is_missed() {
    let plant = start_plant(healthy(0)).await;
    let proxy = Proxy::start(plant.port).await;
    let dir = tempfile::tempdir().unwrap();
    let mut source = start_source(config(&proxy.url(), patient()), dir.path().join("pki"), quick());
    let mut witness = start_source(config(&plant.url, of_plant(&SIGNALS)), dir.path().join("witness"), quick());
    let mut here = Gathered::default();
    let all = |count: usize| move |seen: &Gathered| (0..3).all(|id| seen.count(SignalId(id)) >= count);
    source.gather(&mut here, all(2)).await;
    for cut in 1..=2 {
        let downs = |seen: &Gathered| seen.states.iter().filter(|state| **state == SourceState::Down).count();
        proxy.cut();
        source.gather(&mut here, |seen| downs(seen) == cut).await;
        // What was on its way before is not counted.
        while witness.arrivals.try_recv().is_some() {}
        let mut there = Gathered::default();
        witness.gather(&mut there, all(3)).await;
        proxy.open();
        source.gather(&mut here, |seen| seen.is_as_far_as(&there)).await;
        here.has_all_of(&there);
    }
    assert!(here.gaps.is_empty(), "{:?}", here.gaps);
    assert_eq!(here.states.last(), Some(&SourceState::Up));
    source.stop().await;
    witness.stop().await;
}

#[tokio::test]
async fn a_line_that_hangs_in_silence_is_noticed() {
    let plant = start_plant(healthy(0)).await;
    let proxy = Proxy::start(plant.port).await;
    let dir = tempfile::tempdir().unwrap();
    let timing = Timing { connect: Duration::from_secs(1), request: Duration::from_millis(800), ..quick() };
    let mut source = start_source(config(&proxy.url(), of_plant(&SIGNALS)), dir.path().join("pki"), timing);
    source.until_values(3).await;
    let begin = tokio::time::Instant::now();
    proxy.hang();
    let reason = source.until_state(SourceState::Down).await;
    let noticed = begin.elapsed();
    // Five times as long as it takes where the machine has time for it.
    assert!(noticed < (timing.keep_alive * 3 + timing.request) * 5, "after {noticed:?}: {reason}");
    // While it hangs, no attempt hangs for ever.
    source.until_down_with("no answer within").await;
    proxy.open();
    source.until_state(SourceState::Up).await;
    assert_one_gap_each(&source.until_values(3).await);
    source.stop().await;
}

#[tokio::test]
async fn a_line_that_hangs_again_as_soon_as_it_is_back_keeps_its_subscriptions() {
    let plant = start_plant(healthy(0)).await;
    let proxy = Proxy::start(plant.port).await;
    let dir = tempfile::tempdir().unwrap();
    let session = Duration::from_secs(120);
    let timing = Timing { connect: Duration::from_secs(1), request: Duration::from_millis(800), session, ..quick() };
    let mut source = start_source(config(&proxy.url(), patient()), dir.path().join("pki"), timing);
    let mut witness = start_source(config(&plant.url, of_plant(&SIGNALS)), dir.path().join("witness"), quick());
    let (mut here, mut there) = (Gathered::default(), Gathered::default());
    let all = |count: usize| move |seen: &Gathered| (0..3).all(|id| seen.count(SignalId(id)) >= count);
    source.gather(&mut here, all(2)).await;
    witness.gather(&mut there, all(1)).await;
    let mut there = Gathered::default();
    let of = |seen: &Gathered, state: SourceState| seen.states.iter().filter(|other| **other == state).count();
    let ups = of(&here, SourceState::Up);
    for hang in 1..=3 {
        proxy.hang();
        source.gather(&mut here, |seen| of(seen, SourceState::Down) >= hang).await;
        proxy.open();
        // The session goes on, and before anything comes of its subscriptions the line hangs again.
        source.gather(&mut here, |seen| of(seen, SourceState::Up) >= ups + hang).await;
    }
    witness.gather(&mut there, all(3)).await;
    source.gather(&mut here, |seen| seen.is_as_far_as(&there)).await;
    // A message that was sent into the silence may be gone at the server; what was queued is not.
    assert!(here.gaps.iter().all(|gap| gap.cause == GapCause::Overflow), "{:?}", here.gaps);
    source.stop().await;
    witness.stop().await;
}

#[tokio::test]
async fn what_was_given_around_a_step_of_the_clock_and_not_kept_is_on_record() {
    steps_of_the_clock(false).await;
}

#[tokio::test]
async fn what_was_dropped_behind_a_message_that_is_sent_again_is_on_record() {
    steps_of_the_clock(true).await;
}

/// A server with queues of one has its clock set in outages. With `is_unheard` it has sent something before it knows of
/// each, which never came, so that it is asked for again.
async fn steps_of_the_clock(is_unheard: bool) {
    let liar = Liar::start().await;
    let proxy = Proxy::start(liar.url.rsplit(':').next().unwrap().parse().unwrap()).await;
    let dir = tempfile::tempdir().unwrap();
    let signals = vec![SignalConfig { queue_size: 1, ..signal("v", "nsu=urn:liar;s=v") }];
    let mut source = start_source(config(&proxy.url(), signals), dir.path().join("pki"), quick());
    source.until_values(1).await;
    let begin = SystemClock.now();
    let (mut seen, mut given) = (Gathered::default(), Vec::new());
    let mut give = |seconds: i64| {
        let time = Instant::from_ns(begin.ns() + seconds * 1_000_000_000);
        given.push(date_time(time));
        liar.give_at("v", Variant::Double(seconds as f64), date_time_from_instant(time).0);
        given.clone()
    };
    let of = |seen: &Gathered, state: SourceState| seen.states.iter().filter(|other| **other == state).count();
    let has_last =
        |seen: &Gathered, given: &[Instant]| seen.times.values().flatten().any(|time| Some(time) == given.last());
    let all = give(1);
    source.gather(&mut seen, |seen| has_last(seen, &all)).await;
    // An hour forward in the first outage, and back in the other.
    let mut all = Vec::new();
    for (outage, first, meanwhile, after) in [(1, 2, [3602, 3603], 3604), (2, 3605, [5, 6], 7)] {
        if is_unheard {
            proxy.hang();
            give(first);
            // Where it takes longer than this it is one more value that is dropped.
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        proxy.cut();
        source.gather(&mut seen, |seen| of(seen, SourceState::Down) >= outage).await;
        if !is_unheard {
            give(first);
        }
        for seconds in meanwhile {
            give(seconds);
        }
        proxy.open();
        source.gather(&mut seen, |seen| of(seen, SourceState::Up) >= outage).await;
        all = give(after);
        source.gather(&mut seen, |seen| has_last(seen, &all)).await;
    }
    let times: Vec<Instant> = seen.times.values().flatten().copied().collect();
    let lost: Vec<_> = all.iter().filter(|time| !times.contains(time)).collect();
    assert!(lost.len() >= 2, "each outage has what is lost: {lost:?}");
    for time in lost {
        let is_covered = seen.gaps.iter().any(|gap| gap.since <= *time && *time <= gap.until);
        assert!(is_covered, "{time:?} is lost: {:?}", seen.gaps);
    }
    source.stop().await;
}

/// A time as it travels.
fn date_time(time: Instant) -> Instant {
    Instant::from_ns(time.ns() / 100 * 100)
}

#[tokio::test]
async fn a_source_that_never_answers_stops_when_told() {
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("opc.tcp://127.0.0.1:{}", nobody.local_addr().unwrap().port());
    let dir = tempfile::tempdir().unwrap();
    let source = start_source(config(&url, of_plant(&SIGNALS)), dir.path().join("pki"), quick());
    source.stop().await;
}

#[tokio::test]
async fn what_is_left_of_a_session_that_has_run_out_is_taken_over_and_nothing_is_missed() {
    let user = Some(("reader".to_owned(), "right".to_owned()));
    let plant = start_plant(PlantOptions { user, ..healthy(0) }).await;
    let proxy = Proxy::start(plant.port).await;
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("password"), "right").unwrap();
    let as_reader = |url: &str| SourceConfig {
        user: Some("reader".to_owned()),
        password_from: Some(PasswordFrom::File(dir.path().join("password"))),
        ..config(url, patient())
    };
    let brief = Timing { session: Duration::from_secs(1), ..quick() };
    let mut source = start_source(as_reader(&proxy.url()), dir.path().join("pki"), brief);
    let mut witness = start_source(as_reader(&plant.url), dir.path().join("witness"), quick());
    let (mut here, mut there) = (Gathered::default(), Gathered::default());
    let all = |count: usize| move |seen: &Gathered| (0..3).all(|id| seen.count(SignalId(id)) >= count);
    source.gather(&mut here, all(2)).await;
    witness.gather(&mut there, all(1)).await;
    let mut there = Gathered::default();
    proxy.cut();
    // It is lost, and then not taken up again in time.
    let downs = |seen: &Gathered| seen.states.iter().filter(|state| **state == SourceState::Down).count();
    source.gather(&mut here, |seen| downs(seen) == 2).await;
    witness.gather(&mut there, all(3)).await;
    proxy.open();
    source.gather(&mut here, |seen| seen.is_as_far_as(&there)).await;
    here.has_all_of(&there);
    assert!(here.gaps.is_empty(), "they were taken over, not made anew: {:?}", here.gaps);
    source.stop().await;
    witness.stop().await;
}

#[tokio::test]
async fn signals_that_are_slow_are_not_taken_for_dead_after_their_session_was_taken_over() {
    let user = Some(("reader".to_owned(), "right".to_owned()));
    let plant = start_plant(PlantOptions { user, ..healthy(0) }).await;
    let proxy = Proxy::start(plant.port).await;
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("password"), "right").unwrap();
    let publishing_interval = Duration::from_secs(4);
    let slow = patient().into_iter().map(|signal| SignalConfig { publishing_interval, ..signal }).collect();
    let config = SourceConfig {
        user: Some("reader".to_owned()),
        password_from: Some(PasswordFrom::File(dir.path().join("password"))),
        ..config(&proxy.url(), slow)
    };
    // The watchdog looks several times between two messages, unless it knows how slow they are.
    let timing = Timing { session: Duration::from_secs(1), watchdog: Duration::from_millis(100), ..quick() };
    let mut source = start_source(config, dir.path().join("pki"), timing);
    let mut seen = Gathered::default();
    let all = |seen: &Gathered, count: usize| (0..3).all(|id| seen.count(SignalId(id)) >= count);
    source.gather(&mut seen, |seen| all(seen, 1)).await;
    proxy.cut();
    let downs = |seen: &Gathered| seen.states.iter().filter(|state| **state == SourceState::Down).count();
    source.gather(&mut seen, |seen| downs(seen) == 2).await;
    proxy.open();
    source.gather(&mut seen, |seen| seen.states.last() == Some(&SourceState::Up)).await;
    for _ in 0..3 {
        let before: usize = seen.times.values().map(Vec::len).sum();
        source.gather(&mut seen, |seen| seen.times.values().map(Vec::len).sum::<usize>() > before).await;
    }
    assert!(seen.gaps.is_empty(), "they were taken over, and are alive: {:?}", seen.gaps);
    source.stop().await;
}
