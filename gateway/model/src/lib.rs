//! What flows through the gateway: frames of columns, identifiers, times, quality, verdicts, and the clock.
//!
//! Every other room depends on this one, so it knows none of them: no OPC UA stack, no store, no sandbox, no task.

mod awaited;
mod binding;
mod clock;
mod event;
mod frame;
mod ids;
mod locale;
mod maintenance;
mod plain;
mod plain_event;
mod quality;
mod record;
mod sample;
mod summary;
mod time;
mod verdict;
mod weight;
mod written;

pub use awaited::{Awaited, AwaitedKey, Awaits, Known};
pub use binding::{Batch, BatchGap, SignalInfo};
pub use clock::{Clock, ManualClock, SystemClock};
pub use event::Event;
pub use frame::{Copied, Frame, Gap, GapCause, Rows, RowsError};
pub use ids::{ConditionKey, KeyError, Kind, Lsn, SignalId};
pub use locale::Locale;
pub use maintenance::{Maintained, PlannedMaintenance};
pub use plain::{is_one_plain_line, plain, plain_lines};
pub use plain_event::PlainEvent;
pub use quality::{Quality, StatusCode};
pub use record::{
    AlarmCommand, AlarmState, CommandKind, Control, Decided, DetectorOrigin, Fill, GateSet, Phase, Record, RecordBody,
    SourceState, UpgradeStep,
};
pub use sample::Sample;
pub use summary::{Edge, Extreme, Moments, Summary, Unit};
pub use time::Instant;
pub use verdict::{
    AlarmClass, AlarmSettings, ConditionSpec, Decides, DeviceHealth, Finding, Level, Limits, Outcome, Progress, Scale,
    Scope, ScoreColumns, Severity, Verdict,
};
