//! A value that nobody can decode: it is set aside by name, and its neighbours go on.

use std::time::Duration;

use opcua::types::Variant;
use watchfire_model::{Gap, Instant, SignalId, SourceState, StatusCode};
use watchfire_pipeline::Arrival;

use super::harness::{RunningSource, config, quick, signal, start_source};
use super::liars::Liar;

/// Deeper than anybody reads.
fn unreadable() -> Variant {
    (0..500).fold(Variant::Boolean(true), |inner, _| Variant::Variant(Box::new(inner)))
}

/// What has come of a source.
#[derive(Debug, Default)]
struct Seen {
    /// Signal, value and time of each good value.
    values: Vec<(SignalId, f64, Instant)>,
    gaps: Vec<Gap>,
    refused: Vec<(SignalId, StatusCode)>,
    downs: usize,
}

impl Seen {
    fn has(&self, id: u32, value: f64) -> bool {
        self.values.iter().any(|seen| (seen.0, seen.1.to_bits()) == (SignalId(id), value.to_bits()))
    }

    fn take_all(&mut self, source: &mut RunningSource) {
        while let Some(arrival) = source.arrivals.try_recv() {
            match arrival {
                Arrival::Rows(rows) => {
                    let good = (0..rows.len()).filter(|row| rows.status[*row].is_good());
                    self.values.extend(good.map(|row| (rows.signal[row], rows.value[row], rows.time[row])));
                }
                Arrival::Gaps(gaps) => self.gaps.extend(gaps),
                Arrival::Signal { signal, status, .. } => self.refused.push((signal, status)),
                Arrival::State { state: SourceState::Down, .. } => self.downs += 1,
                _ => {}
            }
        }
    }
}

/// Does something again and again, until what has come is enough.
async fn until(source: &mut RunningSource, seen: &mut Seen, again: &mut dyn FnMut(), enough: &dyn Fn(&Seen) -> bool) {
    let mut ticks = tokio::time::interval(Duration::from_millis(60));
    for _ in 0..2_000 {
        ticks.tick().await;
        again();
        seen.take_all(source);
        if enough(seen) {
            return;
        }
    }
    panic!("what is awaited does not come: {seen:?}");
}

#[tokio::test]
async fn a_value_that_nobody_can_decode_is_set_aside_by_name_and_does_not_silence_its_neighbours() {
    let liar = Liar::start().await;
    let dir = tempfile::tempdir().unwrap();
    let signals = vec![signal("v", "nsu=urn:liar;s=v"), signal("w", "/w"), signal("still", "nsu=urn:liar;s=w")];
    let mut source = start_source(config(&liar.url, signals), dir.path().join("pki"), quick());
    source.until_values(3).await;
    let mut seen = Seen::default();
    let mut given = 0.0;
    // In each message from now on, the first one beside a value that does not change again for a while.
    let mut lie = || {
        given += 1.0;
        liar.give("v", unreadable());
        if !(2.0..=40.0).contains(&given) {
            liar.give("w", Variant::Double(given));
        }
    };
    until(&mut source, &mut seen, &mut lie, &|seen| {
        !seen.refused.is_empty() && [1, 2].iter().all(|id| seen.has(*id, 1.0))
    })
    .await;
    assert_eq!(seen.refused.len(), 1, "{seen:?}");
    assert_eq!(seen.refused[0].0, SignalId(0));
    assert!(seen.refused[0].1.is_bad());
    assert_eq!(seen.downs, 0, "the connection stays");
    assert!(seen.values.iter().all(|(id, ..)| *id != SignalId(0)));

    // It is tried again alone, and stays aside without a word as long as it is so.
    let (tries, before) = (quick().refused_retry * 5, tokio::time::Instant::now());
    until(&mut source, &mut seen, &mut lie, &|seen| {
        let went_on = |id| seen.values.iter().any(|seen| seen.0 == SignalId(id) && seen.1 > 40.0);
        before.elapsed() > tries && went_on(1) && went_on(2)
    })
    .await;
    assert_eq!((seen.refused.len(), seen.downs), (1, 0), "{seen:?}");
    let mut mended = || liar.give("v", Variant::Double(7.0));
    until(&mut source, &mut seen, &mut mended, &|seen| seen.has(0, 7.0)).await;
    let of_it = seen.gaps.iter().filter(|gap| gap.signal == Some(SignalId(0))).count();
    assert_eq!((of_it, seen.refused.len(), seen.downs), (1, 1, 0), "what it missed is on record: {seen:?}");
    for id in 1..=2 {
        let times: Vec<_> = seen.values.iter().filter(|seen| seen.0 == SignalId(id)).map(|seen| seen.2).collect();
        assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "none twice, all in order: {seen:?}");
    }
    source.stop().await;
}
