//! `watchfire plugin pack`: from what a compiler made, a core module or a component, to a labelled component.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use pack::Label;
use watchfire_package::Digest;

/// Options of `plugin pack`.
#[derive(Args, Debug)]
pub struct Pack {
    /// What the compiler made: a core module, or a component.
    #[arg(value_name = "IN.wasm")]
    module: PathBuf,
    /// The component to write.
    #[arg(value_name = "OUT.wasm")]
    component: PathBuf,
    /// Answers within the component what the module's runtime asks of WASI, always in the same way: what Go needs.
    #[arg(long)]
    stub_wasi: bool,
    /// Its name.
    #[arg(long)]
    name: Option<String>,
    /// Its version.
    #[arg(long)]
    version: Option<String>,
    /// Its licence, an SPDX expression such as `Apache-2.0 OR MIT`.
    #[arg(long)]
    licence: Option<String>,
    /// What it does, one sentence.
    #[arg(long)]
    description: Option<String>,
}

/// Packs a module and prints the component's digest.
///
/// # Errors
/// When the module is no detector, or a file cannot be read or written.
pub fn pack(options: &Pack) -> Result<ExitCode> {
    let Pack { module, component, stub_wasi, name, version, licence, description } = options;
    let bytes = std::fs::read(module).with_context(|| format!("cannot read `{}`", module.display()))?;
    let label = Label {
        name: name.clone(),
        version: version.clone(),
        licence: licence.clone(),
        description: description.clone(),
    };
    let made = if *stub_wasi { pack::component_without_wasi(&bytes) } else { pack::component(bytes) };
    let packed = made.and_then(|bytes| label.embed(bytes));
    let packed = packed.with_context(|| format!("`{}` cannot become a detector", module.display()))?;
    pack::write_whole(component, &packed)?;
    println!("{}  {}", Digest::of(&packed), component.display());
    Ok(ExitCode::SUCCESS)
}
