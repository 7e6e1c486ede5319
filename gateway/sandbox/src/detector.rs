//! A plugin instance as the pipeline's `Detector`: its calls run on the detectors' own threads, wherever they are made.

use std::pin::pin;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::OnceCell;
use watchfire_model::{Batch, ConditionSpec, Event, Instant, Lsn, Outcome, Verdict};
use watchfire_pipeline::{Detector, DetectorFault, DetectorIdentity};

use crate::executor::{Executor, here};
use crate::instance::Instance;
use crate::lane::Lane;
use crate::plugin::Plugin;

/// A running detector.
pub(crate) struct Sandboxed {
    pub executor: Arc<Executor>,
    /// Kept as long as somebody uses it.
    pub _plugin: Arc<OnceCell<Plugin>>,
    pub identity: DetectorIdentity,
    pub conditions: Vec<ConditionSpec>,
    /// Whether it has a `learner`.
    pub learns: bool,
    /// Whether it has `events-in`.
    pub observes: bool,
    /// Gone after a fault, and while a call is under way: a caller that goes away in the middle of one drops it.
    pub instance: Option<Box<Instance>>,
    /// Whether it has to give way.
    pub lane: Lane,
}

impl Sandboxed {
    fn take(&mut self) -> Result<Box<Instance>, DetectorFault> {
        self.instance.take().ok_or_else(|| DetectorFault::Trap("it had failed or was interrupted before".into()))
    }

    /// Runs a call on the detectors' threads; keeps the instance unless it failed.
    async fn finish<T, C>(&mut self, call: impl FnOnce(Box<Instance>) -> C + Send + 'static) -> Result<T, DetectorFault>
    where
        T: Send + 'static,
        C: Future<Output = (Box<Instance>, Result<T, DetectorFault>)> + Send + 'static,
    {
        let instance = self.take()?;
        let (mut lane, handle) = (std::mem::take(&mut self.lane), self.executor.handle().clone());
        let (ended, waiting) = (self.executor.has_ended(), Arc::new(()));
        let gone = Arc::downgrade(&waiting);
        let work = async move {
            let stop = || ended() || gone.strong_count() == 0;
            let done = lane.run(&handle, stop, pin!(call(instance))).await;
            (lane, done)
        };
        let ran = self.executor.run(work).await;
        drop(waiting);
        let (lane, done) = ran.map_err(|lost| DetectorFault::Trap(lost.to_string()))?;
        self.lane = lane;
        let (instance, answer) = done.map_err(|lost| DetectorFault::Trap(lost.to_string()))?;
        self.keep(instance, answer)
    }

    async fn process_from_elsewhere(&mut self, batch: Batch) -> Result<Outcome, DetectorFault> {
        self.finish(|mut instance| async move {
            let answer = instance.process(&batch).await;
            (instance, answer)
        })
        .await
    }

    fn keep<T>(&mut self, instance: Box<Instance>, answer: Result<T, DetectorFault>) -> Result<T, DetectorFault> {
        if answer.is_ok() {
            self.instance = Some(instance);
        }
        answer
    }
}

#[async_trait]
impl Detector for Sandboxed {
    fn identity(&self) -> &DetectorIdentity {
        &self.identity
    }

    fn conditions(&self) -> &[ConditionSpec] {
        &self.conditions
    }

    /// Costs a copy of the batch and two wake-ups, unless the caller runs on the detectors' threads already.
    async fn process(&mut self, batch: &Batch) -> Result<Outcome, DetectorFault> {
        if !self.executor.is_here() {
            // Apart: what a call from there has to carry would be moved about at each call from here.
            return Box::pin(self.process_from_elsewhere(batch.clone())).await;
        }
        let mut instance = self.take()?;
        let answer = {
            let (executor, lane) = (&*self.executor, &mut self.lane);
            let _running = executor.running();
            let call = pin!(instance.process(batch));
            here(lane.run(executor.handle(), || executor.is_ending(), call)).await.and_then(|done| done)
        };
        let answer = answer.unwrap_or_else(|lost| Err(DetectorFault::Trap(lost.to_string())));
        self.keep(instance, answer)
    }

    async fn explain(&mut self, condition: u16, instance: u32) -> Result<Option<Verdict>, DetectorFault> {
        self.finish(move |mut plugin| async move {
            let answer = plugin.explain(condition, instance).await;
            (plugin, answer)
        })
        .await
    }

    async fn save(&mut self) -> Result<Option<Vec<u8>>, DetectorFault> {
        self.finish(|mut instance| async move {
            let answer = instance.save().await;
            (instance, answer)
        })
        .await
    }

    async fn load(&mut self, state_version: u32, bytes: &[u8]) -> Result<(), DetectorFault> {
        let bytes = bytes.to_vec();
        self.finish(move |mut instance| async move {
            let answer = instance.load(state_version, &bytes).await;
            (instance, answer)
        })
        .await
    }

    fn learns(&self) -> bool {
        self.learns
    }

    async fn learn(&mut self, batch: &Batch) -> Result<(), DetectorFault> {
        let batch = batch.clone();
        self.finish(|mut instance| async move {
            let answer = instance.learn(&batch).await;
            (instance, answer)
        })
        .await
    }

    async fn freeze(&mut self, on: bool) -> Result<(), DetectorFault> {
        self.finish(move |mut instance| async move {
            let answer = instance.freeze(on).await;
            (instance, answer)
        })
        .await
    }

    async fn forget(&mut self, signal: Option<u32>) -> Result<(), DetectorFault> {
        self.finish(move |mut instance| async move {
            let answer = instance.forget(signal).await;
            (instance, answer)
        })
        .await
    }

    fn observes(&self) -> bool {
        self.observes
    }

    async fn observe(&mut self, frame: Lsn, now: Instant, events: &[Event]) -> Result<Outcome, DetectorFault> {
        let events = events.to_vec();
        self.finish(move |mut instance| async move {
            let answer = instance.observe(frame, now, &events).await;
            (instance, answer)
        })
        .await
    }

    async fn model(&mut self) -> Result<Vec<u8>, DetectorFault> {
        self.finish(|mut instance| async move {
            let answer = instance.model().await;
            (instance, answer)
        })
        .await
    }
}
