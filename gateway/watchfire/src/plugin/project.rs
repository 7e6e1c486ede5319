//! The files of a detector's project in each language, with places for the name. Does not know where they are written.

/// A file: path, and text.
pub type File = (&'static str, &'static str);

/// A file of this program's sources.
macro_rules! own {
    ($path:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $path))
    };
}

/// What each project has: samples, and the verdicts that are right for them.
pub const SHARED: [File; 2] = [
    ("data/sample.csv", own!("templates/data/sample.csv")),
    ("data/golden.jsonl", own!("templates/data/golden.jsonl")),
];

const CONTRACT: &str = own!("../../wit/1.0.0/detector.wit");
/// The contract as a dependency of the detector's own world, as tools that read folders of contracts want it.
const WORLD: File = ("wit/guest.wit", own!("templates/guest.wit"));
const DEPENDENCY: File = ("wit/deps/detector/detector.wit", CONTRACT);

/// Rust, with the SDK.
pub const RUST: [File; 18] = [
    ("wit/1.0.0/detector.wit", CONTRACT),
    ("Cargo.toml", own!("templates/rust/Cargo.toml.in")),
    // The versions that the bundled detectors are built with; cargo drops those that are not needed.
    ("Cargo.lock", own!("../../plugins/Cargo.lock")),
    ("README.md", own!("templates/rust/README.md.in")),
    (".gitignore", own!("templates/rust/gitignore.in")),
    ("src/lib.rs", own!("templates/rust/lib.rs.in")),
    ("watchfire/sdk/Cargo.toml", own!("templates/rust/sdk.toml.in")),
    ("watchfire/sdk/src/bindings.rs", own!("../../plugins/sdk/src/bindings.rs")),
    ("watchfire/sdk/src/config.rs", own!("../../plugins/sdk/src/config.rs")),
    ("watchfire/sdk/src/contract.rs", own!("../../plugins/sdk/src/contract.rs")),
    ("watchfire/sdk/src/detector.rs", own!("../../plugins/sdk/src/detector.rs")),
    ("watchfire/sdk/src/frame.rs", own!("../../plugins/sdk/src/frame.rs")),
    ("watchfire/sdk/src/glue.rs", own!("../../plugins/sdk/src/glue.rs")),
    ("watchfire/sdk/src/lib.rs", own!("../../plugins/sdk/src/lib.rs")),
    ("watchfire/sdk/src/memory.rs", own!("../../plugins/sdk/src/memory.rs")),
    ("watchfire/sdk/src/show.rs", own!("../../plugins/sdk/src/show.rs")),
    ("watchfire/sdk/src/state.rs", own!("../../plugins/sdk/src/state.rs")),
    ("watchfire/sdk/src/trial.rs", own!("../../plugins/sdk/src/trial.rs")),
];

/// C, with the few functions that stand in for a C library.
pub const C: [File; 12] = [
    ("wit/1.0.0/detector.wit", CONTRACT),
    ("Makefile", own!("templates/c/Makefile.in")),
    ("README.md", own!("templates/c/README.md.in")),
    (".gitignore", own!("templates/c/gitignore.in")),
    ("detector.c", own!("templates/c/detector.c.in")),
    ("test.c", own!("templates/c/test.c.in")),
    ("watchfire/watchfire.h", own!("../../plugins/sdk-c/watchfire.h")),
    ("watchfire/watchfire.c", own!("../../plugins/sdk-c/watchfire.c")),
    ("watchfire/learner.h", own!("../../plugins/sdk-c/learner.h")),
    ("watchfire/events.h", own!("../../plugins/sdk-c/events.h")),
    ("watchfire/config.c", own!("../../plugins/sdk-c/config.c")),
    ("watchfire/text.c", own!("../../plugins/sdk-c/text.c")),
];

