//! `watchfire plugin model` and `forget`: what a detector of a running gateway has learned, for a person to look at or to
//! take away.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use watchfire_config::Config;
use watchfire_model::plain_lines;

use crate::cli::ConfigFile;
use crate::control::Order;
use crate::query::{self, Question};
use crate::{reload, run};

/// Options of `plugin model`.
#[derive(Args, Debug)]
pub struct Model {
    /// The detector, by its name in the configuration.
    detector: String,
    /// Write it to this file, which must not exist, instead of showing it.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Which configuration.
    #[command(flatten)]
    config: ConfigFile,
}

/// Options of `plugin forget`.
#[derive(Args, Debug)]
pub struct Forget {
    /// The detector, by its name in the configuration.
    detector: String,
    /// Only what it has learned of this signal, by its full name.
    signal: Option<String>,
    /// Which configuration.
    #[command(flatten)]
    config: ConfigFile,
}

/// Shows what a detector has learned, or writes it to a file.
///
/// # Errors
/// When the configuration is not good, no gateway runs, or its plugin learns nothing that can be shown.
pub fn model(options: &Model) -> Result<ExitCode> {
    let config = Config::load(&options.config.config)?;
    let folder = &config.gateway.data;
    let runtime = run::runtime()?;
    let question = Question::Order(Order::Model { detector: options.detector.clone() });
    let Some(mut answers) = runtime.block_on(query::ask(folder, &question))? else {
        bail!("no gateway runs on `{}`; start it with `watchfire run`", folder.display());
    };
    let (model, told) =
        runtime.block_on(async { Ok::<_, anyhow::Error>((answers.model().await?, answers.told().await?)) })?;
    eprintln!("{told}");
    match (&options.out, std::str::from_utf8(&model)) {
        (Some(out), _) => {
            let made = std::fs::OpenOptions::new().write(true).create_new(true).open(out);
            let written = made.and_then(|mut file| file.write_all(&model).and_then(|()| file.sync_all()));
            written.with_context(|| format!("`{}` cannot be written", out.display()))?;
            println!("{}", out.display());
        }
        (None, Ok(text)) => {
            println!("{}", if io::stdout().is_terminal() { plain_lines(text) } else { text.to_owned() })
        }
        (None, Err(_)) => bail!("it is no text; write it to a file with `--out FILE`"),
    }
    Ok(ExitCode::SUCCESS)
}

/// Has a detector forget, and prints what was done.
///
/// # Errors
/// When the configuration is not good, no gateway runs, or it refuses.
pub fn forget(options: &Forget) -> Result<ExitCode> {
    let config = Config::load(&options.config.config)?;
    let order = Order::Forget { detector: options.detector.clone(), signal: options.signal.clone() };
    println!("{}", reload::ask(&config, &Question::Order(order))?);
    Ok(ExitCode::SUCCESS)
}
