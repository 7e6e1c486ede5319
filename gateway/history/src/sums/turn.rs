//! A turn of the work: some hours of one month, block by block, from the chunks of all buckets that touch them.

use std::collections::BTreeMap;
use std::sync::Arc;

use watchfire_model::{Lsn, SignalId};
use watchfire_pipeline::PortError;

use super::block::{Block, Entry, Found, Hour, SIGNALS, block_of, keys_of_block, keys_of_minutes, list_pairs};
use super::make::{Piece, entries};
use super::months::{bytes_of, damaged_hour};
use super::plan::Marks;
use super::walk::Walk;
use crate::chunk::Chunk;
use crate::key_value::{Change, Group, KeyValue, Pair};
use crate::store::Store;

/// Pairs that are written at once.
const PAIRS_AT_ONCE: usize = 400;

/// Some hours of one month.
#[derive(Debug)]
pub struct Turn {
    pub hours: Vec<Hour>,
    /// The last record that is looked at.
    pub seen: Lsn,
    /// None of the hours was ever made, so all blocks are; else those that are named.
    pub blocks: Marks,
    /// What is known of the hours' blocks.
    pub lists: BTreeMap<Hour, BTreeMap<u32, u32>>,
    pub walks: Vec<Walk>,
    pub store: Arc<Store>,
    /// What is to be written next: pairs that are new, in their order, or changes.
    pub pairs: Vec<Pair>,
    pub groups: Vec<Group>,
}

impl Turn {
    /// The next block of which there are chunks.
    ///
    /// # Errors
    /// When a bucket cannot be read.
    pub fn next_block(&mut self) -> Result<Option<u32>, PortError> {
        if let Some(blocks) = &mut self.blocks {
            return Ok(blocks.pop_first());
        }
        let mut next: Option<SignalId> = None;
        for walk in &mut self.walks {
            next = [next, walk.signal()?].into_iter().flatten().min();
        }
        Ok(next.map(block_of))
    }

    /// Makes a block of all hours; answers how many samples were looked at.
    ///
    /// # Errors
    /// When a bucket cannot be read, or a store fails.
    pub fn make(&mut self, block: u32) -> Result<usize, PortError> {
        let (mut pieces, mut rows) = (BTreeMap::<SignalId, Vec<Piece>>::new(), 0);
        for walk in &mut self.walks {
            walk.skip_to(SignalId(block.saturating_mul(SIGNALS)))?;
            while walk.signal()?.is_some_and(|signal| block_of(signal) == block) {
                let Some((signal, bytes)) = walk.next()? else { break };
                let (.., many) = Chunk::extent(signal, &bytes).ok_or_else(|| walk.damaged(signal))?;
                rows += many;
                pieces.entry(signal).or_default().push(Piece { last: walk.place.head.last, bytes });
            }
        }
        let mut before = BTreeMap::new();
        for hour in self.hours.clone() {
            let Some((found, sum)) = self.before(hour, block)? else { continue };
            // Where it is newer than its list, and comes out the same again, the list still has to say so.
            self.lists.entry(hour).or_default().insert(block, sum);
            before.insert(hour, found);
        }
        let mut after: BTreeMap<Hour, Block> = BTreeMap::new();
        for (signal, pieces) in &pieces {
            let old = before
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
                after.entry(hour).or_default().entries.insert(*signal, entry);
            }
        }
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
        Ok(rows)
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
        if is_new && self.hours.len() == 1 && self.blocks.is_none() {
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
