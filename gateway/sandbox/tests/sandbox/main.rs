//! The sandbox with real components from `plugins/dist`, built by `python3 plugins/build.py`.

mod detectors;
mod setup;
