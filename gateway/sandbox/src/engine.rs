//! How plugins are compiled and run: only what gives the same answer on every machine. Knows no plugin.

use wasmtime::component::Linker;
use wasmtime::{Config, Engine};

use crate::quota::HostState;
use crate::{SandboxError, bindings, v0_1};
use wasmtime::component::HasSelf;

/// Stack of a call that the host needs below the guest's, bytes.
const HOST_STACK_BYTES: usize = 1 << 20;

/// An engine with its determinism settings: no threads, no relaxed SIMD, one NaN, fuel that decides. Guests have so many
/// bytes of stack; the code compiled for one engine runs in all.
pub(crate) fn engine(stack_bytes: usize) -> Result<Engine, SandboxError> {
    let mut config = Config::new();
    config
        .wasm_relaxed_simd(false)
        .cranelift_nan_canonicalization(true)
        .concurrency_support(false)
        .consume_fuel(true)
        .epoch_interruption(true)
        // Addresses in a plugin tell an operator nothing, and their map is a third of the code that is loaded.
        .generate_address_map(false)
        .wasm_backtrace_max_frames(None)
        .max_wasm_stack(stack_bytes)
        .async_stack_size(stack_bytes.saturating_add(HOST_STACK_BYTES));
    Engine::new(&config).map_err(|error| SandboxError::Engine(error.to_string()))
}

/// What a plugin may import: the contract's log, of each version, and nothing else.
pub(crate) fn linker(engine: &Engine) -> Result<Linker<HostState>, SandboxError> {
    let mut linker = Linker::new(engine);
    bindings::log::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)
        .and_then(|()| v0_1::log::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state))
        .map_err(|error| SandboxError::Engine(error.to_string()))?;
    Ok(linker)
}
