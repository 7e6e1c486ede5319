//! The store of record as the pipeline sees it.

use std::collections::BTreeMap;
use std::path::Path;

use parking_lot::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};
use watchfire_model::{AlarmState, ConditionKey, Instant, Lsn, Record, SignalId, Unit};
use watchfire_pipeline::{
    Checkpoint, GapBegins, Gaps, History, Page, PortError, RecordReader, RecordRun, Summaries, Wanted,
};

use crate::checkpoint;
use crate::ctl::{Ctl, Kind, named, set};
use crate::days::{Days, Index, SlotEntry};
use crate::key_value::KeyValue;
use crate::reads::{Directories, Reads, Recent};
use crate::seal::{leftovers, seal};
use crate::sizes::{Sizes, sizes};
use crate::slot::Slot;
use crate::slot_entry::{drop_slot, slot_has_gone};
use crate::sums::Sums;

/// The store of record of a data folder. Whoever opens it must hold the folder's lock.
///
/// Any number may read while others write. Sealing waits for sealing alone: what else is written, such as a
/// detector's state, waits for no more than its commit.
#[derive(Debug)]
pub struct SledHistory {
    ctl: Ctl,
    days: Days,
    /// What counts: set when a seal is durable.
    counts: RwLock<Counts>,
    /// Held while records are sealed or dropped.
    pub(crate) sealing: Mutex<Sealing>,
    /// Held by whoever reads in `ctl` what it then replaces there.
    pub(crate) writer: Mutex<()>,
    /// Held while everything is copied or looked through: no day is dropped meanwhile.
    pub(crate) keeping: Mutex<()>,
    /// Held for reading while days are in use, for writing while one is removed.
    gate: RwLock<()>,
    recent: Mutex<Recent>,
    directories: Directories,
    sums: Sums,
}

#[derive(Debug)]
pub(crate) struct Sealing {
    /// The newest day that was sealed when it was last asked what is too old: a clock that makes all of it too old
    /// at once is not believed.
    newest: Option<Slot>,
}

#[derive(Clone, Debug)]
struct Counts {
    sealed: Lsn,
    days: BTreeMap<Slot, SlotEntry>,
}

impl SledHistory {
    /// Opens the store of record of a data folder, making it where it is missing. Costs some milliseconds, and after a
    /// kill about a third of a second for each GB of the days that are touched.
    ///
    /// # Errors
    /// [`PortError::Damaged`] when it cannot be read, or is older than what was promised, with the way out.
    pub fn open(data: &Path) -> Result<Self, PortError> {
        let ctl = Ctl::open(data)?;
        let index = Index {
            known: ctl.days()?,
            dropped: ctl.dropped()?,
            sealed: ctl.sealed(),
            is_fresh: ctl.is_fresh(),
            is_unmarked: ctl.is_unmarked(),
        };
        let days = Days::open(data, &index)?;
        ctl.write(index.dropped.iter().map(|slot| slot_has_gone(*slot)).collect())?;
        let sums = Sums::open(data, &ctl)?;
        Ok(Self {
            sums,
            ctl,
            days,
            sealing: Mutex::new(Sealing { newest: index.known.keys().max().copied() }),
            counts: RwLock::new(Counts { sealed: index.sealed, days: index.known }),
            writer: Mutex::default(),
            keeping: Mutex::default(),
            gate: RwLock::default(),
            recent: Mutex::default(),
            directories: Directories::default(),
        })
    }

    /// The same store, which goes on without what is found damaged among the samples, for a gateway that must go on
    /// watching: a slot that cannot be read, or is older than it was, is set aside under another name, and a bucket that
    /// cannot be decoded is passed over by whoever reads records. [`History::given_up`] tells of it.
    #[must_use]
    pub fn that_goes_on(mut self) -> Self {
        self.days.go_on();
        self
    }

    /// With slots of so many bytes instead of 64 MB: for whoever tests what happens when many are filled.
    #[must_use]
    pub fn with_slots_of(mut self, bytes: u64) -> Self {
        self.days.set_slot_bytes(bytes);
        self
    }

