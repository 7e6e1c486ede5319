//! A thousand instances: what they hold in memory and how long they take to stand, against the first.

use std::error::Error;

use tokio::runtime::Runtime;
use tokio::time::Instant;
use watchfire_pipeline::{Detector, DetectorFactory};

use crate::{batch, binding, built, resident_bytes, sandbox};

const INSTANCES: usize = 1_000;

/// Prints the table.
pub fn print(runtime: &Runtime) -> Result<(), Box<dyn Error>> {
    println!(
        "| instances | component, bytes | started in, ms | resident, MB | an instance, KB | after a batch each, MB |"
    );
    println!("|---|---:|---:|---:|---:|---:|");
    for (plugin, config) in [("limit", r#"{"high":90}"#), ("stuck", "{}")] {
        let bytes = built(plugin)?;
        let size = bytes.len();
        let folder = tempfile::tempdir()?;
        // Compiled by a start before: this one is from the cache.
        runtime.block_on(
            sandbox(vec![(plugin.to_owned(), bytes.clone().into())], Some(folder.path().to_owned()))?
                .create(&binding(plugin, config, 1)),
        )?;
        let sandbox = sandbox(vec![(plugin.to_owned(), bytes.into())], Some(folder.path().to_owned()))?;
        let (before, begun) = (resident_bytes()?, Instant::now());
        let mut detectors: Vec<Box<dyn Detector>> = Vec::with_capacity(INSTANCES);
        for _ in 0..INSTANCES {
            detectors.push(runtime.block_on(sandbox.create(&binding(plugin, config, 1)))?);
        }
        let (ms, after) = (begun.elapsed().as_secs_f64() * 1e3, resident_bytes()?);
        let values = batch(1, 1);
        for detector in &mut detectors {
            runtime.block_on(detector.process(&values))?;
        }
        let used = resident_bytes()?;
        let (taken, taken_used) = (after.saturating_sub(before), used.saturating_sub(before));
        let each = taken_used as f64 / INSTANCES as f64 / 1e3;
        println!(
            "| {INSTANCES} of {plugin} | {size} | {ms:.0} | {:.1} | {each:.1} | {:.1} |",
            taken as f64 / 1e6,
            taken_used as f64 / 1e6
        );
    }
    Ok(())
}
