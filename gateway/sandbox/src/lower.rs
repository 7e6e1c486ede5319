//! From the gateway's terms to the contract's: columns stay where they are.

use watchfire_model::{Batch, Event, GapCause, Kind, SignalInfo};

use crate::bindings::{events_in, out, wit};

/// What a batch needs beside its own columns while it is handed over.
pub(crate) struct Lowered<'a> {
    text: Vec<(u32, &'a str)>,
    gaps: Vec<wit::Gap>,
}

impl<'a> Lowered<'a> {
    pub(crate) fn new(batch: &'a Batch) -> Self {
        Self {
            text: batch.text.iter().map(|(row, text)| (*row, text.as_str())).collect(),
            gaps: batch.gaps.iter().map(gap).collect(),
        }
    }

    pub(crate) fn batch(&'a self, batch: &'a Batch) -> wit::Batch<'a> {
        wit::Batch {
            frame: batch.frame.0,
            now: batch.now.ns(),
            utc_offset_s: batch.utc_offset_s,
            mode: batch.mode,
            signal: &batch.signal,
            time: &batch.time,
            value: &batch.value,
            status: &batch.status,
            quality: &batch.quality,
            skew_ns: &batch.skew_ns,
            exact: &batch.exact,
            text: &self.text,
            gaps: &self.gaps,
        }
    }
}

fn gap(gap: &watchfire_model::BatchGap) -> wit::Gap {
    let cause = match gap.cause {
        GapCause::SourceLost => wit::Cause::SourceLost,
        GapCause::Overflow => wit::Cause::Overflow,
        GapCause::Skipped => wit::Cause::Skipped,
        // No detector is told of the latter.
        GapCause::NotRecorded | GapCause::Imported => wit::Cause::NotRecorded,
    };
    wit::Gap { signal: gap.signal, since: gap.since.ns(), until: gap.until.ns(), cause }
}

/// What an event says beyond what every event says.
pub(crate) fn fields(event: &Event) -> Vec<(&str, &str)> {
    event.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

/// An event as a plugin hears it.
pub(crate) fn event<'a>(event: &'a Event, fields: &'a [(&'a str, &'a str)]) -> events_in::Event<'a> {
    events_in::Event {
        time: event.time,
        source: event.source,
        event_type: &event.event_type,
        severity: event.severity,
        user: event.user.as_deref(),
        message: &event.message,
        fields,
    }
}

/// A signal as a plugin is told of it.
pub(crate) fn signal(signal: &SignalInfo) -> wit::Signal<'_> {
    let kind = match signal.kind {
        Kind::Boolean => wit::Kind::Boolean,
        Kind::Signed => wit::Kind::Signed,
        Kind::Unsigned => wit::Kind::Unsigned,
        Kind::Real => wit::Kind::Real,
        Kind::Enumeration => wit::Kind::Enumeration,
        Kind::Text | Kind::LocalizedText => wit::Kind::Text,
        Kind::Time => wit::Kind::Time,
    };
    wit::Signal {
        name: &signal.name,
        kind,
        unit: signal.unit.as_deref(),
        range: signal.range,
        sampling_ns: signal.sampling_ns,
        role: &signal.role,
        group: signal.group,
    }
}

/// What `init` is asked with.
pub(crate) fn setup<'a>(
    config: &'a str,
    signals: &'a [wit::Signal<'a>],
    seed: u64,
    model: Option<&'a [u8]>,
) -> out::Setup<'a> {
    out::Setup { config, signals, seed, model }
}
