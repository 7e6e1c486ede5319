//! Columns of values: runs where they seldom change, whole numbers of a decimal place where they are that, else `pco`.
//!
//! Whatever a form cannot give back bit for bit (the payload of a NaN, minus zero) is noticed when it is written, and
//! the bits themselves are stored instead.

use pco::ChunkConfig;

use crate::bytes::{Reader, put_count, put_signed};
use crate::column::{VALUES_MAX, put_ints, put_pco, read_ints, read_pco};

/// The bits, one after the other.
const RAW: u8 = 0;
/// Bits and how often they are repeated.
const RUNS: u8 = 1;
/// Doubles by pco.
const PCO: u8 = 2;
/// Doubles that are single precision numbers, by pco.
const PCO_SINGLE: u8 = 3;
/// Whole numbers of `10^-places`, places following.
const DECIMAL: u8 = 4;
/// The same, rounded to single precision.
const DECIMAL_SINGLE: u8 = 5;

/// The bits in their order, as whole numbers.
const ORDERED: u8 = 6;
/// The same of single precision numbers.
const ORDERED_SINGLE: u8 = 7;

/// In shorter columns pco saves hardly more than its own header takes: in chunks of sixty, a tenth of a byte a double.
const PCO_FROM: usize = 128;
/// Runs are worth it when they are this much longer than one value.
const RUN_WORTH: usize = 16;
/// Decimal places that are tried.
const PLACES_MAX: u8 = 6;
/// Values on which places are tried before all are.
const PROBE: usize = 8;
/// Beyond this a double no longer holds every whole number.
const WHOLE_MAX: f64 = 9e15;

/// Appends a column of values. Costs 10 to 300 ns a value.
pub fn put_floats(values: &[f64], out: &mut Vec<u8>) {
    if values.is_empty() {
        return;
    }
    let runs = 1 + values
        .windows(2)
        .filter(|pair| pair.first().map(|v| v.to_bits()) != pair.last().map(|v| v.to_bits()))
        .count();
    if runs == 1 || runs * RUN_WORTH <= values.len() {
        put_runs(values, out);
        return;
    }
    let single = values.iter().all(|value| f64::from(*value as f32).to_bits() == value.to_bits());
    if let Some((places, whole)) = decimals(values, single) {
        out.push(if single { DECIMAL_SINGLE } else { DECIMAL });
        out.push(places);
        put_ints(&whole, out);
        return;
    }
    if values.len() < PCO_FROM {
        let (form, ordered): (u8, Vec<i64>) = if single {
            (ORDERED_SINGLE, values.iter().map(|value| ordered_single(*value as f32)).collect())
        } else {
            (ORDERED, values.iter().map(|value| ordered(*value)).collect())
        };
        out.push(form);
        put_ints(&ordered, out);
        return;
    }
    let config = ChunkConfig::default();
    let (form, encoded) = if single {
        let narrow: Vec<f32> = values.iter().map(|value| *value as f32).collect();
        (PCO_SINGLE, put_pco(&narrow, &config))
    } else {
        (PCO, put_pco(values, &config))
    };
    let fits =
        |encoded: &Vec<u8>| encoded.len() < values.len() * 8 && same(&decode(form, encoded, values.len()), values);
    match encoded.filter(fits) {
        Some(encoded) => {
            out.push(form);
            put_count(encoded.len(), out);
            out.extend(encoded);
        }
        None => {
            out.push(RAW);
            values.iter().for_each(|value| out.extend(value.to_bits().to_le_bytes()));
        }
    }
}

/// The bits as a number that is the greater, the greater the value is.
fn ordered(value: f64) -> i64 {
    let bits = value.to_bits() as i64;
    bits ^ ((bits >> 63) & i64::MAX)
}

fn from_ordered(bits: i64) -> f64 {
    f64::from_bits((bits ^ ((bits >> 63) & i64::MAX)) as u64)
}

fn ordered_single(value: f32) -> i64 {
    let bits = value.to_bits() as i32;
    i64::from(bits ^ ((bits >> 31) & i32::MAX))
}

