//! The bounds of one instance: memory, tables, time slices, and how much of a call's log is heard.

use std::sync::Arc;

use wasmtime::{ResourceLimiter, Store, UpdateDeadline};
use watchfire_pipeline::Quota;

use crate::log::Hearing;

/// How long a slice is at the most, milliseconds: then another detector may run.
pub(crate) const SLICE_MS: u64 = 5;
/// Elements of all tables together.
const TABLE_ELEMENTS_MAX: usize = 1 << 17;
/// Core instances of a component; a Python component has dozens.
const INSTANCES_MAX: usize = 512;

/// Which bound a plugin ran into.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Exceeded {
    #[error("memory: it wanted more than {0} bytes")]
    Memory(usize),
    #[error("tables: it wanted more than {TABLE_ELEMENTS_MAX} elements")]
    Tables,
    #[error("time: it ran for {0} slices of {SLICE_MS} ms")]
    Time(u64),
}

/// What a store carries.
pub(crate) struct HostState {
    memory_bytes: usize,
    memory_bytes_max: usize,
    table_elements: usize,
    slices: u64,
    slices_max: u64,
    pub hearing: Hearing,
}

impl HostState {
    pub(crate) fn new(quota: &Quota, detector: Arc<str>) -> Self {
        let slices_max = u64::try_from(quota.call.as_millis()).unwrap_or(u64::MAX).div_ceil(SLICE_MS).max(1);
        Self {
            memory_bytes: 0,
            memory_bytes_max: quota.memory_bytes,
            table_elements: 0,
            slices: 0,
            slices_max,
            hearing: Hearing::new(detector),
        }
    }

    /// Memory that was taken, bytes.
    pub(crate) const fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// A call begins.
    pub(crate) fn begin(&mut self) {
        self.slices = 0;
        self.hearing.begin();
    }

    fn slice(&mut self) -> Result<(), Exceeded> {
        self.slices += 1;
        if self.slices > self.slices_max { Err(Exceeded::Time(self.slices_max)) } else { Ok(()) }
    }
}

/// A detector gives way after each slice, and counts only those it really ran.
pub(crate) fn bound(store: &mut Store<HostState>) {
    store.limiter(|state| state);
    store.epoch_deadline_callback(|mut store| {
        store.data_mut().slice()?;
        Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
    });
}

impl ResourceLimiter for HostState {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.memory_bytes.saturating_add(desired.saturating_sub(current));
        if total > self.memory_bytes_max || maximum.is_some_and(|maximum| desired > maximum) {
            return Err(Exceeded::Memory(self.memory_bytes_max).into());
        }
        self.memory_bytes = total;
        Ok(true)
    }

    /// A growth that failed on one machine and not on another would decide differently: it ends the call.
    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        Err(error)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.table_elements.saturating_add(desired.saturating_sub(current));
        if total > TABLE_ELEMENTS_MAX {
            return Err(Exceeded::Tables.into());
        }
        self.table_elements = total;
        Ok(true)
    }

    fn table_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        Err(error)
    }

    fn instances(&self) -> usize {
        INSTANCES_MAX
    }

    fn tables(&self) -> usize {
        INSTANCES_MAX
    }

    fn memories(&self) -> usize {
        INSTANCES_MAX
    }
}
