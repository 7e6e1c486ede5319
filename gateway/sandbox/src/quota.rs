//! The bounds of one instance: memory, tables, time slices, and how much of a call's log is heard.

use std::sync::Arc;

use wasmtime::{ResourceLimiter, Store, UpdateDeadline};
use watchfire_pipeline::Quota;

use crate::log::Hearing;

/// How long a slice is at the most, milliseconds: then another detector may run.
pub(crate) const SLICE_MS: u64 = 5;

/// Which bound a plugin ran into, and the setting that allows more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Exceeded {
    #[error("memory: it wanted more than {0} bytes (`memory_mb`)")]
    Memory(usize),
    #[error("tables: it wanted more than {0} elements (`table_elements`)")]
    TableElements(usize),
    #[error("tables: it has more of them than one may (`tables`)")]
    Tables,
    #[error("instances: it has more of them than one may (`instances`)")]
    Instances,
    #[error("time: it ran for {0} slices of {SLICE_MS} ms (`call_ms`)")]
    Time(u64),
    #[error("fuel: it computed more than one call may (`fuel_per_call`, `fuel_per_row`)")]
    Fuel,
    #[error("stack: it called too deep (`stack_kb`)")]
    Stack,
    #[error("result: it answered with more bytes than one call may (`result_kb`)")]
    Result,
    #[error("state: it is larger than one may be (`state_kb`)")]
    State,
}

/// What a store carries.
pub(crate) struct HostState {
    memory_bytes: usize,
    memory_bytes_max: usize,
    table_elements: usize,
    table_elements_max: usize,
    tables_max: usize,
    instances_max: usize,
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
            table_elements_max: quota.table_elements,
            tables_max: quota.tables,
            instances_max: quota.instances,
            slices: 0,
            slices_max,
            hearing: Hearing::new(detector, quota.log_lines, quota.log_line_bytes),
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
        if total > self.table_elements_max {
            return Err(Exceeded::TableElements(self.table_elements_max).into());
        }
        self.table_elements = total;
        Ok(true)
    }

    fn table_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        Err(error)
    }

    fn instances(&self) -> usize {
        self.instances_max
    }

    fn tables(&self) -> usize {
        self.tables_max
    }

    fn memories(&self) -> usize {
        self.instances_max
    }
}
