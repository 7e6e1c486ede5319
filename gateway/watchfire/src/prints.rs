//! What a gateway runs, small enough to keep beside it: hashes of each part's settings. What two of them have
//! differently is what has to be changed. Knows nothing of how.

use std::collections::BTreeMap;
use std::fmt::{self, Debug, Write};
use std::sync::Arc;
use std::time::Duration;

use blake3::{Hash, Hasher};
use watchfire_config::{GatewayConfig, Role, Roles, ServerConfig, SignalConfig, SourceConfig};
use watchfire_model::SignalId;
use watchfire_pipeline::{BindingPlan, BindingSpec, Mode};
use watchfire_server::UserStep;

use crate::provenance::Provenance;

/// The parts of a configuration by name.
#[derive(Clone, Debug)]
pub struct Prints {
    /// Sources.
    pub sources: BTreeMap<String, SourcePrint>,
    /// Detectors.
    pub detectors: BTreeMap<String, DetectorPrint>,
}

/// A source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourcePrint {
    settings: Hash,
    watched: Hash,
    /// What is only shown of its signals.
    shown: Hash,
    signals: usize,
}

/// A detector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetectorPrint {
    /// Digests of the component, nothing for one that is refused, and of the model.
    pub plugin: String,
    /// Where in its life it is.
    pub mode: Mode,
    /// Everything else: signals, configuration, bounds, alarms.
    pub settings: Hash,
}

/// What is to be done with a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is new.
    Add,
    /// It is another in these respects.
    Replace(Vec<&'static str>),
    /// It is there no more.
    End,
    /// It goes on and is shown otherwise.
    Show,
    /// It is the same, but had given up.
    Again,
}

/// Takes what is written into a hash.
struct Into<'h>(&'h mut Hasher);

impl Write for Into<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}

/// The hash of all that a value says of itself.
pub fn print(value: &impl Debug) -> Hash {
    let mut hasher = Hasher::new();
    feed(&mut hasher, value);
    hasher.finalize()
}

fn feed(hasher: &mut Hasher, value: &impl Debug) {
    // Ours takes everything.
    let _ = write!(Into(hasher), "{value:?};");
}

impl SourcePrint {
    /// Of a source and its signals, each with its id.
    pub fn of<'s>(source: &SourceConfig, signals: impl Iterator<Item = (SignalId, &'s SignalConfig)>) -> Self {
        let settings = SourceConfig {
            area: String::new(),
            signals: Vec::new(),
            selects: Vec::new(),
            read_metadata: false,
            ..source.clone()
        };
        let (mut watched, mut shown, mut count) = (Hasher::new(), Hasher::new(), 0);
        for (id, signal) in signals {
            let SignalConfig { name, node, element, events, sampling_interval, queue_size, deadband, .. } = signal;
            feed(&mut watched, &(id, name, node, element, events));
            feed(&mut watched, &(sampling_interval, queue_size, deadband, &signal.publishing_interval));
            feed(&mut shown, &(name, &signal.unit, signal.range, &signal.area, &signal.description));
            count += 1;
        }
        Self { settings: print(&settings), watched: watched.finalize(), shown: shown.finalize(), signals: count }
    }

    fn step(&self, new: &Self) -> Option<Step> {
        let mut changed = Vec::new();
        if self.settings != new.settings {
            changed.push("its settings");
        }
        if self.watched != new.watched {
            changed.push("its signals");
        }
        if changed.is_empty() { (self.shown != new.shown).then_some(Step::Show) } else { Some(Step::Replace(changed)) }
    }
}

impl DetectorPrint {
    fn step(&self, new: &Self) -> Option<Step> {
        let parts = [
            ("its plugin or model", self.plugin != new.plugin),
            ("its mode", self.mode != new.mode),
            ("its settings or signals", self.settings != new.settings),
        ];
        let changed: Vec<_> = parts.into_iter().filter(|(_, changed)| *changed).map(|(what, _)| what).collect();
        (!changed.is_empty()).then_some(Step::Replace(changed))
    }
}

