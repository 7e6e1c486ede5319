//! `watchfire plugin`: what the maker of a detector does with it before a gateway runs it.

mod bench;
mod check;
mod new;
mod pack;
mod project;
mod recorded;
mod test;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use watchfire_sandbox::{Sandbox, SandboxOptions};

use crate::assemble;

/// Options of `plugin`.
#[derive(Args, Debug)]
pub struct Plugin {
    /// What to do.
    #[command(subcommand)]
    pub command: PluginCommand,
}

/// The commands of `plugin`.
#[derive(Debug, Subcommand)]
pub enum PluginCommand {
    /// Make a folder with a whole detector to begin with.
    New(new::New),
    /// Check a detector against the contract and show what it is; exit code 1 when a gateway would refuse it.
    Check(check::Check),
    /// Turn the core module that a compiler made into a component, with its name, version and licence in it.
    Pack(pack::Pack),
    /// Run a detector over recorded samples as a gateway would, print its verdicts and compare them with known ones.
    Test(test::Test),
    /// Measure what a detector costs a sample.
    Bench(bench::Bench),
}

/// Runs one of them.
///
/// # Errors
/// What the command says.
pub fn plugin(options: &Plugin) -> Result<ExitCode> {
    match &options.command {
        PluginCommand::Check(options) => check::check(options),
        PluginCommand::New(options) => new::new(options),
        PluginCommand::Pack(options) => pack::pack(options),
        PluginCommand::Test(options) => test::test(options),
        PluginCommand::Bench(options) => bench::bench(options),
    }
}

/// A sandbox as the gateway's. What it compiles it keeps for the next command, in the user's own cache folder.
fn sandbox() -> Result<Arc<Sandbox>> {
    let with = |cache_dir| -> Result<Arc<Sandbox>> {
        let options = SandboxOptions { cache_dir, compiler: Some(assemble::compiler()?), ..SandboxOptions::default() };
        Sandbox::new(options).context("the sandbox cannot be started")
    };
    let Some(folder) = cache_folder() else { return with(None) };
    with(Some(folder)).or_else(|error| {
        tracing::debug!(error = format!("{error:#}"), "nothing compiled is kept for the next command");
        with(None)
    })
}

/// Where a user's programs keep what they can make again.
fn cache_folder() -> Option<PathBuf> {
    let folder = |name| std::env::var_os(name).map(PathBuf::from).filter(|folder| folder.is_absolute());
    let caches = folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")))?;
    Some(caches.join("watchfire").join("plugins"))
}
