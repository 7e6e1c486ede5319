//! A binding as the pipeline runs it: which conditions it can raise, and how its verdicts read to an operator.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use watchfire_alarms::{AlarmType, ConditionClass, ConditionDef, Evidence, Finding, Group, Rules};
use watchfire_model::{
    AlarmSettings, Batch, ConditionKey, ConditionSpec, Frame, Instant, Level, Limits, Lsn, Maintained, PlainEvent,
    PlannedMaintenance, Scope, Severity, SignalId, SignalInfo, StatusCode, Verdict,
};

use crate::budget::LEARNED_MAX;
use crate::plain_event::plain_event;
use crate::settings::{settings_of, settings_of_one};
use crate::{BindingSpec, DetectorIdentity};

/// What a detector's verdicts lead to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It learns; nothing it says is recorded.
    Learning,
    /// Its verdicts are recorded, nothing is announced.
    #[default]
    Shadow,
    /// Its verdicts become alarms.
    Live,
}

/// A binding with its place in the site.
#[derive(Clone, Debug)]
pub struct BindingPlan {
    /// The binding.
    pub spec: BindingSpec,
    /// What its verdicts lead to.
    pub mode: Mode,
    /// The area of each of its signals.
    pub areas: Vec<Arc<str>>,
    /// The area of conditions that are not about one signal.
    pub area: String,
    /// The sources its signals come from.
    pub sources: Vec<Arc<str>>,
    /// How many alarms it may tell in ten minutes, 0 for any number; `None`: 60 of what was learned, any number of others.
    pub budget: Option<u32>,
    /// The name under which its state is kept: its own, or that of the version that took its place.
    pub kept_as: String,
    /// How much of what is on record it learns from before it judges, where it begins from nothing and can learn so.
    pub learns_back: Duration,
    /// The detector beside which it runs as another version: it has no conditions of its own.
    pub beside: Option<Beside>,
    /// What the configuration plans to work on, as far as it may concern the binding's conditions.
    pub maintenance: Vec<PlannedMaintenance>,
}

/// A version that runs beside its detector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beside {
    /// The detector's name.
    pub detector: String,
    /// The name under which the detector's own state is kept: the new version goes on from it if it can.
    pub from: String,
    /// Where in the log it begins when there is no state that it can go on from: it learns from there.
    pub learns_from: Lsn,
    /// The end of the log when it was started: from the next frame on it is compared.
    pub since: Lsn,
}

/// A binding's conditions, made once its detector has told them.
#[derive(Debug)]
pub(crate) struct Conditions {
    specs: Vec<ConditionSpec>,
    /// Of the signals.
    names: Vec<Arc<str>>,
    binding: String,
    /// Those that are no alarms.
    plain: BTreeMap<ConditionKey, Arc<ConditionDef>>,
}

/// The name under which the state is kept that a version was begun with, as long as it is needed to replay it.
pub(crate) fn begun_with(kept_as: &str) -> String {
    // No detector has such a name.
    format!("{kept_as}/begun")
}

impl BindingPlan {
    /// The same detector as another version that runs beside it.
    #[must_use]
    pub fn another(&self, name: &str, beside: Beside) -> Self {
        let spec = BindingSpec { name: name.to_owned(), ..self.spec.clone() };
        Self { spec, mode: Mode::Shadow, kept_as: name.to_owned(), beside: Some(beside), ..self.clone() }
    }

    /// Whether a person who names this detector means it: also where it is the version that runs beside that one.
    pub(crate) fn is_named(&self, detector: &str) -> bool {
        self.spec.name == detector || self.beside.as_ref().is_some_and(|beside| beside.detector == detector)
    }

    /// Where each signal stands in the binding.
    pub(crate) fn indexes(&self) -> Indexes {
        Indexes::among(&self.spec.signals)
    }

    /// Every condition instance of the binding, as its detector tells them and the configuration settles them, whether or
    /// not it is an alarm ([`ConditionDef::is_alarm`]).
    #[must_use]
    pub fn definitions(&self, conditions: &[ConditionSpec], identity: &DetectorIdentity) -> Vec<Arc<ConditionDef>> {
        conditions.iter().flat_map(|condition| self.instances(condition, identity)).map(Arc::new).collect()
    }

