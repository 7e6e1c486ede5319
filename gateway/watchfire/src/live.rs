//! A gateway that runs, and what has to be done with it so that it is what a configuration says: only what differs is
//! started, replaced or ended. Whoever owns each part does it; the order is decided here.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use watchfire_config::{Config, ConsoleConfig, GatewayConfig, ServerConfig, Texts};
use watchfire_model::{Clock, Instant};
use watchfire_pipeline::{
    AlarmFigures, BindingPlan, Change, Changes, DetectorFactory, DetectorHealth, FirstToEnd, Latest, Stats,
};
use watchfire_server::{Editor, UserStep};
use watchfire_ua::Kinds;

use crate::assemble::{Assembly, detector_nodes};
use crate::certificate_ends::{CertificateEnds, LiveEnds};
use crate::control::{Done, Given, Order};
use crate::data::Data;
use crate::prints::{self, Prints, Step, Steps};
use crate::provenance::{Plugins, Provenance};
use crate::shelf::LivePlugins;
use crate::surveys::{self, Surveys};
use crate::upgrades::plans_of;

/// The parts of a running gateway that can be changed, and what they were made of.
pub struct Live {
    /// The configuration's file; `None` where there is none to be read anew.
    pub file: Option<PathBuf>,
    /// The data folder.
    pub data: Arc<Data>,
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// When it was started.
    pub since: Instant,
    /// How the detectors and sources stand.
    pub stats: Arc<Stats>,
    /// The way to detectors and sources.
    pub changes: Changes,
    /// What detectors may run.
    pub plugins: LivePlugins,
    /// The way to what is shown.
    pub editor: Editor,
    /// What signals' values are.
    pub kinds: Kinds,
    /// What makes detectors.
    pub factory: Arc<dyn DetectorFactory>,
    /// What runs out.
    pub ends: Arc<LiveEnds>,
    /// The certificate that ends first.
    pub first_to_end: Arc<FirstToEnd>,
    /// The latest value of each signal.
    pub latest: Arc<Latest>,
    /// How the alarms are doing.
    pub figures: Arc<AlarmFigures>,
    /// `[gateway]` as it runs.
    pub gateway: GatewayConfig,
    /// `[server]` as it runs.
    pub server: ServerConfig,
    /// The operator consoles as alarms are counted for them.
    pub consoles: Vec<ConsoleConfig>,
    /// What is told to people in their languages.
    pub texts: Texts,
    /// What runs.
    pub prints: Prints,
    /// The detectors as they are configured.
    pub plans: BTreeMap<String, Arc<BindingPlan>>,
    /// What their plugins were found to be.
    pub found: BTreeMap<String, Provenance>,
}

/// What a configuration comes to.
struct Wanted {
    plan: Plan,
    assembly: Assembly,
    plugins: Plugins,
    prints: Prints,
    found: BTreeMap<String, Provenance>,
    /// As they are configured.
    configured: Vec<Arc<BindingPlan>>,
    /// As they run, with what runs beside them.
    plans: Vec<Arc<BindingPlan>>,
}

/// What differs between what runs and what is configured.
struct Plan {
    sources: Steps,
    detectors: Steps,
    users: BTreeMap<String, UserStep>,
    restart: Vec<String>,
}

impl Plan {
    fn lines(&self) -> Vec<String> {
        let sources = self.sources.iter().map(|(name, step)| prints::told("source", name, step, "; its alarm ends"));
        let detectors = self.detectors.iter();
        let detectors = detectors.map(|(name, step)| prints::told("detector", name, step, "; its alarms end"));
        let users = self.users.iter().map(|(name, step)| prints::told_user(name, *step));
        sources.chain(detectors).chain(users).chain(self.restart.iter().cloned()).collect()
    }

    fn changes(&self) -> usize {
        self.sources.len() + self.detectors.len() + self.users.len()
    }

