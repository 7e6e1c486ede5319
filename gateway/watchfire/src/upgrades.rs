//! `watchfire plugin upgrade` as the gateway carries it out: a version beside the detector, what it says otherwise, and
//! the step from one to the other. What was decided is in the store of plugins before anything is changed, so that a
//! kill leaves either the old or the new.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde::{Deserialize, Serialize};
use watchfire_model::{Control, Level, Lsn, RecordBody, UpgradeStep};
use watchfire_package::{RolledBack, Upgrade, Version};
use watchfire_pipeline::{Beside, BindingPlan, Change, Compared, DetectorHealth, place_at};

use crate::live::Live;
use crate::prints::{Prints, Step};

/// What is asked of a detector's upgrade.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// To run another version in shadow beside it.
    Begin {
        /// Its package or component.
        file: PathBuf,
        /// How far back it learns where it cannot go on from the state of the version that runs.
        history: Duration,
    },
    /// How both stand.
    Status,
    /// That the version beside it becomes the detector.
    TakeOver,
    /// That the version beside it ends, or the one before the last take-over comes back.
    RollBack,
}

/// The plans of a detector as it was moved: its own, and what runs beside it.
pub fn plans_of(base: &Arc<BindingPlan>, upgrade: Option<&Upgrade>) -> Vec<Arc<BindingPlan>> {
    let Some(upgrade) = upgrade else { return vec![base.clone()] };
    let name = &base.spec.name;
    let kept_as = upgrade.kept_as(name);
    let own = if kept_as == base.kept_as {
        base.clone()
    } else {
        Arc::new(BindingPlan { kept_as: kept_as.to_owned(), ..(**base).clone() })
    };
    let beside = upgrade.beside.as_ref().map(|version| {
        let beside = Beside {
            detector: name.clone(),
            from: kept_as.to_owned(),
            learns_from: Lsn(version.learns_from),
            since: Lsn(version.since),
        };
        Arc::new(base.another(&version.kept_as, beside))
    });
    std::iter::once(own).chain(beside).collect()
}

impl Live {
    /// Does what is asked of a detector's upgrade; what was done, for people.
    pub async fn upgrade(&mut self, detector: &str, ask: &Ask, by: &str) -> Result<String> {
        self.configured(detector)?;
        match ask {
            Ask::Begin { file, history } => self.begin(detector, file.clone(), *history, by).await,
            Ask::Status => self.status(detector),
            Ask::TakeOver => self.take_over(detector, by).await,
            Ask::RollBack => self.roll_back(detector, by).await,
        }
    }

    async fn begin(&mut self, detector: &str, file: PathBuf, history: Duration, by: &str) -> Result<String> {
        let plugins = Arc::new(self.plugins.now().with_upgrades()?);
        if let Some(beside) = plugins.upgrade(detector).and_then(|upgrade| upgrade.beside.as_ref()) {
            bail!(
                "{} runs in shadow beside detector `{detector}` already; take over or roll back first",
                digest_of(beside)
            );
        }
        let (log, since) = (self.data.log.clone(), self.data.log.tail());
        let (name, at) = (detector.to_owned(), self.clock.now().minus(history));
        let look = move || -> Result<_> {
            let offered = plugins.offered(&name, &file)?;
            let runs = plugins.resolve(&name).map_err(|refused| anyhow!(refused.reason))?.provenance;
            if runs.digest == offered.provenance.digest {
                bail!("detector `{name}` runs just that already: {}", runs.digest);
            }
            let learns_from = place_at(&log, at).context("the log cannot be read")?;
            plugins.keep(&offered)?;
            let (over, named) = (plugins.over(&name)?, plugins.plugin_of(&name));
            let version = Version {
                digest: Some(offered.digest),
                kept_as: format!("{name}/next.{since}"),
                since: since.0,
                learns_from: learns_from.0,
            };
            let told = version.clone();
            plugins.store().bind(|bound| {
                let upgrade = bound.upgrade.entry(name.clone()).or_insert(Upgrade::over(over));
                if upgrade.over != over {
                    // The configuration means something else by now: that is what runs.
                    upgrade.over = over;
                    upgrade.now.iter_mut().for_each(|now| now.digest = None);
                }
                (upgrade.named, upgrade.beside) = (Some(named), Some(version));
            })?;
            Ok((offered.provenance, told))
        };
        let (new, version) = tokio::task::spawn_blocking(look).await.context("looking at the file failed")??;
        self.record(detector, UpgradeStep::Began, &version.kept_as, &new.digest, by).await?;
        self.move_on(detector).await?;
        Ok(format!(
            "`{}` {} {} (signer: {}) runs in shadow beside detector `{detector}` from now on\n\
             see what it says otherwise with `watchfire plugin upgrade {detector} --status`, then `--take-over` or \
             `--roll-back`",
            new.plugin, new.version, new.digest, new.signer
        ))
    }

