//! What `ctl` says of each slot of samples, as it is stored: without opening it it is known what it holds.

use watchfire_model::{Instant, Lsn};

use crate::bytes::{Reader, put_signed, put_varint};
use crate::ctl::{Kind, slot_key};
use crate::days::SlotEntry;
use crate::gaps::GapsKnown;
use crate::hours::Hours;
use crate::key_value::{Change, Group};
use crate::reach::Reach;
use crate::slot::Slot;

/// What the entry of a slot with counts begins with: no record has this place. Twice, where its gaps are known too, three
/// times, where its hours are, and four times, where it is known of which signals and hours its gaps are.
const COUNTED: u64 = 0;

/// Sets a slot's entry.
pub fn set_slot(slot: Slot, entry: &SlotEntry) -> Change {
    let mut bytes = Vec::new();
    // Gaps were counted later than the rest, so none are without it.
    let gaps = entry.gaps.filter(|_| entry.counts.is_some());
    let reach = gaps.and_then(|gaps| gaps.reach);
    // None are as many as its span has, where something follows.
    let hours = entry.hours.filter(|_| gaps.is_some()).or_else(|| reach.map(|_| Hours::default()));
    let parts = [entry.counts.is_some(), gaps.is_some(), hours.is_some(), reach.is_some()];
    parts.into_iter().filter(|has| *has).for_each(|_| put_varint(COUNTED, &mut bytes));
    put_varint(entry.first.0, &mut bytes);
    put_varint(entry.last.0, &mut bytes);
    for count in entry.counts.map(|(buckets, rows)| [buckets, rows]).into_iter().flatten() {
        put_varint(count, &mut bytes);
    }
    gaps.into_iter().for_each(|gaps| gaps.put(&mut bytes));
    hours.into_iter().for_each(|hours| hours.put(&mut bytes));
    reach.into_iter().for_each(|reach| reach.put(&mut bytes));
    put_span(entry.span, &mut bytes);
    Change::Put(slot_key(Kind::Slot, slot), bytes)
}

/// Reads a slot's entry; `None` when the bytes are none.
pub fn read_slot(bytes: &[u8]) -> Option<SlotEntry> {
    let mut reader = Reader(bytes);
    let (mut first, mut counted) = (reader.varint()?, 0);
    while first == COUNTED && counted < 4 {
        (first, counted) = (reader.varint()?, counted + 1);
    }
    let (first, last) = (Lsn(first), Lsn(reader.varint()?));
    let counts = if counted > 0 { Some((reader.varint()?, reader.varint()?)) } else { None };
    let gaps = if counted > 1 { Some(GapsKnown::read(&mut reader)?) } else { None };
    let hours = if counted > 2 { Some(Hours::read(&mut reader)?) } else { None };
    let hours = hours.filter(|hours| counted == 3 || hours.many() > 0);
    let reach = if counted > 3 { Some(Reach::read(&mut reader)?) } else { None };
    let gaps = gaps.map(|gaps| GapsKnown { reach, ..gaps });
    let span = if reader.0.is_empty() { None } else { Some(read_span(&mut reader)?) };
    Some(SlotEntry { first, last, span, hours, counts, gaps })
}

fn put_span(span: Option<(Instant, Instant)>, out: &mut Vec<u8>) {
    if let Some((earliest, latest)) = span {
        put_signed(earliest.ns(), out);
        put_signed(latest.ns(), out);
    }
}

fn read_span(reader: &mut Reader) -> Option<(Instant, Instant)> {
    Some((Instant::from_ns(reader.signed()?), Instant::from_ns(reader.signed()?)))
}

/// Removes a slot's entry, and says that its folder is to go.
pub fn drop_slot(slot: Slot) -> Group {
    vec![Change::Remove(slot_key(Kind::Slot, slot)), Change::Put(slot_key(Kind::Dropped, slot), Vec::new())]
}

/// Says that a dropped slot's folder has gone.
pub fn slot_has_gone(slot: Slot) -> Group {
    vec![Change::Remove(slot_key(Kind::Dropped, slot))]
}
