//! What is read back of the stores, and in what portions they are filled, whatever was sealed or dropped meanwhile.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use watchfire_model::{
    Control, Fill, Frame, Gap, GapCause, Instant, Lsn, Quality, Record, RecordBody, Rows, SignalId, SourceState,
    StatusCode,
};

use super::memory::MemoryJournal;
use super::rig::{Rig, Site};
use crate::{
    Encoded, Journal, JournalSync, Last, Log, OnRecord, PortError, RecordReader, Recorded, ReplayError, SignalsOf,
    gaps, recover, samples, seal_all,
};

fn frame(n: i64, time: i64) -> RecordBody {
    let mut rows = Rows::default();
    for signal in 0..3 {
        rows.push(SignalId(signal), Instant::from_s(time), n as f64, StatusCode::GOOD, Quality::NONE, 0);
    }
    rows.set_exact(n);
    RecordBody::Data(Frame { now: Instant::from_s(n), rows, ..Frame::default() })
}

fn trouble(bytes: usize) -> RecordBody {
    let (source, reason) = ("s".to_owned(), "x".repeat(bytes));
    RecordBody::Control(Control::Source { source, state: SourceState::Down, reason })
}

fn durable(site: &Site, bodies: impl IntoIterator<Item = RecordBody>) -> Arc<Log> {
    bodies.into_iter().for_each(|body| assert!(site.journal.append(&body).is_ok()));
    site.journal.syncer().sync().unwrap();
    site.log()
}

#[test]
fn what_is_sealed_at_once_is_bounded_by_bytes_whatever_the_records_are() {
    let site = Site::new();
    let log = durable(&site, (0..40).map(|_| trouble(300_000)));
    seal_all(&log).unwrap();
    assert_eq!(log.history().sealed(), Lsn(40));
    assert_eq!(site.history.seals(), 10, "four of them are a megabyte and more");
}

#[test]
fn samples_are_those_of_one_moment_in_pages_whatever_is_sealed_meanwhile() {
    for (sealed_before, sealed_meanwhile) in [(0, 0), (30, 0), (30, 60), (0, 99), (99, 0)] {
        let site = Site::new();
        // Out of order, and many of one time.
        let time = |n: i64| 1000 + n / 3 + n * 7 % 10;
        let log = durable(&site, (0..100).map(|n| frame(n, time(n))));
        if sealed_before > 0 {
            site.seal_some(sealed_before);
        }
        let mut expected: Vec<(i64, i64)> = (0..100).map(|n| (time(n), n)).collect();
        expected.retain(|(time, _)| (1005..1030).contains(time));
        expected.sort_unstable();
        let mut found = Vec::new();
        let mut pages = samples(&log, SignalId(2), Instant::from_s(1005), Instant::from_s(1030)).unwrap();
        let take = |rows: Rows, found: &mut Vec<(i64, i64)>| {
            rows.check().unwrap();
            assert!(!rows.is_empty() && rows.len() < 40);
            found.extend((0..rows.len()).map(|row| (rows.time[row].ns() / 1_000_000_000, rows.exact_at(row).unwrap())));
        };
        take(pages.next().unwrap().unwrap(), &mut found);
        if sealed_meanwhile > 0 {
            site.seal_some(sealed_meanwhile);
        }
        site.journal.append(&frame(1000, 1020)).unwrap();
        pages.for_each(|page| take(page.unwrap(), &mut found));
        assert_eq!(found, expected, "{sealed_before}, {sealed_meanwhile}");
    }
}

#[test]
fn the_last_time_is_found_however_much_else_was_recorded_since() {
    let site = Site::new();
    let log = durable(&site, [frame(77, 1), trouble(1), trouble(1), trouble(1)]);
    assert_eq!(recover(&log, &SignalsOf::default()).unwrap().last_now, Instant::from_s(77));
    seal_all(&log).unwrap();
    assert_eq!(recover(&log, &SignalsOf::default()).unwrap().last_now, Instant::from_s(77));
}

