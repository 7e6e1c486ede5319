//! `watchfire plugin install` and `accept`: a person's word that these bytes may run from now on.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Result, bail};
use clap::Args;
use watchfire_config::Config;
use watchfire_model::{Clock, SystemClock};
use watchfire_package::{Package, Store};

use super::verify;
use crate::cli::ConfigFile;
use crate::provenance::{self, Plugins, Provenance};

/// Options of `plugin install`.
#[derive(Args, Debug)]
pub struct Install {
    /// The package.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Which configuration: its publishers are trusted, its data folder takes the package.
    #[command(flatten)]
    config: ConfigFile,
}

/// Options of `plugin accept`.
#[derive(Args, Debug)]
pub struct Accept {
    /// The detector, by its name in the configuration.
    detector: String,
    /// Which configuration.
    #[command(flatten)]
    config: ConfigFile,
}

/// Verifies a package and puts it into the store; its name means it from then on. Exit code 1 when it is refused.
///
/// # Errors
/// When the configuration is not good, or the store cannot be written.
pub fn install(options: &Install) -> Result<ExitCode> {
    let config = Config::load(&options.config.config)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let plugins = Plugins::of(&config, &clock);
    let bytes = Store::read(&options.file)?;
    let mut faults = verify::show(&options.file, &bytes, &config.trust)?;
    if let Ok(package) = Package::read(&bytes)
        && let Some(own) = provenance::bundled_as(&package.manifest.name)
    {
        faults.push(format!(
            "`{}` is the name of a plugin that is part of the program; ask its publisher for another",
            own.name
        ));
    }
    faults.iter().for_each(|fault| println!("refused      {fault}"));
    if !faults.is_empty() {
        return Ok(ExitCode::FAILURE);
    }
    let package = Package::read(&bytes)?;
    let (name, digest) = (&package.manifest.name, package.digest);
    plugins.store().put(digest, &bytes)?;
    let mut before = None;
    plugins.store().bind(|bound| before = bound.installed.insert(name.clone(), digest))?;
    match before {
        None => println!("installed    `{name}` is {digest} from now on"),
        Some(before) if before == digest => println!("installed    `{name}` is {digest}, as before"),
        Some(before) => println!("installed    `{name}` is {digest} from now on; it was {before}"),
    }
    match &plugins.users(name, digest, true)[..] {
        [] => println!("used by      no detector yet; write `plugin = \"{name}\"` into a `[[detector]]`"),
        users => println!("used by      {}, from the gateway's next start on", users.join(", ")),
    }
    Ok(ExitCode::SUCCESS)
}

/// Accepts what a detector's file is now, and what its model is.
///
/// # Errors
/// When it is not trusted, or the detector does not run a file.
pub fn accept(options: &Accept) -> Result<ExitCode> {
    let config = Config::load(&options.config.config)?;
    if !config.gateway.data.exists() {
        bail!(
            "there is no data in `{}` yet; what a file is at the first start is accepted",
            config.gateway.data.display()
        );
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let accepted = Plugins::of(&config, &clock).accept(&options.detector)?;
    let detector = &options.detector;
    if let Some(Provenance { digest, signer, .. }) = accepted.component {
        println!(
            "accepted     detector `{detector}` runs {digest} from the gateway's next start on (signer: {signer})"
        );
    }
    if let Some(model) = accepted.model {
        println!("accepted     detector `{detector}` judges by the model {model} from the gateway's next start on");
    }
    Ok(ExitCode::SUCCESS)
}
