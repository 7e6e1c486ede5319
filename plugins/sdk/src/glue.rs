//! Between the generated bindings and [`crate::Detector`]: columns are moved, never copied. For [`crate::export!`]
//! alone.

use std::cell::RefCell;

use crate::bindings::exports::watchfire::detector::{detector as out, events_in};
use crate::bindings::watchfire::detector::types as wit;
use crate::{
    Blame, Cause, Condition, Decides, Detector, Kind, Learner, Level, Observer, Outcome, Phase, Refusal, Scale, Scope,
    Verdict,
};

/// The one detector of a component.
pub type Cell<D> = RefCell<Option<D>>;

/// Makes a component of a detector: `export!(Hot)`, or `export!(Hot: Learner + Observer)` for one that is that as well.
#[macro_export]
macro_rules! export {
    ($detector:ty $(: $first:ident $(+ $more:ident)*)?) => {
        const _: () = {
            use $crate::bindings::exports::watchfire::detector::{detector as wit, state};
            use $crate::bindings::watchfire::detector::types::{Batch, Refusal};
            use $crate::glue;

            std::thread_local! {
                static DETECTOR: glue::Cell<$detector> = const { std::cell::RefCell::new(None) };
            }
            struct Component;

            impl wit::Guest for Component {
                fn describe() -> wit::Description {
                    glue::describe::<$detector>()
                }
                fn init(setup: wit::Setup) -> Result<Vec<wit::Condition>, Refusal> {
                    DETECTOR.with(|cell| glue::init(cell, setup))
                }
                fn process(batch: Batch) -> Result<wit::Outcome, Refusal> {
                    DETECTOR.with(|cell| glue::process(cell, batch))
                }
                fn explain(condition: u16, instance: u32) -> Option<wit::Verdict> {
                    DETECTOR.with(|cell| glue::explain(cell, condition, instance))
                }
            }
            wit::__export_watchfire_detector_detector_0_1_0_cabi!(Component with_types_in wit);

            impl state::Guest for Component {
                fn save() -> Vec<u8> {
                    DETECTOR.with(glue::save)
                }
                fn load(state_version: u32, bytes: Vec<u8>) -> Result<(), Refusal> {
                    DETECTOR.with(|cell| glue::load(cell, state_version, &bytes))
                }
            }
            state::__export_watchfire_detector_state_0_1_0_cabi!(Component with_types_in state);

            $($crate::export_also!($first); $($crate::export_also!($more);)*)?
        };
    };
}

/// What [`export!`] makes of what a detector is as well.
#[doc(hidden)]
#[macro_export]
macro_rules! export_also {
    (Learner) => {
        use $crate::bindings::exports::watchfire::detector::learner;

        impl learner::Guest for Component {
            fn learn(batch: Batch) -> Result<(), Refusal> {
                DETECTOR.with(|cell| glue::learn(cell, batch))
            }
            fn freeze(on: bool) {
                DETECTOR.with(|cell| glue::freeze(cell, on));
            }
            fn forget(signal: Option<u32>) {
                DETECTOR.with(|cell| glue::forget(cell, signal));
            }
            fn model() -> Vec<u8> {
                DETECTOR.with(glue::model)
            }
        }
        learner::__export_watchfire_detector_learner_0_1_0_cabi!(Component with_types_in learner);
    };
    (Observer) => {
        use $crate::bindings::exports::watchfire::detector::events_in;

        impl events_in::Guest for Component {
            fn observe(frame: u64, now: i64, events: Vec<events_in::Event>) -> Result<wit::Outcome, Refusal> {
                DETECTOR.with(|cell| glue::observe(cell, frame, now, events))
            }
        }
        events_in::__export_watchfire_detector_events_in_0_1_0_cabi!(Component with_types_in events_in);
    };
}

/// Writes a line to the gateway's log: 1 error, 2 warning, 3 information, 4 detail.
pub fn log(level: u8, message: &str) {
    crate::bindings::watchfire::detector::log::write(level, message);
}

fn not_started() -> wit::Refusal {
    wit::Refusal { blame: wit::Blame::Bug, key: None, message: "called before `init`".to_owned() }
}

