//! The gateway's own conditions: a source is lost, a detector has failed. Made like any other, found by no plugin.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;
use watchfire_alarms::{AlarmType, ConditionClass, ConditionDef, Finding};
use watchfire_model::{ConditionKey, Level, Scope, Severity, StatusCode};

/// The binding name that stands for the gateway itself; no detector may have it.
pub const OWN_BINDING: &str = "gateway";
/// Severity of a lost source: what it feeds cannot alarm while it lasts.
const SOURCE_SEVERITY: u16 = 700;
/// Severity of a failed detector.
const DETECTOR_SEVERITY: u16 = 600;
/// Severity of a disk that runs full: soon nothing can be recorded.
const DISK_SEVERITY: u16 = 800;
/// Severity of damaged records: what they held is gone, and somebody may have wanted that.
const HISTORY_SEVERITY: u16 = 700;
/// Severity of a clock that was set back: everything goes on, with times that are not the machine's.
const CLOCK_SEVERITY: u16 = 500;

/// Severity of certificates that run out: nothing is lost yet.
const CERTIFICATES_SEVERITY: u16 = 400;

/// The gateway's own conditions, and what they mean for those of detectors.
#[derive(Debug, Default)]
pub struct OwnConditions {
    area: String,
    standing: Mutex<Standing>,
}

/// Why findings cannot be believed. A condition may have several reasons at once; each ends by itself.
#[derive(Debug, Default)]
struct Standing {
    /// The detectors' conditions by the source they rest on, sorted: there may be 100,000.
    resting: BTreeMap<Arc<str>, Vec<ConditionKey>>,
    /// The conditions of each binding, sorted.
    told: BTreeMap<String, Vec<ConditionKey>>,
    /// Sources that are lost.
    down: BTreeSet<Arc<str>>,
    /// Bindings whose detector does not run.
    failed: BTreeSet<String>,
    /// Conditions of which their detector itself cannot tell.
    unknown: BTreeSet<ConditionKey>,
}

/// How far a condition can be believed.
#[derive(Debug)]
pub(crate) struct Held {
    pub key: ConditionKey,
    pub quality: StatusCode,
    /// Whether anything it rests on can be read.
    pub supported: bool,
}

impl Standing {
    fn held(&self, keys: &[ConditionKey]) -> Vec<Held> {
        let rests_on = |keys: &[ConditionKey], key: &ConditionKey| keys.binary_search(key).is_ok();
        let is_down = |source: &Arc<str>| self.down.contains(source);
        let (lost, left): (Vec<_>, Vec<_>) = self.resting.iter().partition(|(source, _)| is_down(source));
        let held = |key: &ConditionKey| {
            let any_lost = lost.iter().any(|(_, keys)| rests_on(keys, key));
            let supported = !any_lost || left.iter().any(|(_, keys)| rests_on(keys, key));
            let quality = if any_lost || self.failed.contains(key.binding()) {
                StatusCode::UNCERTAIN_LAST_USABLE
            } else if self.unknown.contains(key) {
                StatusCode::UNCERTAIN
            } else {
                StatusCode::GOOD
            };
            Held { key: key.clone(), quality, supported }
        };
        keys.iter().map(held).collect()
    }

    fn forget(&mut self, binding: &str) {
        if self.told.remove(binding).is_none() {
            return;
        }
        for keys in self.resting.values_mut() {
            keys.retain(|key| key.binding() != binding);
        }
        self.unknown.retain(|key| key.binding() != binding);
    }

    fn unsure(&self, key: &ConditionKey) -> bool {
        let lost = || {
            self.down.iter().filter_map(|source| self.resting.get(source)).any(|keys| keys.binary_search(key).is_ok())
        };
        self.failed.contains(key.binding()) || lost()
    }
}

impl OwnConditions {
    /// The gateway's own conditions, to be listed in `area`.
    #[must_use]
    pub fn new(area: &str) -> Self {
        Self { area: area.to_owned(), standing: Mutex::default() }
    }