/// Go, with the SDK as a module of its own.
pub const GO: [File; 20] = [
    ("wit/1.0.0/detector.wit", CONTRACT),
    ("go.mod", own!("templates/go/go.mod.in")),
    ("README.md", own!("templates/go/README.md.in")),
    (".gitignore", own!("templates/go/gitignore.in")),
    ("detector.go", own!("templates/go/detector.go.in")),
    ("detector_test.go", own!("templates/go/detector_test.go.in")),
    ("watchfire/go.mod", own!("../../plugins/sdk-go/go.mod")),
    ("watchfire/config.go", own!("../../plugins/sdk-go/config.go")),
    ("watchfire/contract.go", own!("../../plugins/sdk-go/contract.go")),
    ("watchfire/detector.go", own!("../../plugins/sdk-go/detector.go")),
    ("watchfire/exports_wasm.go", own!("../../plugins/sdk-go/exports_wasm.go")),
    ("watchfire/lift_wasm.go", own!("../../plugins/sdk-go/lift_wasm.go")),
    ("watchfire/log_host.go", own!("../../plugins/sdk-go/log_host.go")),
    ("watchfire/lower_wasm.go", own!("../../plugins/sdk-go/lower_wasm.go")),
    ("watchfire/memory_wasm.go", own!("../../plugins/sdk-go/memory_wasm.go")),
    ("watchfire/show.go", own!("../../plugins/sdk-go/show.go")),
    ("watchfire/events/events.go", own!("../../plugins/sdk-go/events/events.go")),
    ("watchfire/events/exports_wasm.go", own!("../../plugins/sdk-go/events/exports_wasm.go")),
    ("watchfire/learner/exports_wasm.go", own!("../../plugins/sdk-go/learner/exports_wasm.go")),
    ("watchfire/learner/learner.go", own!("../../plugins/sdk-go/learner/learner.go")),
];

/// Python, with the SDK.
pub const PYTHON: [File; 12] = [
    WORLD,
    DEPENDENCY,
    ("README.md", own!("templates/python/README.md.in")),
    (".gitignore", own!("templates/python/gitignore.in")),
    ("requirements.txt", own!("templates/python/requirements.txt.in")),
    ("detector.py", own!("templates/python/detector.py.in")),
    ("test_detector.py", own!("templates/python/test_detector.py.in")),
    ("watchfire/__init__.py", own!("../../plugins/sdk-python/watchfire/__init__.py")),
    ("watchfire/config.py", own!("../../plugins/sdk-python/watchfire/config.py")),
    ("watchfire/contract.py", own!("../../plugins/sdk-python/watchfire/contract.py")),
    ("watchfire/glue.py", own!("../../plugins/sdk-python/watchfire/glue.py")),
    ("watchfire/show.py", own!("../../plugins/sdk-python/watchfire/show.py")),
];

/// JavaScript, with the SDK.
pub const JAVASCRIPT: [File; 12] = [
    WORLD,
    DEPENDENCY,
    ("README.md", own!("templates/javascript/README.md.in")),
    (".gitignore", own!("templates/javascript/gitignore.in")),
    ("package.json", own!("templates/javascript/package.json.in")),
    ("build.mjs", own!("templates/javascript/build.mjs.in")),
    ("detector.js", own!("templates/javascript/detector.js.in")),
    ("detector.test.js", own!("templates/javascript/detector.test.js.in")),
    ("watchfire/config.js", own!("../../plugins/sdk-javascript/config.js")),
    ("watchfire/contract.js", own!("../../plugins/sdk-javascript/contract.js")),
    ("watchfire/show.js", own!("../../plugins/sdk-javascript/show.js")),
    ("watchfire/watchfire.js", own!("../../plugins/sdk-javascript/watchfire.js")),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    #[test]
    fn the_whole_of_each_sdk_is_written() {
        let cases: [(&str, &[File], &str); 7] = [
            ("../../plugins/sdk/src", &RUST, "watchfire/sdk/src"),
            ("../../plugins/sdk-c", &C, "watchfire"),
            ("../../plugins/sdk-go", &GO, "watchfire"),
            ("../../plugins/sdk-go/events", &GO, "watchfire/events"),
            ("../../plugins/sdk-go/learner", &GO, "watchfire/learner"),
            ("../../plugins/sdk-python/watchfire", &PYTHON, "watchfire"),
            ("../../plugins/sdk-javascript", &JAVASCRIPT, "watchfire"),
        ];
        for (sources, files, folder) in cases {
            for file in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(sources)).unwrap() {
                let file = file.unwrap();
                let name = file.file_name().into_string().unwrap();
                if file.path().is_dir() {
                    continue;
                }
                let wanted = format!("{folder}/{name}");
                assert!(files.iter().any(|(path, _)| *path == wanted), "`{wanted}` is missing");
            }
        }
    }
}
