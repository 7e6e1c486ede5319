//! One instance of a plugin: its store, its bounds, and the calls into it. Knows neither threads nor files.

use std::sync::Arc;

use wasmtime::component::{Instance as Raw, InstancePre};
use wasmtime::{Engine, Store, Trap};
use watchfire_model::{Batch, ConditionSpec, Event, Instant, Lsn, Outcome, Verdict};
use watchfire_pipeline::{BindingSpec, DetectorFault, Quota};

use crate::bindings::{events_in, learner, out, state, wit};
use crate::check::Known;
use crate::lower::Lowered;
use crate::quota::{self, Exceeded, HostState};
use crate::{check, log, lower};

/// A plugin's interfaces, found once for all its instances.
pub(crate) struct Interfaces {
    pub pre: InstancePre<HostState>,
    pub detector: out::GuestIndices,
    pub state: Option<state::GuestIndices>,
    pub learner: Option<learner::GuestIndices>,
    pub events_in: Option<events_in::GuestIndices>,
}

/// A running instance. After a fault it must be dropped.
pub(crate) struct Instance {
    store: Store<HostState>,
    detector: out::Guest,
    state: Option<state::Guest>,
    learner: Option<learner::Guest>,
    events_in: Option<events_in::Guest>,
    quota: Quota,
    /// How many signals it has.
    signals: usize,
    /// Their groups, sorted.
    groups: Vec<u32>,
    conditions: Vec<ConditionSpec>,
}

/// Why `init` gave no detector.
pub(crate) enum NotStarted {
    Refused(wit::Refusal),
    Fault(DetectorFault),
}

impl From<DetectorFault> for NotStarted {
    fn from(fault: DetectorFault) -> Self {
        Self::Fault(fault)
    }
}

impl Instance {
    /// A new instance, not yet started. Costs some 10 µs and what its own start function does.
    pub(crate) async fn new(
        engine: &Engine,
        interfaces: &Interfaces,
        quota: Quota,
        detector: Arc<str>,
    ) -> Result<Self, DetectorFault> {
        let mut store = Store::new(engine, HostState::new(&quota, detector));
        quota::bound(&mut store);
        begin(&mut store, &quota, 0)?;
        let raw: Raw = interfaces.pre.instantiate_async(&mut store).await.map_err(|error| fault(&error))?;
        let found = interfaces.detector.load(&mut store, &raw).map_err(|error| fault(&error))?;
        let state = interfaces.state.as_ref().map(|indices| indices.load(&mut store, &raw));
        let state = state.transpose().map_err(|error| fault(&error))?;
        let learner = interfaces.learner.as_ref().map(|indices| indices.load(&mut store, &raw));
        let learner = learner.transpose().map_err(|error| fault(&error))?;
        let events_in = interfaces.events_in.as_ref().map(|indices| indices.load(&mut store, &raw));
        let events_in = events_in.transpose().map_err(|error| fault(&error))?;
        let (groups, conditions) = (Vec::new(), Vec::new());
        Ok(Self { store, detector: found, state, learner, events_in, quota, signals: 0, groups, conditions })
    }

    /// Asks what the plugin is.
    pub(crate) async fn describe(&mut self) -> Result<out::Description, DetectorFault> {
        self.begin(0, self.quota.result_bytes)?;
        let said = self.detector.call_describe(&mut self.store).await.map_err(|error| fault(&error))?;
        check::description(said)
    }

    /// Starts it for a binding, with the bytes of its model.
    pub(crate) async fn init(&mut self, binding: &BindingSpec, model: Option<Vec<u8>>) -> Result<(), NotStarted> {
        self.begin(binding.signals.len(), self.quota.result_bytes)?;
        let signals: Vec<_> = binding.signals.iter().map(lower::signal).collect();
        let setup = lower::setup(&binding.config, &signals, binding.seed, model.as_deref());
        let answer = self.detector.call_init(&mut self.store, setup).await.map_err(|error| fault(&error))?;
        self.conditions = check::conditions(answer.map_err(NotStarted::Refused)?)?;
        self.signals = binding.signals.len();
        self.groups = binding.signals.iter().map(|signal| signal.group).collect();
        self.groups.sort_unstable();
        self.groups.dedup();
        self.groups.shrink_to_fit();
        Ok(())
    }

