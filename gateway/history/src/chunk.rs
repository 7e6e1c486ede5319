//! A chunk: the rows of one signal in one bucket, in the order of the log.
//!
//! Long chunks carry a head, so that a range need not decode what it does not touch and an aggregate need not decode
//! at all; for short ones decoding is cheaper than the head's bytes.

use watchfire_model::{Instant, Quality, Rows, SignalId, StatusCode};

use crate::bytes::{Reader, put_count, put_signed};
use crate::column::{VALUES_MAX, put_ints, put_runs, read_ints, read_runs};
use crate::floats::{put_few, put_floats, read_few, read_floats};

/// What is written. Before it, a head had all its values in full, and times were never told from it: that is still read.
const VERSION: u8 = 2;
const FULL_HEADS: u8 = 1;
/// From so many rows on a chunk has a head.
const HEAD_FROM_ROWS: usize = 128;

const HAS_HEAD: u8 = 1;
const HAS_STATUS: u8 = 2;
const HAS_QUALITY: u8 = 4;
const HAS_SKEW: u8 = 8;
const HAS_EXACT: u8 = 16;
const HAS_TEXT: u8 = 32;

/// Rows of one signal.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chunk(pub Rows);

/// What can be known of a chunk without decoding it. Values are those of rows that are not bad and hold a number; NaN
/// where there is none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Head {
    /// The earliest time.
    pub earliest: Instant,
    /// The latest time.
    pub latest: Instant,
    /// The least value.
    pub min: f64,
    /// The greatest value.
    pub max: f64,
    /// The value at the earliest time.
    pub first: f64,
    /// The value at the latest time.
    pub last: f64,
    /// The sum of the values.
    pub sum: f64,
    /// Rows with a good status.
    pub good: usize,
    /// Rows with a bad status.
    pub bad: usize,
}

