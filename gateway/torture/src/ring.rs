//! Days at accelerated time, with retention: what a ring of samples takes of disk and memory while it goes round, how
//! long it takes to open, and what reading costs.

use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant as Timer};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use watchfire_aggregates::{Aggregate, Configuration, Intervals, Point, Processor, Rules};
use watchfire_history::SledHistory;
use watchfire_model::{Frame, Instant, Lsn, Quality, Record, RecordBody, Rows, SignalId, StatusCode};
use watchfire_pipeline::{History, Journal, Recorded, Wanted, samples};

use crate::writer::open;

pub const START_S: i64 = 1_800_000_000 - 1_800_000_000 % 86_400;
/// As the gateway seals.
const BUCKET_S: i64 = 600;
const BUCKETS_A_DAY: i64 = 144;

/// Seals `days` days of `signals` signals at 1 Hz, keeping `keep` of them, and tells of each what there is; then opens
/// the store anew and reads of it.
#[expect(clippy::disallowed_methods, reason = "it measures real time")]
pub fn ring(folder: &Path, signals: u32, days: i64, keep: i64, mut tell: impl FnMut(&str)) {
    let history = SledHistory::open(folder).unwrap();
    let mut random = SmallRng::seed_from_u64(1);
    let mut next = history.sealed().next();
    tell("| day | samples sealed | on disk, MB | resident, MB | seal, ns/value | encoded, B/value |");
    tell("|---:|---:|---:|---:|---:|---:|");
    let mut sealed = 0_u64;
    for day in 0..days {
        let (mut sealing, mut values) = (Duration::ZERO, 0_u64);
        for bucket in 0..BUCKETS_A_DAY {
            let from_s = START_S + day * 86_400 + bucket * BUCKET_S;
            let records = bucket_of(from_s..from_s + BUCKET_S, signals, &mut next, &mut random);
            let timer = Timer::now();
            history.seal(&records).unwrap();
            sealing += timer.elapsed();
            values += u64::from(signals) * BUCKET_S.unsigned_abs();
        }
        sealed += values;
        history.retain(Instant::from_s(START_S + (day + 1 - keep) * 86_400)).unwrap();
        let sizes = history.sizes().unwrap();
        tell(&format!(
            "| {} | {sealed} | {:.0} | {:.0} | {:.0} | {:.2} |",
            day + 1,
            sizes.disk_bytes as f64 / 1e6,
            resident_mb(),
            sealing.as_nanos() as f64 / values as f64,
            sizes.encoded_bytes as f64 / sizes.rows as f64
        ));
    }
    drop(history);
    read_back(folder, signals, (days - keep.min(days), days), tell);
}

/// Opens a ring of the days `from..to` and tells what reading it costs.
#[expect(clippy::disallowed_methods, reason = "it measures real time")]
pub fn read_back(folder: &Path, signals: u32, (from, to): (i64, i64), mut tell: impl FnMut(&str)) {
    let timer = Timer::now();
    let history = SledHistory::open(folder).unwrap();
    let last = history.sealed();
    // Nothing is recorded of this one, but every day is opened for it, and every bucket's directory read.
    assert_eq!(all_of(&history, SignalId(u32::MAX), last), 0);
    let opened = timer.elapsed();
    let some = || (0..signals).step_by((signals as usize / 20).max(1)).take(20).map(SignalId);
    for (what, of) in [("of five kinds", None), ("two decimals", Some(2))] {
        let before = on_cpu();
        let chosen = some().map(|signal| SignalId(signal.0 / 5 * 5 + of.unwrap_or(signal.0 / 10 % 5)));
        let rows = chosen.map(|signal| all_of(&history, signal, last)).sum::<usize>();
        let took = on_cpu() - before;
        tell(&format!("{what}: {:.1} million values read in a second of CPU", rows as f64 / took.as_secs_f64() / 1e6));
    }
    let sizes = history.sizes().unwrap();
    let gb = sizes.disk_bytes as f64 / 1e9;
    tell(&format!("{gb:.2} GB opened in {opened:?}, every day of it: {:.2} s a GB", opened.as_secs_f64() / gb));
    for aggregate in [Aggregate::Average, Aggregate::TimeAverage, Aggregate::Maximum] {
        let (timer, before) = (Timer::now(), on_cpu());
        let hours = hourly(&history, SignalId(2 % signals), aggregate, from * 86_400, to * 86_400);
        tell(&format!(
            "{hours} hours of {aggregate:?} of one signal in {:?}, {:?} of CPU; {:.0} MB resident",
            timer.elapsed(),
            on_cpu() - before,
            resident_mb()
        ));
    }
}

fn all_of(history: &SledHistory, signal: SignalId, upto: Lsn) -> usize {
    let wanted = Wanted { signal, from: Instant::MIN, to: Instant::MAX, upto, bytes_max: usize::MAX };
    history.range(&wanted).unwrap().rows.len()
}

