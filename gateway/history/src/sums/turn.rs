//! A turn of the work: some hours of one month, some signals at a time, from the chunks of all buckets that touch them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use watchfire_model::{Instant, Lsn, SignalId};
use watchfire_pipeline::PortError;

use super::block::{
    Block, Entry, Found, Hour, SIGNALS, begin_of, block_of, keys_of_block, keys_of_minutes, list_pairs,
};
use super::gather::Gathered;
use super::make::{Piece, entries};
use super::months::{bytes_of, damaged_hour};
use super::plan::Marks;
use super::walk::{Buckets, Place};
use crate::key_value::{Change, Group, KeyValue, Pair};
use crate::store::Store;

/// Pairs that are written at once.
const PAIRS_AT_ONCE: usize = 400;
/// Blocks that are gathered at once at first; later ones as many as the last time, and half as many more.
const BLOCKS_AT_FIRST: u32 = 4;

/// Some hours of one month.
#[derive(Debug)]
pub struct Turn {
    pub hours: Vec<Hour>,
    /// The last record that is looked at.
    seen: Lsn,
    /// None of the hours was ever made, so that whatever is written is new.
    is_new: bool,
    /// Only these blocks are made; else all.
    marks: Marks,
    /// What is known of the hours' blocks.
    lists: BTreeMap<Hour, BTreeMap<u32, u32>>,
    /// Blocks that the hours had before and that were not looked at yet.
    before: BTreeSet<u32>,
    places: Vec<Place>,
    pub store: Arc<Store>,
    /// Where the next signals begin; `None` at the end.
    next: Option<SignalId>,
    /// How many blocks are gathered at once.
    width: u32,
    /// A block of which some signals are made.
    begun: Option<Begun>,
    /// What is to be written next: pairs that are new, in their order, or changes.
    pairs: Vec<Pair>,
    groups: Vec<Group>,
}

/// A block that is being made.
#[derive(Debug)]
struct Begun {
    block: u32,
    before: BTreeMap<Hour, Block>,
    after: BTreeMap<Hour, Block>,
}

impl Turn {
    /// Begins to make the blocks that are marked, of hours whose blocks are `lists`, from the records up to `seen`.
    pub fn new(
        (lists, is_new): (BTreeMap<Hour, BTreeMap<u32, u32>>, bool),
        marks: Marks,
        (places, seen): (Vec<Place>, Lsn),
        store: Arc<Store>,
    ) -> Self {
        Self {
            hours: lists.keys().copied().collect(),
            seen,
            is_new,
            before: lists.values().flat_map(BTreeMap::keys).copied().collect(),
            marks,
            lists,
            places,
            store,
            next: Some(SignalId(0)),
            width: BLOCKS_AT_FIRST,
            begun: None,
            pairs: Vec::new(),
            groups: Vec::new(),
        }
    }

    /// Makes the next blocks of all hours, or a part of one; answers how many samples were looked at, `None` when all
    /// are made. Holds some megabytes, or one signal's chunks.
    ///
    /// # Errors
    /// When a bucket cannot be read, or a store fails.
    pub fn step(&mut self, buckets: &Buckets<'_>) -> Result<Option<usize>, PortError> {
        let Some(wanted) = self.next_signals() else {
            // Where a kill left one that is newer than its list, and its samples have gone since, the list has to say so.
            let unseen = if self.marks.is_none() { self.before.pop_first() } else { None };
            let Some(block) = unseen else { return Ok(None) };
            let begun = self.begin(block)?;
            self.end(begun)?;
            return Ok(Some(0));
        };
        let (Some(first), Some(last)) = (self.hours.first(), self.hours.last()) else { return Ok(None) };
        let span: (Instant, Instant) = (begin_of(*first), begin_of(last.saturating_add(1)));
        let Gathered { mut pieces, until, is_more, rows, .. } = Gathered::of(buckets, &self.places, wanted, span)?;
        while let Some(first) = pieces.keys().next().copied() {
            let block = block_of(first);
            let later = pieces.split_off(&begin_of_block(block.saturating_add(1)));
            self.make(block, std::mem::replace(&mut pieces, later), until)?;
        }
        if let Some(begun) = self.begun.take_if(|begun| begin_of_block(begun.block.saturating_add(1)) <= until) {
            self.end(begun)?;
        }
        if let Some(marks) = &mut self.marks {
            marks.extend(until.0.div_ceil(SIGNALS)..block_of(wanted.1));
        }
        self.width = (block_of(until).saturating_sub(block_of(wanted.0)) * 3 / 2).max(1);
        self.next = if until > wanted.0 && (is_more || self.marks.is_some()) { Some(until) } else { None };
        Ok(Some(rows))
    }

    /// The signals that are wanted next.
    fn next_signals(&mut self) -> Option<(SignalId, SignalId)> {
        let from = self.next?;
        let to = |block: u32| begin_of_block(block.saturating_add(self.width));
        let Some(marks) = &mut self.marks else { return Some((from, to(block_of(from)))) };
        if from.0 % SIGNALS != 0 {
            return Some((from, begin_of_block(block_of(from).saturating_add(1))));
        }
        let first = marks.pop_first()?;
        let mut after = first.saturating_add(1);
        while after - first < self.width && marks.remove(&after) {
            after = after.saturating_add(1);
        }
        Some((begin_of_block(first), begin_of_block(after)))
    }