#[doc(hidden)]
pub fn describe<D: Detector>() -> out::Description {
    let said = D::describe();
    out::Description {
        id: said.id,
        version: said.version,
        title: said.title,
        state_version: said.state_version,
        config_schema: said.config_schema,
        conditions: said.conditions.into_iter().map(condition).collect(),
        slots: said.slots.into_iter().map(slot).collect(),
        tick_ns: said.tick_ns,
        warm_up_samples: said.warm_up_samples,
    }
}

#[doc(hidden)]
pub fn init<D: Detector>(cell: &Cell<D>, setup: out::Setup) -> Result<Vec<out::Condition>, wit::Refusal> {
    // A trap tells the host nothing: what a panic says goes to the log first.
    std::panic::set_hook(Box::new(|panic| log(1, &panic.to_string())));
    let signals = setup.signals.into_iter().map(signal).collect();
    let setup = crate::Setup { config: setup.config, signals, seed: setup.seed, model: setup.model };
    let (detector, conditions) = D::init(setup).map_err(refusal)?;
    *cell.borrow_mut() = Some(detector);
    Ok(conditions.into_iter().map(condition).collect())
}

#[doc(hidden)]
pub fn process<D: Detector>(cell: &Cell<D>, batch: wit::Batch) -> Result<out::Outcome, wit::Refusal> {
    let mut detector = cell.borrow_mut();
    let detector = detector.as_mut().ok_or_else(not_started)?;
    detector.process(&columns(batch)).map(outcome).map_err(refusal)
}

#[doc(hidden)]
pub fn explain<D: Detector>(cell: &Cell<D>, condition: u16, instance: u32) -> Option<out::Verdict> {
    cell.borrow().as_ref()?.explain(condition, instance).map(verdict)
}

#[doc(hidden)]
pub fn save<D: Detector>(cell: &Cell<D>) -> Vec<u8> {
    cell.borrow().as_ref().map(D::save).unwrap_or_default()
}

#[doc(hidden)]
pub fn load<D: Detector>(cell: &Cell<D>, state_version: u32, bytes: &[u8]) -> Result<(), wit::Refusal> {
    cell.borrow_mut().as_mut().ok_or_else(not_started)?.load(state_version, bytes).map_err(refusal)
}

#[doc(hidden)]
pub fn learn<D: Learner>(cell: &Cell<D>, batch: wit::Batch) -> Result<(), wit::Refusal> {
    cell.borrow_mut().as_mut().ok_or_else(not_started)?.learn(&columns(batch)).map_err(refusal)
}

#[doc(hidden)]
pub fn freeze<D: Learner>(cell: &Cell<D>, on: bool) {
    if let Some(detector) = cell.borrow_mut().as_mut() {
        detector.freeze(on);
    }
}

#[doc(hidden)]
pub fn forget<D: Learner>(cell: &Cell<D>, signal: Option<u32>) {
    if let Some(detector) = cell.borrow_mut().as_mut() {
        detector.forget(signal);
    }
}

#[doc(hidden)]
pub fn model<D: Learner>(cell: &Cell<D>) -> Vec<u8> {
    cell.borrow().as_ref().map(D::model).unwrap_or_default()
}

#[doc(hidden)]
pub fn observe<D: Observer>(
    cell: &Cell<D>,
    frame: u64,
    now: i64,
    events: Vec<events_in::Event>,
) -> Result<out::Outcome, wit::Refusal> {
    let events: Vec<_> = events.into_iter().map(event).collect();
    let mut detector = cell.borrow_mut();
    let detector = detector.as_mut().ok_or_else(not_started)?;
    detector.observe(frame, now, &events).map(outcome).map_err(refusal)
}

fn event(event: events_in::Event) -> crate::Event {
    crate::Event {
        time: event.time,
        source: event.source,
        event_type: event.event_type,
        severity: event.severity,
        user: event.user,
        message: event.message,
        fields: event.fields,
    }
}

fn columns(batch: wit::Batch) -> crate::Batch {
    crate::Batch {
        frame: batch.frame,
        now: batch.now,
        utc_offset_s: batch.utc_offset_s,
        mode: batch.mode,
        signal: batch.signal,
        time: batch.time,
        value: batch.value,
        status: batch.status,
        quality: batch.quality,
        skew_ns: batch.skew_ns,
        exact: batch.exact,
        text: batch.text,
        gaps: batch.gaps.into_iter().map(gap).collect(),
    }
}

