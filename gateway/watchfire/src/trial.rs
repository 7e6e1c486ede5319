//! What `watchfire check` says of the detectors: each is started once, in the sandbox, with its configuration, its
//! signals and its model, and let go again. Nothing is recorded, announced or bound.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::Result;
use watchfire_alarms::ConditionDef;
use watchfire_config::{Config, unit_meant};
use watchfire_model::{Clock, Instant, PlannedMaintenance, SystemClock};
use watchfire_pipeline::{Judge, area_parts};
use watchfire_sandbox::Shelf;

use crate::assemble::Assembly;
use crate::provenance::Plugins;
use crate::{plugin, run};

/// Why detectors would not run, a sentence each.
///
/// # Errors
/// When the sandbox cannot be started.
pub fn refused(config: &Config) -> Result<Vec<String>> {
    Ok(tried(config)?.1)
}

/// Every condition instance that the detectors would have, by name, and why detectors would not run.
///
/// # Errors
/// When the sandbox cannot be started.
pub fn tried(config: &Config) -> Result<(Vec<Arc<ConditionDef>>, Vec<String>)> {
    let mut conditions = Vec::new();
    if config.detectors.is_empty() {
        return Ok((conditions, Vec::new()));
    }
    let plugins = Plugins::of(config, &(Arc::new(SystemClock) as Arc<dyn Clock>));
    let mut refused = Vec::new();
    let mut tried = Vec::new();
    for binding in Assembly::unnumbered(config.clone()).bindings() {
        match plugins.resolve(&binding.spec.name) {
            Err(why) => refused.push(told(&binding.spec.name, why.reason)),
            // What a server must be asked for first is not known here.
            Ok(_) if binding.spec.signals.is_empty() => {}
            Ok(_) => tried.push(binding.clone()),
        }
    }
    if tried.is_empty() {
        return Ok((conditions, refused));
    }
    let shelf: Arc<dyn Shelf> = Arc::new(plugins);
    let (runtime, sandbox) = (run::runtime()?, plugin::sandbox_of(&[], Some(shelf))?);
    for plan in tried {
        match runtime.block_on(Judge::create(&*sandbox, &plan.spec)) {
            Ok(judge) => conditions.extend(plan.definitions(judge.conditions(), judge.identity())),
            Err(error) => refused.push(told(&plan.spec.name, error.to_string())),
        }
    }
    conditions.sort_by(|a, b| a.key.cmp(&b.key));
    Ok((conditions, refused))
}

/// Which conditions are no alarms, a sentence each: nobody has settled what to do about them.
pub fn no_alarms(conditions: &[Arc<ConditionDef>]) -> Vec<String> {
    let whole = |def: &ConditionDef| format!("{}/{}", def.key.binding(), def.key.condition());
    let alarms: BTreeSet<String> = conditions.iter().filter(|def| def.is_alarm()).map(|def| whole(def)).collect();
    let named = |def: &Arc<ConditionDef>| {
        let whole = whole(def);
        if alarms.contains(&whole) { def.key.to_string() } else { whole }
    };
    let names: BTreeSet<String> = conditions.iter().filter(|def| !def.is_alarm()).map(named).collect();
    let line = |name: String| format!("`{name}` has no `response`: what is found of it is an event and no alarm");
    names.into_iter().map(line).collect()
}

/// Which planned maintenance concerns none of the conditions, or is taken up no more at `now`, a sentence each.
pub fn idle_maintenance(config: &Config, conditions: &[Arc<ConditionDef>], now: Instant) -> Vec<String> {
    let why = |planned: &PlannedMaintenance| {
        if !conditions.iter().any(|def| def.rules.maintenance.contains(planned)) {
            Some("concerns no condition")
        } else if planned.from <= now {
            Some(
                "has begun, so that no start and no reload takes it up any more; `watchfire alarms out-of-service` does it \
                 now",
            )
        } else {
            None
        }
    };
    let told = |planned: &PlannedMaintenance| {
        why(planned).map(|why| format!("`[[maintenance]]` of `{}` from {} {why}", planned.of, planned.from))
    };
    config.maintenance.iter().filter_map(told).collect()
}

/// Units that are written otherwise than UCUM has them, a sentence each: detectors and HMIs know them by their codes.
pub fn odd_units(config: &Config) -> Vec<String> {
    let signals = config.sources.iter().flat_map(|source| &source.signals);
    let mut odd: BTreeMap<&str, (&str, &str, usize)> = BTreeMap::new();
    for (signal, unit) in signals.filter_map(|signal| Some((signal, signal.unit.as_deref()?))) {
        let Some(meant) = unit_meant(unit) else { continue };
        odd.entry(unit).or_insert((meant, &signal.name, 0)).2 += 1;
    }
    let told = |(unit, (meant, first, count)): (&str, (&str, &str, usize))| {
        let more = if count > 1 { format!(" and {} more", count - 1) } else { String::new() };
        format!("`unit` \"{unit}\" of `{first}`{more} is not what UCUM calls it; write `{meant}` if that is meant")
    };
    odd.into_iter().map(told).collect()
}

/// The areas of conditions that no operator console looks after, in one sentence; nothing where there are no consoles.
pub fn without_console(config: &Config, conditions: &[Arc<ConditionDef>]) -> Vec<String> {
    let consoles = Assembly::unnumbered(config.clone()).consoles();
    let own = &config.gateway.name;
    let area = |def: &Arc<ConditionDef>| area_parts(&def.area, own).join("/");
    let areas: BTreeSet<String> = conditions.iter().filter(|def| def.is_alarm()).map(area).collect();
    let nobodys = areas.iter().filter(|area| !consoles.iter().any(|console| console.looks_after(area)));
    let named: Vec<String> = nobodys.map(|area| format!("`{area}`")).collect();
    if consoles.is_empty() || named.is_empty() {
        return Vec::new();
    }
    vec![format!("no `[[console]]` looks after the alarms of {}", named.join(", "))]
}

fn told(detector: &str, reason: String) -> String {
    format!("but detector `{detector}` would not run: {reason}")
}
