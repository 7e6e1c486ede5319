//! Summarising, some of it at a time: turn by turn, a turn being an hour or some, and in it block by block.
//!
//! What a kill leaves is done again and comes to the same. The ledger names the hours that are being written before the
//! first of them is, and says that they are summarised once all of them are durable.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use watchfire_model::{Instant, Lsn};
use watchfire_pipeline::PortError;

use super::block::{Hour, keys_of_hour, read_list};
use super::ledger::{Ledger, Month, NOTE, month_at, month_of};
use super::months::{damaged_hour, is_of, list_of};
use super::plan::{self, NARROW_HOURS, Open, Plan};
use super::turn::Turn;
use super::walk::Buckets;
use crate::history::SledHistory;
use crate::key_value::{Change, KeyValue};
use crate::store::Store;

/// Samples that are looked at before somebody else may go on: about a second's work.
const ROWS_AT_ONCE: usize = if cfg!(test) { 200 } else { 1_000_000 };
/// Hours of a turn whose samples lie in buckets of many hours: each is then decoded for all of them.
const HOURS_AT_ONCE: usize = 64;

/// What is being done.
#[derive(Debug)]
pub struct Work {
    plan: Plan,
    /// Marked hours whose turn was.
    done: BTreeSet<Hour>,
    turn: Option<Turn>,
    /// The month that is being written, held open until that is durable: only the descriptor that was open sees a write
    /// that failed.
    written: Option<(Month, Arc<Store>)>,
}

impl SledHistory {
    /// See [`watchfire_pipeline::History::summarise`].
    pub(crate) fn summarise_some(&self, now: Instant) -> Result<bool, PortError> {
        // A backup or a look through everything may take long: what there is to do is done later.
        let Some(_kept) = self.keeping.try_lock() else { return Ok(true) };
        let _gate = self.reading();
        let sums = self.sums();
        let Some(open) = Open::at(now).filter(|_| !sums.is_stalled.load(Ordering::Relaxed)) else { return Ok(false) };
        let error = match self.one_step(open) {
            Err(error) => error,
            done => return done,
        };
        sums.forget_work();
        if let PortError::Full { .. } = error {
            return Err(error);
        }
        if let Some(month) = sums.month_named(&error) {
            sums.suspect(&month, &error);
        } else {
            // All of it can be made again: no reason for the gateway to stop, but one to tell whoever watches it.
            sums.is_stalled.store(true, Ordering::Relaxed);
            let way_out = "nothing is summarised until this is mended and the gateway is started again";
            self.days().tell(format!("{error}; {way_out}"));
        }
        Ok(true)
    }

    /// Begins with some work, or does some of what is begun; whether there is more.
    fn one_step(&self, open: Open) -> Result<bool, PortError> {
        self.set_suspects_aside()?;
        let mut work = self.sums().work.lock();
        let Some(begun) = &mut *work else {
            *work = self.begin(open)?;
            return Ok(work.is_some());
        };
        if self.go_on(begun)? {
            self.end(begun)?;
            *work = None;
        }
        Ok(true)
    }

    /// Looks for something to do, where something has changed since the last look.
    fn begin(&self, open: Open) -> Result<Option<Work>, PortError> {
        let sums = self.sums();
        let looked = Some((self.counted().0, open.first()));
        if *sums.idle_at.lock() == looked {
            return Ok(None);
        }
        let before = sums.ledger.read().clone();
        let Some(plan) = plan::next(&self.buckets(), &before, open)? else {
            sums.close_idle();
            *sums.idle_at.lock() = looked;
            return Ok(None);
        };
        let mut ledger = sums.ledger.read().clone();
        for hour in plan.marks.keys().filter(|hour| !ledger.writing.contains(hour)).copied().collect::<Vec<Hour>>() {
            let month = month_of(hour);
            if ledger.months.contains_key(&month)
                && let Some(list) = self.sums_of(&month)?.map(|store| list_of(&store, hour)).transpose()?.flatten()
                && let Some(held) = ledger.months.get_mut(&month)
            {
                held.take(hour, &list);
            }
            ledger.months.entry(month).or_default();
            ledger.writing.insert(hour);
        }
        if !plan.marks.is_empty() {
            self.set_ledger(ledger)?;
        }
        Ok(Some(Work { plan, done: BTreeSet::new(), turn: None, written: None }))
    }

    /// Does some of the work; whether all of it is done.
    fn go_on(&self, work: &mut Work) -> Result<bool, PortError> {
        let mut rows = 0;
        while rows < ROWS_AT_ONCE {
            let Some(turn) = &mut work.turn else {
                let next = work.plan.marks.keys().find(|hour| !work.done.contains(hour)).copied();
                let Some(next) = next else { return Ok(true) };
                let month = month_of(next);
                if let Some((_, store)) = work.written.take_if(|(written, _)| *written != month) {
                    store.commit()?;
                }
                let turn = self.turn(&work.plan, &work.done, next)?;
                work.written = Some((month, turn.store.clone()));
                work.turn = Some(turn);
                continue;
            };
            match turn.step(&self.buckets())? {
                Some(some) => rows += some.max(1),
                None => {
                    turn.finish()?;
                    work.done.extend(turn.hours.iter().copied());
                    work.turn = None;
                }
            }
        }
        Ok(false)
    }

