//! From machine code to a component that can be run: the one place with `unsafe`. Knows neither files nor processes.

use wasmtime::Engine;
use wasmtime::component::Component;

use crate::cache::Kept;

/// Machine code whose origin is known.
pub(crate) enum Code {
    /// From the cache, authenticated.
    Kept(Kept),
    /// As the compiler answered it just now.
    Fresh(Vec<u8>),
}

impl Code {
    /// The bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Kept(kept) => kept.code(),
            Self::Fresh(code) => code,
        }
    }

    /// Loads it, unless it was made by another version or with other settings.
    #[expect(unsafe_code, reason = "loading code that our compiler made, and that nobody changed since")]
    pub(crate) fn load(&self, engine: &Engine) -> wasmtime::Result<Component> {
        // SAFETY: the code is what wasmtime's own compiler answered to this gateway. `Fresh` came over a pipe from a
        // process that this gateway started as its compiler, the very program that runs here. `Kept` is that same
        // answer read from the cache: it carries a MAC under a key that only this gateway's user can read, over an
        // entry that binds the component, the wasmtime version and the engine's settings. Both are in memory that
        // nobody else can change, and are copied from there.
        unsafe { Component::deserialize(engine, self.bytes()) }
    }
}
