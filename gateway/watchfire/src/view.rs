//! The demo's live view: what is watched, how fast values come, which alarms there are and why. On a terminal it is
//! redrawn in place; anywhere else each change is a line.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::execute;
use crossterm::style::Stylize;
use crossterm::terminal::{Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen};
use tokio_util::sync::CancellationToken;
use watchfire_config::Config;
use watchfire_model::{ConditionKey, Phase, Severity, SourceState, plain};
use watchfire_pipeline::{ConditionView, DetectorHealth, Stats, Surface};

/// How often the view is drawn.
const DRAW_EVERY: Duration = Duration::from_millis(500);
/// How often a line of figures is printed where there is no terminal.
const FIGURES_EVERY: u32 = 20;
/// Alarms shown at once.
const ALARMS_MAX: usize = 12;

/// The view.
pub struct View {
    heading: String,
    signals: usize,
    stats: Arc<Stats>,
    in_place: bool,
    alarms: std::sync::Mutex<BTreeMap<ConditionKey, ConditionView>>,
}

impl Surface for View {
    fn publish(&self, changes: Vec<ConditionView>) {
        for view in changes {
            if view.notify && !self.in_place {
                println!("{}", line(&view));
            }
            if let Ok(mut alarms) = self.alarms.lock() {
                alarms.insert(view.def.key.clone(), view);
            }
        }
    }
}

impl View {
    /// A view of a gateway that runs with `config` on a plant.
    pub fn new(config: &Config, plant_port: u16, stats: Arc<Stats>) -> Self {
        let signals = config.sources.iter().map(|source| source.signals.len()).sum();
        let heading = format!(
            "Watchfire demo. Connect an HMI to opc.tcp://localhost:{} (alarms); the plant itself is opc.tcp://localhost:{plant_port}.",
            config.server.port
        );
        let in_place = io::stdout().is_terminal();
        Self { heading, signals, stats, in_place, alarms: std::sync::Mutex::default() }
    }

