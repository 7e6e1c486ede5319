//! Where the password of a secret key comes from: a file or the environment; never the command line, where others see it.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;

/// Options of commands that need a secret key.
#[derive(Args, Debug)]
pub struct PasswordOptions {
    /// A file whose first line is the key's password.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// The environment variable that holds the key's password.
    #[arg(long, value_name = "NAME", conflicts_with = "password_file")]
    password_env: Option<String>,
}

impl PasswordOptions {
    /// The password, if one is given.
    ///
    /// # Errors
    /// When it cannot be read or is empty.
    pub fn read(&self) -> Result<Option<String>> {
        let (text, place) = if let Some(file) = &self.password_file {
            let text = std::fs::read_to_string(file).with_context(|| format!("cannot read `{}`", file.display()))?;
            (text, format!("`{}`", file.display()))
        } else if let Some(name) = &self.password_env {
            (std::env::var(name).with_context(|| format!("`{name}` is not set"))?, format!("`{name}`"))
        } else {
            return Ok(None);
        };
        let password = text.lines().next().unwrap_or_default();
        if password.is_empty() {
            bail!("{place} holds no password");
        }
        Ok(Some(password.to_owned()))
    }
}
