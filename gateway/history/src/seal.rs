//! Taking over records: samples into the slots of their days, the rest and its effects into `ctl`, in an order in which a
//! kill at any point leaves what counts as sealed whole, and what does not is written over the next time.

use std::collections::BTreeMap;
use std::sync::Arc;

use watchfire_model::{AlarmState, ConditionKey, Control, Frame, Lsn, Record, RecordBody};
use watchfire_pipeline::{PortError, RecordRun};

use crate::bucket::{from_key, widen};
use crate::chain::{self, Link};
use crate::ctl::{self, Alone, Ctl, Kind, named, parts, placed, set};
use crate::days::{Days, SlotEntry, filled};
use crate::filling::Filling;
use crate::fills::listed;
use crate::gaps::GapsKnown;
use crate::hours::Hours;
use crate::key_value::{Change, Group, KeyValue, Pair};
use crate::slot::Slot;
use crate::slot_entry::set_slot;
use crate::store::Store;

/// What sealing has changed.
#[derive(Debug)]
pub struct Sealed {
    /// The entries of the slots that are others now.
    pub days: BTreeMap<Slot, SlotEntry>,
    /// The last record sealed.
    pub last: Lsn,
}

/// Seals the records that follow `sealed`; those up to it are passed over. `None` when there are no others.
///
/// # Errors
/// When a store fails, or a record does; then nothing of it counts as sealed.
pub fn seal(
    ctl: &Ctl,
    days: &Days,
    known: &BTreeMap<Slot, SlotEntry>,
    sealed: Lsn,
    run: &dyn RecordRun,
) -> Result<Option<Sealed>, PortError> {
    let (changed, written) = (BTreeMap::new(), BTreeMap::new());
    let mut samples = Samples { days, known, sealed, run, changed, written, open: None };
    let mut effects = Effects::after(ctl, sealed)?;
    let mut last = sealed;
    for record in run.records() {
        let Record { lsn, body } = record?;
        if lsn <= sealed {
            continue;
        }
        let expected = last.next();
        if lsn != expected {
            let what = format!("the run of records after {sealed}");
            return Err(PortError::Damaged { what, detail: format!("record {lsn} stands where {expected} must") });
        }
        last = lsn;
        match body {
            RecordBody::Data(frame) => samples.push(lsn, frame)?,
            body => effects.push(lsn, body)?,
        }
    }
    if last == sealed {
        return Ok(None);
    }
    let days = samples.commit()?;
    let alone = ctl.alone();
    let groups = effects.into_groups(ctl, &alone)?;
    // What an entry counts is what counts as sealed, or the next seal would count it again.
    alone.commit_sealed(groups, days.iter().map(|(slot, entry)| set_slot(*slot, entry)).collect(), last)?;
    Ok(Some(Sealed { days, last }))
}

/// Samples on their way into the days.
struct Samples<'s> {
    days: &'s Days,
    known: &'s BTreeMap<Slot, SlotEntry>,
    sealed: Lsn,
    run: &'s dyn RecordRun,
    changed: BTreeMap<Slot, SlotEntry>,
    /// Held open until they are durable: only the descriptor that was open sees a write that failed.
    written: BTreeMap<Slot, Arc<Store>>,
    /// The first slot of the day whose bucket is being filled.
    open: Option<(Slot, Filling)>,
}

