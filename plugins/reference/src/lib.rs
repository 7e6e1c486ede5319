//! The reference detector in Rust; `README.md` beside this folder says what it does in any language.

use watchfire_detector::{
    Batch, Blame, Condition, Decides, Description, Detector, Event, Finding, Kind, Learner, Level, Observer, Outcome,
    Phase, Progress, Refusal, Row, Scale, Scope, Setup, Signal, Slot, Verdict, config, number, refuse,
};

const STATE_VERSION: u32 = 1;
const WINDOW_MAX: f64 = 64.0;
const NEVER: u8 = 255;
const LEVELS: [Level; 7] =
    [Level::Normal, Level::LowLow, Level::Low, Level::High, Level::HighHigh, Level::Active, Level::Unknown];

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    above: f64,
    #[serde(default)]
    deadband: f64,
    #[serde(default = "four")]
    window: f64,
}

fn four() -> f64 {
    4.0
}

struct Channel {
    signal: Signal,
    told: Option<Level>,
    /// Told again because a state was restored.
    owes: bool,
    last: Vec<f64>,
    learned: u64,
    highest: f64,
}

impl Channel {
    fn mean(&self) -> f64 {
        self.last.iter().fold(0.0, |sum, value| sum + value) / self.last.len() as f64
    }
}

/// The detector.
pub struct Reference {
    settings: Settings,
    channels: Vec<Channel>,
    frozen: bool,
}

fn conditions(response: String) -> Vec<Condition> {
    let above = Condition {
        id: "above".into(),
        alarm_type: "OffNormalAlarmType".into(),
        severity: 500,
        text: "the value is above its limit — „über“".into(),
        response,
        ..Condition::default()
    };
    let deviation = Condition {
        id: "deviation".into(),
        scope: Scope::Signal,
        decides: Decides::Host,
        scale: Scale::Ordinal,
        alarm_type: "DiscrepancyAlarmType".into(),
        severity: 300,
        text: "the value is far from its mean".into(),
        response: String::new(),
    };
    vec![above, deviation]
}

fn told(signal: &Signal) -> String {
    let kinds = ["boolean", "signed", "unsigned", "real", "enumeration", "text", "time"];
    let kind = kinds.get(signal.kind as usize).copied().unwrap_or_default();
    let unit = signal.unit.as_deref().unwrap_or("-");
    let range = signal.range.map_or("-".to_owned(), |(low, high)| format!("{} to {}", number(low), number(high)));
    let sampling = signal.sampling_ns.map_or("-".to_owned(), |ns| ns.to_string());
    format!("{} {kind} {unit} {range} {sampling} {} {};", signal.name, signal.role, signal.group)
}

/// What came in the smaller columns.
fn note(batch: &Batch) -> String {
    let exact: String = batch.exact.iter().map(|(row, bits)| format!(" {row}={bits}")).collect();
    let text: String = batch.text.iter().map(|(row, text)| format!(" {row}={text}")).collect();
    let skew: String = batch.skew_ns.iter().map(|skew| format!(" {skew}")).collect();
    let quality: String = batch.quality.iter().map(|quality| format!(" {quality}")).collect();
    let (offset, mode, gaps) = (batch.utc_offset_s, batch.mode, batch.gaps.len());
    format!(
        "frame {} offset {offset} mode {mode} gaps {gaps} exact{exact} text{text} skew{skew} quality{quality}",
        batch.frame
    )
}

fn verdict(instance: u32, at: i64, level: Level, why: String) -> Verdict {
    Verdict { condition: 0, instance, at, level, why, ..Verdict::default() }
}

