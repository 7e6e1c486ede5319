//! The directory of a bucket: which pages it has, and the checksum of each. A database that was damaged may open as if
//! some pages had never been; the directory knows better, wherever one is read.

use watchfire_model::SignalId;

use crate::bytes::{Reader, put_count, put_varint};
use crate::pages::Page;

/// A page that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The first signal in it.
    pub signal: SignalId,
    /// Which part of that signal's chunk.
    pub part: u16,
    /// CRC-32 of its bytes.
    pub sum: u32,
}

/// What a directory says of a page.
pub fn entry(page: &Page) -> Entry {
    Entry { signal: page.signal, part: page.part, sum: crc32fast::hash(&page.bytes) }
}

/// The directory of pages that are sorted by signal and part. Some seven bytes a page.
pub fn encode(entries: &[Entry]) -> Vec<u8> {
    let mut out = Vec::new();
    put_count(entries.len(), &mut out);
    let mut before = 0;
    for Entry { signal, part, sum } in entries {
        put_varint(u64::from(signal.0.wrapping_sub(before)), &mut out);
        put_varint(u64::from(*part), &mut out);
        out.extend(sum.to_le_bytes());
        before = signal.0;
    }
    out
}

/// Reads a directory; `None` when the bytes are none.
pub fn decode(bytes: &[u8]) -> Option<Vec<Entry>> {
    let mut reader = Reader(bytes);
    let n = reader.count().filter(|n| *n <= bytes.len())?;
    let mut entries = Vec::with_capacity(n);
    let mut before = 0_u32;
    for _ in 0..n {
        before = before.wrapping_add(u32::try_from(reader.varint()?).ok()?);
        let part = u16::try_from(reader.varint()?).ok()?;
        entries.push(Entry { signal: SignalId(before), part, sum: u32::from_le_bytes(reader.array()?) });
    }
    reader.0.is_empty().then_some(entries)
}

/// Whether pages are those that are listed, none more and none less.
pub fn are_these<'e>(listed: impl Iterator<Item = &'e Entry>, pages: &[Page]) -> bool {
    listed.copied().eq(pages.iter().map(entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_knows_its_pages_and_no_others() {
        let page = |signal, part, byte| Page { signal: SignalId(signal), part, bytes: vec![byte; 9] };
        let pages = [page(0, 0, 1), page(7, 0, 2), page(7, 1, 3), page(u32::MAX, 0, 4)];
        let bytes = encode(&pages.iter().map(entry).collect::<Vec<_>>());
        let entries = decode(&bytes).unwrap();
        assert!(are_these(entries.iter(), &pages));
        assert!(!are_these(entries.iter(), &pages[..3]));
        let mut other = pages.clone();
        other[2].bytes[8] = 9;
        assert!(!are_these(entries.iter(), &other));
        (0..bytes.len()).for_each(|at| assert_eq!(decode(&bytes[..at]), None));
    }
}
