//! The gateway's counts in the log, once a second at level debug: what `make bench` reads, and whoever looks for where
//! values are lost. Turned on by `--log info,watchfire::counts=debug`; off, it costs nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use watchfire_pipeline::Stats;

const EVERY: Duration = Duration::from_secs(1);

/// Tells the counts, for ever.
pub async fn tell(stats: Arc<Stats>) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
    while tracing::enabled!(tracing::Level::DEBUG) {
        ticks.tick().await;
        tracing::debug!(
            values = count(&stats.values),
            frames = count(&stats.frames),
            gaps = count(&stats.gaps),
            judged = count(&stats.judged),
            skipped = count(&stats.skipped),
            transitions = count(&stats.transitions),
            "counts"
        );
    }
    std::future::pending().await
}
