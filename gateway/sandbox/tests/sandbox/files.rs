//! Files that are no plugins: each refusal names the file, what is wrong with it, and the way out.

use watchfire_pipeline::{CreateError, DetectorFactory};

use crate::setup::{batch, binding, component, refusal, sandbox};

const NO_FUNCTIONS: &str = r#"(component (instance $d) (export "watchfire:detector/detector@1.0.0" (instance $d)))"#;
const LATER: &str = r#"(component (instance $d) (export "watchfire:detector/detector@1.1.0" (instance $d)))"#;
const WASI: &str = r#"(component
    (import "wasi:random/random@0.2.0" (instance))
    (instance $d) (export "watchfire:detector/detector@1.0.0" (instance $d)))"#;

#[tokio::test]
async fn what_is_no_plugin_is_refused_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let wat = |text| wat::parse_str(text).unwrap();
    let whole = std::fs::read(component("limit")).unwrap();
    let cases: [(&str, Vec<u8>, &[&str]); 9] = [
        ("empty.wasm", Vec::new(), &["is empty or cut short"]),
        ("text.wasm", b"(component)".to_vec(), &["is no WebAssembly file", "bundled plugin"]),
        ("core.wasm", wat("(module)"), &["core module, not a component", "wasm-tools component new"]),
        ("short.wasm", whole[..whole.len() / 2].to_vec(), &["damaged or cut short", "copy it again"]),
        ("none.wasm", wat("(component)"), &["does not export `watchfire:detector/detector@1.0.0`", "world `minimal`"]),
        ("bare.wasm", wat(NO_FUNCTIONS), &["does not match the contract watchfire:detector@1.0.0", "wit/1.0.0"]),
        (
            "later.wasm",
            wat(LATER),
            &["is made for contract 1.1.0, this gateway has 0.1.0 and 1.0.0", "upgrade the gateway"],
        ),
        ("wasi.wasm", wat(WASI), &["wants `wasi:random/random@0.2.0`", "wasm32-unknown-unknown"]),
        ("damaged.wasm", whole.iter().map(|byte| byte ^ 1).collect(), &["is no WebAssembly file"]),
    ];
    for (name, bytes, expected) in cases {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let error = refusal(&sandbox(), &binding(path.to_str().unwrap(), "{}", 1)).await;
        let CreateError::Plugin(said) = &error else { panic!("{name}: {error:?}") };
        assert!(said.contains(name) && expected.iter().all(|part| said.contains(part)), "{name}: {said}");
    }
    let missing = refusal(&sandbox(), &binding("nowhere/x.wasm", "{}", 1)).await.to_string();
    assert!(
        missing.contains("`nowhere/x.wasm` cannot be read") && missing.contains("faulty, limit, novelty"),
        "{missing}"
    );
}

#[tokio::test]
async fn a_file_works_as_a_bundled_plugin_does() {
    let path = component("limit");
    let config = r#"{"high":10}"#;
    let mut from_file = sandbox().create(&binding(path.to_str().unwrap(), config, 1)).await.unwrap();
    let mut bundled = sandbox().create(&binding("limit", config, 1)).await.unwrap();
    assert_eq!(from_file.identity(), bundled.identity());
    let high = batch(1, &[11.0]);
    assert_eq!(from_file.process(&high).await.unwrap(), bundled.process(&high).await.unwrap());
}
