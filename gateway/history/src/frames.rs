//! The table of a bucket's frames: everything of them but rows and gaps, and in which order the rows of the signals came.
//! With it the frames are put together again exactly.
//!
//! The order is stored as surprises: a row of the signal that came after the same one last time is a 0. Servers sample
//! in a fixed order, so there are few others; and one such column for all signals costs less than two in each chunk. Where
//! each message has some of the signals, others each time, what comes next is near by instead.

use watchfire_model::{Frame, Gap, Instant, Lsn};

use crate::bytes::{Reader, put_count, put_varint};
use crate::column::{VALUES_MAX, put_ints, put_runs, read_ints, read_runs};
use crate::packing::{put_steps, read_steps, steps_bits};

const VERSION: u8 = 3;
/// The order was one column,
const ONE_COLUMN: u8 = 1;
/// or a column for each block.
const COLUMNS: u8 = 2;

/// A block of the order is a column.
const EACH: u8 = 0;
/// It is its surprises, each with how many rows before it were none.
const FEW: u8 = 1;
/// It is how far behind the next rank after the one before each rank is.
const STEPS: u8 = 2;
/// So many rows to a surprise make them few.
const FEW_FROM: usize = 8;
/// A rank as a step has so many bits at the most, or a column of surprises takes less.
const STEP_BITS_MAX: u64 = 12;
/// Rows whose order is one column: packing it takes eight times its memory.
const BLOCK_ROWS: usize = 1 << 16;

/// A frame without its rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// Its place.
    pub lsn: Lsn,
    /// The frame, its rows empty.
    pub frame: Frame,
    /// How many rows it has.
    pub rows: usize,
    /// Whether it has a column of skews.
    pub has_skew: bool,
}

/// The table's bytes. `order` has the rank of each row's signal among the bucket's signals. Gaps lie elsewhere.
pub fn encode(frames: &[Shape], order: &[u32]) -> Vec<u8> {
    table(frames, order, &[])
}

/// As layout 2 had it, with gaps.
#[cfg(test)]
pub fn encode_with_gaps(frames: &[Shape], order: &[u32]) -> Vec<u8> {
    let gaps = frames.iter().map(|shape| &shape.frame.gaps).enumerate().filter(|(_, gaps)| !gaps.is_empty());
    table(frames, order, &gaps.collect::<Vec<_>>())
}

fn table(frames: &[Shape], order: &[u32], gaps: &[(usize, &Vec<Gap>)]) -> Vec<u8> {
    let mut out = vec![VERSION];
    put_count(frames.len(), &mut out);
    put_ints(&frames.iter().map(|shape| shape.lsn.0 as i64).collect::<Vec<_>>(), &mut out);
    put_ints(&frames.iter().map(|shape| shape.frame.now.ns()).collect::<Vec<_>>(), &mut out);
    put_runs(frames.iter().map(|shape| u64::from(shape.frame.utc_offset_s as u32)), &mut out);
    put_runs(frames.iter().map(|shape| u64::from(shape.frame.mode)), &mut out);
    put_ints(&frames.iter().map(|shape| shape.rows as i64).collect::<Vec<_>>(), &mut out);
    put_runs(frames.iter().map(|shape| u64::from(shape.has_skew)), &mut out);
    put_count(gaps.len(), &mut out);
    for (at, gaps) in gaps {
        put_count(*at, &mut out);
        // Writing to memory cannot fail, and nothing in a gap is of unknown length.
        let encoded = postcard::to_stdvec(gaps).unwrap_or_default();
        put_count(encoded.len(), &mut out);
        out.extend(encoded);
    }
    let (mut habit, mut surprises) = (Habit::default(), Vec::new());
    for block in order.chunks(BLOCK_ROWS) {
        let before = habit.last;
        surprises.clear();
        surprises.extend(block.iter().map(|rank| habit.surprise(*rank)));
        put_block(&surprises, block, before, &mut out);
    }
    out
}

/// Surprises by themselves where they are few, else steps where those are small.
fn put_block(surprises: &[i64], ranks: &[u32], before: u32, out: &mut Vec<u8>) {
    let few = surprises.iter().filter(|surprise| **surprise != 0).count();
    if few * FEW_FROM > surprises.len() {
        let lasts = std::iter::once(&before).chain(ranks);
        let steps: Vec<u32> = ranks.iter().zip(lasts).map(|(rank, last)| rank.wrapping_sub(last + 1)).collect();
        if steps_bits(&steps) < STEP_BITS_MAX * steps.len() as u64 {
            out.push(STEPS);
            put_steps(&steps, out);
        } else {
            out.push(EACH);
            put_ints(surprises, out);
        }
        return;
    }
    out.push(FEW);
    put_count(few, out);
    let mut before = 0;
    for surprise in surprises {
        if *surprise == 0 {
            before += 1;
        } else {
            put_count(before, out);
            put_varint(*surprise as u64, out);
            before = 0;
        }
    }
}

