//! What a disk has to write for each value: journal, commits and seals together, at a given rate in real time.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio_util::sync::CancellationToken;
use watchfire_model::{Frame, Instant, Quality, RecordBody, Rows, SignalId, StatusCode};
use watchfire_pipeline::{Log, seal_all};

use crate::writer::open;

const START_S: i64 = 1_800_000_000;
/// How often a server publishes.
const PUBLISHED: u32 = 4;
/// As the gateway does by default.
const COMMIT: Duration = Duration::from_millis(100);
const SEAL_EVERY_S: u64 = 600;
const SEAL_ROWS: u64 = 2_000_000;

/// Writes `rate` values a second (that many signals at 1 Hz) for so many seconds as the gateway would, and answers what
/// the system counts as written.
#[must_use]
pub fn rate(folder: &Path, rate: u32, seconds: u64) -> String {
    let (log, ..) = open(folder);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let before = written();
    let (values, journal) = runtime.block_on(async {
        let stop = CancellationToken::new();
        let committing = tokio::spawn(log.clone().commit(COMMIT, stop.clone()));
        let mut random = SmallRng::seed_from_u64(1);
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / PUBLISHED);
        let (mut values, mut unsealed, mut sealing) = (0_u64, 0_u64, 0_u64);
        for tick in 0..seconds * u64::from(PUBLISHED) {
            ticks.tick().await;
            let frame = frame(tick, rate, &mut random);
            values += frame.rows.len() as u64;
            unsealed += frame.rows.len() as u64;
            log.put(RecordBody::Data(frame)).await.unwrap();
            let due = (tick + 1) % (SEAL_EVERY_S * u64::from(PUBLISHED)) == 0 || unsealed >= SEAL_ROWS;
            if due {
                let before = written();
                seal(log.clone()).await;
                (unsealed, sealing) = (0, sealing + written() - before);
            }
        }
        stop.cancel();
        committing.await.unwrap().unwrap();
        let journal = written() - before - sealing;
        seal(log.clone()).await;
        (values, journal)
    });
    let all = written() - before;
    let each = |bytes: u64| bytes as f64 / values as f64;
    let a_day = each(all) * f64::from(rate) * 86_400.0 / 1e9;
    format!(
        "| {rate} | {seconds} | {values} | {:.2} | {:.2} | {:.2} | {a_day:.2} |",
        each(journal),
        each(all - journal),
        each(all)
    )
}

async fn seal(log: Arc<Log>) {
    tokio::task::spawn_blocking(move || seal_all(&log).unwrap()).await.unwrap();
}

/// A quarter of the signals, sampled in turn with some milliseconds of jitter: of each five a valve, a counter, two
/// decimals, single and double precision.
fn frame(tick: u64, signals: u32, random: &mut SmallRng) -> Frame {
    let (s, quarter) = (i64::try_from(tick / u64::from(PUBLISHED)).unwrap(), tick % u64::from(PUBLISHED));
    let mut rows = Rows::default();
    for signal in (0..signals).filter(|signal| u64::from(signal % PUBLISHED) == quarter) {
        let jitter_ms = random.random_range(0..10);
        let ms = (START_S + s) * 1000 + i64::try_from(quarter).unwrap() * 250 + jitter_ms;
        let noise: f64 = random.random();
        let noisy = 50.0 + 20.0 * (s as f64 / 90.0 + f64::from(signal)).sin() + noise;
        let value = match signal / PUBLISHED % 5 {
            0 => f64::from(u8::from((s + i64::from(signal)) / 300 % 2 == 0)),
            1 => (s * 7 / 3) as f64 + (noise * 3.0).floor(),
            2 => (noisy * 100.0).round() / 100.0,
            3 => f64::from(noisy as f32),
            _ => noisy,
        };
        rows.push(SignalId(signal), Instant::from_ns(ms * 1_000_000), value, StatusCode::GOOD, Quality::NONE, 0);
    }
    let now = Instant::from_ns(START_S * 1_000_000_000 + i64::try_from(tick).unwrap() * 250_000_000);
    Frame { now, rows, ..Frame::default() }
}

/// Bytes that this process has caused to be written to a disk.
fn written() -> u64 {
    let counts = std::fs::read_to_string("/proc/self/io").unwrap();
    let line = counts.lines().find_map(|line| line.strip_prefix("write_bytes: ")).unwrap();
    line.trim().parse().unwrap()
}
