//! Hours of a large plant at accelerated time, each summarised once it has ended: what that takes of memory and time.

use std::path::Path;
use std::time::{Duration, Instant as Timer};

use rand::SeedableRng;
use rand::rngs::SmallRng;
use watchfire_history::SledHistory;
use watchfire_model::Instant;
use watchfire_pipeline::History;

use crate::ring::{START_S, bucket_of, forget_peak, on_cpu, peak_mb, resident_mb};

/// As the gateway seals where it has many signals.
const BUCKET_ROWS: i64 = 2_000_000;
const HOUR_S: i64 = 3600;

/// Seals `hours` hours of `signals` signals at 1 Hz, summarises each, and tells what that took.
#[expect(clippy::disallowed_methods, reason = "it measures real time")]
pub fn hours(folder: &Path, signals: u32, hours: i64, mut tell: impl FnMut(&str)) {
    let history = SledHistory::open(folder).unwrap();
    let mut random = SmallRng::seed_from_u64(1);
    let mut next = history.sealed().next();
    let bucket_s = (BUCKET_ROWS / i64::from(signals)).clamp(1, 600);
    tell(
        "| hour | samples | sealed, CPU ns/sample | steps | in all, s | CPU, s | ns/sample | longest step, s | resident before, MB | at the most, MB | on disk, MB |",
    );
    tell("|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    for hour in 0..hours {
        let mut sealing = Duration::ZERO;
        let begin = START_S + hour * HOUR_S;
        for from in (begin..begin + HOUR_S).step_by(bucket_s.unsigned_abs() as usize) {
            let records = bucket_of(from..(from + bucket_s).min(begin + HOUR_S), signals, &mut next, &mut random);
            let cpu = on_cpu();
            history.seal(&records).unwrap();
            sealing += on_cpu() - cpu;
        }
        let (before, timer, cpu) = (resident_mb(), Timer::now(), on_cpu());
        forget_peak();
        let (mut steps, mut longest, mut more) = (0, Duration::ZERO, true);
        while more {
            let step = Timer::now();
            more = history.summarise(Instant::from_s(begin + HOUR_S + 120)).unwrap();
            (steps, longest) = (steps + 1, longest.max(step.elapsed()));
        }
        let samples = f64::from(signals) * HOUR_S as f64;
        let cpu = (on_cpu() - cpu).as_secs_f64();
        tell(&format!(
            "| {hour} | {samples} | {:.0} | {steps} | {:.0} | {cpu:.0} | {:.0} | {:.2} | {before:.0} | {:.0} | {:.0} |",
            sealing.as_secs_f64() / samples * 1e9,
            timer.elapsed().as_secs_f64(),
            cpu / samples * 1e9,
            longest.as_secs_f64(),
            peak_mb(),
            history.sizes().unwrap().disk_bytes as f64 / 1e6,
        ));
    }
}
