//! Small numbers in few bits: so many bits each or, where that wastes part of a bit, several as the digits of one word.
//!
//! A word holds the digits as a fraction, so that each is one multiplication away. Reading believes nothing: whatever
//! the bytes are, digits are below the base and numbers below 2^width.

use crate::bytes::{Reader, put_count};

/// Wider numbers may reach beyond a word that begins at a byte.
const WINDOW_BITS_MAX: u32 = 57;

/// Numbers of so many bits each, which must hold them.
pub fn pack(values: &[u64], width: u32, out: &mut Vec<u8>) {
    out.reserve((values.len() * width as usize).div_ceil(8));
    let (mut held, mut bits) = (0_u128, 0_u32);
    for value in values {
        held |= u128::from(*value) << bits;
        bits += width;
        if bits >= u64::BITS {
            out.extend_from_slice(&(held as u64).to_le_bytes());
            held >>= u64::BITS;
            bits -= u64::BITS;
        }
    }
    out.extend(held.to_le_bytes().into_iter().take(bits.div_ceil(8) as usize));
}

/// Reads `n` numbers of so many bits each, 64 at the most.
pub fn unpack(reader: &mut Reader, width: u32, n: usize) -> Option<Vec<u64>> {
    let bytes = reader.take(n.checked_mul(usize::try_from(width).ok()?)?.div_ceil(8))?;
    let mask = if width == u64::BITS { u64::MAX } else { (1 << width) - 1 };
    let mut values = Vec::with_capacity(n);
    if width <= WINDOW_BITS_MAX {
        // Whole words at once, the last ones from beyond the end.
        let padded = [bytes, &[0; 8]].concat();
        let mut bit = 0;
        for _ in 0..n {
            values.push(u64::from_le_bytes(*padded.get(bit / 8..)?.first_chunk()?) >> (bit % 8) & mask);
            bit += width as usize;
        }
        return Some(values);
    }
    let (mut held, mut bits, mut bytes) = (0_u128, 0_u32, bytes.iter());
    for _ in 0..n {
        while bits < width {
            held |= u128::from(*bytes.next()?) << bits;
            bits += 8;
        }
        values.push(held as u64 & mask);
        held >>= width;
        bits -= width;
    }
    Some(values)
}

/// How many digits of a base fit one word, and how many numbers that many digits make.
fn digits_of_a_word(base: u64) -> (usize, u128) {
    let (mut digits, mut numbers) = (0, 1_u128);
    while numbers * u128::from(base) <= 1 << u64::BITS {
        digits += 1;
        numbers *= u128::from(base);
    }
    (digits, numbers)
}

/// What [`put_digits`] takes, bytes; `width` are the bits that the greatest digit has.
pub fn digits_bytes(n: usize, base: u64, width: u32) -> usize {
    let (digits, _) = digits_of_a_word(base);
    n / digits * 8 + (n % digits * width as usize).div_ceil(8)
}

/// Numbers below `base`, at least 2, as digits; what does not fill a word is packed by bits.
pub fn put_digits(values: &[u64], base: u64, width: u32, out: &mut Vec<u8>) {
    let (digits, numbers) = digits_of_a_word(base);
    let words = values.chunks_exact(digits);
    let rest = words.remainder();
    for word in words {
        let number = word.iter().fold(0_u128, |number, digit| number * u128::from(base) + u128::from(*digit));
        // The least fraction of 2^64 that is not below number / numbers; it is below (number + 1) / numbers.
        out.extend(((number << u64::BITS).div_ceil(numbers) as u64).to_le_bytes());
    }
    pack(rest, width, out);
}

/// Reads `n` numbers below `base`. `None` when the base is none, or bytes are missing.
pub fn read_digits(reader: &mut Reader, base: u64, width: u32, n: usize) -> Option<Vec<u64>> {
    if !(2..=1 << 32).contains(&base) || width > u64::BITS {
        return None;
    }
    let (digits, _) = digits_of_a_word(base);
    let (words, _) = reader.take((n / digits).checked_mul(8)?)?.as_chunks::<8>();
    let mut values = Vec::with_capacity(n);
    for word in words {
        let mut fraction = u64::from_le_bytes(*word);
        for _ in 0..digits {
            let product = u128::from(fraction) * u128::from(base);
            values.push((product >> u64::BITS) as u64);
            fraction = product as u64;
        }
    }
    values.extend(unpack(reader, width, n % digits)?);
    Some(values)
}

/// Ones after which a number follows as it is.
const ONES_MAX: u32 = 16;
/// A great number counts as this where it is asked how small most are.
const GREAT: u32 = 1 << 10;
/// The most low bits that a number has beside its ones.
const LOW_BITS_MAX: u32 = 24;

/// Of numbers most of which are small, with seldom a great one: the low bits that each has as they are.
fn low_bits(values: &[u32]) -> u32 {
    let mean = values.iter().map(|value| u64::from((*value).min(GREAT))).sum::<u64>() / (values.len() as u64).max(1);
    (u64::BITS - mean.leading_zeros()).saturating_sub(1).min(LOW_BITS_MAX)
}

