//! What the log holds: frames of data, and everything else that decides something, so that replaying the log decides
//! the same again.

use serde::{Deserialize, Serialize};

use crate::{Awaited, AwaitedKey, ConditionKey, Frame, Instant, Lsn, PlainEvent, SignalId, StatusCode, Verdict};

/// One record of the log and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Its place.
    pub lsn: Lsn,
    /// What it says.
    pub body: RecordBody,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(from = "crate::written::Read")]
pub enum RecordBody {
    /// Samples.
    Data(Frame),
    /// A control frame.
    Control(Control),
    /// What was decided on a frame, with the alarm transitions it caused: one record, so that a kill can never leave
    /// half of it. Durable before anything of it is published.
    Decided(Decided),
    /// An operator's command that was accepted, with the transitions it caused. Durable before it is answered.
    Commanded {
        /// The command.
        command: AlarmCommand,
        /// The new states.
        transitions: Vec<AlarmState>,
    },
}

/// The verdicts of a binding on one frame, and the states they led to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decided {
    /// The binding's name, or `gateway` for its own findings.
    pub binding: String,
    /// The record they rest on: a frame, or a control record for the gateway's own findings.
    pub frame: Lsn,
    /// Level verdicts, in order; those that the gateway decided from scores among them.
    pub verdicts: Vec<Verdict>,
    /// The states of the conditions that changed. Empty while the detector is in shadow.
    pub transitions: Vec<AlarmState>,
    /// What of it was told and is no alarm, in order. Empty while the detector is in shadow.
    pub events: Vec<PlainEvent>,
}

/// A condition's whole state after a transition, encoded by the alarm engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlarmState {
    /// The condition.
    pub key: ConditionKey,
    /// Its encoded state.
    pub state: Vec<u8>,
}

/// Control frames.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Control {
    /// A detector instance began: from here on its verdicts come from `origin`.
    DetectorStarted {
        /// The binding's name.
        binding: String,
        /// BLAKE3 of the component.
        digest: String,
        /// Hash of its configuration and signal list.
        config_hash: String,
        /// Where its state comes from.
        origin: DetectorOrigin,
        /// Seed handed to it.
        seed: u64,
        /// Whether its verdicts are recorded; not while it only learns.
        recorded: bool,
    },
    /// A detector failed on a frame; `skip` when it is to be left out from now on.
    DetectorFault {
        /// The binding's name.
        binding: String,
        /// The frame it failed on.
        frame: Lsn,
        /// What happened.
        reason: String,
        /// Whether the frame is skipped.
        skip: bool,
    },
    /// A detector's phase changed.
    DetectorPhase {
        /// The binding's name.
        binding: String,
        /// The phase it is in now.
        phase: Phase,
    },
    /// A source's connection changed.
    Source {
        /// The source's name.
        source: String,
        /// Its state now.
        state: SourceState,
        /// Why, one sentence.
        reason: String,
    },
    /// A detector fell so far behind that what it would have read next is no longer kept.
    DetectorSkipped {
        /// The binding's name.
        binding: String,
        /// The first record that it did not see.
        from: Lsn,
        /// The record where it goes on.
        to: Lsn,
    },
    /// A source's own history was asked for what is missing in gaps.
    Filled {
        /// The source's name.
        source: String,
        /// Gap by gap.
        fills: Vec<Fill>,
    },
    /// A detector was ended while the gateway ran: the configuration no longer has it, or has it otherwise.
    DetectorEnded {
        /// The binding's name.
        binding: String,
        /// Why, one sentence.
        reason: String,
    },
    /// A source was ended while the gateway ran: the configuration no longer has it, or has it otherwise.
    SourceEnded {
        /// The source's name.
        source: String,
        /// Why, one sentence.
        reason: String,
    },
    /// A person changed which version of its plugin a detector runs.
    Upgraded {
        /// The binding's name.
        binding: String,
        /// What was done.
        step: UpgradeStep,
        /// SHA-256 of the component that begins beside it, or that it runs from its next start on.
        digest: String,
        /// The name under which the state of that version is kept, and under which it runs beside.
        kept_as: String,
        /// Who did it, as far as the system says.
        by: String,
    },
    /// A person had a detector forget what it has learned: it, and a version that runs beside it, where they stand here.
    Forgot {
        /// The binding's name.
        binding: String,
        /// Of this signal alone; `None` for all.
        signal: Option<SignalId>,
        /// Who did it, as far as the system says.
        by: String,
    },
    /// By which thresholds a detector's scores become events from its start before this on: the configuration may have
    /// changed them.
    Gated {
        /// The binding's name.
        binding: String,
        /// Of each of its conditions that has any.
        gates: Vec<GateSet>,
    },
    /// What a source has yet to get of its signals has changed.
    Awaited {
        /// The source's name.
        source: String,
        /// Whether all of it is told by now. It is not while the source comes up: which of its signals are watched is told
        /// by a later one.
        is_known: bool,
        /// What is awaited from now on, in place of what has the same [`Awaited::key`].
        awaited: Vec<Awaited>,
        /// What is awaited no longer.
        settled: Vec<AwaitedKey>,
    },
}

