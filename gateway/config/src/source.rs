//! `[[source]]` and `[[source.signal]]`: the OPC UA servers that are read, and which of their nodes.

use std::path::Path;
use std::time::Duration;

use toml::de::DeValue;

use crate::login::{Login, UserCertificate};
use crate::names::{self, Known, Unique};
use crate::section::{Section, Text};
use crate::unit::check_unit;
use crate::{
    ConfigErrors, ElementPath, EndpointUrl, EventsConfig, MessageMode, NodeAddress, PasswordFrom, Reach, Secret,
    SecretError, Security, SelectConfig, signals_csv,
};

/// How much a server can bear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Profile {
    /// What the server itself tells, up to 1,000 nodes a request and 10,000 items a subscription.
    Standard,
    /// A small controller, whatever it tells: 100 nodes a request, 1,000 items a subscription, two Publish requests.
    Small,
}

/// How far a number must change to be sent (OPC 10000-4 §7.22.2).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Deadband {
    /// Every sample is sent, equal ones as well.
    #[default]
    None,
    /// By more than this, in the signal's unit.
    Absolute(f64),
    /// By more than this share of the node's EURange, percent.
    Percent(f64),
}

/// An OPC UA server that is read.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceConfig {
    /// Its name, without `/`, unique.
    pub name: String,
    /// Where it is.
    pub url: EndpointUrl,
    /// The other ways to it.
    pub reach: Reach,
    /// Default `basic256sha256`.
    pub security: Security,
    /// Default: signed and encrypted. Means nothing where `security` is none.
    pub message_mode: MessageMode,
    /// The user to log in as; `None`: anonymous.
    pub user: Option<String>,
    /// Where the user's password is: there exactly when `user` is.
    pub password_from: Option<PasswordFrom>,
    /// The certificate to log in with: never there together with `user`.
    pub user_certificate: Option<UserCertificate>,
    /// The area of its signals, parts separated by `/`. Default: its name.
    pub area: String,
    /// The publishing interval asked for. Default 250 ms.
    pub publishing_interval: Duration,
    /// How much the server can bear. Default `standard`.
    pub profile: Profile,
    /// Whether the server's certificate is trusted at the first connection, and no other from then on. Default: no.
    pub trust_server_certificate: bool,
    /// Whether units, ranges and descriptions that are not configured are read from the server. Default: yes.
    pub read_metadata: bool,
    /// `[[source.signal]]` in the file's order, then `[[source.events]]`, then those of `signals_csv`. May be empty.
    pub signals: Vec<SignalConfig>,
    /// `[[source.select]]`, in the file's order: signals that the server must be asked for.
    pub selects: Vec<SelectConfig>,
}

impl SourceConfig {
    /// Reads the user's password now; `None` for an anonymous connection. Blocks on a file.
    ///
    /// # Errors
    /// When it cannot be read, by its place.
    pub fn password(&self) -> Result<Option<Secret>, SecretError> {
        self.password_from.as_ref().map(PasswordFrom::read).transpose()
    }

    /// The files that hold what is secret of its login, each with its key: nobody else should be able to read them.
    pub fn secret_files(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let password = match &self.password_from {
            Some(PasswordFrom::File(file)) => Some(("password_file", file.as_path())),
            Some(PasswordFrom::Environment(_)) | None => None,
        };
        let key = self.user_certificate.as_ref().map(|files| ("user_key", files.key.as_path()));
        password.into_iter().chain(key)
    }
}

/// A node value to watch.
#[derive(Clone, Debug, PartialEq)]
pub struct SignalConfig {
    /// The full name, `source/name`, unique.
    pub name: String,
    /// The node.
    pub node: NodeAddress,
    /// Which part of its value; `None` for all of it.
    pub element: Option<Box<ElementPath>>,
    /// The events that its values are; `None`: they are the node's.
    pub events: Option<Box<EventsConfig>>,
    /// UCUM code of its unit.
    pub unit: Option<String>,
    /// Engineering range, low < high, both finite.
    pub range: Option<(f64, f64)>,
    /// The sampling interval asked for; zero asks for the fastest. Default: the source's, 250 ms.
    pub sampling_interval: Duration,
    /// How many samples the server may queue, at least 1. Default: the source's, 10.
    pub queue_size: u32,
    /// How far its value must change to be sent. Default: the source's, none.
    pub deadband: Deadband,
    /// The publishing interval asked for. Default: the source's.
    pub publishing_interval: Duration,
    /// The whole area: the source's, then the signal's own part.
    pub area: String,
    /// Which slot of a detector it fills; empty for any.
    pub role: String,
    /// Its group, for conditions of a group. Default 0.
    pub group: u32,
    /// What it is, for people; empty when not given.
    pub description: String,
}

/// An hour.
pub(crate) const INTERVAL_MS_MAX: u64 = 3_600_000;
const QUEUE_MAX: u64 = 100_000;

