//! The contract's types in plain Rust: the same fields with the same meanings as `wit/1.0.0/detector.wit`, which says
//! them in full. Knows no WebAssembly, so that detectors compile and run anywhere.

/// What a signal's values are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// True or false, as 1 and 0.
    Boolean,
    /// Signed integers.
    Signed,
    /// Unsigned integers.
    Unsigned,
    /// Floating point numbers.
    #[default]
    Real,
    /// A number that stands for a name.
    Enumeration,
    /// Text.
    Text,
    /// A time.
    Time,
}

/// A signal of the binding.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Signal {
    /// `source/name`.
    pub name: String,
    /// What its values are.
    pub kind: Kind,
    /// UCUM unit code.
    pub unit: Option<String>,
    /// Engineering range.
    pub range: Option<(f64, f64)>,
    /// Sampling interval, nanoseconds.
    pub sampling_ns: Option<u64>,
    /// Which slot of the description it fills.
    pub role: String,
    /// Its group.
    pub group: u32,
}

/// Why values are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The source could not be reached.
    SourceLost,
    /// A queue overflowed.
    Overflow,
    /// This detector did not keep up.
    Skipped,
    /// The gateway did not run.
    NotRecorded,
}

/// An interval in which values may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Signal index; `None` for all.
    pub signal: Option<u32>,
    /// The last time of which something is known, UTC nanoseconds.
    pub since: i64,
    /// The first time of which something is known again.
    pub until: i64,
    /// Why.
    pub cause: Cause,
}

/// The bits of the quality column.
pub mod quality {
    /// Came after its time.
    pub const LATE: u8 = 1;
    /// Values are missing before this one.
    pub const OVERFLOW: u8 = 2;
    /// The exact column holds the number, the value column a rounded one.
    pub const ROUNDED: u8 = 4;
    /// The time is the server's.
    pub const SERVER_TIME: u8 = 8;
    /// Another detector has found this signal's data to be junk.
    pub const DISTRUSTED: u8 = 16;
}

/// One frame of the log, cut down to the binding's signals. The first five columns have one length.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// The frame's number.
    pub frame: u64,
    /// The gateway's receive time, monotone, UTC nanoseconds: the only clock.
    pub now: i64,
    /// Offset of the site's time zone, seconds.
    pub utc_offset_s: i32,
    /// Operating mode.
    pub mode: u32,
    /// Signal indexes.
    pub signal: Vec<u32>,
    /// Source times, UTC nanoseconds.
    pub time: Vec<i64>,
    /// Values; NaN where there is only text or nothing.
    pub value: Vec<f64>,
    /// OPC UA StatusCodes.
    pub status: Vec<u32>,
    /// Bits of [`quality`].
    pub quality: Vec<u8>,
    /// Server minus source time; empty when all zero.
    pub skew_ns: Vec<i64>,
    /// Row and all 64 bits.
    pub exact: Vec<(u32, i64)>,
    /// Row and text.
    pub text: Vec<(u32, String)>,
    /// Missing intervals.
    pub gaps: Vec<Gap>,
}

/// An event of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Its time, UTC nanoseconds.
    pub time: i64,
    /// The signal that is its stream.
    pub source: u32,
    /// Its type: a node id with its namespace's URI, such as `i=2915`.
    pub event_type: String,
    /// From 1 to 1000; 0 where it does not say.
    pub severity: u16,
    /// Who caused it, where it says so.
    pub user: Option<String>,
    /// Its sentence.
    pub message: String,
    /// What else it says, by the names of the standard's fields, sorted by them.
    pub fields: Vec<(String, String)>,
}

impl Event {
    /// What it says under a name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// One row of a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// Signal index.
    pub signal: u32,
    /// Source time, UTC nanoseconds.
    pub time: i64,
    /// Value.
    pub value: f64,
    /// OPC UA StatusCode.
    pub status: u32,
    /// Bits of [`quality`].
    pub quality: u8,
}

impl Row {
    /// Whether the value can be judged: its status is not bad, it is a number, and nobody distrusts it.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.status >> 31 == 0 && self.value.is_finite() && self.quality & quality::DISTRUSTED == 0
    }
}

impl Batch {
    /// The rows in order. As quick as walking the columns by hand.
    pub fn rows(&self) -> impl Iterator<Item = Row> {
        let columns = self.signal.iter().zip(&self.time).zip(&self.value).zip(&self.status).zip(&self.quality);
        columns.map(|((((signal, time), value), status), quality)| Row {
            signal: *signal,
            time: *time,
            value: *value,
            status: *status,
            quality: *quality,
        })
    }

    /// Whether values of the signal may be missing.
    #[must_use]
    pub fn has_gap(&self, signal: u32) -> bool {
        self.gaps.iter().any(|gap| gap.signal.is_none_or(|of| of == signal))
    }

