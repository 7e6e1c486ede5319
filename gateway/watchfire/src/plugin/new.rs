//! `watchfire plugin new`: a folder with a whole detector, which builds with its language's own tools alone. The SDK and
//! the contract are written into it, since they are on no registry.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};

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
}

/// A file of this program's sources.
macro_rules! own {
    ($path:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $path))
    };
}

/// The files of a project in Rust: path, and text with places for the name.
const RUST: [(&str, &str); 17] = [
    ("Cargo.toml", own!("templates/rust/Cargo.toml.in")),
    // The versions that the bundled detectors are built with; cargo drops those that are not needed.
    ("Cargo.lock", own!("../../plugins/Cargo.lock")),
    ("README.md", own!("templates/rust/README.md.in")),
    (".gitignore", own!("templates/rust/gitignore.in")),
    ("src/lib.rs", own!("templates/rust/lib.rs.in")),
    ("data/sample.csv", own!("templates/rust/sample.csv")),
    ("data/golden.jsonl", own!("templates/rust/golden.jsonl")),
    ("wit/0.1.0/detector.wit", own!("../../wit/0.1.0/detector.wit")),
    ("watchfire/sdk/Cargo.toml", own!("templates/rust/sdk.toml.in")),
    ("watchfire/sdk/src/bindings.rs", own!("../../plugins/sdk/src/bindings.rs")),
    ("watchfire/sdk/src/config.rs", own!("../../plugins/sdk/src/config.rs")),
    ("watchfire/sdk/src/contract.rs", own!("../../plugins/sdk/src/contract.rs")),
    ("watchfire/sdk/src/detector.rs", own!("../../plugins/sdk/src/detector.rs")),
    ("watchfire/sdk/src/glue.rs", own!("../../plugins/sdk/src/glue.rs")),
    ("watchfire/sdk/src/lib.rs", own!("../../plugins/sdk/src/lib.rs")),
    ("watchfire/sdk/src/show.rs", own!("../../plugins/sdk/src/show.rs")),
    ("watchfire/sdk/src/state.rs", own!("../../plugins/sdk/src/state.rs")),
];

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
    let files = match options.lang {
        Language::Rust => &RUST,
    };
    for (path, text) in files {
        write(&folder.join(path), &text.replace("{{name}}", name).replace("{{module}}", &name.replace('-', "_")))?;
    }
    println!("the detector `{name}` is in `{}`; its README.md says how to go on", folder.display());
    Ok(ExitCode::SUCCESS)
}

fn write(path: &Path, text: &str) -> Result<()> {
    let made = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(path, text));
    made.with_context(|| format!("cannot write `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_sdk_is_written() {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/sdk/src");
        for file in fs::read_dir(sources).unwrap() {
            let wanted = format!("watchfire/sdk/src/{}", file.unwrap().file_name().into_string().unwrap());
            assert!(RUST.iter().any(|(path, _)| *path == wanted), "`{wanted}` is missing");
        }
    }
}
