//! Stores in memory that keep the ports' promises and no more: what was not synced is lost at a kill.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;
use watchfire_alarms::ConditionState;
use watchfire_model::{AlarmState, Control, Fill, Gap, Instant, Lsn, Record, RecordBody, SignalId};

use crate::holes::looked;
use crate::{
    Checkpoint, Disk, Encoded, GapBegins, Gaps, History, Journal, JournalSync, Page, PortError, RecordReader,
    RecordRun, Room, Wanted,
};

#[derive(Debug, Default)]
struct Records {
    first: u64,
    records: Vec<Record>,
    durable: usize,
    /// Records that fit on the disk; as many as one likes without it.
    left: Option<u64>,
    /// Room for this many is in reserve.
    reserve: u64,
}

/// The journal.
#[derive(Clone, Debug, Default)]
pub struct MemoryJournal(Arc<Mutex<Records>>);

impl MemoryJournal {
    /// What a kill does: everything after the last sync is gone.
    pub fn lose_what_is_not_durable(&self) {
        let mut inner = self.0.lock();
        let durable = inner.durable;
        inner.records.truncate(durable);
    }

    pub fn records(&self) -> Vec<Record> {
        self.0.lock().records.clone()
    }

    /// From now on so many records fit on the disk.
    pub fn leave_room(&self, records: Option<u64>) {
        self.0.lock().left = records;
    }

    pub fn disk(&self) -> Arc<MemoryDisk> {
        Arc::new(MemoryDisk(self.clone()))
    }

    pub fn durable_tail(&self) -> Lsn {
        let inner = self.0.lock();
        Lsn(inner.first + inner.durable as u64)
    }

    /// The durable state of each condition, by key.
    pub fn durable_states(&self) -> BTreeMap<String, ConditionState> {
        let inner = self.0.lock();
        let mut states = BTreeMap::new();
        for record in &inner.records[..inner.durable] {
            for state in transitions(&record.body) {
                let decoded = ConditionState::decode(state.key.as_str(), &state.state).unwrap();
                states.insert(state.key.to_string(), decoded);
            }
        }
        states
    }

    /// The EventIds of what is no alarm and durable.
    pub fn durable_events(&self) -> BTreeSet<[u8; 16]> {
        let inner = self.0.lock();
        let events = inner.records[..inner.durable].iter().filter_map(|record| match &record.body {
            RecordBody::Decided(decided) => Some(&decided.events),
            _ => None,
        });
        events.flatten().map(|event| event.event_id).collect()
    }
}

/// The disk under the journal: a record takes a megabyte.
pub struct MemoryDisk(MemoryJournal);

/// Records for which room is held in reserve.
const RESERVE: u64 = 16;

impl Disk for MemoryDisk {
    fn room(&self) -> Result<Room, PortError> {
        let free_bytes = self.0.0.lock().left.map_or(u64::MAX, |left| left << 20);
        Ok(Room { free_bytes, total_bytes: 1000 << 20, reserve_bytes: RESERVE << 20 })
    }

    fn hold(&self) -> Result<(), PortError> {
        let Records { left, reserve, .. } = &mut *self.0.0.lock();
        if *reserve == 0 {
            if let Some(left) = left {
                *left = left.checked_sub(RESERVE).ok_or_else(|| PortError::Full { doing: "holding".to_owned() })?;
            }
            *reserve = RESERVE;
        }
        Ok(())
    }

    fn release(&self) -> Result<(), PortError> {
        let Records { left, reserve, .. } = &mut *self.0.0.lock();
        let given = std::mem::take(reserve);
        *left = left.map(|left| left + given);
        Ok(())
    }
}

fn transitions(body: &RecordBody) -> &[AlarmState] {
    match body {
        RecordBody::Decided(decided) => &decided.transitions,
        RecordBody::Commanded { transitions, .. } => transitions,
        _ => &[],
    }
}

fn from(records: &[Record], from: Lsn, rows_max: usize) -> Vec<Record> {
    let most = (rows_max / 64).max(1);
    records.iter().filter(|record| record.lsn >= from).take(most).cloned().collect()
}

impl RecordReader for MemoryJournal {
    fn read(&self, lsn: Lsn, rows_max: usize) -> Result<Vec<Record>, PortError> {
        Ok(from(&self.0.lock().records, lsn, rows_max))
    }
}

impl Journal for MemoryJournal {
    fn encode(&self, body: &RecordBody) -> Result<Encoded, PortError> {
        Ok(Encoded(postcard::to_allocvec(body).unwrap()))
    }

    fn append_encoded(&self, encoded: &Encoded) -> Result<Lsn, PortError> {
        let mut inner = self.0.lock();
        if let Some(left) = &mut inner.left {
            *left = left.checked_sub(1).ok_or_else(|| PortError::Full { doing: "appending".to_owned() })?;
        }
        let lsn = Lsn(inner.first + inner.records.len() as u64 + 1);
        inner.records.push(Record { lsn, body: postcard::from_bytes(&encoded.0).unwrap() });
        Ok(lsn)
    }