/// Appends the ranks of a block.
fn read_block(reader: &mut Reader, rows: usize, habit: &mut Habit, order: &mut Vec<u32>) -> Option<()> {
    let surprises = match reader.byte()? {
        EACH => read_ints(reader, rows)?,
        STEPS => {
            for step in read_steps(reader, rows)? {
                let rank = habit.last.wrapping_add(1).wrapping_add(step);
                order.push(habit.took(rank)?);
            }
            return Some(());
        }
        FEW => {
            let mut surprises = vec![0; rows];
            let mut next = 0_usize;
            for _ in 0..reader.count()? {
                next = next.checked_add(reader.count()?)?;
                *surprises.get_mut(next)? = reader.varint()? as i64;
                next += 1;
            }
            surprises
        }
        _ => return None,
    };
    surprises.into_iter().try_for_each(|surprise| {
        order.push(habit.rank(surprise)?);
        Some(())
    })
}

/// Reads a table; `None` when the bytes are none.
pub fn decode(bytes: &[u8]) -> Option<(Vec<Shape>, Vec<u32>)> {
    let mut reader = Reader(bytes);
    let version = reader.byte().filter(|version| [ONE_COLUMN, COLUMNS, VERSION].contains(version))?;
    let n = reader.count().filter(|n| *n <= VALUES_MAX)?;
    let lsns = read_ints(&mut reader, n)?;
    let nows = read_ints(&mut reader, n)?;
    let offsets = read_runs(&mut reader, n)?;
    let modes = read_runs(&mut reader, n)?;
    let rows = read_ints(&mut reader, n)?;
    let skews = read_runs(&mut reader, n)?;
    let mut shapes = Vec::with_capacity(n);
    for (((((lsn, now), offset), mode), rows), skew) in
        lsns.into_iter().zip(nows).zip(offsets).zip(modes).zip(rows).zip(skews)
    {
        let frame = Frame {
            now: Instant::from_ns(now),
            utc_offset_s: u32::try_from(offset).ok()? as i32,
            mode: u32::try_from(mode).ok()?,
            ..Frame::default()
        };
        let rows = usize::try_from(rows).ok().filter(|rows| *rows <= VALUES_MAX)?;
        shapes.push(Shape { lsn: Lsn(lsn as u64), frame, rows, has_skew: skew != 0 });
    }
    for _ in 0..reader.count()? {
        let at = reader.count()?;
        let length = reader.count()?;
        shapes.get_mut(at)?.frame.gaps = postcard::from_bytes(reader.take(length)?).ok()?;
    }
    let total = shapes.iter().map(|shape| shape.rows).sum();
    let (mut order, mut habit) = (Vec::new(), Habit::default());
    while order.len() < total {
        let left = total - order.len();
        let block = if version == ONE_COLUMN { left } else { left.min(BLOCK_ROWS) };
        if version == VERSION {
            read_block(&mut reader, block, &mut habit, &mut order)?;
            continue;
        }
        for surprise in read_ints(&mut reader, block)? {
            order.push(habit.rank(surprise)?);
        }
    }
    reader.0.is_empty().then_some((shapes, order))
}

/// Which rank came after each rank the last time; learned the same way when written and when read.
#[derive(Default)]
struct Habit {
    after: Vec<u32>,
    last: u32,
}

impl Habit {
    fn expected(&self) -> Option<u32> {
        self.after.get(self.last as usize).copied().filter(|rank| *rank != u32::MAX)
    }

    fn learn(&mut self, rank: u32) {
        let last = self.last as usize;
        if self.after.len() <= last {
            self.after.resize(last + 1, u32::MAX);
        }
        if let Some(after) = self.after.get_mut(last) {
            *after = rank;
        }
        self.last = rank;
    }

    fn surprise(&mut self, rank: u32) -> i64 {
        let surprise = if self.expected() == Some(rank) { 0 } else { i64::from(rank) + 1 };
        self.learn(rank);
        surprise
    }

