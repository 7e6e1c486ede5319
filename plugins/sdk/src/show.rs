//! Numbers as an operator reads them: six significant digits and the unit, the same on every machine.

use crate::Signal;

impl Signal {
    /// A value of this signal with its unit, such as `92.31 °C`.
    #[must_use]
    pub fn show(&self, value: f64) -> String {
        match self.unit.as_deref() {
            None | Some("" | "1") => number(value),
            Some("Cel") => number(value) + " °C",
            Some("[degF]") => number(value) + " °F",
            Some(unit) => format!("{} {unit}", number(value)),
        }
    }
}

/// A number with six significant digits and no needless zeros.
#[must_use]
pub fn number(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-4..1e15).contains(&size) {
        return if value.is_finite() { trimmed(&format!("{value:.5e}")) } else { format!("{value}") };
    }
    let mut decimals = 5;
    let mut bound = 10.0;
    while decimals > 0 && size >= bound {
        decimals -= 1;
        bound *= 10.0;
    }
    let mut bound = 1.0;
    while decimals < 9 && size != 0.0 && size < bound {
        decimals += 1;
        bound /= 10.0;
    }
    trimmed(&format!("{value:.decimals$}"))
}

/// Without the zeros at the end of the fraction.
fn trimmed(text: &str) -> String {
    let (digits, exponent) = text.find('e').map_or((text, ""), |at| text.split_at(at));
    if !digits.contains('.') {
        return text.to_owned();
    }
    let short = digits.trim_end_matches('0').trim_end_matches('.');
    let short = if short == "-0" { "0" } else { short };
    format!("{short}{exponent}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_right() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (90.0, "90"),
            (92.314_159_26, "92.3142"),
            (-0.001_234_567_8, "-0.00123457"),
            (123_456_789.0, "123456789"),
            (1e-7, "1e-7"),
            (2.5e20, "2.5e20"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(number(value), text);
        }
        let signal = Signal { unit: Some("Cel".into()), ..Signal::default() };
        assert_eq!(signal.show(92.5), "92.5 °C");
    }
}