    fn syncer(&self) -> Box<dyn JournalSync> {
        Box::new(self.clone())
    }

    fn tail(&self) -> Lsn {
        let inner = self.0.lock();
        Lsn(inner.first + inner.records.len() as u64)
    }

    fn truncate(&self, sealed: Lsn) -> Result<(), PortError> {
        let mut inner = self.0.lock();
        let drop = usize::try_from(sealed.0.saturating_sub(inner.first)).unwrap();
        inner.records.drain(..drop);
        inner.first += drop as u64;
        inner.durable -= drop;
        Ok(())
    }
}

impl JournalSync for MemoryJournal {
    fn sync(&mut self) -> Result<Lsn, PortError> {
        let mut inner = self.0.lock();
        inner.durable = inner.records.len();
        Ok(Lsn(inner.first + inner.durable as u64))
    }
}

#[derive(Debug, Default)]
struct Sealed {
    records: Vec<Record>,
    states: BTreeMap<String, AlarmState>,
    decided: BTreeMap<String, Lsn>,
    checkpoints: BTreeMap<String, Checkpoint>,
    notes: BTreeMap<String, Vec<u8>>,
    broken: Vec<String>,
    /// How often records were sealed, and how often it was looked what is too old.
    seals: usize,
    looks: usize,
    /// No checkpoint fits on the disk.
    is_full: bool,
    /// Notes do not fit on the disk.
    refuses_notes: bool,
    /// So many more seals panic, once they have read all they are to seal.
    panics: usize,
    /// How often it was begun to seal.
    begun: usize,
}

/// The store of record. It watches that nothing is saved that rests on what could still be lost.
#[derive(Clone, Debug, Default)]
pub struct MemoryHistory(Arc<Mutex<Sealed>>, MemoryJournal);

impl MemoryHistory {
    pub fn beside(journal: &MemoryJournal) -> Self {
        Self(Arc::default(), journal.clone())
    }

    /// Promises that were broken.
    pub fn broken(&self) -> Vec<String> {
        self.0.lock().broken.clone()
    }

    pub fn records(&self) -> Vec<Record> {
        self.0.lock().records.clone()
    }

    pub fn seals(&self) -> usize {
        self.0.lock().seals
    }

    pub fn looks_for_the_old(&self) -> usize {
        self.0.lock().looks
    }

    /// From now on checkpoints fit on the disk, or do not.
    pub fn leave_room(&self, is_room: bool) {
        self.0.lock().is_full = !is_room;
    }

    /// From now on notes fit on the disk, or do not.
    pub fn leave_room_for_notes(&self, is_room: bool) {
        self.0.lock().refuses_notes = !is_room;
    }

    /// So many more seals panic.
    pub fn panic_at_seals(&self, count: usize) {
        self.0.lock().panics = count;
    }

    /// How often it was begun to seal.
    pub fn seals_begun(&self) -> usize {
        self.0.lock().begun
    }

    /// No detector finds a state of its own.
    pub fn forget_checkpoints(&self) {
        self.0.lock().checkpoints.clear();
    }

    /// What retention does: everything before the last record is dropped.
    pub fn forget(&self) {
        let last = self.0.lock().records.last().unwrap().lsn;
        self.drop_before(last);
    }

    pub fn drop_before(&self, oldest: Lsn) {
        self.0.lock().records.retain(|record| record.lsn >= oldest);
    }
}

impl RecordReader for MemoryHistory {
    fn read(&self, lsn: Lsn, rows_max: usize) -> Result<Vec<Record>, PortError> {
        Ok(from(&self.0.lock().records, lsn, rows_max))
    }
}

impl History for MemoryHistory {
    fn signal_ids(&self, names: &[String]) -> Result<Vec<SignalId>, PortError> {
        Ok((0..names.len()).map(|i| SignalId(u32::try_from(i).unwrap())).collect())
    }

    fn known_signals(&self) -> Result<BTreeMap<String, SignalId>, PortError> {
        Ok(BTreeMap::new())
    }

    fn sealed(&self) -> Lsn {
        self.0.lock().records.last().map_or(Lsn(0), |record| record.lsn)
    }

    fn seal_run(&self, run: &dyn RecordRun) -> Result<(), PortError> {
        let records: Vec<Record> = run.records().collect::<Result<_, _>>()?;
        let mut inner = self.0.lock();
        inner.begun += 1;
        if let Some(left) = inner.panics.checked_sub(1) {
            inner.panics = left;
            panic!("an odd value");
        }
        inner.seals += 1;
        for record in &records {
            for state in transitions(&record.body) {
                inner.states.insert(state.key.to_string(), state.clone());
            }
            if let RecordBody::Decided(decided) = &record.body {
                inner.decided.insert(decided.binding.clone(), decided.frame);
            }
            inner.records.push(record.clone());
        }
        Ok(())
    }

    fn last_frame(&self) -> Result<Option<Lsn>, PortError> {
        let inner = self.0.lock();
        let frames = inner.records.iter().rev().filter(|record| matches!(record.body, RecordBody::Data(_)));
        Ok(frames.map(|record| record.lsn).next())
    }

