//! From a validated configuration to the gateway's parts: which signal has which id, which detector gets which signals,
//! who lives in which area.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use watchfire_config::{
    Config, ConsoleConfig, DetectorConfig, GatewayConfig, Mode as ConfiguredMode, QuotaConfig, SignalConfig,
    SourceConfig,
};
use watchfire_model::{Clock, Kind, SignalId, SignalInfo};
use watchfire_pipeline::{
    AlarmFigures, BindingPlan, BindingSpec, Commands, FirstToEnd, Latest, Mode, ModelFile, OperatorConsole, Quota,
    SignalsOf, Site, Source, Surface,
};
use watchfire_sandbox::{ChildCompiler, Compiler, Sandbox, SandboxOptions, Shelf};
use watchfire_server::{DetectorNode, Server, ServerOptions, SignalNode};
use watchfire_source::{Kinds, OpcUaSource};
use watchfire_ua::Application;

use crate::data::Data;
use crate::prints::SourcePrint;
use crate::provenance::{self, Provenance};

/// Days to a span of time.
const DAY: Duration = Duration::from_secs(86_400);

/// Texts of which there are few among many signals, each kept once.
#[derive(Default)]
struct Texts(HashSet<Arc<str>>);

impl Texts {
    fn share(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.0.get(text) {
            return known.clone();
        }
        let text: Arc<str> = text.into();
        self.0.insert(text.clone());
        text
    }
}

/// A signal with its id, and the texts that the parts share.
struct Placed {
    id: SignalId,
    source: Arc<str>,
    name: Arc<str>,
    area: Arc<str>,
    unit: Option<Arc<str>>,
    role: Arc<str>,
    config: SignalConfig,
}

impl Placed {
    fn new(id: SignalId, source: &Arc<str>, config: SignalConfig, texts: &mut Texts) -> Self {
        Self {
            id,
            source: source.clone(),
            name: config.name.as_str().into(),
            area: texts.share(&config.area),
            unit: config.unit.as_deref().map(|unit| texts.share(unit)),
            role: texts.share(&config.role),
            config,
        }
    }
}

/// A configuration whose signals have their ids. It is taken apart, since nothing of 100,000 signals may be kept twice.
pub struct Assembly {
    /// Without its signals.
    config: Config,
    signals: Vec<Placed>,
    by_name: HashMap<Arc<str>, usize>,
    kinds: Kinds,
}

/// What others write and the server shows.
pub struct Shown {
    /// The latest value of each signal.
    pub latest: Arc<Latest>,
    /// How the alarms are doing.
    pub figures: Arc<AlarmFigures>,
    /// The certificate that ends first.
    pub first_to_end: Arc<FirstToEnd>,
}

impl Assembly {
    /// Gives every signal its id; blocks.
    ///
    /// # Errors
    /// When the store of record fails.
    pub fn new(config: Config, data: &Data) -> Result<Self> {
        let ids = data.log.history().signal_ids(&names(&config)).context("cannot give the signals their ids")?;
        Ok(Self::numbered(config, ids.into_iter()))
    }

    /// The same only to look at it: signals that are new are given no id that lasts.
    ///
    /// # Errors
    /// When the store of record fails.
    pub fn tried(config: Config, data: &Data) -> Result<Self> {
        let known = data.log.history().known_signals().context("cannot read the list of signals")?;
        let id = |name: &String| known.get(name).copied().unwrap_or(SignalId(u32::MAX));
        let ids: Vec<_> = names(&config).iter().map(id).collect();
        Ok(Self::numbered(config, ids.into_iter()))
    }

    /// The same without a store: the ids are none that anything was recorded under.
    pub fn unnumbered(config: Config) -> Self {
        Self::numbered(config, (0..).map(SignalId))
    }