    /// The area in which they are listed.
    pub(crate) fn area(&self) -> &str {
        &self.area
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

    /// The key of "the machine's clock lies behind the log".
    #[must_use]
    pub fn clock_key() -> ConditionKey {
        ConditionKey::new(OWN_BINDING, "clock", "")
    }

    /// What "the machine's clock lies behind the log" is.
    #[must_use]
    pub fn clock_def(&self) -> Arc<ConditionDef> {
        self.def(
            Self::clock_key(),
            "clock",
            AlarmType::SystemDiagnostic,
            CLOCK_SEVERITY,
            "the machine's clock was set back".to_owned(),
            "check the time service; until the clock has caught up, times of receipt run ahead of it",
        )
    }

    /// The key of "the disk runs full".
    #[must_use]
    pub fn disk_key() -> ConditionKey {
        ConditionKey::new(OWN_BINDING, "disk", "")
    }

    /// What "the disk runs full" is.
    #[must_use]
    pub fn disk_def(&self) -> Arc<ConditionDef> {
        self.def(
            Self::disk_key(),
            "disk",
            AlarmType::SystemDiagnostic,
            DISK_SEVERITY,
            "the disk of the gateway's data runs full".to_owned(),
            "make room: remove what does not belong there, or keep less (`retention_gb`, `retention_days`); while it is full \
             no values are recorded, and the gateway goes on by itself once there is room",
        )
    }

    /// The key of "what was recorded is damaged".
    #[must_use]
    pub fn history_key() -> ConditionKey {
        ConditionKey::new(OWN_BINDING, "history", "")
    }

    /// What "what was recorded is damaged" is.
    #[must_use]
    pub fn history_def(&self) -> Arc<ConditionDef> {
        self.def(
            Self::history_key(),
            "history",
            AlarmType::SystemDiagnostic,
            HISTORY_SEVERITY,
            "samples that were recorded are damaged".to_owned(),
            "check the disk, and who may write to it; stop the gateway and restore a backup if what is missing is needed. The \
             gateway goes on without it",
        )
    }

    /// The key of "certificates run out".
    #[must_use]
    pub fn certificates_key() -> ConditionKey {
        ConditionKey::new(OWN_BINDING, "certificates", "")
    }

    /// What "certificates run out" is.
    #[must_use]
    pub fn certificates_def(&self) -> Arc<ConditionDef> {
        self.def(
            Self::certificates_key(),
            "certificates",
            AlarmType::CertificateExpiration,
            CERTIFICATES_SEVERITY,
            "certificates run out".to_owned(),
            "renew what the message names, in the order in which it ends; with a certificate that has ended nothing connects",
        )
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

    pub(crate) fn def(
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
            area: self.area.as_str().into(),
            source_name: about.into(),
            signal: None,
            scope: Scope::Binding,
            alarm_type: kind,
            class: ConditionClass::System,
            severity: Severity::clamped(severity),
            text: text.into(),
            response: response.into(),
            confirm: false,
            detector: OWN_BINDING.into(),
            rules: Arc::default(),
        })
    }

    /// Notes a binding's conditions and what they rest on, in place of what was noted of it before.
    pub(crate) fn rest_on(&self, binding: &str, defs: &[Arc<ConditionDef>], sources: &[Arc<str>]) {
        let mut standing = self.standing.lock();
        standing.forget(binding);
        for def in defs {
            for source in def.rests_on(sources) {
                standing.resting.entry(source.clone()).or_default().push(def.key.clone());
            }
            if let Some(told) = standing.told.get_mut(def.key.binding()) {
                told.push(def.key.clone());
            } else {
                standing.told.insert(def.key.binding().to_owned(), vec![def.key.clone()]);
            }
        }
        let Standing { resting, told, .. } = &mut *standing;
        for keys in resting.values_mut().chain(told.values_mut()) {
            keys.sort_unstable();
            keys.dedup();
            keys.shrink_to_fit();
        }
    }

