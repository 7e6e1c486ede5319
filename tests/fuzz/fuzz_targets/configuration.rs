//! Any text as a configuration: every error tells where, in one line, and what is good stays good when it is read again.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use watchfire_config::Config;

fuzz_target!(|text: &str| {
    // A folder in which there are no files.
    let folder = Path::new("/nonexistent/watchfire");
    match Config::parse(text, "w.toml", folder) {
        Ok(config) => assert_eq!(Config::parse(text, "w.toml", folder).ok(), Some(config)),
        Err(errors) => {
            let told = errors.to_string();
            assert!(!told.is_empty() && told.len() < 1 << 20);
            assert!(told.lines().all(|line| !line.contains('\u{1b}')), "nothing that a terminal obeys");
        }
    }
});
