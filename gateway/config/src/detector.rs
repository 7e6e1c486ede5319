//! `[[detector]]`: plugins bound to signals.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use watchfire_model::AlarmSettings;

/// A plugin bound to signals.
#[derive(Clone, Debug, PartialEq)]
pub struct DetectorConfig {
    /// Its name, without `/`, unique, never `gateway`.
    pub name: String,
    /// The plugin.
    pub plugin: PluginRef,
    /// Full names of its signals, in the order in which the sources list them; never empty.
    pub signals: Vec<String>,
    /// Where in its life it is. Default [`Mode::Shadow`].
    pub mode: Mode,
    /// The plugin's own table; judged by the plugin's schema. Default: empty.
    pub config: serde_json::Value,
    /// Bounds.
    pub quota: QuotaConfig,
    /// Seed for anything random in the plugin. Default 0.
    pub seed: u64,
    /// What is said of its conditions, by condition id; `*` stands for all that are not named.
    pub alarms: BTreeMap<String, AlarmSettings>,
}

impl DetectorConfig {
    /// The settings of a condition: its own, each missing one taken from `*`.
    #[must_use]
    pub fn alarm(&self, condition: &str) -> AlarmSettings {
        let own = self.alarms.get(condition).cloned().unwrap_or_default();
        let all = self.alarms.get("*").cloned().unwrap_or_default();
        AlarmSettings {
            severity: own.severity.or(all.severity),
            threshold: own.threshold.or(all.threshold),
            hold_off: own.hold_off.or(all.hold_off),
            response: own.response.or(all.response),
            confirm: own.confirm.or(all.confirm),
        }
    }
}

/// Which plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PluginRef {
    /// One that the program carries, by its name. Whether it does is not known here.
    Bundled(String),
    /// A component in a file, resolved against the configuration file's folder; it could be read.
    File(PathBuf),
}

/// Where in its life a detector is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// It learns; nothing is judged.
    Learning,
    /// It judges; verdicts are recorded, nothing is announced.
    #[default]
    Shadow,
    /// It judges, and its alarms are announced.
    Live,
}

/// Bounds on what a detector may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaConfig {
    /// Fuel for each row of a call, in advance. Default 100,000.
    pub fuel_per_row: u64,
    /// Fuel for a call, whatever it holds. Default 200,000,000.
    pub fuel_per_call: u64,
    /// Memory. Default 64 MiB.
    pub memory_bytes: usize,
    /// CPU time of one call. Default 2 s.
    pub call: Duration,
    /// What one call may return. Default 4 MiB.
    pub result_bytes: usize,
    /// What a snapshot may hold. Default 16 MiB.
    pub state_bytes: usize,
}
