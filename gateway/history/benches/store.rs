//! What a sample costs in the store of record: bytes, and time to seal and read back, beside plain columns of value and
//! time. `cargo bench -p watchfire-history`

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark ends at the first surprise")]

use std::time::Duration;

use watchfire_history::SledHistory;
use watchfire_model::{Frame, Instant, Lsn, Quality, Record, RecordBody, Rows, SignalId, StatusCode};
use watchfire_pipeline::{History, RecordReader, Wanted};

const SIGNALS: u32 = 200;
const SECONDS: i64 = 3600;
const START_S: i64 = 1_800_000_000;
/// How often the server publishes: each time a frame with what was sampled since.
const PUBLISHED: i64 = 4;

struct Noise(u64);

impl Noise {
    /// Between 0 and 1.
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f64 / (1_u64 << 24) as f64
    }
}

/// A pump's signals by kind: what each sample shows.
fn value(kind: &str, signal: u32, s: i64, noise: &mut Noise) -> f64 {
    let wave = 50.0 + 20.0 * (s as f64 / 90.0 + f64::from(signal)).sin();
    let noisy = wave + noise.next();
    match kind {
        "a valve" => f64::from(u8::from((s + i64::from(signal)) / 300 % 2 == 0)),
        "a counter" => (s * 7 / 3) as f64 + (noise.next() * 3.0).floor(),
        "two decimals" => (noisy * 100.0).round() / 100.0,
        "single precision" => f64::from(noisy as f32),
        _ => noisy,
    }
}

const KINDS: [&str; 5] = ["a valve", "a counter", "two decimals", "single precision", "double precision"];

/// Frames at 1 Hz for each signal, sampled in turn, with some milliseconds of jitter.
fn records(kind: Option<&str>) -> Vec<Record> {
    let mut noise = Noise(1);
    let mut records = Vec::new();
    for tick in 0..SECONDS * PUBLISHED {
        let (s, quarter) = (tick / PUBLISHED, tick % PUBLISHED);
        let mut rows = Rows::default();
        for signal in (0..SIGNALS).filter(|signal| i64::from(*signal) % PUBLISHED == quarter) {
            let jitter_ms = (noise.next() * 10.0) as i64;
            let ns = (START_S + s) * 1_000_000_000 + (quarter * 250 + jitter_ms) * 1_000_000;
            let kind = kind.unwrap_or(KINDS[signal as usize % KINDS.len()]);
            let value = value(kind, signal, s, &mut noise);
            rows.push(SignalId(signal), Instant::from_ns(ns), value, StatusCode::GOOD, Quality::NONE, 0);
        }
        let now_ns = START_S * 1_000_000_000 + tick * 250_000_000 + (noise.next() * 1e6) as i64;
        let frame = Frame { now: Instant::from_ns(now_ns), rows, ..Frame::default() };
        records.push(Record { lsn: Lsn(tick.unsigned_abs() + 1), body: RecordBody::Data(frame) });
    }
    records
}

/// How long this thread has computed: other programs do not count.
fn on_cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(stat.split_whitespace().next().unwrap().parse().unwrap())
}

fn range(history: &SledHistory, signal: SignalId) -> usize {
    let (from, to, upto) = (Instant::MIN, Instant::MAX, history.sealed());
    history.range(&Wanted { signal, from, to, upto, bytes_max: usize::MAX }).unwrap().rows.len()
}

fn main() {
    println!("| signals | bucket | plain columns, B | encoded, B | on disk, B | seal, ns | replay, ns | range, ns |");
    println!("|---|---|---|---|---|---|---|---|");
    let kinds = std::iter::once(None).chain(KINDS.into_iter().map(Some));
    for (kind, bucket_s) in kinds.flat_map(|kind| [60, 600].map(|bucket_s| (kind, bucket_s))) {
        let written = records(kind);
        let folder = tempfile::tempdir().unwrap();
        let history = SledHistory::open(folder.path()).unwrap();
        let timer = on_cpu();
        written.chunks(bucket_s * PUBLISHED as usize).for_each(|part| history.seal(part).unwrap());
        let seal = on_cpu() - timer;
        let timer = on_cpu();
        let mut next = Lsn(1);
        while let Some(last) = history.read(next, 1 << 16).unwrap().last() {
            next = last.lsn.next();
        }
        let replay = on_cpu() - timer;
        let timer = on_cpu();
        let read: usize = (0..SIGNALS).map(|id| range(&history, SignalId(id))).sum();
        let range = on_cpu() - timer;
        let sizes = history.sizes().unwrap();
        assert_eq!(sizes.rows, read as u64);
        let bytes = |amount: u64| amount as f64 / read as f64;
        let ns = |time: Duration| time.as_nanos() as f64 / read as f64;
        println!(
            "| {} | {bucket_s} s | 16.00 | {:.2} | {:.2} | {:.0} | {:.0} | {:.0} |",
            kind.unwrap_or("all of these"),
            bytes(sizes.encoded_bytes),
            bytes(sizes.disk_bytes),
            ns(seal),
            ns(replay),
            ns(range)
        );
    }
}