fn from_ordered_single(bits: i64) -> Option<f64> {
    let bits = i32::try_from(bits).ok()?;
    Some(f64::from(f32::from_bits((bits ^ ((bits >> 31) & i32::MAX)) as u32)))
}

fn same(decoded: &Option<Vec<f64>>, values: &[f64]) -> bool {
    decoded.as_ref().is_some_and(|decoded| {
        decoded.len() == values.len() && decoded.iter().zip(values).all(|(a, b)| a.to_bits() == b.to_bits())
    })
}

fn put_runs(values: &[f64], out: &mut Vec<u8>) {
    out.push(RUNS);
    for run in values.chunk_by(|a, b| a.to_bits() == b.to_bits()) {
        let Some(value) = run.first() else { continue };
        out.extend(value.to_bits().to_le_bytes());
        put_count(run.len(), out);
    }
}

/// Appends a few values that each stand alone: [`read_few`] reads them.
pub fn put_few(values: &[f64], out: &mut Vec<u8>) {
    if let Some((places, whole)) = decimals(values, false) {
        out.push(places);
        let mut before = 0_i64;
        for whole in whole {
            put_signed(whole.wrapping_sub(before), out);
            before = whole;
        }
        return;
    }
    out.push(PLACES_MAX + 1);
    values.iter().for_each(|value| out.extend(value.to_bits().to_le_bytes()));
}

/// Reads `N` values that stand alone.
pub fn read_few<const N: usize>(reader: &mut Reader) -> Option<[f64; N]> {
    let places = reader.byte().filter(|places| *places <= PLACES_MAX + 1)?;
    let mut values = [f64::NAN; N];
    let mut whole = 0_i64;
    for value in &mut values {
        *value = if places > PLACES_MAX {
            f64::from_bits(u64::from_le_bytes(reader.array()?))
        } else {
            whole = whole.wrapping_add(reader.signed()?);
            from_whole(whole, scale(places), false)
        };
    }
    Some(values)
}

/// The values as whole numbers of the fewest decimal places that give all of them back.
fn decimals(values: &[f64], single: bool) -> Option<(u8, Vec<i64>)> {
    let fits = |value: &f64, scale: f64| {
        let whole = nearest(value * scale)?;
        (from_whole(whole, scale, single).to_bits() == value.to_bits()).then_some(whole)
    };
    let probe = values.get(..PROBE.min(values.len()))?;
    let all_fit = |places: &u8| {
        let scale = scale(*places);
        probe.iter().all(|value| fits(value, scale).is_some())
    };
    let places = (0..=PLACES_MAX).find(all_fit)?;
    (places..=PLACES_MAX).find_map(|places| {
        let scale = scale(places);
        let whole: Option<Vec<i64>> = values.iter().map(|value| fits(value, scale)).collect();
        Some((places, whole?))
    })
}

/// A whole number next to one that may be taken for it; without a call of the mathematics library.
fn nearest(value: f64) -> Option<i64> {
    // Whatever is added to it loses its fraction.
    const WHOLE_FROM: f64 = 6_755_399_441_055_744.0;
    if value.abs() <= WHOLE_MAX / 4.0 {
        return Some(((value + WHOLE_FROM) - WHOLE_FROM) as i64);
    }
    let whole = value.round();
    (whole.abs() <= WHOLE_MAX).then_some(whole as i64)
}

fn scale(places: u8) -> f64 {
    10_f64.powi(i32::from(places))
}

fn from_whole(whole: i64, scale: f64, single: bool) -> f64 {
    let value = whole as f64 / scale;
    if single { f64::from(value as f32) } else { value }
}

fn decode(form: u8, bytes: &[u8], n: usize) -> Option<Vec<f64>> {
    match form {
        PCO => read_pco(bytes, n),
        PCO_SINGLE => Some(read_pco::<f32>(bytes, n)?.into_iter().map(f64::from).collect()),
        _ => None,
    }
}

