//! The store of record as the pipeline sees it.

use std::collections::BTreeMap;
use std::path::Path;

use parking_lot::{Mutex, RwLock};
use watchfire_model::{AlarmState, ConditionKey, Instant, Lsn, Record, Rows, SignalId};
use watchfire_pipeline::{Checkpoint, History, PortError, RecordReader};

use crate::checkpoint;
use crate::ctl::{Ctl, Kind, named, remove_day, set};
use crate::days::{Day, DayEntry, Days, end_of};
use crate::reads::{Reads, Recent};
use crate::seal::seal;
use crate::sizes::{Sizes, sizes};

/// The store of record of a data folder. Whoever opens it must hold the folder's lock.
///
/// Any number may read while one writes; writers wait for each other.
#[derive(Debug)]
pub struct SledHistory {
    ctl: Ctl,
    days: Days,
    /// What counts: set when a seal is durable.
    counts: RwLock<Counts>,
    /// Held by writers.
    writer: Mutex<()>,
    /// Held for reading while days are in use, for writing while one is removed.
    gate: RwLock<()>,
    recent: Mutex<Recent>,
}

#[derive(Clone, Debug)]
struct Counts {
    sealed: Lsn,
    days: BTreeMap<Day, DayEntry>,
}

impl SledHistory {
    /// Opens the store of record of a data folder, making it where it is missing. Costs some milliseconds, and after a
    /// kill about a third of a second for each GB of the days that are touched.
    ///
    /// # Errors
    /// [`PortError::Damaged`] when it cannot be read, or is older than what was promised, with the way out.
    pub fn open(data: &Path) -> Result<Self, PortError> {
        let ctl = Ctl::open(data)?;
        let known = ctl.days()?;
        let days = Days::open(data, &known, ctl.is_fresh())?;
        let counts = RwLock::new(Counts { sealed: ctl.sealed(), days: known });
        Ok(Self { ctl, days, counts, writer: Mutex::default(), gate: RwLock::default(), recent: Mutex::default() })
    }

    /// How much room the sealed samples take. Costs a read of everything.
    ///
    /// # Errors
    /// When the store fails.
    pub fn sizes(&self) -> Result<Sizes, PortError> {
        let _gate = self.gate.read();
        sizes(&self.days, &self.counts.read().days.clone())
    }

    fn reads(&self) -> Reads<'_> {
        let Counts { sealed, days } = self.counts.read().clone();
        Reads { ctl: &self.ctl, days: &self.days, known: days, sealed }
    }

    fn damaged(name: &str) -> PortError {
        PortError::Damaged {
            what: format!("what is stored of `{name}`"),
            detail: "it cannot be decoded; restore the data folder from a backup".to_owned(),
        }
    }
}

impl RecordReader for SledHistory {
    fn read(&self, from: Lsn, rows_max: usize) -> Result<Vec<Record>, PortError> {
        let _gate = self.gate.read();
        self.reads().records(from, rows_max, &self.recent)
    }
}

impl History for SledHistory {
    fn signal_ids(&self, names: &[String]) -> Result<Vec<SignalId>, PortError> {
        let _writer = self.writer.lock();
        let mut known = self.known_signals()?;
        let mut next = known.values().map(|id| id.0 + 1).max().unwrap_or(1);
        let mut fresh = Vec::new();
        let ids = names
            .iter()
            .map(|name| {
                *known.entry(name.clone()).or_insert_with(|| {
                    let id = SignalId(next);
                    fresh.push(set(&named(Kind::Signal, name), &id.0.to_le_bytes()));
                    next += 1;
                    id
                })
            })
            .collect();
        if !fresh.is_empty() {
            self.ctl.commit(fresh, self.ctl.sealed())?;
        }
        Ok(ids)
    }

    fn known_signals(&self) -> Result<BTreeMap<String, SignalId>, PortError> {
        let each = self.ctl.all(Kind::Signal)?.into_iter().map(|(name, bytes)| {
            let id = bytes.as_slice().try_into().map_err(|_| Self::damaged(&name))?;
            Ok((name, SignalId(u32::from_le_bytes(id))))
        });
        each.collect()
    }

    fn sealed(&self) -> Lsn {
        self.counts.read().sealed
    }

    fn seal(&self, records: &[Record]) -> Result<(), PortError> {
        let _writer = self.writer.lock();
        let counts = self.counts.read().clone();
        let new = records.partition_point(|record| record.lsn <= counts.sealed);
        let Some((new, last)) = records.get(new..).and_then(|new| Some((new, new.last()?.lsn))) else { return Ok(()) };
        let changed = seal(&self.ctl, &self.days, &counts.days, counts.sealed, new)?;
        let mut counts = self.counts.write();
        counts.days.extend(changed);
        counts.sealed = last;
        Ok(())
    }

    fn range(&self, signal: SignalId, from: Instant, to: Instant) -> Result<Rows, PortError> {
        let _gate = self.gate.read();
        self.reads().range(signal, from, to)
    }

    fn alarm_states(&self) -> Result<Vec<AlarmState>, PortError> {
        let each = self.ctl.all(Kind::Alarm)?.into_iter().map(|(name, state)| {
            let key = ConditionKey::parse(&name).map_err(|_| Self::damaged(&name))?;
            Ok(AlarmState { key, state })
        });
        each.collect()
    }

    fn decided(&self) -> Result<BTreeMap<String, Lsn>, PortError> {
        let each = self.ctl.all(Kind::Decided)?.into_iter().map(|(name, bytes)| {
            let frame = bytes.as_slice().try_into().map_err(|_| Self::damaged(&name))?;
            Ok((name, Lsn(u64::from_le_bytes(frame))))
        });
        each.collect()
    }

    fn save_checkpoint(&self, saved: &Checkpoint) -> Result<(), PortError> {
        let _writer = self.writer.lock();
        checkpoint::save(&self.ctl, saved)
    }

    fn load_checkpoint(&self, binding: &str) -> Result<Option<Checkpoint>, PortError> {
        let _writer = self.writer.lock();
        checkpoint::load(&self.ctl, binding)
    }

    fn retain(&self, before: Instant) -> Result<(), PortError> {
        let _writer = self.writer.lock();
        let counts = self.counts.read().clone();
        let (gone, kept): (BTreeMap<_, _>, BTreeMap<_, _>) =
            counts.days.into_iter().partition(|(day, _)| end_of(*day) <= before);
        let Some(last_gone) = gone.values().map(|entry| entry.last).max() else { return Ok(()) };
        let oldest = kept.values().map(|entry| entry.first).min().unwrap_or(last_gone.next());
        // First it no longer counts, then it goes: a kill between leaves a folder that the next start removes.
        let mut groups = self.ctl.remove_records_before(oldest)?;
        groups.extend(gone.keys().map(|day| vec![remove_day(*day)]));
        self.ctl.commit(groups, counts.sealed)?;
        self.counts.write().days = kept;
        let _gate = self.gate.write();
        *self.recent.lock() = Recent::default();
        for (day, entry) in gone {
            self.days.drop_day(day)?;
            tracing::info!(
                day = crate::days::name(day),
                first = entry.first.0,
                last = entry.last.0,
                "a day was dropped"
            );
        }
        Ok(())
    }

    fn note(&self, name: &str) -> Result<Option<Vec<u8>>, PortError> {
        self.ctl.value(&named(Kind::Note, name))
    }

    fn set_note(&self, name: &str, value: &[u8]) -> Result<(), PortError> {
        let _writer = self.writer.lock();
        let group = self.ctl.replace(&named(Kind::Note, name), value)?;
        self.ctl.commit(vec![group], self.ctl.sealed())
    }
}
