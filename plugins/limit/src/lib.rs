//! Limits and rate of change: high-high, high, low, low-low, each with a deadband (ISA-18.2, OPC 10000-9 §5.8.18 and
//! §5.8.22). Learns nothing; what it says depends on the values alone.
//!
//! A value that is bad or not a number says nothing about the process: the level is unknown until the next good one.
//! A value that another detector distrusts is judged all the same, since no detector may silence a limit.

mod deadband;
mod levels;
mod rate;
mod settings;

use serde::{Deserialize, Serialize};
use watchfire_detector::{
    Batch, Blame, Condition, Description, Detector, Finding, Kind, Level, Outcome, Refusal, Row, Setup, Signal, Slot,
    Verdict, Versioned, config, restore, snapshot,
};

use levels::{Band, Limits};
use rate::Rate;
pub use settings::Settings;

/// Which place the conditions have in the list that `init` answers.
#[derive(Clone, Copy, Debug, Default)]
struct Places {
    limit: Option<u16>,
    rate: Option<u16>,
}

/// What lasts of a signal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Kept {
    /// The last level that a good value had.
    level: Level,
    /// The level last told; none before the first value.
    told: Option<Level>,
    /// The value at which it was told.
    value: f64,
    rate: Rate,
}

/// All that lasts.
#[derive(Debug, Default, Serialize, Deserialize)]
struct State(Vec<Kept>);

impl Versioned for State {
    const VERSION: u32 = 1;
}

/// A signal and how it stands.
struct Watched {
    limits: Limits,
    kept: Kept,
    signal: Signal,
}

/// The detector.
pub struct Limit {
    settings: Settings,
    places: Places,
    watched: Vec<Watched>,
    /// For each signal the values that change nothing: all that most rows are asked, so they stand close together.
    /// Nothing while the level is not known.
    stays: Vec<Band>,
    /// The values that change nothing whichever signal they are of; none while that is not worth knowing.
    common: Option<Band>,
    restate: bool,
}

impl Detector for Limit {
    fn describe() -> Description {
        Description {
            id: "limit".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            title: "limits and rate of change".into(),
            state_version: State::VERSION,
            config_schema: settings::SCHEMA.into(),
            conditions: vec![settings::limit_condition(), settings::rate_condition()],
            slots: vec![Slot {
                role: String::new(),
                kinds: vec![Kind::Boolean, Kind::Signed, Kind::Unsigned, Kind::Real, Kind::Enumeration],
                least: 1,
                most: None,
            }],
            tick_ns: None,
            warm_up_samples: 0,
        }
    }

    fn init(setup: Setup) -> Result<(Self, Vec<Condition>), Refusal> {
        let settings: Settings = config(&setup.config)?;
        settings.check()?;
        let mut conditions = Vec::new();
        let mut places = Places::default();
        if settings.has_limits() {
            places.limit = Some(0);
            conditions.push(settings::limit_condition());
        }
        if settings.rate_per_s.is_some() {
            places.rate = Some(if places.limit.is_some() { 1 } else { 0 });
            conditions.push(settings::rate_condition());
        }
        let watched = setup.signals.into_iter().map(|signal| {
            let limits = settings.limits(deadband::of(&settings, &signal));
            Watched { limits, kept: Kept::default(), signal }
        });
        let watched: Vec<Watched> = watched.collect();
        let stays = vec![Band::NOTHING; watched.len()];
        Ok((Self { watched, stays, common: None, settings, places, restate: false }, conditions))
    }

    fn process(&mut self, batch: &Batch) -> Result<Outcome, Refusal> {
        let mut outcome = Outcome::default();
        if std::mem::take(&mut self.restate) {
            self.restate(batch.now, &mut outcome.verdicts);
        }
        if let Some(place) = self.places.limit {
            self.levels(place, batch, &mut outcome.verdicts);
        }
        if let (Some(place), Some(most_per_s)) = (self.places.rate, self.settings.rate_per_s) {
            self.rates(place, most_per_s, batch, &mut outcome.verdicts);
        }
        Ok(outcome)
    }

    fn save(&self) -> Vec<u8> {
        snapshot(&State(self.watched.iter().map(|watched| watched.kept.clone()).collect()))
    }

    fn load(&mut self, state_version: u32, bytes: &[u8]) -> Result<(), Refusal> {
        let State(kept) = restore(state_version, bytes)?;
        if kept.len() != self.watched.len() {
            let message = format!("the state is of {} signals, the binding has {}", kept.len(), self.watched.len());
            return Err(Refusal { blame: Blame::State, key: None, message });
        }
        for ((watched, stay), kept) in self.watched.iter_mut().zip(&mut self.stays).zip(kept) {
            let known = kept.told.is_some_and(|told| told != Level::Unknown);
            *stay = if known { watched.limits.stay(kept.level) } else { Band::NOTHING };
            watched.kept = kept;
        }
        self.common = None;
        self.restate = true;
        Ok(())
    }
}

