//! Any bytes as a package: they are refused by a named error, or they are a whole package whose component lies where it
//! is said to lie, and which nobody but a publisher that is trusted gets past the judge.

#![no_main]

use libfuzzer_sys::fuzz_target;
use watchfire_model::Instant;
use watchfire_package::{Package, Trust};

fuzz_target!(|bytes: &[u8]| {
    match Package::read(bytes) {
        Ok(package) => {
            assert_eq!(bytes.get(package.place()), Some(package.component));
            assert!(package.files().all(|name| !name.contains(['/', '\\']) && name != ".."));
            assert!(!package.file_name().contains(['/', '\\']));
            assert!(Trust::default().judge(&package, Instant::from_s(1_800_000_000)).is_err(), "nobody is trusted");
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
