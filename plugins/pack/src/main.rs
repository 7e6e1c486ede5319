//! `pack IN.wasm OUT.wasm`: turns the core module that the compiler makes of a detector into a component, and prints
//! the BLAKE3 digest of what it wrote.
//!
//! Does not know which detectors there are, nor how they are compiled: `plugins/build.py` does. What a detector may
//! import is decided in the library.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

fn main() -> ExitCode {
    match run(env::args_os().skip(1).collect()) {
        Ok(digest) => {
            println!("{digest}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("pack: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Packs the file named first into the file named second; answers the digest in hexadecimal.
fn run(arguments: Vec<OsString>) -> Result<String> {
    let [input, output] = arguments.as_slice() else {
        bail!("two files are needed: pack IN.wasm OUT.wasm");
    };
    let (input, output) = (Path::new(input), Path::new(output));
    let module = fs::read(input).with_context(|| format!("cannot read `{}`", input.display()))?;
    let component =
        pack::from_module(&module).with_context(|| format!("`{}` cannot become a detector", input.display()))?;
    pack::write_whole(output, &component)?;
    Ok(blake3::hash(&component).to_hex().to_string())
}
