//! A bucket: a run of frames that are stored together, as one chunk for each signal and the table of the frames.
//!
//! Keys of a day's database are `first record | kind | signal | part`, so that a bucket lies together.

use watchfire_model::{Copied, Gap, Instant, Lsn, Record, RecordBody, Rows, SignalId};
use watchfire_pipeline::PortError;

use crate::bytes::{Reader, put_signed, put_varint};
use crate::chunk::Chunk;
use crate::directory::{self, Entry};
use crate::frames;
use crate::gaps::{self, GapsHead};
use crate::hours::Hours;
use crate::key_value::KeyValue;
use crate::pages::{Page, find as find_chunk, take_apart};
use crate::reach::Reach;
use crate::store::Store;

/// The kinds of what a bucket has, in keys: its head,
pub const HEAD: u8 = 0;
/// the table of its frames,
pub const FRAMES: u8 = 1;
/// pages of chunks,
pub const PAGES: u8 = 2;
/// their directory,
pub const DIRECTORY: u8 = 3;
/// and the gaps it tells of.
pub const GAPS: u8 = 4;

/// A head without sums, as layout 1 had it.
const PLAIN: u8 = 1;
/// A head with sums, as layout 2 had it; gaps were in the table of frames.
const SUMMED: u8 = 2;
/// A head that knows of gaps, which lie by themselves.
const INDEXED: u8 = 3;
/// The same of a bucket whose hours are not all those of its span.
const SPREAD: u8 = 4;
/// The same of a bucket with gaps, of which it says of which signals and hours they are; hours may be all of its span's.
const REACHED: u8 = 5;

/// What is known of a bucket without decoding it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Head {
    /// The place of its first frame.
    pub first: Lsn,
    /// The place of its last frame.
    pub last: Lsn,
    /// Its rows.
    pub rows: u64,
    /// The earliest and the latest time of its rows, if it has any.
    pub span: Option<(Instant, Instant)>,
    /// The hours it has samples of, where they are fewer than those of its span.
    pub hours: Option<Hours>,
    /// Checksums of the table of frames and of the directory of pages; none in a bucket of layout 1.
    pub sums: Option<(u32, u32)>,
    /// The gaps its frames tell of; not known of a bucket of layout 1 or 2.
    pub gaps: Option<GapsHead>,
}

/// A key in a day's database.
pub fn key(first: Lsn, kind: u8, signal: u32, part: u16) -> Vec<u8> {
    let mut key = first.0.to_be_bytes().to_vec();
    key.push(kind);
    key.extend(signal.to_be_bytes());
    key.extend(part.to_be_bytes());
    key
}

/// The bucket to which a key belongs.
pub fn bucket_of(key: &[u8]) -> Option<Lsn> {
    key.first_chunk().map(|first| Lsn(u64::from_be_bytes(*first)))
}

/// The key at which buckets that begin at or after `first` begin.
pub fn from_key(first: Lsn) -> Vec<u8> {
    key(first, HEAD, 0, 0)
}

/// The wider of two spans.
pub fn widen(a: Option<(Instant, Instant)>, b: Option<(Instant, Instant)>) -> Option<(Instant, Instant)> {
    match (a, b) {
        (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
        (a, b) => a.or(b),
    }
}

impl Head {
    /// Its bytes, but for the first place, which is the key.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![match (self.sums, self.gaps) {
            (Some(_), Some(gaps)) if gaps.known.reach.is_some() => REACHED,
            (Some(_), Some(_)) if self.hours.is_some() => SPREAD,
            (Some(_), Some(_)) => INDEXED,
            (Some(_), None) => SUMMED,
            (None, _) => PLAIN,
        }];
        put_varint(self.last.0, &mut out);
        put_varint(self.rows, &mut out);
        for sum in self.sums.map(|(table, directory)| [table, directory]).into_iter().flatten() {
            out.extend(sum.to_le_bytes());
        }
        if let Some(gaps) = self.gaps.filter(|_| self.sums.is_some()) {
            gaps.put(&mut out);
            let hours = self.hours.or_else(|| gaps.known.reach.map(|_| Hours::default()));
            hours.into_iter().for_each(|hours| hours.put(&mut out));
        }
        if let Some((earliest, latest)) = self.span {
            put_signed(earliest.ns(), &mut out);
            put_signed(latest.ns(), &mut out);
        }
        out
    }

    /// Reads a head.
    pub fn decode(first: Lsn, bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let version = reader.byte().filter(|version| (PLAIN..=REACHED).contains(version))?;
        let (last, rows) = (Lsn(reader.varint()?), reader.varint()?);
        let mut sum = || reader.array().map(u32::from_le_bytes);
        let sums = if version == PLAIN { None } else { Some((sum()?, sum()?)) };
        let gaps = if version >= INDEXED { Some(GapsHead::read(&mut reader, version == REACHED)?) } else { None };
        let hours = if version >= SPREAD { Some(Hours::read(&mut reader)?) } else { None };
        let hours = hours.filter(|hours| version == SPREAD || hours.many() > 0);
        let span = if reader.0.is_empty() {
            None
        } else {
            Some((Instant::from_ns(reader.signed()?), Instant::from_ns(reader.signed()?)))
        };
        Some(Self { first, last, rows, span, hours, sums, gaps })
    }

    /// The hours it has samples of, and perhaps some more.
    pub fn touched(&self) -> Hours {
        self.hours.unwrap_or_else(|| Hours::of_span(self.span))
    }
}

