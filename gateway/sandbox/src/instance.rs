//! One instance of a plugin: its store, its bounds, and the calls into it. Knows neither threads nor files.

use std::sync::Arc;

use wasmtime::component::{Instance as Raw, InstancePre};
use wasmtime::{Engine, Store, Trap};
use watchfire_model::{Batch, ConditionSpec, Event, Instant, Lsn, Outcome, Verdict};
use watchfire_pipeline::{BindingSpec, DetectorFault, Quota};

use crate::bindings::{out, wit};
use crate::check::Known;
use crate::guest::{Guest, Indices};
use crate::lower::Lowered;
use crate::quota::{self, Exceeded, HostState};
use crate::{check, log, lower};

/// A plugin's interfaces, found once for all its instances.
pub(crate) struct Interfaces {
    pub pre: InstancePre<HostState>,
    pub functions: Indices,
}

/// A running instance. After a fault it must be dropped.
pub(crate) struct Instance {
    store: Store<HostState>,
    guest: Guest,
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
        let guest = interfaces.functions.load(&mut store, &raw).map_err(|error| fault(&error))?;
        let (groups, conditions) = (Vec::new(), Vec::new());
        Ok(Self { store, guest, quota, signals: 0, groups, conditions })
    }

    /// Asks what the plugin is.
    pub(crate) async fn describe(&mut self) -> Result<out::Description, DetectorFault> {
        self.begin(0, self.quota.result_bytes)?;
        let said = self.guest.describe(&mut self.store).await.map_err(|error| fault(&error))?;
        check::description(said)
    }

    /// Starts it for a binding, with the bytes of its model.
    pub(crate) async fn init(&mut self, binding: &BindingSpec, model: Option<Vec<u8>>) -> Result<(), NotStarted> {
        self.begin(binding.signals.len(), self.quota.result_bytes)?;
        let signals: Vec<_> = binding.signals.iter().map(lower::signal).collect();
        let setup = lower::setup(&binding.config, &signals, binding.seed, model.as_deref());
        let answer = self.guest.init(&mut self.store, setup).await.map_err(|error| fault(&error))?;
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
        let answer = self.guest.process(&mut self.store, lowered.batch(batch)).await;
        let outcome = answer.map_err(|error| fault(&error))?.map_err(|refusal| refused(&refusal))?;
        self.known().outcome(outcome)
    }

    /// The reasons for a score.
    pub(crate) async fn explain(&mut self, condition: u16, instance: u32) -> Result<Option<Verdict>, DetectorFault> {
        self.begin(0, self.quota.result_bytes)?;
        let answer = self.guest.explain(&mut self.store, condition, instance).await;
        let verdict = answer.map_err(|error| fault(&error))?;
        verdict.map(|verdict| self.known().verdict(verdict)).transpose()
    }

    /// Its state, `None` when it keeps none.
    pub(crate) async fn save(&mut self) -> Result<Option<Vec<u8>>, DetectorFault> {
        self.begin(self.signals, self.quota.state_bytes)?;
        if !self.guest.has().state {
            return Ok(None);
        }
        self.guest.save(&mut self.store).await.map(Some).map_err(|error| state_fault(&error))
    }

    /// Restores a state.
    pub(crate) async fn load(&mut self, state_version: u32, bytes: &[u8]) -> Result<(), DetectorFault> {
        self.begin(self.signals, self.quota.result_bytes)?;
        if !self.guest.has().state {
            let message = format!("it keeps no state, and {} bytes are to be restored", bytes.len());
            return Err(DetectorFault::Refused(message));
        }
        let answer = self.guest.load(&mut self.store, state_version, bytes).await.map_err(|error| fault(&error))?;
        answer.map_err(|refusal| refused(&refusal))
    }

    /// Whether it can learn from what is past or late.
    pub(crate) fn learns(&self) -> bool {
        self.guest.has().learner
    }

    /// Learns from a batch.
    pub(crate) async fn learn(&mut self, batch: &Batch) -> Result<(), DetectorFault> {
        self.begin(batch.len(), self.quota.result_bytes)?;
        let lowered = Lowered::new(batch);
        self.learner()?;
        let answer = self.guest.learn(&mut self.store, lowered.batch(batch)).await;
        answer.map_err(|error| fault(&error))?.map_err(|refusal| refused(&refusal))
    }

    /// Learns nothing until it is told otherwise.
    pub(crate) async fn freeze(&mut self, on: bool) -> Result<(), DetectorFault> {
        self.begin(0, self.quota.result_bytes)?;
        self.learner()?;
        self.guest.freeze(&mut self.store, on).await.map_err(|error| fault(&error))
    }

    /// Forgets what it has learned, of a signal or all.
    pub(crate) async fn forget(&mut self, signal: Option<u32>) -> Result<(), DetectorFault> {
        self.begin(self.signals, self.quota.result_bytes)?;
        self.learner()?;
        self.guest.forget(&mut self.store, signal).await.map_err(|error| fault(&error))
    }

    /// What it has learned.
    pub(crate) async fn model(&mut self) -> Result<Vec<u8>, DetectorFault> {
        self.begin(self.signals, self.quota.state_bytes)?;
        self.learner()?;
        self.guest.model(&mut self.store).await.map_err(|error| state_fault(&error))
    }

    /// Whether it hears events.
    pub(crate) fn observes(&self) -> bool {
        self.guest.has().events_in
    }

    /// Judges the events of a frame.
    pub(crate) async fn observe(
        &mut self,
        frame: Lsn,
        now: Instant,
        events: &[Event],
    ) -> Result<Outcome, DetectorFault> {
        self.begin(events.len(), self.quota.result_bytes)?;
        if !self.observes() {
            return Err(DetectorFault::Refused("it hears no events".to_owned()));
        }
        let fields: Vec<_> = events.iter().map(lower::fields).collect();
        let events: Vec<_> = events.iter().zip(&fields).map(|(event, fields)| lower::event(event, fields)).collect();
        let answer = self.guest.observe(&mut self.store, frame.0, now.ns(), &events).await;
        let outcome = answer.map_err(|error| fault(&error))?.map_err(|refusal| refused(&refusal))?;
        self.known().outcome(outcome)
    }

    /// Only one that has it is asked.
    fn learner(&self) -> Result<(), DetectorFault> {
        if self.learns() {
            return Ok(());
        }
        Err(DetectorFault::Refused("it learns nothing beside what it judges".to_owned()))
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
