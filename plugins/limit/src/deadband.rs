//! The deadband a signal gets when none is configured: by what is measured, as is common practice for alarms.

use watchfire_detector::Signal;

use crate::Settings;

const PRESSURES: [&str; 12] =
    ["Pa", "hPa", "kPa", "MPa", "bar", "mbar", "[psi]", "atm", "mm[Hg]", "m[H2O]", "cm[H2O]", "at"];
const TEMPERATURES: [&str; 4] = ["Cel", "K", "[degF]", "mK"];
const AMOUNTS: [&str; 15] =
    ["m3", "dm3", "cm3", "L", "l", "mL", "ml", "hL", "kg", "g", "t", "[gal_us]", "[gal_br]", "[ft_i]3", "mol"];
const PERIODS: [&str; 5] = ["s", "min", "h", "d", "a"];

/// The deadband of a signal in its own unit: what is configured, or a share of its span.
pub fn of(settings: &Settings, signal: &Signal) -> f64 {
    settings.deadband.unwrap_or_else(|| share(signal) * span(settings, signal))
}

/// The share of the span: pressure 2 %, flow and level 5 %, temperature and all else 1 %.
fn share(signal: &Signal) -> f64 {
    let unit = signal.unit.as_deref().unwrap_or_default();
    if PRESSURES.contains(&unit) {
        0.02
    } else if TEMPERATURES.contains(&unit) {
        0.01
    } else if is_flow(unit) || is_level(signal) {
        0.05
    } else {
        0.01
    }
}

fn is_flow(unit: &str) -> bool {
    unit.split_once('/').is_some_and(|(amount, period)| AMOUNTS.contains(&amount) && PERIODS.contains(&period))
}

/// No unit says "level": its name does.
fn is_level(signal: &Signal) -> bool {
    let named = signal.name.rsplit('/').next().unwrap_or_default();
    [named, &signal.role].iter().any(|text| text.to_ascii_lowercase().contains("level"))
}

/// The engineering range, else the distance between the outermost limits, else the size of the one limit.
fn span(settings: &Settings, signal: &Signal) -> f64 {
    if let Some((low, high)) = signal.range
        && high > low
    {
        return high - low;
    }
    let given = settings.given();
    let least = given.iter().copied().fold(f64::INFINITY, f64::min);
    let most = given.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if most > least {
        most - least
    } else if given.is_empty() {
        0.0
    } else {
        most.abs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deadband_follows_what_is_measured() {
        let both = Settings { high: Some(80.0), low: Some(40.0), ..Settings::default() };
        let one = Settings { high: Some(80.0), ..Settings::default() };
        let own = Settings { deadband: Some(0.25), ..one.clone() };
        for (settings, unit, name, range, expected) in [
            (&both, "bar", "plant/p", Some((0.0, 10.0)), 0.2),
            (&both, "m3/h", "plant/f", Some((0.0, 100.0)), 5.0),
            (&both, "%", "plant/tank_level", Some((0.0, 100.0)), 5.0),
            (&both, "Cel", "plant/level/t", Some((0.0, 200.0)), 2.0),
            (&both, "A", "plant/i", None, 0.4),
            (&one, "bar", "plant/p", None, 1.6),
            (&own, "bar", "plant/p", Some((0.0, 10.0)), 0.25),
        ] {
            let signal = Signal { unit: Some(unit.into()), name: name.into(), range, ..Signal::default() };
            assert!((of(settings, &signal) - expected).abs() < 1e-12, "{unit} {name}: {}", of(settings, &signal));
        }
    }
}