    /// Begins with an hour, and those after it that are better made together with it.
    fn turn(&self, plan: &Plan, done: &BTreeSet<Hour>, first: Hour) -> Result<Turn, PortError> {
        let month = month_of(first);
        let store =
            self.sums_of(&month)?.ok_or_else(|| damaged_hour(&self.sums().path(&month), first, "has no ledger"))?;
        let buckets = self.buckets();
        let mut places = buckets.touching(first, first)?;
        let mut hours = vec![first];
        let mut lists = BTreeMap::new();
        let list = self.list(&store, first)?;
        let is_new = list.is_none();
        lists.insert(first, list.unwrap_or_default());
        if places.iter().any(|place| place.head.touched().many() > NARROW_HOURS) {
            let others = plan.marks.keys().filter(|hour| **hour > first && !done.contains(hour));
            for hour in others.take(HOURS_AT_ONCE - 1).take_while(|hour| is_of(**hour, &month)) {
                let list = self.list(&store, *hour)?;
                if list.is_none() != is_new {
                    break;
                }
                lists.insert(*hour, list.unwrap_or_default());
                hours.push(*hour);
            }
            let last = hours.last().copied().unwrap_or(first);
            places = buckets.touching(first, last)?;
        }
        if is_new {
            hours.iter().try_for_each(|hour| self.clear(&store, *hour))?;
        }
        // Buckets that were looked at before may have been left out of an hour that is new: all of it is made.
        let marks = hours.iter().map(|hour| plan.marks.get(hour).cloned().flatten().filter(|_| !is_new));
        let marks = marks.collect::<Option<Vec<_>>>().map(|marks| marks.into_iter().flatten().collect());
        Ok(Turn::new((lists, is_new), marks, (places, buckets.sealed), store))
    }

    /// An hour's blocks, if it was ever made to its end.
    fn list(&self, store: &Store, hour: Hour) -> Result<Option<BTreeMap<u32, u32>>, PortError> {
        let bytes = list_of(store, hour)?;
        let list =
            bytes.map(|bytes| read_list(&bytes).ok_or_else(|| damaged_hour(store.folder(), hour, "has no list")));
        self.noted(&month_of(hour), list.transpose())
    }

    /// Removes what a kill has left of an hour that was being written.
    fn clear(&self, store: &Store, hour: Hour) -> Result<(), PortError> {
        let (first, last) = keys_of_hour(hour);
        let left = store.range(&first, &last, usize::MAX)?;
        store.write(left.into_iter().map(|(key, _)| vec![Change::Remove(key)]).collect())
    }

    /// Makes the work durable, and then says so.
    fn end(&self, work: &Work) -> Result<(), PortError> {
        work.written.iter().try_for_each(|(_, store)| store.commit())?;
        let sums = self.sums();
        let mut ledger = sums.ledger.read().clone();
        for hour in &work.done {
            let month = month_of(*hour);
            let Some(store) = self.sums_of(&month)? else { continue };
            let list = list_of(&store, *hour)?.unwrap_or_default();
            ledger.months.entry(month).or_default().add(*hour, &list);
            ledger.writing.remove(hour);
        }
        ledger.upto = work.plan.upto;
        ledger.put_off = work.plan.put_off.clone();
        self.set_ledger(ledger)
    }

    /// Sets aside what was found to be damaged: all that was made from buckets that touch it is made anew.
    fn set_suspects_aside(&self) -> Result<(), PortError> {
        let sums = self.sums();
        for month in sums.suspects() {
            sums.forget_work();
            let mut ledger = sums.ledger.read().clone();
            ledger.months.remove(&month);
            ledger.writing.retain(|hour| !is_of(*hour, &month));
            let (_, days) = self.counted();
            let touches = |span: Option<(Instant, Instant)>| {
                span.is_some_and(|(first, last)| month_at(first) <= month && month <= month_at(last))
            };
            let first = days.values().filter(|entry| touches(entry.span)).map(|entry| entry.first).min();
            ledger.upto = first.map_or(ledger.upto, |first| ledger.upto.min(Lsn(first.0.saturating_sub(1))));
            self.set_ledger(ledger)?;
            sums.set_aside(&month)?;
            *sums.idle_at.lock() = None;
        }
        Ok(())
    }

    /// Makes the ledger durable.
    pub(super) fn set_ledger(&self, ledger: Ledger) -> Result<(), PortError> {
        let _writer = self.writer.lock();
        let group = self.ctl().replace(&crate::ctl::named(crate::ctl::Kind::Note, NOTE), &ledger.encode())?;
        self.ctl().commit(vec![group])?;
        *self.sums().ledger.write() = ledger;
        Ok(())
    }

    /// A month's database; what is damaged is noted.
    pub(super) fn sums_of(&self, month: &String) -> Result<Option<Arc<Store>>, PortError> {
        self.noted(month, self.sums().store(month))
    }

    /// Notes damage to a month.
    pub(super) fn noted<T>(&self, month: &String, result: Result<T, PortError>) -> Result<T, PortError> {
        if let Err(error @ PortError::Damaged { .. }) = &result {
            self.sums().suspect(month, error);
        }
        result
    }

    pub(crate) fn buckets(&self) -> Buckets<'_> {
        let (sealed, known) = self.counted();
        Buckets { days: self.days(), known, sealed, stay_open: false }
    }
}
