//! Engineering units as servers tell them (OPC 10000-8 §5.6.3) and as we name them: UCUM codes.

use opcua::types::EUInformation;

/// Whose codes UnitIds usually are: UNECE Recommendation 20, three characters as a number.
const CEFACT: &str = "http://www.opcfoundation.org/UA/units/un/cefact";

/// The UCUM code of a unit: from its UnitId where that is one of the usual, else the name that is shown to people if it
/// has the form of a code. `None` where neither is so.
#[must_use]
pub fn ucum_of(unit: &EUInformation) -> Option<String> {
    let namespace = unit.namespace_uri.as_ref();
    if namespace.is_empty() || namespace == CEFACT {
        let code = common_code(unit.unit_id);
        if let Some((_, ucum)) = UNITS.iter().find(|(known, _)| *known == code) {
            return Some((*ucum).to_owned());
        }
    }
    ucum_of_symbol(unit.display_name.text.as_ref())
}

/// The UNECE code that a UnitId stands for: its bytes as characters, the highest first.
fn common_code(unit_id: i32) -> String {
    unit_id.to_be_bytes().into_iter().filter(|byte| *byte != 0).map(char::from).collect()
}

/// A symbol such as `m³/h` as a code; `None` where it has no such form.
fn ucum_of_symbol(symbol: &str) -> Option<String> {
    let symbol = symbol.trim();
    if let Some((_, ucum)) = SYMBOLS.iter().find(|(known, _)| *known == symbol) {
        return Some((*ucum).to_owned());
    }
    let mut code = String::with_capacity(symbol.len());
    for character in symbol.chars() {
        match character {
            '²' => code.push('2'),
            '³' => code.push('3'),
            '\u{b5}' | '\u{3bc}' => code.push('u'),
            '·' | '⋅' => code.push('.'),
            '\u{3a9}' | '\u{2126}' => code.push_str("Ohm"),
            '°' => code.push_str("deg"),
            character if character.is_ascii_graphic() => code.push(character),
            _ => return None,
        }
    }
    (!code.is_empty()).then_some(code)
}

const SYMBOLS: [(&str, &str); 12] = [
    ("°C", "Cel"),
    ("℃", "Cel"),
    ("°F", "[degF]"),
    ("℉", "[degF]"),
    ("psi", "[psi]"),
    ("rpm", "/min"),
    ("1/min", "/min"),
    ("r/min", "/min"),
    ("U/min", "/min"),
    ("min⁻¹", "/min"),
    ("s⁻¹", "/s"),
    ("ppm", "[ppm]"),
];