#[tokio::test(start_paused = true)]
async fn a_replay_whose_beginning_is_no_longer_kept_says_so() {
    let site = Site::new();
    assert!(matches!(site.try_replay().await, Err(ReplayError::NeverRan(_))));
    let rig = Rig::start(&site).await;
    for n in 0..20 {
        rig.value(0, f64::from(n)).await;
    }
    rig.wait_ms(61_000).await;
    rig.stop().await;
    site.seal();
    assert_eq!(site.replay().await.differences, vec![]);
    let is_begin = |body: &RecordBody| matches!(body, RecordBody::Control(Control::DetectorStarted { .. }));
    let began = site.records().into_iter().find(|record| is_begin(&record.body)).unwrap();
    let oldest = began.lsn.next();
    site.history.drop_before(oldest);
    let not_kept = |replayed| matches!(replayed, Err(ReplayError::NotKept { oldest: told, .. }) if told == oldest);
    assert!(not_kept(site.try_replay().await), "that it began is gone");

    let site = Site::new();
    let log = durable(&site, [frame(1, 1), frame(2, 2), began.body, frame(3, 3)]);
    seal_all(&log).unwrap();
    assert!(site.try_replay().await.is_ok());
    site.history.drop_before(oldest);
    assert!(not_kept(site.try_replay().await), "that it began is kept, but not what it saw first");
}

/// A journal that encodes what is large only when it is told to.
struct Held(MemoryJournal, Mutex<Receiver<()>>);

impl RecordReader for Held {
    fn read(&self, from: Lsn, rows_max: usize) -> Result<Vec<Record>, PortError> {
        self.0.read(from, rows_max)
    }
}

impl Journal for Held {
    fn encode(&self, body: &RecordBody) -> Result<Encoded, PortError> {
        if body.weight() > 1 << 20 {
            self.1.lock().recv().unwrap();
        }
        self.0.encode(body)
    }

    fn append_encoded(&self, encoded: &Encoded) -> Result<Lsn, PortError> {
        self.0.append_encoded(encoded)
    }

    fn syncer(&self) -> Box<dyn JournalSync> {
        self.0.syncer()
    }

    fn tail(&self) -> Lsn {
        self.0.tail()
    }

    fn truncate(&self, sealed: Lsn) -> Result<(), PortError> {
        self.0.truncate(sealed)
    }
}

#[tokio::test]
async fn nobody_waits_while_a_large_record_is_encoded() {
    let site = Site::new();
    let (go, held) = channel();
    let journal = Held(site.journal.clone(), Mutex::new(held));
    let log = Log::new(Arc::new(journal), Arc::new(site.history.clone()));
    let other = log.clone();
    let large = tokio::spawn(async move { other.put(trouble(2 << 20)).await.unwrap().lsn });
    tokio::task::yield_now().await;
    assert_eq!(log.put(trouble(1)).await.unwrap().lsn, Lsn(1));
    assert_eq!(log.cursor(Lsn(1)).next().await.unwrap().lsn, Lsn(1));
    go.send(()).unwrap();
    assert_eq!(large.await.unwrap(), Lsn(2));
    assert_eq!(site.records()[1].body, trouble(2 << 20));
}

/// One row of signal 0 in a frame of its own.
fn row(now: i64, time: i64, value: f64, quality: Quality) -> RecordBody {
    let mut rows = Rows::default();
    rows.push(SignalId(0), Instant::from_s(time), value, StatusCode::GOOD, quality, 0);
    RecordBody::Data(Frame { now: Instant::from_s(now), rows, ..Frame::default() })
}

#[test]
fn what_a_node_showed_again_is_one_sample_wherever_it_is_stored() {
    for sealed in [0, 2, 5] {
        let site = Site::new();
        let initial = |now: i64, time: i64, value: f64| row(now, time, value, Quality::INITIAL);
        let bodies = [
            row(1, 10, 1.0, Quality::NONE),
            row(2, 11, 2.0, Quality::NONE),
            initial(3, 11, 2.0),
            initial(4, 9, 5.0),
            initial(5, 11, 3.0),
        ];
        let log = durable(&site, bodies);
        if sealed > 0 {
            site.seal_some(sealed);
        }
        let pages = samples(&log, SignalId(0), Instant::MIN, Instant::MAX).unwrap();
        let found: Vec<_> = pages.flat_map(|page| page.unwrap().value).collect();
        assert_eq!(found, [5.0, 1.0, 2.0, 3.0], "one that was never met is kept, and one of another value");
    }
}

