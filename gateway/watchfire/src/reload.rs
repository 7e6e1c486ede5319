//! `watchfire reload`: tells a running gateway to read its configuration anew.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use watchfire_config::Config;

use crate::cli::ConfigFile;
use crate::control::Order;
use crate::query::{self, Question};
use crate::run;

/// Options of `reload`.
#[derive(Args, Debug)]
pub struct Reload {
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigFile,
    /// Say what would be changed, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// Has the running gateway take over the configuration, and prints what it did.
///
/// # Errors
/// Everything that is wrong with the configuration; that no gateway runs; or why it refuses.
pub fn reload(options: &Reload) -> Result<ExitCode> {
    let config = Config::load(&options.config.config)?;
    let question = Question::Order(Order::Reload { dry_run: options.dry_run });
    let told =
        ask(&config, &question).with_context(|| format!("{} was not taken over", options.config.config.display()))?;
    println!("{told}");
    Ok(ExitCode::SUCCESS)
}

/// Asks the gateway that runs with a configuration.
///
/// # Errors
/// When none does, or it refuses.
pub fn ask(config: &Config, question: &Question) -> Result<String> {
    let runtime = run::runtime()?;
    let folder = &config.gateway.data;
    match runtime.block_on(query::ask(folder, question))? {
        Some(mut answers) => runtime.block_on(answers.told()),
        None => bail!(
            "no gateway runs on `{}`; it takes the configuration over when `watchfire run` starts it, another `data` too",
            folder.display()
        ),
    }
}