impl Chunk {
    /// The chunk's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let parts = self.parts();
        let mut out = vec![VERSION, parts];
        put_count(self.0.time.len(), &mut out);
        let mut origin = 0;
        if parts & HAS_HEAD != 0 {
            let head = self.head();
            head.put(&mut out);
            origin = head.earliest.ns();
        }
        put_ints(&self.0.time.iter().map(|time| time.ns().wrapping_sub(origin)).collect::<Vec<_>>(), &mut out);
        put_floats(&self.0.value, &mut out);
        if parts & HAS_STATUS != 0 {
            put_runs(self.0.status.iter().map(|status| u64::from(status.0)), &mut out);
        }
        if parts & HAS_QUALITY != 0 {
            put_runs(self.0.quality.iter().map(|quality| u64::from(quality.0)), &mut out);
        }
        put_ints(&self.0.skew_ns, &mut out);
        if parts & HAS_EXACT != 0 {
            put_count(self.0.exact.len(), &mut out);
            put_ints(&self.0.exact.iter().map(|(row, _)| i64::from(*row)).collect::<Vec<_>>(), &mut out);
            put_ints(&self.0.exact.iter().map(|(_, bits)| *bits).collect::<Vec<_>>(), &mut out);
        }
        if parts & HAS_TEXT != 0 {
            put_count(self.0.text.len(), &mut out);
            put_ints(&self.0.text.iter().map(|(row, _)| i64::from(*row)).collect::<Vec<_>>(), &mut out);
            for (_, text) in &self.0.text {
                put_count(text.len(), &mut out);
                out.extend(text.as_bytes());
            }
        }
        out
    }

    fn parts(&self) -> u8 {
        let part = |has: bool, bit: u8| if has { bit } else { 0 };
        part(self.0.time.len() >= HEAD_FROM_ROWS, HAS_HEAD)
            | part(self.0.status.iter().any(|status| *status != StatusCode::GOOD), HAS_STATUS)
            | part(self.0.quality.iter().any(|quality| *quality != Quality::NONE), HAS_QUALITY)
            | part(!self.0.skew_ns.is_empty(), HAS_SKEW)
            | part(!self.0.exact.is_empty(), HAS_EXACT)
            | part(!self.0.text.is_empty(), HAS_TEXT)
    }

    /// Reads a signal's chunk; `None` when the bytes are none.
    pub fn decode(signal: SignalId, bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let (version, parts, n) = begin(&mut reader)?;
        let mut origin = 0;
        if parts & HAS_HEAD != 0 {
            let head = Head::read(&mut reader, version)?;
            origin = if version == FULL_HEADS { 0 } else { head.earliest.ns() };
        }
        let times = read_ints(&mut reader, n)?.into_iter();
        let time = times.map(|time| Instant::from_ns(time.wrapping_add(origin))).collect();
        let value = read_floats(&mut reader, n)?;
        let status = if parts & HAS_STATUS != 0 {
            let each = read_runs(&mut reader, n)?.into_iter();
            each.map(|status| u32::try_from(status).ok().map(StatusCode)).collect::<Option<_>>()?
        } else {
            vec![StatusCode::GOOD; n]
        };
        let quality = if parts & HAS_QUALITY != 0 {
            let each = read_runs(&mut reader, n)?.into_iter();
            each.map(|quality| u8::try_from(quality).ok().map(Quality)).collect::<Option<_>>()?
        } else {
            vec![Quality::NONE; n]
        };
        let skew_ns = if parts & HAS_SKEW != 0 { read_ints(&mut reader, n)? } else { Vec::new() };
        let exact = if parts & HAS_EXACT != 0 {
            let rows = sparse_rows(&mut reader, n)?;
            let bits = read_ints(&mut reader, rows.len())?;
            rows.into_iter().zip(bits).collect()
        } else {
            Vec::new()
        };
        let text = if parts & HAS_TEXT != 0 {
            let rows = sparse_rows(&mut reader, n)?;
            rows.into_iter().map(|row| Some((row, read_text(&mut reader)?))).collect::<Option<_>>()?
        } else {
            Vec::new()
        };
        let signal = vec![signal; n];
        reader.0.is_empty().then_some(Self(Rows { signal, time, value, status, quality, skew_ns, exact, text }))
    }

    /// Reads a chunk's head only; `None` when it has none.
    pub fn decode_head(bytes: &[u8]) -> Option<Head> {
        let mut reader = Reader(bytes);
        let (version, parts, _) = begin(&mut reader)?;
        if parts & HAS_HEAD != 0 { Head::read(&mut reader, version) } else { None }
    }

    /// From when to when its rows are, and how many. Decodes a chunk only where it has no head.
    pub fn extent(signal: SignalId, bytes: &[u8]) -> Option<(Instant, Instant, usize)> {
        let (_, _, rows) = begin(&mut Reader(bytes))?;
        if let Some(head) = Self::decode_head(bytes) {
            return Some((head.earliest, head.latest, rows));
        }
        let time = Self::decode(signal, bytes)?.0.time;
        Some((*time.iter().min()?, *time.iter().max()?, rows))
    }

    /// Whether the bytes decode, and to what their head says.
    pub fn is_as_headed(signal: SignalId, bytes: &[u8]) -> bool {
        let same = |a: &Head, b: &Head| {
            let bits = |head: &Head| [head.min, head.max, head.first, head.last, head.sum].map(f64::to_bits);
            (a.earliest, a.latest, a.good, a.bad) == (b.earliest, b.latest, b.good, b.bad) && bits(a) == bits(b)
        };
        let head = Self::decode_head(bytes);
        Self::decode(signal, bytes).is_some_and(|chunk| head.is_none_or(|head| same(&head, &chunk.head())))
    }

    /// The head, from the rows.
    fn head(&self) -> Head {
        let mut head = Head {
            earliest: self.0.time.iter().copied().min().unwrap_or_default(),
            latest: self.0.time.iter().copied().max().unwrap_or_default(),
            min: f64::NAN,
            max: f64::NAN,
            first: f64::NAN,
            last: f64::NAN,
            sum: 0.0,
            good: self.0.status.iter().filter(|status| status.is_good()).count(),
            bad: self.0.status.iter().filter(|status| status.is_bad()).count(),
        };
        let (mut first, mut last) = (Instant::MAX, Instant::MIN);
        for ((time, value), status) in self.0.time.iter().zip(&self.0.value).zip(&self.0.status) {
            if status.is_bad() || value.is_nan() {
                continue;
            }
            head.min = head.min.min(*value);
            head.max = head.max.max(*value);
            head.sum += value;
            if *time < first || head.first.is_nan() {
                (first, head.first) = (*time, *value);
            }
            if *time >= last {
                (last, head.last) = (*time, *value);
            }
        }
        head
    }
}

