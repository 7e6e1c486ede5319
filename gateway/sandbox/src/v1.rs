//! Version 1 of the contract, the newest: nothing is turned into anything.

use wasmtime::component::{Instance as Raw, InstancePre};
use wasmtime::{Result, Store};

use crate::bindings::{events_in, learner, out, state, wit};
use crate::guest::{Has, functions, there};
use crate::quota::HostState;

functions!(out, state, learner, events_in);

impl Guest {
    pub(crate) async fn describe(&self, store: &mut Store<HostState>) -> Result<out::Description> {
        self.detector.call_describe(store).await
    }

    pub(crate) async fn init(
        &self,
        store: &mut Store<HostState>,
        setup: out::Setup<'_>,
    ) -> Result<Result<Vec<out::Condition>, wit::Refusal>> {
        self.detector.call_init(store, setup).await
    }

    /// Called for each frame: a future of its own around that of the call would be one more place that the batch's
    /// columns are copied to.
    pub(crate) fn process<'a>(
        &'a self,
        store: &'a mut Store<HostState>,
        batch: wit::Batch<'a>,
    ) -> impl Future<Output = Result<Result<out::Outcome, wit::Refusal>>> + Send + 'a {
        self.detector.call_process(store, batch)
    }

    pub(crate) async fn explain(
        &self,
        store: &mut Store<HostState>,
        condition: u16,
        instance: u32,
    ) -> Result<Option<out::Verdict>> {
        self.detector.call_explain(store, condition, instance).await
    }

    pub(crate) async fn observe(
        &self,
        store: &mut Store<HostState>,
        frame: u64,
        now: i64,
        events: &[events_in::Event<'_>],
    ) -> Result<Result<out::Outcome, wit::Refusal>> {
        there(&self.events_in)?.call_observe(store, frame, now, events).await
    }
}