/// By what the scores of a condition become events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GateSet {
    /// The condition's id.
    pub condition: String,
    /// The score at which an event begins.
    pub threshold: f64,
    /// For how long after it no other begins, nanoseconds.
    pub hold_off_ns: u64,
}

/// A step of a detector from one version of its plugin to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UpgradeStep {
    /// The new version runs beside the old one, in shadow.
    Began,
    /// The new version is the detector.
    TookOver,
    /// The new version runs no more.
    RolledBack,
}

/// What became of a gap when the source's own history was asked for what is missing in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fill {
    /// The signal.
    pub signal: SignalId,
    /// The gap's bounds, neither of them in it.
    pub since: Instant,
    /// See `since`.
    pub until: Instant,
    /// How many values were fetched, before this record and marked late.
    pub values: u32,
    /// Good when the source's history was read to the end of the gap; else why not, and the gap remains.
    pub status: StatusCode,
}

/// Where a detector's state comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DetectorOrigin {
    /// From nothing; the first frame it sees is the next one after this record. That may lie before its own start:
    /// the end of the log when the gateway was started, so that it sees the sources' first values however long it took
    /// to make it.
    Fresh(Lsn),
    /// From the checkpoint taken after this frame.
    Checkpoint(Lsn),
    /// From nothing, but taught what is on record first: the frames after `from` up to `upto` it learned from, those after
    /// them it judges.
    Taught {
        /// The record before the first one that it learns from.
        from: Lsn,
        /// The last one.
        upto: Lsn,
    },
}

impl DetectorOrigin {
    /// The record after which it reads.
    #[must_use]
    pub const fn after(self) -> Lsn {
        match self {
            Self::Fresh(after) | Self::Checkpoint(after) | Self::Taught { from: after, .. } => after,
        }
    }
}

/// How far a detector has learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// It learns what is normal.
    Learning,
    /// It can judge.
    Ready,
    /// What it learned no longer fits.
    Relearn,
}

/// The connection to a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SourceState {
    /// Connected, values flow.
    Up,
    /// Not connected.
    Down,
}

/// Something an operator asks of a condition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlarmCommand {
    /// The condition.
    pub key: ConditionKey,
    /// What is asked.
    pub kind: CommandKind,
    /// Which occurrence is meant: the EventId the caller saw. Empty but for `Acknowledge`, `Confirm`, `AddComment` and
    /// `Mark`.
    pub event_id: Vec<u8>,
    /// Locale and text; `None` leaves the comment as it is.
    pub comment: Option<(String, String)>,
    /// Who asks.
    pub user: String,
    /// When it came.
    pub at: Instant,
}

/// What can be asked of a condition (OPC 10000-9 §5.5, §5.7, §5.8). New ones come last: they are in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CommandKind {
    /// Acknowledge.
    Acknowledge,
    /// Confirm.
    Confirm,
    /// AddComment.
    AddComment,
    /// Enable.
    Enable,
    /// Disable.
    Disable,
    /// TimedShelve, for so many milliseconds.
    TimedShelve(u64),
    /// OneShotShelve.
    OneShotShelve,
    /// Unshelve.
    Unshelve,
    /// Suppress.
    Suppress,
    /// Unsuppress.
    Unsuppress,
    /// RemoveFromService.
    RemoveFromService,
    /// PlaceInService.
    PlaceInService,
    /// Silence.
    Silence,
    /// Reset.
    Reset,
    /// RemoveFromService for so many milliseconds, after which somebody is reminded.
    RemoveFromServiceFor(u64),
    /// The same at a time to come.
    PlanRemovalFromService {
        /// When it begins.
        from: Instant,
        /// For how long, milliseconds.
        ms: u64,
    },
    /// Say of an alarm whether it was a true one.
    Mark(bool),
}
