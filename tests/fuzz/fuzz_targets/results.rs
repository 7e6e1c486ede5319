//! Any bytes in place of what a detector answers: a guest hands back, as its answer to each of its calls, the very memory in
//! which it was handed the input. What the gateway lifts and lets pass must keep the contract; all else ends the instance
//! with a sentence. What `describe` answers lies in the component itself, and is for the target of components.

#![no_main]

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use libfuzzer_sys::fuzz_target;
use tokio::runtime::Runtime;
use watchfire_sandbox::{Sandbox, SandboxOptions};

#[path = "../../../gateway/sandbox/tests/sandbox/guest.rs"]
mod guest;
#[path = "../../../gateway/sandbox/tests/sandbox/mirror.rs"]
mod mirror;

struct Made {
    runtime: Runtime,
    sandbox: Arc<Sandbox>,
    /// Where the bytes are handed in as a model.
    file: PathBuf,
}

fn made() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let options = SandboxOptions { bundled: vec![mirror::bundled()], ..SandboxOptions::default() };
        let sandbox = Sandbox::new(options).expect("a sandbox");
        let file = std::env::temp_dir().join(format!("watchfire-fuzz-{}", std::process::id()));
        Made { runtime, sandbox, file }
    })
}

fuzz_target!(|bytes: &[u8]| {
    let Made { runtime, sandbox, file } = made();
    runtime.block_on(async {
        mirror::processed(sandbox, bytes).await;
        mirror::others(sandbox, bytes, file).await;
    });
});
