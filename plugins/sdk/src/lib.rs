//! What a Watchfire detector is written with: the contract's types in plain Rust, the trait [`Detector`], and
//! [`export!`], which makes a component of it.
//!
//! A detector is a pure function of what it is handed: it has no clock, no files, no randomness but its seed. The same
//! code runs on the host, for tests and for comparison; only `export!` knows WebAssembly.
//!
//! A whole detector in thirty lines: it says when a value jumps by more than ten from one sample to the next. [`Trial`] is
//! what its test is written with.
//!
//! ```
//! use watchfire_detector::{Batch, Condition, Description, Detector, Level, Outcome, Refusal, Row, Setup, Verdict};
//!
//! struct Jump(Vec<Option<f64>>);
//!
//! fn jump() -> Condition {
//!     Condition { id: "jump".into(), text: "the value jumped".into(), severity: 500, ..Condition::default() }
//! }
//!
//! impl Detector for Jump {
//!     fn describe() -> Description {
//!         Description { id: "jump".into(), version: "0.1.0".into(), conditions: vec![jump()], ..Description::default() }
//!     }
//!
//!     fn init(setup: Setup) -> Result<(Self, Vec<Condition>), Refusal> {
//!         Ok((Self(vec![None; setup.signals.len()]), vec![jump()]))
//!     }
//!
//!     fn process(&mut self, batch: &Batch) -> Result<Outcome, Refusal> {
//!         let mut outcome = Outcome::default();
//!         for row in batch.rows().filter(Row::is_usable) {
//!             let Some(last) = self.0.get_mut(row.signal as usize) else { continue };
//!             let by = row.value - last.replace(row.value).unwrap_or(row.value);
//!             let level = if by.abs() > 10.0 { Level::Active } else { Level::Normal };
//!             let (instance, why) = (row.signal, format!("it changed by {by} at once"));
//!             outcome.verdicts.push(Verdict { instance, at: row.time, level, why, ..Verdict::default() });
//!         }
//!         Ok(outcome)
//!     }
//! }
//! #[cfg(target_arch = "wasm32")]
//! watchfire_detector::export!(Jump);
//!
//! # fn main() -> Result<(), Refusal> {
//! let mut trial = watchfire_detector::Trial::<Jump>::new("{}", 1)?;
//! let said = trial.feed(&[(0, 1, 5.0), (0, 2, 7.0), (0, 3, 40.0), (0, 4, 41.0)])?;
//! let expected = [(0, 1, Level::Normal), (0, 3, Level::Active), (0, 4, Level::Normal)];
//! assert_eq!(watchfire_detector::levels(&said), expected);
//! # Ok(())
//! # }
//! ```
//!
//! What is the least of it:
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
#[cfg(not(target_arch = "wasm32"))]
mod trial;

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
#[cfg(not(target_arch = "wasm32"))]
pub use trial::{Trial, levels};

/// Writes a line to the gateway's log: 1 error, 2 warning, 3 information, 4 detail. On the host it goes nowhere.
#[cfg(not(target_arch = "wasm32"))]
pub fn log(_level: u8, _message: &str) {}