fn damaged(store: &Store, first: Lsn) -> PortError {
    PortError::Damaged {
        what: format!("bucket {first} in `{}`", store.folder().display()),
        detail: "it cannot be decoded; restore the folder from a backup, or rename it to end in `.damaged` to go on \
                 without what it holds"
            .to_owned(),
    }
}

/// The bucket that holds the record at `lsn`, or the first one after it.
pub fn find(store: &Store, lsn: Lsn) -> Result<Option<Head>, PortError> {
    if let Some((found, _)) = store.at_or_before(&key(lsn, u8::MAX, 0, 0))?
        && let Some(first) = bucket_of(&found)
        && let Some(head) = head(store, first)?
        && head.last >= lsn
    {
        return Ok(Some(head));
    }
    after(store, lsn)
}

/// The first bucket that begins after `lsn`.
pub fn after(store: &Store, lsn: Lsn) -> Result<Option<Head>, PortError> {
    let found = store.at_or_after(&from_key(lsn.next()))?;
    found.and_then(|(found, _)| bucket_of(&found)).map_or(Ok(None), |first| head(store, first))
}

fn head(store: &Store, first: Lsn) -> Result<Option<Head>, PortError> {
    let bytes = store.get(&from_key(first))?;
    bytes.map(|bytes| Head::decode(first, &bytes).ok_or_else(|| damaged(store, first))).transpose()
}

fn pages(store: &Store, first: Lsn, from: Vec<u8>, to: Vec<u8>) -> Result<Vec<Page>, PortError> {
    let pairs = store.range(&from, &to, usize::MAX)?;
    let page = |(key, bytes): (Vec<u8>, Vec<u8>)| {
        let [s0, s1, s2, s3, p0, p1] = *key.get(9..)?.first_chunk()?;
        Some(Page { signal: SignalId(u32::from_be_bytes([s0, s1, s2, s3])), part: u16::from_be_bytes([p0, p1]), bytes })
    };
    pairs.into_iter().map(page).collect::<Option<_>>().ok_or_else(|| damaged(store, first))
}

/// The pieces of one kind, joined.
fn joined(store: &Store, first: Lsn, kind: u8) -> Result<Vec<u8>, PortError> {
    let pieces = store.range(&key(first, kind, 0, 0), &key(first, kind, u32::MAX, u16::MAX), usize::MAX)?;
    Ok(pieces.into_iter().flat_map(|(_, bytes)| bytes).collect())
}

/// The directory of a bucket's pages; `None` in a bucket of layout 1.
///
/// # Errors
/// When the store fails or the bucket is damaged.
pub fn directory(store: &Store, head: &Head) -> Result<Option<Vec<Entry>>, PortError> {
    let Some((_, sum)) = head.sums else { return Ok(None) };
    let bytes = joined(store, head.first, DIRECTORY)?;
    let entries = if crc32fast::hash(&bytes) == sum { directory::decode(&bytes) } else { None };
    entries.map(Some).ok_or_else(|| damaged(store, head.first))
}

