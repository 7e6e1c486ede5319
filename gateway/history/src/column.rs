//! Columns of integers: what is a line is stored as one, the rest as its distance from the line or from the value
//! before, in the largest unit that divides it, packed by bits or digits where that is as good, else by `pco`.
//!
//! All arithmetic wraps, so that every column of any 64-bit integers is given back exactly. Decoding believes nothing,
//! save the number of values, which the caller bounds.

use std::cell::RefCell;

use pco::data_types::Number;
use pco::wrapped::{FileCompressor, FileDecompressor};
use pco::{ChunkConfig, DeltaSpec, ModeSpec};

use crate::bytes::{Reader, put_count, put_signed, put_varint, unzigzag, zigzag};
use crate::packing::{digits_bytes, pack, put_digits, read_digits, unpack};

/// More values than one bucket can hold; a longer column is damage.
pub const VALUES_MAX: usize = 1 << 28;

/// Every value is the one after `step` from the first.
const LINE: u8 = 0;
/// Distances from the line, packed by bits.
const LINE_PACKED: u8 = 1;
/// Distances from the line, by pco.
const LINE_PCO: u8 = 2;
/// Differences less the step, packed by bits.
const DELTA_PACKED: u8 = 3;
/// Differences less the step, by pco.
const DELTA_PCO: u8 = 4;

/// Distances from the line, as digits of words.
const LINE_DIGITS: u8 = 5;
/// Differences less the step, as digits of words.
const DELTA_DIGITS: u8 = 6;

/// Distances from the line in as many bits as most need, and what is more of the others beside.
const LINE_PATCHED: u8 = 7;
/// Differences less the step, in the same way.
const DELTA_PATCHED: u8 = 8;

/// Fewer values are patched rather than given to pco, whose own set-up was a fifth of what sealing them cost.
const PCO_FROM: usize = 128;
/// What pco's own header costs, bits, roughly.
const PCO_HEAD_BITS: u64 = 200;

/// Columns of so many values are worked on in memory that is kept from one to the next.
const KEPT_VALUES: usize = 4096;

/// Differences of which the middle one is taken for the middle of all.
const SOME_DELTAS: usize = 15;

thread_local! {
    static KEPT: RefCell<Work> = RefCell::default();
}

/// What a column is worked on in.
#[derive(Default)]
struct Work {
    /// Each value's steps from the first.
    steps: Vec<i64>,
    /// How far each is from the line between the ends.
    sloped: Vec<i64>,
    /// How far each difference is from the middle one.
    deltas: Vec<i64>,
    /// What is packed.
    above: Vec<u64>,
}

/// Appends a column of integers. Costs 5 to 200 ns a value.
pub fn put_ints(values: &[i64], out: &mut Vec<u8>) {
    if values.len() <= KEPT_VALUES {
        KEPT.with_borrow_mut(|work| put_by(work, values, out));
    } else {
        put_by(&mut Work::default(), values, out);
    }
}

