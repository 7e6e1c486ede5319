//! Torture for the stores: a process writes samples, alarms, audit records and checkpoints, and dies at a random moment,
//! by SIGKILL or by a power cut that leaves what was synced and any part of what was not. Whatever it had said to be
//! durable must be there afterwards, and nothing else than what it wrote.
//!
//! Knows nothing of detectors, servers and sources.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "it ends at the first surprise")]

mod check;
mod cuts;
mod disk;
mod full;
mod hours;
mod kills;
mod rate;
mod ring;
mod writer;

pub use cuts::cuts;
pub use full::full;
pub use hours::hours;
pub use kills::kills;
pub use rate::rate;
pub use ring::{read_back, ring, unsealed};
pub use writer::write;
