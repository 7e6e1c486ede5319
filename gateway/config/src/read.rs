//! From a file to a [`Config`]: text, then TOML with positions, then sections. Every stage that can go on after an
//! error goes on.

use std::net::IpAddr;
use std::path::Path;

use toml::de::DeTable;

use crate::console::Areas;
use crate::names::{Known, Unique};
use crate::nearest::nearest;
use crate::plugins::read_trust;
use crate::report::Report;
use crate::section::{Section, listed};
use crate::{
    Config, ConfigError, ConfigErrors, ConsoleConfig, DetectorConfig, GatewayConfig, Lists, QuotaConfig, ServerConfig,
    SourceConfig, Texts, alarms_csv, maintenance,
};

/// A hundred thousand signals take a fifth of it.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// How archives begin, and with them the workbooks that spreadsheets keep.
const ZIP: &[u8] = b"PK\x03\x04";
/// Dotted keys nest tables without bound, and dropping those takes stack.
const DOTS_MAX: usize = 30;

impl Config {
    /// Reads and checks a configuration file. Relative paths in it begin at its folder. Blocks on files.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        Self::load_with(path, Lists::AsNamed)
    }

    /// The same, with other lists than those that are named. Blocks on files.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load_with(path: &Path, lists: Lists<'_>) -> Result<Self, ConfigErrors> {
        let file_name = path.display().to_string();
        let text = read_text(path, "give the configuration with `--config FILE`").map_err(|e| ConfigErrors(vec![e]))?;
        Self::parse_with(&text, &file_name, path.parent().unwrap_or(Path::new("")), lists)
    }

    /// Checks a configuration's text. `file_name` is for messages, relative paths begin at `base_dir`.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(text: &str, file_name: &str, base_dir: &Path) -> Result<Self, ConfigErrors> {
        Self::parse_with(text, file_name, base_dir, Lists::AsNamed)
    }

    fn parse_with(text: &str, file_name: &str, base_dir: &Path, lists: Lists<'_>) -> Result<Self, ConfigErrors> {
        let report = Report::new(file_name, text);
        let (config, unread) = read(&report, text, base_dir, lists);
        report.finish(unread)?;
        // Whoever leaves out a value has reported why.
        config.ok_or_else(|| {
            let message = "cannot be used, for a reason that was not found".to_owned();
            ConfigErrors(vec![ConfigError { file: file_name.to_owned(), line: 0, message }])
        })
    }
}

impl QuotaConfig {
    /// Bounds as a table gives them, each in a line such as `memory_mb = 256`; what is not given has its default.
    /// `name` is for messages.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn parse(text: &str, name: &str) -> Result<Self, ConfigErrors> {
        let whole = format!("[quota]\n{text}");
        let report = Report::new(name, &whole);
        let (root, errors) = DeTable::parse_recoverable(&whole);
        let unread = errors.iter().map(|error| syntax(&report, &whole, error)).collect();
        let section = Section::root(&report, root.get_ref());
        let read = Self::read(section.table("quota", "[detector.quota]"));
        section.close();
        // The line that is ours is none of theirs.
        let moved = |mut errors: ConfigErrors| {
            errors.0.iter_mut().for_each(|error| error.line = error.line.saturating_sub(1));
            errors
        };
        report.finish(unread).map_err(moved)?;
        read.ok_or_else(|| {
            let message = "cannot be used on this machine; take less".to_owned();
            ConfigErrors(vec![ConfigError { file: name.to_owned(), line: 0, message }])
        })
    }
}

/// A file's text; `way_out` is for one that is not there. Blocks.
pub(crate) fn read_text(path: &Path, way_out: &str) -> Result<String, ConfigError> {
    let wrong = |line: usize, message: String| ConfigError { file: path.display().to_string(), line, message };
    let unreadable = |error: std::io::Error| wrong(0, format!("cannot be read: {error}; {way_out}"));
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > FILE_BYTES_MAX {
        return Err(wrong(0, format!("has {size} bytes; {FILE_BYTES_MAX} are the most that is read")));
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    if bytes.starts_with(ZIP) {
        return Err(wrong(0, "is a workbook or another archive and no text; save it as CSV in UTF-8".to_owned()));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = error.as_bytes().iter().take(error.utf8_error().valid_up_to());
        let line = 1 + good.filter(|byte| **byte == b'\n').count();
        wrong(line, "has bytes that are no UTF-8; save the file as UTF-8".to_owned())
    })
}

