//! `watchfire plugin keygen`: a publisher's key pair, in minisign's form.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;

use super::password::PasswordOptions;

/// Options of `plugin keygen`.
#[derive(Args, Debug)]
pub struct Keygen {
    /// The secret key to write; the public one gets the same name with `.pub` at its end. Neither must be there yet.
    #[arg(value_name = "FILE")]
    key: PathBuf,
    /// How the secret key is protected.
    #[command(flatten)]
    password: PasswordOptions,
    /// Do not protect the secret key by a password: whoever can read its file can sign.
    #[arg(long, conflicts_with_all = ["password_file", "password_env"])]
    no_password: bool,
}

/// Makes a key pair and prints what gateways are configured with.
///
/// # Errors
/// When a file is there already or cannot be written, or there is no password.
pub fn keygen(options: &Keygen) -> Result<ExitCode> {
    let public = PathBuf::from(format!("{}.pub", options.key.display()));
    for file in [&options.key, &public] {
        if file.exists() {
            bail!("`{}` is there already; a key is never overwritten", file.display());
        }
    }
    let password = options.password.read()?;
    if password.is_none() && !options.no_password {
        bail!("give a password with `--password-file FILE` or `--password-env NAME`, or `--no-password` to go without");
    }
    let (secret_text, public_text, key) = watchfire_package::new_key(password.as_deref())?;
    write(&options.key, &secret_text, true)?;
    write(&public, &public_text, false)?;
    println!("secret       {} (keep it to yourself)", options.key.display());
    println!("public       {} (give it away)", public.display());
    println!("id           {}", key.id());
    println!("\nFor the configuration of every gateway that is to trust it:\n");
    println!("[[publisher]]\nname = \"YOUR NAME\"\nkey = \"{key}\"");
    Ok(ExitCode::SUCCESS)
}

/// Writes a new file; a secret one is its owner's alone.
fn write(path: &Path, text: &str, secret: bool) -> Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, if secret { 0o600 } else { 0o644 });
    #[cfg(not(unix))]
    let _ = secret;
    let written = options.open(path).and_then(|mut file: File| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.with_context(|| format!("cannot write `{}`", path.display()))
}