fn put_by(work: &mut Work, values: &[i64], out: &mut Vec<u8>) {
    let (Some(first), Some(last)) = (values.first(), values.last()) else { return };
    let Work { steps, sloped, deltas, above } = work;
    let unit = count_steps(values, *first, steps);
    let intervals = i64::try_from(values.len() - 1).unwrap_or(i64::MAX).max(1);
    let rise = last.wrapping_sub(*first) / unit;
    // The nearest: cut off, the last value's jitter alone would tilt the line by a whole unit a value.
    let slope = rise.wrapping_add(intervals / 2 * rise.signum()) / intervals;
    sloped.clear();
    sloped.extend(steps.iter().zip(0_i64..).map(|(step, i)| step.wrapping_sub(slope.wrapping_mul(i))));
    let sloped_bits = bits(sloped);
    if sloped_bits == 0 {
        put_line(LINE, *first, unit, slope, out);
        return;
    }
    // Off a line that is level each is its steps.
    let flat_bits = if slope == 0 { u64::MAX } else { bits(steps) };
    // A gap bends the line between the ends, but leaves most differences alone.
    let step = middle_of_deltas(steps, deltas);
    let delta_bits = bits(deltas);
    const LINES: [u8; 4] = [LINE_PACKED, LINE_DIGITS, LINE_PCO, LINE_PATCHED];
    const DELTAS: [u8; 4] = [DELTA_PACKED, DELTA_DIGITS, DELTA_PCO, DELTA_PATCHED];
    let ([packed, as_digits, pcoed, patched], slope, distances, least_bits) = if delta_bits < sloped_bits.min(flat_bits)
    {
        (DELTAS, step, deltas, delta_bits)
    } else if flat_bits < sloped_bits {
        (LINES, 0, steps, flat_bits)
    } else {
        (LINES, slope, sloped, sloped_bits)
    };
    let least = distances.iter().copied().min().unwrap_or_default();
    above.clear();
    above.extend(distances.iter().map(|distance| distance.wrapping_sub(least) as u64));
    let most = above.iter().copied().max().unwrap_or_default();
    let width = u64::BITS - most.leading_zeros();
    let plain_bits = u64::from(width) * above.len() as u64;
    let is_uneven = plain_bits > least_bits * 3 / 2 + PCO_HEAD_BITS;
    if is_uneven && distances.len() < PCO_FROM {
        above.clear();
        above.extend(distances.iter().map(|distance| zigzag(*distance)));
        put_line(patched, *first, unit, slope, out);
        put_patched(above, out);
        return;
    }
    let by_pco = if is_uneven { pco_ints(above, width) } else { None };
    match by_pco.filter(|encoded| encoded.len() as u64 * 8 < plain_bits) {
        Some(encoded) => {
            put_line(pcoed, *first, unit, slope, out);
            put_signed(least, out);
            out.push(width as u8);
            put_count(encoded.len(), out);
            out.extend(encoded);
        }
        // One byte less would not pay for the base.
        None if most < 1 << 31 && digits_bytes(above.len(), most + 1, width) + 4 < plain_bits.div_ceil(8) as usize => {
            put_line(as_digits, *first, unit, slope, out);
            put_signed(least, out);
            out.push(width as u8);
            put_varint(most + 1, out);
            put_digits(above, most + 1, width, out);
        }
        None => {
            put_line(packed, *first, unit, slope, out);
            put_signed(least, out);
            out.push(width as u8);
            pack(above, width, out);
        }
    }
}

/// Fewer than 256 numbers: the lowest bits of each, then what the greater ones have above those, with their places.
fn put_patched(values: &mut [u64], out: &mut Vec<u8>) {
    let mut by_bits = [0_u64; 65];
    for value in &*values {
        let bits = (u64::BITS - value.leading_zeros()) as usize;
        by_bits.get_mut(bits).into_iter().for_each(|count| *count += 1);
    }
    let used: Vec<(u64, u64)> = (0..).zip(by_bits).filter(|(_, count)| *count > 0).collect();
    let cost = |width: &u64| {
        let more = |(bits, count): &(u64, u64)| count * (8 + 8 * (bits - width).div_ceil(7));
        values.len() as u64 * width + used.iter().filter(|(bits, _)| bits > width).map(more).sum::<u64>()
    };
    let widest = used.last().map_or(0, |(bits, _)| *bits);
    let width = (0..=widest).min_by_key(cost).unwrap_or_default() as u32;
    let above = |value: u64| value.checked_shr(width).unwrap_or_default();
    let beyond: Vec<(u8, u64)> =
        (0_u8..=u8::MAX).zip(values.iter().map(|value| above(*value))).filter(|(_, more)| *more > 0).collect();
    let mask = 1_u64.checked_shl(width).map_or(u64::MAX, |beyond| beyond - 1);
    values.iter_mut().for_each(|value| *value &= mask);
    out.push(width as u8);
    pack(values, width, out);
    out.push(beyond.len() as u8);
    for (place, more) in beyond {
        out.push(place);
        put_varint(more, out);
    }
}

fn read_patched(reader: &mut Reader, count: usize) -> Option<Vec<u64>> {
    let width = u32::from(reader.byte()?);
    if width > u64::BITS || count >= 256 {
        return None;
    }
    let mut values = unpack(reader, width, count)?;
    for _ in 0..reader.byte()? {
        let place = usize::from(reader.byte()?);
        let more = reader.varint()?.checked_shl(width).unwrap_or_default();
        *values.get_mut(place)? |= more;
    }
    Some(values)
}