/// Reads what can be read; second, the lines that are no TOML.
pub(crate) fn read(
    report: &Report,
    text: &str,
    base: &Path,
    lists: Lists<'_>,
) -> (Option<Config>, Vec<(usize, String)>) {
    if let Some(line) = line_with_too_many_dots(text) {
        return (None, vec![(line, format!("not TOML: a key of more than {DOTS_MAX} parts; flatten it"))]);
    }
    let (root, errors) = DeTable::parse_recoverable(text);
    let unread: Vec<(usize, String)> = errors.iter().map(|error| syntax(report, text, error)).collect();
    // Where a header cannot be read, the keys below it would be judged as those of the section above.
    let header_lost = unread.iter().any(|(line, _)| {
        text.lines().nth(line.saturating_sub(1)).is_some_and(|line| line.trim_start().starts_with('['))
    });
    if header_lost {
        return (None, unread);
    }
    (sections(Section::root(report, root.get_ref()), base, lists), unread)
}

fn sections(root: Section<'_>, base: &Path, lists: Lists<'_>) -> Option<Config> {
    let mut known = Known::default();
    let mut unique = Unique::new("source");
    let given = root.tables("source", "[[source]]");
    if root.value("source").is_none_or(|source| source.get_ref().as_array().is_some_and(|all| all.is_empty())) {
        let message = "there is no `[[source]]`, so nothing would be watched; add one with `name` and `url`";
        root.report.missing_from_file(message.to_owned());
    }
    let sources: Vec<Option<SourceConfig>> =
        given.into_iter().map(|source| SourceConfig::read(source, base, &mut unique, &mut known)).collect();
    let mut unique = Unique::new("detector");
    let detectors: Vec<Option<DetectorConfig>> = root
        .tables("detector", "[[detector]]")
        .into_iter()
        .map(|detector| DetectorConfig::read(detector, base, &mut unique, &known))
        .collect();
    let mut detectors = detectors;
    let gateway = GatewayConfig::read(root.table("gateway", "[gateway]"), base, &known);
    let names: Vec<&str> = sources.iter().flatten().map(|source| source.name.as_str()).collect();
    let planned = root.tables("maintenance", "[[maintenance]]").into_iter();
    let maintenance: Vec<_> = planned.map(|planned| maintenance::read(planned, &names, &known)).collect();
    let areas = Areas::of(&sources, gateway.as_ref());
    let mut unique = Unique::new("console");
    let consoles = root.tables("console", "[[console]]").into_iter();
    let consoles: Vec<_> = consoles.map(|console| ConsoleConfig::read(console, &mut unique, &areas)).collect();
    let named = gateway.as_ref().and_then(|gateway| gateway.texts_csv.as_deref());
    let texts = match lists.texts(named).map(Texts::load) {
        None => Some(Texts::default()),
        Some(Ok(texts)) => Some(texts),
        Some(Err(ConfigErrors(errors))) => {
            root.report.wrong_elsewhere(errors);
            None
        }
    };
    // A language of a table that is yet to be made is no mistake.
    let languages = texts.as_ref().filter(|_| named.is_none() || lists.texts(named).is_some());
    let server = ServerConfig::read(root.table("server", "[server]"), base, languages);
    if let Some(server) = &server {
        sources.iter().flatten().for_each(|source| listens_apart(source, server, root.report));
    }
    let trust = read_trust(root.table("plugins", "[plugins]"), root.tables("publisher", "[[publisher]]"));
    if let Some(file) = lists.alarms(gateway.as_ref().and_then(|gateway| gateway.alarms_csv.as_deref())) {
        settle(file, &mut detectors, root.report);
    }
    if gateway.as_ref().is_some_and(|gateway| gateway.mode_signal.is_none()) {
        let by_mode =
            |detector: &&DetectorConfig| detector.alarms.values().any(|alarm| alarm.suppress_in_modes.is_some());
        if let Some(detector) = detectors.iter().flatten().find(by_mode) {
            let name = detector.name.escape_debug();
            let message = format!(
                "detector `{name}` has `suppress_in_modes`, but nobody says which mode it is: set `mode_signal` in `[gateway]`"
            );
            root.report.missing_from_file(message);
        }
    }
    root.close();
    Some(Config {
        gateway: gateway?,
        server: server?,
        sources: sources.into_iter().collect::<Option<_>>()?,
        detectors: detectors.into_iter().collect::<Option<_>>()?,
        maintenance: maintenance.into_iter().collect::<Option<_>>()?,
        consoles: consoles.into_iter().collect::<Option<_>>()?,
        texts: texts?,
        trust,
    })
}

