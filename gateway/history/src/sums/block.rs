//! Blocks: the summaries of thirty-two neighbouring signals in one hour, which are written at once, and the list of an
//! hour's blocks with their checksums. A month's database may open as an older state of some of its pages: the list
//! knows better of the blocks, and the ledger of the lists.
//!
//! Keys of a month's database are `hour | block | kind | signal | part`, so that an hour lies together, and with it the
//! same signals of it.

use std::collections::BTreeMap;

use watchfire_model::{Instant, Lsn, SignalId, Summary, Unit};

use super::codec::{decode, encode, put_bytes};
use crate::bytes::{Reader, put_count, put_varint};
pub use crate::hours::{Hour, begin_of, hour_of};
use crate::key_value::{Pair, VALUE_BYTES_MAX};

/// Signals of a block.
pub const SIGNALS: u32 = 32;
/// Where the list of an hour's blocks lies: no block has this number in keys.
const LIST: u32 = 0;
const HOURS: u8 = 0;
const MINUTES: u8 = 1;
/// Bytes of what a block says of itself as a whole, before its entries.
const SUM_BYTES: usize = 4;

/// The block of a signal.
pub const fn block_of(signal: SignalId) -> u32 {
    signal.0 / SIGNALS
}

/// What is kept of one signal in one hour.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The hour as a whole; `None` where there were more samples than can be looked at together, so that only they tell.
    pub hour: Option<Summary>,
    /// Its minutes as they are stored, where they are.
    pub minutes: Option<Vec<u8>>,
}

/// The summaries of neighbouring signals in one hour.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Block {
    /// The last record that was looked at when it was made.
    pub upto: Lsn,
    /// By signal.
    pub entries: BTreeMap<SignalId, Entry>,
}

/// A signal in a block: its hour if it is known, and length and checksum of its minutes if there are some.
pub type Listed = (Option<Summary>, Option<(usize, u32)>);

/// A block as it is found: minutes lie elsewhere.
pub struct Found {
    /// The last record that was looked at when it was made.
    pub upto: Lsn,
    /// By signal.
    pub entries: BTreeMap<SignalId, Listed>,
}

fn key(hour: Hour, block: u32, kind: u8, signal: u32, part: u16) -> Vec<u8> {
    let mut key = hour.to_be_bytes().to_vec();
    key.extend(block.to_be_bytes());
    key.push(kind);
    key.extend(signal.to_be_bytes());
    key.extend(part.to_be_bytes());
    key
}

/// The hour of a key.
pub fn hour_of_key(key: &[u8]) -> Option<Hour> {
    key.first_chunk().map(|hour| u32::from_be_bytes(*hour))
}

/// The keys between which an hour lies.
pub fn keys_of_hour(hour: Hour) -> (Vec<u8>, Vec<u8>) {
    (key(hour, 0, 0, 0, 0), key(hour, u32::MAX, u8::MAX, u32::MAX, u16::MAX))
}

/// The keys between which an hour's list lies.
pub fn keys_of_list(hour: Hour) -> (Vec<u8>, Vec<u8>) {
    (key(hour, LIST, 0, 0, 0), key(hour, LIST, u8::MAX, u32::MAX, u16::MAX))
}

/// The keys between which a block lies, with its minutes if those are wanted.
pub fn keys_of_block(hour: Hour, block: u32, with_minutes: bool) -> (Vec<u8>, Vec<u8>) {
    let last = if with_minutes { u8::MAX } else { HOURS };
    (key(hour, block + 1, HOURS, 0, 0), key(hour, block + 1, last, u32::MAX, u16::MAX))
}

/// The keys between which the minutes of a signal lie.
pub fn keys_of_minutes(hour: Hour, signal: SignalId) -> (Vec<u8>, Vec<u8>) {
    let at = |part| key(hour, block_of(signal) + 1, MINUTES, signal.0, part);
    (at(0), at(u16::MAX))
}

fn pieces(bytes: &[u8], key: impl Fn(u16) -> Vec<u8>) -> impl Iterator<Item = Pair> {
    bytes.chunks(VALUE_BYTES_MAX).zip(0_u16..=u16::MAX).map(move |(piece, part)| (key(part), piece.to_vec()))
}