/// Reads a column of `n` values.
pub fn read_floats(reader: &mut Reader, n: usize) -> Option<Vec<f64>> {
    if n == 0 {
        return Some(Vec::new());
    }
    if n > VALUES_MAX {
        return None;
    }
    match reader.byte()? {
        RAW => {
            let (each, _) = reader.take(n.checked_mul(8)?)?.as_chunks::<8>();
            Some(each.iter().map(|bits| f64::from_bits(u64::from_le_bytes(*bits))).collect())
        }
        RUNS => {
            let mut values = Vec::new();
            while values.len() < n {
                let value = f64::from_bits(u64::from_le_bytes(reader.array()?));
                let length = reader.count()?;
                if length == 0 || length > n - values.len() {
                    return None;
                }
                values.resize(values.len() + length, value);
            }
            Some(values)
        }
        form @ (DECIMAL | DECIMAL_SINGLE) => {
            let places = reader.byte().filter(|places| *places <= PLACES_MAX)?;
            let (whole, scale) = (read_ints(reader, n)?, scale(places));
            Some(whole.into_iter().map(|whole| from_whole(whole, scale, form == DECIMAL_SINGLE)).collect())
        }
        ORDERED => Some(read_ints(reader, n)?.into_iter().map(from_ordered).collect()),
        ORDERED_SINGLE => read_ints(reader, n)?.into_iter().map(from_ordered_single).collect(),
        form => {
            let bytes = reader.count()?;
            decode(form, reader.take(bytes)?, n)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn round_trip(values: &[f64]) -> (u8, usize) {
        let mut out = Vec::new();
        put_floats(values, &mut out);
        let mut reader = Reader(&out);
        assert!(same(&read_floats(&mut reader, values.len()), values), "{values:?}");
        assert!(reader.0.is_empty());
        (out.first().copied().unwrap_or(RAW), out.len())
    }

    fn noise(i: u32) -> f64 {
        f64::from(i.wrapping_mul(2_654_435_761) >> 8) / 1e7
    }

    #[test]
    fn each_kind_of_value_finds_its_form() {
        type Case = (&'static str, u8, fn(u32) -> f64);
        let cases: [Case; 6] = [
            ("a switch", RUNS, |i| f64::from(i / 100 % 2)),
            ("a count", DECIMAL_SINGLE, |i| f64::from(i * 3 % 1000)),
            ("hundredths", DECIMAL, |i| (noise(i) * 100.0).round() / 100.0),
            ("hundredths of a single", DECIMAL_SINGLE, |i| f64::from(((noise(i) * 100.0).round() / 100.0) as f32)),
            ("a single", PCO_SINGLE, |i| f64::from((noise(i) / 3.0) as f32)),
            ("a double", PCO, |i| (noise(i) / 3.0).sin() + 50.0),
        ];
        for (name, form, value) in cases {
            let values: Vec<f64> = (0..600).map(value).collect();
            let (found, bytes) = round_trip(&values);
            assert_eq!(found, form, "{name}");
            assert!(bytes <= 600 * 8, "{name}: {bytes}");
        }
    }

    #[test]
    fn odd_bits_survive_among_ordinary_values() {
        let odd = [
            f64::from_bits(0x7ff8_dead_beef_0001),
            f64::from_bits(0xfff0_0000_0000_0001),
            -0.0,
            f64::INFINITY,
            f64::MIN_POSITIVE / 2.0,
            f64::MAX,
        ];
        for odd in odd {
            for base in [0.1, 1.0, 1.0 / 3.0] {
                let mut values: Vec<f64> = (0..300).map(|i| f64::from(i) * base).collect();
                values[150] = odd;
                round_trip(&values);
            }
            round_trip(&[odd]);
        }
    }

    proptest! {
        #[test]
        fn any_bits_are_read_back(values in prop::collection::vec(any::<u64>(), 0..120)) {
            round_trip(&values.into_iter().map(f64::from_bits).collect::<Vec<_>>());
        }
    }
}