fn put_line(form: u8, first: i64, unit: i64, slope: i64, out: &mut Vec<u8>) {
    out.push(form);
    put_signed(first, out);
    put_signed(unit, out);
    put_signed(slope, out);
}

/// About the middle difference; how far each is from it is put into `deltas`.
fn middle_of_deltas(steps: &[i64], deltas: &mut Vec<i64>) -> i64 {
    deltas.clear();
    deltas.extend(steps.iter().zip(steps.iter().skip(1)).map(|(before, after)| after.wrapping_sub(*before)));
    // Of some, spread over all: nothing that is packed rests on its being the very middle one.
    let (mut some, apart) = ([0_i64; SOME_DELTAS], deltas.len().div_ceil(SOME_DELTAS).max(1));
    some.iter_mut().zip(deltas.iter().step_by(apart)).for_each(|(slot, delta)| *slot = *delta);
    let count = deltas.len().div_ceil(apart);
    let some = some.get_mut(..count).unwrap_or_default();
    some.sort_unstable();
    let middle = some.get(count / 2).copied().unwrap_or_default();
    deltas.iter_mut().for_each(|delta| *delta = delta.wrapping_sub(middle));
    middle
}

/// Puts into `steps` how far each value stands from the first, and answers in which unit: the largest in which each
/// stands a whole number of steps away.
fn count_steps(values: &[i64], first: i64, steps: &mut Vec<i64>) -> i64 {
    let mut unit = Divisor::of(1);
    let mut greatest = 0_u64;
    for value in values {
        let mut other = value.wrapping_sub(first).unsigned_abs();
        if greatest != 0 && unit.quotient(other).is_some() {
            continue;
        }
        while other != 0 {
            (greatest, other) = (other, greatest % other);
        }
        if greatest == 1 {
            break;
        }
        unit = Divisor::of(greatest.max(1));
    }
    let whole = i64::try_from(greatest).unwrap_or(1).max(1);
    steps.clear();
    if whole == 1 {
        steps.extend(values.iter().map(|value| value.wrapping_sub(first)));
    } else {
        steps.extend(values.iter().map(|value| {
            let distance = value.wrapping_sub(first);
            let steps = unit.quotient(distance.unsigned_abs()).unwrap_or_default() as i64;
            if distance < 0 { -steps } else { steps }
        }));
    }
    whole
}

/// A number by which others are divided where that leaves nothing: by one multiplication.
struct Divisor {
    /// Of its odd part, modulo 2^64.
    inverse: u64,
    /// How often it is divisible by two.
    twos: u32,
    /// How often it is contained in 64 bits.
    most: u64,
}

impl Divisor {
    /// Of a number that is not zero.
    fn of(number: u64) -> Self {
        let twos = number.trailing_zeros();
        let odd = number.checked_shr(twos).unwrap_or(1);
        // Right in its last three bits; each step doubles how many are.
        let inverse = (0..5).fold(odd, |near: u64, _| near.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(near))));
        Self { inverse, twos, most: u64::MAX / number.max(1) }
    }

    /// How often it is contained in a number; `None` where something is left.
    fn quotient(&self, number: u64) -> Option<u64> {
        let quotient = number.wrapping_mul(self.inverse).rotate_right(self.twos);
        (quotient <= self.most).then_some(quotient)
    }
}

/// What the values need at least, bits, if each is near zero.
fn bits(values: &[i64]) -> u64 {
    values.iter().map(|value| u64::from(u64::BITS - zigzag(*value).leading_zeros())).sum()
}

/// Narrow numbers have narrower heads.
fn pco_ints(values: &[u64], width: u32) -> Option<Vec<u8>> {
    match width {
        0..=16 => put_pco(&values.iter().map(|value| *value as u16).collect::<Vec<_>>(), &plain()),
        17..=32 => put_pco(&values.iter().map(|value| *value as u32).collect::<Vec<_>>(), &plain()),
        _ => put_pco(values, &plain()),
    }
}

fn plain() -> ChunkConfig {
    ChunkConfig::default().with_mode_spec(ModeSpec::Classic).with_delta_spec(DeltaSpec::NoOp)
}

