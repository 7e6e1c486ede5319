//! From the contract's terms to the gateway's. Nothing a plugin answers is believed: every index, length, number and
//! text is looked at here, so that no other room has to.

use std::collections::BTreeSet;

use watchfire_model::{
    ConditionSpec, Decides, Finding, Instant, Level, Outcome, Phase, Progress, Scale, Scope, ScoreColumns, Severity,
    Verdict, is_one_plain_line,
};
use watchfire_pipeline::DetectorFault;

use crate::bindings::out;

/// Conditions of one detector.
const CONDITIONS_MAX: usize = 256;
/// Bytes of a name.
const NAME_BYTES_MAX: usize = 64;
/// Bytes of a sentence.
const TEXT_BYTES_MAX: usize = 2_048;
/// Findings of one verdict.
const EVIDENCE_MAX: usize = 64;
/// Bytes of a configuration's schema.
const SCHEMA_BYTES_MAX: usize = 256 << 10;

/// A broken contract: what the plugin answered, and why that cannot be.
fn broken(what: impl Into<String>) -> DetectorFault {
    DetectorFault::Contract(what.into())
}

/// A text in one line: it stands beside others.
fn line(of: &str, line: String, bytes_max: usize) -> Result<String, DetectorFault> {
    let line = text(of, line, bytes_max)?;
    if is_one_plain_line(&line) { Ok(line) } else { Err(broken(format!("{of} holds control characters"))) }
}

fn text(of: &str, text: String, bytes_max: usize) -> Result<String, DetectorFault> {
    if text.len() > bytes_max {
        return Err(broken(format!("{of} has {} bytes, {bytes_max} are allowed", text.len())));
    }
    if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        return Err(broken(format!("{of} holds control characters")));
    }
    Ok(text)
}

/// A name that can stand in a node id and in a file name.
fn name(of: &str, name: String) -> Result<String, DetectorFault> {
    let fits = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !fits {
        let shown: String = name.escape_debug().take(NAME_BYTES_MAX).collect();
        return Err(broken(format!("{of} `{shown}` is no name; letters, digits, `-`, `_` and `.` make one")));
    }
    Ok(name)
}

/// The conditions of a detector.
pub(crate) fn conditions(conditions: Vec<out::Condition>) -> Result<Vec<ConditionSpec>, DetectorFault> {
    if conditions.len() > CONDITIONS_MAX {
        return Err(broken(format!("{} conditions, {CONDITIONS_MAX} are allowed", conditions.len())));
    }
    let checked = conditions.into_iter().map(condition).collect::<Result<Vec<_>, _>>()?;
    let mut seen = BTreeSet::new();
    match checked.iter().find(|condition| !seen.insert(condition.id.as_str())) {
        Some(twice) => Err(broken(format!("two conditions are named `{}`", twice.id))),
        None => Ok(checked),
    }
}

fn condition(condition: out::Condition) -> Result<ConditionSpec, DetectorFault> {
    Ok(ConditionSpec {
        id: name("a condition's id", condition.id)?,
        scope: match condition.scope {
            out::Scope::Signal => Scope::Signal,
            out::Scope::Group => Scope::Group,
            out::Scope::Binding => Scope::Binding,
        },
        decides: match condition.decides {
            out::Decides::Plugin => Decides::Plugin,
            out::Decides::Host => Decides::Host,
        },
        scale: match condition.scale {
            out::Scale::NegLog10P => Scale::NegLog10P,
            out::Scale::Ordinal => Scale::Ordinal,
        },
        alarm_type: name("an alarm type", condition.alarm_type)?,
        severity: Severity::clamped(condition.severity),
        text: line("a condition's text", condition.text, TEXT_BYTES_MAX)?,
        response: line("a condition's response", condition.response, TEXT_BYTES_MAX)?,
    })
}

/// What a plugin says it is, checked. Its conditions are those without a configuration and only checked.
pub(crate) fn description(said: out::Description) -> Result<out::Description, DetectorFault> {
    conditions(said.conditions.clone())?;
    Ok(out::Description {
        id: name("the id", said.id)?,
        version: line("the version", said.version, NAME_BYTES_MAX)?,
        title: line("the title", said.title, TEXT_BYTES_MAX)?,
        config_schema: text("the configuration's schema", said.config_schema, SCHEMA_BYTES_MAX)?,
        ..said
    })
}

/// What answers are checked against.
pub(crate) struct Known<'a> {
    pub conditions: &'a [ConditionSpec],
    /// How many signals there are.
    pub signals: usize,
    /// Their groups, sorted.
    pub groups: &'a [u32],
}

