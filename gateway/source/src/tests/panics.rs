//! A fault of ours while a source is read: it is told, and the source is read on.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use watchfire_model::{Clock, GapCause, Instant, Quality, SourceState, SystemClock};
use watchfire_pipeline::Arrival;

use super::harness::{config, healthy, of_plant, quick, start_plant, start_source_by};

/// Fails when it is asked next, if it is told to.
#[derive(Default)]
struct Treacherous(AtomicBool);

impl Clock for Treacherous {
    fn now(&self) -> Instant {
        assert!(!self.0.swap(false, Ordering::SeqCst), "the clock has stopped");
        SystemClock.now()
    }
}

#[tokio::test]
async fn a_source_whose_work_panics_says_so_and_is_read_on_with_a_gap() {
    let plant = start_plant(healthy(0)).await;
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(Treacherous::default());
    let signals = of_plant(&["pump/flow", "tank/level", "motor/bearing_temp"]);
    let mut source = start_source_by(clock.clone(), config(&plant.url, signals), dir.path().join("pki"), quick());
    source.until_values(3).await;
    let mut missing = 0;
    for _ in 0..2 {
        clock.0.store(true, Ordering::SeqCst);
        let reason = source.until_state(SourceState::Down).await;
        assert!(reason.contains("its task failed (the clock has stopped) and is begun anew"), "{reason}");
        source.until_state(SourceState::Up).await;
        // Of each signal: whether its first value is the one that stood, of which nothing is missing.
        let (mut stood, mut gaps) = (HashMap::new(), Vec::new());
        source
            .until(|arrival| {
                match arrival {
                    Arrival::Rows(rows) => {
                        for ((signal, status), quality) in rows.signal.iter().zip(&rows.status).zip(&rows.quality) {
                            if status.is_good() {
                                stood.entry(*signal).or_insert(quality.has(Quality::INITIAL));
                            }
                        }
                    }
                    Arrival::Gaps(more) => gaps.extend(more),
                    _ => {}
                }
                (stood.len() == 3).then_some(())
            })
            .await;
        let changed = stood.values().filter(|stood| !**stood).count();
        assert!(
            gaps.len() == changed && gaps.iter().all(|gap| gap.cause == GapCause::SourceLost),
            "{gaps:?} {stood:?}"
        );
        missing += changed;
    }
    assert!(missing > 0, "no value has changed in either outage");
    source.stop().await;
}