    /// Goes on with a journal that begins at `first`: the records between are lost, which is told, and count as sealed.
    /// Nothing happens where the journal goes on where the sealed records end.
    ///
    /// # Errors
    /// When the store fails.
    pub fn go_on_at(&self, first: Lsn) -> Result<(), PortError> {
        let _sealing = self.sealing.lock();
        let Counts { sealed, days } = self.counts.read().clone();
        if first <= sealed.next() {
            return Ok(());
        }
        tracing::error!(from = sealed.next().0, to = first.0 - 1, "records are lost: no journal holds them any more");
        for (slot, entry) in &days {
            if let Some(store) = self.days.reading(*slot, entry)? {
                store.write(leftovers(&store, sealed)?)?;
                store.commit()?;
            }
        }
        let upto = Lsn(first.0 - 1);
        self.ctl.alone().commit_sealed(self.ctl.remove_records_after(sealed)?, Vec::new(), upto)?;
        self.counts.write().sealed = upto;
        Ok(())
    }

    /// How much room the sealed samples take. Costs a read of everything.
    ///
    /// # Errors
    /// When the store fails.
    pub fn sizes(&self) -> Result<Sizes, PortError> {
        let _gate = self.gate.read();
        sizes(&self.days, &self.counts.read().days.clone())
    }

    pub(crate) fn ctl(&self) -> &Ctl {
        &self.ctl
    }

    pub(crate) fn days(&self) -> &Days {
        &self.days
    }

    pub(crate) fn sums(&self) -> &Sums {
        &self.sums
    }

