//! `watchfire plugin`: what the maker of a detector does with it before a gateway runs it, and what whoever runs a
//! gateway does with the packages of others.

mod bench;
mod check;
mod install;
mod keygen;
mod learned;
mod list;
mod new;
mod pack;
mod password;
mod project;
mod recorded;
mod sign;
mod test;
mod upgrade;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use watchfire_sandbox::{CacheAt, Sandbox, SandboxOptions, Shelf};

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
    /// Make a publisher's key pair, in minisign's form.
    Keygen(keygen::Keygen),
    /// Make a signed package of a component and what goes with it.
    Sign(sign::Sign),
    /// Check a package: whole, signed by whom, trusted, runnable; exit code 1 when a gateway would not take it.
    Verify(verify::Verify),
    /// Verify a package and put it into the gateway's data folder; detectors then name it as `plugin = "NAME"`.
    Install(install::Install),
    /// List the plugins there are: version, digest, signer, licence, and which detectors use them.
    List(list::List),
    /// Take an installed package away, unless a detector uses it.
    Remove(list::Remove),
    /// Try another version of a detector's plugin beside it while the gateway runs, see what it says otherwise, then take
    /// it over or roll it back.
    Upgrade(upgrade::Upgrade),
    /// Show what a detector of the running gateway has learned, or write it to a file, to be reviewed or kept.
    Model(learned::Model),
    /// Have a detector of the running gateway forget what it has learned, of one signal or all. It is on record.
    Forget(learned::Forget),
    /// Accept that the plugin file of a detector was changed.
    Accept(install::Accept),
}

/// Runs one of them.
///
/// # Errors
/// What the command says.
pub fn plugin(options: &Plugin) -> Result<ExitCode> {
    match &options.command {
        PluginCommand::Accept(options) => install::accept(options),
        PluginCommand::Check(options) => check::check(options),
        PluginCommand::Forget(options) => learned::forget(options),
        PluginCommand::Install(options) => install::install(options),
        PluginCommand::Keygen(options) => keygen::keygen(options),
        PluginCommand::List(options) => list::list(options),
        PluginCommand::Model(options) => learned::model(options),
        PluginCommand::New(options) => new::new(options),
        PluginCommand::Pack(options) => pack::pack(options),
        PluginCommand::Remove(options) => list::remove(options),
        PluginCommand::Sign(options) => sign::sign(options),
        PluginCommand::Test(options) => test::test(options),
        PluginCommand::Bench(options) => bench::bench(options),
        PluginCommand::Upgrade(options) => upgrade::upgrade(options),
        PluginCommand::Verify(options) => verify::verify(options),
    }
}

/// A sandbox as the gateway's. What it compiles it keeps for the next command, in the user's own cache folder.
fn sandbox() -> Result<Arc<Sandbox>> {
    sandbox_with(&[])
}

/// The same, with components that are no files of their own.
fn sandbox_with(components: &[(&str, &[u8])]) -> Result<Arc<Sandbox>> {
    sandbox_of(components, None)
}

/// The same, with what each detector may run.
///
/// # Errors
/// When it cannot be started.
pub fn sandbox_of(components: &[(&str, &[u8])], shelf: Option<Arc<dyn Shelf>>) -> Result<Arc<Sandbox>> {
    let with = |cache| -> Result<Arc<Sandbox>> {
        let named = |(name, bytes): &(&str, &[u8])| ((*name).to_owned(), bytes.to_vec().into());
        let bundled = components.iter().map(named).collect();
        let compiler = Some(assemble::compiler()?);
        Sandbox::new(SandboxOptions { cache, bundled, compiler, shelf: shelf.clone() })
            .context("the sandbox cannot be started")
    };
    let Some(cache) = cache_of_the_user() else { return with(None) };
    with(Some(cache)).or_else(|error| {
        tracing::debug!(error = format!("{error:#}"), "nothing compiled is kept for the next command");
        with(None)
    })
}

/// Where a user's programs keep what they can make again, and the key to it where they keep what lasts.
fn cache_of_the_user() -> Option<CacheAt> {
    let folder = |name| std::env::var_os(name).map(PathBuf::from).filter(|folder| folder.is_absolute());
    let or_home = |name, below| folder(name).or_else(|| Some(folder("HOME")?.join(below)));
    let caches = or_home("XDG_CACHE_HOME", ".cache")?;
    let lasting = or_home("XDG_STATE_HOME", ".local/state")?;
    Some(CacheAt {
        folder: caches.join("watchfire").join("plugins"),
        key: lasting.join("watchfire").join("compiled.key"),
    })
}