/// What has to be done with parts, by name.
pub type Steps = BTreeMap<String, Step>;

impl Prints {
    /// Of detectors, with what their plugins were found to be.
    pub fn of_detectors(plans: &[Arc<BindingPlan>], found: &BTreeMap<String, Provenance>) -> Self {
        let detector = |plan: &Arc<BindingPlan>| {
            // On which lines it is written changes nothing.
            let spec = BindingSpec { places: BTreeMap::new(), ..plan.spec.clone() };
            // What it learned from once it does not learn from again.
            let (mode, learns_back) = (Mode::default(), Duration::ZERO);
            let settings = print(&BindingPlan { mode, spec, learns_back, ..(**plan).clone() });
            let found = found.get(&plan.spec.name);
            let plugin = found.map(|found| format!("{} {}", found.digest, found.model)).unwrap_or_default();
            (plan.spec.name.clone(), DetectorPrint { plugin, mode: plan.mode, settings })
        };
        Self { sources: BTreeMap::new(), detectors: plans.iter().map(detector).collect() }
    }

    /// What has to be done with the sources, so that it becomes `new`.
    pub fn sources_to(&self, new: &Self) -> Steps {
        steps(&self.sources, &new.sources, SourcePrint::step)
    }

    /// The same with the detectors.
    pub fn detectors_to(&self, new: &Self) -> Steps {
        steps(&self.detectors, &new.detectors, DetectorPrint::step)
    }
}

fn steps<P>(old: &BTreeMap<String, P>, new: &BTreeMap<String, P>, step: impl Fn(&P, &P) -> Option<Step>) -> Steps {
    let ended = old.keys().filter(|name| !new.contains_key(*name)).map(|name| (name.clone(), Step::End));
    let others = new.iter().filter_map(|(name, print)| {
        let step = old.get(name).map_or(Some(Step::Add), |before| step(before, print))?;
        Some((name.clone(), step))
    });
    ended.chain(others).collect()
}

/// A step, for people.
pub fn told(what: &str, name: &str, step: &Step, at_end: &str) -> String {
    match step {
        Step::Add => format!("{what} `{name}`: added"),
        Step::End => format!("{what} `{name}`: ended{at_end}"),
        Step::Replace(changed) => format!("{what} `{name}`: replaced ({} changed)", changed.join(" and ")),
        Step::Again => format!("{what} `{name}`: started again, since it had given up"),
        Step::Show => format!("{what} `{name}`: goes on; units, ranges, areas or descriptions of its signals changed"),
    }
}

/// What becomes of a user, for people.
pub fn told_user(name: &str, step: UserStep) -> String {
    let what = match step {
        UserStep::Added => "added",
        UserStep::Removed => "removed; its sessions end",
        UserStep::Login { sessions_end: true } => "has another password or certificate; its sessions end",
        UserStep::Login { sessions_end: false } => "has another way to log in",
        UserStep::Roles => "has other roles",
        UserStep::Locale => "is told in another language from its next log-in on",
    };
    format!("user `{name}`: {what}")
}