#[test]
fn the_last_values_before_a_start_are_known_and_what_came_late_is_not_among_them() {
    for sealed in [false, true] {
        let site = Site::new();
        let bodies = [
            frame(1, 500),
            row(100, 600, 1.0, Quality::NONE),
            row(101, 590, 1.0, Quality::LATE),
            row(102, 900, 1.0, Quality::SERVER_TIME),
        ];
        let log = durable(&site, bodies);
        if sealed {
            seal_all(&log).unwrap();
        }
        let last = recover(&log, &SignalsOf::default()).unwrap().last;
        assert_eq!(last.get(SignalId(0)), Some(Last::Value(Instant::from_s(600))));
        // What is sealed is looked at for a minute back; what is not, whole.
        assert_eq!(last.get(SignalId(1)), (!sealed).then(|| Last::Value(Instant::from_s(500))));
        let all = |ids: [u32; 2]| last.all_until("s", ids.into_iter().map(SignalId));
        assert_eq!((all([0, 1]), all([8, 9])), (Some(Instant::from_s(540)), None));
    }
}

#[test]
fn gaps_are_those_on_record_and_each_says_what_became_of_it_wherever_it_is_stored() {
    let gap = |signal: Option<u32>, since: i64, until: i64| {
        let (since, until) = (Instant::from_s(since), Instant::from_s(until));
        Gap { signal: signal.map(SignalId), since, until, cause: GapCause::SourceLost }
    };
    let fill = |signal: u32, since: i64, until: i64, status| {
        let (since, until, signal) = (Instant::from_s(since), Instant::from_s(until), SignalId(signal));
        Fill { signal, since, until, values: 2, status }
    };
    let told = |gaps: Vec<Gap>| RecordBody::Data(Frame { gaps, ..Frame::default() });
    let filled = |fills| RecordBody::Control(Control::Filled { source: "s".to_owned(), fills });
    let bodies = [
        told((0..5).map(|signal| gap(Some(signal), 10, 20)).collect()),
        frame(1, 20),
        told(vec![gap(None, 12, 21), gap(Some(3), 25, 30)]),
        filled(vec![fill(0, 10, 20, StatusCode::GOOD), fill(1, 10, 20, StatusCode(0x8071_0000))]),
        told(vec![gap(Some(1), 40, 50)]),
        // Asked again, with success; and once more, without.
        filled(vec![fill(1, 10, 20, StatusCode::GOOD), fill(3, 5, 30, StatusCode::GOOD)]),
        filled(vec![fill(1, 10, 20, StatusCode(0x8071_0000)), fill(1, 41, 50, StatusCode::GOOD)]),
    ];
    let good = |values: Option<Fill>| values.map(|fill| fill.status.is_good());
    for sealed in [0, 3, 5, 7] {
        let site = Site::new();
        let log = durable(&site, bodies.clone());
        if sealed > 0 {
            site.seal_some(sealed);
        }
        let found = |signals: Option<&[u32]>, from: i64, to: i64| {
            let signals = signals.map(|ids| ids.iter().map(|id| SignalId(*id)).collect());
            let pages = gaps(&log, signals, Instant::from_s(from), Instant::from_s(to)).unwrap();
            let all = pages.flat_map(|page| page.unwrap());
            let short = |found: OnRecord| {
                (found.gap.signal.map(|id| id.0), found.gap.since.ns() / 1_000_000_000, good(found.fill))
            };
            all.map(short).collect::<Vec<_>>()
        };
        let (yes, none) = (Some(true), None);
        let first =
            [(Some(0), 10, yes), (Some(1), 10, yes), (Some(2), 10, none), (Some(3), 10, yes), (Some(4), 10, none)];
        let rest = [(None, 12, none), (Some(3), 25, yes), (Some(1), 40, none)];
        assert_eq!(found(None, 0, 99), [first.as_slice(), &rest].concat(), "{sealed} sealed");
        assert_eq!(found(Some(&[1]), 0, 99), [(Some(1), 10, yes), (None, 12, none), (Some(1), 40, none)]);
        assert_eq!(found(Some(&[1, 3]), 21, 30), [(None, 12, none), (Some(3), 25, yes)]);
        assert_eq!(found(Some(&[9]), 30, 60), []);
        let open = recover(&log, &SignalsOf::default()).unwrap().open;
        let signals: Vec<_> = open.iter().map(|gap| gap.signal.unwrap().0).collect();
        assert_eq!(signals, [2, 4, 1], "those of every signal are not for a source to fill");
    }
}

