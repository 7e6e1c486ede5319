//! What a Watchfire detector is written with: the contract's types in plain Rust, the trait [`Detector`], and
//! [`export!`], which makes a component of it.
//!
//! A detector is a pure function of what it is handed: it has no clock, no files, no randomness but its seed. The same
//! code runs on the host, for tests and for comparison; only `export!` knows WebAssembly.
//!
//! ```
//! use watchfire_detector as wd;
//!
//! struct Quiet;
//!
//! impl wd::Detector for Quiet {
//!     fn describe() -> wd::Description {
//!         wd::Description { id: "quiet".into(), version: "0.1.0".into(), ..wd::Description::default() }
//!     }
//!     fn init(_setup: wd::Setup) -> Result<(Self, Vec<wd::Condition>), wd::Refusal> {
//!         Ok((Self, Vec::new()))
//!     }
//!     fn process(&mut self, _batch: &wd::Batch) -> Result<wd::Outcome, wd::Refusal> {
//!         Ok(wd::Outcome::default())
//!     }
//! }
//! #[cfg(target_arch = "wasm32")]
//! wd::export!(Quiet);
//! # fn main() {}
//! ```

//!
//! One that also learns from history, or hears of servers' events, says so where it is exported: [`Learner`],
//! [`Observer`].
//!
//! ```
//! # use watchfire_detector as wd;
//! # struct Quiet(u64);
//! # impl wd::Detector for Quiet {
//! #     fn describe() -> wd::Description { wd::Description::default() }
//! #     fn init(_setup: wd::Setup) -> Result<(Self, Vec<wd::Condition>), wd::Refusal> { Ok((Self(0), Vec::new())) }
//! #     fn process(&mut self, _batch: &wd::Batch) -> Result<wd::Outcome, wd::Refusal> { Ok(wd::Outcome::default()) }
//! # }
//! impl wd::Learner for Quiet {
//!     fn learn(&mut self, batch: &wd::Batch) -> Result<(), wd::Refusal> {
//!         self.0 += batch.rows().count() as u64;
//!         Ok(())
//!     }
//! }
//! #[cfg(target_arch = "wasm32")]
//! wd::export!(Quiet: Learner);
//! # fn main() {}
//! ```

#[cfg(target_arch = "wasm32")]
pub mod bindings;
mod config;
mod contract;
mod detector;
#[cfg(target_arch = "wasm32")]
pub mod frame;
#[cfg(target_arch = "wasm32")]
pub mod glue;
#[cfg(target_arch = "wasm32")]
mod memory;
mod show;
mod state;

pub use config::{config, refuse};
pub use contract::{
    Batch, Blame, Cause, Condition, Decides, Description, Event, Finding, Gap, Kind, Level, Outcome, Phase, Progress,
    Refusal, Row, Scale, Scope, Scores, Setup, Signal, Slot, Verdict, quality,
};
pub use detector::{Detector, Learner, Observer};
#[cfg(target_arch = "wasm32")]
pub use glue::log;
pub use show::number;
pub use state::{Versioned, restore, snapshot};

/// Writes a line to the gateway's log: 1 error, 2 warning, 3 information, 4 detail. On the host it goes nowhere.
#[cfg(not(target_arch = "wasm32"))]
pub fn log(_level: u8, _message: &str) {}