    fn rank(&mut self, surprise: i64) -> Option<u32> {
        let rank = match surprise {
            0 => self.expected()?,
            other => u32::try_from(other - 1).ok()?,
        };
        self.took(rank)
    }

    /// Learns a rank that was read, if it can be one.
    fn took(&mut self, rank: u32) -> Option<u32> {
        if rank as usize >= VALUES_MAX {
            return None;
        }
        self.learn(rank);
        Some(rank)
    }
}

#[cfg(test)]
mod tests {
    use watchfire_model::GapCause;

    use super::*;

    #[test]
    fn a_table_gives_frames_and_order_back() {
        let gap = Gap { signal: None, since: Instant::MIN, until: Instant::MAX, cause: GapCause::NotRecorded };
        let first =
            Frame { now: Instant::MIN, utc_offset_s: -3600, mode: u32::MAX, gaps: vec![gap; 2], ..Frame::default() };
        let second = Frame { now: Instant::MAX, ..Frame::default() };
        let made = [
            Shape { lsn: Lsn(5), frame: first, rows: 3, has_skew: true },
            Shape { lsn: Lsn(u64::MAX), frame: second, rows: 0, has_skew: false },
        ];
        let bytes = encode_with_gaps(&made, &[2, 0, 2]);
        let (shapes, order) = decode(&bytes).unwrap();
        assert_eq!(order, [2, 0, 2]);
        assert_eq!(shapes, made);
        for at in 0..bytes.len() {
            assert_eq!(decode(&bytes[..at]), None);
        }
    }

    #[test]
    fn an_order_of_several_blocks_is_given_back_and_so_is_one_of_one_column() {
        let order: Vec<u32> = (0..150_000_u32).map(|i| if i % 1000 == 7 { i % 13 } else { i % 50 }).collect();
        let shape = Shape { lsn: Lsn(1), frame: Frame::default(), rows: order.len(), has_skew: false };
        let bytes = encode(std::slice::from_ref(&shape), &order);
        assert_eq!(decode(&bytes), Some((vec![shape.clone()], order.clone())));
        for (version, rows) in [(ONE_COLUMN, 100), (COLUMNS, order.len())] {
            let shape = Shape { lsn: Lsn(1), frame: Frame::default(), rows, has_skew: false };
            let mut old = encode(std::slice::from_ref(&shape), &[]);
            old[0] = version;
            let mut habit = Habit::default();
            for block in order[..rows].chunks(BLOCK_ROWS) {
                put_ints(&block.iter().map(|rank| habit.surprise(*rank)).collect::<Vec<_>>(), &mut old);
            }
            assert_eq!(decode(&old), Some((vec![shape], order[..rows].to_vec())));
        }
    }

    #[test]
    fn an_order_without_habits_is_given_back_too_and_costs_no_more_than_its_ranks() {
        let order: Vec<u32> = (0..70_000_u64).map(|i| ((i * i * 2_654_435_761) >> 13) as u32 % 50_000).collect();
        let shape = Shape { lsn: Lsn(1), frame: Frame::default(), rows: order.len(), has_skew: false };
        let bytes = encode(std::slice::from_ref(&shape), &order);
        assert!(bytes.len() < order.len() * 9 / 4, "{} bytes", bytes.len());
        assert_eq!(decode(&bytes), Some((vec![shape], order)));
    }

    #[test]
    fn messages_that_have_others_of_the_signals_each_time_cost_some_bits_a_row() {
        // Each fifth of them in turn, by chance.
        let chance = |i: u32, turn: u32| (i ^ turn.wrapping_mul(0x9e37_79b9)).wrapping_mul(2_654_435_761) >> 16;
        let message = |turn: u32| (0..10_000_u32).filter(move |i| chance(*i, turn / 5) % 5 == turn % 5);
        let order: Vec<u32> = (0..60).flat_map(message).collect();
        let shape = Shape { lsn: Lsn(1), frame: Frame::default(), rows: order.len(), has_skew: false };
        let bytes = encode(std::slice::from_ref(&shape), &order);
        assert!(bytes.len() < order.len() * 5 / 8, "{} bytes", bytes.len());
        assert_eq!(decode(&bytes), Some((vec![shape], order)));
    }

    #[test]
    fn rows_that_come_in_a_fixed_order_cost_nothing() {
        let order: Vec<u32> = (0..30_000).map(|i| i % 30).collect();
        assert!(encode(&[], &order).len() < 200);
    }
}
