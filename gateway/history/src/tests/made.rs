//! Records for tests, from a seed, and what they must look like when they are read back.

use watchfire_model::{
    AlarmState, ConditionKey, Control, Decided, Fill, Frame, Gap, GapCause, Instant, Lsn, Phase, PlainEvent, Quality,
    Record, RecordBody, Rows, Severity, SignalId, StatusCode,
};
use watchfire_pipeline::{History, PortError, RecordReader, Wanted};

use crate::SledHistory;

/// Where made time begins: shortly before the end of a UTC day.
pub const START_S: i64 = 1_800_000_000;

/// A small generator: tests say their seed, not their data.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn signed(&mut self, sides: u64) -> i64 {
        i64::try_from(self.roll(sides)).unwrap()
    }
}

/// Rows with everything odd that a row may have; `plain` ones are what a pump sends.
fn rows(dice: &mut Dice, now: Instant, plain: bool) -> Rows {
    let mut rows = Rows::default();
    for i in 0..dice.roll(30) {
        let signal = SignalId(u32::try_from(dice.roll(5)).unwrap() * 1000);
        let late = dice.signed(200_000_000_000);
        if plain {
            let time = Instant::from_ns(now.ns().wrapping_sub(late / 1_000_000 * 1_000_000));
            rows.push(signal, time, dice.roll(1000) as f64 / 10.0, StatusCode::GOOD, Quality::NONE, 0);
            continue;
        }
        let odd =
            [0x7ff8_dead_beef_0001, (-0.0_f64).to_bits(), f64::INFINITY.to_bits(), 3, 0.1_f64.to_bits(), u64::MAX];
        let time = if dice.roll(20) == 0 { i64::MIN } else { now.ns().wrapping_sub(late) };
        let status = StatusCode(if dice.roll(4) == 0 { 0x8031_0000 } else { 0 });
        let quality = if dice.roll(9) == 0 { Quality::LATE } else { Quality::NONE };
        rows.push(signal, Instant::from_ns(time), 0.0, status, quality, dice.signed(3) - 1);
        rows.value[usize::try_from(i).unwrap()] = f64::from_bits(odd[usize::try_from(dice.roll(6)).unwrap()]);
        match dice.roll(12) {
            0 => rows.set_text("some \u{1f525} text".repeat(usize::try_from(dice.roll(3)).unwrap())),
            1 => rows.set_exact(i64::MIN + dice.signed(9)),
            2 => {
                rows.set_exact(i64::MAX);
                rows.set_text("9".repeat(9000));
            }
            _ => {}
        }
    }
    if rows.skew_ns.iter().all(|skew| *skew == 0) && dice.roll(2) == 0 {
        rows.skew_ns.clear();
    }
    rows
}

fn frame(dice: &mut Dice, now: Instant) -> Frame {
    let plain = dice.roll(2) == 0;
    let gap = |signal| Gap { signal, since: Instant::MIN, until: now, cause: GapCause::SourceLost };
    let gaps = if dice.roll(6) == 0 { vec![gap(None), gap(Some(SignalId(1000)))] } else { vec![] };
    let mode = u32::try_from(dice.roll(3)).unwrap();
    Frame {
        now,
        utc_offset_s: 3600 - i32::try_from(dice.roll(2)).unwrap() * 7200,
        mode,
        rows: rows(dice, now, plain),
        gaps,
    }
}

fn state(dice: &mut Dice) -> AlarmState {
    let long = if dice.roll(5) == 0 { 15_000 } else { 40 };
    let byte = u8::try_from(dice.roll(200)).unwrap();
    AlarmState { key: ConditionKey::new("hot", "high", &format!("s/{}", dice.roll(3))), state: vec![byte; long] }
}

/// What was told at some places.
fn events(lsn: u64) -> Vec<PlainEvent> {
    let at = Instant::from_s(START_S);
    let event = PlainEvent {
        key: ConditionKey::new("hot", "odd", ""),
        event_id: [7; 16],
        area: "Hall".to_owned(),
        source_name: "hot".to_owned(),
        signal: None,
        severity: Severity::clamped(300),
        message: "odd".repeat(usize::try_from(lsn % 50).unwrap()),
        at,
        receive_time: at,
    };
    if lsn.is_multiple_of(3) { vec![event] } else { Vec::new() }
}

/// `count` records from the first on, frames about `step_s` apart; the same seed gives the same beginning.
pub fn records(seed: u64, count: u64, step_s: i64) -> Vec<Record> {
    let mut dice = Dice(seed);
    let mut now = Instant::from_s(START_S);
    let mut body = |lsn: u64| match dice.roll(8) {
        0 if lsn.is_multiple_of(2) => {
            let (since, until, status) = (Instant::MIN, now, StatusCode::GOOD);
            let fill = Fill { signal: SignalId(1000), since, until, values: 3, status };
            RecordBody::Control(Control::Filled { source: "s".into(), fills: vec![fill] })
        }
        0 => {
            let binding = "long".repeat(usize::try_from(dice.roll(5000)).unwrap());
            RecordBody::Control(Control::DetectorPhase { binding, phase: Phase::Ready })
        }
        1 => RecordBody::Decided(Decided {
            binding: format!("hot{}", dice.roll(2)),
            frame: Lsn(lsn),
            verdicts: vec![],
            transitions: vec![state(&mut dice), state(&mut dice)],
            events: events(lsn),
        }),
        _ => {
            now = Instant::from_ns(now.ns().wrapping_add(step_s.wrapping_mul(1_000_000_000)).wrapping_add(1));
            RecordBody::Data(frame(&mut dice, now))
        }
    };
    (1..=count).map(|lsn| Record { lsn: Lsn(lsn), body: body(lsn) }).collect()
}

/// Bit for bit, NaN and −0 included.
pub fn bits(records: &[Record]) -> Vec<Vec<u8>> {
    records.iter().map(|record| postcard::to_stdvec(&(record.lsn, &record.body)).unwrap()).collect()
}

/// Everything from `from` on, read in steps.
pub fn all(history: &SledHistory, from: Lsn, step: usize) -> Vec<Record> {
    let mut found: Vec<Record> = Vec::new();
    loop {
        let next = found.last().map_or(from, |last| last.lsn.next());
        let more = history.read(next, step).unwrap();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

/// All that is sealed of a signal between two times.
pub fn range(history: &SledHistory, signal: SignalId, from: Instant, to: Instant) -> Result<Rows, PortError> {
    history.range(&Wanted { signal, from, to, upto: history.sealed(), bytes_max: usize::MAX }).map(|page| page.rows)
}

/// A copy of a folder as it stands.
pub fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    if to.is_dir() {
        std::fs::remove_dir_all(to).unwrap();
    }
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &to.join(entry.file_name()));
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}
