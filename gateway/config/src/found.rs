//! What a server was found to have, and a configuration with it put in: signals that selections name, and the units,
//! ranges and descriptions that were left to the server. Knows no server, and not where what was found is kept.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::names::Known;
use crate::{Config, NodeAddress, SelectConfig, SignalConfig, SourceConfig};

/// What a server says of a variable.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// UCUM code of its unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Engineering range, low < high, both finite.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "exact")]
    pub range: Option<(f64, f64)>,
    /// What it is, for people; empty where it is not said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// A variable that a selection names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FoundSignal {
    /// [`SelectConfig::key`] of the selection.
    pub select: String,
    /// The browse names from the Objects folder to it.
    pub path: Vec<String>,
    /// Its node, the namespace by its URI.
    pub node: String,
    /// What the server says of it.
    #[serde(flatten)]
    pub about: About,
}

/// What the server says of a configured signal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Described {
    /// Its full name.
    pub name: String,
    /// Its node as it is configured.
    pub node: String,
    /// What the server says of it.
    #[serde(flatten)]
    pub about: About,
}

/// What the server of one source was found to have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// What selections name.
    pub signals: Vec<FoundSignal>,
    /// What is said of signals that were configured themselves.
    pub described: Vec<Described>,
}

/// Names are put into NodeIds.
const NAME_BYTES_MAX: usize = 128;

impl Found {
    /// This, and what an earlier one had beyond it: a variable that a server does not show now, as while its program is
    /// changed, stays a signal. Second, how many there are of those.
    #[must_use]
    pub fn over(mut self, earlier: &Self) -> (Self, usize) {
        let now: HashSet<(&str, &[String])> =
            self.signals.iter().map(|signal| (signal.select.as_str(), signal.path.as_slice())).collect();
        let nodes: HashSet<&str> = self.signals.iter().map(|signal| signal.node.as_str()).collect();
        let is_gone = |signal: &&FoundSignal| {
            !now.contains(&(signal.select.as_str(), signal.path.as_slice())) && !nodes.contains(signal.node.as_str())
        };
        let gone: Vec<FoundSignal> = earlier.signals.iter().filter(is_gone).cloned().collect();
        let count = gone.len();
        self.signals.extend(gone);
        let now: HashSet<&str> = self.described.iter().map(|one| one.name.as_str()).collect();
        let untold: Vec<Described> =
            earlier.described.iter().filter(|one| !now.contains(one.name.as_str())).cloned().collect();
        self.described.extend(untold);
        (self, count)
    }
}

impl SourceConfig {
    /// Whether its server must be asked before all is known of its signals.
    #[must_use]
    pub fn needs_survey(&self) -> bool {
        let is_open =
            |signal: &SignalConfig| signal.unit.is_none() || signal.range.is_none() || signal.description.is_empty();
        !self.selects.is_empty() || self.read_metadata && self.signals.iter().any(is_open)
    }
}

impl Config {
    /// This configuration with what its servers were found to have, by source; what the configuration says goes before
    /// it. A detector of which no signal is known yet is left out. Second, what could not be put in, for people.
    #[must_use]
    pub fn with_found(mut self, found: &HashMap<String, Found>) -> (Self, Vec<String>) {
        let mut untaken = Vec::new();
        for source in &mut self.sources {
            if let Some(found) = found.get(&source.name) {
                source.describe(&found.described);
                source.take(&found.signals, &mut untaken);
            }
        }
        let mut known = Known::default();
        for signal in self.sources.iter().flat_map(|source| &source.signals) {
            if signal.events.is_some() {
                known.add_stream(&signal.name);
            } else {
                known.add(&signal.name);
            }
        }
        for detector in &mut self.detectors {
            detector.signals = known.named(&detector.patterns);
        }
        self.detectors.retain(|detector| {
            let has_signals = !detector.signals.is_empty();
            if !has_signals {
                let name = &detector.name;
                untaken.push(format!("detector `{name}` waits: no server has shown any of its signals yet"));
            }
            has_signals
        });
        self.gateway.mode_signal.take_if(|signal| !known.has(signal));
        (self, untaken)
    }
}