/// The version, what there is, and of how many rows.
fn begin(reader: &mut Reader) -> Option<(u8, u8, usize)> {
    let version = reader.byte().filter(|version| [FULL_HEADS, VERSION].contains(version))?;
    let parts = reader.byte()?;
    let n = reader.count().filter(|n| *n <= VALUES_MAX)?;
    Some((version, parts, n))
}

fn sparse_rows(reader: &mut Reader, n: usize) -> Option<Vec<u32>> {
    let count = reader.count().filter(|count| *count <= n)?;
    let rows = read_ints(reader, count)?;
    rows.into_iter().map(|row| u32::try_from(row).ok().filter(|row| (*row as usize) < n)).collect()
}

fn read_text(reader: &mut Reader) -> Option<String> {
    let length = reader.count()?;
    str::from_utf8(reader.take(length)?).ok().map(str::to_owned)
}

impl Head {
    fn put(&self, out: &mut Vec<u8>) {
        put_signed(self.earliest.ns(), out);
        put_signed(self.latest.ns().wrapping_sub(self.earliest.ns()), out);
        put_few(&[self.first, self.min, self.max, self.last], out);
        out.extend(self.sum.to_bits().to_le_bytes());
        put_count(self.good, out);
        put_count(self.bad, out);
    }

    fn read(reader: &mut Reader, version: u8) -> Option<Self> {
        let earliest = reader.signed()?;
        let latest = earliest.wrapping_add(reader.signed()?);
        let value = |reader: &mut Reader| Some(f64::from_bits(u64::from_le_bytes(reader.array()?)));
        let (first, min, max, last) = if version == FULL_HEADS {
            let (min, max) = (value(reader)?, value(reader)?);
            (value(reader)?, min, max, value(reader)?)
        } else {
            let [first, min, max, last] = read_few(reader)?;
            (first, min, max, last)
        };
        let sum = value(reader)?;
        let (good, bad) = (reader.count()?, reader.count()?);
        let (earliest, latest) = (Instant::from_ns(earliest), Instant::from_ns(latest));
        Some(Self { earliest, latest, min, max, first, last, sum, good, bad })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNAL: SignalId = SignalId(5);

    #[test]
    fn a_head_says_what_the_rows_say() {
        let mut chunk = Chunk::default();
        for i in 0..200_i64 {
            let status = StatusCode(if i == 7 { 0x8000_0000 } else { 0 });
            let value = if i == 9 { f64::NAN } else { i as f64 };
            // Not in the order of time.
            chunk.0.push(SIGNAL, Instant::from_s((i * 37) % 200), value, status, Quality::NONE, 0);
        }
        let head = Chunk::decode_head(&chunk.encode()).unwrap();
        assert_eq!((head.earliest, head.latest), (Instant::from_s(0), Instant::from_s(199)));
        assert_eq!((head.min, head.max, head.first, head.last), (0.0, 199.0, 0.0, 27.0));
        assert_eq!((head.sum, head.good, head.bad), (f64::from((0..200).sum::<i32>()) - 16.0, 199, 1));
        let mut short = Chunk::default();
        short.0.push(SIGNAL, Instant::MIN, -0.0, StatusCode::GOOD, Quality::NONE, 0);
        assert_eq!(Chunk::decode_head(&short.encode()), None);
    }

    /// Values, both time stamps, statuses and types, at whole milliseconds with 10 ms of jitter.
    #[test]
    fn a_chunk_of_ten_minutes_takes_no_more_than_it_may() {
        let mut random = 1_u64;
        let mut noise = |below: i64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            i64::try_from(random >> 40).unwrap() % below
        };
        for (what, most) in [("a valve", 0.75), ("a counter", 1.1), ("a walk", 1.2), ("noise over two decimals", 1.6)] {
            for n in [512_i64, 600, 3600] {
                let mut chunk = Chunk::default();
                let mut walk = 5000;
                for s in 0..n {
                    walk += noise(11) - 5;
                    let value = match what {
                        "a valve" => f64::from(u8::from(s / 300 % 2 == 0)),
                        "a counter" => (s * 7 / 3 + noise(3)) as f64,
                        "a walk" => walk as f64 / 100.0,
                        _ => ((50.0 + 20.0 * (s as f64 / 90.0).sin()) * 100.0 + noise(100) as f64).round() / 100.0,
                    };
                    let time = Instant::from_ns((1_800_000_000_000 + s * 1000 + noise(10)) * 1_000_000);
                    chunk.0.push(SIGNAL, time, value, StatusCode::GOOD, Quality::NONE, 1_000_000);
                }
                let bytes = chunk.encode().len() as f64 / n as f64;
                println!("{what}, {n} values: {bytes:.2} bytes each");
                assert!(bytes <= most, "{what}, {n} values: {bytes:.2} bytes each");
            }
        }
    }