    fn numbered(mut config: Config, mut ids: impl Iterator<Item = SignalId>) -> Self {
        let mut texts = Texts::default();
        let mut signals = Vec::new();
        for source in &mut config.sources {
            let name: Arc<str> = source.name.as_str().into();
            let own = ids.by_ref().zip(std::mem::take(&mut source.signals));
            signals.extend(own.map(|(id, signal)| Placed::new(id, &name, signal, &mut texts)));
        }
        let by_name = signals.iter().enumerate().map(|(at, signal): (_, &Placed)| (signal.name.clone(), at)).collect();
        Self { config, signals, by_name, kinds: Kinds::default() }
    }

    /// With what is known of the signals' values already.
    pub fn with_kinds(self, kinds: Kinds) -> Self {
        Self { kinds, ..self }
    }

    /// What signals' values are, filled in by the sources.
    pub const fn kinds(&self) -> &Kinds {
        &self.kinds
    }

    /// What its sources look like.
    pub fn prints(&self) -> BTreeMap<String, SourcePrint> {
        let mut own: HashMap<&str, Vec<&Placed>> = HashMap::new();
        for signal in &self.signals {
            own.entry(&signal.source).or_default().push(signal);
        }
        let source = |source: &SourceConfig| {
            let signals = own.get(source.name.as_str()).into_iter().flatten();
            let print = SourcePrint::of(source, signals.map(|signal| (signal.id, &signal.config)));
            (source.name.clone(), print)
        };
        self.config.sources.iter().map(source).collect()
    }

    /// What the pipeline needs to know of the site.
    pub fn site(&self) -> Site {
        let mode_signal =
            self.config.gateway.mode_signal.as_ref().and_then(|name| self.find(name)).map(|signal| signal.id);
        let signals_of = SignalsOf::new(self.signals_of());
        Site { utc_offset_s: self.config.gateway.utc_offset_s, mode_signal, signals_of }
    }

    /// The signals of each source.
    pub fn signals_of(&self) -> BTreeMap<Arc<str>, Vec<SignalId>> {
        let mut signals_of: BTreeMap<Arc<str>, Vec<SignalId>> = BTreeMap::new();
        for signal in &self.signals {
            signals_of.entry(signal.source.clone()).or_default().push(signal.id);
        }
        signals_of
    }

    /// The signals of some sources, as they are shown.
    pub fn shown(&self, of: impl Fn(&str) -> bool) -> Vec<SignalNode> {
        self.signals.iter().filter(|signal| of(&signal.source)).map(node).collect()
    }

    fn find(&self, name: &str) -> Option<&Placed> {
        self.by_name.get(name).and_then(|at| self.signals.get(*at))
    }

    /// The detectors.
    pub fn bindings(&self) -> Vec<Arc<BindingPlan>> {
        self.config.detectors.iter().map(|detector| Arc::new(self.binding(detector))).collect()
    }

    fn binding(&self, detector: &DetectorConfig) -> BindingPlan {
        let signals: Vec<&Placed> = detector.signals.iter().filter_map(|name| self.find(name)).collect();
        let areas: Vec<Arc<str>> = signals.iter().map(|signal| signal.area.clone()).collect();
        let mut sources: Vec<Arc<str>> = signals.iter().map(|signal| signal.source.clone()).collect();
        sources.sort();
        sources.dedup();
        let bound_model = detector.model_digest.map(|digest| digest.hex());
        let spec = BindingSpec {
            name: detector.name.clone(),
            plugin: provenance::name_of(&detector.plugin),
            signals: signals.iter().map(|signal| info(signal)).collect(),
            config: detector.config.to_string(),
            places: detector.places.0.clone(),
            model: detector.model.clone().map(|path| ModelFile { path, sha256: bound_model }),
            seed: detector.seed,
            alarms: detector.alarms.clone(),
            quota: quota(&detector.quota),
        };
        let mode = match detector.mode {
            ConfiguredMode::Learning => Mode::Learning,
            ConfiguredMode::Shadow => Mode::Shadow,
            ConfiguredMode::Live => Mode::Live,
        };
        let kept_as = spec.name.clone();
        let (area, budget, learns_back) = (shared_area(&areas), detector.alarm_budget, DAY * detector.learn_days);
        let (beside, maintenance) = (None, Vec::new());
        let plan = BindingPlan { spec, mode, area, areas, sources, budget, kept_as, learns_back, beside, maintenance };
        // What is planned for others must not make another detector of this one.
        let own = self.config.maintenance.iter().filter(|planned| plan.may_concern(&planned.of));
        BindingPlan { maintenance: own.cloned().collect(), ..plan }
    }