#[test]
fn no_gap_of_a_plant_of_a_hundred_thousand_signals_is_forgotten_by_a_start() {
    let site = Site::new();
    let gap = |signal| {
        let (since, until) = (Instant::from_s(10), Instant::from_s(20));
        Gap { signal: Some(SignalId(signal)), since, until, cause: GapCause::SourceLost }
    };
    let frames = (0..25).map(|n| (n * 4_000..(n + 1) * 4_000).map(gap).collect());
    let log = durable(&site, frames.map(|gaps| RecordBody::Data(Frame { gaps, ..Frame::default() })));
    let open = recover(&log, &SignalsOf::default()).unwrap().open;
    assert_eq!(open, (0..100_000).map(gap).collect::<Vec<_>>());
}

#[test]
fn whoever_reads_what_is_not_sealed_finds_all_of_it_whatever_was_read_before() {
    for seed in 0..40 {
        let site = Site::new();
        let log = site.log();
        let mut random = SmallRng::seed_from_u64(seed);
        let mut written: Vec<(u32, i64, i64)> = Vec::new();
        let mut sealed = 0;
        for n in 0..120_i64 {
            let mut rows = Rows::default();
            for _ in 0..random.random_range(0..6) {
                // Some near each other, and one whose number is far away.
                let signal = [1, 2, 3, 70, 71, 5_000_000][random.random_range(0..6)];
                let time = 1000 + n + random.random_range(-20..1);
                rows.push(SignalId(signal), Instant::from_s(time), n as f64, StatusCode::GOOD, Quality::NONE, 0);
                rows.set_exact(n);
                written.push((signal, time, n));
            }
            site.journal.append(&RecordBody::Data(Frame { rows, ..Frame::default() })).unwrap();
            site.journal.syncer().sync().unwrap();
            if random.random_bool(0.05) {
                site.seal_some(site.journal.records().len());
                sealed += 1;
            }
            if random.random_bool(0.2) {
                let some: Vec<SignalId> = [2, 71, 5_000_000, 2].map(SignalId).to_vec();
                log.prepare(&some[..random.random_range(1..5)]).unwrap();
            }
            let signal = [1, 2, 3, 70, 71, 5_000_000, 9][random.random_range(0..7)];
            let (from, to) = if random.random_bool(0.5) { (0, 9999) } else { (1000 + n / 2, 1000 + n) };
            let pages = samples(&log, SignalId(signal), Instant::from_s(from), Instant::from_s(to)).unwrap();
            let mut found: Vec<(i64, i64)> = Vec::new();
            for page in pages {
                let rows = page.unwrap();
                let line = |row: usize| (rows.time[row].ns() / 1_000_000_000, rows.exact_at(row).unwrap());
                found.extend((0..rows.len()).map(line));
            }
            let of_signal = written.iter().filter(|(id, time, _)| *id == signal && (from..to).contains(time));
            let mut expected: Vec<_> = of_signal.map(|(_, time, n)| (*time, *n)).collect();
            expected.sort_unstable();
            assert_eq!(found, expected, "seed {seed}, frame {n}, signal {signal}");
        }
        assert!(sealed > 0 || seed > 0);
    }
}