    async fn take_over(&mut self, detector: &str, by: &str) -> Result<String> {
        let plugins = self.plugins.now();
        let Some(beside) = plugins.upgrade(detector).and_then(|upgrade| upgrade.beside.clone()) else {
            bail!("nothing runs beside detector `{detector}`; give a package to begin with");
        };
        plugins.may_be_moved(detector)?;
        let health = self.stats.detectors.lock().get(&beside.kept_as).cloned();
        match health {
            Some(DetectorHealth::Running { .. }) => {}
            Some(DetectorHealth::Failed(reason) | DetectorHealth::GaveUp(reason)) => {
                bail!("the new version does not run: {reason}; roll it back")
            }
            Some(DetectorHealth::Starting) | None => bail!("the new version is being started; wait"),
        }
        let compared = self.stats.compared.lock().get(&beside.kept_as).cloned().unwrap_or_default();
        if compared.reached < Lsn(beside.since) {
            bail!("the new version still learns from history: it is at {}; wait, or roll it back", compared.reached_at);
        }
        let (name, mut done) = (detector.to_owned(), None);
        plugins.store().bind(|bound| {
            done = bound.upgrade.get_mut(&name).and_then(|upgrade| upgrade.take_over(&name).cloned());
        })?;
        let version = done.with_context(|| format!("nothing runs beside detector `{detector}` any more"))?;
        self.record(detector, UpgradeStep::TookOver, &version.kept_as, &digest_of(&version), by).await?;
        self.move_on(detector).await?;
        Ok(format!(
            "detector `{detector}` is {} from now on; its alarms keep their state\n\
             what it ran before is kept: `watchfire plugin upgrade {detector} --roll-back` goes back to it",
            digest_of(&version)
        ))
    }

    async fn roll_back(&mut self, detector: &str, by: &str) -> Result<String> {
        let plugins = self.plugins.now();
        let (name, mut done, mut kept_as) = (detector.to_owned(), None, detector.to_owned());
        plugins.store().bind(|bound| {
            let Some(upgrade) = bound.upgrade.get_mut(&name) else { return };
            done = upgrade.roll_back(&name);
            kept_as = upgrade.kept_as(&name).to_owned();
            if upgrade.is_over() {
                bound.upgrade.remove(&name);
            }
        })?;
        let Some(done) = done else {
            bail!(
                "detector `{detector}` has no version to go back to: nothing runs beside it, and none took over before"
            );
        };
        let fresh = plugins.with_upgrades()?;
        let runs = fresh.resolve(detector).map(|resolved| resolved.provenance.digest).unwrap_or_default();
        self.record(detector, UpgradeStep::RolledBack, &kept_as, &runs, by).await?;
        self.move_on(detector).await?;
        Ok(match done {
            RolledBack::Beside(version) => {
                format!("{} no longer runs beside detector `{detector}`, which goes on as it was", digest_of(&version))
            }
            RolledBack::Now(version) => format!(
                "detector `{detector}` is {runs} again, with the state that it had; it catches up with what came since. \
                 It was {}",
                digest_of(&version)
            ),
        })
    }

    async fn record(&self, detector: &str, step: UpgradeStep, kept_as: &str, digest: &str, by: &str) -> Result<()> {
        let digest = digest.rsplit(':').next().unwrap_or_default().to_owned();
        let (binding, kept_as, by) = (detector.to_owned(), kept_as.to_owned(), by.to_owned());
        let control = Control::Upgraded { binding, step, digest, kept_as, by };
        self.data.log.put(RecordBody::Control(control)).await?;
        self.data.log.hurry();
        Ok(())
    }

