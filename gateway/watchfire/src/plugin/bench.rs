//! `watchfire plugin bench`: what a detector costs a sample, by how many samples it gets at once.

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;

use super::recorded::Setting;
use crate::run;

/// Samples in a call.
const BATCHES: [usize; 4] = [1, 16, 256, 4096];
/// Rows that are judged for each of them, unless that makes too few calls or too many.
const ROWS: usize = 1 << 17;
const CALLS_MIN: usize = 32;
const CALLS_MAX: usize = 1 << 14;

/// Options of `plugin bench`.
#[derive(Args, Debug)]
pub struct Bench {
    #[command(flatten)]
    setting: Setting,
}

/// Runs a detector over the samples again and again, and prints a table.
///
/// # Errors
/// When the detector or the file cannot be used, or the detector fails.
pub fn bench(options: &Bench) -> Result<ExitCode> {
    let recorded = options.setting.read()?;
    if recorded.binding.signals.is_empty() {
        bail!("there is no signal to judge");
    }
    let (runtime, sandbox) = (run::runtime()?, super::sandbox()?);
    println!("{:>8} {:>12} {:>12} {:>14}", "batch", "ns/sample", "fuel/sample", "memory bytes");
    for rows in BATCHES {
        let calls = (ROWS / rows).clamp(CALLS_MIN, CALLS_MAX);
        let cost = runtime.block_on(sandbox.measure(&recorded.binding, recorded.batches_of(rows, calls)))?;
        let per_row = |total: f64| total / cost.rows.max(1) as f64;
        println!(
            "{rows:>8} {:>12.1} {:>12.1} {:>14}",
            per_row(cost.time.as_nanos() as f64),
            per_row(cost.fuel as f64),
            cost.memory_bytes
        );
    }
    Ok(ExitCode::SUCCESS)
}