    fn told(&self, done: &str) -> String {
        let mut lines = self.lines();
        let (changes, restart) = (self.changes(), self.restart.len());
        let count = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        lines.push(match (changes, restart) {
            (0, 0) => "nothing differs from what runs".to_owned(),
            (_, 0) => format!("{done}: {}", count(changes, "change")),
            (_, 1) => format!("{done}: {}; 1 more needs a restart", count(changes, "change")),
            (_, more) => format!("{done}: {}; {more} more need a restart", count(changes, "change")),
        });
        lines.join("\n")
    }
}

impl Live {
    /// Carries an order out and answers whoever gave it. What is not good changes nothing.
    pub async fn carry_out(&mut self, given: Given, surveys: &mut Surveys) {
        let done = match &given.order {
            Order::Reload { dry_run } => self.reload(*dry_run, surveys).await.map(Done::from),
            Order::Upgrade { detector, ask } => self.upgrade(detector, ask, &given.by).await.map(Done::from),
            Order::Status => self.standing().await.map(Done::from),
            Order::Model { detector } => self.model(detector).await,
            Order::Forget { detector, signal } => {
                self.forget(detector, signal.as_deref(), &given.by).await.map(Done::from)
            }
        };
        let answer = done.map_err(|error| format!("{error:#}"));
        match &answer {
            Ok(_) if given.order.only_asks() => {}
            Ok(done) => done.told.lines().for_each(|line| tracing::info!(by = given.by, line, "carried out")),
            Err(reason) => tracing::error!(by = given.by, reason, "refused; everything goes on as it was"),
        }
        given.answer(answer);
    }

    /// A detector as it is configured.
    pub fn configured(&self, detector: &str) -> Result<&Arc<BindingPlan>> {
        self.plans.get(detector).with_context(|| {
            let known: Vec<_> = self.plans.keys().map(|name| format!("`{name}`")).collect();
            format!("there is no detector `{detector}`; there are {}", known.join(", "))
        })
    }

    /// Takes over what the servers have now.
    pub async fn surveyed(&mut self, surveys: &mut Surveys) {
        let Some(config) = surveys.config() else { return };
        tracing::info!("taking over what the servers have now");
        match self.become_as(config).await {
            Ok(plan) => plan.lines().iter().for_each(|line| tracing::info!(line, "taken over")),
            Err(error) => tracing::error!(error = format!("{error:#}"), "could not be taken over"),
        }
    }

    async fn reload(&mut self, dry_run: bool, surveys: &mut Surveys) -> Result<String> {
        let file = self.file.clone().context("this gateway was started without a configuration file")?;
        let read = tokio::task::spawn_blocking(move || Config::load(&file)).await.context("reading it failed")?;
        let mut config = read.map_err(|errors| anyhow!("{errors}"))?;
        // The data lie where they lie until the next start.
        let wanted = std::mem::replace(&mut config.gateway.data, self.gateway.data.clone());
        let asked = config.sources.iter().any(watchfire_config::SourceConfig::needs_survey);
        let mut fresh = None;
        if asked && dry_run {
            config = tokio::task::spawn_blocking(move || surveys::stored(config)).await?;
        } else if asked {
            let mut begun = Surveys::begin(config, &self.gateway.data, self.data.pki(), self.clock.clone()).await;
            config = begun.config().context("what the servers have is not known")?;
            fresh = Some(begun);
        }
        let shown = GatewayConfig { data: wanted, ..config.gateway.clone() };
        let mut restart = prints::need_restart((&self.gateway, &self.server), (&shown, &config.server));
        if self.consoles != config.consoles {
            restart.push("[[console]]: other consoles need a restart".to_owned());
        }
        if self.texts != config.texts {
            restart.push("[gateway] texts_csv: other texts need a restart".to_owned());
        }
        let (editor, server) = (self.editor.clone(), config.server.clone());
        let users = tokio::task::spawn_blocking(move || editor.compare_users(&server)).await;
        let users = users.context("looking at the users failed")??;
        let (steps, configured) = (users.steps.clone(), config.server.users.clone());
        if dry_run {
            let mut plan = self.plan(config, true).await?.plan;
            (plan.restart, plan.users) = (restart, steps);
            return Ok(plan.told("would be reloaded"));
        }
        let mut plan = self.become_as(config).await?;
        self.editor.users(users);
        self.server.users = configured;
        // Those that asked for the configuration before end here.
        if let Some(fresh) = fresh {
            *surveys = fresh;
        } else {
            surveys.forget();
        }
        (plan.restart, plan.users) = (restart, steps);
        Ok(plan.told("reloaded"))
    }