/// What [`put_steps`] takes, bits.
pub fn steps_bits(values: &[u32]) -> u64 {
    let low = low_bits(values);
    let bits = |value: &u32| if value >> low < ONES_MAX { (value >> low) + 1 + low } else { ONES_MAX + u32::BITS };
    values.iter().map(|value| u64::from(bits(value))).sum()
}

/// Numbers most of which are small, in some bits each: the higher ones as so many ones and a zero.
pub fn put_steps(values: &[u32], out: &mut Vec<u8>) {
    let low = low_bits(values);
    out.push(low as u8);
    put_count(steps_bits(values).div_ceil(8) as usize, out);
    let (mut held, mut bits) = (0_u128, 0_u32);
    let mut put = |number: u64, width: u32| {
        held |= u128::from(number) << bits;
        bits += width;
        if bits >= u64::BITS {
            out.extend_from_slice(&(held as u64).to_le_bytes());
            held >>= u64::BITS;
            bits -= u64::BITS;
        }
    };
    for value in values {
        let ones = value >> low;
        if ones < ONES_MAX {
            let rest = u64::from(value & ((1 << low) - 1));
            put(rest << (ones + 1) | ((1 << ones) - 1), ones + 1 + low);
        } else {
            put(u64::from(*value) << ONES_MAX | ((1 << ONES_MAX) - 1), ONES_MAX + u32::BITS);
        }
    }
    out.extend(held.to_le_bytes().into_iter().take(bits.div_ceil(8) as usize));
}

/// Reads `n` numbers of [`put_steps`].
pub fn read_steps(reader: &mut Reader, n: usize) -> Option<Vec<u32>> {
    let low = u32::from(reader.byte()?);
    let bytes = reader.count()?;
    let bytes = reader.take(bytes)?;
    if low > LOW_BITS_MAX {
        return None;
    }
    let padded = [bytes, &[0; 8]].concat();
    let (mut bit, mut values) = (0_usize, Vec::with_capacity(n));
    for _ in 0..n {
        let word = u64::from_le_bytes(*padded.get(bit / 8..)?.first_chunk()?) >> (bit % 8);
        let ones = word.trailing_ones();
        let (value, width) = if ones < ONES_MAX {
            let rest = word >> (ones + 1) & ((1 << low) - 1);
            (ones << low | rest as u32, ones + 1 + low)
        } else {
            ((word >> ONES_MAX) as u32, ONES_MAX + u32::BITS)
        };
        values.push(value);
        bit += width as usize;
    }
    (bit.div_ceil(8) == bytes.len()).then_some(values)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ten_steps_take_less_than_four_bits() {
        let values: Vec<u64> = (0..190).map(|i| i * 7 % 10).collect();
        let mut out = Vec::new();
        put_digits(&values, 10, 4, &mut out);
        assert_eq!((out.len(), digits_bytes(190, 10, 4)), (80, 80), "95 by bits");
        assert_eq!(read_digits(&mut Reader(&out), 10, 4, 190), Some(values));
    }

    #[test]
    fn whatever_is_read_is_below_the_base() {
        let bytes: Vec<u8> = (0..400_u32).map(|i| (i * 97 + 255) as u8).collect();
        for base in [2, 3, 10, 1000, 1 << 32] {
            let values = read_digits(&mut Reader(&bytes), base, 2, 90).unwrap();
            assert!(values.iter().all(|value| *value < base.max(4)), "{base}");
        }
        assert_eq!(read_digits(&mut Reader(&bytes), 1, 1, 9), None);
        assert_eq!(read_digits(&mut Reader(&bytes), 10, 4, 9999), None);
    }

    #[test]
    fn small_steps_take_little_and_great_ones_are_kept() {
        let mut values: Vec<u32> = (0..4_000).map(|i| i * 7 % 5).collect();
        values[77] = u32::MAX;
        values[78] = 1 << 20;
        let mut out = Vec::new();
        put_steps(&values, &mut out);
        assert!(out.len() < 4_000 * 7 / 16, "{} bytes", out.len());
        assert_eq!(read_steps(&mut Reader(&out), 4_000), Some(values));
        (0..out.len()).for_each(|at| assert_eq!(read_steps(&mut Reader(&out[..at]), 4_000), None));
    }

    proptest! {
        #[test]
        fn steps_are_read_back(values in prop::collection::vec(prop_oneof![0..9_u32, 0..5_000_u32, any::<u32>()], 0..200)) {
            let mut out = Vec::new();
            put_steps(&values, &mut out);
            let mut reader = Reader(&out);
            prop_assert_eq!(read_steps(&mut reader, values.len()), Some(values));
            prop_assert!(reader.0.is_empty());
        }

        #[test]
        fn digits_are_read_back(base in 2..=1_u64 << 32, seed: u64, n in 0..100_usize) {
            let random = |i: u64| seed.wrapping_add(i).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 7;
            let ends = [0, base - 1];
            let values: Vec<u64> = (0..n as u64).map(|i| random(i) % base).chain(ends).collect();
            let width = u64::BITS - (base - 1).leading_zeros();
            let mut out = Vec::new();
            put_digits(&values, base, width, &mut out);
            prop_assert_eq!(out.len(), digits_bytes(values.len(), base, width));
            let mut reader = Reader(&out);
            prop_assert_eq!(read_digits(&mut reader, base, width, values.len()), Some(values));
            prop_assert!(reader.0.is_empty());
        }
    }
}