impl SourceConfig {
    fn describe(&mut self, described: &[Described]) {
        let told: HashMap<(&str, &str), &About> =
            described.iter().map(|one| ((one.name.as_str(), one.node.as_str()), &one.about)).collect();
        for signal in self.signals.iter_mut().filter(|_| self.read_metadata) {
            let node = signal.node.to_string();
            let Some(about) = told.get(&(signal.name.as_str(), node.as_str())) else { continue };
            signal.unit = signal.unit.take().or_else(|| about.unit.clone());
            signal.range = signal.range.or(about.range);
            if signal.description.is_empty() {
                signal.description.clone_from(&about.description);
            }
        }
    }

    /// By selection in the file's order, each selection's by name: the order of browsing is the server's and may change.
    fn take(&mut self, found: &[FoundSignal], untaken: &mut Vec<String>) {
        let mut names: HashMap<String, String> =
            self.signals.iter().map(|signal| (signal.name.clone(), signal.node.to_string())).collect();
        let mut nodes: HashSet<String> = names.values().cloned().collect();
        for select in &self.selects {
            let key = select.key();
            let mut own: Vec<&FoundSignal> = found.iter().filter(|signal| signal.select == key).collect();
            own.sort_by(|a, b| a.path.cmp(&b.path));
            for signal in own {
                if !nodes.insert(signal.node.clone()) {
                    continue;
                }
                let node = &signal.node;
                match select.signal(&self.name, signal) {
                    Ok(taken) => match names.get(&taken.name) {
                        None => {
                            names.insert(taken.name.clone(), node.clone());
                            self.signals.push(taken);
                        }
                        Some(other) => untaken.push(format!(
                            "node `{node}` is left out: its name `{}` is that of `{other}`; configure it as a \
                             `[[source.signal]]` with a name of its own",
                            taken.name
                        )),
                    },
                    Err(why) => untaken.push(format!("node `{node}` is left out: {why}")),
                }
            }
        }
    }
}

impl SelectConfig {
    fn signal(&self, source: &str, found: &FoundSignal) -> Result<SignalConfig, String> {
        let below = found.path.strip_prefix(self.below.as_slice()).filter(|rest| !rest.is_empty());
        let parts: Vec<String> = below.unwrap_or(&found.path).iter().map(|part| as_name(part)).collect();
        let name = parts.join("/");
        let way_out = "configure it as a `[[source.signal]]` with a name of its own";
        if parts.iter().any(String::is_empty) {
            return Err(format!("a part of its path has no name; {way_out}"));
        }
        if name.len() > NAME_BYTES_MAX {
            return Err(format!("its name `{name}` is longer than {NAME_BYTES_MAX} bytes; set `below`, or {way_out}"));
        }
        Ok(SignalConfig {
            name: format!("{source}/{name}"),
            element: None,
            events: None,
            node: NodeAddress::parse(&found.node).map_err(|error| error.to_string())?,
            unit: self.unit.clone().or_else(|| found.about.unit.clone()),
            range: self.range.or(found.about.range),
            sampling_interval: self.sampling_interval,
            queue_size: self.queue_size,
            deadband: self.deadband,
            publishing_interval: self.publishing_interval,
            area: self.area.clone(),
            role: self.role.clone(),
            group: self.group,
            description: found.about.description.clone(),
        })
    }
}

/// A browse name as a part of a signal's name: one part, without control characters.
fn as_name(part: &str) -> String {
    part.trim().chars().map(|c| if c == '/' || c.is_control() { '_' } else { c }).collect()
}

mod exact {
    //! Numbers as texts of their own: a number that is written and read must be the same to the last bit, since what a
    //! detector has learned depends on it.

    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    #[expect(clippy::ref_option, reason = "the signature is serde's")]
    pub(super) fn serialize<S: Serializer>(range: &Option<(f64, f64)>, to: S) -> Result<S::Ok, S::Error> {
        range.map(|(low, high)| [low.to_string(), high.to_string()]).serialize(to)
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<Option<(f64, f64)>, D::Error> {
        let Some([low, high]) = Option::<[String; 2]>::deserialize(from)? else { return Ok(None) };
        let number = |text: String| text.parse::<f64>().map_err(D::Error::custom);
        Ok(Some((number(low)?, number(high)?)))
    }
}
