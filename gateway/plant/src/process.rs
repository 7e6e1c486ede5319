//! The simulated process: a pure step function of seed, time and faults. Knows no clock and no OPC UA.
//!
//! The pump fills the tank from switch to switch, the line empties it: a cycle of about seven seconds. The modes change
//! in a cycle of twenty, so that half a minute shows all that is normal.

use crate::catalog::signals;
use crate::fault::{Fault, FaultSchedule};
use crate::noise::Noise;

/// The longest step that is computed at once, seconds: the fastest time constant is 0.3 s.
const STEP_MAX_S: f64 = 0.05;
const MODE_CYCLE_S: f64 = 20.0;
const CLEAN_FROM_S: f64 = 14.0;
const OFF_FROM_S: f64 = 18.0;

const PUMP_SPEED_RUN: f64 = 2900.0;
const PUMP_SPEED_CLEAN: f64 = 2300.0;
const PUMP_FLOW_FULL: f64 = 65.0;
const TANK_VOLUME_L: f64 = 6.0;
const LINE_FLOW_OPEN: f64 = 29.0;
const LEVEL_LOW: f64 = 40.0;
const LEVEL_HIGH: f64 = 70.0;
const OUTLET_RUN: f64 = 62.0;
const OUTLET_CLEAN: f64 = 74.0;
const OUTLET_ODD: f64 = 48.0;
const BEARING_NORMAL: f64 = 54.0;
const BEARING_HOT: f64 = 106.0;

/// What the line does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nothing.
    Off = 0,
    /// Production.
    Run = 1,
    /// Cleaning: slower pump, hotter water.
    Clean = 2,
}

impl Mode {
    fn at(time_s: f64) -> Self {
        match time_s.rem_euclid(MODE_CYCLE_S) {
            within if within < CLEAN_FROM_S => Self::Run,
            within if within < OFF_FROM_S => Self::Clean,
            _ => Self::Off,
        }
    }
}

/// The process at a time.
#[derive(Clone, Debug)]
pub struct Process {
    noise: Noise,
    faults: FaultSchedule,
    time_s: f64,
    mode: Mode,
    pump_on: bool,
    pump_starts: u32,
    pump_speed: f64,
    level: f64,
    shown_level: f64,
    line_flow: f64,
    outlet: f64,
    heater_power: f64,
    motor_speed: f64,
    motor_hours: f64,
    winding: f64,
    bearing: f64,
    batch: u32,
}

impl Process {
    /// The plant in the middle of its work.
    #[must_use]
    pub fn new(seed: u64, faults: FaultSchedule) -> Self {
        Self {
            noise: Noise::new(seed),
            faults,
            time_s: 0.0,
            mode: Mode::Run,
            pump_on: true,
            pump_starts: 48_211,
            pump_speed: PUMP_SPEED_RUN,
            level: 52.0,
            shown_level: 52.0,
            line_flow: LINE_FLOW_OPEN,
            outlet: OUTLET_RUN,
            heater_power: 80.0,
            motor_speed: 1450.0,
            motor_hours: 12_345.0,
            winding: 71.0,
            bearing: BEARING_NORMAL,
            batch: 7_001,
        }
    }

    /// Plant time, seconds.
    #[must_use]
    pub const fn time_s(&self) -> f64 {
        self.time_s
    }

