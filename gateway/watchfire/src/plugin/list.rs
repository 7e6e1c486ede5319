//! `watchfire plugin list` and `remove`: what is installed, and who uses it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Result, bail};
use clap::Args;
use watchfire_config::Config;
use watchfire_model::{Clock, SystemClock};
use watchfire_package::{Bound, Digest, Package, Store};

use crate::cli::ConfigFile;
use crate::provenance::{self, Plugins};

/// Options of `plugin list`.
#[derive(Args, Debug)]
pub struct List {
    /// Which configuration.
    #[command(flatten)]
    config: ConfigFile,
}

/// Options of `plugin remove`.
#[derive(Args, Debug)]
pub struct Remove {
    /// The plugin's name, or the beginning of a digest, as `list` shows it.
    #[arg(value_name = "NAME|DIGEST")]
    plugin: String,
    /// Which configuration.
    #[command(flatten)]
    config: ConfigFile,
}

/// A file of the store.
struct Stored {
    path: PathBuf,
    name: String,
    version: String,
    licence: String,
    digest: Option<Digest>,
    /// Who signed it, or why it is not taken.
    signer: Result<String, String>,
}

/// Prints what is part of the program, what is installed, and what detectors run from files. Exit code 1 when a
/// detector's plugin is refused.
///
/// # Errors
/// When the configuration is not good, or the store cannot be read.
pub fn list(options: &List) -> Result<ExitCode> {
    let config = Config::load(&options.config.config)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let plugins = Plugins::of(&config, &clock);
    let bound = plugins.store().bound()?;
    println!("part of the program");
    for bundled in provenance::bundled() {
        println!("  {} {}\n    digest       {}", bundled.name, env!("CARGO_PKG_VERSION"), bundled.digest);
        if let Err(reason) = plugins.trust().not_revoked(bundled.digest) {
            println!("    refused      {reason}");
        }
        used_by(&plugins.users(bundled.name, bundled.digest, true));
    }
    println!("\ninstalled in `{}`", config.gateway.data.join("plugins").display());
    let stored = stored(&plugins, &*clock)?;
    for one in &stored {
        show(one, &plugins, &bound);
    }
    if stored.is_empty() {
        println!("  none; `watchfire plugin install FILE` installs a package");
    }
    println!("\ndetectors");
    let mut good = true;
    for detector in &config.detectors {
        let refused = |reason: String| println!("  {}: refused: {reason}", detector.name);
        match plugins.resolve(&detector.name) {
            Ok(_) if let Some(reason) = plugins.model_refused(&detector.name) => {
                good = false;
                refused(reason);
            }
            Ok(resolved) => {
                let told = resolved.provenance;
                println!(
                    "  {}: `{}` {} {}, signer: {}",
                    detector.name, told.plugin, told.version, told.digest, told.signer
                );
                if let Some(path) = &detector.model {
                    println!("    model        `{}` {}", path.display(), plugins.model(&detector.name));
                }
                let beside = plugins.upgrade(&detector.name).and_then(|upgrade| upgrade.beside.as_ref());
                if let Some(digest) = beside.and_then(|beside| beside.digest) {
                    println!("    in shadow    {digest}");
                }
            }
            Err(why) => {
                good = false;
                refused(why.reason);
            }
        }
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn show(one: &Stored, plugins: &Plugins, bound: &Bound) {
    let current = one.digest.is_some() && bound.installed.get(&one.name) == one.digest.as_ref();
    let older = if current { "" } else { " (not what its name means)" };
    println!("  {} {}{older}", one.name, one.version);
    if let Some(digest) = one.digest {
        println!("    digest       {digest}");
    }
    match &one.signer {
        Ok(signer) => println!("    signer       {signer}"),
        Err(reason) => println!("    refused      {reason}"),
    }
    if !one.licence.is_empty() {
        println!("    licence      {}", one.licence.escape_debug());
    }
    if let Some(digest) = one.digest {
        used_by(&plugins.users(&one.name, digest, current));
    }
}

fn used_by(users: &[&str]) {
    println!("    used by      {}", if users.is_empty() { "no detector".to_owned() } else { users.join(", ") });
}

fn stored(plugins: &Plugins, clock: &dyn Clock) -> Result<Vec<Stored>> {
    let mut all = Vec::new();
    for path in plugins.store().packages()? {
        all.push(one(path, plugins, clock));
    }
    all.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    Ok(all)
}

fn one(path: PathBuf, plugins: &Plugins, clock: &dyn Clock) -> Stored {
    let nameless = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let bytes = Store::read(&path);
    let read = bytes.as_deref().map_err(ToString::to_string);
    let read = read.and_then(|bytes| Package::read(bytes).map_err(|error| error.to_string()));
    match read {
        Ok(package) => {
            let signer = plugins.trust().judge(&package, clock.now());
            Stored {
                name: package.manifest.name.clone(),
                version: package.manifest.version.clone(),
                licence: package.manifest.licence.clone(),
                digest: Some(package.digest),
                signer: signer.map(|signer| provenance::signer_name(&signer)).map_err(|error| error.to_string()),
                path,
            }
        }
        Err(reason) => Stored {
            name: nameless(&path),
            version: String::new(),
            licence: String::new(),
            digest: None,
            signer: Err(reason),
            path,
        },
    }
}

/// Takes a package out of the store, unless a detector runs it.
///
/// # Errors
/// When there is no such package, more than one, or a detector uses it.
pub fn remove(options: &Remove) -> Result<ExitCode> {
    let config = Config::load(&options.config.config)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let plugins = Plugins::of(&config, &clock);
    let bound = plugins.store().bound()?;
    let wanted = options.plugin.as_str();
    let hex = wanted.strip_prefix("sha256:").unwrap_or(wanted);
    let all = stored(&plugins, &*clock)?;
    let begins = |one: &Stored| one.digest.is_some_and(|digest| hex.len() >= 6 && digest.hex().starts_with(hex));
    let found: Vec<&Stored> = all.iter().filter(|one| one.name == wanted || begins(one)).collect();
    let one = match &found[..] {
        [one] => *one,
        [] => bail!("`{wanted}` is not installed; `watchfire plugin list` shows what is"),
        several => {
            let digests: Vec<String> =
                several.iter().filter_map(|one| one.digest).map(|digest| digest.to_string()).collect();
            bail!("`{wanted}` is installed {} times; give a digest: {}", several.len(), digests.join(", "));
        }
    };
    let current = one.digest.is_some() && bound.installed.get(&one.name) == one.digest.as_ref();
    if let Some(digest) = one.digest {
        let users = plugins.users(&one.name, digest, current);
        if !users.is_empty() {
            let (name, users) = (&one.name, users.join(", "));
            bail!("`{name}` is used by {users}; take it out of the configuration first, or install another version");
        }
    }
    if let Some((detector, _)) =
        plugins.upgrades().find(|(_, upgrade)| upgrade.digests().any(|digest| Some(digest) == one.digest))
    {
        let name = &one.name;
        bail!(
            "`{name}` is what detector `{detector}` was upgraded to, or from: `watchfire plugin upgrade {detector} --status` \
             shows it"
        );
    }
    plugins.store().remove(&one.path)?;
    if current {
        plugins.store().bind(|bound| {
            bound.installed.remove(&one.name);
        })?;
    }
    let digest = one.digest.map(|digest| format!(" ({digest})")).unwrap_or_default();
    println!("removed      `{}` {}{digest}", one.name, one.version);
    Ok(ExitCode::SUCCESS)
}
