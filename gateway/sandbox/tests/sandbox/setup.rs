//! A sandbox with the built plugins, bindings to plain signals, and batches of plain numbers.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use watchfire_model::{Batch, Instant, Lsn, SignalId, SignalInfo};
use watchfire_pipeline::{BindingSpec, CreateError, Detector, DetectorFactory, Quota};
use watchfire_sandbox::{Sandbox, SandboxOptions};

pub const PLUGINS: [&str; 5] = ["apprentice", "faulty", "limit", "novelty", "stuck"];

/// The file of a built plugin.
pub fn component(name: &str) -> PathBuf {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../../plugins/dist/{name}.wasm"));
    assert!(file.is_file(), "{} is missing: run `python3 plugins/build.py`", file.display());
    file
}

/// Every built plugin, as the program hands them in.
pub fn bundled() -> Vec<(String, std::borrow::Cow<'static, [u8]>)> {
    PLUGINS.iter().map(|name| ((*name).to_owned(), std::fs::read(component(name)).unwrap().into())).collect()
}

/// One sandbox for all tests that need none of their own.
pub fn sandbox() -> Arc<Sandbox> {
    static SANDBOX: OnceLock<Arc<Sandbox>> = OnceLock::new();
    SANDBOX
        .get_or_init(|| Sandbox::new(SandboxOptions { bundled: bundled(), ..SandboxOptions::default() }).unwrap())
        .clone()
}

/// A binding of `count` signals.
pub fn binding(plugin: &str, config: &str, count: u32) -> BindingSpec {
    let signal = |id| SignalInfo { id: SignalId(id), name: format!("plant/s{id}").into(), ..SignalInfo::default() };
    BindingSpec {
        name: format!("test-{plugin}"),
        plugin: plugin.to_owned(),
        signals: (0..count).map(signal).collect(),
        config: config.to_owned(),
        places: Default::default(),
        model: None,
        seed: 7,
        alarms: std::collections::BTreeMap::new(),
        quota: Quota::default(),
    }
}

pub async fn create(plugin: &str, config: &str, count: u32) -> Box<dyn Detector> {
    sandbox().create(&binding(plugin, config, count)).await.unwrap()
}

pub async fn refusal(sandbox: &Sandbox, binding: &BindingSpec) -> CreateError {
    match sandbox.create(binding).await {
        Ok(_) => panic!("`{}` must be refused", binding.plugin),
        Err(error) => error,
    }
}

/// A frame `s` seconds after the epoch with one value for each signal.
pub fn batch(s: i64, values: &[f64]) -> Batch {
    let now = Instant::from_s(s);
    let mut batch = Batch { frame: Lsn(u64::try_from(s).unwrap()), now, ..Batch::default() };
    for (signal, value) in (0..).zip(values) {
        batch.signal.push(signal);
        batch.time.push(now.ns());
        batch.value.push(*value);
        batch.status.push(0);
        batch.quality.push(0);
    }
    batch
}
