//! Conditions whose detector does not tell what they are: it cannot be made, or is configured no longer. What a detector
//! told of its conditions is kept, so that they are there as they were while it cannot be made, with their states, to be
//! seen and acknowledged. What it tells no more is as it was defined last; of what nobody has kept there is what the log has.
//! What is configured no longer ends, with words.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use watchfire_alarms::{AlarmType, ConditionClass, ConditionDef, ConditionState, Engine, Rules, Suppression};
use watchfire_model::{ConditionKey, ConditionSpec, Limits, Scope, SignalInfo};

use crate::notices::Gone;
use crate::{BindingPlan, DetectorIdentity, Log, OWN_BINDING, OwnConditions, PortError, defined};

/// The version of what is kept, its first byte.
const VERSION: u8 = 1;

/// What operators read of what to do, where nobody knows any more.
const RESPONSE: &str = "see whether what it says still holds, since its detector does not run or is no longer configured; \
                        then acknowledge it";

/// What a detector told of its conditions; blocks no one who judges.
#[derive(Serialize, Deserialize)]
struct Told {
    id: String,
    version: String,
    digest: String,
    conditions: Vec<ConditionSpec>,
    limits: Vec<(String, [Option<f64>; 4])>,
}

fn note_of(binding: &str) -> String {
    format!("conditions/{binding}")
}

/// Keeps what a detector tells of its conditions, for the time when it cannot be made. One read where nothing has changed;
/// blocks.
///
/// # Errors
/// When the store fails.
pub(crate) fn keep(
    log: &Log,
    binding: &str,
    conditions: &[ConditionSpec],
    identity: &DetectorIdentity,
) -> Result<(), PortError> {
    let limits = identity.limits.iter().map(|(condition, of)| {
        let Limits { high_high, high, low, low_low } = *of;
        (condition.clone(), [high_high, high, low, low_low])
    });
    let told = Told {
        id: identity.id.clone(),
        version: identity.version.clone(),
        digest: identity.digest.clone(),
        conditions: conditions.to_vec(),
        limits: limits.collect(),
    };
    let bytes = postcard::to_extend(&told, vec![VERSION]).unwrap_or_default();
    let note = note_of(binding);
    if log.history().note(&note)?.as_deref() == Some(&*bytes) {
        return Ok(());
    }
    log.history().set_note(&note, &bytes)
}

/// The conditions of a binding as its detector told them last, and as they are configured now; none where it never told any,
/// or what is kept cannot be read. Blocks.
pub(crate) fn recall(log: &Log, plan: &BindingPlan) -> Vec<Arc<ConditionDef>> {
    let name = &plan.spec.name;
    let kept = log.history().note(&note_of(name)).unwrap_or_else(|error| {
        tracing::error!(detector = name, %error, "what it told of its conditions cannot be read");
        None
    });
    let Some((&VERSION, body)) = kept.as_deref().and_then(<[u8]>::split_first) else { return Vec::new() };
    let Ok(told) = postcard::from_bytes::<Told>(body) else { return Vec::new() };
    let limits = told
        .limits
        .into_iter()
        .map(|(condition, [high_high, high, low, low_low])| (condition, Limits { high_high, high, low, low_low }));
    let identity = DetectorIdentity {
        id: told.id,
        version: told.version,
        title: String::new(),
        digest: told.digest,
        state_version: 0,
        model: None,
        config_hash: String::new(),
        tick: None,
        warm_up_samples: 0,
        limits: limits.collect::<BTreeMap<_, _>>(),
    };
    plan.definitions(&told.conditions, &identity).into_iter().filter(|def| def.is_alarm()).collect()
}

/// Conditions of which the log has the state alone, as they were defined last.
pub(crate) type Once = BTreeMap<ConditionKey, ConditionDef>;

/// What is kept of conditions that stand in the log and are defined by nobody: of a binding, or of all.
pub(crate) async fn once(log: &Arc<Log>, engine: &Engine, binding: Option<&str>) -> Once {
    let wanted = |(key, state): &(&ConditionKey, &ConditionState)| {
        key.binding() != OWN_BINDING && binding.is_none_or(|binding| key.binding() == binding) && stands(state)
    };
    let keys: BTreeSet<ConditionKey> = engine.undefined().filter(wanted).map(|(key, _)| key.clone()).collect();
    if keys.is_empty() {
        return Once::new();
    }
    let log = log.clone();
    let reading = tokio::task::spawn_blocking(move || {
        let bindings: BTreeSet<&str> = keys.iter().map(ConditionKey::binding).collect();
        let defs = bindings.into_iter().flat_map(|binding| defined::once(&log, binding));
        defs.filter(|def| keys.contains(&def.key)).map(|def| (def.key.clone(), def)).collect()
    });
    reading.await.unwrap_or_else(|error| {
        tracing::error!(%error, "what conditions were cannot be read");
        Once::new()
    })
}

