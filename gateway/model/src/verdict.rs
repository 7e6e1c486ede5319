//! What detectors say: conditions they can find, levels, scores, evidence. Mirrors the plugin contract in the
//! gateway's own terms; how it crosses the sandbox's boundary is not known here.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Instant;

/// An OPC UA event severity, 1 to 1000 (OPC 10000-5 §6.4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Severity(u16);

impl Severity {
    /// The nearest allowed severity.
    #[must_use]
    pub fn clamped(value: u16) -> Self {
        Self(value.clamp(1, 1000))
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// For what a condition has one instance each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// Each signal of the binding.
    Signal,
    /// Each group of signals.
    Group,
    /// The whole binding.
    Binding,
}

/// Who turns a condition active.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Decides {
    /// The plugin, by level verdicts.
    Plugin,
    /// The gateway, from calibrated scores.
    Host,
}

/// What a score means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scale {
    /// −log10 of a tail probability.
    NegLog10P,
    /// Only its order means something.
    Ordinal,
}

/// One thing that a detector can find, as it describes it after configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConditionSpec {
    /// Its name within the detector.
    pub id: String,
    /// For what it has instances.
    pub scope: Scope,
    /// Who decides.
    pub decides: Decides,
    /// What its scores mean.
    pub scale: Scale,
    /// The OPC UA alarm type that fits (BrowseName, such as `ExclusiveLevelAlarmType`).
    pub alarm_type: String,
    /// Severity while active, unless configured otherwise.
    pub severity: Severity,
    /// What it means, one sentence.
    pub text: String,
    /// What the operator should do.
    pub response: String,
}

/// Condition classes that a site may choose from (OPC 10000-9 §5.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AlarmClass {
    /// ProcessConditionClassType.
    Process,
    /// MaintenanceConditionClassType.
    Maintenance,
    /// StatisticalConditionClassType.
    Statistical,
    /// HighlyManagedAlarmConditionClassType: the gateway never suppresses it of its own accord.
    HighlyManaged,
    /// SafetyConditionClassType.
    Safety,
    /// TrainingConditionClassType.
    Training,
    /// TestingConditionClassType.
    Testing,
}

/// What is the matter with an instrument, in the words of NE 107.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceHealth {
    /// It has failed: what it says is not valid.
    Failure,
    /// It is being worked on or checked: what it says is not valid for a time.
    CheckFunction,
    /// It works outside of its specification: what it says is uncertain.
    OffSpec,
    /// It will need maintenance soon: what it says is valid still.
    MaintenanceRequired,
}

/// What the configuration says of a condition, over what the plugin proposes; what alarm rationalisation settles
/// (ISA-18.2 §9) is part of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AlarmSettings {
    /// Severity while active.
    pub severity: Option<u16>,
    /// Score at or above which the gateway decides "active" (conditions it decides).
    pub threshold: Option<f64>,
    /// For so long no second event of a condition the gateway decides.
    pub hold_off: Option<Duration>,
    /// What the operator should do.
    pub response: Option<String>,
    /// Whether an acknowledged alarm must be confirmed as well.
    pub confirm: Option<bool>,
    /// Its condition class.
    pub class: Option<AlarmClass>,
    /// For so long a finding must stand before it is an alarm (OnDelay).
    pub on_delay: Option<Duration>,
    /// For so long it must be gone before the alarm ends (OffDelay).
    pub off_delay: Option<Duration>,
    /// An alarm that still stands after it is one anew (ReAlarmTime).
    pub re_alarm: Option<Duration>,
    /// For so long it may be put aside at most (MaxTimeShelved).
    pub max_shelve: Option<Duration>,
    /// Whether it stays in the list until somebody resets it (LatchedState).
    pub latch: Option<bool>,
    /// Whether a chattering alarm stays active until it was quiet for a minute.
    pub damp: Option<bool>,
    /// The group of alarms that have one cause.
    pub group: Option<String>,
    /// Whether those of the group that follow the first are suppressed while it lasts.
    pub first_only: Option<bool>,
    /// What may have caused it.
    pub cause: Option<String>,
    /// What happens if nobody does anything.
    pub consequence: Option<String>,
    /// The time in which somebody must have done something.
    pub respond_within: Option<Duration>,
    /// The operating modes in which it says nothing worth an alarm.
    pub suppress_in_modes: Option<Vec<u32>>,
    /// Further classes that it is of (ConditionSubClassId).
    pub sub_classes: Option<Vec<AlarmClass>>,
    /// That it tells of an instrument, and what (its alarm type).
    pub instrument: Option<DeviceHealth>,
    /// Of a limit alarm: whether only the outermost limit that is passed is shown, or each that is.
    pub exclusive: Option<bool>,
    /// Of what is off normal: the value that is normal (NormalState).
    pub normal: Option<f64>,
    /// Of a discrepancy: the time within which the target is to be reached (ExpectedTime).
    pub expected_time: Option<Duration>,
}

