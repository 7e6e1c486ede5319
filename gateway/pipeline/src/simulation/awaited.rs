//! What a source has yet to get of its signals is known after a restart.

use std::time::Duration;

use watchfire_model::{Awaited, Awaits, Instant, Known, SignalId, SourceState};

use super::rig::{Rig, Site};
use crate::Arrival;
use crate::awaited::AwaitedBySource;

fn owed(signal: u32, since: Instant) -> Awaited {
    let what = Awaits::Value { known: Known::Value, lost: Some(since) };
    Awaited { signal: SignalId(signal), since, what }
}

fn unreached(signal: u32, since: Instant, until: Instant) -> Awaited {
    Awaited { signal: SignalId(signal), since, what: Awaits::History { until } }
}

#[tokio::test(start_paused = true)]
async fn what_a_source_has_yet_to_get_is_known_through_kills_and_starts_until_it_has_come() {
    let site = Site::new();
    let rig = Rig::start(&site).await;
    assert_eq!(rig.known().awaited, []);
    let second = |s: u64| site.now().minus(Duration::from_secs(s));
    let (one, other) = (owed(1, second(500)), owed(2, second(400)));
    let (old, new) = (unreached(0, second(90), second(80)), unreached(0, second(70), second(60)));
    rig.comes_up().await;
    rig.pass_s(20).await;
    rig.awaits(true, vec![one, other, old, new], vec![]).await;
    // Sealed twice, and nothing of it is near the end.
    rig.pass_s(1_300).await;
    assert!(site.history.seals() >= 2);
    rig.kill();
    site.lose_what_is_not_durable();
    for _ in 0..2 {
        site.pass(Duration::from_secs(600));
        let rig = Rig::start(&site).await;
        assert_eq!(rig.known().awaited, [old, new, one, other]);
        rig.pass_s(700).await;
        rig.kill();
        site.lose_what_is_not_durable();
    }
    // One has come; of a time out of reach some has.
    let rig = Rig::start(&site).await;
    rig.comes_up().await;
    let some = unreached(0, second(65), new.key().2);
    rig.awaits(true, vec![some], vec![one.key(), old.key()]).await;
    rig.pass_s(2).await;
    rig.kill();
    site.lose_what_is_not_durable();
    for seals in [false, true] {
        if seals {
            site.seal();
        }
        let rig = Rig::start(&site).await;
        assert_eq!(rig.known().awaited, [some, other], "{seals}");
        rig.kill();
        site.lose_what_is_not_durable();
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_has_come_up_is_not_watched_again_before_it_is_told_which_of_its_signals_are() {
    let site = Site::new();
    let rig = Rig::start(&site).await;
    rig.comes_up().await;
    rig.awaits(true, vec![], vec![]).await;
    rig.pass_s(100).await;
    rig.source(SourceState::Down).await;
    let down = site.now();
    rig.pass_s(300).await;
    // Its server is slow, and the gateway is killed while items are made.
    rig.comes_up().await;
    rig.pass_s(700).await;
    rig.kill();
    let minute_before = |time: Instant| time.minus(Duration::from_secs(60));
    let near = |until: Option<Instant>, time: Instant| {
        until.is_some_and(|until| until.since_ns(minute_before(time)).abs() < 3_000_000_000)
    };
    let rig = Rig::start(&site).await;
    assert!(near(rig.known().all_until, down), "{:?}, {down}", rig.known());
    rig.comes_up().await;
    rig.pass_s(100).await;
    rig.awaits(true, vec![owed(1, down)], vec![]).await;
    rig.pass_s(1).await;
    let end = site.now();
    rig.kill();
    let rig = Rig::start(&site).await;
    assert!(near(rig.known().all_until, end), "{:?}, {end}", rig.known());
    assert_eq!(rig.known().awaited, [owed(1, down)], "and of this one it is known since when it is not");
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_configured_for_the_first_time_and_comes_up_was_watched_from_then_on() {
    let site = Site::new();
    let rig = Rig::start(&site).await;
    assert_eq!(rig.known().all_until, None);
    rig.pass_s(300).await;
    rig.comes_up().await;
    let begin = site.now();
    rig.pass_s(5).await;
    rig.kill();
    site.pass(Duration::from_secs(600));
    let rig = Rig::start(&site).await;
    let until = rig.known().all_until.unwrap();
    assert!(until <= begin && begin.since_ns(until) < 65_000_000_000, "{until}, {begin}");
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_source_awaited_that_is_no_longer_configured_is_forgotten_at_the_next_start() {
    let site = Site::new();
    let rig = Rig::start(&site).await;
    let awaited = vec![owed(1, site.now())];
    let of_another = Arrival::Awaited { source: "gone".into(), is_known: true, awaited, settled: vec![] };
    rig.hand_in(of_another);
    rig.comes_up().await;
    rig.awaits(true, vec![owed(2, site.now())], vec![]).await;
    rig.pass_s(1_300).await;
    let kept = || -> Vec<String> {
        let kept = AwaitedBySource::kept(&site.history).unwrap();
        kept.of(None).map(|(source, _)| source.to_owned()).collect()
    };
    assert_eq!(kept(), ["gone", "s"]);
    rig.kill();
    let rig = Rig::start(&site).await;
    assert_eq!(kept(), ["s"]);
    rig.stop().await;
}
