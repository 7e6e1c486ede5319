//! The child of this room's tests: what `watchfire compile-plugin` is for the gateway.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    watchfire_sandbox::compile_confined(&arguments)
}