fn gap(gap: wit::Gap) -> crate::Gap {
    let cause = match gap.cause {
        wit::Cause::SourceLost => Cause::SourceLost,
        wit::Cause::Overflow => Cause::Overflow,
        wit::Cause::Skipped => Cause::Skipped,
        wit::Cause::NotRecorded => Cause::NotRecorded,
    };
    crate::Gap { signal: gap.signal, since: gap.since, until: gap.until, cause }
}

fn signal(signal: wit::Signal) -> crate::Signal {
    let kind = match signal.kind {
        wit::Kind::Boolean => Kind::Boolean,
        wit::Kind::Signed => Kind::Signed,
        wit::Kind::Unsigned => Kind::Unsigned,
        wit::Kind::Real => Kind::Real,
        wit::Kind::Enumeration => Kind::Enumeration,
        wit::Kind::Text => Kind::Text,
        wit::Kind::Time => Kind::Time,
    };
    crate::Signal {
        name: signal.name,
        kind,
        unit: signal.unit,
        range: signal.range,
        sampling_ns: signal.sampling_ns,
        role: signal.role,
        group: signal.group,
    }
}

fn slot(slot: crate::Slot) -> out::Slot {
    let kind = |kind| match kind {
        Kind::Boolean => wit::Kind::Boolean,
        Kind::Signed => wit::Kind::Signed,
        Kind::Unsigned => wit::Kind::Unsigned,
        Kind::Real => wit::Kind::Real,
        Kind::Enumeration => wit::Kind::Enumeration,
        Kind::Text => wit::Kind::Text,
        Kind::Time => wit::Kind::Time,
    };
    out::Slot { role: slot.role, kinds: slot.kinds.into_iter().map(kind).collect(), least: slot.least, most: slot.most }
}

fn condition(condition: Condition) -> out::Condition {
    out::Condition {
        id: condition.id,
        scope: match condition.scope {
            Scope::Signal => out::Scope::Signal,
            Scope::Group => out::Scope::Group,
            Scope::Binding => out::Scope::Binding,
        },
        decides: match condition.decides {
            Decides::Plugin => out::Decides::Plugin,
            Decides::Host => out::Decides::Host,
        },
        scale: match condition.scale {
            Scale::NegLog10P => out::Scale::NegLog10P,
            Scale::Ordinal => out::Scale::Ordinal,
        },
        alarm_type: condition.alarm_type,
        severity: condition.severity,
        text: condition.text,
        response: condition.response,
    }
}

fn outcome(outcome: Outcome) -> out::Outcome {
    let scores = out::Scores {
        condition: outcome.scores.condition,
        instance: outcome.scores.instance,
        at: outcome.scores.at,
        score: outcome.scores.score,
    };
    let progress = outcome.progress.map(|progress| out::Progress {
        phase: match progress.phase {
            Phase::Learning => out::Phase::Learning,
            Phase::Ready => out::Phase::Ready,
            Phase::Relearn => out::Phase::Relearn,
        },
        have: progress.have,
        need: progress.need,
        note: progress.note,
    });
    out::Outcome { scores, verdicts: outcome.verdicts.into_iter().map(verdict).collect(), progress }
}

fn verdict(verdict: Verdict) -> out::Verdict {
    let finding = |finding: crate::Finding| out::Finding {
        signal: finding.signal,
        observed: finding.observed,
        low: finding.low,
        high: finding.high,
        share: finding.share,
    };
    out::Verdict {
        condition: verdict.condition,
        instance: verdict.instance,
        at: verdict.at,
        level: match verdict.level {
            Level::Normal => out::Level::Normal,
            Level::LowLow => out::Level::LowLow,
            Level::Low => out::Level::Low,
            Level::High => out::Level::High,
            Level::HighHigh => out::Level::HighHigh,
            Level::Active => out::Level::Active,
            Level::Unknown => out::Level::Unknown,
        },
        score: verdict.score,
        why: verdict.why,
        evidence: verdict.evidence.into_iter().map(finding).collect(),
    }
}

fn refusal(refusal: Refusal) -> wit::Refusal {
    let blame = match refusal.blame {
        Blame::Config => wit::Blame::Config,
        Blame::Signals => wit::Blame::Signals,
        Blame::Model => wit::Blame::Model,
        Blame::State => wit::Blame::State,
        Blame::Bug => wit::Blame::Bug,
    };
    wit::Refusal { blame, key: refusal.key, message: refusal.message }
}