impl Known<'_> {
    /// What a call answered.
    pub(crate) fn outcome(&self, outcome: out::Outcome) -> Result<Outcome, DetectorFault> {
        Ok(Outcome {
            scores: self.scores(outcome.scores)?,
            verdicts: outcome.verdicts.into_iter().map(|v| self.verdict(v)).collect::<Result<_, _>>()?,
            progress: outcome.progress.map(progress).transpose()?,
        })
    }

    fn scores(&self, scores: out::Scores) -> Result<ScoreColumns, DetectorFault> {
        let out::Scores { condition, instance, at, score } = scores;
        let rows = condition.len();
        if [instance.len(), at.len(), score.len()].iter().any(|len| *len != rows) {
            let (i, a, s) = (instance.len(), at.len(), score.len());
            return Err(broken(format!("score columns of unequal lengths {rows}, {i}, {a} and {s}")));
        }
        for (condition, instance) in condition.iter().zip(&instance) {
            self.place(*condition, *instance)?;
        }
        if let Some(score) = score.iter().find(|score| !score.is_finite()) {
            return Err(broken(format!("the score {score} is no number")));
        }
        Ok(ScoreColumns { condition, instance, at: at.into_iter().map(Instant::from_ns).collect(), score })
    }

    /// A verdict.
    pub(crate) fn verdict(&self, verdict: out::Verdict) -> Result<Verdict, DetectorFault> {
        self.place(verdict.condition, verdict.instance)?;
        if let Some(score) = verdict.score.filter(|score| !score.is_finite()) {
            return Err(broken(format!("the score {score} is no number")));
        }
        if verdict.evidence.len() > EVIDENCE_MAX {
            return Err(broken(format!(
                "{} findings in one verdict, {EVIDENCE_MAX} are allowed",
                verdict.evidence.len()
            )));
        }
        Ok(Verdict {
            condition: verdict.condition,
            instance: verdict.instance,
            at: Instant::from_ns(verdict.at),
            level: level(verdict.level),
            score: verdict.score,
            why: text("a verdict's reason", verdict.why, TEXT_BYTES_MAX)?,
            evidence: verdict.evidence.into_iter().map(|f| self.finding(f)).collect::<Result<_, _>>()?,
        })
    }

    fn finding(&self, finding: out::Finding) -> Result<Finding, DetectorFault> {
        let out::Finding { signal, observed, low, high, share } = finding;
        if usize::try_from(signal).map_or(true, |index| index >= self.signals) {
            return Err(broken(format!("signal index {signal}, there are {} signals", self.signals)));
        }
        if !(0.0..=1.0).contains(&share) {
            return Err(broken(format!("the share {share} is not between 0 and 1")));
        }
        if let Some(bound) = [low, high].into_iter().flatten().find(|bound| bound.is_nan()) {
            return Err(broken(format!("the expected value {bound} is no number")));
        }
        // What was seen may be no number, of which there is one; a bound without end is none.
        let observed = if observed.is_finite() { observed } else { f64::NAN };
        let bound = |bound: Option<f64>| bound.filter(|bound| bound.is_finite());
        Ok(Finding { signal, observed, low: bound(low), high: bound(high), share })
    }

    /// Whether a condition has such an instance.
    fn place(&self, condition: u16, instance: u32) -> Result<(), DetectorFault> {
        let count = self.conditions.len();
        let Some(spec) = self.conditions.get(usize::from(condition)) else {
            return Err(broken(format!("condition index {condition}, there are {count} conditions")));
        };
        let exists = match spec.scope {
            Scope::Signal => usize::try_from(instance).is_ok_and(|index| index < self.signals),
            Scope::Group => self.groups.binary_search(&instance).is_ok(),
            Scope::Binding => instance == 0,
        };
        if exists { Ok(()) } else { Err(broken(format!("condition `{}` has no instance {instance}", spec.id))) }
    }
}

fn progress(progress: out::Progress) -> Result<Progress, DetectorFault> {
    Ok(Progress {
        phase: match progress.phase {
            out::Phase::Learning => Phase::Learning,
            out::Phase::Ready => Phase::Ready,
            out::Phase::Relearn => Phase::Relearn,
        },
        have: progress.have,
        need: progress.need,
        note: text("a progress note", progress.note, TEXT_BYTES_MAX)?,
    })
}

fn level(level: out::Level) -> Level {
    match level {
        out::Level::Normal => Level::Normal,
        out::Level::LowLow => Level::LowLow,
        out::Level::Low => Level::Low,
        out::Level::High => Level::High,
        out::Level::HighHigh => Level::HighHigh,
        out::Level::Active => Level::Active,
        out::Level::Unknown => Level::Unknown,
    }
}