    fn instances(&self, condition: &ConditionSpec, identity: &DetectorIdentity) -> Vec<ConditionDef> {
        let settings = settings_of(&self.spec, &condition.id);
        let general = self.definition(condition, identity, &settings);
        let one = |instance: &str| {
            let key = ConditionKey::new(&self.spec.name, &condition.id, instance);
            match settings_of_one(&self.spec, &condition.id, instance) {
                None => ConditionDef { key, ..general.clone() },
                Some(own) => ConditionDef { key, ..self.definition(condition, identity, &own.or(settings.clone())) },
            }
        };
        let role = general.alarm_type.role_against();
        let mut all = self.placed(condition.scope, &general, one);
        self.plan_maintenance(&mut all);
        if let Some(role) = role {
            self.hold_against(role, &mut all);
        }
        all
    }

    /// Says of instances when they are out of service.
    fn plan_maintenance(&self, instances: &mut [ConditionDef]) {
        for def in instances.iter_mut().filter(|_| !self.maintenance.is_empty()) {
            let concerns = |planned: &&PlannedMaintenance| self.concerns(&planned.of, def);
            let planned: Vec<_> = self.maintenance.iter().filter(concerns).cloned().collect();
            if !planned.is_empty() {
                Arc::make_mut(&mut def.rules).maintenance = planned;
            }
        }
    }

    /// Whether work on something concerns a condition. One that is about several signals is concerned by a source if that
    /// is the only one it rests on.
    fn concerns(&self, of: &Maintained, def: &ConditionDef) -> bool {
        match of {
            Maintained::Area(_) => of.holds(&def.area),
            Maintained::Condition(_) => of.holds(def.key.as_str()),
            Maintained::Signal(name) => def.signal.is_some() && *def.source_name == **name,
            Maintained::Source(_) if def.signal.is_some() => of.holds(&def.source_name),
            Maintained::Source(name) => !self.sources.is_empty() && self.sources.iter().all(|own| **own == **name),
        }
    }

    /// Whether work on something may concern a condition of the binding, whichever its detector tells.
    #[must_use]
    pub fn may_concern(&self, of: &Maintained) -> bool {
        match of {
            Maintained::Area(_) => of.holds(&self.area) || self.areas.iter().any(|area| of.holds(area)),
            Maintained::Condition(name) => name.split('/').next() == Some(self.spec.name.as_str()),
            Maintained::Signal(name) => self.spec.signals.iter().any(|signal| *signal.name == **name),
            Maintained::Source(name) => self.sources.iter().any(|own| **own == **name),
        }
    }

    /// Says of instances which signal they are held against: one in this role, of the same group where they are of one.
    fn hold_against(&self, role: &str, instances: &mut [ConditionDef]) {
        let in_role = |signal: &&SignalInfo| &*signal.role == role;
        let against: Vec<&SignalInfo> = self.spec.signals.iter().filter(in_role).collect();
        if against.is_empty() {
            return;
        }
        for (at, def) in instances.iter_mut().enumerate() {
            let group = match def.scope {
                Scope::Binding => None,
                // Instances stand in the order of the signals.
                Scope::Signal => self.spec.signals.get(at).map(|signal| signal.group),
                Scope::Group => def.key.instance().parse().ok(),
            };
            let fits = |signal: &&&SignalInfo| {
                group.is_none_or(|group| group == signal.group) && Some(signal.id) != def.signal
            };
            if let Some(signal) = against.iter().find(fits) {
                Arc::make_mut(&mut def.rules).against = Some(signal.name.clone());
            }
        }
    }

    /// The instances of a condition, from what is said of all and of each.
    fn placed(&self, scope: Scope, general: &ConditionDef, one: impl Fn(&str) -> ConditionDef) -> Vec<ConditionDef> {
        match scope {
            Scope::Binding => vec![general.clone()],
            Scope::Group => {
                let mut groups: Vec<u32> = self.spec.signals.iter().map(|signal| signal.group).collect();
                groups.sort_unstable();
                groups.dedup();
                groups.iter().map(|group| one(&group.to_string())).collect()
            }
            Scope::Signal => {
                let signals = self.spec.signals.iter().zip(&self.areas);
                let of = |(signal, area): (&SignalInfo, &Arc<str>)| ConditionDef {
                    area: area.clone(),
                    source_name: signal.name.clone(),
                    signal: Some(signal.id),
                    ..one(&signal.name)
                };
                signals.map(of).collect()
            }
        }
    }

