//! Every bound is the binding's own, and what runs into it names the setting.

use std::time::Duration;

use watchfire_pipeline::{BindingSpec, DetectorFactory, Quota};
use watchfire_sandbox::{Sandbox, SandboxOptions};

use crate::guest::guest;
use crate::setup::{batch, binding, bundled};

/// Calls itself twenty thousand times.
const DEEP: [(&str, &str); 2] = [
    (
        "defs",
        "(func $dig (param i64) (result i64) (if (result i64) (i64.eqz (local.get 0)) (then (i64.const 0)) \
        (else (i64.add (call $dig (i64.sub (local.get 0) (i64.const 1))) (local.get 0)))))",
    ),
    ("process", "(drop (call $dig (i64.const 20000)))"),
];
/// Twenty-five million turns, a little under the fuel of a call: several slices.
const LONG: [(&str, &str); 1] = [(
    "process",
    "(loop $l (br_if $l (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 25000000))))",
)];

/// Ends when it is ended.
const ENDLESS: [(&str, &str); 1] = [("process", "(loop $l (br $l))")];

/// What the operator reads of a detector that is started, judges a row and is saved.
async fn read(sandbox: &Sandbox, spec: &BindingSpec) -> String {
    let mut detector = match sandbox.create(spec).await {
        Ok(detector) => detector,
        Err(error) => return error.to_string(),
    };
    let judged = detector.process(&batch(1, &[101.0])).await;
    let saved = match judged {
        Ok(_) => detector.save().await,
        Err(fault) => Err(fault),
    };
    saved.err().map(|fault| fault.to_string()).unwrap_or_default()
}

fn of(plugin: &str, quota: Quota) -> BindingSpec {
    BindingSpec { quota, ..binding(plugin, if plugin == "limit" { r#"{"high":10}"# } else { "{}" }, 1) }
}

async fn refused(sandbox: &Sandbox, spec: &BindingSpec, setting: &str) {
    let refused = read(sandbox, spec).await;
    assert!(refused.contains("used up its") && refused.contains(&format!("({setting})")), "{setting}: {refused}");
}

#[tokio::test]
async fn each_bound_is_the_bindings_own_and_named_by_its_setting() {
    let mut plugins = bundled();
    plugins.extend([("deep".to_owned(), guest(&DEEP).into()), ("long".to_owned(), guest(&LONG).into())]);
    plugins.push(("endless".to_owned(), guest(&ENDLESS).into()));
    // Each plugin anew: what describes itself within one binding's bounds is not asked again for another.
    let sandbox = || Sandbox::new(SandboxOptions { bundled: plugins.clone(), ..SandboxOptions::default() }).unwrap();
    let quota = Quota::default();
    for (plugin, bound, within, setting) in [
        ("limit", Quota { memory_bytes: 1 << 20, ..quota }, Quota { memory_bytes: 2 << 20, ..quota }, "`memory_mb`"),
        ("limit", Quota { tables: 1, ..quota }, Quota { tables: 4, ..quota }, "`tables`"),
        ("limit", Quota { table_elements: 8, ..quota }, Quota { table_elements: 512, ..quota }, "`table_elements`"),
        ("limit", Quota { instances: 2, ..quota }, Quota { instances: 8, ..quota }, "`instances`"),
        ("limit", Quota { result_bytes: 64, ..quota }, Quota { result_bytes: 8 << 10, ..quota }, "`result_kb`"),
        ("limit", Quota { state_bytes: 2, ..quota }, Quota { state_bytes: 4 << 10, ..quota }, "`state_kb`"),
        (
            "long",
            Quota { fuel_per_call: 1_000_000, fuel_per_row: 0, ..quota },
            Quota { fuel_per_call: 1_000_000, fuel_per_row: 1_000_000_000, ..quota },
            "`fuel_per_call`, `fuel_per_row`",
        ),
        ("deep", Quota { stack_bytes: 128 << 10, ..quota }, Quota { stack_bytes: 16 << 20, ..quota }, "`stack_kb`"),
    ] {
        refused(&sandbox(), &of(plugin, bound), setting).await;
        assert_eq!(read(&sandbox(), &of(plugin, within)).await, "", "{setting}");
    }
    // Slices are ended by a thread of their own, which on a busy machine may come late: only what never ends is sure to
    // see it come.
    let bound = Quota { call: Duration::from_millis(5), fuel_per_call: u64::MAX, ..quota };
    refused(&sandbox(), &of("endless", bound), "`call_ms`").await;
    assert_eq!(read(&sandbox(), &of("long", quota)).await, "");
}