    pub(crate) fn conditions(&self) -> &[ConditionSpec] {
        &self.conditions
    }

    /// Memory that it has taken, bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.store.data().memory_bytes()
    }

    /// Fuel that the last call took, which had so many rows.
    pub(crate) fn fuel_used(&self, rows: usize) -> u64 {
        fuel(&self.quota, rows).saturating_sub(self.store.get_fuel().unwrap_or_default())
    }

    /// Judges a batch.
    pub(crate) async fn process(&mut self, batch: &Batch) -> Result<Outcome, DetectorFault> {
        self.begin(batch.len(), self.quota.result_bytes)?;
        let lowered = Lowered::new(batch);
        let answer = self.detector.call_process(&mut self.store, lowered.batch(batch)).await;
        let outcome = answer.map_err(|error| fault(&error))?.map_err(|refusal| refused(&refusal))?;
        self.known().outcome(outcome)
    }

    /// The reasons for a score.
    pub(crate) async fn explain(&mut self, condition: u16, instance: u32) -> Result<Option<Verdict>, DetectorFault> {
        self.begin(0, self.quota.result_bytes)?;
        let answer = self.detector.call_explain(&mut self.store, condition, instance).await;
        let verdict = answer.map_err(|error| fault(&error))?;
        verdict.map(|verdict| self.known().verdict(verdict)).transpose()
    }

    /// Its state, `None` when it keeps none.
    pub(crate) async fn save(&mut self) -> Result<Option<Vec<u8>>, DetectorFault> {
        self.begin(self.signals, self.quota.state_bytes)?;
        let Some(state) = &self.state else { return Ok(None) };
        state.call_save(&mut self.store).await.map(Some).map_err(|error| state_fault(&error))
    }

    /// Restores a state.
    pub(crate) async fn load(&mut self, state_version: u32, bytes: &[u8]) -> Result<(), DetectorFault> {
        self.begin(self.signals, self.quota.result_bytes)?;
        let Some(state) = &self.state else {
            let message = format!("it keeps no state, and {} bytes are to be restored", bytes.len());
            return Err(DetectorFault::Refused(message));
        };
        let answer = state.call_load(&mut self.store, state_version, bytes).await.map_err(|error| fault(&error))?;
        answer.map_err(|refusal| refused(&refusal))
    }

    /// Whether it can learn from what is past or late.
    pub(crate) const fn learns(&self) -> bool {
        self.learner.is_some()
    }

    /// Learns from a batch.
    pub(crate) async fn learn(&mut self, batch: &Batch) -> Result<(), DetectorFault> {
        self.begin(batch.len(), self.quota.result_bytes)?;
        let lowered = Lowered::new(batch);
        let answer = learner(&self.learner)?.call_learn(&mut self.store, lowered.batch(batch)).await;
        answer.map_err(|error| fault(&error))?.map_err(|refusal| refused(&refusal))
    }

    /// Learns nothing until it is told otherwise.
    pub(crate) async fn freeze(&mut self, on: bool) -> Result<(), DetectorFault> {
        self.begin(0, self.quota.result_bytes)?;
        learner(&self.learner)?.call_freeze(&mut self.store, on).await.map_err(|error| fault(&error))
    }

    /// Forgets what it has learned, of a signal or all.
    pub(crate) async fn forget(&mut self, signal: Option<u32>) -> Result<(), DetectorFault> {
        self.begin(self.signals, self.quota.result_bytes)?;
        learner(&self.learner)?.call_forget(&mut self.store, signal).await.map_err(|error| fault(&error))
    }

    /// What it has learned.
    pub(crate) async fn model(&mut self) -> Result<Vec<u8>, DetectorFault> {
        self.begin(self.signals, self.quota.state_bytes)?;
        learner(&self.learner)?.call_model(&mut self.store).await.map_err(|error| state_fault(&error))
    }

    /// Whether it hears events.
    pub(crate) const fn observes(&self) -> bool {
        self.events_in.is_some()
    }

    /// Judges the events of a frame.
    pub(crate) async fn observe(
        &mut self,
        frame: Lsn,
        now: Instant,
        events: &[Event],
    ) -> Result<Outcome, DetectorFault> {
        self.begin(events.len(), self.quota.result_bytes)?;
        let Some(events_in) = &self.events_in else {
            return Err(DetectorFault::Refused("it hears no events".to_owned()));
        };
        let fields: Vec<_> = events.iter().map(lower::fields).collect();
        let events: Vec<_> = events.iter().zip(&fields).map(|(event, fields)| lower::event(event, fields)).collect();
        let answer = events_in.call_observe(&mut self.store, frame.0, now.ns(), &events).await;
        let outcome = answer.map_err(|error| fault(&error))?.map_err(|refusal| refused(&refusal))?;
        self.known().outcome(outcome)
    }

    fn known(&self) -> Known<'_> {
        Known { conditions: &self.conditions, signals: self.signals, groups: &self.groups }
    }

    /// Fuel, slices and the cap on what comes back, for one call.
    fn begin(&mut self, rows: usize, result_bytes: usize) -> Result<(), DetectorFault> {
        self.store.set_hostcall_fuel(result_bytes);
        begin(&mut self.store, &self.quota, rows)
    }
}