/// What signals take over from their source.
pub(crate) struct Inherited<'t> {
    pub(crate) source: Option<Text<'t>>,
    pub(crate) area: &'t str,
    sampling_interval_ms: u64,
    queue_size: u64,
    pub(crate) publishing_interval_ms: u64,
    deadband: Deadband,
}

impl SourceConfig {
    /// Reads a source. Puts the full names of its signals into `known`, those with errors too: what refers to them is
    /// no error.
    pub(crate) fn read(section: Section<'_>, base: &Path, unique: &mut Unique, known: &mut Known) -> Option<Self> {
        let name = names::required(&section, "name", names::IN_PATTERNS, unique);
        let url = section.required_text("url", "give the server's address, such as `url = \"opc.tcp://plc:4840\"`");
        let url = url.and_then(|url| {
            EndpointUrl::parse(url.text).map_err(|error| section.wrong(url.at, format_args!("`url`: {error}"))).ok()
        });
        let reach = Reach::read(&section);
        let security = section.choice_or("security", Security::Basic256Sha256, &Security::WORDS);
        let message_mode = MessageMode::read(&section, security);
        let login = Login::read(&section, base, security);
        let area = section.text("area").map(|area| checked_area(&section, area).text);
        let publishing_interval_ms = section.integer_or("publishing_interval_ms", 10..=INTERVAL_MS_MAX, 250);
        let inherited = Inherited {
            source: name,
            area: area.or(name.map(|name| name.text)).unwrap_or_default(),
            sampling_interval_ms: section.integer_or("sampling_interval_ms", 0..=INTERVAL_MS_MAX, 250),
            queue_size: section.integer_or("queue_size", 1..=QUEUE_MAX, 10),
            publishing_interval_ms,
            deadband: deadband(&section).unwrap_or_default(),
        };
        let profile = section.choice_or("profile", Profile::Standard, &Profile::WORDS);
        let trust_server_certificate = section.flag_or("trust_server_certificate", false);
        let read_metadata = section.flag_or("read_metadata", true);
        let mut signal_names = Unique::new("signal");
        let mut signals: Vec<Option<Vec<SignalConfig>>> = section
            .tables("signal", "[[source.signal]]")
            .into_iter()
            .map(|signal| SignalConfig::read(signal, &inherited, &mut signal_names, known))
            .collect();
        for events in section.tables("events", "[[source.events]]") {
            let read = SignalConfig::read_events(events, &inherited, &mut signal_names, known);
            signals.push(read.map(|one| vec![one]));
        }
        if let Some(file) = section.text("signals_csv") {
            match signals_csv::read(&base.join(file.text), &inherited, &mut signal_names, known) {
                Ok(listed) => signals.push(Some(listed)),
                Err(ConfigErrors(errors)) => {
                    section.report.wrong_elsewhere(errors);
                    // What refers to a signal of the list is no error as well.
                    name.into_iter().for_each(|name| known.open(name.text));
                }
            }
        }
        let selects = section.tables("select", "[[source.select]]");
        if let (Some(name), false) = (name, selects.is_empty()) {
            known.open(name.text);
        }
        let selects: Vec<Option<SelectConfig>> =
            selects.into_iter().map(|select| SelectConfig::read(select, &inherited)).collect();
        section.close();
        Some(Self {
            name: name?.text.to_owned(),
            url: url?,
            reach,
            security,
            message_mode,
            user: login.user,
            password_from: login.password_from,
            user_certificate: login.certificate,
            area: inherited.area.to_owned(),
            publishing_interval: Duration::from_millis(publishing_interval_ms),
            profile,
            trust_server_certificate,
            read_metadata,
            signals: signals.into_iter().collect::<Option<Vec<_>>>()?.into_iter().flatten().collect(),
            selects: selects.into_iter().collect::<Option<_>>()?,
        })
    }
}

impl Profile {
    pub(crate) const WORDS: [(&str, Self); 2] = [("standard", Self::Standard), ("small", Self::Small)];
}

/// `deadband`: a number, or a share as text.
fn deadband(section: &Section<'_>) -> Option<Deadband> {
    let given = section.value("deadband")?;
    let DeValue::String(text) = given.get_ref() else {
        let value = section.as_number("deadband", given, 0.0..=f64::MAX)?;
        return Some(if value == 0.0 { Deadband::None } else { Deadband::Absolute(value) });
    };
    let share = text.trim().strip_suffix('%').and_then(|share| share.trim().parse::<f64>().ok());
    if let Some(share) = share.filter(|share| (0.0..=100.0).contains(share)) {
        return Some(if share == 0.0 { Deadband::None } else { Deadband::Percent(share) });
    }
    let way_out = "write a number in the signal's unit, or a share of its range such as \"1%\"";
    section.wrong(given.span().start, format_args!("`deadband` \"{}\" is no deadband; {way_out}", text.escape_debug()));
    None
}