impl Samples<'_> {
    fn push(&mut self, lsn: Lsn, frame: Frame) -> Result<(), PortError> {
        let slot = Slot::first_of(frame.now);
        if let Some((_, filling)) = self.open.as_mut().filter(|(open, _)| *open == slot) {
            return filling.push(lsn, frame);
        }
        self.close()?;
        self.open.insert((slot, Filling::default())).1.push(lsn, frame)
    }

    /// Writes the bucket that is open.
    fn close(&mut self) -> Result<(), PortError> {
        let Some((first_slot, filling)) = self.open.take() else { return Ok(()) };
        let of_day = first_slot..=first_slot.last_of_day();
        let last = self.changed.range(of_day.clone()).next_back().or_else(|| self.known.range(of_day).next_back());
        let last_slot = last.map_or(first_slot, |(slot, _)| *slot);
        let (slot, store) = self.days.writing(last_slot, last.map(|(_, entry)| entry))?;
        if self.written.insert(slot, store.clone()).is_none() {
            store.write(leftovers(&store, self.sealed)?)?;
        }
        let head = filling.write(&*store, self.run)?;
        store.write(vec![vec![filled(head.last)]])?;
        let before = self.changed.get(&slot).or_else(|| self.known.get(&slot)).copied();
        let first = before.map_or(head.first, |before| before.first);
        let span = widen(before.and_then(|before| before.span), head.span);
        let hours = before.map_or(Hours::default(), |before| before.touched()).with(head.touched());
        let hours = Some(hours).filter(|hours| *hours != Hours::of_span(span));
        // One that layout 1 began is not counted.
        let counts = before.map_or(Some((0, 0)), |before| before.counts);
        let counts = counts.map(|(buckets, rows)| (buckets + 1, rows + head.rows));
        // Nor are the gaps of one that an earlier layout began.
        let gaps = before.map_or(Some(GapsKnown::default()), |before| before.gaps).zip(head.gaps);
        let gaps = gaps.map(|(before, gaps)| before.with(gaps.known));
        self.changed.insert(slot, SlotEntry { first, last: head.last, span, hours, counts, gaps });
        Ok(())
    }

    /// Writes what is left, and waits until all of it is on the disk.
    fn commit(mut self) -> Result<BTreeMap<Slot, SlotEntry>, PortError> {
        self.close()?;
        self.written.values().try_for_each(|store| store.commit())?;
        self.days.close(self.written.into_keys());
        Ok(self.changed)
    }
}

/// Removals of what a slot's database holds of records after `sealed`, as a seal that was killed leaves it.
pub fn leftovers(store: &Store, sealed: Lsn) -> Result<Vec<Group>, PortError> {
    let found = store.range(&from_key(sealed.next()), &[u8::MAX; 16], usize::MAX)?;
    Ok(found.into_iter().map(|(key, _)| vec![Change::Remove(key)]).collect())
}

/// Records without samples, and what they say of alarms and bindings.
struct Effects {
    /// The records and their hashes. Their keys are new, or were written by a seal that was killed: nobody reads beyond
    /// what counts as sealed.
    records: Vec<Pair>,
    groups: Vec<Group>,
    /// The hash of the last record.
    link: Link,
    states: BTreeMap<ConditionKey, AlarmState>,
    decided: BTreeMap<String, Lsn>,
}

impl Effects {
    fn after(ctl: &Ctl, sealed: Lsn) -> Result<Self, PortError> {
        let (records, groups, link) = (Vec::new(), Vec::new(), ctl.chained_to(sealed)?);
        Ok(Self { records, groups, link, states: BTreeMap::new(), decided: BTreeMap::new() })
    }

    fn push(&mut self, lsn: Lsn, body: RecordBody) -> Result<(), PortError> {
        let bytes = ctl::body(&body)?;
        self.link = chain::link(&self.link, lsn, &bytes);
        self.records.extend(parts(&placed(Kind::Record, lsn), &bytes));
        self.records.push(chain::noted(lsn, &self.link));
        let transitions = match body {
            RecordBody::Data(_) => return Ok(()),
            RecordBody::Control(control) => {
                if let Control::Filled { fills, .. } = control {
                    self.groups.push(vec![listed(lsn, &fills)]);
                }
                return Ok(());
            }
            RecordBody::Decided(made) => {
                self.decided.insert(made.binding, made.frame);
                made.transitions
            }
            RecordBody::Commanded { transitions, .. } => transitions,
        };
        self.states.extend(transitions.into_iter().map(|state| (state.key.clone(), state)));
        Ok(())
    }

    /// Writes the records, once each, and answers what is to be written with what counts as sealed.
    fn into_groups(self, ctl: &Ctl, alone: &Alone<'_>) -> Result<Vec<Group>, PortError> {
        let Self { mut records, mut groups, .. } = self;
        records.sort_unstable();
        alone.lay(records)?;
        for (key, state) in self.states {
            groups.push(ctl.replace(&named(Kind::Alarm, key.as_str()), &state.state)?);
        }
        for (binding, frame) in self.decided {
            groups.push(set(&named(Kind::Decided, &binding), &frame.0.to_le_bytes()));
        }
        Ok(groups)
    }
}