    /// The servers that are read. They take over what is configured of their signals.
    pub fn into_sources(self, data: &Data, clock: &Arc<dyn Clock>) -> Vec<Box<dyn Source>> {
        let Self { config, signals, kinds, .. } = self;
        let mut own: HashMap<Arc<str>, Vec<(SignalId, SignalConfig)>> = HashMap::new();
        for signal in signals {
            own.entry(signal.source).or_default().push((signal.id, signal.config));
        }
        let one = |source: SourceConfig| -> Box<dyn Source> {
            let signals = own.remove(source.name.as_str()).unwrap_or_default();
            Box::new(OpcUaSource::new(source, signals, data.pki(), clock.clone(), kinds.clone()))
        };
        config.sources.into_iter().map(one).collect()
    }

    /// The operator consoles.
    pub fn consoles(&self) -> Vec<OperatorConsole> {
        let console = |console: &ConsoleConfig| OperatorConsole {
            name: console.name.as_str().into(),
            title: console.title.as_deref().unwrap_or_default().into(),
            areas: console.areas.iter().map(|area| area.as_str().into()).collect(),
        };
        self.config.consoles.iter().map(console).collect()
    }

    /// The OPC UA server and its surface.
    ///
    /// # Errors
    /// When the address is taken, or the certificates cannot be used.
    pub fn server(
        &self,
        data: &Data,
        shown: Shown,
        commands: Commands,
        clock: &Arc<dyn Clock>,
        (detectors, plans): (&BTreeMap<String, Provenance>, &BTreeMap<String, Arc<BindingPlan>>),
    ) -> Result<(Server, Arc<dyn Surface>)> {
        let options = ServerOptions {
            config: self.config.server.clone(),
            pki_dir: data.pki(),
            application: Application::gateway(),
            areas: self.config.sources.iter().map(|source| source.area.clone()).collect(),
            default_area: self.config.gateway.name.clone(),
            signals: self.shown(|_| true),
            detectors: detector_nodes(detectors, plans),
            kinds: self.kinds.clone(),
            consoles: self.consoles(),
            texts: self.config.texts.clone(),
            latest: shown.latest,
            figures: shown.figures,
            first_to_end: shown.first_to_end,
            recorded: data.log.clone(),
            commands,
            clock: clock.clone(),
        };
        Server::build(options).context("the OPC UA server cannot be started")
    }

    /// The sandbox that runs the detectors, with what they may run.
    ///
    /// # Errors
    /// When its cache folder cannot be made.
    pub fn sandbox(data: &Data, shelf: Arc<dyn Shelf>) -> Result<Arc<Sandbox>> {
        let options = SandboxOptions {
            cache: Some(data.cache()),
            bundled: Vec::new(),
            compiler: Some(compiler()?),
            shelf: Some(shelf),
        };
        Sandbox::new(options).context("the sandbox cannot be started")
    }

    /// How long data is kept.
    pub fn keep(&self) -> Duration {
        DAY * self.config.gateway.retention_days
    }

    /// How long summaries are kept; `None` where none are made.
    pub fn keep_summaries(settings: &GatewayConfig) -> Option<Duration> {
        (settings.summary_retention_days > 0).then(|| DAY * settings.summary_retention_days)
    }