/// Encodes numbers by pco. `None` when it refuses them.
pub fn put_pco<T: Number>(values: &[T], config: &ChunkConfig) -> Option<Vec<u8>> {
    let file = FileCompressor::default();
    let mut chunk = file.chunk_compressor(values, config).ok()?;
    let mut out = file.write_header(Vec::new()).ok()?;
    out = chunk.write_meta(out).ok()?;
    let pages = chunk.n_per_page();
    for (page, n) in pages.iter().enumerate() {
        if pages.len() > 1 {
            put_count(*n, &mut out);
        }
        out = chunk.write_page(page, out).ok()?;
    }
    Some(out)
}

/// Decodes what [`put_pco`] made of `n` numbers.
pub fn read_pco<T: Number + Default>(bytes: &[u8], n: usize) -> Option<Vec<T>> {
    let (file, rest) = FileDecompressor::new(bytes).ok()?;
    let (mut chunk, mut rest) = file.chunk_decompressor::<T, &[u8]>(rest).ok()?;
    let mut values = vec![T::default(); n];
    let mut left = values.as_mut_slice();
    while !left.is_empty() {
        let here = if n > pco::DEFAULT_MAX_PAGE_N {
            let mut reader = Reader(rest);
            let here = reader.count()?;
            rest = reader.0;
            here
        } else {
            n
        };
        let (page, after) = left.split_at_mut_checked(here)?;
        let mut decoder = chunk.page_decompressor(rest, here).ok()?;
        decoder.read(page).ok().filter(|progress| progress.finished)?;
        (rest, left) = (decoder.into_src(), after);
    }
    Some(values)
}

/// Reads a column of `n` integers.
pub fn read_ints(reader: &mut Reader, n: usize) -> Option<Vec<i64>> {
    if n == 0 {
        return Some(Vec::new());
    }
    if n > VALUES_MAX {
        return None;
    }
    let form = reader.byte()?;
    let (first, unit, slope) = (reader.signed()?, reader.signed()?, reader.signed()?);
    let value = |steps: i64| first.wrapping_add(steps.wrapping_mul(unit));
    let on_line = (0..n as i64).map(|i| slope.wrapping_mul(i));
    if form == LINE {
        return Some(on_line.map(value).collect());
    }
    let is_line = matches!(form, LINE_PACKED | LINE_DIGITS | LINE_PCO | LINE_PATCHED);
    let count = if is_line { n } else { n - 1 };
    let along = |distances: &mut dyn Iterator<Item = i64>| -> Vec<i64> {
        if is_line {
            return on_line
                .clone()
                .zip(distances)
                .map(|(on_line, distance)| value(on_line.wrapping_add(distance)))
                .collect();
        }
        let mut steps = 0_i64;
        let later = distances.map(|delta| {
            steps = steps.wrapping_add(delta).wrapping_add(slope);
            value(steps)
        });
        std::iter::once(first).chain(later).collect()
    };
    if matches!(form, LINE_PATCHED | DELTA_PATCHED) {
        return Some(along(&mut read_patched(reader, count)?.into_iter().map(unzigzag)));
    }
    let least = reader.signed()?;
    let width = u32::from(reader.byte()?);
    let above: Vec<u64> = match form {
        LINE_PACKED | DELTA_PACKED if width <= u64::BITS => unpack(reader, width, count)?,
        LINE_DIGITS | DELTA_DIGITS => {
            let base = reader.varint()?;
            read_digits(reader, base, width, count)?
        }
        LINE_PCO | DELTA_PCO => {
            let bytes = reader.count()?;
            let bytes = reader.take(bytes)?;
            match width {
                0..=16 => read_pco::<u16>(bytes, count)?.into_iter().map(u64::from).collect(),
                17..=32 => read_pco::<u32>(bytes, count)?.into_iter().map(u64::from).collect(),
                _ => read_pco::<u64>(bytes, count)?,
            }
        }
        _ => return None,
    };
    Some(along(&mut above.iter().map(|above| least.wrapping_add(*above as i64))))
}

/// Appends a column that seldom changes: runs of equal values.
pub fn put_runs(values: impl Iterator<Item = u64>, out: &mut Vec<u8>) {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for value in values {
        match runs.last_mut() {
            Some((last, length)) if *last == value => *length += 1,
            _ => runs.push((value, 1)),
        }
    }
    for (value, length) in runs {
        put_varint(value, out);
        put_varint(length, out);
    }
}

