//! The sandbox with real components from `plugins/dist`, built by `python3 plugins/build.py`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod answers;
mod bombs;
mod cache;
mod corpus;
mod detectors;
mod explosive;
mod faults;
mod files;
mod guest;
mod hostile;
mod learner;
mod makers;
mod mirror;
mod model;
mod observer;
mod quotas;
mod replay;
mod setup;
