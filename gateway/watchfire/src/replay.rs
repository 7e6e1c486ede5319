//! `watchfire replay`: the detectors again over what was recorded; the same verdicts, or a list of where they differ.

use std::collections::VecDeque;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use tokio::task::LocalSet;
use watchfire_calibration::{Proposal, RISE_MAX};
use watchfire_config::Config;
use watchfire_model::{Clock, SystemClock};
use watchfire_pipeline::{BindingPlan, MarkedCondition, ReplayError, ReplayReport, replay as replay_binding, seal_all};

use crate::assemble::Assembly;
use crate::cli::Replay;
use crate::data::Data;
use crate::provenance::Plugins;
use crate::upgrades::plans_of;
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
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let plugins = Plugins::of(&config, &clock).unbound();
    let assembly = Assembly::new(surveys::stored(config), &data)?;
    let sandbox = Assembly::sandbox(&data, Arc::new(plugins.clone()))?;
    let moved = |plan: &Arc<BindingPlan>| plans_of(plan, plugins.upgrade(&plan.spec.name)).into_iter().next();
    let mut bindings: Vec<_> = assembly.bindings().iter().filter_map(moved).collect();
    if let Some(wanted) = &options.detector {
        bindings.retain(|plan| plan.spec.name == *wanted);
        if bindings.is_empty() {
            bail!("there is no detector `{wanted}` in {}", options.config.config.display());
        }
    }
    if bindings.is_empty() {
        println!("there is no `[[detector]]` in {}: nothing was replayed", options.config.config.display());
    }
    let runtime = run::runtime()?;
    let at_once = options.at_once.unwrap_or(1).max(1);
    let mut same = true;
    // Their plugins run on threads of the sandbox's own.
    let here = LocalSet::new();
    let mut replays = bindings.into_iter().map(|plan| {
        let (log, sandbox) = (data.log.clone(), sandbox.clone());
        here.spawn_local(async move { replay_binding(&log, &*sandbox, &plan).await })
    });
    // The next one begins when the first of those that run is done; told in the order of the configuration.
    let mut running: VecDeque<_> = replays.by_ref().take(at_once).collect();
    while let Some(replay) = running.pop_front() {
        let replay = here.block_on(&runtime, replay).context("a replay was ended")?;
        running.extend(replays.next());
        match replay {
            Ok(report) => {
                same &= report.is_same();
                print(&report);
            }
            Err(error @ (ReplayError::NeverRan(_) | ReplayError::NotKept { .. })) => println!("{error}"),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(if same { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(report: &ReplayReport) {
    let ReplayReport {
        binding,
        frames,
        samples,
        recorded,
        replayed,
        skipped,
        digest,
        state,
        same_state,
        differences,
        marked,
    } = report;
    let verdict = if report.is_same() { "identical" } else { "DIFFERENT" };
    let (digest, state) = (digest.get(..16).unwrap_or(digest), state.get(..16).unwrap_or(state));
    println!(
        "{binding}: {verdict}; {frames} frames, {samples} samples, {skipped} skipped; \
         {recorded} verdicts recorded, {replayed} replayed; digest {digest}, state {state}"
    );
    if *same_state == Some(false) {
        println!("  what it has learned is not what its checkpoint has");
    }
    for difference in differences.iter().take(SHOWN_MAX) {
        println!("  frame {}: recorded {:?}", difference.frame, difference.recorded);
        println!("  frame {}: replayed {:?}", difference.frame, difference.replayed);
    }
    if differences.len() > SHOWN_MAX {
        println!("  and {} more frames", differences.len() - SHOWN_MAX);
    }
    marked.iter().for_each(|condition| println!("  {}", said(condition)));
}

/// What people said of the alarms of a condition, and what follows from it, if a person wants it.
fn said(marked: &MarkedCondition) -> String {
    let MarkedCondition { condition, threshold, genuine, mistaken, proposal, stands } = marked;
    let begin = format!(
        "{condition}: {mistaken} of its alarms were marked as false, {genuine} as true, by the threshold {threshold}; "
    );
    let rest = match proposal {
        None if *stands => "nothing is proposed while something of it stands".to_owned(),
        None if *mistaken == 0 => "there is nothing to propose".to_owned(),
        None => format!(
            "no threshold up to {RISE_MAX} times that would have spared any without missing one that was marked as true"
        ),
        Some(Proposal { threshold, spared }) => format!(
            "{threshold} would have spared {spared} of those marked as false and missed none marked as true: to have it so, set \
             `threshold = {threshold}` in [detector.alarm.{condition}]"
        ),
    };
    begin + &rest
}
