//! The store of record, in sled: seal, range, replay, checkpoints.
//!
//! `<data>/ctl` holds what is known by name or place: ids of signals, states of alarms, checkpoints, control records,
//! and up to which record everything is sealed. `<data>/ts/<UTC day>` holds the samples of frames cut on that day, and
//! `<UTC day>-002` and so on what of them came after it had grown large, so that a day is dropped by removing its
//! folders. Nothing is stored by the sample: a bucket of frames becomes one chunk
//! of columns for each signal, and a table from which the frames are put together again exactly.
//!
//! Knows nothing of the journal before it, nor of what a record means beyond the states it carries.

mod backup;
mod bucket;
mod bytes;
mod chain;
mod checkpoint;
mod chunk;
mod column;
mod ctl;
mod days;
mod digest;
mod directory;
mod filling;
mod fills;
mod floats;
mod frames;
mod gaps;
mod gathered;
mod history;
mod hours;
mod key_value;
mod mark;
mod packing;
mod pages;
mod places;
mod range;
mod reach;
mod reads;
mod seal;
mod sizes;
mod slot;
mod slot_entry;
mod store;
mod sums;
#[cfg(test)]
mod tests;
mod verify;

pub use backup::Copied;
pub use chain::{Chained, Link};
pub use history::SledHistory;
pub use sizes::Sizes;
pub use sums::Looked;
pub use verify::Verified;