    /// Makes what signals before `until` add to a block of all hours.
    fn make(&mut self, block: u32, pieces: BTreeMap<SignalId, Vec<Piece>>, until: SignalId) -> Result<(), PortError> {
        let mut begun = match self.begun.take() {
            Some(begun) if begun.block == block => begun,
            Some(other) => {
                self.end(other)?;
                self.begin(block)?
            }
            None => self.begin(block)?,
        };
        for (signal, pieces) in &pieces {
            let old = begun
                .before
                .iter()
                .filter_map(|(hour, block)| Some((*hour, (block.upto, block.entries.get(signal)?.clone()))));
            let made = entries(*signal, pieces, &self.hours, &old.collect());
            let Some(made) = made else {
                return Err(PortError::Damaged {
                    what: format!("a chunk of signal {signal}"),
                    detail: "it cannot be decoded; run `watchfire history verify`".to_owned(),
                });
            };
            for (hour, entry) in made {
                begun.after.entry(hour).or_default().entries.insert(*signal, entry);
            }
        }
        if begin_of_block(block.saturating_add(1)) <= until {
            return self.end(begun);
        }
        self.begun = Some(begun);
        Ok(())
    }

    fn begin(&mut self, block: u32) -> Result<Begun, PortError> {
        self.before.remove(&block);
        let mut before = BTreeMap::new();
        for hour in self.hours.clone() {
            let Some((found, sum)) = self.before(hour, block)? else { continue };
            // Where it is newer than its list, and comes out the same again, the list still has to say so.
            self.lists.entry(hour).or_default().insert(block, sum);
            before.insert(hour, found);
        }
        Ok(Begun { block, before, after: BTreeMap::new() })
    }

    fn end(&mut self, begun: Begun) -> Result<(), PortError> {
        let Begun { block, mut before, mut after } = begun;
        for hour in self.hours.clone() {
            let mut made = after.remove(&hour).unwrap_or_default();
            let old = before.remove(&hour);
            for (signal, entry) in old.iter().flat_map(|old| &old.entries) {
                made.entries.entry(*signal).or_insert_with(|| entry.clone());
            }
            // As bytes, since no NaN is like itself.
            let is_same = old.is_some_and(|old| {
                made.upto = old.upto;
                old.pairs(hour, block) == made.pairs(hour, block)
            });
            if !made.entries.is_empty() && !is_same {
                made.upto = self.seen;
                self.put(hour, block, &made)?;
            }
        }
        Ok(())
    }

    /// A block as it was made before, and its checksum.
    fn before(&self, hour: Hour, block: u32) -> Result<Option<(Block, u32)>, PortError> {
        let Some(sum) = self.lists.get(&hour).and_then(|list| list.get(&block)) else { return Ok(None) };
        let bytes = bytes_of(&self.store, keys_of_block(hour, block, false))?;
        // After a kill it may be newer than its list; which one it is, it says itself.
        let Some((found, own)) = Found::read(hour, block, &bytes) else {
            return Err(damaged_hour(self.store.folder(), hour, &format!("lacks block {block} ({sum:08x})")));
        };
        let mut whole = Block { upto: found.upto, entries: BTreeMap::new() };
        for (signal, (one, minutes)) in found.entries {
            let minutes = match minutes {
                None => None,
                Some((length, sum)) => {
                    let bytes = bytes_of(&self.store, keys_of_minutes(hour, signal))?;
                    if bytes.len() != length || crc32fast::hash(&bytes) != sum {
                        return Err(damaged_hour(
                            self.store.folder(),
                            hour,
                            &format!("lacks minutes of signal {signal}"),
                        ));
                    }
                    Some(bytes)
                }
            };
            whole.entries.insert(signal, Entry { hour: one, minutes });
        }
        Ok(Some((whole, own)))
    }

    /// Puts a block among what is written next, in place of what was there.
    fn put(&mut self, hour: Hour, block: u32, made: &Block) -> Result<(), PortError> {
        let (pairs, sum) = made.pairs(hour, block);
        let list = self.lists.entry(hour).or_default();
        let is_new = list.insert(block, sum).is_none();
        if self.is_new && self.hours.len() == 1 {
            self.pairs.extend(pairs);
            if self.pairs.len() >= PAIRS_AT_ONCE {
                self.store.lay(std::mem::take(&mut self.pairs))?;
            }
            return Ok(());
        }
        let mut group = Vec::new();
        if !is_new {
            let (first, last) = keys_of_block(hour, block, true);
            let old = self.store.range(&first, &last, usize::MAX)?.into_iter().map(|(key, _)| key);
            group.extend(old.filter(|key| !pairs.iter().any(|(kept, _)| kept == key)).map(Change::Remove));
        }
        group.extend(pairs.into_iter().map(|(key, value)| Change::Put(key, value)));
        self.groups.push(group);
        if self.groups.iter().map(Vec::len).sum::<usize>() >= PAIRS_AT_ONCE {
            self.store.write(std::mem::take(&mut self.groups))?;
        }
        Ok(())
    }

    /// Writes what is left, and then the lists of the hours.
    ///
    /// # Errors
    /// When the store fails.
    pub fn finish(&mut self) -> Result<(), PortError> {
        self.store.lay(std::mem::take(&mut self.pairs))?;
        self.store.write(std::mem::take(&mut self.groups))?;
        let list = |(hour, list): (&Hour, &BTreeMap<u32, u32>)| {
            list_pairs(*hour, list).into_iter().map(|(key, value)| Change::Put(key, value)).collect::<Group>()
        };
        self.store.write(self.lists.iter().map(list).collect())
    }
}

const fn begin_of_block(block: u32) -> SignalId {
    SignalId(block.saturating_mul(SIGNALS))
}