/// Only one that has it is asked.
fn learner(found: &Option<learner::Guest>) -> Result<&learner::Guest, DetectorFault> {
    found.as_ref().ok_or_else(|| DetectorFault::Refused("it learns nothing beside what it judges".to_owned()))
}

fn begin(store: &mut Store<HostState>, quota: &Quota, rows: usize) -> Result<(), DetectorFault> {
    store.set_fuel(fuel(quota, rows)).map_err(|error| fault(&error))?;
    store.set_epoch_deadline(1);
    store.data_mut().begin();
    Ok(())
}

/// The fuel of a call with so many rows.
fn fuel(quota: &Quota, rows: usize) -> u64 {
    let rows = u64::try_from(rows).unwrap_or(u64::MAX);
    quota.fuel_per_call.saturating_add(rows.saturating_mul(quota.fuel_per_row))
}

/// What an error of wasmtime's means to the gateway.
pub(crate) fn fault(error: &wasmtime::Error) -> DetectorFault {
    if let Some(bound) = error.downcast_ref::<Exceeded>() {
        return DetectorFault::Quota(bound.to_string());
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => exceeded(&Exceeded::Fuel),
        Some(Trap::StackOverflow) => exceeded(&Exceeded::Stack),
        Some(trap) => DetectorFault::Trap(log::one_line(&trap.to_string())),
        None => answer_fault(error),
    }
}

fn exceeded(bound: &Exceeded) -> DetectorFault {
    DetectorFault::Quota(bound.to_string())
}

/// What wasmtime says of bounds for which it has no public type.
const UNTYPED: [(&str, Exceeded); 4] = [
    ("hostcalls has been exhausted", Exceeded::Result),
    ("instance count too high", Exceeded::Instances),
    ("memory count too high", Exceeded::Instances),
    ("table count too high", Exceeded::Tables),
];

/// An error that is no trap: what came back could not be read, or there was no room to begin.
fn answer_fault(error: &wasmtime::Error) -> DetectorFault {
    // What stands before it in the chain is a backtrace: addresses tell an operator nothing.
    let reason = log::one_line(&error.root_cause().to_string());
    match UNTYPED.iter().find(|(said, _)| reason.contains(said)) {
        Some((_, bound)) => exceeded(bound),
        None => DetectorFault::Contract(reason),
    }
}

/// As [`fault`], where what came back is a state.
fn state_fault(error: &wasmtime::Error) -> DetectorFault {
    match fault(error) {
        answer if answer == exceeded(&Exceeded::Result) => exceeded(&Exceeded::State),
        other => other,
    }
}

/// A refusal in one sentence.
pub(crate) fn refused(refusal: &wit::Refusal) -> DetectorFault {
    DetectorFault::Refused(sentence(refusal))
}

/// The key and the message of a refusal.
pub(crate) fn sentence(refusal: &wit::Refusal) -> String {
    let message = log::one_line(&refusal.message);
    match &refusal.key {
        Some(key) => format!("`{}`: {message}", log::one_line(key)),
        None => message,
    }
}
