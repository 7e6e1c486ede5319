//! The gateway's own conditions: a source is lost, a detector has failed. Made like any other, found by no plugin.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;
use watchfire_alarms::{AlarmType, ConditionClass, ConditionDef};
use watchfire_model::{ConditionKey, Scope, Severity};

/// The binding name that stands for the gateway itself; no detector may have it.
pub const OWN_BINDING: &str = "gateway";
/// Severity of a lost source: what it feeds cannot alarm while it lasts.
const SOURCE_SEVERITY: u16 = 700;
/// Severity of a failed detector.
const DETECTOR_SEVERITY: u16 = 600;

/// Which of the detectors' conditions rest on which source.
#[derive(Debug, Default)]
pub struct OwnConditions {
    area: String,
    resting: Mutex<BTreeMap<Arc<str>, BTreeSet<ConditionKey>>>,
}

impl OwnConditions {
    /// The gateway's own conditions, to be listed in `area`.
    #[must_use]
    pub fn new(area: &str) -> Self {
        Self { area: area.to_owned(), resting: Mutex::default() }
    }

    /// The key of "this source is lost".
    #[must_use]
    pub fn source_key(source: &str) -> ConditionKey {
        ConditionKey::new(OWN_BINDING, "source", source)
    }

    /// The key of "this detector has failed".
    #[must_use]
    pub fn detector_key(binding: &str) -> ConditionKey {
        ConditionKey::new(OWN_BINDING, "detector", binding)
    }

    /// What "this source is lost" is.
    #[must_use]
    pub fn source_def(&self, source: &str) -> Arc<ConditionDef> {
        self.def(
            Self::source_key(source),
            source,
            AlarmType::SystemOffNormal,
            SOURCE_SEVERITY,
            format!("source `{source}` cannot be read"),
            "check the OPC UA server and the network; what it feeds is not watched meanwhile",
        )
    }

    /// What "this detector has failed" is.
    #[must_use]
    pub fn detector_def(&self, binding: &str) -> Arc<ConditionDef> {
        self.def(
            Self::detector_key(binding),
            binding,
            AlarmType::SystemDiagnostic,
            DETECTOR_SEVERITY,
            format!("detector `{binding}` does not run"),
            "tell whoever maintains the gateway; its alarms keep their last state meanwhile",
        )
    }

    fn def(
        &self,
        key: ConditionKey,
        about: &str,
        kind: AlarmType,
        severity: u16,
        text: String,
        response: &str,
    ) -> Arc<ConditionDef> {
        Arc::new(ConditionDef {
            key,
            area: self.area.clone(),
            source_name: about.to_owned(),
            signal: None,
            scope: Scope::Binding,
            alarm_type: kind,
            class: ConditionClass::System,
            severity: Severity::clamped(severity),
            text,
            response: response.to_owned(),
            confirm: false,
            detector: OWN_BINDING.to_owned(),
        })
    }

    pub(crate) fn rest_on(&self, defs: &[Arc<ConditionDef>], sources: &[Arc<str>]) {
        let mut resting = self.resting.lock();
        for def in defs {
            // A condition of one signal rests on that signal's source, any other on all of its detector's.
            let own = sources.iter().filter(|source| match def.scope {
                Scope::Signal => def.source_name.strip_prefix(&***source).is_some_and(|rest| rest.starts_with('/')),
                Scope::Group | Scope::Binding => true,
            });
            for source in own {
                resting.entry(source.clone()).or_default().insert(def.key.clone());
            }
        }
    }

    pub(crate) fn conditions_of(&self, binding: &str) -> Vec<ConditionKey> {
        let resting = self.resting.lock();
        let mut keys: Vec<_> = resting.values().flatten().filter(|key| key.binding() == binding).cloned().collect();
        keys.sort();
        keys.dedup();
        keys
    }

    pub(crate) fn resting_on(&self, source: &str) -> Vec<ConditionKey> {
        self.resting.lock().get(source).map(|keys| keys.iter().cloned().collect()).unwrap_or_default()
    }
}