impl Reference {
    fn judge(&mut self, row: Row, outcome: &mut Outcome) {
        let Settings { above, deadband, window } = self.settings;
        let Some(channel) = self.channels.get_mut(row.signal as usize) else { return };
        let level = match (row.is_usable(), channel.told) {
            (false, _) => Level::Unknown,
            (true, _) if row.value > above => Level::Active,
            (true, Some(Level::Active)) if row.value >= above - deadband => Level::Active,
            (true, _) => Level::Normal,
        };
        if row.is_usable() {
            if channel.last.len() >= window as usize {
                channel.last.remove(0);
            }
            channel.last.push(row.value);
            let score = (row.value - channel.mean()).abs();
            outcome.scores.push(1, row.signal, row.time, score);
        }
        if channel.told.replace(level) == Some(level) {
            return;
        }
        channel.owes = false;
        let why = match level {
            Level::Unknown => "there is no usable value".to_owned(),
            Level::Active => format!("{} is above {}", channel.signal.show(row.value), channel.signal.show(above)),
            _ => format!("{} is not above {}", channel.signal.show(row.value), channel.signal.show(above)),
        };
        let mut said = verdict(row.signal, row.time, level, why);
        if level != Level::Unknown {
            let low = deadband > 0.0;
            said.evidence.push(Finding {
                signal: row.signal,
                observed: row.value,
                low: low.then_some(above - deadband),
                high: Some(above),
                share: 1.0,
            });
        }
        outcome.verdicts.push(said);
    }
}

impl Detector for Reference {
    fn describe() -> Description {
        Description {
            id: "reference".into(),
            version: "0.1.0".into(),
            title: "does a little of everything".into(),
            state_version: STATE_VERSION,
            config_schema: "{\"type\": \"object\"}".into(),
            conditions: conditions(String::new()),
            slots: vec![
                Slot { role: "value".into(), kinds: vec![Kind::Real, Kind::Signed], least: 1, most: Some(1000) },
                Slot { role: String::new(), kinds: vec![Kind::Boolean], least: 0, most: None },
            ],
            tick_ns: Some(5_000_000_000),
            warm_up_samples: 4,
        }
    }

    fn init(setup: Setup) -> Result<(Self, Vec<Condition>), Refusal> {
        let settings: Settings = config(&setup.config)?;
        if settings.deadband < 0.0 {
            return Err(refuse("deadband", "it is negative".into()));
        }
        if !(1.0..=WINDOW_MAX).contains(&settings.window) || settings.window.fract() != 0.0 {
            return Err(refuse("window", "it is no whole number from 1 to 64".into()));
        }
        let conditions = conditions(setup.signals.iter().map(told).collect());
        let channel = |signal| Channel { signal, told: None, owes: false, last: Vec::new(), learned: 0, highest: 0.0 };
        let channels = setup.signals.into_iter().map(channel).collect();
        Ok((Self { settings, channels, frozen: false }, conditions))
    }

    fn process(&mut self, batch: &Batch) -> Result<Outcome, Refusal> {
        let mut outcome = Outcome::default();
        for (signal, channel) in (0..).zip(&mut self.channels) {
            if batch.has_gap(signal) {
                channel.last.clear();
            }
            if std::mem::take(&mut channel.owes) {
                let level = channel.told.unwrap_or_default();
                outcome.verdicts.push(verdict(signal, batch.now, level, "as it was before the restart".into()));
            }
        }
        for row in batch.rows() {
            self.judge(row, &mut outcome);
        }
        let need = self.settings.window as u64;
        let have = self.channels.iter().map(|channel| channel.last.len() as u64).min().unwrap_or(need);
        let phase = if have < need { Phase::Learning } else { Phase::Ready };
        outcome.progress = Some(Progress { phase, have, need, note: note(batch) });
        Ok(outcome)
    }

    fn explain(&self, condition: u16, instance: u32) -> Option<Verdict> {
        let channel = self.channels.get(instance as usize).filter(|_| condition == 1)?;
        let (value, mean) = (*channel.last.last()?, channel.mean());
        let why = format!("{} is far from {}", channel.signal.show(value), channel.signal.show(mean));
        let mut said = verdict(instance, 0, Level::Active, why);
        said.condition = 1;
        said.score = Some((value - mean).abs());
        said.evidence.push(Finding {
            signal: instance,
            observed: value,
            low: Some(mean),
            high: Some(mean),
            share: 1.0,
        });
        Some(said)
    }