/// What stands in the log of a binding and is defined by nobody, but for some of its conditions: as far as it is in the list
/// or active.
pub(crate) fn left_of(
    engine: &Engine,
    own: &OwnConditions,
    binding: &str,
    except: &BTreeSet<ConditionKey>,
    plans: &[Arc<BindingPlan>],
    once: &Once,
) -> Vec<Arc<ConditionDef>> {
    let ours = |(key, state): &(&ConditionKey, &ConditionState)| {
        key.binding() == binding && !except.contains(*key) && stands(state)
    };
    engine.undefined().filter(ours).map(|(key, state)| Arc::new(left(own, key, state, plans, once))).collect()
}

/// What stands in the log of detectors and sources that are configured no longer: what they were, and their conditions.
pub(crate) fn left_over(
    engine: &Engine,
    own: &OwnConditions,
    plans: &[Arc<BindingPlan>],
    sources: &[Arc<str>],
    once: &Once,
) -> (Vec<Gone>, Vec<Arc<ConditionDef>>) {
    let detectors: BTreeSet<&str> = plans.iter().map(|plan| plan.spec.name.as_str()).collect();
    let (mut gone, mut defs) = (BTreeMap::new(), Vec::new());
    for (key, state) in engine.undefined().filter(|(_, state)| stands(state)) {
        let about = key.instance();
        let (what, def) = if key.binding() != OWN_BINDING {
            (key.binding(), Arc::new(left(own, key, state, plans, once)))
        } else if *key == OwnConditions::source_key(about) {
            if sources.iter().any(|source| **source == *about) {
                continue;
            }
            gone.insert((true, about.to_owned()), Gone::Source(about.into()));
            defs.push(own.source_def(about));
            continue;
        } else if *key == OwnConditions::detector_key(about) {
            (about, own.detector_def(about))
        } else if *key == OwnConditions::budget_key(about) {
            (about, own.budget_def(about))
        } else if *key == OwnConditions::maintenance_key(about) {
            (about, own.maintenance_def(about, engine))
        } else {
            continue;
        };
        if !detectors.contains(what) {
            gone.insert((false, what.to_owned()), Gone::Detector(what.to_owned()));
            defs.push(def);
        }
    }
    (gone.into_values().collect(), defs)
}

/// Whether somebody is to see it, or to see it end.
fn stands(state: &ConditionState) -> bool {
    state.retain || state.active.value || state.found().is_active()
}

/// A condition that is defined by nobody, as it was last, that keeps what holds it and waits for nothing. Where only its name
/// and its state are known it is a plain alarm, where its signal is.
fn left(
    own: &OwnConditions,
    key: &ConditionKey,
    state: &ConditionState,
    plans: &[Arc<BindingPlan>],
    once: &Once,
) -> ConditionDef {
    let signal = signal_of(key.instance(), plans);
    let waits = |one: &ConditionState| one.acked.value && !one.confirmed.value;
    let rules = Rules {
        latch: state.latched.value,
        budget: state.suppressed.value.has(Suppression::BUDGET).then_some(u32::MAX),
        ..Rules::default()
    };
    let waiting = waits(state) || state.branches.iter().any(waits);
    if let Some(once) = once.get(key) {
        let (scope, signal) = match (once.scope, signal) {
            (Scope::Signal, Some((signal, _))) => (Scope::Signal, Some(signal.id)),
            (Scope::Signal | Scope::Binding, _) => (Scope::Binding, None),
            (Scope::Group, _) => (Scope::Group, None),
        };
        let rules = Rules { latch: rules.latch, budget: rules.budget, ..undelayed(&once.rules) };
        let (confirm, rules) = (once.confirm || waiting, Arc::new(rules));
        let severity = state.severity.value;
        return ConditionDef { signal, scope, severity, confirm, rules, ..once.clone() };
    }
    ConditionDef {
        key: key.clone(),
        area: signal.map_or_else(|| own.area().into(), |(_, area)| area.clone()),
        source_name: signal.map_or_else(|| key.binding().into(), |(signal, _)| signal.name.clone()),
        signal: signal.map(|(signal, _)| signal.id),
        scope: if signal.is_some() { Scope::Signal } else { Scope::Binding },
        alarm_type: AlarmType::Alarm,
        class: ConditionClass::Unclassified,
        severity: state.severity.value,
        text: key.as_str().into(),
        response: RESPONSE.into(),
        confirm: waiting,
        detector: "".into(),
        rules: Arc::new(rules),
    }
}

/// Rules by which nothing comes later than it is found, nor again, and nothing depends on others.
fn undelayed(rules: &Rules) -> Rules {
    Rules { on_delay: None, off_delay: None, re_alarm: None, group: None, ..rules.clone() }
}

/// A signal by its name, and its area, as long as any detector watches it.
fn signal_of<'a>(name: &str, plans: &'a [Arc<BindingPlan>]) -> Option<(&'a SignalInfo, &'a Arc<str>)> {
    let watched = |plan: &'a Arc<BindingPlan>| {
        let mut all = plan.spec.signals.iter().zip(&plan.areas);
        all.find(|(signal, _)| *signal.name == *name)
    };
    plans.iter().find_map(watched)
}
