//! Chunks in pages of a bounded size: neighbours share one, a large one has several of its own. Each value in the
//! store costs some thirty bytes beside itself, as much as a short chunk.

use watchfire_model::SignalId;

use crate::bytes::{Reader, put_count, put_varint};
use crate::key_value::VALUE_BYTES_MAX;

/// Several chunks: how many, their signals and lengths, then the chunks.
const SHARED: u8 = 0;
/// A part of one chunk; the first part begins with the chunk's length.
const PART: u8 = 1;

/// What chunks share a page up to. Whoever reads one of them reads the nine or so pages of its leaf, and the database keeps
/// as many decoded; a larger chunk has a page of its own.
const SHARED_BYTES_MAX: usize = 2_000;
/// What a chunk adds to a page beside itself, at the most.
const ENTRY_BYTES_MAX: usize = 5 + 2;
/// What a page has beside its entries, at the most.
const PAGE_BYTES_MAX: usize = 1 + 3;

/// A page and its place in the bucket.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The first signal in it.
    pub signal: SignalId,
    /// Which part of that signal's chunk; 0 for a shared page.
    pub part: u16,
    /// Its bytes, at most [`VALUE_BYTES_MAX`].
    pub bytes: Vec<u8>,
}

/// Chunks on their way into pages.
#[derive(Debug, Default)]
pub struct Layout {
    pages: Vec<Page>,
    /// What shares the next page, and what it takes there.
    open: Vec<(SignalId, Vec<u8>)>,
    open_bytes: usize,
}

impl Layout {
    /// Adds the chunk of the next signal, in ascending order. `None` when it is larger than its parts can be numbered,
    /// 390 MB.
    pub fn push(&mut self, signal: SignalId, chunk: Vec<u8>) -> Option<()> {
        let bytes = ENTRY_BYTES_MAX + chunk.len();
        if PAGE_BYTES_MAX + self.open_bytes + bytes > SHARED_BYTES_MAX {
            self.close();
        }
        if PAGE_BYTES_MAX + bytes > VALUE_BYTES_MAX {
            return parts(signal, &chunk, &mut self.pages);
        }
        self.open.push((signal, chunk));
        self.open_bytes += bytes;
        Some(())
    }

    /// The pages that are whole, in their order; they are given once.
    pub fn take(&mut self) -> Vec<Page> {
        std::mem::take(&mut self.pages)
    }

    /// How many there are to be taken.
    pub const fn whole(&self) -> usize {
        self.pages.len()
    }

    /// The pages that were not taken yet.
    pub fn finish(mut self) -> Vec<Page> {
        self.close();
        self.pages
    }

    fn close(&mut self) {
        self.pages.extend(shared(&self.open));
        self.open.clear();
        self.open_bytes = 0;
    }
}

fn shared(chunks: &[(SignalId, Vec<u8>)]) -> Option<Page> {
    let (signal, _) = chunks.first()?;
    let mut bytes = vec![SHARED];
    put_count(chunks.len(), &mut bytes);
    for (signal, chunk) in chunks {
        put_varint(u64::from(signal.0), &mut bytes);
        put_count(chunk.len(), &mut bytes);
    }
    chunks.iter().for_each(|(_, chunk)| bytes.extend(chunk));
    Some(Page { signal: *signal, part: 0, bytes })
}

fn parts(signal: SignalId, chunk: &[u8], pages: &mut Vec<Page>) -> Option<()> {
    let mut rest = chunk;
    let mut part = 0;
    loop {
        let mut bytes = vec![PART];
        if part == 0 {
            put_count(chunk.len(), &mut bytes);
        }
        let (here, after) = rest.split_at_checked(VALUE_BYTES_MAX - bytes.len()).unwrap_or((rest, &[]));
        bytes.extend(here);
        rest = after;
        pages.push(Page { signal, part, bytes });
        if rest.is_empty() {
            return Some(());
        }
        part = part.checked_add(1)?;
    }
}