impl AlarmSettings {
    /// These settings, with what they leave open taken from `others`.
    #[must_use]
    pub fn or(self, others: Self) -> Self {
        Self {
            severity: self.severity.or(others.severity),
            threshold: self.threshold.or(others.threshold),
            hold_off: self.hold_off.or(others.hold_off),
            response: self.response.or(others.response),
            confirm: self.confirm.or(others.confirm),
            class: self.class.or(others.class),
            on_delay: self.on_delay.or(others.on_delay),
            off_delay: self.off_delay.or(others.off_delay),
            re_alarm: self.re_alarm.or(others.re_alarm),
            max_shelve: self.max_shelve.or(others.max_shelve),
            latch: self.latch.or(others.latch),
            damp: self.damp.or(others.damp),
            group: self.group.or(others.group),
            first_only: self.first_only.or(others.first_only),
            cause: self.cause.or(others.cause),
            consequence: self.consequence.or(others.consequence),
            respond_within: self.respond_within.or(others.respond_within),
            suppress_in_modes: self.suppress_in_modes.or(others.suppress_in_modes),
            sub_classes: self.sub_classes.or(others.sub_classes),
            instrument: self.instrument.or(others.instrument),
            exclusive: self.exclusive.or(others.exclusive),
            normal: self.normal.or(others.normal),
            expected_time: self.expected_time.or(others.expected_time),
        }
    }
}

/// The limits by which a condition is judged, in the unit of what is judged.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    /// Above it, high-high.
    pub high_high: Option<f64>,
    /// Above it, high.
    pub high: Option<f64>,
    /// Below it, low.
    pub low: Option<f64>,
    /// Below it, low-low.
    pub low_low: Option<f64>,
}

impl Limits {
    /// The limit of a level; `None` for one that is not set, and for what is no level of limits.
    #[must_use]
    pub const fn of(&self, level: Level) -> Option<f64> {
        match level {
            Level::HighHigh => self.high_high,
            Level::High => self.high,
            Level::Low => self.low,
            Level::LowLow => self.low_low,
            Level::Normal | Level::Active | Level::Unknown => None,
        }
    }

    /// Whether any is known.
    #[must_use]
    pub const fn any(&self) -> bool {
        self.high_high.is_some() || self.high.is_some() || self.low.is_some() || self.low_low.is_some()
    }
}

/// The state of a condition as a detector sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Level {
    /// Nothing to report.
    #[default]
    Normal,
    /// Below the second lower limit.
    LowLow,
    /// Below the lower limit.
    Low,
    /// Above the upper limit.
    High,
    /// Above the second upper limit.
    HighHigh,
    /// Active, for what has no limits.
    Active,
    /// The detector cannot tell.
    Unknown,
}

impl Level {
    /// Whether this level makes a condition active. `Unknown` does not, and does not end it either.
    #[must_use]
    pub const fn is_active(self) -> bool {
        matches!(self, Self::LowLow | Self::Low | Self::High | Self::HighHigh | Self::Active)
    }

    /// Whether a value at this level has passed the limit of `other` as well: what is above high-high is above high.
    #[must_use]
    pub const fn passes(self, other: Self) -> bool {
        matches!(
            (self, other),
            (Self::HighHigh, Self::HighHigh | Self::High)
                | (Self::High, Self::High)
                | (Self::LowLow, Self::LowLow | Self::Low)
                | (Self::Low, Self::Low)
        )
    }
}

/// One piece of evidence: what a signal showed against what was expected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Index of the signal in the binding.
    pub signal: u32,
    /// What was seen.
    pub observed: f64,
    /// The least that was expected.
    pub low: Option<f64>,
    /// The most that was expected.
    pub high: Option<f64>,
    /// How much of the verdict it explains, 0 to 1.
    pub share: f64,
}

/// A level or score of one condition instance at a time, with its reasons.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Index into the binding's conditions.
    pub condition: u16,
    /// Signal index, group number or 0, by the condition's scope.
    pub instance: u32,
    /// The time of the sample it rests on.
    pub at: Instant,
    /// The level.
    pub level: Level,
    /// The score, where there is one.
    pub score: Option<f64>,
    /// One plain sentence.
    pub why: String,
    /// What drove it, the first the most.
    pub evidence: Vec<Finding>,
}

/// Scores for the gateway to calibrate, as columns of one length.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ScoreColumns {
    /// Index into the binding's conditions.
    pub condition: Vec<u16>,
    /// Signal index, group number or 0.
    pub instance: Vec<u32>,
    /// The time of the sample.
    pub at: Vec<Instant>,
    /// The score.
    pub score: Vec<f64>,
}

/// How far a detector has learned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Whether it is ready.
    pub phase: crate::Phase,
    /// Samples it has.
    pub have: u64,
    /// Samples it needs.
    pub need: u64,
    /// What it waits for, if anything.
    pub note: String,
}

/// What one call of a detector gave.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Scores of the conditions that the gateway decides.
    pub scores: ScoreColumns,
    /// Levels of the conditions that the plugin decides.
    pub verdicts: Vec<Verdict>,
    /// Progress, when it changed.
    pub progress: Option<Progress>,
}
