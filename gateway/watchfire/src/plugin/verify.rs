//! `watchfire plugin verify`: every check of a package, and what a gateway with this configuration would say to it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use watchfire_config::Config;
use watchfire_model::{Clock, SystemClock, plain};
use watchfire_package::{Package, PackageError, Publisher, PublisherKey, Signer, Store, Trust};

use super::check;
use crate::cli::ConfigFile;
use crate::provenance;

/// Options of `plugin verify`.
#[derive(Args, Debug)]
pub struct Verify {
    /// The package.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Trust this public key alone, the line that begins with `RW`, instead of what a configuration says.
    #[arg(long, value_name = "KEY", conflicts_with = "config")]
    key: Option<PublisherKey>,
    /// Which configuration.
    #[command(flatten)]
    config: ConfigFile,
}

/// Shows a package and all that is wrong with it; exit code 1 when a gateway would not take it.
///
/// # Errors
/// When the file or the configuration cannot be read.
pub fn verify(options: &Verify) -> Result<ExitCode> {
    let trust = match &options.key {
        Some(key) => {
            let publisher = Publisher { name: "the given key".to_owned(), key: key.clone(), until: None };
            Trust { publishers: vec![publisher], ..Trust::default() }
        }
        None => Config::load(&options.config.config)?.trust,
    };
    let bytes = Store::read(&options.file)?;
    let faults = show(&options.file, &bytes, &trust)?;
    faults.iter().for_each(|fault| println!("refused      {}", plain(fault)));
    if faults.is_empty() {
        println!("good         whole, signed by whom you trust or allowed, and run by a gateway of this version");
    }
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints what a package is; answers what speaks against it.
///
/// # Errors
/// When the sandbox cannot be started.
pub fn show(file: &Path, bytes: &[u8], trust: &Trust) -> Result<Vec<String>> {
    println!("file         {}", file.display());
    println!("size         {} bytes", bytes.len());
    let package = match Package::read(bytes) {
        Ok(package) => package,
        Err(error) => return Ok(vec![error.to_string()]),
    };
    let manifest = &package.manifest;
    println!("name         {}", manifest.name);
    println!("version      {}", manifest.version);
    println!("licence      {}", manifest.licence.escape_debug());
    println!("description  {}", manifest.description.escape_debug());
    println!("digest       {}", package.digest);
    let files: Vec<&str> = package.files().collect();
    println!("files        {}: as the manifest says", files.join(", "));
    match package.sbom {
        Some((name, bytes)) => println!("sbom         {name}, {} bytes", bytes.len()),
        None => println!("sbom         none"),
    }
    let mut faults = Vec::new();
    match signer(&package, trust) {
        Ok(Signer::Publisher { name, key, .. }) => println!("signer       {name} (key {key})"),
        Ok(allowed @ Signer::Allowed) => println!("signer       {}", provenance::signer_name(&allowed)),
        Err(error) => faults.push(error.to_string()),
    }
    // What nobody vouches for is not run, not even to ask it what it is.
    if faults.is_empty() {
        faults = check::contract(&manifest.name, package.component)?;
    }
    Ok(faults)
}

/// Why a new package is trusted, now.
///
/// # Errors
/// Why it is not.
pub fn signer(package: &Package<'_>, trust: &Trust) -> Result<Signer, PackageError> {
    trust.judge(package, SystemClock.now())?.for_new(package.digest)
}