/// One signal's chunk among pages that share one, or that are its parts, if it is there; `None` when a page is damaged or
/// missing. Copies no other chunk.
pub fn find(pages: &[Page], wanted: SignalId) -> Option<Option<Vec<u8>>> {
    let [page] = pages else {
        return Some(take_apart(pages)?.into_iter().find(|(signal, _)| *signal == wanted).map(|(_, chunk)| chunk));
    };
    let mut reader = Reader(&page.bytes);
    if reader.byte()? != SHARED {
        return Some(take_apart(pages)?.into_iter().find(|(signal, _)| *signal == wanted).map(|(_, chunk)| chunk));
    }
    let n = reader.count().filter(|n| *n <= VALUE_BYTES_MAX)?;
    let (mut end, mut place) = (0_usize, None);
    for _ in 0..n {
        let (signal, length) = (SignalId(u32::try_from(reader.varint()?).ok()?), reader.count()?);
        let begin = end;
        end = end.checked_add(length)?;
        if signal == wanted {
            place = Some(begin..end);
        }
    }
    (reader.0.len() == end).then_some(())?;
    match place {
        Some(place) => Some(Some(reader.0.get(place)?.to_owned())),
        None => Some(None),
    }
}

/// The chunks of pages in their order, with their signals; `None` when a page is damaged or missing.
pub fn take_apart(pages: &[Page]) -> Option<Vec<(SignalId, Vec<u8>)>> {
    let mut chunks: Vec<(SignalId, Vec<u8>)> = Vec::new();
    let mut missing = 0_usize;
    for page in pages {
        let mut reader = Reader(&page.bytes);
        match reader.byte()? {
            SHARED if missing == 0 => {
                let n = reader.count().filter(|n| *n <= VALUE_BYTES_MAX)?;
                let mut entries = Vec::with_capacity(n);
                for _ in 0..n {
                    entries.push((SignalId(u32::try_from(reader.varint()?).ok()?), reader.count()?));
                }
                for (signal, length) in entries {
                    chunks.push((signal, reader.take(length)?.to_owned()));
                }
                reader.0.is_empty().then_some(())?;
            }
            PART if page.part == 0 && missing == 0 => {
                missing = reader.count()?.checked_sub(reader.0.len())?;
                chunks.push((page.signal, reader.0.to_owned()));
            }
            PART => {
                let (signal, chunk) = chunks.last_mut()?;
                (*signal == page.signal).then_some(())?;
                missing = missing.checked_sub(reader.0.len())?;
                chunk.extend(reader.0);
            }
            _ => return None,
        }
    }
    (missing == 0).then_some(chunks)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn chunks_of_any_size_fit_their_pages(sizes in prop::collection::vec(prop_oneof![0..300_usize, 5_900..6_100_usize, 0..40_000_usize], 0..40)) {
            let chunks: Vec<_> = sizes.iter().zip((0..u32::MAX).step_by(100_000_007))
                .map(|(size, id)| (SignalId(id), (0..*size).map(|i| i as u8).collect::<Vec<u8>>())).collect();
            let mut layout = Layout::default();
            chunks.iter().for_each(|(signal, chunk)| layout.push(*signal, chunk.clone()).unwrap());
            let pages = layout.finish();
            prop_assert!(pages.iter().all(|page| page.bytes.len() <= VALUE_BYTES_MAX));
            prop_assert!(pages.is_sorted_by(|a, b| (a.signal, a.part) < (b.signal, b.part)));
            prop_assert_eq!(take_apart(&pages), Some(chunks.clone()));
            for (signal, chunk) in &chunks {
                // As they are read: those of the page that begins with it or before it.
                let begins = pages.iter().rev().map(|page| page.signal).find(|begins| begins <= signal).unwrap();
                let read: Vec<Page> = pages.iter().filter(|page| page.signal == begins).cloned().collect();
                prop_assert_eq!(find(&read, *signal), Some(Some(chunk.clone())));
                prop_assert_eq!(find(&read, SignalId(signal.0 + 1)), Some(None));
            }
            if let Some(large) = pages.iter().position(|page| page.part > 0) {
                let mut lost = pages;
                lost.remove(large);
                prop_assert_eq!(take_apart(&lost), None);
            }
        }
    }
}
