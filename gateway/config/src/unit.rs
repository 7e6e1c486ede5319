//! Units: whether a text has the form of a UCUM code, and what is meant by what people write in place of one. Which codes there
//! are is not known here.

use crate::section::{Section, Text};

/// What has the form of a code and is none, or is another unit's, and the code that is meant.
const MEANT: [(&str, &str); 20] = [
    ("degC", "Cel"),
    ("deg_C", "Cel"),
    ("celsius", "Cel"),
    ("Celsius", "Cel"),
    ("C", "Cel"),
    ("degF", "[degF]"),
    ("fahrenheit", "[degF]"),
    ("Fahrenheit", "[degF]"),
    ("F", "[degF]"),
    ("psi", "[psi]"),
    ("rpm", "/min"),
    ("RPM", "/min"),
    ("percent", "%"),
    ("pct", "%"),
    ("m3/hr", "m3/h"),
    ("m^3/h", "m3/h"),
    ("Nm", "N.m"),
    ("sec", "s"),
    ("hr", "h"),
    ("kmh", "km/h"),
];

/// Whether a text has the form of a UCUM code: ASCII without blanks. Which codes there are is not checked.
#[must_use]
pub fn is_unit(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The UCUM code that is most likely meant where a text is none, or is the code of a unit that no process has; `None` for
/// everything else.
#[must_use]
pub fn unit_meant(text: &str) -> Option<&'static str> {
    MEANT.iter().find(|(written, _)| *written == text).map(|(_, meant)| *meant)
}

pub(crate) fn check_unit(section: &Section<'_>, unit: Text<'_>) {
    if is_unit(unit.text) {
        return;
    }
    let way_out = match unit.text.trim() {
        "°C" | "℃" => "write `Cel`",
        "°F" | "℉" => "write `[degF]`",
        "m³" => "write `m3`",
        "m³/h" => "write `m3/h`",
        "µm" | "μm" => "write `um`",
        "Ω" => "write `Ohm`",
        _ => "codes are ASCII without blanks, such as `Cel`, `bar`, `m3/h`",
    };
    section.wrong(unit.at, format_args!("`unit` \"{}\" is no UCUM code; {way_out}", unit.text.escape_debug()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_meant_is_a_code_and_means_nothing_else() {
        for (written, meant) in MEANT {
            assert!(is_unit(written) && is_unit(meant), "{written}: what has another form is refused");
            assert_eq!((unit_meant(written), unit_meant(meant)), (Some(meant), None), "{written}");
        }
        assert_eq!(unit_meant("bar"), None);
    }
}