    /// The mode.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// The product in work.
    #[must_use]
    pub const fn product(&self) -> &'static str {
        match (self.mode, self.batch % 3) {
            (Mode::Off, _) => "none",
            (Mode::Clean, _) => "cleaning water",
            (Mode::Run, 0) => "syrup A",
            (Mode::Run, 1) => "syrup B",
            (Mode::Run, _) => "syrup C",
        }
    }

    /// Goes on by `by_s` seconds of plant time, and lets the level sensor measure. About 2 µs for 50 ms.
    pub fn step(&mut self, by_s: f64) {
        let mut left_s = by_s.max(0.0);
        while left_s > 0.0 {
            let dt = left_s.min(STEP_MAX_S);
            self.small_step(dt);
            left_s -= dt;
        }
        if !self.has(Fault::FrozenLevel) {
            self.shown_level = (self.level + self.noise.normal(0.12)).clamp(0.0, 100.0);
        }
    }

    fn has(&self, fault: Fault) -> bool {
        self.faults.is_active(fault, self.time_s)
    }

    fn small_step(&mut self, dt: f64) {
        self.time_s += dt;
        let mode = Mode::at(self.time_s);
        if mode == Mode::Run && self.mode != Mode::Run {
            self.batch = self.batch.wrapping_add(1);
        }
        self.mode = mode;
        self.switch_pump();
        let speed_target = match (self.pump_on, mode) {
            (false, _) => 0.0,
            (true, Mode::Clean) => PUMP_SPEED_CLEAN,
            (true, _) => PUMP_SPEED_RUN,
        };
        approach(&mut self.pump_speed, speed_target, 0.3, dt);
        let flow_target = if mode == Mode::Off { 0.0 } else { LINE_FLOW_OPEN * (0.9 + 0.1 * self.level / 55.0) };
        approach(&mut self.line_flow, flow_target, 0.3, dt);
        let net_l_per_min = self.pump_flow() - self.line_flow;
        self.level = (self.level + 100.0 * net_l_per_min / 60.0 / TANK_VOLUME_L * dt).clamp(0.0, 100.0);
        self.heat(dt);
        let (motor_target, winding_target) = match mode {
            Mode::Off => (0.0, 60.0),
            Mode::Run => (1450.0, 72.0),
            Mode::Clean => (900.0, 66.0),
        };
        approach(&mut self.motor_speed, motor_target, 0.5, dt);
        approach(&mut self.winding, winding_target, 15.0, dt);
        let bearing_target = if self.has(Fault::HotBearing) { BEARING_HOT } else { BEARING_NORMAL };
        approach(&mut self.bearing, bearing_target, 7.0, dt);
        self.motor_hours += if mode == Mode::Off { 0.0 } else { dt / 3600.0 };
    }

    /// From the lower switch to the upper one; all the time while cleaning, unless the tank is nearly full.
    fn switch_pump(&mut self) {
        let was_on = self.pump_on;
        self.pump_on = match self.mode {
            Mode::Off => false,
            _ if self.level <= LEVEL_LOW => true,
            _ if self.level >= LEVEL_HIGH => false,
            _ => was_on,
        };
        if self.pump_on && !was_on {
            self.pump_starts = self.pump_starts.wrapping_add(1);
        }
    }

    fn heat(&mut self, dt: f64) {
        let setpoint = self.setpoint();
        let ripple = 0.8 * (std::f64::consts::TAU * self.time_s / 5.0).sin();
        let target = if self.has(Fault::OddOutlet) { OUTLET_ODD } else { setpoint + ripple };
        // With the line closed the water in the heater merely cools down.
        let (target, tau_s) = if self.mode == Mode::Off { (OUTLET_RUN - 4.0, 6.0) } else { (target, 1.0) };
        approach(&mut self.outlet, target, tau_s, dt);
        let needed_kw = self.line_flow / 60.0 * 4.19 * (self.outlet - self.inlet()).max(0.0);
        approach(&mut self.heater_power, if self.mode == Mode::Off { 0.0 } else { needed_kw }, 0.5, dt);
    }

    const fn setpoint(&self) -> f64 {
        match self.mode {
            Mode::Clean => OUTLET_CLEAN,
            _ => OUTLET_RUN,
        }
    }

    fn pump_flow(&self) -> f64 {
        PUMP_FLOW_FULL * self.pump_speed / PUMP_SPEED_RUN
    }

    fn inlet(&self) -> f64 {
        18.0 + 0.6 * (std::f64::consts::TAU * self.time_s / 47.0).sin()
    }

    /// What the sensors show now, in the order of [`signals`]; 0 in the place of text. Draws new noise at each call.
    pub fn values(&mut self) -> Vec<f64> {
        let speed_share = self.pump_speed / PUMP_SPEED_RUN;
        let motor_share = self.motor_speed / 1450.0;
        let wear = (self.bearing - BEARING_NORMAL).max(0.0) / 40.0;
        let open = if self.mode == Mode::Off { 0.0 } else { 100.0 };
        let flow = self.pump_flow();
        let (setpoint, inlet) = (self.setpoint(), self.inlet());
        let noise = &mut self.noise;
        let mut noisy = |value: f64, sd: f64| value + noise.normal(sd);
        let mut shown = vec![
            f64::from(u8::from(self.pump_on)),
            noisy(self.pump_speed, 4.0),
            noisy(flow, 0.4),
            noisy(0.15 + 2.9 * speed_share.powi(3), 0.02),
            noisy(0.9 - 0.2 * speed_share, 0.006),
            noisy(0.4 + 3.6 * speed_share.powi(2), 0.03),
            noisy(0.3 + 2.1 * speed_share, 0.12),
            f64::from(self.pump_starts),
            self.shown_level,
            noisy(21.0 + 1.5 * (std::f64::consts::TAU * self.time_s / 61.0).sin(), 0.05),
            noisy(if self.pump_on { 100.0 } else { 2.0 }, 0.1),
            noisy(open, 0.1),
            f64::from(u8::from(self.level >= LEVEL_HIGH - 1.0)),
            f64::from(u8::from(self.level <= LEVEL_LOW + 1.0)),
            f64::from(u8::from(self.mode != Mode::Off)),
            setpoint,
            noisy(inlet, 0.06),
            noisy(self.outlet, 0.15),
            noisy(self.heater_power, 0.5),
            noisy(self.motor_speed, 2.0),
            noisy(0.4 + 7.2 * motor_share + 0.8 * wear, 0.08),
            noisy(28.0 * motor_share + 2.0 * wear, 0.3),
            noisy(self.winding, 0.1),
            noisy(self.bearing, 0.15),
            noisy(0.2 + 1.4 * motor_share + 1.5 * wear, 0.08),
            self.motor_hours,
            f64::from(self.mode as u8),
            noisy(1.2 + 1.6 * speed_share.powi(2), 0.02),
            noisy(self.line_flow, 0.25),
            f64::from(self.batch),
            0.0,
        ];
        for (value, signal) in shown.iter_mut().zip(signals()) {
            *value = value.clamp(signal.range.0, signal.range.1);
        }
        shown
    }
}

