//! Which fault is at work when. Knows nothing of what a fault does.

/// A fault of the plant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The motor's bearing loses its lubrication and grows hot.
    HotBearing,
    /// The tank's level sensor repeats its last value.
    FrozenLevel,
    /// The heater's outlet settles at a temperature it never had, well inside its limits.
    OddOutlet,
}

/// One occurrence of a fault.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FaultWindow {
    /// Which.
    pub fault: Fault,
    /// When it begins, seconds of plant time.
    pub at_s: f64,
    /// How long it lasts, seconds of plant time.
    pub for_s: f64,
}

/// The faults to come.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultSchedule {
    windows: Vec<FaultWindow>,
    repeat_s: Option<f64>,
}

impl FaultSchedule {
    /// The given faults, begun anew every `repeat_s` seconds if that is given and above zero.
    #[must_use]
    pub fn new(windows: Vec<FaultWindow>, repeat_s: Option<f64>) -> Self {
        Self { windows, repeat_s: repeat_s.filter(|period| *period > 0.0) }
    }

    /// No fault ever.
    #[must_use]
    pub const fn none() -> Self {
        Self { windows: Vec::new(), repeat_s: None }
    }

    /// The demonstration's: the bearing after 20 s, the level sensor after 30 s, the heater after 45 s; all gone before
    /// the minute is over, and again every three minutes.
    #[must_use]
    pub fn demo() -> Self {
        let window = |fault, at_s, for_s| FaultWindow { fault, at_s, for_s };
        Self::new(
            vec![
                window(Fault::HotBearing, 20.0, 18.0),
                window(Fault::FrozenLevel, 30.0, 12.0),
                window(Fault::OddOutlet, 45.0, 7.0),
            ],
            Some(180.0),
        )
    }

    /// Whether a fault is at work at a plant time, seconds.
    #[must_use]
    pub fn is_active(&self, fault: Fault, at_s: f64) -> bool {
        let within_s = self.repeat_s.map_or(at_s, |period| at_s.rem_euclid(period));
        self.windows.iter().any(|w| w.fault == fault && within_s >= w.at_s && within_s < w.at_s + w.for_s)
    }
}

impl Default for FaultSchedule {
    fn default() -> Self {
        Self::demo()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_shows_within_the_first_minute_and_comes_back() {
        let schedule = FaultSchedule::demo();
        for (fault, begin_s) in [(Fault::HotBearing, 20.0), (Fault::FrozenLevel, 30.0), (Fault::OddOutlet, 45.0)] {
            let active = |at_s: f64| schedule.is_active(fault, at_s);
            assert!(!active(begin_s - 0.1) && active(begin_s) && !active(60.0) && active(begin_s + 180.0), "{fault:?}");
            assert!(!FaultSchedule::none().is_active(fault, begin_s));
        }
    }

    #[test]
    fn a_schedule_without_repetition_ends() {
        let window = FaultWindow { fault: Fault::OddOutlet, at_s: 1.0, for_s: 1.0 };
        let schedule = FaultSchedule::new(vec![window], Some(0.0));
        assert!(schedule.is_active(Fault::OddOutlet, 1.5) && !schedule.is_active(Fault::OddOutlet, 181.5));
    }
}
