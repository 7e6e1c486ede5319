//! The columns of a frame in few bytes, at a few nanoseconds a row: places and times as differences, numbers as short
//! decimals or single precision where that is exact. What is written here is written again, better packed, when it is
//! sealed; but at low rates this is most of what a disk ever gets to write.

use watchfire_model::{Instant, SignalId};

/// Powers of ten by which a number becomes a whole one.
const TENS: [f64; 5] = [1.0, 10.0, 100.0, 1_000.0, 10_000.0];
/// A number of single precision.
const SINGLE: u8 = 8;
/// All bits.
const DOUBLE: u8 = 9;
/// Tags follow, two in a byte.
const MIXED: u8 = 15;
/// Whole numbers beyond are no shorter than single precision.
const WHOLE_MAX: f64 = 134_217_728.0;
/// Units of time, nanoseconds.
const UNITS: [i64; 4] = [1_000_000, 1_000, 100, 1];

fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

const fn zigzag(value: i64) -> u64 {
    (value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned()
}

const fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

fn read_varint(input: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = input.split_first()?;
        *input = rest;
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if *byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn take<const N: usize>(input: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = input.split_first_chunk::<N>()?;
    *input = rest;
    Some(*taken)
}

/// Appends signals: each as its distance from the one before.
pub fn put_signals(signals: &[SignalId], out: &mut Vec<u8>) {
    let mut before = 0_i64;
    for signal in signals {
        put_varint(zigzag(i64::from(signal.0) - before), out);
        before = i64::from(signal.0);
    }
}

/// Reads `n` signals.
pub fn read_signals(input: &mut &[u8], n: usize) -> Option<Vec<SignalId>> {
    let mut before = 0_i64;
    let each = (0..n).map(|_| {
        before = before.checked_add(unzigzag(read_varint(input)?))?;
        u32::try_from(before).ok().map(SignalId)
    });
    each.collect()
}

/// Appends times: each as its distance from the one before, in the largest unit that fits all.
pub fn put_times(times: &[Instant], out: &mut Vec<u8>) {
    let Some(first) = times.first() else { return };
    let steps = || times.iter().zip(times.iter().skip(1)).map(|(before, after)| after.ns().wrapping_sub(before.ns()));
    let unit = UNITS.iter().position(|unit| steps().all(|step| step % unit == 0)).unwrap_or(UNITS.len() - 1);
    let unit_ns = UNITS.get(unit).copied().unwrap_or(1);
    out.push(unit.to_le_bytes()[0]);
    out.extend(first.ns().to_le_bytes());
    steps().for_each(|step| put_varint(zigzag(step / unit_ns), out));
}

/// Reads `n` times.
pub fn read_times(input: &mut &[u8], n: usize) -> Option<Vec<Instant>> {
    if n == 0 {
        return Some(Vec::new());
    }
    let [unit] = take(input)?;
    let unit_ns = *UNITS.get(usize::from(unit))?;
    let mut at = i64::from_le_bytes(take(input)?);
    let mut times = vec![Instant::from_ns(at)];
    for _ in 1..n {
        at = at.wrapping_add(unzigzag(read_varint(input)?).wrapping_mul(unit_ns));
        times.push(Instant::from_ns(at));
    }
    Some(times)
}

/// Appends numbers, bit for bit.
pub fn put_values(values: &[f64], out: &mut Vec<u8>) {
    let (mut tags, mut bytes) = (Vec::with_capacity(values.len()), Vec::with_capacity(values.len() * 4));
    let mut habit = 0;
    for value in values {
        let tag = tag_of(*value, habit, &mut bytes);
        if tag < SINGLE {
            habit = tag;
        }
        tags.push(tag);
    }
    match tags.first() {
        None => {}
        Some(first) if tags.iter().all(|tag| tag == first) => out.push(*first),
        Some(_) => {
            out.push(MIXED);
            out.extend(tags.chunks(2).map(|pair| pair.iter().rev().fold(0, |byte, tag| byte << 4 | tag)));
        }
    }
    out.extend(bytes);
}

/// Appends one number and answers how. Tries the decimals that the one before had first.
fn tag_of(value: f64, habit: u8, bytes: &mut Vec<u8>) -> u8 {
    for tag in std::iter::once(habit).chain(0..5) {
        let Some(ten) = TENS.get(usize::from(tag)) else { continue };
        let whole = (value * ten).round();
        if whole.abs() < WHOLE_MAX {
            #[expect(clippy::cast_possible_truncation, reason = "it is whole and bounded")]
            let whole = whole as i32;
            if (f64::from(whole) / ten).to_bits() == value.to_bits() {
                put_varint(zigzag(i64::from(whole)), bytes);
                return tag;
            }
        }
    }
    #[expect(clippy::cast_possible_truncation, reason = "where it changes the value, all bits are kept")]
    let single = value as f32;
    if f64::from(single).to_bits() == value.to_bits() {
        bytes.extend(single.to_bits().to_le_bytes());
        return SINGLE;
    }
    bytes.extend(value.to_bits().to_le_bytes());
    DOUBLE
}

/// Reads `n` numbers.
pub fn read_values(input: &mut &[u8], n: usize) -> Option<Vec<f64>> {
    if n == 0 {
        return Some(Vec::new());
    }
    let [first] = take(input)?;
    let packed = if first == MIXED {
        let (packed, rest) = input.split_at_checked(n.div_ceil(2))?;
        *input = rest;
        packed
    } else {
        &[]
    };
    let mut values = Vec::with_capacity(n.min(1 << 16));
    for row in 0..n {
        let tag = if first == MIXED { packed.get(row / 2)? >> (row % 2 * 4) & 15 } else { first };
        values.push(match tag {
            SINGLE => f64::from(f32::from_bits(u32::from_le_bytes(take(input)?))),
            DOUBLE => f64::from_bits(u64::from_le_bytes(take(input)?)),
            tag => {
                let ten = TENS.get(usize::from(tag))?;
                f64::from(i32::try_from(unzigzag(read_varint(input)?)).ok()?) / ten
            }
        });
    }
    Some(values)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(values: &[f64]) -> usize {
        let mut out = Vec::new();
        put_values(values, &mut out);
        let mut input = out.as_slice();
        let read = read_values(&mut input, values.len()).unwrap();
        let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!((bits(&read), input.len()), (bits(values), 0));
        out.len()
    }

    #[test]
    fn numbers_take_what_they_need() {
        let many = |value: fn(i32) -> f64| (0..1000).map(value).collect::<Vec<f64>>();
        assert!(bytes(&many(|n| f64::from(n % 2))) <= 1001);
        assert!(bytes(&many(|n| f64::from(n * 37 % 10_000) / 100.0)) <= 3001);
        assert!(bytes(&many(|n| f64::from((n as f32).sqrt()))) <= 4510);
        assert!(bytes(&many(|n| f64::from(n).sqrt())) <= 8510);
        bytes(&[-0.0, 0.0, f64::NAN, f64::INFINITY, f64::MIN, 5e-324, -0.1, 1e300, 134_217_727.0, -134_217_728.0]);
    }

    proptest! {
        #[test]
        fn any_columns_are_read_back(rows in prop::collection::vec((any::<u32>(), any::<i64>(), any::<u64>(), -40_000..40_000_i32, 0..3), 0..80)) {
            let signals: Vec<SignalId> = rows.iter().map(|row| SignalId(row.0)).collect();
            let times: Vec<Instant> = rows.iter().map(|row| Instant::from_ns(row.1)).collect();
            let values: Vec<f64> =
                rows.iter().map(|row| if row.4 == 0 { f64::from_bits(row.2) } else { f64::from(row.3) / 100.0 }).collect();
            let mut out = Vec::new();
            put_signals(&signals, &mut out);
            put_times(&times, &mut out);
            let mut input = out.as_slice();
            prop_assert_eq!(read_signals(&mut input, rows.len()), Some(signals));
            prop_assert_eq!(read_times(&mut input, rows.len()), Some(times));
            prop_assert!(input.is_empty());
            bytes(&values);
        }

        #[test]
        fn times_in_step_are_short(step in 1..2_000_i64, first: i64) {
            let times: Vec<Instant> = (0..100).map(|n| Instant::from_ns(first.wrapping_add(n * step * 1_000_000))).collect();
            let mut out = Vec::new();
            put_times(&times, &mut out);
            prop_assert!(out.len() <= 9 + 99 * 2);
            prop_assert_eq!(read_times(&mut out.as_slice(), 100), Some(times));
        }
    }
}