/// UNECE Recommendation 20 to UCUM.
const UNITS: &[(&str, &str)] = &[
    // Ratios.
    ("C62", "1"),
    ("P1", "%"),
    ("59", "[ppm]"),
    ("2N", "dB"),
    ("Q30", "[pH]"),
    // Temperature.
    ("CEL", "Cel"),
    ("FAH", "[degF]"),
    ("KEL", "K"),
    ("H14", "Cel/s"),
    ("H13", "Cel/min"),
    ("H12", "Cel/h"),
    ("F12", "K/s"),
    ("F11", "K/min"),
    ("F10", "K/h"),
    // Pressure.
    ("PAL", "Pa"),
    ("A97", "hPa"),
    ("KPA", "kPa"),
    ("MPA", "MPa"),
    ("A89", "GPa"),
    ("74", "mPa"),
    ("BAR", "bar"),
    ("MBR", "mbar"),
    ("B85", "ubar"),
    ("ATM", "atm"),
    ("ATT", "att"),
    ("PS", "[psi]"),
    ("HP", "mm[H2O]"),
    ("H78", "cm[H2O]"),
    ("HN", "mm[Hg]"),
    ("C55", "N/m2"),
    ("C56", "N/mm2"),
    // Length, area, volume.
    ("KMT", "km"),
    ("KTM", "km"),
    ("MTR", "m"),
    ("DMT", "dm"),
    ("CMT", "cm"),
    ("MMT", "mm"),
    ("4H", "um"),
    ("C45", "nm"),
    ("INH", "[in_i]"),
    ("FOT", "[ft_i]"),
    ("KMK", "km2"),
    ("MTK", "m2"),
    ("DMK", "dm2"),
    ("CMK", "cm2"),
    ("MMK", "mm2"),
    ("MTQ", "m3"),
    ("DMQ", "dm3"),
    ("CMQ", "cm3"),
    ("MMQ", "mm3"),
    ("HLT", "hL"),
    ("LTR", "L"),
    ("CLT", "cL"),
    ("MLT", "mL"),
    ("4G", "uL"),
    ("GLL", "[gal_us]"),
    // Mass and its density.
    ("TNE", "t"),
    ("KGM", "kg"),
    ("GRM", "g"),
    ("MGM", "mg"),
    ("MC", "ug"),
    ("LBR", "[lb_av]"),
    ("KMQ", "kg/m3"),
    ("B34", "kg/dm3"),
    ("B35", "kg/L"),
    ("23", "g/cm3"),
    ("GL", "g/L"),
    ("M1", "mg/L"),
    ("H29", "ug/L"),
    ("A93", "g/m3"),
    ("GP", "mg/m3"),
    ("GQ", "ug/m3"),
    ("GM", "g/m2"),
    ("28", "kg/m2"),
    ("NA", "mg/kg"),
    // Time and frequency.
    ("DAY", "d"),
    ("HUR", "h"),
    ("MIN", "min"),
    ("SEC", "s"),
    ("C26", "ms"),
    ("B98", "us"),
    ("C47", "ns"),
    ("HTZ", "Hz"),
    ("KHZ", "kHz"),
    ("MHZ", "MHz"),
    ("A86", "GHz"),
    ("RPM", "/min"),
    ("M46", "/min"),
    ("C94", "/min"),
    ("OPM", "/min"),
    ("RPS", "/s"),
    ("C97", "/s"),
    ("H10", "/h"),
    // Motion and angle.
    ("MTS", "m/s"),
    ("2X", "m/min"),
    ("M60", "m/h"),
    ("KMH", "km/h"),
    ("C16", "mm/s"),
    ("H81", "mm/min"),
    ("2M", "cm/s"),
    ("MSK", "m/s2"),
    ("M41", "mm/s2"),
    ("C81", "rad"),
    ("C25", "mrad"),
    ("DD", "deg"),
    ("2A", "rad/s"),
    ("2B", "rad/s2"),
    ("E96", "deg/s"),
    // Force and torque.
    ("NEW", "N"),
    ("C20", "mN"),
    ("B47", "kN"),
    ("B73", "MN"),
    ("NU", "N.m"),
    ("D83", "mN.m"),
    ("F88", "N.cm"),
    ("B48", "kN.m"),
    ("4P", "N/m"),
    ("F47", "N/mm"),
    // Flow.
    ("MQS", "m3/s"),
    ("G53", "m3/min"),
    ("MQH", "m3/h"),
    ("G52", "m3/d"),
    ("G51", "L/s"),
    ("L2", "L/min"),
    ("LD", "L/d"),
    ("E92", "dm3/h"),
    ("40", "mL/s"),
    ("41", "mL/min"),
    ("G55", "mL/h"),
    ("2J", "cm3/s"),
    ("G49", "cm3/min"),
    ("G2", "[gal_us]/min"),
    ("KGS", "kg/s"),
    ("F31", "kg/min"),
    ("E93", "kg/h"),
    ("F30", "kg/d"),
    ("F29", "g/s"),
    ("F28", "g/min"),
    ("F27", "g/h"),
    ("E18", "t/h"),
    ("L71", "t/d"),
    // Energy and power.
    ("JOU", "J"),
    ("KJO", "kJ"),
    ("3B", "MJ"),
    ("GV", "GJ"),
    ("WHR", "W.h"),
    ("KWH", "kW.h"),
    ("MWH", "MW.h"),
    ("GWH", "GW.h"),
    ("C31", "mW"),
    ("WTT", "W"),
    ("KWT", "kW"),
    ("MAW", "MW"),
    ("A90", "GW"),
    ("D54", "W/m2"),
    ("D53", "W/(m.K)"),
    ("D55", "W/(m2.K)"),
    ("B42", "kJ/kg"),
    ("B11", "J/(kg.K)"),
    ("B43", "kJ/(kg.K)"),
    // Electricity and magnetism.
    ("AMP", "A"),
    ("B22", "kA"),
    ("4K", "mA"),
    ("B84", "uA"),
    ("AMH", "A.h"),
    ("E09", "mA.h"),
    ("COU", "C"),
    ("VLT", "V"),
    ("KVT", "kV"),
    ("2Z", "mV"),
    ("D82", "uV"),
    ("D46", "V.A"),
    ("KVA", "kV.A"),
    ("MVA", "MV.A"),
    ("OHM", "Ohm"),
    ("E45", "mOhm"),
    ("B49", "kOhm"),
    ("B75", "MOhm"),
    ("FAR", "F"),
    ("4O", "uF"),
    ("C41", "nF"),
    ("4T", "pF"),
    ("81", "H"),
    ("C14", "mH"),
    ("B90", "uH"),
    ("SIE", "S"),
    ("D10", "S/m"),
    ("H61", "mS/cm"),
    ("G42", "uS/cm"),
    ("D33", "T"),
    ("C29", "mT"),
    ("WEB", "Wb"),
    // Viscosity, light, substance, radiation.
    ("C65", "Pa.s"),
    ("C24", "mPa.s"),
    ("C7", "cP"),
    ("S4", "m2/s"),
    ("C17", "mm2/s"),
    ("4C", "cSt"),
    ("LUX", "lx"),
    ("LUM", "lm"),
    ("CDL", "cd"),
    ("C34", "mol"),
    ("C18", "mmol"),
    ("C38", "mol/L"),
    ("C36", "mol/m3"),
    ("M33", "mmol/L"),
    ("BQL", "Bq"),
    ("P72", "uSv/h"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn unit(namespace: &str, unit_id: i32, shown: &str) -> EUInformation {
        EUInformation { namespace_uri: namespace.into(), unit_id, display_name: shown.into(), ..Default::default() }
    }

    #[test]
    fn units_become_codes() {
        for (namespace, unit_id, shown, code) in [
            (CEFACT, 4_408_652, "°C", Some("Cel")),
            (CEFACT, 5_067_080, "m³/h", Some("m3/h")),
            ("", 20_529, "%", Some("%")),
            (CEFACT, 19_506, "l/min", Some("L/min")),
            (CEFACT, 5_394_509, "r/min", Some("/min")),
            // Not among the usual ones: what people are shown.
            (CEFACT, 4_732_726, "g/mm", Some("g/mm")),
            ("http://vendor.example/units", 4_408_652, "m³/h", Some("m3/h")),
            ("http://unitsofmeasure.org", -1, "mm[Hg]", Some("mm[Hg]")),
            ("", -1, "°C", Some("Cel")),
            ("", 0, " µS/cm ", Some("uS/cm")),
            ("", 0, "pieces a day", None),
            ("", 0, "", None),
            ("", 0, "単位", None),
        ] {
            assert_eq!(ucum_of(&unit(namespace, unit_id, shown)).as_deref(), code, "{namespace} {unit_id} {shown}");
        }
    }

    #[test]
    fn each_code_stands_once_and_every_one_has_the_form_of_a_code() {
        let codes: HashSet<&str> = UNITS.iter().map(|(code, _)| *code).collect();
        assert_eq!(codes.len(), UNITS.len());
        assert!(UNITS.iter().chain(&SYMBOLS).all(|(_, ucum)| ucum.bytes().all(|byte| byte.is_ascii_graphic())));
    }
}
