//! A few kills and power cuts with every run of the tests; `make torture` does a thousand.

use std::path::Path;

const PROGRAM: &str = env!("CARGO_BIN_EXE_watchfire-torture");

#[test]
fn what_was_durable_survives_kills() {
    assert!(watchfire_torture::kills(Path::new(PROGRAM), 12, 1).starts_with("12 kills"));
}

#[test]
fn what_was_durable_survives_power_cuts() {
    assert!(watchfire_torture::cuts(Path::new(PROGRAM), 12, 2).starts_with("12 power cuts"));
}

#[test]
fn what_was_durable_survives_full_disks_and_the_rest_goes_on_once_there_is_room() {
    assert!(watchfire_torture::full(Path::new(PROGRAM), 12, 3).starts_with("12 full disks"));
}
