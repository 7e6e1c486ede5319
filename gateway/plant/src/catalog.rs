//! What the plant shows: each signal's name, node, kind, unit, range and meaning. The configuration of the
//! demonstration is checked against this list.

use watchfire_model::Kind;

/// The plant's namespace.
pub const NAMESPACE: &str = "urn:watchfire:plant";

/// One variable of the plant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlantSignal {
    /// Its path below `Plant`, such as `pump/flow`; also the string of its node id.
    pub name: &'static str,
    /// What its values are.
    pub kind: Kind,
    /// UCUM code; empty for none.
    pub unit: &'static str,
    /// Engineering range; 0 to 0 for text.
    pub range: (f64, f64),
    /// How often it is updated, milliseconds.
    pub update_ms: u32,
    /// What it is.
    pub description: &'static str,
}

impl PlantSignal {
    /// Its node id, as a configuration writes it.
    #[must_use]
    pub fn node(&self) -> String {
        format!("nsu={NAMESPACE};s={}", self.name)
    }
}

/// Every signal of the plant, in the order of [`crate::Process::values`].
#[must_use]
pub const fn signals() -> &'static [PlantSignal] {
    SIGNALS
}

const fn real(
    name: &'static str,
    unit: &'static str,
    range: (f64, f64),
    update_ms: u32,
    description: &'static str,
) -> PlantSignal {
    PlantSignal { name, kind: Kind::Real, unit, range, update_ms, description }
}

const fn discrete(name: &'static str, kind: Kind, range: (f64, f64), description: &'static str) -> PlantSignal {
    PlantSignal { name, kind, unit: "", range, update_ms: 100, description }
}

const SIGNALS: &[PlantSignal] = &[
    discrete("pump/running", Kind::Boolean, (0.0, 1.0), "The feed pump is switched on"),
    real("pump/speed", "/min", (0.0, 3600.0), 100, "Speed of the feed pump"),
    real("pump/flow", "L/min", (0.0, 100.0), 100, "Flow behind the feed pump"),
    real("pump/power", "kW", (0.0, 5.0), 200, "Electrical power of the feed pump"),
    real("pump/suction_pressure", "bar", (0.0, 2.0), 200, "Pressure before the feed pump"),
    real("pump/discharge_pressure", "bar", (0.0, 10.0), 100, "Pressure behind the feed pump"),
    real("pump/vibration", "mm/s", (0.0, 20.0), 100, "Vibration velocity of the feed pump"),
    discrete("pump/starts", Kind::Unsigned, (0.0, 4_294_967_295.0), "Starts of the feed pump since it was installed"),
    real("tank/level", "%", (0.0, 100.0), 100, "Level of the buffer tank"),
    real("tank/temperature", "Cel", (0.0, 100.0), 250, "Temperature in the buffer tank"),
    real("tank/inlet_valve", "%", (0.0, 100.0), 200, "Opening of the tank's inlet valve"),
    real("tank/outlet_valve", "%", (0.0, 100.0), 200, "Opening of the tank's outlet valve"),
    discrete("tank/high_switch", Kind::Boolean, (0.0, 1.0), "The level has reached the upper switch"),
    discrete("tank/low_switch", Kind::Boolean, (0.0, 1.0), "The level has fallen to the lower switch"),
    discrete("heater/on", Kind::Boolean, (0.0, 1.0), "The heater is switched on"),
    real("heater/setpoint", "Cel", (0.0, 120.0), 250, "Temperature the heater is to reach"),
    real("heater/inlet_temp", "Cel", (0.0, 100.0), 200, "Temperature before the heater"),
    real("heater/outlet_temp", "Cel", (0.0, 120.0), 100, "Temperature behind the heater"),
    real("heater/power", "kW", (0.0, 150.0), 200, "Electrical power of the heater"),
    real("motor/speed", "/min", (0.0, 1800.0), 100, "Speed of the stirrer's motor"),
    real("motor/current", "A", (0.0, 20.0), 100, "Current of the stirrer's motor"),
    real("motor/torque", "N.m", (0.0, 60.0), 200, "Torque of the stirrer's motor"),
    real("motor/winding_temp", "Cel", (0.0, 180.0), 250, "Temperature of the motor's winding"),
    real("motor/bearing_temp", "Cel", (0.0, 150.0), 200, "Temperature of the motor's bearing"),
    real("motor/vibration", "mm/s", (0.0, 20.0), 100, "Vibration velocity of the motor"),
    real("motor/hours", "h", (0.0, 100_000.0), 250, "Hours the motor has run"),
    discrete("line/mode", Kind::Enumeration, (0.0, 2.0), "Operating mode: 0 off, 1 run, 2 clean"),
    real("line/pressure", "bar", (0.0, 6.0), 100, "Pressure in the line"),
    real("line/flow", "L/min", (0.0, 60.0), 100, "Flow through the line"),
    discrete("line/batch", Kind::Unsigned, (0.0, 4_294_967_295.0), "Number of the batch in work"),
    discrete("line/product", Kind::Text, (0.0, 0.0), "Product in work"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_signal_is_described_once() {
        let names: HashSet<&str> = signals().iter().map(|signal| signal.name).collect();
        assert_eq!(names.len(), signals().len());
        assert!((25..=40).contains(&names.len()));
        for signal in signals() {
            assert!(!signal.description.is_empty() && (100..=250).contains(&signal.update_ms), "{}", signal.name);
            assert!(signal.kind == Kind::Text || signal.range.0 < signal.range.1, "{}", signal.name);
            assert!(signal.unit.bytes().all(|byte| byte.is_ascii_graphic()), "{}", signal.unit);
        }
    }
}