/// The gaps that a bucket's frames tell of, with the places of their frames. Costs a read of them; in a bucket of
/// layout 1 or 2, of the whole table of frames.
///
/// # Errors
/// When the store fails or the bucket is damaged.
pub fn gaps(store: &Store, head: &Head) -> Result<Vec<(Lsn, Gap)>, PortError> {
    #[cfg(test)]
    crate::fills::looked::GAPS.set(crate::fills::looked::GAPS.get() + 1);
    let Some(of_head) = head.gaps else {
        let shapes = shapes(store, head)?.0.into_iter();
        return Ok(shapes.flat_map(|shape| shape.frame.gaps.into_iter().map(move |gap| (shape.lsn, gap))).collect());
    };
    if of_head.known.count == 0 {
        return Ok(Vec::new());
    }
    gaps::decode(&joined(store, head.first, GAPS)?, &of_head).ok_or_else(|| damaged(store, head.first))
}

/// A bucket's frames without their rows, and the order in which signals followed each other.
fn shapes(store: &Store, head: &Head) -> Result<(Vec<frames::Shape>, Vec<u32>), PortError> {
    let table = joined(store, head.first, FRAMES)?;
    let is_whole = head.sums.is_none_or(|(sum, _)| crc32fast::hash(&table) == sum);
    frames::decode(&table).filter(|_| is_whole).ok_or_else(|| damaged(store, head.first))
}

/// The bytes of one signal's chunk in a bucket, whose directory is given. Costs a read of one page, unless the chunk is
/// large.
///
/// # Errors
/// When the store fails or the bucket is damaged.
pub fn chunk(
    store: &Store,
    head: &Head,
    directory: Option<&Vec<Entry>>,
    signal: SignalId,
) -> Result<Option<Vec<u8>>, PortError> {
    let first = head.first;
    let begins = match directory {
        Some(entries) => {
            let after = entries.partition_point(|entry| entry.signal <= signal);
            after.checked_sub(1).and_then(|last| entries.get(last)).map(|entry| entry.signal)
        }
        None => store
            .at_or_before(&key(first, PAGES, signal.0, u16::MAX))?
            .filter(|(found, _)| bucket_of(found) == Some(first) && found.get(8) == Some(&PAGES))
            .and_then(|(found, _)| found.get(9..).and_then(|rest| rest.first_chunk().copied()))
            .map(|signal| SignalId(u32::from_be_bytes(signal))),
    };
    let Some(begins) = begins else { return Ok(None) };
    let pages = pages(store, first, key(first, PAGES, begins.0, 0), key(first, PAGES, begins.0, u16::MAX))?;
    let are_listed = directory.is_none_or(|entries| {
        let from = entries.partition_point(|entry| entry.signal < begins);
        let listed = entries.iter().skip(from).take_while(|entry| entry.signal == begins);
        directory::are_these(listed, &pages)
    });
    find_chunk(&pages, signal).filter(|_| are_listed).ok_or_else(|| damaged(store, first))
}

/// The list of a bucket's pages. Costs a read of all of them in a bucket of layout 1, which has none.
///
/// # Errors
/// When the store fails or the bucket is damaged.
pub fn listed(store: &Store, head: &Head) -> Result<Vec<Entry>, PortError> {
    match directory(store, head)? {
        Some(entries) => Ok(entries),
        None => Ok(all_pages(store, head)?.iter().map(directory::entry).collect()),
    }
}

/// The chunks of pages that are listed one after the other and begin with the same signal.
///
/// # Errors
/// When the store fails or the bucket is damaged.
pub fn chunks_of(store: &Store, head: &Head, listed: &[Entry]) -> Result<Vec<(SignalId, Vec<u8>)>, PortError> {
    let Some(begins) = listed.first().map(|entry| entry.signal.0) else { return Ok(Vec::new()) };
    let first = head.first;
    let pages = pages(store, first, key(first, PAGES, begins, 0), key(first, PAGES, begins, u16::MAX))?;
    let chunks = if directory::are_these(listed.iter(), &pages) { take_apart(&pages) } else { None };
    chunks.ok_or_else(|| damaged(store, first))
}

/// A bucket's table of frames as layout 2 had it, with gaps.
#[cfg(test)]
pub fn with_gaps(store: &Store, head: &Head) -> Vec<u8> {
    let (mut shapes, order) = shapes(store, head).unwrap();
    for (lsn, gap) in gaps(store, head).unwrap() {
        let at = shapes.binary_search_by_key(&lsn, |shape| shape.lsn).unwrap();
        shapes[at].frame.gaps.push(gap);
    }
    frames::encode_with_gaps(&shapes, &order)
}