/// The keys that count only from the next start on, each with what it was and is.
pub fn need_restart(old: (&GatewayConfig, &ServerConfig), new: (&GatewayConfig, &ServerConfig)) -> Vec<String> {
    let mut told = Vec::new();
    let mut compare = |key: &str, old: &dyn fmt::Display, new: &dyn fmt::Display| {
        let (old, new) = (old.to_string(), new.to_string());
        if old != new {
            told.push(format!("{key}: {old} runs, {new} needs a restart"));
        }
    };
    let (a, b) = (old.0, new.0);
    let or_none = |value: Option<String>| value.unwrap_or_else(|| "none".to_owned());
    compare("[gateway] name", &a.name, &b.name);
    compare("[gateway] data", &a.data.display(), &b.data.display());
    compare("[gateway] commit_interval_ms", &a.commit_interval.as_millis(), &b.commit_interval.as_millis());
    compare("[gateway] retention_days", &a.retention_days, &b.retention_days);
    let gigabytes = |of: &GatewayConfig| or_none(of.retention_gb.map(|gb| gb.to_string()));
    compare("[gateway] retention_gb", &gigabytes(a), &gigabytes(b));
    let megabytes = |of: &GatewayConfig| or_none(of.disk_warning_mb.map(|mb| mb.to_string()));
    compare("[gateway] disk_warning_mb", &megabytes(a), &megabytes(b));
    compare("[gateway] summary_retention_days", &a.summary_retention_days, &b.summary_retention_days);
    compare("[gateway] mode_signal", &or_none(a.mode_signal.clone()), &or_none(b.mode_signal.clone()));
    compare("[gateway] utc_offset", &Seconds(a.utc_offset_s), &Seconds(b.utc_offset_s));
    let (a, b) = (old.1, new.1);
    compare("[server] host", &a.host, &b.host);
    compare("[server] port", &a.port, &b.port);
    compare("[server] security", &format!("{:?}", a.security), &format!("{:?}", b.security));
    let roles =
        |roles: Option<Roles>| or_none(roles.map(|roles| roles.iter().map(Role::word).collect::<Vec<_>>().join(", ")));
    compare("[server] anonymous", &roles(a.anonymous), &roles(b.anonymous));
    compare("[server] locale", &or_none(a.locale.clone()), &or_none(b.locale.clone()));
    if a.access != b.access {
        told.push("[server.access]: another share of rights needs a restart".to_owned());
    }
    if a.lockout != b.lockout {
        told.push("[server.lockout]: another lock-out needs a restart".to_owned());
    }
    told
}