    /// While it is held no day and no month of summaries is removed.
    pub(crate) fn reading(&self) -> RwLockReadGuard<'_, ()> {
        self.gate.read()
    }

    /// While it is held nobody reads.
    pub(crate) fn removing(&self) -> RwLockWriteGuard<'_, ()> {
        self.gate.write()
    }

    /// What counts: up to which record, and on which days.
    pub(crate) fn counted(&self) -> (Lsn, BTreeMap<Slot, SlotEntry>) {
        let Counts { sealed, days } = self.counts.read().clone();
        (sealed, days)
    }

    /// Drops a slot, the oldest, so that those `kept` are left. Whoever calls it holds back sealing.
    fn drop(&self, slot: Slot, entry: SlotEntry, kept: BTreeMap<Slot, SlotEntry>) -> Result<(), PortError> {
        let oldest = kept.values().map(|entry| entry.first).min().unwrap_or(entry.last.next());
        // First it no longer counts, then it goes: after a kill between, the next start removes the folder.
        let mut groups = self.ctl.remove_records_before(oldest)?;
        groups.push(drop_slot(slot));
        self.ctl.commit(groups)?;
        self.counts.write().days = kept;
        self.sums.forget_work();
        let _gate = self.gate.write();
        *self.recent.lock() = Recent::default();
        self.directories.clear();
        self.days.drop_slot(slot)?;
        tracing::info!(%slot, first = entry.first.0, last = entry.last.0, "samples were dropped");
        self.ctl.write(vec![slot_has_gone(slot)])
    }

    fn reads(&self) -> Reads<'_> {
        let Counts { sealed, days } = self.counts.read().clone();
        Reads { ctl: &self.ctl, days: &self.days, known: days, sealed, directories: &self.directories }
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
            self.ctl.commit(fresh)?;
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

    fn seal_run(&self, run: &dyn RecordRun) -> Result<(), PortError> {
        let _sealing = self.sealing.lock();
        let counts = self.counts.read().clone();
        let Some(new) = seal(&self.ctl, &self.days, &counts.days, counts.sealed, run)? else { return Ok(()) };
        let mut counts = self.counts.write();
        counts.days.extend(new.days);
        counts.sealed = new.last;
        Ok(())
    }

    fn last_frame(&self) -> Result<Option<Lsn>, PortError> {
        Ok(self.counts.read().days.values().map(|entry| entry.last).max())
    }

    fn range(&self, wanted: &Wanted) -> Result<Page, PortError> {
        let _gate = self.gate.read();
        self.reads().range(wanted)
    }

    fn gaps(
        &self,
        from: Lsn,
        upto: Lsn,
        signals: Option<(SignalId, SignalId)>,
        between: (Instant, Instant),
    ) -> Result<Gaps, PortError> {
        let _gate = self.gate.read();
        self.reads().gaps(from, upto, signals, between)
    }

    fn filled(&self, from: Lsn, upto: Lsn, of: Option<&GapBegins>, most: usize) -> Result<Vec<Record>, PortError> {
        let _gate = self.gate.read();
        self.ctl.filled(from, upto.min(self.sealed()), of, most)
    }

    fn decisions(&self, from: Lsn, upto: Lsn, most: usize) -> Result<Vec<Record>, PortError> {
        let _gate = self.gate.read();
        self.ctl.records(from, upto.min(self.sealed()), most)
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
        checkpoint::load(&self.ctl, binding)
    }

    fn retain(&self, before: Instant) -> Result<(), PortError> {
        // A backup may take long: the next look will do.
        let Some(_kept) = self.keeping.try_lock() else { return Ok(()) };
        let mut sealing = self.sealing.lock();
        let counts = self.counts.read().clone();
        let newest = std::mem::replace(&mut sealing.newest, counts.days.keys().max().copied());
        if let Some(newest) = newest.filter(|newest| newest.end() <= before) {
            return Err(PortError::Implausible(format!(
                "what is older than {before} cannot be dropped: that is all there was on {newest}, so a clock must be wrong; \
                 set it, or wait for the next look if the gateway has stood still for so long"
            )));
        }
        let Some(oldest) = counts.days.keys().next().filter(|slot| slot.end() <= before) else { return Ok(()) };
        let mut kept = counts.days.clone();
        for (slot, entry) in counts.days.range(..=oldest.last_of_day()) {
            kept.remove(slot);
            self.drop(*slot, *entry, kept.clone())?;
        }
        Ok(())
    }

    fn retain_within(&self, bytes_max: u64) -> Result<bool, PortError> {
        let Some(_kept) = self.keeping.try_lock() else { return Ok(false) };
        let _sealing = self.sealing.lock();
        let mut days = self.counts.read().days.clone();
        if self.shrink_sums(bytes_max)? {
            return Ok(true);
        }
        let mut bytes = self.sums.bytes()?;
        for slot in days.keys() {
            bytes += self.days.bytes(*slot)?;
        }
        if bytes <= bytes_max || days.len() < 2 {
            return Ok(false);
        }
        let Some((slot, entry)) = days.pop_first() else { return Ok(false) };
        self.drop(slot, entry, days).map(|()| true)
    }

    fn given_up(&self) -> Vec<String> {
        self.days.look_at(self.ctl.store());
        self.days.given_up()
    }

    fn summarise(&self, now: Instant) -> Result<bool, PortError> {
        self.summarise_some(now)
    }

    fn summaries(&self, signal: SignalId, unit: Unit, from: Instant, to: Instant) -> Result<Summaries, PortError> {
        self.summaries_of(signal, unit, from, to)
    }

    fn retain_summaries(&self, before: Instant) -> Result<(), PortError> {
        let Some(_kept) = self.keeping.try_lock() else { return Ok(()) };
        self.drop_oldest_sums(before)
    }

    fn note(&self, name: &str) -> Result<Option<Vec<u8>>, PortError> {
        self.ctl.value(&named(Kind::Note, name))
    }

    fn set_note(&self, name: &str, value: &[u8]) -> Result<(), PortError> {
        let _writer = self.writer.lock();
        let group = self.ctl.replace(&named(Kind::Note, name), value)?;
        self.ctl.commit(vec![group])
    }
}
