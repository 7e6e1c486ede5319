//! `[[detector]]`: plugins bound to signals.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use watchfire_model::AlarmSettings;
use watchfire_package::{Digest, EXTENSION};

use crate::names::{self, Known, Unique};
use crate::places::Places;
use crate::section::{Section, Text, shown};
use crate::{alarm, json, plugins};

/// A plugin bound to signals.
#[derive(Clone, Debug, PartialEq)]
pub struct DetectorConfig {
    /// Its name, without `/`, unique, never `gateway`.
    pub name: String,
    /// The plugin.
    pub plugin: PluginRef,
    /// The component's digest, where the configuration binds it: these bytes run, whoever signed them, and no others.
    pub digest: Option<Digest>,
    /// Full names of its signals, in the order in which the sources list them; empty only as long as its patterns
    /// name signals that a server must be asked for.
    pub signals: Vec<String>,
    /// What names them, as it was written.
    pub patterns: Vec<String>,
    /// Where in its life it is. Default [`Mode::Shadow`].
    pub mode: Mode,
    /// The plugin's own table; judged by the plugin's schema. Default: empty.
    pub config: serde_json::Value,
    /// Where its keys were written.
    pub places: Places,
    /// Bounds.
    pub quota: QuotaConfig,
    /// The model that the plugin judges by, resolved against the configuration file's folder; it could be read.
    pub model: Option<PathBuf>,
    /// The model's digest, where the configuration binds it.
    pub model_digest: Option<Digest>,
    /// Seed for anything random in the plugin. Default 0.
    pub seed: u64,
    /// How many days of what is on record it learns from before it judges, where it begins from nothing and its plugin
    /// can learn so. Default 0.
    pub learn_days: u32,
    /// How many alarms it may tell in ten minutes, 0 for any number. Left out: 60 of what was learned, any number of
    /// others.
    pub alarm_budget: Option<u32>,
    /// What is said of its conditions, by condition id; `*` stands for all that are not named.
    pub alarms: BTreeMap<String, AlarmSettings>,
}

/// Which plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PluginRef {
    /// One that the program carries or that is installed, by its name. Whether there is one is not known here.
    Named(String),
    /// A package or a component in a file, resolved against the configuration file's folder; it could be read.
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
    /// Its stack. Default 1 MiB.
    pub stack_bytes: usize,
    /// Its tables. Default 128.
    pub tables: usize,
    /// Elements of all its tables together. Default 131,072.
    pub table_elements: usize,
    /// Core instances that it consists of. Default 128.
    pub instances: usize,
    /// Lines of its log at once. Default 20.
    pub log_lines: u32,
    /// Bytes of such a line. Default 1,024.
    pub log_line_bytes: usize,
    /// CPU time of compiling it. Default 180 s.
    pub compile: Duration,
    /// Memory of compiling it. Default 2 GiB.
    pub compile_bytes: usize,
    /// Machine code that it may become. Default 256 MiB.
    pub code_bytes: usize,
}

const MODES: [(&str, Mode); 3] = [("learning", Mode::Learning), ("shadow", Mode::Shadow), ("live", Mode::Live)];
/// The name that the gateway's own findings bear.
const RESERVED: &str = "gateway";

impl DetectorConfig {
    pub(crate) fn read(section: Section<'_>, base: &Path, unique: &mut Unique, known: &Known) -> Option<Self> {
        let name = names::required(&section, "name", &['/'], unique);
        if let Some(name) = name
            && name.text == RESERVED
        {
            section.wrong(name.at, "`name` \"gateway\" is kept for the gateway's own alarms; choose another");
        }
        let plugin =
            section.required_text("plugin", "name a bundled or installed plugin such as `\"limit\"`, or a file");
        let plugin = plugin.map(|plugin| plugin_ref(&section, base, plugin));
        let digest = section.text("digest").and_then(|text| plugins::digest(&section, "digest", text));
        let signals = section.required_texts("signals", "list signals by name or pattern, such as `[\"source/**\"]`");
        let signals = signals.map(|patterns| {
            let before = section.report.count();
            let names = known.resolve(&section, &patterns);
            let settled = section.report.count() == before && !patterns.iter().any(|p| known.may_come(p.text));
            if let (Some(first), true, true) = (patterns.first(), names.is_empty(), settled) {
                section.missing(first.at, "`signals` takes out all that it puts in; leave one `!` pattern away");
            }
            (names, patterns.iter().map(|pattern| pattern.text.to_owned()).collect())
        });
        let (model, model_digest) = model(&section, base);
        let mode = section.choice_or("mode", Mode::default(), &MODES);
        let config = config_json(&section);
        let quota = QuotaConfig::read(section.table("quota", "[detector.quota]"));
        let seed = section.integer_or("seed", 0..=u64::MAX, 0);
        let learn_days = u32::try_from(section.integer_or("learn_days", 0..=3650, 0)).unwrap_or(0);
        let alarm_budget = section.integer("alarm_budget", 0..=1_000_000).and_then(|most| u32::try_from(most).ok());
        let alarms: BTreeMap<String, AlarmSettings> = section
            .named_tables("alarm", "[detector.alarm.CONDITION]")
            .into_iter()
            .map(|(condition, alarm)| (condition.text.to_owned(), alarm::settings(condition, alarm)))
            .collect();
        section.close();
        let (name, (signals, patterns), quota) = (name?.text.to_owned(), signals?, quota?);
        let (plugin, (config, places)) = (plugin?, config?);
        Some(Self {
            name,
            plugin,
            digest,
            signals,
            patterns,
            mode,
            config,
            places,
            quota,
            model,
            model_digest,
            seed,
            learn_days,
            alarm_budget,
            alarms,
        })
    }
}