    /// A condition as a whole, with these settings.
    fn definition(
        &self,
        condition: &ConditionSpec,
        identity: &DetectorIdentity,
        settings: &AlarmSettings,
    ) -> ConditionDef {
        let digest = identity.digest.get(..12).unwrap_or(&identity.digest);
        let base = ConditionDef {
            key: ConditionKey::new(&self.spec.name, &condition.id, ""),
            area: self.area.as_str().into(),
            source_name: self.spec.name.as_str().into(),
            signal: None,
            scope: condition.scope,
            alarm_type: alarm_type(condition, settings),
            class: ConditionClass::Process,
            severity: settings.severity.map_or(condition.severity, Severity::clamped),
            text: condition.text.as_str().into(),
            response: settings.response.as_ref().unwrap_or(&condition.response).as_str().into(),
            confirm: settings.confirm.unwrap_or(false),
            rules: Arc::default(),
            detector: format!("{} {} ({digest})", identity.id, identity.version).into(),
        };
        let class = match settings.class {
            Some(class) => class.into(),
            None if base.alarm_type == AlarmType::Statistical => ConditionClass::Statistical,
            None if base.alarm_type.is_of_device() => ConditionClass::Maintenance,
            None => base.class,
        };
        let learned = (class == ConditionClass::Statistical).then_some(LEARNED_MAX);
        let budget = self.budget.map_or(learned, |most| Some(most).filter(|most| *most > 0));
        let limits = identity.limits.get(&condition.id).copied().unwrap_or_default();
        ConditionDef { class, rules: rules(settings, budget, limits), ..base }
    }

    pub(crate) fn conditions(&self, specs: &[ConditionSpec]) -> Conditions {
        Conditions {
            specs: specs.to_vec(),
            names: self.spec.signals.iter().map(|signal| signal.name.clone()).collect(),
            binding: self.spec.name.clone(),
            plain: BTreeMap::new(),
        }
    }
}

/// The type of a condition: what its detector tells, as far as nothing else is configured.
pub(crate) fn alarm_type(condition: &ConditionSpec, settings: &AlarmSettings) -> AlarmType {
    if let Some(health) = settings.instrument {
        return health.into();
    }
    let told = AlarmType::from_browse_name(&condition.alarm_type).unwrap_or_default();
    settings.exclusive.map_or(told, |exclusive| told.exclusive(exclusive))
}

/// How alarms behave, from what is configured.
fn rules(settings: &AlarmSettings, budget: Option<u32>, limits: Limits) -> Arc<Rules> {
    let group = settings
        .group
        .as_ref()
        .map(|name| Group { name: name.as_str().into(), first_only: settings.first_only.unwrap_or(false) });
    Arc::new(Rules {
        on_delay: settings.on_delay,
        off_delay: settings.off_delay,
        re_alarm: settings.re_alarm,
        max_shelve: settings.max_shelve,
        latch: settings.latch.unwrap_or(false),
        damp: settings.damp.unwrap_or(false),
        group,
        budget,
        cause: settings.cause.clone().unwrap_or_default(),
        consequence: settings.consequence.clone().unwrap_or_default(),
        respond_within: settings.respond_within,
        against: None,
        normal: settings.normal,
        expected_time: settings.expected_time,
        suppress_in_modes: settings.suppress_in_modes.clone().unwrap_or_default(),
        sub_classes: settings.sub_classes.iter().flatten().map(|class| (*class).into()).collect(),
        limits,
        maintenance: Vec::new(),
    })
}

/// The place of a signal that a binding does not watch.
const NOT_WATCHED: u32 = u32::MAX;

/// Where each signal stands in a binding, by the signal's id: ids are given densely, and every row asks.
pub(crate) struct Indexes(Vec<u32>);

impl Indexes {
    /// The places of these signals.
    pub(crate) fn among(signals: &[SignalInfo]) -> Self {
        let ids = signals.iter().map(|signal| signal.id.0 as usize);
        let mut indexes = vec![NOT_WATCHED; ids.max().map_or(0, |last| last + 1)];
        for (signal, index) in signals.iter().zip(0..) {
            if let Some(place) = indexes.get_mut(signal.id.0 as usize) {
                *place = index;
            }
        }
        Self(indexes)
    }

