//! Walking over sealed buckets for summaries: which there are, and their chunks in the order of signals, a page at a
//! time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use watchfire_model::{Lsn, SignalId};
use watchfire_pipeline::PortError;

use crate::bucket::{self, Head};
use crate::days::{Days, SlotEntry};
use crate::directory::Entry;
use crate::hours::Hour;
use crate::key_value::KeyValue;
use crate::slot::Slot;
use crate::store::Store;

/// A bucket and the slot it lies in.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub slot: Slot,
    pub head: Head,
}

/// The buckets that count.
pub struct Buckets<'h> {
    pub days: &'h Days,
    pub known: BTreeMap<Slot, SlotEntry>,
    /// The last record that counts.
    pub sealed: Lsn,
    /// Slots that somebody opens stay open for a while: what is read of them may be read again soon.
    pub stay_open: bool,
}

impl Buckets<'_> {
    /// The first buckets that begin after `lsn`, in the order of the log, `most` of them.
    ///
    /// # Errors
    /// When a day cannot be read.
    pub fn after(&self, lsn: Lsn, most: usize) -> Result<Vec<Place>, PortError> {
        let mut days: Vec<_> = self.known.iter().filter(|(_, entry)| entry.last > lsn).collect();
        days.sort_unstable_by_key(|(_, entry)| entry.first);
        let mut found: Vec<Place> = Vec::new();
        for (day, entry) in days {
            // Days may overlap in the log where the clock was set; what is found in one must not hide what lies before.
            if found.len() >= most && found.get(most - 1).is_some_and(|last| last.head.first < entry.first) {
                break;
            }
            self.with(*day, |store| {
                let (mut at, mut own) = (bucket::after(store, lsn)?, 0);
                while let Some(head) = at.filter(|head| head.last <= entry.last.min(self.sealed) && own < most) {
                    found.push(Place { slot: *day, head });
                    (at, own) = (bucket::after(store, head.last)?, own + 1);
                }
                Ok(())
            })?;
            found.sort_unstable_by_key(|place| place.head.first);
        }
        found.truncate(most);
        Ok(found)
    }

    /// Does something with the database of a slot, unless that was set aside.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn with(
        &self,
        slot: Slot,
        mut work: impl FnMut(&Arc<Store>) -> Result<(), PortError>,
    ) -> Result<(), PortError> {
        let Some(entry) = self.known.get(&slot) else { return Ok(()) };
        let stays = self.stay_open || self.days.is_open(slot);
        let Some(store) = self.days.reading(slot, entry)? else { return Ok(()) };
        let done = work(&store);
        drop(store);
        if !stays {
            self.days.close(std::iter::once(slot));
        }
        done
    }

    /// The buckets that may hold samples of the hours from `first` to `last`, in the order of the log. Opens the slots
    /// that do, one after the other.
    ///
    /// # Errors
    /// When a day cannot be read.
    pub fn touching(&self, first: Hour, last: Hour) -> Result<Vec<Place>, PortError> {
        let mut found = Vec::new();
        for (day, entry) in self.known.iter().filter(|(_, entry)| entry.touched().touch(first, last)) {
            self.with(*day, |store| {
                let mut at = bucket::after(store, Lsn(0))?;
                while let Some(head) = at.filter(|head| head.last <= entry.last.min(self.sealed)) {
                    if head.touched().touch(first, last) {
                        found.push(Place { slot: *day, head });
                    }
                    at = bucket::after(store, head.last)?;
                }
                Ok(())
            })?;
        }
        found.sort_unstable_by_key(|place| place.head.first);
        Ok(found)
    }
}

/// The chunks of a bucket, one after the other.
#[derive(Debug)]
pub struct Walk {
    store: Arc<Store>,
    head: Head,
    pages: Vec<Entry>,
    /// The next page.
    at: usize,
    chunks: VecDeque<(SignalId, Vec<u8>)>,
}

impl Walk {
    /// From the first chunk on.
    ///
    /// # Errors
    /// When the bucket cannot be read.
    pub fn new(store: Arc<Store>, head: Head) -> Result<Self, PortError> {
        let pages = bucket::listed(&store, &head)?;
        Ok(Self { store, head, pages, at: 0, chunks: VecDeque::new() })
    }

    /// The signal of the next chunk.
    ///
    /// # Errors
    /// When the bucket cannot be read.
    pub fn signal(&mut self) -> Result<Option<SignalId>, PortError> {
        while self.chunks.is_empty() {
            let Some(entry) = self.pages.get(self.at) else { return Ok(None) };
            // Parts of one chunk are read together.
            let parts = self.pages.iter().skip(self.at).take_while(|other| other.signal == entry.signal).count();
            let listed = self.pages.get(self.at..self.at + parts).unwrap_or_default();
            self.chunks = bucket::chunks_of(&self.store, &self.head, listed)?.into();
            self.at += parts;
        }
        Ok(self.chunks.front().map(|(signal, _)| *signal))
    }

    /// The next chunk.
    ///
    /// # Errors
    /// When the bucket cannot be read.
    pub fn next(&mut self) -> Result<Option<(SignalId, Vec<u8>)>, PortError> {
        self.signal()?;
        Ok(self.chunks.pop_front())
    }

    /// Goes on at the first chunk of `signal` or of one after it.
    ///
    /// # Errors
    /// When the bucket cannot be read.
    pub fn skip_to(&mut self, signal: SignalId) -> Result<(), PortError> {
        let begins = self.pages.partition_point(|entry| entry.signal <= signal).saturating_sub(1);
        let begins = self
            .pages
            .get(begins)
            .map_or(begins, |found| self.pages.partition_point(|entry| entry.signal < found.signal));
        if begins >= self.at {
            self.at = begins;
            self.chunks.clear();
        }
        while self.signal()?.is_some_and(|found| found < signal) {
            self.chunks.pop_front();
        }
        Ok(())
    }
}

impl Walk {
    /// What is said of a chunk that cannot be decoded.
    pub fn damaged(&self, signal: SignalId) -> PortError {
        PortError::Damaged {
            what: format!(
                "the chunk of signal {signal} in bucket {} of `{}`",
                self.head.first,
                self.store.folder().display()
            ),
            detail: "it cannot be decoded; restore the day from a backup".to_owned(),
        }
    }
}
