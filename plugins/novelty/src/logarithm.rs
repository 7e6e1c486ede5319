//! The decimal logarithm in a dozen steps, the same on every machine to the last bit. Pure.
//!
//! A guest has no logarithm but one that is computed in software, and each of its steps costs a guest several times
//! what it costs the host: this one has fewer of them. Exact at powers of two, and within 4e-16 times the result, or
//! 4e-16 where the result is below 1.

/// Steps of the table.
const STEPS: usize = 128;
const STEP_BITS: u32 = 7;
const FRACTION_BITS: u32 = 52;
const EXPONENT_BIAS: i64 = 1_023;

/// For each step c from 1 up to 2: 1/c and log10 c.
static TABLE: [(f64, f64); STEPS] = table();

/// The series of log10(1 + t).
const SERIES: [f64; 6] = {
    let l = std::f64::consts::LOG10_E;
    [l, -l / 2.0, l / 3.0, -l / 4.0, l / 5.0, -l / 6.0]
};

const fn table() -> [(f64, f64); STEPS] {
    let mut table = [(1.0, 0.0); STEPS];
    let mut step = 1;
    while step < STEPS {
        let c = 1.0 + step as f64 / STEPS as f64;
        // log c = 2·artanh z; z is at most a third.
        let z = (c - 1.0) / (c + 1.0);
        let (mut power, mut odd, mut sum) = (z, 1.0, 0.0);
        while odd < 40.0 {
            sum += power / odd;
            power *= z * z;
            odd += 2.0;
        }
        table[step] = (1.0 / c, 2.0 * sum * std::f64::consts::LOG10_E);
        step += 1;
    }
    table
}

/// log10 of a number.
pub fn log10(x: f64) -> f64 {
    if !x.is_normal() || x < 0.0 {
        return x.log10();
    }
    let bits = x.to_bits();
    let exponent = (bits >> FRACTION_BITS) as i64 - EXPONENT_BIAS;
    let step = (bits >> (FRACTION_BITS - STEP_BITS)) as usize % STEPS;
    let fraction = f64::from_bits(bits & ((1 << FRACTION_BITS) - 1) | (EXPONENT_BIAS as u64) << FRACTION_BITS);
    let (inverse, log_c) = TABLE.get(step).copied().unwrap_or((1.0, 0.0));
    let t = fraction * inverse - 1.0;
    let [a, b, c, d, e, f] = SERIES;
    let square = t * t;
    let series = t * ((a + t * b) + square * ((c + t * d) + square * (e + t * f)));
    exponent as f64 * std::f64::consts::LOG10_2 + (log_c + series)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_logarithm() {
        let mut x = 1e-300;
        while x < 1e300 {
            let (ours, expected) = (log10(x), x.log10());
            assert!((ours - expected).abs() <= 4e-16 * expected.abs().max(1.0), "{x}: {ours}, not {expected}");
            x *= 1.000_731;
        }
        for step in 0..100_000 {
            let x = 1.0 + f64::from(step) * 1e-5;
            assert!((log10(x) - x.log10()).abs() <= 4e-16, "{x}");
        }
        assert_eq!([1.0, 2.0, 0.5].map(log10), [0.0, std::f64::consts::LOG10_2, -std::f64::consts::LOG10_2]);
        assert_eq!((log10(0.0), log10(f64::INFINITY)), (f64::NEG_INFINITY, f64::INFINITY));
        assert!(log10(-1.0).is_nan() && log10(f64::NAN).is_nan() && log10(5e-324) < -323.0);
    }
}
