//! What summaries cost, and what they spare: a month of signals at 1 Hz, one of them fast, is sealed and summarised; then
//! one signal is read in hours from summaries and from samples. `cargo bench -p watchfire-history --bench summaries`

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark ends at the first surprise")]
#![expect(clippy::disallowed_methods, reason = "it measures real time")]

use std::path::Path;
use std::time::Instant as Timer;

use watchfire_history::SledHistory;
use watchfire_model::{Frame, Instant, Lsn, Quality, Record, RecordBody, Rows, SignalId, StatusCode, Summary, Unit};
use watchfire_pipeline::{History, Wanted};

const SIGNALS: u32 = 40;
/// Ten samples a second instead of one.
const FAST: SignalId = SignalId(0);
const DAYS: i64 = 30;
const BUCKET_S: i64 = 600;
const START_S: i64 = 1_798_761_600;

struct Noise(u64);

impl Noise {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

/// Noise over two decimals on a slow wave, with some milliseconds of jitter.
fn frame(s: i64, noise: &mut Noise) -> Frame {
    let mut rows = Rows::default();
    for signal in 0..SIGNALS {
        let signal = SignalId(signal);
        let many = if signal == FAST { 10 } else { 1 };
        for i in 0..many {
            let wave = 5000.0 + 2000.0 * (s as f64 / 90.0 + f64::from(signal.0)).sin();
            let value = (wave + noise.next(100) as f64).round() / 100.0;
            let time = Instant::from_ns((s * 1000 + i * 100 + noise.next(10).cast_signed()) * 1_000_000);
            rows.push(signal, time, value, StatusCode::GOOD, Quality::NONE, 0);
        }
    }
    Frame { now: Instant::from_s(s + 1), rows, ..Frame::default() }
}

fn bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| if entry.path().is_dir() { bytes(&entry.path()) } else { entry.metadata().unwrap().len() })
        .sum()
}

/// What a signal's samples come to by the hour, read as samples.
fn by_samples(history: &SledHistory, signal: SignalId, from: Instant, to: Instant) -> usize {
    let (mut next, mut hours, mut open) = (Some(from), 0, None::<Summary>);
    while let Some(from) = next {
        let page = history.range(&Wanted { signal, from, to, upto: history.sealed(), bytes_max: 4 << 20 }).unwrap();
        for row in 0..page.rows.len() {
            let hour = Unit::Hour.begin(page.rows.time[row]);
            match &mut open {
                Some(summary) if Unit::Hour.begin(summary.first.time) == hour => summary.add(&page.rows, row),
                open => {
                    hours += 1;
                    *open = Summary::of(&page.rows, row);
                }
            }
        }
        next = page.rest;
    }
    hours
}

fn by_summaries(history: &SledHistory, signal: SignalId, unit: Unit, from: Instant, to: Instant) -> usize {
    let (mut next, mut count) = (Some(from), 0);
    while let Some(from) = next {
        let page = history.summaries(signal, unit, from, to).unwrap();
        count += page.told.iter().filter(|told| told.summary.is_some()).count();
        next = page.rest;
    }
    count
}

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let history = SledHistory::open(folder.path()).unwrap();
    let (mut noise, mut lsn, mut samples) = (Noise(1), 0, 0_u64);
    for bucket in 0..DAYS * 86_400 / BUCKET_S {
        let mut next = || {
            lsn += 1;
            let frame = frame(START_S + bucket * BUCKET_S + (lsn - 1) % BUCKET_S, &mut noise);
            samples += frame.rows.len() as u64;
            Record { lsn: Lsn(lsn.unsigned_abs()), body: RecordBody::Data(frame) }
        };
        history.seal(&(0..BUCKET_S).map(|_| next()).collect::<Vec<Record>>()).unwrap();
    }
    let (from, to) = (Instant::from_s(START_S), Instant::from_s(START_S + DAYS * 86_400));
    let timer = Timer::now();
    while history.summarise(to.plus(Unit::Hour.length())).unwrap() {}
    let made = timer.elapsed();
    drop(history);
    let (of_samples, of_summaries) = (bytes(&folder.path().join("ts")), bytes(&folder.path().join("sums")));
    println!("{samples} samples: {:.2} bytes each on the disk", of_samples as f64 / samples as f64);
    println!(
        "summarised in {made:.1?}, {:.0} ns a sample; {:.3} bytes a sample more",
        made.as_nanos() as f64 / samples as f64,
        of_summaries as f64 / samples as f64
    );
    for (what, signal, unit) in [
        ("1 Hz by hours", SignalId(7), Unit::Hour),
        ("10 Hz by hours", FAST, Unit::Hour),
        ("10 Hz by minutes", FAST, Unit::Minute),
    ] {
        let history = SledHistory::open(folder.path()).unwrap();
        let timer = Timer::now();
        let told = by_summaries(&history, signal, unit, from, to);
        let quick = timer.elapsed();
        let timer = Timer::now();
        let hours = by_samples(&history, signal, from, to);
        println!("{what}: {told} from summaries in {quick:.1?}; {hours} hours from samples in {:.1?}", timer.elapsed());
    }
}
