//! The detector over networks of the tests' own: windows, learning, reasons, refusals.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use watchfire_detector::{Batch, Blame, Detector, Kind, Level, Phase, Refusal, Row, Setup, Signal};
use watchfire_detector_onnx::{Network, Onnx, Settings, no_model};

const S: i64 = 1_000_000_000;

/// Answers what it is given, but for the last number; nothing but NaN for a model that begins with N.
struct Echo(u8);

impl Network for Echo {
    fn open(model: &[u8], _settings: &Settings, _signals: usize) -> Result<Self, Refusal> {
        model.first().map(|first| Self(*first)).ok_or_else(|| no_model("it is empty"))
    }

    fn run(&mut self, window: &[f32]) -> Result<Vec<f32>, Refusal> {
        let mut answer = window.to_vec();
        if let Some(last) = answer.last_mut() {
            *last = if self.0 == b'N' { f32::NAN } else { 0.0 };
        }
        Ok(answer)
    }
}

fn setup(config: &str, model: Option<&[u8]>) -> Setup {
    let signal = |name: &str| Signal {
        name: name.into(),
        kind: Kind::Real,
        unit: Some("A".into()),
        range: None,
        sampling_ns: None,
        role: String::new(),
        group: 0,
    };
    let signals = vec![signal("pump/flow"), signal("pump/current")];
    Setup { config: config.into(), signals, seed: 0, model: model.map(<[u8]>::to_vec) }
}

fn detector(config: &str) -> Onnx<Echo> {
    Onnx::init(setup(config, Some(b"model"))).ok().unwrap().0
}

fn frame(s: i64, values: [f64; 2]) -> Batch {
    let mut batch = Batch { now: s * S + S / 2, ..Batch::default() };
    for (signal, value) in (0..).zip(values) {
        batch.push(Row { signal, time: s * S, value, status: 0, quality: 0 });
    }
    batch
}

/// Times in seconds and scores of ten frames; each signal counts up, the second by twos.
fn ten(detector: &mut Onnx<Echo>) -> Vec<(i64, f64)> {
    let mut found = Vec::new();
    for s in 0..10 {
        let scores = detector.process(&frame(s, [s as f64, 2.0 * s as f64])).unwrap().scores;
        found.extend(scores.at.iter().map(|at| at / S).zip(scores.score));
    }
    found
}

#[test]
fn a_window_is_judged_once_it_is_full_and_then_at_each_stride() {
    assert_eq!(ten(&mut detector("{}")).len(), 10);
    // The last number of a window by time is the newest value of the second signal: 2 × 4 squared, over 6 values.
    let found = ten(&mut detector(r#"{"window": 3, "stride": 2}"#));
    assert_eq!(found.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [2, 4, 6, 8]);
    assert_eq!(found.get(1), Some(&(4, 64.0 / 6.0)));
    assert_eq!(ten(&mut detector(r#"{"step_s": 5}"#)), [(0, 0.0), (5, 50.0)]);
}

#[test]
fn nothing_is_judged_across_what_is_not_known() {
    let mut detector = detector(r#"{"window": 3}"#);
    let mut judged = Vec::new();
    for s in 0..10 {
        let value = if s == 4 { f64::NAN } else { 1.0 };
        judged.extend(detector.process(&frame(s, [value, 1.0])).unwrap().scores.at.iter().map(|at| at / S));
    }
    assert_eq!(judged, [2, 3, 7, 8, 9]);
}

#[test]
fn what_is_learned_ends_and_is_told() {
    let mut detector = detector(r#"{"normalise": "learned", "learn_rows": 4}"#);
    let mut told = Vec::new();
    for s in 0..6 {
        let outcome = detector.process(&frame(s, [s as f64, 0.0])).unwrap();
        told.push((outcome.progress.map(|progress| (progress.phase, progress.have)), outcome.scores.at.len()));
    }
    let learning = |have| (Some((Phase::Learning, have)), 0);
    assert_eq!(told, [learning(1), learning(2), learning(3), (Some((Phase::Ready, 4)), 0), (None, 1), (None, 1)]);
}

#[test]
fn the_reason_names_the_signal_that_the_model_does_not_know() {
    let mut detector = detector("{}");
    detector.process(&frame(0, [1.0, 12.5])).unwrap();
    let verdict = detector.explain(0, 0).unwrap();
    assert_eq!(
        verdict.why,
        "the model does not know this: mean squared error 78.125, 100 % of it from pump/current, which is 12.5 A where \
         the model expects 0 A"
    );
    assert_eq!((verdict.level, verdict.score), (Level::Active, Some(78.125)));
    let found: Vec<_> = verdict.evidence.iter().map(|found| (found.signal, found.observed, found.low)).collect();
    assert_eq!(found, [(1, 12.5, Some(0.0)), (0, 1.0, Some(1.0))]);
    assert_eq!(detector.explain(0, 1), None);
    detector.process(&Batch { now: S / 2 + 1, ..Batch::default() }).unwrap();
    assert_eq!(detector.explain(0, 0), None, "nothing was judged in the last batch");
}

#[test]
fn what_cannot_be_judged_is_refused_by_its_key() {
    let refused = |config: &str, model| Onnx::<Echo>::init(setup(config, model)).err().unwrap();
    for (config, key, words) in [
        (r#"{"window": 0}"#, "window", "0 rows of 2 signals are 0 values; take 1 to 65536"),
        (r#"{"window": 40000}"#, "window", "are 80000 values"),
        (r#"{"stride": 0}"#, "stride", "0 is not between 1 and 65536"),
        (r#"{"step_s": 0}"#, "step_s", "0 is not between 0.001 and 86400"),
        (r#"{"learn_rows": 1}"#, "learn_rows", "1 is not between 2 and"),
        (r#"{"normalise": "given", "mean": [1], "std": [1, 1]}"#, "mean", "it has 1 numbers for 2 signals"),
        (r#"{"normalise": "given", "mean": [1, 1], "std": [1, 0]}"#, "std", "0 is not above 0"),
        (r#"{"mean": [1, 1]}"#, "mean", "it counts with `normalise = \"given\"` alone"),
        (r#"{"score": "best"}"#, "score", "unknown variant `best`, expected `reconstruction` or `output`"),
    ] {
        let refusal = refused(config, Some(b"model"));
        assert_eq!(refusal.key.as_deref(), Some(key), "{config}");
        assert!(refusal.message.contains(words), "{config}: {}", refusal.message);
    }
    let none = refused("{}", None);
    assert!(none.blame == Blame::Model && none.message.starts_with("there is none; name its file"), "{none:?}");
    let mut nan = Onnx::<Echo>::init(setup("{}", Some(b"N"))).ok().unwrap().0;
    let said = nan.process(&frame(0, [1.0, 1.0])).unwrap_err();
    assert_eq!(said.message, "its score is NaN, no number; it may want its values normalised (`normalise`)");
    let mut far = detector(r#"{"score": "output", "output_index": 2}"#);
    let said = far.process(&frame(0, [1.0, 1.0])).unwrap_err();
    assert_eq!((said.key.as_deref(), &*said.message), (Some("output_index"), "its output has 2 numbers, none at 2"));
}

#[test]
fn a_state_of_other_signals_is_refused() {
    let state = detector("{}").save();
    let mut other = setup("{}", Some(b"model"));
    other.signals.pop();
    let refusal = Onnx::<Echo>::init(other).ok().unwrap().0.load(1, &state).unwrap_err();
    assert_eq!((refusal.blame, &*refusal.message), (Blame::State, "the state is of 2 signals, the binding has 1"));
}