/// Every page of a bucket, as they were written.
fn all_pages(store: &Store, head: &Head) -> Result<Vec<Page>, PortError> {
    let first = head.first;
    let pages = pages(store, first, key(first, PAGES, 0, 0), key(first, PAGES, u32::MAX, u16::MAX))?;
    let directory = directory(store, head)?;
    if directory.is_none_or(|entries| directory::are_these(entries.iter(), &pages)) {
        return Ok(pages);
    }
    Err(damaged(store, first))
}

/// A bucket's frames, exactly as they were.
///
/// # Errors
/// When the store fails or the bucket is damaged.
pub fn records(store: &Store, head: &Head) -> Result<Vec<Record>, PortError> {
    let (mut shapes, order) = shapes(store, head)?;
    if head.gaps.is_some() {
        for (lsn, gap) in gaps(store, head)? {
            let at = shapes.binary_search_by_key(&lsn, |shape| shape.lsn);
            let shape = at.ok().and_then(|at| shapes.get_mut(at));
            shape.ok_or_else(|| damaged(store, head.first))?.frame.gaps.push(gap);
        }
    }
    let pages = all_pages(store, head)?;
    let rebuilt = take_apart(&pages).and_then(|chunks| {
        let chunks = chunks.into_iter().map(|(signal, bytes)| Some(Cursor::new(Chunk::decode(signal, &bytes)?)));
        rebuild(shapes, &order, chunks.collect::<Option<Vec<_>>>()?)
    });
    rebuilt.ok_or_else(|| damaged(store, head.first))
}

/// Decodes all of a bucket and holds it against its heads; answers the places of its frames, and how many chunks it has.
///
/// # Errors
/// When the store fails or the bucket is damaged.
pub fn verify(store: &Store, head: &Head) -> Result<(Vec<Lsn>, u64), PortError> {
    let frames = records(store, head)?;
    let (mut rows, mut span, mut hours, mut gaps) = (0, None, Hours::default(), Vec::new());
    for record in &frames {
        if let RecordBody::Data(frame) = &record.body {
            gaps.extend(&frame.gaps);
            rows += frame.rows.len() as u64;
            let times = || frame.rows.time.iter().copied();
            span = widen(span, times().min().zip(times().max()));
            hours = hours.with(Hours::of_times(&frame.rows.time));
        }
    }
    let pages = all_pages(store, head)?;
    let chunks = take_apart(&pages).unwrap_or_default();
    let sound = chunks.iter().all(|(signal, bytes)| Chunk::is_as_headed(*signal, bytes));
    let places: Vec<Lsn> = frames.iter().map(|record| record.lsn).collect();
    let ends = places.first() == Some(&head.first) && places.last() == Some(&head.last);
    let reach = head.gaps.and_then(|gaps| gaps.known.reach);
    let is_as_headed = rows == head.rows
        && span == head.span
        && head.hours.is_none_or(|of_head| of_head == hours)
        && reach.is_none_or(|reach| reach == Reach::of_gaps(gaps.into_iter()));
    if !(sound && ends && is_as_headed) {
        return Err(damaged(store, head.first));
    }
    Ok((places, chunks.len() as u64))
}

/// A signal's chunk and how far it has been taken.
struct Cursor {
    chunk: Rows,
    row: usize,
    copied: Copied,
}

impl Cursor {
    fn new(chunk: Chunk) -> Self {
        Self { chunk: chunk.0, row: 0, copied: Copied::default() }
    }

    /// Copies the next row to the end of `rows`.
    fn take(&mut self, rows: &mut Rows) -> Option<()> {
        let taken = rows.copy_row(&self.chunk, self.row, &mut self.copied);
        self.row += 1;
        taken.then_some(())
    }
}

fn rebuild(shapes: Vec<frames::Shape>, order: &[u32], mut chunks: Vec<Cursor>) -> Option<Vec<Record>> {
    let mut order = order.iter();
    let mut records = Vec::with_capacity(shapes.len());
    for shape in shapes {
        let mut frame = shape.frame;
        for rank in order.by_ref().take(shape.rows) {
            chunks.get_mut(*rank as usize)?.take(&mut frame.rows)?;
        }
        if shape.has_skew {
            // As it was, even where all of it is zero.
            frame.rows.skew_ns.resize(frame.rows.len(), 0);
        }
        records.push(Record { lsn: shape.lsn, body: RecordBody::Data(frame) });
    }
    chunks.iter().all(|cursor| cursor.row == cursor.chunk.len()).then_some(records)
}
