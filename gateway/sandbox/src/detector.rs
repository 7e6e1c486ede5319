//! A plugin instance as the pipeline's `Detector`: its calls run on the detectors' own threads, wherever they are made.

use std::sync::Arc;

use async_trait::async_trait;
use watchfire_model::{Batch, ConditionSpec, Outcome, Verdict};
use watchfire_pipeline::{Detector, DetectorFault, DetectorIdentity};

use crate::executor::{Executor, here};
use crate::instance::Instance;

/// A running detector.
pub(crate) struct Sandboxed {
    pub executor: Arc<Executor>,
    pub identity: DetectorIdentity,
    pub conditions: Vec<ConditionSpec>,
    /// Gone after a fault, and while a call is under way: a caller that goes away in the middle of one drops it.
    pub instance: Option<Box<Instance>>,
}

impl Sandboxed {
    fn take(&mut self) -> Result<Box<Instance>, DetectorFault> {
        self.instance.take().ok_or_else(|| DetectorFault::Trap("it had failed or was interrupted before".into()))
    }

    /// Waits for a call on the detectors' threads; keeps the instance unless it failed.
    async fn finish<T: Send + 'static>(
        &mut self,
        call: impl Future<Output = (Box<Instance>, Result<T, DetectorFault>)> + Send + 'static,
    ) -> Result<T, DetectorFault> {
        let ran = self.executor.run(call).await;
        let (instance, answer) = ran.map_err(|lost| DetectorFault::Trap(lost.to_string()))?;
        self.keep(instance, answer)
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
        let mut instance = self.take()?;
        if self.executor.is_here() {
            let _running = self.executor.running();
            let answer = here(instance.process(batch)).await;
            let answer = answer.unwrap_or_else(|lost| Err(DetectorFault::Trap(lost.to_string())));
            return self.keep(instance, answer);
        }
        let batch = batch.clone();
        let call = async move {
            let answer = instance.process(&batch).await;
            (instance, answer)
        };
        self.finish(call).await
    }

    async fn explain(&mut self, condition: u16, instance: u32) -> Result<Option<Verdict>, DetectorFault> {
        let mut plugin = self.take()?;
        let call = async move {
            let answer = plugin.explain(condition, instance).await;
            (plugin, answer)
        };
        self.finish(call).await
    }

    async fn save(&mut self) -> Result<Option<Vec<u8>>, DetectorFault> {
        let mut instance = self.take()?;
        let call = async move {
            let answer = instance.save().await;
            (instance, answer)
        };
        self.finish(call).await
    }

    async fn load(&mut self, state_version: u32, bytes: &[u8]) -> Result<(), DetectorFault> {
        let mut instance = self.take()?;
        let bytes = bytes.to_vec();
        let call = async move {
            let answer = instance.load(state_version, &bytes).await;
            (instance, answer)
        };
        self.finish(call).await
    }
}
