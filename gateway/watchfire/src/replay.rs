//! `watchfire replay`: the detectors again over what was recorded; the same verdicts, or a list of where they differ.

use std::process::ExitCode;

use anyhow::{Result, bail};
use watchfire_config::Config;
use watchfire_pipeline::{ReplayError, ReplayReport, replay as replay_binding, seal_all};

use crate::assemble::Assembly;
use crate::cli::Replay;
use crate::data::Data;
use crate::{run, surveys};

/// Differences that are printed for a detector.
const SHOWN_MAX: usize = 5;

/// Replays detectors and compares. Exit code 1 when a verdict differs.
///
/// # Errors
/// When the data is in use or cannot be read, or a detector cannot be made.
pub fn replay(options: &Replay) -> Result<ExitCode> {
    let config = Config::load(&options.config.config)?;
    let folder = config.gateway.data.clone();
    if !folder.exists() {
        bail!("there is no data in `{}` yet; `watchfire run` records it", folder.display());
    }
    let data = Data::open(&folder)?;
    if options.seal_first {
        seal_all(&data.log)?;
    }
    let assembly = Assembly::new(surveys::stored(config), &data)?;
    let sandbox = Assembly::sandbox(&data)?;
    let mut bindings = assembly.bindings();
    if let Some(wanted) = &options.detector {
        bindings.retain(|plan| plan.spec.name == *wanted);
        if bindings.is_empty() {
            bail!("there is no detector `{wanted}` in {}", options.config.config.display());
        }
    }
    let runtime = run::runtime()?;
    let mut same = true;
    for plan in &bindings {
        match runtime.block_on(replay_binding(&data.log, &*sandbox, plan)) {
            Ok(report) => {
                same &= report.differences.is_empty();
                print(&report);
            }
            Err(error @ (ReplayError::NeverRan(_) | ReplayError::NotKept { .. })) => println!("{error}"),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(if same { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(report: &ReplayReport) {
    let ReplayReport { binding, frames, samples, recorded, replayed, skipped, digest, differences } = report;
    let verdict = if differences.is_empty() { "identical" } else { "DIFFERENT" };
    let digest = digest.get(..16).unwrap_or(digest);
    println!(
        "{binding}: {verdict}; {frames} frames, {samples} samples, {skipped} skipped; \
         {recorded} verdicts recorded, {replayed} replayed; digest {digest}"
    );
    for difference in differences.iter().take(SHOWN_MAX) {
        println!("  frame {}: recorded {:?}", difference.frame, difference.recorded);
        println!("  frame {}: replayed {:?}", difference.frame, difference.replayed);
    }
    if differences.len() > SHOWN_MAX {
        println!("  and {} more frames", differences.len() - SHOWN_MAX);
    }
}