    /// Appends a row; for tests and benchmarks.
    pub fn push(&mut self, row: Row) {
        self.signal.push(row.signal);
        self.time.push(row.time);
        self.value.push(row.value);
        self.status.push(row.status);
        self.quality.push(row.quality);
    }
}

/// Whose fault a refusal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The configuration's.
    Config,
    /// The choice of signals.
    Signals,
    /// The model's.
    Model,
    /// The saved state's.
    State,
    /// The detector's own.
    Bug,
}

/// A call that a detector refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Whose fault it is.
    pub blame: Blame,
    /// The configuration key, where it is about one.
    pub key: Option<String>,
    /// What is wrong and the way out.
    pub message: String,
}

/// For what a condition has one instance each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// Each signal.
    #[default]
    Signal,
    /// Each group.
    Group,
    /// The whole binding.
    Binding,
}

/// Who turns a condition active.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Decides {
    /// The detector, by level verdicts.
    #[default]
    Plugin,
    /// The gateway, from calibrated scores.
    Host,
}

/// What a score means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scale {
    /// −log10 of a tail probability.
    #[default]
    NegLog10P,
    /// Only its order means something.
    Ordinal,
}

/// One thing that a detector can find.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// Its name within the detector.
    pub id: String,
    /// For what it has instances.
    pub scope: Scope,
    /// Who decides.
    pub decides: Decides,
    /// What its scores mean.
    pub scale: Scale,
    /// BrowseName of the OPC UA alarm type that fits.
    pub alarm_type: String,
    /// Proposed severity, 1 to 1000.
    pub severity: u16,
    /// What it means, one sentence.
    pub text: String,
    /// What the operator should do.
    pub response: String,
}

/// Signals that a detector takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    /// The slot's name.
    pub role: String,
    /// The kinds it takes.
    pub kinds: Vec<Kind>,
    /// How many it needs.
    pub least: u32,
    /// How many it can have.
    pub most: Option<u32>,
}

/// What a detector says it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// Its id, the same for all its versions.
    pub id: String,
    /// Its version.
    pub version: String,
    /// One line.
    pub title: String,
    /// The version of its saved state.
    pub state_version: u32,
    /// JSON Schema of its configuration.
    pub config_schema: String,
    /// What it can find with any configuration.
    pub conditions: Vec<Condition>,
    /// The signals it takes.
    pub slots: Vec<Slot>,
    /// How often it wants to be called without rows, nanoseconds.
    pub tick_ns: Option<u64>,
    /// Samples it needs before it can judge.
    pub warm_up_samples: u64,
}

/// What a detector is started with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Setup {
    /// Its configuration, JSON.
    pub config: String,
    /// Its signals; rows index this list.
    pub signals: Vec<Signal>,
    /// The only randomness there is.
    pub seed: u64,
    /// A reviewed model.
    pub model: Option<Vec<u8>>,
}

/// Scores as columns of one length.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scores {
    /// Index into the conditions that `init` answered.
    pub condition: Vec<u16>,
    /// Signal index, group number or 0.
    pub instance: Vec<u32>,
    /// Time of the sample.
    pub at: Vec<i64>,
    /// The score.
    pub score: Vec<f64>,
}

impl Scores {
    /// Appends a score.
    pub fn push(&mut self, condition: u16, instance: u32, at: i64, score: f64) {
        self.condition.push(condition);
        self.instance.push(instance);
        self.at.push(at);
        self.score.push(score);
    }
}

/// The state of a condition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
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

/// One piece of evidence.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Finding {
    /// Signal index.
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

/// A level of a condition instance at a time, with its reasons.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    /// Index into the conditions that `init` answered.
    pub condition: u16,
    /// Signal index, group number or 0.
    pub instance: u32,
    /// Time of the sample it rests on.
    pub at: i64,
    /// The level.
    pub level: Level,
    /// The score, where there is one.
    pub score: Option<f64>,
    /// One plain sentence.
    pub why: String,
    /// What drove it, the first the most.
    pub evidence: Vec<Finding>,
}

/// Where a detector stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It learns what is normal.
    Learning,
    /// It can judge.
    Ready,
    /// What it learned no longer fits.
    Relearn,
}

/// How far it has learned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Where it stands.
    pub phase: Phase,
    /// Samples it has.
    pub have: u64,
    /// Samples it needs.
    pub need: u64,
    /// What it waits for, if anything.
    pub note: String,
}

/// What a call answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Scores of the conditions that the gateway decides.
    pub scores: Scores,
    /// Levels of the conditions that the detector decides, where they changed.
    pub verdicts: Vec<Verdict>,
    /// Progress, when it changed.
    pub progress: Option<Progress>,
}
