//! A bucket: a run of records, turned into one chunk a signal and a table of its frames, and back into the same frames.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use watchfire_model::{Frame, Gap, Instant, Lsn, Quality, Record, RecordBody, Rows, SignalId, StatusCode};

use crate::chunk::Chunk;

/// A frame without its samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct FrameHead {
    record: u32,
    now: Instant,
    utc_offset_s: i32,
    mode: u32,
    rows: u32,
    gaps: Vec<Gap>,
}

/// The frames of a bucket, without their samples.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Table {
    frames: Vec<FrameHead>,
}

/// A bucket ready to be stored.
#[derive(Debug, Default)]
pub struct Bucket {
    /// Its frames.
    pub table: Table,
    /// Its samples by signal.
    pub chunks: BTreeMap<SignalId, Chunk>,
    /// The earliest source time in it, if it has samples.
    pub time_min: Option<Instant>,
    /// The latest.
    pub time_max: Option<Instant>,
}

impl Bucket {
    /// Turns records into a bucket; `None` for a run too long to count.
    pub fn gather(first: Lsn, records: &[Record]) -> Option<Self> {
        let mut bucket = Self::default();
        for record in records {
            if let RecordBody::Data(frame) = &record.body {
                bucket.add(u32::try_from(record.lsn.0.checked_sub(first.0)?).ok()?, frame)?;
            }
        }
        Some(bucket)
    }

    fn add(&mut self, record: u32, frame: &Frame) -> Option<()> {
        let rows = &frame.rows;
        self.table.frames.push(FrameHead {
            record,
            now: frame.now,
            utc_offset_s: frame.utc_offset_s,
            mode: frame.mode,
            rows: u32::try_from(rows.len()).ok()?,
            gaps: frame.gaps.clone(),
        });
        for (row, number) in (0..rows.len()).zip(0_u32..) {
            let time = *rows.time.get(row)?;
            self.time_min = Some(self.time_min.map_or(time, |min| min.min(time)));
            self.time_max = Some(self.time_max.map_or(time, |max| max.max(time)));
            let chunk = self.chunks.entry(*rows.signal.get(row)?).or_default();
            chunk.record.push(record);
            chunk.row.push(number);
            chunk.rows.push_row(rows, row);
        }
        Some(())
    }
}

impl Table {
    /// The frames with their samples put back where they were; `None` when chunks and table do not fit.
    pub fn rebuild(&self, first: Lsn, chunks: &[Chunk]) -> Option<Vec<Record>> {
        let mut frames: BTreeMap<u32, Frame> = BTreeMap::new();
        for head in &self.frames {
            let rows = blank(usize::try_from(head.rows).ok()?);
            let (utc_offset_s, mode, gaps) = (head.utc_offset_s, head.mode, head.gaps.clone());
            frames.insert(head.record, Frame { now: head.now, utc_offset_s, mode, rows, gaps });
        }
        let mut filled = 0_usize;
        for chunk in chunks {
            for (at, (record, row)) in chunk.record.iter().zip(&chunk.row).enumerate() {
                place(&chunk.rows, at, &mut frames.get_mut(record)?.rows, *row)?;
                filled += 1;
            }
        }
        let wanted: usize = frames.values().map(|frame| frame.rows.len()).sum();
        if wanted != filled {
            return None;
        }
        let each = frames.into_iter().map(|(record, mut frame)| {
            frame.rows.exact.sort_unstable_by_key(|(row, _)| *row);
            frame.rows.text.sort_unstable_by_key(|(row, _)| *row);
            Record { lsn: Lsn(first.0 + u64::from(record)), body: RecordBody::Data(frame) }
        });
        Some(each.collect())
    }
}

fn blank(n: usize) -> Rows {
    Rows {
        signal: vec![SignalId(0); n],
        time: vec![Instant::default(); n],
        value: vec![0.0; n],
        status: vec![StatusCode::GOOD; n],
        quality: vec![Quality::NONE; n],
        ..Rows::default()
    }
}

/// Puts a chunk's row at its place in a frame.
fn place(from: &Rows, at: usize, to: &mut Rows, row: u32) -> Option<()> {
    let here = usize::try_from(row).ok()?;
    *to.signal.get_mut(here)? = *from.signal.get(at)?;
    *to.time.get_mut(here)? = *from.time.get(at)?;
    *to.value.get_mut(here)? = *from.value.get(at)?;
    *to.status.get_mut(here)? = *from.status.get(at)?;
    *to.quality.get_mut(here)? = *from.quality.get(at)?;
    let skew = from.skew_ns_at(at);
    if skew != 0 {
        if to.skew_ns.is_empty() {
            to.skew_ns = vec![0; to.signal.len()];
        }
        *to.skew_ns.get_mut(here)? = skew;
    }
    if let Some(bits) = from.exact_at(at) {
        to.exact.push((row, bits));
    }
    if let Some(text) = from.text_at(at) {
        to.text.push((row, text.to_owned()));
    }
    Some(())
}
