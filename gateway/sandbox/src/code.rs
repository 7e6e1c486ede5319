//! From machine code to a component that can be run: the one place with `unsafe`. Knows neither files nor processes.

use std::path::PathBuf;

use wasmtime::Engine;
use wasmtime::component::Component;

use crate::sealed::Sealed;

/// Machine code whose origin is known.
pub(crate) enum Code {
    /// From the cache, authenticated.
    Kept(Sealed),
    /// As the compiler answered it just now.
    Fresh(Vec<u8>),
}

impl Code {
    /// The bytes, where they are no file.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Kept(kept) => kept.bytes(),
            Self::Fresh(code) => code,
        }
    }

    fn path(&self) -> Option<PathBuf> {
        match self {
            Self::Kept(kept) => kept.path(),
            Self::Fresh(_) => None,
        }
    }

    /// Loads it, unless it was made by another version or with other settings.
    #[expect(unsafe_code, reason = "loading code that our compiler made, and that nobody changed since")]
    pub(crate) fn load(&self, engine: &Engine) -> wasmtime::Result<Component> {
        let path = self.path();
        // SAFETY: the code is what wasmtime's own compiler answered to this gateway. `Fresh` came over a pipe from a
        // process that this gateway started as its compiler, the very program that runs here. `Kept` is that same
        // answer read from the cache: it carries a MAC under a key that only this gateway's user can read and that
        // does not lie there, over an entry that binds the component, the wasmtime version and the engine's settings. Both are in memory that
        // nobody else can change: bytes are copied from there, and the file is one of ours in memory, sealed against
        // any write before it was given out and named by our own descriptor, which is held open.
        unsafe {
            match path {
                Some(path) => Component::deserialize_file(engine, path),
                None => Component::deserialize(engine, self.bytes()),
            }
        }
    }
}
