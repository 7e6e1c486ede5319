//! `watchfire plugin`: what the maker of a detector does with it before a gateway runs it.

mod bench;
mod check;
mod new;
mod pack;
mod project;
mod recorded;
mod test;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use watchfire_sandbox::{Sandbox, SandboxOptions};

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

/// A sandbox as the gateway's, for one command: it keeps nothing on the disk.
fn sandbox() -> Result<Arc<Sandbox>> {
    Sandbox::new(SandboxOptions::default()).context("the sandbox cannot be started")
}