/// A first-order lag with the time constant `tau_s`.
fn approach(value: &mut f64, target: f64, tau_s: f64, dt: f64) {
    *value += (target - *value) * (1.0 - (-dt / tau_s).exp());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shown values every 100 ms for `seconds`, each with its plant time.
    fn record(seed: u64, faults: FaultSchedule, seconds: u32) -> Vec<(f64, Vec<f64>)> {
        let mut process = Process::new(seed, faults);
        (0..seconds * 10)
            .map(|_| {
                process.step(0.1);
                (process.time_s(), process.values())
            })
            .collect()
    }

    fn of(name: &str) -> usize {
        signals().iter().position(|signal| signal.name == name).unwrap()
    }

    fn series(record: &[(f64, Vec<f64>)], name: &str, from_s: f64, to_s: f64) -> Vec<f64> {
        let at = of(name);
        record.iter().filter(|(time, _)| (from_s..to_s).contains(time)).map(|(_, values)| values[at]).collect()
    }

    fn extent(values: &[f64]) -> (f64, f64) {
        values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(*v), high.max(*v)))
    }

    #[test]
    fn the_same_seed_gives_the_same_plant_and_another_seed_another() {
        assert_eq!(record(1, FaultSchedule::demo(), 30), record(1, FaultSchedule::demo(), 30));
        assert_ne!(record(1, FaultSchedule::demo(), 1), record(2, FaultSchedule::demo(), 1));
    }

    #[test]
    fn a_healthy_plant_stays_well_inside_its_ranges_and_shows_all_modes() {
        let record = record(7, FaultSchedule::none(), 300);
        for (at, signal) in signals().iter().enumerate().filter(|(_, signal)| signal.range.1 > 0.0) {
            let (low, high) = extent(&record.iter().map(|(_, values)| values[at]).collect::<Vec<_>>());
            assert!(low >= signal.range.0 && high <= signal.range.1, "{}: {low} to {high}", signal.name);
            assert!(high > low || signal.name == "heater/on", "{} never changes", signal.name);
        }
        let (low, high) = extent(&series(&record, "tank/level", 0.0, 300.0));
        assert!(low > 25.0 && high < 85.0, "the level runs from {low} to {high}");
        assert!(extent(&series(&record, "motor/bearing_temp", 0.0, 300.0)).1 < 60.0);
        let mut modes = series(&record, "line/mode", 0.0, 20.0);
        modes.dedup();
        assert_eq!(modes, vec![1.0, 2.0, 0.0]);
    }

    #[test]
    fn the_pump_cycles_every_six_to_eight_seconds_in_production() {
        let record = record(7, FaultSchedule::none(), 14);
        let running = series(&record, "pump/running", 0.0, 14.0);
        let starts: Vec<usize> =
            running.windows(2).enumerate().filter(|(_, w)| w[0] == 0.0 && w[1] == 1.0).map(|(at, _)| at).collect();
        assert!(!starts.is_empty() && starts[0] < 80, "first start after {starts:?} tenths of a second");
        for pair in starts.windows(2) {
            assert!((55..=80).contains(&(pair[1] - pair[0])), "a cycle of {} tenths", pair[1] - pair[0]);
        }
    }

    #[test]
    fn the_bearing_passes_both_limits_and_recovers() {
        let record = record(7, FaultSchedule::demo(), 80);
        assert!(extent(&series(&record, "motor/bearing_temp", 0.0, 20.0)).1 < 60.0);
        assert!(extent(&series(&record, "motor/bearing_temp", 20.0, 28.0)).1 > 80.0, "above high within 8 s");
        assert!(extent(&series(&record, "motor/bearing_temp", 20.0, 38.0)).1 > 96.0, "above high-high");
        assert!(extent(&series(&record, "motor/bearing_temp", 58.0, 80.0)).1 < 70.0, "back to normal");
    }

    #[test]
    fn the_frozen_sensor_repeats_one_value_while_the_pump_works() {
        let record = record(7, FaultSchedule::demo(), 60);
        let (low, high) = extent(&series(&record, "tank/level", 30.1, 41.9));
        assert_eq!(low, high);
        let (slow, fast) = extent(&series(&record, "pump/speed", 30.1, 41.9));
        assert!(fast - slow > 2000.0, "the pump starts and stops");
        let healthy = series(&record, "tank/level", 0.0, 29.0);
        assert!(healthy.windows(2).all(|w| w[0] != w[1]), "a healthy sensor never repeats itself");
    }

    #[test]
    fn the_odd_outlet_is_new_yet_inside_the_limits() {
        let record = record(7, FaultSchedule::demo(), 60);
        let (known_low, known_high) = extent(&series(&record, "heater/outlet_temp", 0.0, 45.0));
        assert!(known_low > 55.0 && known_high < 78.0, "normal is {known_low} to {known_high}");
        let odd = series(&record, "heater/outlet_temp", 48.0, 52.0);
        let (low, high) = extent(&odd);
        assert!(low > 40.0 && high < known_low - 4.0, "odd is {low} to {high}");
    }
}
