//! What a sample costs in the store of record: bytes on disk and time to seal and read back, beside the plain columns.
//! `cargo bench -p watchfire-history`

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark ends at the first surprise")]
#![expect(clippy::disallowed_methods, reason = "it measures real time")]

use std::path::Path;
use std::time::Instant as Timer;

use watchfire_history::SledHistory;
use watchfire_model::{Frame, Instant, Lsn, Quality, Record, RecordBody, Rows, SignalId, StatusCode};
use watchfire_pipeline::{History, RecordReader};

const SIGNALS: u32 = 200;
const START_S: i64 = 1_800_000_000;

/// Values at 1 Hz with millisecond jitter: slow waves with two decimals, a third of them noisy.
fn records(seconds: i64) -> Vec<Record> {
    let mut noise = 1_u64;
    let mut random = move || {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        f64::from(u32::try_from(noise >> 33).unwrap_or(0)) / f64::from(u32::MAX >> 1)
    };
    let record = |s: i64| {
        let mut rows = Rows::default();
        for signal in 0..SIGNALS {
            #[expect(clippy::cast_precision_loss, reason = "a phase")]
            let wave = 50.0 + 20.0 * (s as f64 / 90.0 + f64::from(signal)).sin();
            let value = if signal % 3 == 0 { wave + random() } else { wave };
            #[expect(clippy::cast_possible_truncation, reason = "a jitter of some milliseconds")]
            let jitter = (random() * 5.0) as i64 * 1_000_000;
            let time = Instant::from_ns((START_S + s) * 1_000_000_000 + jitter);
            rows.push(SignalId(signal), time, (value * 100.0).round() / 100.0, StatusCode::GOOD, Quality::NONE, 0);
        }
        let frame = Frame { now: Instant::from_s(START_S + s), rows, ..Frame::default() };
        Record { lsn: Lsn(s.unsigned_abs() + 1), body: RecordBody::Data(frame) }
    };
    (0..seconds).map(record).collect()
}

fn folder_bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).expect("folder").map(|entry| entry.expect("entry"));
    let sizes = entries.map(|entry| {
        if entry.path().is_dir() { folder_bytes(&entry.path()) } else { entry.metadata().expect("size").len() }
    });
    sizes.sum()
}

fn main() {
    println!("| bucket | samples | bytes a sample on disk | plain columns (value, time) | seal ns | read ns |");
    println!("|---|---|---|---|---|---|");
    for bucket_s in [60_usize, 600] {
        let written = records(3600);
        let samples = written.len() * usize::try_from(SIGNALS).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let history = SledHistory::open(folder.path()).unwrap();
        let began = Timer::now();
        written.chunks(bucket_s).for_each(|part| history.seal(part).unwrap());
        let seal = began.elapsed();
        let began = Timer::now();
        let mut next = Lsn(1);
        while let Some(last) = history.read(next, 1 << 20).unwrap().last() {
            next = last.lsn.next();
        }
        let read = began.elapsed();
        drop(history);
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        let each = |amount: u128| amount as f64 / samples as f64;
        println!(
            "| {bucket_s} s | {samples} | {:.2} | 16.00 | {:.0} | {:.0} |",
            each(u128::from(folder_bytes(folder.path()))),
            each(seal.as_nanos()),
            each(read.as_nanos())
        );
    }
}