    fn save(&self) -> Vec<u8> {
        let mut state = Vec::new();
        for channel in &self.channels {
            let told = channel.told.and_then(|told| LEVELS.iter().position(|level| *level == told));
            state.push(told.map_or(NEVER, |told| told as u8));
            state.push(channel.last.len() as u8);
            channel.last.iter().for_each(|value| state.extend_from_slice(&value.to_le_bytes()));
        }
        state
    }

    fn load(&mut self, state_version: u32, bytes: &[u8]) -> Result<(), Refusal> {
        let refuse = |message: &str| Err(Refusal { blame: Blame::State, key: None, message: message.into() });
        if state_version != STATE_VERSION {
            return refuse("its version is not 1");
        }
        let mut rest = bytes;
        for channel in &mut self.channels {
            let [told, count, values @ ..] = rest else { return refuse("it is cut short") };
            let Some((values, after)) = values.split_at_checked(usize::from(*count) * 8) else {
                return refuse("it is cut short");
            };
            channel.told = LEVELS.get(usize::from(*told)).copied();
            channel.owes = channel.told.is_some_and(|told| told != Level::Normal);
            channel.last =
                values.chunks_exact(8).filter_map(|value| value.try_into().ok()).map(f64::from_le_bytes).collect();
            rest = after;
        }
        if rest.is_empty() { Ok(()) } else { refuse("it is too long") }
    }
}

impl Learner for Reference {
    fn learn(&mut self, batch: &Batch) -> Result<(), Refusal> {
        if batch.mode == 13 {
            let message = "it learns nothing in mode 13".into();
            return Err(Refusal { blame: Blame::Signals, key: None, message });
        }
        for row in batch.rows().filter(|row| row.is_usable() && !self.frozen) {
            let Some(channel) = self.channels.get_mut(row.signal as usize) else { continue };
            if channel.learned == 0 || row.value > channel.highest {
                channel.highest = row.value;
            }
            channel.learned += 1;
        }
        Ok(())
    }

    fn freeze(&mut self, on: bool) {
        self.frozen = on;
    }

    fn forget(&mut self, signal: Option<u32>) {
        let forgotten = (0..).zip(&mut self.channels).filter(|(at, _)| signal.is_none_or(|one| one == *at));
        forgotten.for_each(|(_, channel)| (channel.learned, channel.highest) = (0, 0.0));
    }

    fn model(&self) -> Vec<u8> {
        let line = |of: &Channel| format!("{} {} {}\n", of.signal.name, of.learned, number(of.highest));
        self.channels.iter().map(line).collect::<String>().into_bytes()
    }
}

impl Observer for Reference {
    fn observe(&mut self, frame: u64, _now: i64, events: &[Event]) -> Result<Outcome, Refusal> {
        let mut outcome = Outcome::default();
        for event in events {
            if event.message == "refuse" {
                return Err(Refusal { blame: Blame::Signals, key: None, message: "it was asked to".into() });
            }
            let level = if event.severity >= 500 { Level::Active } else { Level::Normal };
            let fields: String = event.fields.iter().map(|(name, value)| format!(" {name}={value}")).collect();
            let user = event.user.as_deref().unwrap_or("-");
            let why = format!("{} {} {user}: {}{fields}", event.event_type, event.severity, event.message);
            let said = verdict(event.source, event.time, level, why);
            outcome.verdicts.push(Verdict { score: Some(f64::from(event.severity)), ..said });
        }
        let have = events.len() as u64;
        outcome.progress = Some(Progress { phase: Phase::Ready, have, need: 0, note: format!("frame {frame}") });
        Ok(outcome)
    }
}

#[cfg(target_arch = "wasm32")]
watchfire_detector::export!(Reference: Learner + Observer);
