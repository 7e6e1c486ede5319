//! A data frame as bytes: its columns one after the other, what is constant or empty left out. Written once for each
//! frame on the hot path, so it packs only what costs nanoseconds; the store of record packs better, later.

use crate::packed;
use watchfire_model::{Frame, Gap, GapCause, Instant, Quality, Rows, SignalId, StatusCode};

/// How a column is stored.
const ALL_ZERO: u8 = 0;
const CONSTANT: u8 = 1;
const EACH: u8 = 2;

/// How places, times and numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As they are in memory; no longer written.
    Plain,
    /// In few bytes; see [`packed`].
    Packed,
}

/// Appends a frame's bytes. Costs 5 to 12 bytes and some 10 to 30 ns a row.
pub fn write(frame: &Frame, out: &mut Vec<u8>) {
    let rows = &frame.rows;
    out.reserve(64 + rows.len() * 12);
    out.extend(frame.now.ns().to_le_bytes());
    out.extend(frame.utc_offset_s.to_le_bytes());
    out.extend(frame.mode.to_le_bytes());
    count(rows.len(), out);
    packed::put_signals(&rows.signal, out);
    packed::put_times(&rows.time, out);
    packed::put_values(&rows.value, out);
    column(&rows.status, |status| status.0.to_le_bytes(), out);
    column(&rows.quality, |quality| [quality.0], out);
    count(rows.skew_ns.len(), out);
    rows.skew_ns.iter().for_each(|skew| out.extend(skew.to_le_bytes()));
    count(rows.exact.len(), out);
    for (row, bits) in &rows.exact {
        out.extend(row.to_le_bytes());
        out.extend(bits.to_le_bytes());
    }
    count(rows.text.len(), out);
    for (row, text) in &rows.text {
        out.extend(row.to_le_bytes());
        count(text.len(), out);
        out.extend(text.as_bytes());
    }
    count(frame.gaps.len(), out);
    for gap in &frame.gaps {
        out.push(u8::from(gap.signal.is_some()));
        out.extend(gap.signal.unwrap_or_default().0.to_le_bytes());
        out.extend(gap.since.ns().to_le_bytes());
        out.extend(gap.until.ns().to_le_bytes());
        out.push(match gap.cause {
            GapCause::SourceLost => 0,
            GapCause::Overflow => 1,
            GapCause::Skipped => 2,
            GapCause::NotRecorded => 3,
            GapCause::Imported => 4,
        });
    }
}

/// Frames are cut at a few thousand rows, far below what 32 bits count.
fn count(n: usize, out: &mut Vec<u8>) {
    out.extend(u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes());
}

fn column<T: PartialEq + Default, const N: usize>(values: &[T], bytes: impl Fn(&T) -> [u8; N], out: &mut Vec<u8>) {
    match values.first() {
        Some(first) if values.iter().all(|value| value == first) => {
            if *first == T::default() {
                out.push(ALL_ZERO);
            } else {
                out.push(CONSTANT);
                out.extend(bytes(first));
            }
        }
        None => out.push(ALL_ZERO),
        Some(_) => {
            out.push(EACH);
            values.iter().for_each(|value| out.extend(bytes(value)));
        }
    }
}

/// Reads a frame back; `None` when the bytes are no frame.
pub fn read(bytes: &[u8], form: Form) -> Option<Frame> {
    let mut input = Input(bytes);
    let now = Instant::from_ns(i64::from_le_bytes(input.array()?));
    let utc_offset_s = i32::from_le_bytes(input.array()?);
    let mode = u32::from_le_bytes(input.array()?);
    let n = input.count()?;
    let (signal, time, value) = match form {
        Form::Plain => (
            input.each(n, |b: [u8; 4]| SignalId(u32::from_le_bytes(b)))?,
            input.each(n, |b: [u8; 8]| Instant::from_ns(i64::from_le_bytes(b)))?,
            input.each(n, |b: [u8; 8]| f64::from_bits(u64::from_le_bytes(b)))?,
        ),
        Form::Packed => (
            packed::read_signals(&mut input.0, n)?,
            packed::read_times(&mut input.0, n)?,
            packed::read_values(&mut input.0, n)?,
        ),
    };
    let rows = Rows {
        signal,
        time,
        value,
        status: input.column(n, |b: [u8; 4]| StatusCode(u32::from_le_bytes(b)))?,
        quality: input.column(n, |[b]: [u8; 1]| Quality(b))?,
        skew_ns: {
            let n = input.count()?;
            input.each(n, i64::from_le_bytes)?
        },
        exact: {
            let n = input.count()?;
            input.each(n, |b: [u8; 12]| {
                let [r0, r1, r2, r3, rest @ ..] = b;
                (u32::from_le_bytes([r0, r1, r2, r3]), i64::from_le_bytes(rest))
            })?
        },
        text: input.text()?,
    };
    rows.check().ok()?;
    let gaps = input.gaps()?;
    input.0.is_empty().then_some(Frame { now, utc_offset_s, mode, rows, gaps })
}

struct Input<'b>(&'b [u8]);

impl<'b> Input<'b> {
    fn take(&mut self, n: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn count(&mut self) -> Option<usize> {
        usize::try_from(u32::from_le_bytes(self.array()?)).ok()
    }

    fn each<T, const N: usize>(&mut self, n: usize, value: impl Fn([u8; N]) -> T) -> Option<Vec<T>> {
        let (whole, _) = self.take(n.checked_mul(N)?)?.as_chunks::<N>();
        Some(whole.iter().map(|bytes| value(*bytes)).collect())
    }

    fn column<T: Clone + Default, const N: usize>(&mut self, n: usize, value: impl Fn([u8; N]) -> T) -> Option<Vec<T>> {
        let [form] = self.array()?;
        match form {
            ALL_ZERO => Some(vec![T::default(); n]),
            CONSTANT => Some(vec![value(self.array()?); n]),
            EACH => self.each(n, value),
            _ => None,
        }
    }

    fn text(&mut self) -> Option<Vec<(u32, String)>> {
        let n = self.count()?;
        let mut texts = Vec::new();
        for _ in 0..n {
            let row = u32::from_le_bytes(self.array()?);
            let length = self.count()?;
            texts.push((row, str::from_utf8(self.take(length)?).ok()?.to_owned()));
        }
        Some(texts)
    }

    fn gaps(&mut self) -> Option<Vec<Gap>> {
        let n = self.count()?;
        let mut gaps = Vec::new();
        for _ in 0..n {
            let [known] = self.array()?;
            let signal = SignalId(u32::from_le_bytes(self.array()?));
            let since = Instant::from_ns(i64::from_le_bytes(self.array()?));
            let until = Instant::from_ns(i64::from_le_bytes(self.array()?));
            let [cause] = self.array()?;
            let cause = match cause {
                0 => GapCause::SourceLost,
                1 => GapCause::Overflow,
                2 => GapCause::Skipped,
                3 => GapCause::NotRecorded,
                4 => GapCause::Imported,
                _ => return None,
            };
            gaps.push(Gap { signal: (known == 1).then_some(signal), since, until, cause });
        }
        Some(gaps)
    }
}