    /// A detector is no more: nothing of it rests on anything.
    pub(crate) fn forget_detector(&self, binding: &str) {
        let mut standing = self.standing.lock();
        standing.forget(binding);
        standing.failed.remove(binding);
    }

    /// A source is no more.
    pub(crate) fn forget_source(&self, source: &str) {
        let mut standing = self.standing.lock();
        standing.down.remove(source);
        standing.resting.remove(source);
    }

    /// A detector's finding as far as it can be believed: one of a condition that also rests on a lost source is
    /// uncertain, whatever was found of the others.
    pub(crate) fn believe(&self, key: &ConditionKey, finding: &mut Finding) {
        let mut standing = self.standing.lock();
        if finding.level == Level::Unknown {
            standing.unknown.insert(key.clone());
        } else if !standing.unknown.is_empty() {
            standing.unknown.remove(key);
        }
        if finding.quality.is_good() && standing.unsure(key) {
            finding.quality = StatusCode::UNCERTAIN_LAST_USABLE;
        }
    }

    /// A source was lost or came back: how far the conditions that rest on it can be believed now.
    pub(crate) fn source(&self, source: &Arc<str>, down: bool) -> Vec<Held> {
        let mut standing = self.standing.lock();
        if down {
            standing.down.insert(source.clone())
        } else {
            standing.down.remove(source)
        };
        standing.resting.get(source).map(|keys| standing.held(keys)).unwrap_or_default()
    }

    /// A detector failed or runs again: how far its conditions can be believed now.
    pub(crate) fn detector(&self, binding: &str, failed: bool) -> Vec<Held> {
        let mut standing = self.standing.lock();
        if failed {
            standing.failed.insert(binding.to_owned())
        } else {
            standing.failed.remove(binding)
        };
        standing.told.get(binding).map(|keys| standing.held(keys)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use watchfire_model::Instant;

    #[test]
    fn a_condition_is_believed_again_only_when_every_reason_against_it_has_ended() {
        let own = OwnConditions::new("area");
        let mut def = (*own.detector_def("plain")).clone();
        def.key = ConditionKey::new("plain", "odd", "");
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        own.rest_on("plain", &[Arc::new(def)], &[a.clone(), b.clone()]);
        let one = |held: Vec<Held>| held.into_iter().next().unwrap();
        let status = |held: Vec<Held>| one(held).quality;
        let lost = one(own.source(&a, true));
        assert_eq!((lost.quality, lost.supported), (StatusCode::UNCERTAIN_LAST_USABLE, true));
        let lost = one(own.source(&b, true));
        assert_eq!((lost.quality, lost.supported), (StatusCode::UNCERTAIN_LAST_USABLE, false));
        assert_eq!(status(own.source(&a, false)), StatusCode::UNCERTAIN_LAST_USABLE, "`b` is still lost");
        let mut finding = Finding {
            level: Level::Active,
            message: "odd".into(),
            score: None,
            evidence: Vec::new(),
            at: Instant::default(),
            quality: StatusCode::GOOD,
        };
        let key = ConditionKey::new("plain", "odd", "");
        own.believe(&key, &mut finding);
        assert_eq!(finding.quality, StatusCode::UNCERTAIN_LAST_USABLE, "what the other source says is half of it");
        assert_eq!(status(own.detector("plain", true)), StatusCode::UNCERTAIN_LAST_USABLE);
        assert_eq!(status(own.source(&b, false)), StatusCode::UNCERTAIN_LAST_USABLE, "the detector does not run");
        assert_eq!(status(own.detector("plain", false)), StatusCode::GOOD);
        own.believe(&key, &mut Finding { level: Level::Unknown, ..finding.clone() });
        own.source(&a, true);
        assert_eq!(status(own.source(&a, false)), StatusCode::UNCERTAIN, "its detector cannot tell");
        own.believe(&key, &mut finding);
        assert_eq!(status(own.source(&a, false)), StatusCode::GOOD);
    }
}