/// A path has a `/` in it or ends in `.wasm` or `.wfpkg`; anything else is the name of a bundled or installed plugin.
fn plugin_ref(section: &Section<'_>, base: &Path, plugin: Text<'_>) -> PluginRef {
    let extension = Path::new(plugin.text).extension();
    if plugin.text.contains('/') || extension.is_some_and(|extension| extension == "wasm" || extension == EXTENSION) {
        let path = base.join(plugin.text);
        names::check_file(section, "plugin", plugin.at, &path);
        PluginRef::File(path)
    } else {
        PluginRef::Named(plugin.text.to_owned())
    }
}

/// The model's file and its digest.
fn model(section: &Section<'_>, base: &Path) -> (Option<PathBuf>, Option<Digest>) {
    let file = section.text("model").map(|file| {
        let path = base.join(file.text);
        names::check_file(section, "model", file.at, &path);
        path
    });
    let digest = section.text("model_digest").and_then(|text| {
        if file.is_none() {
            section.wrong(text.at, "`model_digest` binds a `model`, and there is none; give `model`, or take it away");
        }
        plugins::digest(section, "model_digest", text)
    });
    (file, digest)
}

impl QuotaConfig {
    pub(crate) fn read(section: Section<'_>) -> Option<Self> {
        let fuel_per_row = section.integer_or("fuel_per_row", 0..=1_000_000_000, 100_000);
        let fuel_per_call = section.integer_or("fuel_per_call", 1..=1_000_000_000_000, 200_000_000);
        let memory_mb = section.integer_or("memory_mb", 1..=4096, 64);
        let call_ms = section.integer_or("call_ms", 1..=600_000, 2000);
        let result_kb = section.integer_or("result_kb", 1..=1_048_576, 4096);
        let state_kb = section.integer_or("state_kb", 1..=1_048_576, 16_384);
        let stack_kb = section.integer_or("stack_kb", 64..=65_536, 1024);
        let tables = section.integer_or("tables", 1..=10_000, 128);
        let table_elements = section.integer_or("table_elements", 1..=10_000_000, 131_072);
        let instances = section.integer_or("instances", 1..=10_000, 128);
        let log_lines = section.integer_or("log_lines", 0..=10_000, 20);
        let log_line_bytes = section.integer_or("log_line_bytes", 16..=65_536, 1024);
        let compile_s = section.integer_or("compile_s", 1..=3_600, 180);
        let compile_mb = section.integer_or("compile_mb", 128..=65_536, 2048);
        let code_mb = section.integer_or("code_mb", 1..=2048, 256);
        section.close();
        Some(Self {
            fuel_per_row,
            fuel_per_call,
            memory_bytes: bytes(memory_mb, 20)?,
            call: Duration::from_millis(call_ms),
            result_bytes: bytes(result_kb, 10)?,
            state_bytes: bytes(state_kb, 10)?,
            stack_bytes: bytes(stack_kb, 10)?,
            tables: usize::try_from(tables).ok()?,
            table_elements: usize::try_from(table_elements).ok()?,
            instances: usize::try_from(instances).ok()?,
            log_lines: u32::try_from(log_lines).ok()?,
            log_line_bytes: usize::try_from(log_line_bytes).ok()?,
            compile: Duration::from_secs(compile_s),
            compile_bytes: bytes(compile_mb, 20)?,
            code_bytes: bytes(code_mb, 20)?,
        })
    }
}

fn bytes(count: u64, unit_bits: u32) -> Option<usize> {
    usize::try_from(count.checked_mul(1 << unit_bits)?).ok()
}

/// The plugin's own table as JSON, and where its keys were written; an empty object when it is not there.
fn config_json(section: &Section<'_>) -> Option<(serde_json::Value, Places)> {
    let Some(value) = section.value("config") else {
        return Some((serde_json::Value::Object(serde_json::Map::new()), Places::default()));
    };
    if value.get_ref().as_table().is_none() {
        let given = shown(value.get_ref());
        let message = format_args!("`config` must be a table (begin it with `[detector.config]`), not {given}");
        section.wrong(value.span().start, message);
        return None;
    }
    let json = json::from_toml(value, &mut |at, message| section.wrong(at, format_args!("`config`: {message}")))?;
    Some((json, Places::of(value, section.report)))
}
