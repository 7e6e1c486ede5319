//! The last rows, as the model wants them, and what it made of them.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use watchfire_detector::{Finding, Level, Signal, Verdict, number};

use crate::scale::Scale;
use crate::settings::{Layout, Score, Settings};

/// Signals that a verdict names.
const NAMED_MAX: usize = 8;

/// What lasts: rows without a hole between them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Window {
    rows: VecDeque<Vec<f64>>,
    /// Rows since the model last answered.
    since: u64,
}

impl Window {
    /// Whether every row has so many values.
    pub fn is_of(&self, signals: usize) -> bool {
        self.rows.iter().all(|row| row.len() == signals)
    }

    /// Begins anew: what comes next does not follow on what was there.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Takes a row; true when the model is to be asked now.
    pub fn push(&mut self, row: &[f64], settings: &Settings) -> bool {
        self.rows.push_back(row.to_vec());
        self.since = self.since.saturating_add(1);
        while self.rows.len() > settings.window {
            self.rows.pop_front();
        }
        let first = self.rows.len() == settings.window && self.since >= settings.window as u64;
        let due = first && (self.since - settings.window as u64).is_multiple_of(settings.stride as u64);
        if due && self.since > settings.window as u64 {
            self.since = settings.window as u64;
        }
        due
    }

    /// The model's input: each value less the mean, by the deviation.
    pub fn input(&self, scale: &Scale, settings: &Settings) -> Vec<f32> {
        let scales: Vec<(f64, f64)> = (0..scale.signals()).map(|signal| scale.of(signal, settings)).collect();
        let one = |row: &Vec<f64>| -> Vec<f32> {
            row.iter().zip(&scales).map(|(value, (mean, deviation))| ((value - mean) / deviation) as f32).collect()
        };
        let rows: Vec<Vec<f32>> = self.rows.iter().map(one).collect();
        match settings.layout {
            Layout::TimeSignal => rows.concat(),
            Layout::SignalTime => (0..scales.len())
                .flat_map(|signal| rows.iter().filter_map(move |row| row.get(signal).copied()))
                .collect(),
        }
    }
}

/// What the model made of the last window.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    at: i64,
    score: f64,
    kind: Score,
    signals: Vec<Part>,
}

/// One signal's part in it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Part {
    /// The last value.
    observed: f64,
    /// What the model expects there.
    expected: Option<f64>,
    /// Of the whole difference.
    share: f64,
}

impl Judged {
    /// A reconstruction: the score is the mean squared difference.
    pub fn reconstruction(at: i64, given: &[f32], answer: &[f32], scale: &Scale, settings: &Settings) -> Self {
        let (signals, rows) = (scale.signals(), settings.window);
        let place = |row: usize, signal: usize| match settings.layout {
            Layout::TimeSignal => row * signals + signal,
            Layout::SignalTime => signal * rows + row,
        };
        let pair = |row, signal| {
            let at = place(row, signal);
            (given.get(at).copied().map_or(0.0, f64::from), answer.get(at).copied().map_or(0.0, f64::from))
        };
        let mut shares = vec![0.0; signals];
        for (signal, share) in shares.iter_mut().enumerate() {
            for row in 0..rows {
                let (given, answer) = pair(row, signal);
                *share += (given - answer) * (given - answer);
            }
        }
        let whole: f64 = shares.iter().sum();
        let last = |(signal, share): (usize, &f64)| {
            let (given, answer) = pair(rows.saturating_sub(1), signal);
            let (mean, deviation) = scale.of(signal, settings);
            let share = if whole > 0.0 { share / whole } else { 0.0 };
            Part { observed: given * deviation + mean, expected: Some(answer * deviation + mean), share }
        };
        let found = shares.iter().enumerate().map(last).collect();
        let count = (signals * rows).max(1) as f64;
        Self { at, score: whole / count, kind: Score::Reconstruction, signals: found }
    }

    /// A number that the model answered.
    pub fn output(at: i64, score: f64, last: &[f64]) -> Self {
        let share = 1.0 / last.len().max(1) as f64;
        let signals = last.iter().map(|value| Part { observed: *value, expected: None, share }).collect();
        Self { at, score, kind: Score::Output, signals }
    }

    /// The score.
    pub fn score(&self) -> f64 {
        self.score
    }

    /// Why, in one sentence, with the signals that have most to do with it.
    pub fn verdict(&self, signals: &[Signal]) -> Verdict {
        let mut order: Vec<(usize, Part)> = self.signals.iter().copied().enumerate().collect();
        // Stable: of equal shares the first signal comes first.
        order.sort_by(|(_, one), (_, other)| other.share.total_cmp(&one.share));
        order.truncate(NAMED_MAX);
        let score = number(self.score);
        let why = match (self.kind, order.first()) {
            (Score::Reconstruction, Some((index, Part { observed, expected: Some(expected), share }))) => {
                let most = signals.get(*index);
                let name = most.map_or("", |signal| &signal.name);
                let shown = |value: f64| most.map_or_else(|| number(value), |signal| signal.show(value));
                let (observed, expected, percent) =
                    (shown(*observed), shown(*expected), number((share * 100.0).round()));
                format!(
                    "the model does not know this: mean squared error {score}, {percent} % of it from {name}, which is \
                     {observed} where the model expects {expected}"
                )
            }
            _ => format!("the model answers {score}"),
        };
        let evidence = order.into_iter().filter_map(|(index, part)| {
            let Part { observed, expected, share } = part;
            Some(Finding { signal: u32::try_from(index).ok()?, observed, low: expected, high: expected, share })
        });
        Verdict {
            at: self.at,
            level: Level::Active,
            score: Some(self.score),
            why,
            evidence: evidence.collect(),
            ..Verdict::default()
        }
    }
}