/// An offset as the configuration has it.
struct Seconds(i32);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, minutes) = (if self.0 < 0 { '-' } else { '+' }, self.0.abs() / 60);
        write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assemble::Assembly;
    use std::path::Path;
    use watchfire_config::Config;

    fn config(rest: &str) -> Config {
        let text = format!("[[source]]\nname = \"s\"\nurl = \"opc.tcp://127.0.0.1:9\"\n{rest}");
        Config::parse(&text, "test.toml", Path::new("/nowhere")).unwrap()
    }

    fn source(rest: &str) -> SourcePrint {
        let config = config(rest);
        let source = &config.sources[0];
        SourcePrint::of(source, (1..).map(SignalId).zip(&source.signals))
    }

    #[test]
    fn a_source_is_replaced_only_for_what_its_server_must_be_asked_for() {
        const SIGNAL: &str = "[[source.signal]]\nname = \"a\"\nnode = \"ns=2;s=A\"\n";
        let before = source(SIGNAL);
        for (rest, step) in [
            (SIGNAL.to_owned(), None),
            (format!("{SIGNAL}unit = \"Cel\"\n"), Some(Step::Show)),
            (format!("{SIGNAL}role = \"x\"\ngroup = 3\n"), None),
            (format!("area = \"Hall\"\n{SIGNAL}"), Some(Step::Show)),
            (format!("{SIGNAL}queue_size = 3\n"), Some(Step::Replace(vec!["its signals"]))),
            (format!("{SIGNAL}{}", SIGNAL.replace("\"a\"", "\"b\"")), Some(Step::Replace(vec!["its signals"]))),
            (
                format!("security = \"none\"\n{}", SIGNAL.replace("=A", "=B")),
                Some(Step::Replace(vec!["its settings", "its signals"])),
            ),
        ] {
            assert_eq!(before.step(&source(&rest)), step, "{rest}");
        }
    }

    #[test]
    fn planned_work_makes_another_detector_only_of_those_that_it_may_concern() {
        let detectors = |rest: &str| {
            let signals = "[[source.signal]]\nname = \"a\"\nnode = \"ns=2;s=A\"\narea = \"hall/press\"\n\
                           [[source.signal]]\nname = \"b\"\nnode = \"ns=2;s=B\"\narea = \"hall/fans\"\n";
            let detector = |name, signal| {
                format!("[[detector]]\nname = \"{name}\"\nplugin = \"limit\"\nsignals = [\"s/{signal}\"]\n")
            };
            let config = config(&[signals, &detector("hot", "a"), &detector("fast", "b"), rest].concat());
            Prints::of_detectors(&Assembly::unnumbered(config).bindings(), &BTreeMap::new())
        };
        let before = detectors("");
        for (of, concerned) in [
            ("area:s/hall", vec!["fast", "hot"]),
            ("area:s/hall/fans", vec!["fast"]),
            ("source:s", vec!["fast", "hot"]),
            ("signal:s/a", vec!["hot"]),
            ("condition:fast/limit", vec!["fast"]),
            ("condition:slow", vec![]),
        ] {
            let work = format!("[[maintenance]]\nof = \"{of}\"\nfrom = \"2027-01-01T00:00:00Z\"\nfor_h = 1\n");
            let steps = before.detectors_to(&detectors(&work));
            assert_eq!(steps.keys().collect::<Vec<_>>(), concerned, "{of}");
        }
    }

    #[test]
    fn what_needs_a_restart_is_named_with_what_it_was_and_is() {
        let before = config("");
        let changed = [
            ("[gateway]\nretention_days = 3\n", "[gateway] retention_days: 90 runs, 3 needs a restart"),
            (
                "[gateway]\nsummary_retention_days = 0\n",
                "[gateway] summary_retention_days: 1100 runs, 0 needs a restart",
            ),
            ("[gateway]\nutc_offset = \"-03:30\"\n", "[gateway] utc_offset: +00:00 runs, -03:30 needs a restart"),
            ("[gateway]\nretention_gb = 3\n", "[gateway] retention_gb: none runs, 3 needs a restart"),
            ("[gateway]\ndisk_warning_mb = 3\n", "[gateway] disk_warning_mb: none runs, 3 needs a restart"),
            ("[server]\nport = 4841\n", "[server] port: 4840 runs, 4841 needs a restart"),
            ("[server]\nanonymous = \"operate\"\n", "[server] anonymous: observer runs, operator needs a restart"),
            ("[gateway]\ncertificate_warning_days = 3\n", ""),
        ];
        for (rest, line) in changed {
            let new = config(rest);
            let told = need_restart((&before.gateway, &before.server), (&new.gateway, &new.server));
            assert_eq!(told, if line.is_empty() { vec![] } else { vec![line.to_owned()] }, "{rest}");
        }
    }

    #[test]
    fn parts_that_come_go_and_change_are_told_apart() {
        let detector = |plugin: &str, mode| DetectorPrint { plugin: plugin.to_owned(), mode, settings: print(&1) };
        let all = |detectors: &[(&str, DetectorPrint)]| Prints {
            sources: BTreeMap::new(),
            detectors: detectors.iter().map(|(name, print)| ((*name).to_owned(), print.clone())).collect(),
        };
        let before = all(&[
            ("a", detector("x", Mode::Live)),
            ("b", detector("x", Mode::Live)),
            ("c", detector("x", Mode::Live)),
        ]);
        let after = all(&[
            ("b", detector("x", Mode::Live)),
            ("c", detector("y", Mode::Shadow)),
            ("d", detector("x", Mode::Live)),
        ]);
        let steps = before.detectors_to(&after);
        let told: Vec<_> = steps.iter().map(|(name, step)| told("detector", name, step, "; its alarms end")).collect();
        assert_eq!(
            told,
            [
                "detector `a`: ended; its alarms end",
                "detector `c`: replaced (its plugin or model and its mode changed)",
                "detector `d`: added"
            ]
        );
    }
}