/// The pairs of an hour's list: its blocks and their checksums.
pub fn list_pairs(hour: Hour, blocks: &BTreeMap<u32, u32>) -> Vec<Pair> {
    let mut bytes = Vec::new();
    put_count(blocks.len(), &mut bytes);
    let mut before = 0;
    for (block, sum) in blocks {
        put_varint(u64::from(block - before), &mut bytes);
        bytes.extend(sum.to_le_bytes());
        before = *block;
    }
    pieces(&bytes, |part| key(hour, LIST, 0, 0, part)).collect()
}

/// Reads an hour's list; `None` when the bytes are none.
pub fn read_list(bytes: &[u8]) -> Option<BTreeMap<u32, u32>> {
    let mut reader = Reader(bytes);
    let n = reader.count().filter(|n| *n <= bytes.len())?;
    let (mut blocks, mut before) = (BTreeMap::new(), 0_u32);
    for _ in 0..n {
        before = before.checked_add(u32::try_from(reader.varint()?).ok()?)?;
        blocks.insert(before, u32::from_le_bytes(reader.array()?));
    }
    reader.0.is_empty().then_some(blocks)
}

impl Block {
    /// Its pairs in the order of their keys, and its checksum.
    pub fn pairs(&self, hour: Hour, block: u32) -> (Vec<Pair>, u32) {
        let mut rest = Vec::new();
        put_varint(self.upto.0, &mut rest);
        put_count(self.entries.len(), &mut rest);
        let mut minutes = Vec::new();
        for (signal, entry) in &self.entries {
            put_varint(u64::from(signal.0 % SIGNALS), &mut rest);
            let bytes =
                entry.hour.as_ref().map_or_else(Vec::new, |one| encode(begin_of(hour), std::slice::from_ref(one)));
            put_bytes(&bytes, &mut rest);
            put_count(entry.minutes.as_ref().map_or(0, Vec::len), &mut rest);
            if let Some(bytes) = &entry.minutes {
                rest.extend(crc32fast::hash(bytes).to_le_bytes());
                minutes.extend(pieces(bytes, |part| key(hour, block + 1, MINUTES, signal.0, part)));
            }
        }
        let sum = crc32fast::hash(&rest);
        let bytes = [sum.to_le_bytes().as_slice(), &rest].concat();
        let mut pairs: Vec<Pair> = pieces(&bytes, |part| key(hour, block + 1, HOURS, 0, part)).collect();
        pairs.extend(minutes);
        (pairs, sum)
    }
}

impl Found {
    /// Reads a block's bytes, and answers its checksum; `None` when the bytes are none.
    pub fn read(hour: Hour, block: u32, bytes: &[u8]) -> Option<(Self, u32)> {
        let mut reader = Reader(bytes);
        let sum = u32::from_le_bytes(reader.array::<SUM_BYTES>()?);
        (crc32fast::hash(reader.0) == sum).then_some(())?;
        let mut found = Self { upto: Lsn(reader.varint()?), entries: BTreeMap::new() };
        for _ in 0..reader.count()? {
            let signal = SignalId(block.checked_mul(SIGNALS)?.checked_add(u32::try_from(reader.varint()?).ok()?)?);
            let length = reader.count()?;
            let one = reader.take(length)?;
            let one = if one.is_empty() { None } else { Some(decode(begin_of(hour), one)?.pop()?) };
            let minutes = match reader.count()? {
                0 => None,
                length => Some((length, u32::from_le_bytes(reader.array()?))),
            };
            found.entries.insert(signal, (one, minutes));
        }
        reader.0.is_empty().then_some((found, sum))
    }
}

/// The minutes of an hour as they are stored.
pub fn encode_minutes(hour: Hour, minutes: &[Summary]) -> Vec<u8> {
    encode(begin_of(hour), minutes)
}

/// Reads the minutes of an hour, each with its time of beginning; `None` when the bytes are none.
pub fn read_minutes(hour: Hour, bytes: &[u8]) -> Option<BTreeMap<Instant, Summary>> {
    let minutes = decode(begin_of(hour), bytes)?;
    Some(minutes.into_iter().map(|minute| (Unit::Minute.begin(minute.first.time), minute)).collect())
}
