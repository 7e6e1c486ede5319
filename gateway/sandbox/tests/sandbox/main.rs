//! The sandbox with real components from `plugins/dist`, built by `python3 plugins/build.py`.

mod cache;
mod detectors;
mod faults;
mod files;
mod replay;
mod setup;
