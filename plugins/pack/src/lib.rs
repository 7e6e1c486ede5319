//! What turns a detector's core module into a component, labels it and tells what is in one. Shared by the build of the
//! bundled detectors and by `watchfire plugin`.
//!
//! Runs nothing, and knows neither the gateway nor which detectors there are.

mod component;
mod contract;
mod label;
mod shape;
mod wasi;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

pub use component::{component, component_without_wasi, from_module};
pub use label::Label;
pub use shape::{PACKAGE, Shape, is_module, shape, way_out};

/// Writes beside the place and renames, so that nobody ever reads half a component.
///
/// # Errors
/// When the file cannot be written.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    let part = PathBuf::from(name);
    fs::write(&part, bytes).with_context(|| format!("cannot write `{}`", part.display()))?;
    fs::rename(&part, path).with_context(|| format!("cannot write `{}`", path.display()))
}
