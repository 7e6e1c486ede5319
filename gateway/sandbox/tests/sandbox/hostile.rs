//! Plugins that mean harm: for each, what the operator reads, and that the detector beside it goes on.

use std::sync::Arc;

use watchfire_model::Level;
use watchfire_pipeline::{BindingSpec, DetectorFactory};
use watchfire_sandbox::{Sandbox, SandboxOptions};

use crate::corpus::{CASES, ask, quota};
use crate::guest::guest;
use crate::setup::{batch, binding, bundled};

/// Drives a plugin through all that a detector is asked; answers what the operator reads.
async fn read_by_the_operator(sandbox: &Arc<Sandbox>, spec: &BindingSpec) -> Result<(), String> {
    let mut detector = sandbox.create(spec).await.map_err(|error| error.to_string())?;
    ask(&mut *detector, [4, 1, 2, 3].map(|s| batch(s, &[1.0, 2.0]))).await
}

#[tokio::test]
async fn a_hostile_plugin_is_named_and_the_others_go_on() {
    let mut plugins = bundled();
    plugins.extend(CASES.iter().map(|(name, misdeeds, _)| ((*name).to_owned(), guest(misdeeds).into())));
    let sandbox = Sandbox::new(SandboxOptions { bundled: plugins, ..SandboxOptions::default() }).unwrap();
    let mut neighbour = sandbox.create(&binding("limit", r#"{"high":10}"#, 1)).await.unwrap();
    let mut wrong = Vec::new();
    for (s, (name, _, expected)) in (0..).zip(CASES) {
        let mut spec = binding(name, "{}", 2);
        spec.quota = quota(name);
        let read = read_by_the_operator(&sandbox, &spec).await.err().unwrap_or_default();
        if read != *expected {
            wrong.push(format!("{name}: {read}"));
        }
        for (at, value, level) in [(2 * s + 1, 11.0, Level::High), (2 * s + 2, 1.0, Level::Normal)] {
            let found = neighbour.process(&batch(at, &[value])).await.unwrap();
            let levels: Vec<Level> = found.verdicts.iter().map(|verdict| verdict.level).collect();
            assert_eq!(levels, [level], "beside {name}");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
