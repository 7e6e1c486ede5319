//! How plugins are compiled and run: only what gives the same answer on every machine. Knows no plugin.

use wasmtime::component::Linker;
use wasmtime::{Config, Engine};

use crate::quota::HostState;
use crate::{SandboxError, bindings};
use wasmtime::component::HasSelf;

/// Stack of a guest, bytes.
const STACK_BYTES: usize = 1 << 20;
/// Stack of a call, bytes: the guest's and what the host needs below it.
const CALL_STACK_BYTES: usize = 2 << 20;

/// The engine with its determinism settings: no threads, no relaxed SIMD, one NaN, fuel that decides.
pub(crate) fn engine() -> Result<Engine, SandboxError> {
    let mut config = Config::new();
    config
        .wasm_relaxed_simd(false)
        .cranelift_nan_canonicalization(true)
        .concurrency_support(false)
        .consume_fuel(true)
        .epoch_interruption(true)
        .max_wasm_stack(STACK_BYTES)
        .async_stack_size(CALL_STACK_BYTES);
    Engine::new(&config).map_err(|error| SandboxError::Engine(error.to_string()))
}

/// What a plugin may import: the contract's log, nothing else.
pub(crate) fn linker(engine: &Engine) -> Result<Linker<HostState>, SandboxError> {
    let mut linker = Linker::new(engine);
    bindings::log::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)
        .map_err(|error| SandboxError::Engine(error.to_string()))?;
    Ok(linker)
}