pub(crate) fn checked_area<'t>(section: &Section<'_>, area: Text<'t>) -> Text<'t> {
    names::check_path(section, "area", area, "a way through the areas such as `\"line/pump\"`");
    area
}

/// How a signal is sampled and where its alarms are listed.
pub(crate) struct Handling {
    pub(crate) sampling_interval: Duration,
    pub(crate) queue_size: u32,
    pub(crate) deadband: Deadband,
    pub(crate) publishing_interval: Duration,
    /// The whole area.
    pub(crate) area: String,
    pub(crate) role: String,
    pub(crate) group: u32,
}

impl Handling {
    /// Reads what a signal, or a selection of signals, says of its own; the rest is the source's.
    pub(crate) fn read(section: &Section<'_>, source: &Inherited<'_>) -> Option<Self> {
        let sampling_interval_ms = section.integer("sampling_interval_ms", 0..=INTERVAL_MS_MAX);
        let queue_size = section.integer("queue_size", 1..=QUEUE_MAX);
        let publishing_interval_ms = section.integer("publishing_interval_ms", 10..=INTERVAL_MS_MAX);
        let deadband = deadband(section).unwrap_or(source.deadband);
        let area = section.text("area").map(|area| checked_area(section, area));
        let role = section.text("role");
        let group = section.integer_or("group", 0..=u64::from(u32::MAX), 0);
        Some(Self {
            sampling_interval: Duration::from_millis(sampling_interval_ms.unwrap_or(source.sampling_interval_ms)),
            queue_size: u32::try_from(queue_size.unwrap_or(source.queue_size)).ok()?,
            deadband,
            publishing_interval: Duration::from_millis(publishing_interval_ms.unwrap_or(source.publishing_interval_ms)),
            area: area.map_or_else(|| source.area.to_owned(), |area| format!("{}/{}", source.area, area.text)),
            role: role.map_or_else(String::new, |role| role.text.to_owned()),
            group: u32::try_from(group).ok()?,
        })
    }
}

/// The unit and the range that a signal, or a selection of signals, is given.
pub(crate) fn unit_and_range(section: &Section<'_>) -> (Option<String>, Option<(f64, f64)>) {
    let unit = section.text("unit");
    if let Some(unit) = unit {
        check_unit(section, unit);
    }
    (unit.map(|unit| unit.text.to_owned()), section.range("range"))
}

impl SignalConfig {
    /// Reads a signal, or one for each index of its range.
    pub(crate) fn read(
        section: Section<'_>,
        source: &Inherited<'_>,
        unique: &mut Unique,
        known: &mut Known,
    ) -> Option<Vec<Self>> {
        let elements = match section.text("element") {
            None => Some(vec![(None, None)]),
            Some(text) => match ElementPath::parse(text.text) {
                Ok(paths) => Some(paths.into_iter().map(|(at, path)| (at, Some(Box::new(path)))).collect()),
                Err(error) => {
                    section.wrong(text.at, format_args!("`element`: {error}"));
                    None
                }
            },
        };
        let name = section.required_text("name", "name the signal, such as `name = \"pump/speed\"`");
        let name = name.filter(|name| names::check_path(&section, "name", *name, "a name such as `\"pump/speed\"`"));
        let full = match (source.source, name) {
            (Some(source), Some(name)) => {
                unique.claim(&section, name);
                let full = format!("{}/{}", source.text, name.text);
                // A range makes signals below the name; the name itself is none.
                for (at, _) in elements.iter().flatten() {
                    known.add(&at.map_or_else(|| full.clone(), |at| format!("{full}/{at}")));
                }
                Some(full)
            }
            _ => None,
        };
        let node = section.required_text("node", "give the node, such as `node = \"ns=2;s=Pump.Speed\"`");
        let node = node.and_then(|node| {
            NodeAddress::parse(node.text).map_err(|error| section.wrong(node.at, format_args!("`node`: {error}"))).ok()
        });
        let (unit, range) = unit_and_range(&section);
        let handling = Handling::read(&section, source);
        let description = section.text("description");
        section.close();
        let handling = handling?;
        let one = Self {
            name: full?,
            node: node?,
            element: None,
            events: None,
            unit,
            range,
            sampling_interval: handling.sampling_interval,
            queue_size: handling.queue_size,
            deadband: handling.deadband,
            publishing_interval: handling.publishing_interval,
            area: handling.area,
            role: handling.role,
            group: handling.group,
            description: description.map_or_else(String::new, |text| text.text.to_owned()),
        };
        let each = elements?.into_iter().map(|(at, element)| {
            let name = at.map_or_else(|| one.name.clone(), |at| format!("{}/{at}", one.name));
            Self { name, element, ..one.clone() }
        });
        Some(each.collect())
    }
}