impl Limit {
    /// Looks at the rows by eights: a loop costs a check of fuel and time each turn, and most rows change nothing. Where
    /// signals have the same limits and stand as well, it need not even be looked whose they are.
    fn levels(&mut self, place: u16, batch: &Batch, verdicts: &mut Vec<Verdict>) {
        let (signals, signals_left) = batch.signal.as_chunks::<8>();
        let (values, values_left) = batch.value.as_chunks::<8>();
        let (statuses, statuses_left) = batch.status.as_chunks::<8>();
        // Looking at every signal must not cost more than looking at the rows.
        if self.common.is_none() && batch.signal.len() >= self.stays.len() / 2 {
            self.common = Some(Band::common(&self.stays));
        }
        let mut common = self.common.unwrap_or(Band::NOTHING);
        for (eight, ((signal, value), status)) in signals.iter().zip(values).zip(statuses).enumerate() {
            let good = status.iter().fold(0, |bits, status| bits | status) >> 31 == 0;
            if good && (common.holds_all(value) || self.changes_nothing(signal, value)) {
                continue;
            }
            self.each(place, batch, 8 * eight, (signal, value, status), verdicts);
            common = self.common.unwrap_or(Band::NOTHING);
        }
        let left = (signals_left, values_left, statuses_left);
        self.each(place, batch, batch.signal.len() - signals_left.len(), left, verdicts);
    }

    /// Whether eight good rows leave all levels as they are. Without a branch.
    #[inline]
    fn changes_nothing(&self, signal: &[u32; 8], value: &[f64; 8]) -> bool {
        signal.iter().zip(value).fold(true, |calm, (signal, value)| {
            let stay = self.stays.get(*signal as usize).unwrap_or(&Band::NOTHING);
            calm & stay.holds(*value)
        })
    }

    /// Looks at each of some rows, which begin at row `first` of the batch.
    fn each(
        &mut self,
        place: u16,
        batch: &Batch,
        first: usize,
        (signals, values, statuses): (&[u32], &[f64], &[u32]),
        verdicts: &mut Vec<Verdict>,
    ) {
        for (row, ((signal, value), status)) in (first..).zip(signals.iter().zip(values).zip(statuses)) {
            let stay = self.stays.get(*signal as usize).copied().unwrap_or(Band::NOTHING);
            if *status >> 31 != 0 || !stay.holds(*value) {
                let time = batch.time.get(row).copied().unwrap_or(batch.now);
                let row = Row { signal: *signal, time, value: *value, status: *status, quality: 0 };
                verdicts.extend(self.judge(place, row));
            }
        }
    }

    /// The level of a row that may change it; a verdict if it does.
    #[cold]
    fn judge(&mut self, place: u16, row: Row) -> Option<Verdict> {
        let index = row.signal as usize;
        let (watched, stay) = self.watched.get_mut(index).zip(self.stays.get_mut(index))?;
        self.common = None;
        let level = if row.status >> 31 != 0 || row.value.is_nan() {
            *stay = Band::NOTHING;
            Level::Unknown
        } else {
            watched.kept.level = watched.limits.next(watched.kept.level, row.value);
            *stay = watched.limits.stay(watched.kept.level);
            watched.kept.level
        };
        if watched.kept.told == Some(level) {
            return None;
        }
        watched.kept.told = Some(level);
        watched.kept.value = row.value;
        Some(watched.verdict(place, row, level))
    }

    /// After a load: every level that is not normal once more.
    fn restate(&mut self, now: i64, verdicts: &mut Vec<Verdict>) {
        for (instance, watched) in (0..).zip(&self.watched) {
            let row = Row { signal: instance, time: now, value: watched.kept.value, status: 0, quality: 0 };
            if let (Some(place), Some(told)) = (self.places.limit, watched.kept.told)
                && told != Level::Normal
            {
                verdicts.push(watched.verdict(place, row, told));
            }
            if let (Some(place), Some(most_per_s)) = (self.places.rate, self.settings.rate_per_s)
                && let Some(told) = watched.kept.rate.told()
                && told != Level::Normal
            {
                let per_s = watched.kept.rate.per_s();
                verdicts.push(rate::verdict(place, row, told, per_s, most_per_s, &watched.signal));
            }
        }
    }

    fn rates(&mut self, place: u16, most_per_s: f64, batch: &Batch, verdicts: &mut Vec<Verdict>) {
        for (instance, watched) in (0..).zip(&mut self.watched).filter(|_| !batch.gaps.is_empty()) {
            if batch.has_gap(instance) {
                watched.kept.rate.interrupt();
            }
        }
        let over_ns = self.settings.rate_over_ns();
        for row in batch.rows() {
            let Some(watched) = self.watched.get_mut(row.signal as usize) else { continue };
            let rate = &mut watched.kept.rate;
            if let Some(level) = rate.judge(row, most_per_s, over_ns) {
                verdicts.push(rate::verdict(place, row, level, rate.per_s(), most_per_s, &watched.signal));
            }
        }
    }
}

impl Watched {
    fn verdict(&self, place: u16, row: Row, level: Level) -> Verdict {
        let Row { signal, value, .. } = row;
        let shown = self.signal.show(value);
        let limit = self.limits.of(level).unwrap_or(f64::NAN);
        let at = self.signal.show(limit);
        let (low, high) = self.limits.expected();
        let why = match level {
            Level::HighHigh => format!("{shown} is above the high-high limit of {at}"),
            Level::High => format!("{shown} is above the high limit of {at}"),
            Level::Low => format!("{shown} is below the low limit of {at}"),
            Level::LowLow => format!("{shown} is below the low-low limit of {at}"),
            Level::Unknown => "there is no good value to judge".to_owned(),
            Level::Normal | Level::Active => format!("{shown} is within the limits"),
        };
        let evidence = vec![Finding { signal, observed: value, low, high, share: 1.0 }];
        Verdict { condition: place, instance: signal, at: row.time, level, score: None, why, evidence }
    }
}

#[cfg(target_arch = "wasm32")]
watchfire_detector::export!(Limit);