    #[test]
    fn a_chunk_with_a_full_head_is_still_read() {
        let mut chunk = Chunk::default();
        (0..200)
            .for_each(|i| chunk.0.push(SIGNAL, Instant::from_s(i), 0.1 * i as f64, StatusCode::GOOD, Quality::NONE, 0));
        let (head, mut old) = (chunk.head(), vec![FULL_HEADS, chunk.parts()]);
        put_count(200, &mut old);
        put_signed(head.earliest.ns(), &mut old);
        put_signed(head.latest.ns() - head.earliest.ns(), &mut old);
        for value in [head.min, head.max, head.first, head.last, head.sum] {
            old.extend(value.to_bits().to_le_bytes());
        }
        put_count(head.good, &mut old);
        put_count(head.bad, &mut old);
        put_ints(&chunk.0.time.iter().map(|time| time.ns()).collect::<Vec<_>>(), &mut old);
        put_floats(&chunk.0.value, &mut old);
        put_ints(&chunk.0.skew_ns, &mut old);
        assert!(Chunk::is_as_headed(SIGNAL, &old));
        assert_eq!(Chunk::decode_head(&old), Some(head));
        assert_eq!(Chunk::decode(SIGNAL, &old), Some(chunk));
    }

    #[test]
    fn damaged_chunks_are_refused_or_wrong_but_never_panic() {
        let mut chunk = Chunk::default();
        for i in 0..150_i64 {
            let status = StatusCode(u32::try_from(i / 50).unwrap());
            let quality = Quality(u8::from(i % 2 == 0));
            chunk.0.push(SIGNAL, Instant::from_ns(i * i), (i as f64).sqrt(), status, quality, i);
        }
        chunk.0.exact.push((3, 7));
        chunk.0.text.push((4, "four".into()));
        let bytes = chunk.encode();
        assert_eq!(Chunk::decode(SIGNAL, &bytes), Some(chunk));
        for at in 0..bytes.len() {
            assert_eq!(Chunk::decode(SIGNAL, &bytes[..at]), None);
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << (at % 8);
            drop(Chunk::decode(SIGNAL, &damaged));
        }
    }
}
