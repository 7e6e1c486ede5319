//! Between the generated bindings and [`crate::Detector`]: columns are moved, never copied. For [`crate::export!`]
//! alone. The call that comes with every frame is in [`crate::frame`].

use std::cell::RefCell;

use crate::bindings::exports::watchfire::detector::{detector as out, events_in};
use crate::bindings::watchfire::detector::types as wit;
use crate::frame::Answered;
use crate::{
    Blame, Cause, Condition, Decides, Detector, Kind, Learner, Level, Observer, Outcome, Phase, Refusal, Scale, Scope,
    Verdict,
};

/// The one detector of a component.
pub type Cell<D> = RefCell<Option<Running<D>>>;

/// A detector that was started, and what it answered last.
pub struct Running<D> {
    pub(crate) detector: D,
    pub(crate) answered: Answered,
}

/// Makes a component of a detector: `export!(Hot)`, or `export!(Hot: Learner + Observer)` for one that is that as well.
#[macro_export]
macro_rules! export {
    ($detector:ty $(: $first:ident $(+ $more:ident)*)?) => {
        const _: () = {
            use $crate::bindings::exports::watchfire::detector::{detector as wit, state};
            use $crate::bindings::watchfire::detector::types::{Batch, Refusal};
            use $crate::{frame, glue};

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
                fn process(_: Batch) -> Result<wit::Outcome, Refusal> {
                    unreachable!("it is exported by hand")
                }
                fn explain(condition: u16, instance: u32) -> Option<wit::Verdict> {
                    DETECTOR.with(|cell| glue::explain(cell, condition, instance))
                }
            }
            $crate::export_detector!();

            impl state::Guest for Component {
                fn save() -> Vec<u8> {
                    DETECTOR.with(glue::save)
                }
                fn load(state_version: u32, bytes: Vec<u8>) -> Result<(), Refusal> {
                    DETECTOR.with(|cell| glue::load(cell, state_version, &bytes))
                }
            }
            state::__export_watchfire_detector_state_1_0_0_cabi!(Component with_types_in state);

            $($crate::export_also!($first); $($crate::export_also!($more);)*)?
        };
    };
}

/// The functions of the interface `detector` under the names by which a component is made of them. `process` has none to
/// be called after it.
#[doc(hidden)]
#[macro_export]
macro_rules! export_detector {
    () => {
        #[unsafe(export_name = "watchfire:detector/detector@1.0.0#describe")]
        unsafe extern "C" fn describe() -> *mut u8 {
            unsafe { wit::_export_describe_cabi::<Component>() }
        }
        #[unsafe(export_name = "cabi_post_watchfire:detector/detector@1.0.0#describe")]
        unsafe extern "C" fn after_describe(answer: *mut u8) {
            unsafe { wit::__post_return_describe::<Component>(answer) }
        }
        #[unsafe(export_name = "watchfire:detector/detector@1.0.0#init")]
        unsafe extern "C" fn init(
            config: *mut u8,
            config_bytes: usize,
            signals: *mut u8,
            count: usize,
            seed: i64,
            has_model: i32,
            model: *mut u8,
            model_bytes: usize,
        ) -> *mut u8 {
            unsafe {
                wit::_export_init_cabi::<Component>(
                    config,
                    config_bytes,
                    signals,
                    count,
                    seed,
                    has_model,
                    model,
                    model_bytes,
                )
            }
        }
        #[unsafe(export_name = "cabi_post_watchfire:detector/detector@1.0.0#init")]
        unsafe extern "C" fn after_init(answer: *mut u8) {
            unsafe { wit::__post_return_init::<Component>(answer) }
        }
        #[unsafe(export_name = "watchfire:detector/detector@1.0.0#process")]
        unsafe extern "C" fn process(batch: *mut frame::Columns) -> *const u8 {
            DETECTOR.with(|cell| unsafe { frame::process(cell, batch) })
        }
        #[unsafe(export_name = "watchfire:detector/detector@1.0.0#explain")]
        unsafe extern "C" fn explain(condition: i32, instance: i32) -> *mut u8 {
            unsafe { wit::_export_explain_cabi::<Component>(condition, instance) }
        }
        #[unsafe(export_name = "cabi_post_watchfire:detector/detector@1.0.0#explain")]
        unsafe extern "C" fn after_explain(answer: *mut u8) {
            unsafe { wit::__post_return_explain::<Component>(answer) }
        }
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
        learner::__export_watchfire_detector_learner_1_0_0_cabi!(Component with_types_in learner);
    };
    (Observer) => {
        use $crate::bindings::exports::watchfire::detector::events_in;

        impl events_in::Guest for Component {
            fn observe(frame: u64, now: i64, events: Vec<events_in::Event>) -> Result<wit::Outcome, Refusal> {
                DETECTOR.with(|cell| glue::observe(cell, frame, now, events))
            }
        }
        events_in::__export_watchfire_detector_events_in_1_0_0_cabi!(Component with_types_in events_in);
    };
}