fn hourly(history: &SledHistory, signal: SignalId, aggregate: Aggregate, from_s: i64, to_s: i64) -> usize {
    let (mut from, to) = (Instant::from_s(START_S + from_s), Instant::from_s(START_S + to_s));
    let intervals = Intervals::new(from, to, Duration::from_secs(3600)).unwrap();
    let rules = Rules { configuration: Configuration::default(), stepped: false };
    let mut processor = Processor::new(aggregate, rules, intervals, 0..intervals.count()).unwrap();
    loop {
        let wanted = Wanted { signal, from, to, upto: history.sealed(), bytes_max: 4 << 20 };
        let page = history.range(&wanted).unwrap();
        for row in 0..page.rows.len() {
            let (time, value, status) = (page.rows.time[row], page.rows.value[row], page.rows.status[row]);
            processor.push(&Point { time, value, exact: None, status }).unwrap();
        }
        let Some(rest) = page.rest else { break };
        from = rest;
    }
    processor.finish().iter().filter(|found| found.value.is_some()).count()
}

/// Some seconds: of each five signals a valve, a counter, two decimals, single and double precision, in turn.
pub fn bucket_of(seconds: Range<i64>, signals: u32, next: &mut Lsn, random: &mut SmallRng) -> Vec<Record> {
    let frame = |s: i64| {
        let mut rows = Rows::default();
        for signal in 0..signals {
            let ms = s * 1000 + i64::from(signal % 1000) + random.random_range(0..10);
            let noise: f64 = random.random();
            let noisy = 50.0 + 20.0 * (s as f64 / 90.0 + f64::from(signal)).sin() + noise;
            let value = match signal % 5 {
                0 => f64::from(u8::from((s + i64::from(signal)) / 300 % 2 == 0)),
                1 => ((s - START_S) * 7 / 3) as f64 + (noise * 3.0).floor(),
                2 => (noisy * 100.0).round() / 100.0,
                3 => f64::from(noisy as f32),
                _ => noisy,
            };
            rows.push(SignalId(signal), Instant::from_ns(ms * 1_000_000), value, StatusCode::GOOD, Quality::NONE, 0);
        }
        let lsn = std::mem::replace(next, next.next());
        Record { lsn, body: RecordBody::Data(Frame { now: Instant::from_s(s), rows, ..Frame::default() }) }
    };
    seconds.map(frame).collect()
}

/// How long this thread has computed.
pub fn on_cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(stat.split_whitespace().next().unwrap().parse().unwrap())
}

pub fn resident_mb() -> f64 {
    megabytes("VmRSS:")
}

/// The most that was resident, since the start or since it was forgotten.
pub fn peak_mb() -> f64 {
    megabytes("VmHWM:")
}

/// Forgets what was resident at the most.
pub fn forget_peak() {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
}

fn megabytes(of: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(of)).unwrap();
    line.trim().trim_end_matches("kB").trim().parse::<f64>().unwrap() / 1024.0
}

/// Writes frames of `signals` signals, `times` of each, and tells what it costs to read some of them before they are
/// sealed.
#[expect(clippy::disallowed_methods, reason = "it measures real time")]
pub fn unsealed(folder: &Path, signals: u32, times: i64, mut tell: impl FnMut(&str)) {
    let (log, journal, _) = open(folder);
    let mut random = SmallRng::seed_from_u64(1);
    for s in 0..times {
        for first in (0..signals).step_by(FRAME_ROWS) {
            let mut rows = Rows::default();
            for signal in first..signals.min(first + FRAME_ROWS as u32) {
                let time = Instant::from_s(START_S + s);
                rows.push(SignalId(signal), time, random.random(), StatusCode::GOOD, Quality::NONE, 0);
            }
            journal
                .append(&RecordBody::Data(Frame { now: Instant::from_s(START_S + s), rows, ..Frame::default() }))
                .unwrap();
        }
    }
    log.sync().unwrap();
    let read = |signal: u32| {
        let found = samples(&log, SignalId(signal), Instant::MIN, Instant::MAX).unwrap();
        found.map(|page| page.unwrap().len()).sum::<usize>()
    };
    let apart: Vec<u32> = (0..64).map(|n| n * (signals / 64)).collect();
    let jobs: [(&str, Vec<u32>, bool); 4] = [
        ("one signal", vec![signals / 2], false),
        ("it again", vec![signals / 2], false),
        ("64 that were configured one after the other", (0..64).collect(), false),
        ("64 others in one request", apart, true),
    ];
    for (what, of, together) in jobs {
        let timer = Timer::now();
        if together {
            log.prepare(&of.iter().map(|signal| SignalId(*signal)).collect::<Vec<_>>()).unwrap();
        }
        let rows = of.iter().map(|signal| read(*signal)).sum::<usize>();
        tell(&format!("{what}: {rows} of {} unsealed samples in {:?}", i64::from(signals) * times, timer.elapsed()));
    }
}

/// As ingestion cuts them.
const FRAME_ROWS: usize = 4096;