/// One port has one listener: a source's server cannot be waited for where HMIs connect.
fn listens_apart(source: &SourceConfig, server: &ServerConfig, report: &Report) {
    let Some(listen) = source.reach.listen.filter(|listen| listen.port() == server.port) else { return };
    // A name may be any of this machine's addresses, and no other.
    let host: Option<IpAddr> = server.host.parse().ok();
    if host.map_or(listen.ip().is_unspecified(), |host| clash(host, listen.ip())) {
        let (name, port) = (source.name.escape_debug(), server.port);
        report.missing_from_file(format!(
            "source `{name}`: `reverse_connect` listens at port {port}, which is `port` of `[server]`; give one of them another"
        ));
    }
}

/// Whether two listeners at one port, at these addresses, are in each other's way.
fn clash(one: IpAddr, other: IpAddr) -> bool {
    // `::` is every address of this machine, `0.0.0.0` every one of IPv4.
    let covers = |all: IpAddr, some: IpAddr| all.is_unspecified() && (all.is_ipv6() || some.is_ipv4());
    one == other || covers(one, other) || covers(other, one)
}

/// Takes over a list of alarms; what it says of a condition counts before what a detector's own tables say.
fn settle(file: &Path, detectors: &mut [Option<DetectorConfig>], report: &Report) {
    let rows = match alarms_csv::read(file) {
        Ok(rows) => rows,
        Err(ConfigErrors(errors)) => return report.wrong_elsewhere(errors),
    };
    let names: Vec<String> = detectors.iter().flatten().map(|detector| detector.name.clone()).collect();
    for row in rows {
        let found = detectors.iter_mut().flatten().find(|detector| detector.name == row.detector);
        if let Some(detector) = found {
            let before = detector.alarms.remove(&row.condition).unwrap_or_default();
            detector.alarms.insert(row.condition, row.settings.or(before));
        } else if !detectors.iter().any(Option::is_none) {
            let way_out = match nearest(&row.detector, names.iter().map(String::as_str)) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("there are {}", listed(names.iter().map(String::as_str))),
            };
            let message = format!("there is no detector `{}`; {way_out}", row.detector.escape_debug());
            report.wrong_elsewhere(vec![ConfigError { file: file.display().to_string(), line: row.line, message }]);
        }
    }
}

fn syntax(report: &Report, text: &str, error: &toml::de::Error) -> (usize, String) {
    let span = error.span().unwrap_or(text.len()..text.len());
    let near = text.get(span.clone()).map(str::trim).filter(|near| !near.is_empty() && near.len() <= 40);
    let near = near.map(|near| format!(" at `{}`", near.escape_debug())).unwrap_or_default();
    let line = report.line(span.start);
    let what = match error.message() {
        "duplicate key" => format!("duplicate key{near}; keep one of them"),
        "string values must be quoted, expected literal string" if near.is_empty() => {
            "there is no value after the `=`; write one or take the line out".to_owned()
        }
        "string values must be quoted, expected literal string" => {
            format!("text without quotes{near}; put it in quotes")
        }
        message => format!("{message}{near}"),
    };
    (line, format!("not TOML: {what}"))
}

/// The first line with a key of too many parts. Counts single dots outside quotes; what cannot stand in a key ends one.
fn line_with_too_many_dots(text: &str) -> Option<usize> {
    text.lines().position(has_too_many_dots).map(|place| place + 1)
}

fn has_too_many_dots(line: &str) -> bool {
    let (mut dots, mut quote, mut before) = (0_usize, None, ' ');
    for c in line.chars() {
        match (quote, c) {
            (Some('"'), '"') if before == '\\' => {}
            (Some(open), _) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '.') if before != '.' => dots += 1,
            (None, '.' | '=' | ',' | '[' | ']' | '{' | '}') => dots = 0,
            (None, '#') => return false,
            (None, _) => {}
        }
        if dots > DOTS_MAX {
            return true;
        }
        before = c;
    }
    false
}