    /// The place of a signal; `None` where the binding does not watch it.
    pub(crate) fn of(&self, id: SignalId) -> Option<u32> {
        self.0.get(id.0 as usize).copied().filter(|index| *index != NOT_WATCHED)
    }
}

/// The part of a frame that a binding sees.
pub(crate) fn cut(lsn: Lsn, frame: &Frame, indexes: &Indexes) -> Batch {
    Batch::cut(lsn, frame, |id| indexes.of(id))
}

impl Conditions {
    /// Says which of the conditions are no alarms.
    pub(crate) fn with_plain(mut self, plain: Vec<Arc<ConditionDef>>) -> Self {
        self.plain = plain.into_iter().map(|def| (def.key.clone(), def)).collect();
        self
    }

    /// What verdicts on a frame mean for the engine, and what of them is told as plain events.
    pub(crate) fn findings(
        &self,
        frame: Lsn,
        now: Instant,
        verdicts: &[Verdict],
    ) -> (Vec<(ConditionKey, Finding)>, Vec<PlainEvent>) {
        let (mut findings, mut events) = (Vec::new(), Vec::new());
        for (number, verdict) in (0..).zip(verdicts) {
            let Some((key, finding)) = self.finding(verdict) else { continue };
            match self.plain.get(&key) {
                Some(def) => events.extend(plain_event(def, finding, (frame, number, now))),
                None => findings.push((key, finding)),
            }
        }
        (findings, events)
    }

    /// A verdict in the engine's terms; `None` for an instance that does not exist.
    pub(crate) fn finding(&self, verdict: &Verdict) -> Option<(ConditionKey, Finding)> {
        let spec = self.specs.get(usize::from(verdict.condition))?;
        let key = self.key_of(verdict.condition, verdict.instance)?;
        // Kept with the condition's state: no more room than it takes.
        let mut evidence = Vec::with_capacity(verdict.evidence.len());
        evidence.extend(verdict.evidence.iter().filter_map(|finding| {
            let signal = self.name(finding.signal)?.clone();
            let (observed, low, high, share) = (finding.observed, finding.low, finding.high, finding.share);
            Some(Evidence { signal, observed, low, high, share })
        }));
        let quality = if verdict.level == Level::Unknown { StatusCode::UNCERTAIN } else { StatusCode::GOOD };
        let finding = Finding {
            level: verdict.level,
            message: if verdict.why.is_empty() { spec.text.clone() } else { verdict.why.clone() },
            score: verdict.score,
            evidence,
            at: verdict.at,
            quality,
        };
        Some((key, finding))
    }

    /// The name of an instance of a condition; `None` for one that does not exist.
    pub(crate) fn key_of(&self, condition: u16, instance: u32) -> Option<ConditionKey> {
        let spec = self.specs.get(usize::from(condition))?;
        let instance = match spec.scope {
            Scope::Signal => self.name(instance)?.clone(),
            Scope::Group => instance.to_string().into(),
            Scope::Binding => Arc::default(),
        };
        Some(ConditionKey::new(&self.binding, &spec.id, &instance))
    }

    /// What a verdict's condition is about; `None` for one that does not exist.
    pub(crate) fn scope_of(&self, verdict: &Verdict) -> Option<Scope> {
        self.specs.get(usize::from(verdict.condition)).map(|spec| spec.scope)
    }

    /// `condition/instance` of a verdict; `None` for an instance that does not exist.
    pub(crate) fn name_of(&self, verdict: &Verdict) -> Option<String> {
        let (key, _) = self.finding(verdict)?;
        key.as_str().strip_prefix(&self.binding)?.strip_prefix('/').map(str::to_owned)
    }

    /// Whether verdicts of the other mean the same: so the gateway's half of a state fits both.
    pub(crate) fn same_as(&self, other: &Self) -> bool {
        let shape = |spec: &ConditionSpec| (spec.id.clone(), spec.scope, spec.decides);
        self.names == other.names && self.specs.iter().map(shape).eq(other.specs.iter().map(shape))
    }

    fn name(&self, index: u32) -> Option<&Arc<str>> {
        self.names.get(usize::try_from(index).ok()?)
    }
}
