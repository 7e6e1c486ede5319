//! One signal's samples of a bucket as bytes: numbers by `pco`, statuses and marks as runs, text and exact integers as
//! they are. Every chunk is decoded again when it is written: what is stored is bit for bit what was received.

use pco::ChunkConfig;
use pco::standalone::{simple_compress, simple_decompress};
use serde::{Deserialize, Serialize};
use watchfire_model::{Instant, Quality, Rows, StatusCode};

/// The form's version.
const VERSION: u8 = 1;

/// One signal's samples, with the record and row of each.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chunk {
    /// Which record of the bucket: its distance from the bucket's first place.
    pub record: Vec<u32>,
    /// Which row of that record.
    pub row: Vec<u32>,
    /// The samples; their signal column repeats the one signal.
    pub rows: Rows,
}

/// What a chunk says of itself before it is decoded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Head {
    version: u8,
    /// Samples.
    pub count: u32,
    /// Samples of good status.
    pub good: u32,
    /// The earliest source time.
    pub time_min: Instant,
    /// The latest.
    pub time_max: Instant,
    /// Least, greatest and sum of the good values that are numbers.
    pub min: f64,
    /// Greatest good value.
    pub max: f64,
    /// Sum of the good values.
    pub sum: f64,
}

#[derive(Serialize, Deserialize)]
struct Body {
    record: Vec<u8>,
    row: Vec<u8>,
    time: Vec<u8>,
    value: Vec<u8>,
    value_raw: bool,
    status: Vec<(u32, StatusCode)>,
    quality: Vec<(u32, Quality)>,
    skew_ns: Vec<u8>,
    exact: Vec<(u32, i64)>,
    text: Vec<(u32, String)>,
}

impl Chunk {
    /// The chunk as bytes; `None` only if it cannot be read back bit for bit.
    pub fn encode(&self) -> Option<Vec<u8>> {
        let packed = self.pack(false)?;
        if Self::decode(&packed, self.rows.signal.first().copied()?).is_some_and(|back| same(&back, self)) {
            return Some(packed);
        }
        self.pack(true)
    }

    fn pack(&self, value_raw: bool) -> Option<Vec<u8>> {
        let rows = &self.rows;
        let bits = || rows.value.iter().flat_map(|value| value.to_bits().to_le_bytes()).collect();
        let body = Body {
            record: numbers(&self.record)?,
            row: numbers(&self.row)?,
            time: numbers(&rows.time.iter().map(|time| time.ns()).collect::<Vec<_>>())?,
            value: if value_raw { bits() } else { numbers(&rows.value)? },
            value_raw,
            status: runs(&rows.status)?,
            quality: runs(&rows.quality)?,
            skew_ns: if rows.skew_ns.is_empty() { Vec::new() } else { numbers(&rows.skew_ns)? },
            exact: rows.exact.clone(),
            text: rows.text.clone(),
        };
        let head = postcard::to_allocvec(&self.head()?).ok()?;
        postcard::to_extend(&body, head).ok()
    }

    fn head(&self) -> Option<Head> {
        let rows = &self.rows;
        let good: Vec<f64> = rows
            .value
            .iter()
            .zip(&rows.status)
            .filter(|(_, status)| status.is_good())
            .map(|(value, _)| *value)
            .collect();
        let numbers = || good.iter().copied().filter(|value| !value.is_nan());
        Some(Head {
            version: VERSION,
            count: u32::try_from(rows.len()).ok()?,
            good: u32::try_from(good.len()).ok()?,
            time_min: rows.time.iter().min().copied()?,
            time_max: rows.time.iter().max().copied()?,
            min: numbers().fold(f64::INFINITY, f64::min),
            max: numbers().fold(f64::NEG_INFINITY, f64::max),
            sum: numbers().sum(),
        })
    }

    /// What the bytes say of themselves, and the rest of them.
    pub fn read_head(bytes: &[u8]) -> Option<(Head, &[u8])> {
        let (head, rest) = postcard::take_from_bytes::<Head>(bytes).ok()?;
        (head.version == VERSION).then_some((head, rest))
    }

    /// Reads a chunk of `signal` back.
    pub fn decode(bytes: &[u8], signal: watchfire_model::SignalId) -> Option<Self> {
        let (head, rest) = Self::read_head(bytes)?;
        let body: Body = postcard::from_bytes(rest).ok()?;
        let count = usize::try_from(head.count).ok()?;
        let value = if body.value_raw {
            let (whole, _) = body.value.as_chunks::<8>();
            whole.iter().map(|bits| f64::from_bits(u64::from_le_bytes(*bits))).collect()
        } else {
            simple_decompress(&body.value).ok()?
        };
        let time: Vec<i64> = simple_decompress(&body.time).ok()?;
        let rows = Rows {
            signal: vec![signal; count],
            time: time.into_iter().map(Instant::from_ns).collect(),
            value,
            status: unroll(&body.status, count),
            quality: unroll(&body.quality, count),
            skew_ns: if body.skew_ns.is_empty() { Vec::new() } else { simple_decompress(&body.skew_ns).ok()? },
            exact: body.exact,
            text: body.text,
        };
        rows.check().ok()?;
        let (record, row): (Vec<u32>, Vec<u32>) =
            (simple_decompress(&body.record).ok()?, simple_decompress(&body.row).ok()?);
        (record.len() == count && row.len() == count).then_some(Self { record, row, rows })
    }
}

fn numbers<T: pco::data_types::Number>(values: &[T]) -> Option<Vec<u8>> {
    simple_compress(values, &ChunkConfig::default()).ok()
}

/// Bit for bit: a NaN equals itself and −0 is not 0.
fn same(a: &Chunk, b: &Chunk) -> bool {
    let bits = |chunk: &Chunk| chunk.rows.value.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    let blank = |chunk: &Chunk| Chunk {
        rows: Rows { value: vec![0.0; chunk.rows.len()], ..chunk.rows.clone() },
        ..chunk.clone()
    };
    bits(a) == bits(b) && blank(a) == blank(b)
}

/// Runs of equal values: how many, which.
fn runs<T: Copy + PartialEq>(values: &[T]) -> Option<Vec<(u32, T)>> {
    let each = values.chunk_by(|a, b| a == b);
    each.map(|run| Some((u32::try_from(run.len()).ok()?, *run.first()?))).collect()
}

fn unroll<T: Copy>(runs: &[(u32, T)], count: usize) -> Vec<T> {
    let values = runs.iter().flat_map(|(n, value)| std::iter::repeat_n(*value, usize::try_from(*n).unwrap_or(0)));
    values.take(count).collect()
}
