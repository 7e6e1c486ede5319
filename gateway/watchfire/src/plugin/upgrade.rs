//! `watchfire plugin upgrade`: tells a running gateway to try another version of a detector's plugin, and what to do with
//! it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use watchfire_config::Config;

use crate::cli::{ConfigFile, duration};
use crate::control::Order;
use crate::query::Question;
use crate::reload;
use crate::upgrades::Ask;

/// Options of `plugin upgrade`.
#[derive(Args, Debug)]
pub struct Upgrade {
    /// The detector, by its name in the configuration.
    detector: String,
    /// The package or component to run in shadow beside it; the gateway takes it into its data folder.
    #[arg(value_name = "FILE", required_unless_present_any = ["status", "take_over", "roll_back"])]
    file: Option<PathBuf>,
    /// How far back in history it learns, if it cannot go on from what the version that runs has learned.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "7d", requires = "file")]
    history: Duration,
    /// Show how both stand, and what only one of them said.
    #[arg(long, conflicts_with_all = ["file", "take_over", "roll_back"])]
    status: bool,
    /// Make the version in shadow the detector.
    #[arg(long, conflicts_with_all = ["file", "roll_back"])]
    take_over: bool,
    /// End the version in shadow; where there is none, go back to what ran before the last take-over.
    #[arg(long, conflicts_with = "file")]
    roll_back: bool,
    /// Which configuration.
    #[command(flatten)]
    config: ConfigFile,
}

/// Has the running gateway do it, and prints what it did.
///
/// # Errors
/// When the configuration is not good, no gateway runs, or it refuses.
pub fn upgrade(options: &Upgrade) -> Result<ExitCode> {
    let config = Config::load(&options.config.config)?;
    let ask = match &options.file {
        Some(file) => {
            let whole = std::path::absolute(file);
            let file = whole.with_context(|| format!("`{}` cannot be found", file.display()))?;
            Ask::Begin { file, history: options.history }
        }
        None if options.take_over => Ask::TakeOver,
        None if options.roll_back => Ask::RollBack,
        None => Ask::Status,
    };
    let order = Order::Upgrade { detector: options.detector.clone(), ask };
    println!("{}", reload::ask(&config, &Question::Order(order))?);
    Ok(ExitCode::SUCCESS)
}