    /// Shows until `stop`.
    pub async fn show(self: Arc<Self>, stop: CancellationToken) {
        self.begin();
        let mut drawn: u32 = 0;
        let mut before = 0;
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(DRAW_EVERY) => {}
            }
            let values = self.stats.values.load(Ordering::Relaxed);
            let per_s = (values - before) * 1000 / u64::try_from(DRAW_EVERY.as_millis()).unwrap_or(1000);
            before = values;
            if self.in_place {
                self.draw(per_s);
            } else if drawn.is_multiple_of(FIGURES_EVERY) {
                println!("{}", self.figures(per_s));
            }
            drawn += 1;
        }
        self.end();
    }

    fn begin(&self) {
        if self.in_place {
            drop(execute!(io::stdout(), EnterAlternateScreen, Hide));
        } else {
            println!("{}", self.heading);
        }
    }

    fn end(&self) {
        if self.in_place {
            drop(execute!(io::stdout(), Show, LeaveAlternateScreen));
        }
    }

    /// Says at the end what was seen.
    pub fn conclude(&self) {
        let Ok(alarms) = self.alarms.lock() else { return };
        let active = alarms.values().filter(|view| view.state.activations > 0);
        let caught: Vec<String> = active.map(|view| format!("{} ({})", view.def.key, view.state.activations)).collect();
        println!(
            "{} values received, {} frames, {} alarm transitions; conditions that were active: {}",
            self.stats.values.load(Ordering::Relaxed),
            self.stats.frames.load(Ordering::Relaxed),
            self.stats.transitions.load(Ordering::Relaxed),
            if caught.is_empty() { "none".to_owned() } else { caught.join(", ") }
        );
    }

    fn figures(&self, per_s: u64) -> String {
        let sources = self.stats.sources.lock();
        let down: Vec<String> = sources
            .iter()
            .filter(|(_, source)| source.state == SourceState::Down)
            .map(|(name, source)| format!("source {name} is down: {}", plain(&source.reason)))
            .collect();
        let up = sources.len() - down.len();
        let mut text = format!(
            "{} signals watched, {up} of {} sources up, {per_s} values/s, {} values, {} gaps",
            self.signals,
            sources.len(),
            self.stats.values.load(Ordering::Relaxed),
            self.stats.gaps.load(Ordering::Relaxed)
        );
        for reason in down {
            text.push_str("; ");
            text.push_str(&reason);
        }
        text
    }

    fn draw(&self, per_s: u64) {
        let mut text = format!("{}\n\n{}\n\n", self.heading.clone().bold(), self.figures(per_s));
        text.push_str("Detectors: ");
        for (name, health) in self.stats.detectors.lock().iter() {
            let how = match health {
                DetectorHealth::Starting => "starting".to_owned().yellow(),
                DetectorHealth::Running { phase: Phase::Learning, have, need } => {
                    format!("learning {have}/{need}").yellow()
                }
                DetectorHealth::Running { .. } => "watching".to_owned().green(),
                DetectorHealth::Failed(_) => "restarting".to_owned().red(),
                DetectorHealth::GaveUp(_) => "given up".to_owned().red(),
            };
            let written = write!(text, "{name} {how}   ");
            debug_assert!(written.is_ok());
        }
        text.push_str("\n\nAlarms:\n");
        text.push_str(&self.alarms());
        text.push_str("\n\nCtrl-C ends the demo.");
        let mut out = io::stdout().lock();
        drop(execute!(out, MoveTo(0, 0), Clear(ClearType::All)));
        drop(out.write_all(text.replace('\n', "\r\n").as_bytes()));
        drop(out.flush());
    }

    fn alarms(&self) -> String {
        let Ok(alarms) = self.alarms.lock() else { return String::new() };
        let mut listed: Vec<&ConditionView> = alarms.values().filter(|view| view.state.retain).collect();
        listed.sort_by_key(|view| {
            std::cmp::Reverse((view.state.active.value, view.state.severity.value, view.state.time))
        });
        if listed.is_empty() {
            return "  none\n".to_owned();
        }
        listed.iter().take(ALARMS_MAX).map(|view| format!("  {}\n", coloured(view))).collect()
    }
}

fn coloured(view: &ConditionView) -> String {
    let text = line(view);
    match (view.state.active.value, view.state.severity.value >= Severity::clamped(667)) {
        (true, true) => text.red().to_string(),
        (true, false) => text.yellow().to_string(),
        (false, _) => text.dim().to_string(),
    }
}

/// An alarm as one line: when, how it stands, which, how severe, why, and what to do.
fn line(view: &ConditionView) -> String {
    let state = &view.state;
    let standing = standing(state.active.value, state.acked.value, state.confirmed.value);
    let time = state.receive_time.to_string();
    let clock = time.get(11..19).unwrap_or(&time);
    let response = if state.active.value { format!("  -> {}", view.def.response) } else { String::new() };
    plain(&format!("{clock} {standing:<21} {} [{}] {}{response}", view.def.key, state.severity.value, state.message))
}

/// How an alarm stands, in words; what is over and waits for a person is not simply gone.
const fn standing(active: bool, acked: bool, confirmed: bool) -> &'static str {
    match (active, acked, confirmed) {
        (true, false, _) => "ACTIVE",
        (true, true, _) => "active, acknowledged",
        (false, false, _) => "gone, unacknowledged",
        (false, true, false) => "gone, unconfirmed",
        (false, true, true) => "gone",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_is_gone_only_when_nobody_is_waited_for() {
        assert_eq!(standing(false, true, true), "gone");
        assert_eq!(standing(false, true, false), "gone, unconfirmed");
        assert_eq!(standing(false, false, false), "gone, unacknowledged");
        assert_eq!([true, false].map(|acked| standing(true, acked, false)), ["active, acknowledged", "ACTIVE"]);
    }
}
