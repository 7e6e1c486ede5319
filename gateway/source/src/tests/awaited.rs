//! What was still to come of signals when the gateway ended goes on being awaited, and is told to the log.

use std::sync::Arc;
use std::time::Duration;

use opcua::types::Variant;
use watchfire_model::{Awaited, Awaits, Clock, GapCause, Instant, Known, Quality, SignalId, SystemClock};
use watchfire_pipeline::{Arrival, LastTimes};
use watchfire_ua::date_time_from_instant;

use super::harness::{config, quick, signal, start_source_after};
use super::liars::Liar;
use crate::Timing;

fn before(time: Instant, s: u64) -> Instant {
    time.minus(Duration::from_secs(s))
}

#[tokio::test]
async fn a_signal_that_is_not_on_its_server_is_missed_since_it_was_watched_last_however_often_the_gateway_starts() {
    let liar = Liar::start().await;
    let dir = tempfile::tempdir().unwrap();
    let signals = ["v", "x", "y"].map(|name| signal(name, &format!("nsu=urn:liar;s={name}")));
    let ended = before(SystemClock.now(), 600);
    let mut last = LastTimes::default();
    last.put_until("plant", (before(ended, 60), ended), true);
    let value = |known, lost| Awaits::Value { known, lost: Some(lost) };
    let of_x =
        Awaited { signal: SignalId(1), since: before(ended, 9_000), what: value(Known::Value, before(ended, 8_000)) };
    last.put_awaited("plant", vec![of_x]);
    let timing = Timing { awaited: Duration::from_millis(200), ..quick() };
    let config = config(&liar.url, signals.into());
    let mut source = start_source_after(&last, Arc::new(SystemClock), config, dir.path().join("pki"), timing);
    let is_known = source
        .until(|arrival| match arrival {
            Arrival::Awaited { is_known, .. } => Some(is_known),
            Arrival::State { state, .. } => panic!("{state:?} before it is told that it is not known what is watched"),
            _ => None,
        })
        .await;
    assert!(!is_known);
    let (told, settled) = source
        .until(|arrival| match arrival {
            Arrival::Awaited { is_known: true, awaited, settled, .. } => Some((awaited, settled)),
            _ => None,
        })
        .await;
    let of_y = Awaited { signal: SignalId(2), since: before(ended, 60), what: value(Known::OurBound, ended) };
    assert!(told.contains(&of_y) && !told.contains(&of_x) && settled.is_empty(), "{told:?}, {settled:?}");
    // Now they are there.
    ["x", "y"].into_iter().for_each(|name| liar.add(name));
    let (mut gaps, mut come) = (Vec::new(), Vec::new());
    while come.len() < 2 {
        match source.next().await {
            Arrival::Gaps(more) => gaps.extend(more.into_iter().filter(|gap| gap.signal != Some(SignalId(0)))),
            Arrival::Awaited { settled, .. } => {
                let settled = settled.into_iter().filter(|(signal, ..)| *signal != SignalId(0));
                come.extend(settled.inspect(|(signal, ..)| {
                    assert!(gaps.iter().any(|gap| gap.signal == Some(*signal)), "its gap is told before: {gaps:?}");
                }));
            }
            _ => {}
        }
    }
    gaps.sort_unstable_by_key(|gap| gap.signal);
    let since: Vec<_> = gaps.iter().map(|gap| (gap.since, gap.cause)).collect();
    let missed = |since| (since, GapCause::NotRecorded);
    assert_eq!(since, [missed(before(ended, 9_000)), missed(before(ended, 60))]);
    assert_eq!(come, [of_x.key(), of_y.key()]);
    source.stop().await;
}

/// An hour ahead of every server.
struct Ahead;

impl Clock for Ahead {
    fn now(&self) -> Instant {
        SystemClock.now().plus(Duration::from_secs(3_600))
    }
}

#[tokio::test]
async fn what_a_quiet_server_gave_while_the_gateway_was_off_is_missed_though_its_clock_is_behind() {
    let liar = Liar::start().await;
    let dir = tempfile::tempdir().unwrap();
    let signals = ["v", "w"].map(|name| signal(name, &format!("nsu=urn:liar;s={name}")));
    // By our clock the gateway ended ten minutes ago. One value changed since then, the other one long before.
    let ended = before(Ahead.now(), 600);
    let theirs = SystemClock.now();
    for (name, ago) in [("v", 300), ("w", 900)] {
        liar.give_at(name, Variant::Double(1.0), date_time_from_instant(before(theirs, ago)).0);
    }
    let mut last = LastTimes::default();
    last.put_until("plant", (before(ended, 60), ended), true);
    let config = config(&liar.url, signals.into());
    let mut source = start_source_after(&last, Arc::new(Ahead), config, dir.path().join("pki"), quick());
    let (mut gaps, mut seen) = (Vec::new(), Vec::new());
    while seen.len() < 2 {
        match source.next().await {
            Arrival::Gaps(more) => gaps.extend(more),
            Arrival::Rows(rows) => {
                seen.extend(
                    rows.signal.iter().copied().zip(rows.quality.iter().map(|marks| marks.has(Quality::INITIAL))),
                );
            }
            _ => {}
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, [(SignalId(0), false), (SignalId(1), true)]);
    let [gap] = gaps[..] else { panic!("{gaps:?}") };
    assert_eq!(gap.signal, Some(SignalId(0)));
    let off_ns = gap.since.since_ns(before(theirs, 660)).abs();
    assert!(off_ns < 5_000_000_000, "from a minute before the end by its server's clock: {gap:?}");
    source.stop().await;
}
