//! Any text as a plugin's schema and as a configuration that is held against it: what does not fit is told in sentences of
//! bounded number and length, the same each time.

#![no_main]

use libfuzzer_sys::fuzz_target;
use watchfire_model::plain;
use watchfire_sandbox::misfits;

/// What stands between the two.
const BETWEEN: &str = "\n---\n";

fuzz_target!(|text: &str| {
    let (schema, config) = text.split_once(BETWEEN).unwrap_or((text, "{}"));
    let found = misfits(schema, config);
    assert!(found.len() <= 64, "{}", found.len());
    for misfit in &found {
        let told = misfit.to_string();
        assert!(!told.is_empty() && told.len() < 16_384 && plain(&told) == told, "{told:?}");
    }
    assert_eq!(found, misfits(schema, config));
});
