//! `watchfire plugin new`: a folder with a whole detector, which builds with its language's own tools alone. The SDK and
//! the contract are written into it, since they are on no registry.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};

use super::project::{self, File};

/// The longest name.
const NAME_BYTES_MAX: usize = 64;

/// Options of `plugin new`.
#[derive(Args, Debug)]
pub struct New {
    /// The folder to make; its last part is the detector's name.
    #[arg(value_name = "NAME")]
    folder: PathBuf,
    /// The language.
    #[arg(long, value_enum, default_value_t = Language::Rust)]
    lang: Language,
}

/// Languages there is a project for.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Language {
    /// Rust, with cargo.
    Rust,
    /// C, with any clang.
    C,
    /// Go, with its own compiler.
    Go,
    /// Python, with componentize-py.
    Python,
    /// JavaScript, with ComponentizeJS.
    Javascript,
}

/// Makes a project.
///
/// # Errors
/// When the name cannot be a package's, or the folder is there or cannot be made.
pub fn new(options: &New) -> Result<ExitCode> {
    let folder = &options.folder;
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(fits) || name.len() > NAME_BYTES_MAX {
        bail!("`{name}` cannot be a detector's name; lower-case letters, digits and `-` make one");
    }
    fs::create_dir(folder)
        .with_context(|| format!("cannot make `{}`; name a folder that is not there", folder.display()))?;
    let files: &[File] = match options.lang {
        Language::Rust => &project::RUST,
        Language::C => &project::C,
        Language::Go => &project::GO,
        Language::Python => &project::PYTHON,
        Language::Javascript => &project::JAVASCRIPT,
    };
    for (path, text) in files.iter().chain(&project::SHARED) {
        write(&folder.join(path), &text.replace("{{name}}", name).replace("{{module}}", &name.replace('-', "_")))?;
    }
    println!("the detector `{name}` is in `{}`; its README.md says how to go on", folder.display());
    Ok(ExitCode::SUCCESS)
}

fn write(path: &Path, text: &str) -> Result<()> {
    let made = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(path, text));
    made.with_context(|| format!("cannot write `{}`", path.display()))
}