    /// Brings what runs of a detector to what is on record of it: what ran beside it ends first and saves its state.
    async fn move_on(&mut self, detector: &str) -> Result<()> {
        let now = self.plugins.now();
        let plugins = tokio::task::spawn_blocking(move || now.with_upgrades()).await.context("reading failed")??;
        let base = self.configured(detector)?;
        let plans = plans_of(base, plugins.upgrade(detector));
        let names: Vec<String> = plans.iter().map(|plan| plan.spec.name.clone()).collect();
        let looking = plugins.clone();
        let found = tokio::task::spawn_blocking(move || looking.look_at(names.into_iter())).await?;
        self.plugins.set(plugins);
        let ours =
            |name: &str| name.strip_prefix(detector).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let running = self.prints.detectors.iter().filter(|(name, _)| ours(name));
        let old = Prints {
            sources: BTreeMap::new(),
            detectors: running.map(|(name, print)| (name.clone(), print.clone())).collect(),
        };
        let new = Prints::of_detectors(&plans, &found);
        let steps = old.detectors_to(&new);
        for (name, _) in steps.iter().filter(|(_, step)| **step == Step::End) {
            self.changes.make(Change::EndDetector(name.clone())).await?;
        }
        for plan in plans.into_iter().filter(|plan| steps.contains_key(&plan.spec.name)) {
            self.changes.make(Change::Detector(plan)).await?;
        }
        self.prints.detectors.retain(|name, _| !ours(name));
        self.prints.detectors.extend(new.detectors);
        self.show(found);
        Ok(())
    }

    fn status(&self, detector: &str) -> Result<String> {
        let plugins = self.plugins.now();
        let what = |name: &str| match plugins.resolve(name) {
            Ok(resolved) => {
                let it = resolved.provenance;
                format!("`{}` {} {} (signer: {})", it.plugin, it.version, it.digest, it.signer)
            }
            Err(refused) => refused.reason,
        };
        let mut told = format!("detector     {}\n", what(detector));
        let upgrade = plugins.upgrade(detector);
        if let Some(before) = upgrade.and_then(|upgrade| upgrade.before.as_ref()) {
            writeln!(told, "before       {}; `--roll-back` goes back to it", digest_of(before))?;
        }
        let Some(beside) = upgrade.and_then(|upgrade| upgrade.beside.as_ref()) else {
            told.push_str("in shadow    nothing");
            return Ok(told);
        };
        writeln!(told, "in shadow    {}", what(&beside.kept_as))?;
        let health = self.stats.detectors.lock().get(&beside.kept_as).cloned();
        let compared = self.stats.compared.lock().get(&beside.kept_as).cloned();
        let compared = compared.unwrap_or_default();
        let stands = match health {
            None | Some(DetectorHealth::Starting) => "is being started".to_owned(),
            Some(DetectorHealth::Failed(reason)) => format!("failed and is started again: {reason}"),
            Some(DetectorHealth::GaveUp(reason)) => format!("does not run: {reason}"),
            Some(DetectorHealth::Running { .. }) if compared.reached < Lsn(beside.since) => {
                format!("learns from history, and is at {}", compared.reached_at)
            }
            Some(DetectorHealth::Running { phase, have, need }) => {
                let progress = if need > 0 { format!(", {have} of {need} samples") } else { String::new() };
                format!("runs ({phase:?}{progress})").to_lowercase()
            }
        };
        writeln!(told, "it           {stands}")?;
        write!(told, "{}", counts(&compared))?;
        Ok(told)
    }
}

fn counts(compared: &Compared) -> String {
    let Compared { since, upto, same, only_old, only_new, .. } = compared;
    let frames = upto.0.saturating_sub(since.0);
    let mut told = format!(
        "verdicts     {same} the same, {only_old} of the old version alone, {only_new} of the new one alone, in the {frames} \
         records since it began"
    );
    for differing in compared.last.iter().rev() {
        let whose = if differing.by_new { "new" } else { "old" };
        let (at, condition, level) = (differing.at, &differing.condition, level(differing.level));
        told.push_str(&format!("\n  only {whose}   {at}  {condition}  {level}  {}", differing.message));
    }
    told
}

const fn level(level: Level) -> &'static str {
    match level {
        Level::Normal => "normal",
        Level::LowLow => "low-low",
        Level::Low => "low",
        Level::High => "high",
        Level::HighHigh => "high-high",
        Level::Active => "active",
        Level::Unknown => "unknown",
    }
}

/// A version as it is named to people.
fn digest_of(version: &Version) -> String {
    version.digest.map_or_else(|| "what the configuration means".to_owned(), |digest| digest.to_string())
}
