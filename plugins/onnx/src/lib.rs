//! `onnx`: runs a model that somebody trained elsewhere and saved as ONNX. Samples become rows at equal distances in
//! time, the last rows a window, the window the model's input. The score is what the model cannot reconstruct of it
//! (autoencoders), or a number that the model answers (classifiers, one-class models). The gateway turns scores into
//! alarms by the threshold that the detector's configuration gives.
//!
//! The model comes as bytes and is as foreign as a plugin: what it costs is bounded as for every detector.

mod network;
mod rows;
mod scale;
mod settings;
#[cfg(target_arch = "wasm32")]
mod tract;
mod window;

use serde::{Deserialize, Serialize};
use watchfire_detector::{
    Batch, Blame, Condition, Decides, Description, Detector, Kind, Outcome, Phase, Progress, Refusal, Scale as Scoring,
    Scope, Setup, Signal, Slot, Verdict, Versioned, config, restore, snapshot,
};

pub use network::{Network, no_model};
use rows::Rows;
use scale::Scale;
pub use settings::{Layout, Normalise, Score, Settings};
use window::{Judged, Window};

/// All that lasts.
#[derive(Serialize, Deserialize)]
struct State {
    rows: Rows,
    scale: Scale,
    window: Window,
    told: Option<u64>,
}

impl Versioned for State {
    const VERSION: u32 = 1;
}

/// The detector, over whatever runs the model.
pub struct Onnx<N> {
    settings: Settings,
    signals: Vec<Signal>,
    network: N,
    rows: Rows,
    scale: Scale,
    window: Window,
    /// What the last batch came to.
    judged: Option<Judged>,
    /// Progress last told, tenths.
    told: Option<u64>,
}

fn condition() -> Condition {
    Condition {
        id: "anomaly".into(),
        scope: Scope::Binding,
        decides: Decides::Host,
        scale: Scoring::Ordinal,
        alarm_type: "StatisticalAlarmType".into(),
        severity: 500,
        text: "The model does not know what these signals do together.".into(),
        response: "Look at the signals that the alarm names; if this is normal from now on, train the model anew."
            .into(),
    }
}

impl<N: Network> Detector for Onnx<N> {
    fn describe() -> Description {
        Description {
            id: "onnx".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            title: "what a trained model does not know, or what it answers (ONNX)".into(),
            state_version: State::VERSION,
            config_schema: settings::SCHEMA.into(),
            conditions: vec![condition()],
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
        #[cfg(target_arch = "wasm32")]
        tract::tell_panics();
        let settings: Settings = config(&setup.config)?;
        let count = setup.signals.len();
        settings.check(count)?;
        let way_out =
            "name its file: `model = \"FILE.onnx\"` in the detector's entry, `--model FILE` on the command line";
        let model = setup.model.ok_or_else(|| no_model(format!("there is none; {way_out}")))?;
        let network = N::open(&model, &settings, count)?;
        let detector = Self {
            network,
            rows: Rows::new(count),
            scale: Scale::new(count),
            window: Window::default(),
            judged: None,
            told: None,
            settings,
            signals: setup.signals,
        };
        Ok((detector, vec![condition()]))
    }

    fn process(&mut self, batch: &Batch) -> Result<Outcome, Refusal> {
        self.judged = None;
        let mut outcome = Outcome::default();
        let Self { settings, network, rows, scale, window, judged, .. } = self;
        rows.take(batch, settings.step_ns(), |at, row| {
            let Some(row) = row else {
                window.clear();
                return Ok(());
            };
            if is_learning(settings, scale) {
                scale.learn(row);
                return Ok(());
            }
            if window.push(row, settings) {
                let found = judge(network, window, scale, settings, at, row)?;
                outcome.scores.push(0, 0, at, found.score());
                *judged = Some(found);
            }
            Ok(())
        })?;
        outcome.progress = self.progress();
        Ok(outcome)
    }

    fn explain(&self, condition: u16, instance: u32) -> Option<Verdict> {
        let judged = self.judged.as_ref().filter(|_| (condition, instance) == (0, 0))?;
        Some(judged.verdict(&self.signals))
    }

    fn save(&self) -> Vec<u8> {
        let (rows, scale, window) = (self.rows.clone(), self.scale.clone(), self.window.clone());
        snapshot(&State { rows, scale, window, told: self.told })
    }

    fn load(&mut self, state_version: u32, bytes: &[u8]) -> Result<(), Refusal> {
        let State { rows, scale, window, told } = restore(state_version, bytes)?;
        let count = self.signals.len();
        if rows.signals() != count || scale.signals() != count || !window.is_of(count) {
            let message = format!("the state is of {} signals, the binding has {count}", rows.signals());
            return Err(Refusal { blame: Blame::State, key: None, message });
        }
        (self.rows, self.scale, self.window, self.told) = (rows, scale, window, told);
        Ok(())
    }
}

fn is_learning(settings: &Settings, scale: &Scale) -> bool {
    settings.normalise == Normalise::Learned && scale.count() < settings.learn_rows
}

fn judge<N: Network>(
    network: &mut N,
    window: &Window,
    scale: &Scale,
    settings: &Settings,
    at: i64,
    last: &[f64],
) -> Result<Judged, Refusal> {
    let given = window.input(scale, settings);
    let answer = network.run(&given)?;
    let found = match settings.score {
        Score::Reconstruction if answer.len() != given.len() => {
            let (given, answer) = (given.len(), answer.len());
            return Err(no_model(format!(
                "it answers {answer} numbers for a window of {given}; with `score = \"output\"` one of them can be the score"
            )));
        }
        Score::Reconstruction => Judged::reconstruction(at, &given, &answer, scale, settings),
        Score::Output => {
            let Some(score) = answer.get(settings.output_index) else {
                let message = format!("its output has {} numbers, none at {}", answer.len(), settings.output_index);
                return Err(watchfire_detector::refuse("output_index", message));
            };
            Judged::output(at, f64::from(*score), last)
        }
    };
    if found.score().is_finite() {
        return Ok(found);
    }
    Err(no_model(format!("its score is {}, no number; it may want its values normalised (`normalise`)", found.score())))
}

impl<N> Onnx<N> {
    /// Progress, when it is another by a tenth.
    fn progress(&mut self) -> Option<Progress> {
        let learning = is_learning(&self.settings, &self.scale);
        let (have, need) = match self.settings.normalise {
            Normalise::Learned => (self.scale.count(), self.settings.learn_rows),
            Normalise::None | Normalise::Given => (0, 0),
        };
        let now = if learning { have * 10 / need.max(1) } else { 10 };
        if self.told == Some(now) {
            return None;
        }
        self.told = Some(now);
        let phase = if learning { Phase::Learning } else { Phase::Ready };
        Some(Progress { phase, have, need, note: String::new() })
    }
}

#[cfg(target_arch = "wasm32")]
type WithTract = Onnx<tract::Tract>;
#[cfg(target_arch = "wasm32")]
watchfire_detector::export!(WithTract);
