//! Loads, limits and runs detector plugins: WebAssembly components of the contract in `wit/`.
//!
//! The only room that names `wasmtime`. What a plugin gets is its configuration and batches; what it answers is checked
//! before anyone sees it. It knows neither where batches come from nor what verdicts lead to.

mod bindings;
mod cache;
mod check;
mod child;
mod code;
mod compiler;
mod detector;
mod engine;
mod error;
mod executor;
mod guest;
mod inspect;
mod instance;
mod key;
mod lane;
mod limits;
mod log;
mod lower;
mod model;
mod plugin;
mod quota;
mod sandbox;
mod schema;
mod sealed;
mod v0_1;
mod v1;

pub use cache::CacheAt;
pub use child::{ChildCompiler, compile_confined};
pub use compiler::{CompileError, CompileLimits, Compiler, InProcess};
pub use error::SandboxError;
pub use inspect::{Cost, Inspection};
pub use sandbox::{Sandbox, SandboxOptions, Shelf, ShelfError, Shelved};
pub use schema::{Misfit, misfits};
