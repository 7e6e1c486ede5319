//! What can go wrong with the sandbox itself. What goes wrong with a plugin is the pipeline's `CreateError` and
//! `DetectorFault`.

use std::path::PathBuf;

/// Why the sandbox cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// This machine cannot run compiled plugins.
    #[error("plugins cannot be run on this machine: {0}")]
    Engine(String),
    /// The threads of the detectors cannot be started.
    #[error("the detectors' threads cannot be started: {0}")]
    Threads(std::io::Error),
    /// The folder of compiled plugins cannot be used.
    #[error(
        "the folder `{path}` of compiled plugins cannot be used: {source}; make it writable for the gateway's user"
    )]
    Cache {
        /// The folder, or the file in it.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The key of the compiled plugins cannot be used, nor a new one be made in its place.
    #[error(
        "the key `{path}` of the compiled plugins cannot be used: {source}; remove it, and make its folder writable for \
         the gateway's user: then a new one is made"
    )]
    Key {
        /// Its file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
}
