//! Puts the bundled detectors into the program. Never builds them: it only checks that they are there, and tells their
//! digests.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs, process};

/// The plugins shipped inside the program.
const BUNDLED: [&str; 3] = ["limit", "stuck", "novelty"];

fn main() {
    let Ok(root) = env::var("CARGO_MANIFEST_DIR") else { process::exit(1) };
    let Ok(out) = env::var("OUT_DIR") else { process::exit(1) };
    let dist = Path::new(&root).join("../../plugins/dist");
    let digests_file = dist.join("digests.txt");
    println!("cargo::rerun-if-changed={}", digests_file.display());
    let digests = fs::read_to_string(&digests_file).unwrap_or_default();
    let mut code = String::from(
        "/// The bundled plugins: name, BLAKE3 and bytes.\npub const BUNDLED: &[(&str, &str, &[u8])] = &[\n",
    );
    for name in BUNDLED {
        let file = dist.join(format!("{name}.wasm"));
        println!("cargo::rerun-if-changed={}", file.display());
        let digest = digests.lines().find_map(|line| line.strip_suffix(&format!("  {name}.wasm")));
        let (Some(digest), true) = (digest, file.exists()) else {
            println!("cargo::error=the bundled detector `{name}` is not built; run `make setup`");
            return;
        };
        let Ok(()) = writeln!(code, "    ({name:?}, {digest:?}, include_bytes!({:?})),", file) else {
            process::exit(1)
        };
    }
    code.push_str("];\n");
    if let Err(error) = fs::write(Path::new(&out).join("bundled.rs"), code) {
        println!("cargo::error=cannot write the list of bundled detectors: {error}");
    }
}
