//! A bucket: a run of frames that are stored together, as one chunk for each signal and the table of the frames.
//!
//! Keys of a day's database are `first record | kind | signal | part`, so that a bucket lies together.

use std::collections::BTreeMap;

use watchfire_model::{Copied, Frame, Instant, Lsn, Record, RecordBody, Rows, SignalId};
use watchfire_pipeline::PortError;

use crate::bytes::{Reader, put_signed, put_varint};
use crate::chunk::Chunk;
use crate::frames;
use crate::pages::{Page, lay_out, take_apart};
use crate::store::{Change, Group, Store, VALUE_BYTES_MAX};

const HEAD: u8 = 0;
const FRAMES: u8 = 1;
const PAGES: u8 = 2;

const VERSION: u8 = 1;

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
        let mut out = vec![VERSION];
        put_varint(self.last.0, &mut out);
        put_varint(self.rows, &mut out);
        if let Some((earliest, latest)) = self.span {
            put_signed(earliest.ns(), &mut out);
            put_signed(latest.ns(), &mut out);
        }
        out
    }

    /// Reads a head.
    pub fn decode(first: Lsn, bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        reader.byte().filter(|version| *version == VERSION)?;
        let (last, rows) = (Lsn(reader.varint()?), reader.varint()?);
        let span = if reader.0.is_empty() {
            None
        } else {
            Some((Instant::from_ns(reader.signed()?), Instant::from_ns(reader.signed()?)))
        };
        Some(Self { first, last, rows, span })
    }
}

/// Encodes frames, which must not be none, as a bucket. Costs 50 to 500 ns a row.
///
/// # Errors
/// When a frame's columns do not fit together.
pub fn encode(frames: &[(Lsn, &Frame)]) -> Result<(Head, Vec<Group>), PortError> {
    let unfit = |lsn: Lsn, detail: String| PortError::Damaged { what: format!("record {lsn}"), detail };
    let mut chunks: BTreeMap<SignalId, Chunk> = BTreeMap::new();
    let (mut rows_all, mut span) = (0, None);
    for (lsn, frame) in frames {
        frame.rows.check().map_err(|error| unfit(*lsn, error.to_string()))?;
        add_rows(&frame.rows, &mut chunks);
        rows_all += frame.rows.len() as u64;
        let times = || frame.rows.time.iter().copied();
        span = widen(span, times().min().zip(times().max()));
    }
    let (Some((first, _)), Some((last, _))) = (frames.first(), frames.last()) else {
        return Err(unfit(Lsn(0), "a bucket of no frames".to_owned()));
    };
    let ranks: BTreeMap<SignalId, u32> = chunks.keys().copied().zip(0..).collect();
    let order: Vec<u32> = frames
        .iter()
        .flat_map(|(_, frame)| &frame.rows.signal)
        .map(|signal| ranks.get(signal).copied().unwrap_or_default())
        .collect();
    let head = Head { first: *first, last: *last, rows: rows_all, span };
    let mut groups = vec![vec![Change::Put(key(*first, HEAD, 0, 0), head.encode())]];
    for (piece, part) in frames::encode(frames, &order).chunks(VALUE_BYTES_MAX).zip(0_u32..) {
        groups.push(vec![Change::Put(key(*first, FRAMES, part, 0), piece.to_vec())]);
    }
    let encoded: Vec<_> = chunks.into_iter().map(|(signal, chunk)| (signal, chunk.encode())).collect();
    let pages = lay_out(&encoded).ok_or_else(|| unfit(*first, "a chunk of more than 390 MB".to_owned()))?;
    for Page { signal, part, bytes } in pages {
        groups.push(vec![Change::Put(key(*first, PAGES, signal.0, part), bytes)]);
    }
    Ok((head, groups))
}

fn add_rows(rows: &Rows, chunks: &mut BTreeMap<SignalId, Chunk>) {
    let mut copied = Copied::default();
    for (row, signal) in rows.signal.iter().enumerate() {
        chunks.entry(*signal).or_default().0.copy_row(rows, row, &mut copied);
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

/// The bytes of one signal's chunk in a bucket. Costs one read of one page, unless the chunk is large.
///
/// # Errors
/// When the store fails or the bucket is damaged.
pub fn chunk(store: &Store, first: Lsn, signal: SignalId) -> Result<Option<Vec<u8>>, PortError> {
    let Some((found, _)) = store.at_or_before(&key(first, PAGES, signal.0, u16::MAX))? else { return Ok(None) };
    let mut from = found;
    from.truncate(13);
    if !from.starts_with(&first.0.to_be_bytes()) || from.get(8) != Some(&PAGES) {
        return Ok(None);
    }
    let (mut first_part, mut last_part) = (from.clone(), from);
    first_part.extend([0; 2]);
    last_part.extend([u8::MAX; 2]);
    let pages = pages(store, first, first_part, last_part)?;
    let chunks = take_apart(&pages).ok_or_else(|| damaged(store, first))?;
    Ok(chunks.into_iter().find(|(held, _)| *held == signal).map(|(_, chunk)| chunk))
}

/// A bucket's frames, exactly as they were.
///
/// # Errors
/// When the store fails or the bucket is damaged.
pub fn records(store: &Store, first: Lsn) -> Result<Vec<Record>, PortError> {
    let table = store.range(&key(first, FRAMES, 0, 0), &key(first, FRAMES, u32::MAX, u16::MAX), usize::MAX)?;
    let table: Vec<u8> = table.into_iter().flat_map(|(_, bytes)| bytes).collect();
    let pages = pages(store, first, key(first, PAGES, 0, 0), key(first, PAGES, u32::MAX, u16::MAX))?;
    let rebuilt = frames::decode(&table).zip(take_apart(&pages)).and_then(|((shapes, order), chunks)| {
        let chunks = chunks.into_iter().map(|(signal, bytes)| Some(Cursor::new(Chunk::decode(signal, &bytes)?)));
        rebuild(shapes, &order, chunks.collect::<Option<Vec<_>>>()?)
    });
    rebuilt.ok_or_else(|| damaged(store, first))
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