    /// What is configured, but for the signals.
    pub const fn config(&self) -> &Config {
        &self.config
    }
}

/// The names of all signals, in the order of the configuration.
fn names(config: &Config) -> Vec<String> {
    config.sources.iter().flat_map(|source| &source.signals).map(|signal| signal.name.clone()).collect()
}

fn node(signal: &Placed) -> SignalNode {
    SignalNode {
        id: signal.id,
        name: signal.name.clone(),
        area: signal.area.clone(),
        kind: Kind::Real,
        unit: signal.unit.clone(),
        range: signal.config.range,
        description: signal.config.description.as_str().into(),
    }
}

/// The detectors as HMIs are shown them, with the sources of their plans: without the versions that run beside them.
pub fn detector_nodes(
    found: &BTreeMap<String, Provenance>,
    plans: &BTreeMap<String, Arc<BindingPlan>>,
) -> Vec<DetectorNode> {
    let announced = found.iter().filter(|(name, _)| !name.contains('/'));
    let node = |(name, provenance): (&String, &Provenance)| {
        let Provenance { plugin, version, digest, signer, licence, model } = provenance.clone();
        DetectorNode {
            name: name.as_str().into(),
            plugin: plugin.into(),
            version: version.into(),
            digest: digest.into(),
            signer: signer.into(),
            licence: licence.into(),
            model: model.into(),
            sources: plans.get(name).map(|plan| plan.sources.clone()).unwrap_or_default(),
        }
    };
    announced.map(node).collect()
}

fn info(signal: &Placed) -> SignalInfo {
    let config = &signal.config;
    SignalInfo {
        id: signal.id,
        name: signal.name.clone(),
        kind: Kind::Real,
        unit: signal.unit.clone(),
        range: config.range,
        sampling_ns: u64::try_from(config.sampling_interval.as_nanos()).ok(),
        role: signal.role.clone(),
        group: config.group,
        events: config.events.is_some(),
    }
}

/// This program once more, as a child that only compiles.
///
/// # Errors
/// When the system does not say which program this is.
pub fn compiler() -> Result<Arc<dyn Compiler>> {
    let child = ChildCompiler::this_program(vec!["compile-plugin".into()]);
    Ok(Arc::new(child.context("the program does not find itself, and so cannot start its compiler")?))
}

/// The bounds of a detector.
pub fn quota(config: &QuotaConfig) -> Quota {
    Quota {
        fuel_per_row: config.fuel_per_row,
        fuel_per_call: config.fuel_per_call,
        memory_bytes: config.memory_bytes,
        call: config.call,
        result_bytes: config.result_bytes,
        state_bytes: config.state_bytes,
        stack_bytes: config.stack_bytes,
        tables: config.tables,
        table_elements: config.table_elements,
        instances: config.instances,
        log_lines: config.log_lines,
        log_line_bytes: config.log_line_bytes,
        compile: config.compile,
        compile_bytes: config.compile_bytes,
        code_bytes: config.code_bytes,
    }
}

/// The deepest area that holds all of `areas`; empty when they have none in common.
fn shared_area(areas: &[Arc<str>]) -> String {
    let mut shared: Vec<&str> = areas.first().map(|area| area.split('/').collect()).unwrap_or_default();
    for area in areas {
        let same = shared.iter().zip(area.split('/')).take_while(|(a, b)| **a == *b).count();
        shared.truncate(same);
    }
    shared.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detector_over_several_areas_belongs_to_the_one_that_holds_them() {
        for (areas, shared) in [
            (vec!["line/pump", "line/pump"], "line/pump"),
            (vec!["line/pump", "line/tank"], "line"),
            (vec!["line", "other"], ""),
            (vec![], ""),
        ] {
            let areas: Vec<Arc<str>> = areas.into_iter().map(Arc::from).collect();
            assert_eq!(shared_area(&areas), shared);
        }
    }
}