/// Writes a line to the gateway's log: 1 error, 2 warning, 3 information, 4 detail.
pub fn log(level: u8, message: &str) {
    crate::bindings::watchfire::detector::log::write(level, message);
}

pub(crate) fn not_started() -> Refusal {
    Refusal { blame: Blame::Bug, key: None, message: "called before `init`".to_owned() }
}

/// What a call makes of a detector that was started.
fn with<D, T>(cell: &Cell<D>, call: impl FnOnce(&mut D) -> Result<T, Refusal>) -> Result<T, wit::Refusal> {
    let mut running = cell.borrow_mut();
    let answer = running.as_mut().ok_or_else(not_started).and_then(|running| call(&mut running.detector));
    answer.map_err(refusal)
}

/// What it makes of one that may not have been.
fn seen<D, T>(cell: &Cell<D>, look: impl FnOnce(&D) -> T) -> Option<T> {
    cell.borrow().as_ref().map(|running| look(&running.detector))
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
    *cell.borrow_mut() = Some(Running { detector, answered: Answered::default() });
    crate::memory::open();
    Ok(conditions.into_iter().map(condition).collect())
}

#[doc(hidden)]
pub fn explain<D: Detector>(cell: &Cell<D>, condition: u16, instance: u32) -> Option<out::Verdict> {
    seen(cell, |detector| detector.explain(condition, instance)).flatten().map(verdict)
}

#[doc(hidden)]
pub fn save<D: Detector>(cell: &Cell<D>) -> Vec<u8> {
    seen(cell, D::save).unwrap_or_default()
}

#[doc(hidden)]
pub fn load<D: Detector>(cell: &Cell<D>, state_version: u32, bytes: &[u8]) -> Result<(), wit::Refusal> {
    with(cell, |detector| detector.load(state_version, bytes))
}

#[doc(hidden)]
pub fn learn<D: Learner>(cell: &Cell<D>, batch: wit::Batch) -> Result<(), wit::Refusal> {
    with(cell, |detector| detector.learn(&columns(batch)))
}

#[doc(hidden)]
pub fn freeze<D: Learner>(cell: &Cell<D>, on: bool) {
    if let Some(running) = cell.borrow_mut().as_mut() {
        running.detector.freeze(on);
    }
}

#[doc(hidden)]
pub fn forget<D: Learner>(cell: &Cell<D>, signal: Option<u32>) {
    if let Some(running) = cell.borrow_mut().as_mut() {
        running.detector.forget(signal);
    }
}

#[doc(hidden)]
pub fn model<D: Learner>(cell: &Cell<D>) -> Vec<u8> {
    seen(cell, D::model).unwrap_or_default()
}

#[doc(hidden)]
pub fn observe<D: Observer>(
    cell: &Cell<D>,
    frame: u64,
    now: i64,
    events: Vec<events_in::Event>,
) -> Result<out::Outcome, wit::Refusal> {
    let events: Vec<_> = events.into_iter().map(event).collect();
    with(cell, |detector| detector.observe(frame, now, &events)).map(outcome)
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