    /// What would have to be done; with `tried`, nothing is kept of having asked.
    async fn plan(&self, config: Config, tried: bool) -> Result<Wanted> {
        let (data, clock, kinds, running) =
            (self.data.clone(), self.clock.clone(), self.kinds.clone(), self.prints.clone());
        let look = move || -> Result<_> {
            let mut plugins = Plugins::of(&config, &clock);
            let found = if tried { plugins.look() } else { plugins.begin() };
            let assembly = if tried { Assembly::tried(config, &data)? } else { Assembly::new(config, &data)? };
            let assembly = assembly.with_kinds(kinds);
            let configured = assembly.bindings();
            let moved = |plan: &Arc<BindingPlan>| plans_of(plan, plugins.upgrade(&plan.spec.name));
            let plans: Vec<_> = configured.iter().flat_map(moved).collect();
            let prints = Prints { sources: assembly.prints(), ..Prints::of_detectors(&plans, &found) };
            let plan = Plan {
                sources: running.sources_to(&prints),
                detectors: running.detectors_to(&prints),
                users: BTreeMap::new(),
                restart: Vec::new(),
            };
            Ok(Wanted { plan, assembly, plugins, prints, found, configured, plans })
        };
        let mut wanted = tokio::task::spawn_blocking(look).await.context("looking failed")??;
        for (name, health) in &*self.stats.detectors.lock() {
            if matches!(health, DetectorHealth::GaveUp(_)) && wanted.prints.detectors.contains_key(name) {
                wanted.plan.detectors.entry(name.clone()).or_insert(Step::Again);
            }
        }
        Ok(wanted)
    }

    /// Shows what detectors run.
    pub fn show(&mut self, found: BTreeMap<String, Provenance>) {
        self.found.extend(found);
        self.editor.detectors(detector_nodes(&self.found, &self.plans));
    }

    /// Makes what runs what a configuration says, but for what needs a restart.
    async fn become_as(&mut self, config: Config) -> Result<Plan> {
        let ends = CertificateEnds::new(&config, self.data.pki());
        let Wanted { plan, assembly, plugins, prints, found, configured, plans } = self.plan(config, false).await?;
        self.plugins.set(plugins);
        self.ends.set(ends);
        self.found.clear();
        self.plans = by_name(configured);
        self.show(found);
        self.editor.signals(assembly.shown(|source| plan.sources.contains_key(source)));
        let of = |steps: &Steps, end: bool| -> Vec<String> {
            let wanted = steps.iter().filter(|(_, step)| match step {
                Step::End => end,
                Step::Show => false,
                Step::Add | Step::Replace(_) | Step::Again => !end,
            });
            wanted.map(|(name, _)| name.clone()).collect()
        };
        for name in of(&plan.detectors, true) {
            self.changes.make(Change::EndDetector(name)).await?;
        }
        for name in of(&plan.sources, true) {
            self.changes.make(Change::EndSource(name)).await?;
        }
        // Detectors before sources: one without a past sees the first values of a source that is new.
        let begun = of(&plan.detectors, false);
        for plan in plans.into_iter().filter(|plan| begun.contains(&plan.spec.name)) {
            self.changes.make(Change::Detector(plan)).await?;
        }
        let begun = of(&plan.sources, false);
        let mut signals_of = assembly.signals_of();
        for source in assembly.into_sources(&self.data, &self.clock) {
            let name = source.name();
            if begun.iter().any(|begun| **begun == *name) {
                let signals = signals_of.remove(&name).unwrap_or_default();
                self.changes.make(Change::Source(source, signals)).await?;
            }
        }
        self.prints = prints;
        Ok(plan)
    }
}

/// Detectors by their names.
pub fn by_name(plans: Vec<Arc<BindingPlan>>) -> BTreeMap<String, Arc<BindingPlan>> {
    plans.into_iter().map(|plan| (plan.spec.name.clone(), plan)).collect()
}
