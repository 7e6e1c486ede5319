//! Any bytes as a component: what the gateway and the command line read of it themselves, then the whole way to a
//! detector that says what it is, but for the process of its own that compiling has in a gateway.

#![no_main]

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use libfuzzer_sys::fuzz_target;
use tokio::runtime::Runtime;
use watchfire_sandbox::{Sandbox, SandboxOptions};

/// In memory where the system has such a folder.
fn file() -> PathBuf {
    let shared = PathBuf::from("/dev/shm");
    let folder = if shared.is_dir() { shared } else { std::env::temp_dir() };
    folder.join(format!("watchfire-fuzz-{}.wasm", std::process::id()))
}

fn sandbox() -> &'static (Runtime, Arc<Sandbox>) {
    static SANDBOX: OnceLock<(Runtime, Arc<Sandbox>)> = OnceLock::new();
    SANDBOX.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        (runtime.expect("a runtime"), Sandbox::new(SandboxOptions::default()).expect("a sandbox"))
    })
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(label) = pack::Label::read(bytes) {
        assert!(label.name.is_none_or(|name| name.len() <= bytes.len()));
    }
    if let Ok(shape) = pack::shape(bytes) {
        assert!(shape.imports.len() + shape.exports.len() <= bytes.len());
    }
    // What the command line makes of it is a detector to the command line as well.
    if let Ok(made) = pack::component(bytes.to_vec()) {
        assert!(pack::shape(&made).is_ok());
    }
    let (runtime, sandbox) = sandbox();
    let file = file();
    std::fs::write(&file, bytes).expect("a file");
    match runtime.block_on(sandbox.inspect(&file)) {
        Ok(said) => assert!(!said.id.is_empty() && said.id.bytes().all(|byte| byte.is_ascii_graphic())),
        Err(error) => {
            let told = error.to_string();
            assert!(!told.is_empty() && !told.contains(['\n', '\u{1b}']), "{told:?}");
        }
    }
});