    fn range(&self, wanted: &Wanted) -> Result<Page, PortError> {
        let inner = self.0.lock();
        let mut found = Vec::new();
        for record in inner.records.iter().filter(|record| record.lsn <= wanted.upto) {
            if let RecordBody::Data(frame) = &record.body {
                let places = (0..frame.rows.len()).map(|row| (frame.rows.time[row], record.lsn, row, &frame.rows));
                found.extend(places.filter(|(time, _, row, rows)| {
                    rows.signal[*row] == wanted.signal && (wanted.from..wanted.to).contains(time)
                }));
            }
        }
        found.sort_by_key(|(time, lsn, row, _)| (*time, *lsn, *row));
        let mut page = Page::default();
        for (time, _, row, from) in found {
            if page.rows.weight() >= wanted.bytes_max && page.rows.time.last().is_some_and(|last| *last < time) {
                page.rest = Some(time);
                break;
            }
            page.rows.push_row(from, row);
        }
        Ok(page)
    }

    fn gaps(
        &self,
        from: Lsn,
        upto: Lsn,
        signals: Option<(SignalId, SignalId)>,
        between: (Instant, Instant),
    ) -> Result<Gaps, PortError> {
        let is_of = |gap: &Gap| signals.zip(gap.signal).is_none_or(|((from, to), of)| (from..=to).contains(&of));
        let inner = self.0.lock();
        for record in inner.records.iter().filter(|record| (from..=upto).contains(&record.lsn)) {
            let RecordBody::Data(frame) = &record.body else { continue };
            let touches = |gap: &&Gap| gap.since <= between.1 && between.0 <= gap.until;
            let touching = frame.gaps.iter().filter(touches).filter(|gap| is_of(gap));
            let gaps: Vec<_> = touching.map(|gap| (record.lsn, *gap)).collect();
            if !gaps.is_empty() {
                return Ok(Gaps { gaps, rest: Some(record.lsn.next()) });
            }
        }
        Ok(Gaps::default())
    }

    fn filled(&self, from: Lsn, upto: Lsn, of: Option<&GapBegins>, most: usize) -> Result<Vec<Record>, PortError> {
        let inner = self.0.lock();
        // Not one more than was asked for.
        let is_of = |fill: &Fill| {
            of.is_none_or(|of| {
                let (first, last) = of.signals();
                (first..=last).contains(&fill.signal) && of.any_within(fill.since, fill.until)
            })
        };
        let is_wanted = |record: &&Record| {
            let fills = match &record.body {
                RecordBody::Control(Control::Filled { fills, .. }) => fills.as_slice(),
                _ => &[],
            };
            (from..=upto).contains(&record.lsn) && fills.iter().any(is_of)
        };
        let found: Vec<Record> = inner.records.iter().filter(is_wanted).take(most).cloned().collect();
        looked::FILLS.set(looked::FILLS.get() + found.len());
        Ok(found)
    }

    fn decisions(&self, from: Lsn, upto: Lsn, most: usize) -> Result<Vec<Record>, PortError> {
        let inner = self.0.lock();
        let is_wanted =
            |record: &&Record| (from..=upto).contains(&record.lsn) && !matches!(record.body, RecordBody::Data(_));
        Ok(inner.records.iter().filter(is_wanted).take(most).cloned().collect())
    }

    fn alarm_states(&self) -> Result<Vec<AlarmState>, PortError> {
        Ok(self.0.lock().states.values().cloned().collect())
    }

    fn decided(&self) -> Result<BTreeMap<String, Lsn>, PortError> {
        Ok(self.0.lock().decided.clone())
    }

    fn save_checkpoint(&self, checkpoint: &Checkpoint) -> Result<(), PortError> {
        let durable = self.1.durable_tail();
        let mut inner = self.0.lock();
        if checkpoint.frame > durable {
            inner.broken.push(format!("a checkpoint of frame {} while only {durable} is durable", checkpoint.frame));
        }
        if inner.is_full {
            return Err(PortError::Full { doing: "saving a checkpoint".to_owned() });
        }
        inner.checkpoints.insert(checkpoint.binding.clone(), checkpoint.clone());
        Ok(())
    }

    fn load_checkpoint(&self, binding: &str) -> Result<Option<Checkpoint>, PortError> {
        Ok(self.0.lock().checkpoints.get(binding).cloned())
    }

    fn retain(&self, _: Instant) -> Result<(), PortError> {
        self.0.lock().looks += 1;
        Ok(())
    }

    fn retain_within(&self, _: u64) -> Result<bool, PortError> {
        Ok(false)
    }

    fn note(&self, name: &str) -> Result<Option<Vec<u8>>, PortError> {
        Ok(self.0.lock().notes.get(name).cloned())
    }

    fn set_note(&self, name: &str, value: &[u8]) -> Result<(), PortError> {
        let mut inner = self.0.lock();
        if inner.refuses_notes {
            return Err(PortError::Full { doing: "keeping a note".to_owned() });
        }
        inner.notes.insert(name.to_owned(), value.to_vec());
        Ok(())
    }
}