/// Reads a column of `n` values in runs.
pub fn read_runs(reader: &mut Reader, n: usize) -> Option<Vec<u64>> {
    let mut values = Vec::new();
    while values.len() < n {
        let (value, length) = (reader.varint()?, reader.count()?);
        if length == 0 || length > n - values.len() {
            return None;
        }
        values.resize(values.len() + length, value);
    }
    Some(values)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn round_trip(values: &[i64]) -> usize {
        let mut out = Vec::new();
        put_ints(values, &mut out);
        let mut reader = Reader(&out);
        assert_eq!(read_ints(&mut reader, values.len()).as_deref(), Some(values));
        assert!(reader.0.is_empty());
        out.len()
    }

    #[test]
    fn a_line_costs_its_ends_alone() {
        let line: Vec<i64> = (0..10_000).map(|i| 1_700_000_000_000_000_000 + i * 1_000_000_000).collect();
        assert!(round_trip(&line) < 24);
        assert!(round_trip(&[i64::MIN; 500]) < 24);
    }

    #[test]
    fn times_with_jitter_cost_their_jitter() {
        // 1 Hz, whole milliseconds, ±5 ms: 3.5 bits are the least.
        let times: Vec<i64> = (0..300_i64).map(|i| (i * 1000 + i * 7919 % 11) * 1_000_000).collect();
        assert!(round_trip(&times) * 8 < 300 * 5, "{} bytes", round_trip(&times));
        // A last value that is early must not bend the line: four bits are the fewest whole ones for eleven steps.
        let early: Vec<i64> = times.iter().copied().chain([299_995_000_000]).collect();
        assert!(round_trip(&early) * 8 < 301 * 4 + 20 * 8, "{} bytes", round_trip(&early));
        // One hiccup must not make every other value dear.
        let mut hiccup: Vec<i64> = (0..3000_i64).map(|i| i * 1000 + i * 7919 % 11).collect();
        hiccup.iter_mut().skip(1500).for_each(|time| *time += 900_000_000);
        assert!(round_trip(&hiccup) * 8 < 3000 * 6, "{} bytes", round_trip(&hiccup));
    }

    #[test]
    fn a_few_far_ones_among_near_ones_cost_themselves_alone() {
        let mut near: Vec<i64> = (0..40).map(|i| i * 7919 % 13 - 6).collect();
        let plain = round_trip(&near);
        for (place, far) in [(0, i64::MAX), (17, -900_000_000_000), (18, i64::MIN), (39, 1 << 40)] {
            near[place] = far;
            assert!(round_trip(&near) < 40 + plain + 12 * near.iter().filter(|one| one.unsigned_abs() > 6).count());
        }
    }

    #[test]
    fn more_than_one_page_of_pco_is_read_back() {
        let many: Vec<i64> = (0..600_000_i64).map(|i| if i % 1000 == 0 { i << 20 } else { i % 3 }).collect();
        round_trip(&many);
    }

    #[test]
    fn damaged_columns_are_refused_or_wrong_but_never_panic() {
        let mut out = Vec::new();
        put_ints(&(0..500_i64).map(|i| i * i % 977).collect::<Vec<_>>(), &mut out);
        for at in 0..out.len() {
            for bit in 0..8 {
                let mut damaged = out.clone();
                damaged[at] ^= 1 << bit;
                drop(read_ints(&mut Reader(&damaged), 500));
                drop(read_ints(&mut Reader(&damaged[..at]), 500));
            }
        }
    }

    proptest! {
        #[test]
        fn any_integers_are_read_back(values in prop::collection::vec(any::<i64>(), 0..200)) {
            round_trip(&values);
        }

        #[test]
        fn small_integers_are_read_back(values in prop::collection::vec(-40..40_i64, 0..600), scale: i64, base: i64) {
            round_trip(&values.iter().map(|value| base.wrapping_add(value.wrapping_mul(scale))).collect::<Vec<_>>());
        }

        #[test]
        fn runs_are_read_back(values in prop::collection::vec(0..3_u64, 0..200)) {
            let mut out = Vec::new();
            put_runs(values.iter().copied(), &mut out);
            prop_assert_eq!(read_runs(&mut Reader(&out), values.len()), Some(values));
        }
    }
}
