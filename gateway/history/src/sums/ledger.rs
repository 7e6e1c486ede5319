//! The ledger of summaries, a note in `ctl`: up to which record everything is summarised, and what the months hold. It
//! is written before a month is changed and after that is durable, so that it says at any time what must be there.

use std::collections::{BTreeMap, BTreeSet};

use watchfire_model::{Instant, Lsn};

use super::block::{Hour, begin_of};
use crate::bytes::{Reader, put_count, put_varint};

/// The name of its note.
pub const NOTE: &str = "summaries";
const VERSION: u8 = 1;
/// Bytes of a month's name.
const NAME_BYTES: usize = 7;

/// The UTC month of an hour, as `2026-03`: in the order of time.
pub type Month = String;

/// The month of an hour.
pub fn month_of(hour: Hour) -> Month {
    month_at(begin_of(hour))
}

/// The month of a time.
pub fn month_at(at: Instant) -> Month {
    at.to_string().chars().take(NAME_BYTES).collect()
}

/// What a month's database holds, but for hours that are being written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Hours that have a list.
    pub hours: u64,
    /// A sum over the hashes of those lists.
    pub digest: u128,
}

/// What is known of summaries without opening them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ledger {
    /// Everything up to this record is summarised, but for what is put off.
    pub upto: Lsn,
    /// Hours that were not past.
    pub put_off: BTreeSet<Hour>,
    /// By month.
    pub months: BTreeMap<Month, Held>,
    /// Hours that are being written: of them nobody knows how far they have come.
    pub writing: BTreeSet<Hour>,
}

impl Ledger {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        put_varint(self.upto.0, &mut out);
        put_count(self.months.len(), &mut out);
        for (month, held) in &self.months {
            out.extend(month.as_bytes());
            put_varint(held.hours, &mut out);
            out.extend(held.digest.to_le_bytes());
        }
        put_hours(&self.put_off, &mut out);
        put_hours(&self.writing, &mut out);
        out
    }

    /// Reads a ledger; `None` when the bytes are none.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        reader.byte().filter(|version| *version == VERSION)?;
        let mut ledger = Self { upto: Lsn(reader.varint()?), ..Self::default() };
        for _ in 0..reader.count()? {
            let month = str::from_utf8(reader.take(NAME_BYTES)?).ok()?.to_owned();
            let (hours, digest) = (reader.varint()?, u128::from_le_bytes(reader.array()?));
            ledger.months.insert(month, Held { hours, digest });
        }
        ledger.put_off = read_hours(&mut reader)?;
        ledger.writing = read_hours(&mut reader)?;
        reader.0.is_empty().then_some(ledger)
    }
}

fn put_hours(hours: &BTreeSet<Hour>, out: &mut Vec<u8>) {
    put_count(hours.len(), out);
    let mut before = 0;
    for hour in hours {
        put_varint(u64::from(hour - before), out);
        before = *hour;
    }
}

fn read_hours(reader: &mut Reader) -> Option<BTreeSet<Hour>> {
    let (mut hours, mut before) = (BTreeSet::new(), 0_u32);
    for _ in 0..reader.count()? {
        before = before.checked_add(u32::try_from(reader.varint()?).ok()?)?;
        hours.insert(before);
    }
    Some(hours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_is_read_back() {
        let held = Held { hours: 700, digest: u128::MAX };
        let months = BTreeMap::from([("2026-03".to_owned(), held), ("2026-04".to_owned(), Held::default())]);
        let ledger = Ledger { upto: Lsn(77), months, put_off: [490_001].into(), writing: [5, 6, 490_000].into() };
        let bytes = ledger.encode();
        assert_eq!(Ledger::decode(&bytes), Some(ledger));
        (0..bytes.len()).for_each(|at| assert_eq!(Ledger::decode(&bytes[..at]), None));
        assert_eq!(Ledger::decode(&Ledger::default().encode()), Some(Ledger::default()));
    }

    #[test]
    fn months_have_names_in_the_order_of_time() {
        assert_eq!((month_of(0), month_of(490_000)), ("1970-01".to_owned(), "2025-11".to_owned()));
    }
}
