//! `[[source.select]]`: signals by a pattern over browse paths, by type, or both. Which nodes that are only the server
//! knows: what it was found to have is put in by `found`.

use std::time::Duration;

use crate::section::{Section, Text};
use crate::source::{Handling, Inherited, unit_and_range};
use crate::{Deadband, PathPattern};

/// Which nodes of a server become signals, and what is said of each.
#[derive(Clone, Debug, PartialEq)]
pub struct SelectConfig {
    /// The browse paths. Default: every one.
    pub path: PathPattern,
    /// The browse name of their type definition, or of a supertype of it.
    pub of_type: Option<String>,
    /// Browse paths that are left out.
    pub exclude: Vec<PathPattern>,
    /// The names at the beginning of the paths that are left out of the signals' names.
    pub below: Vec<String>,
    /// UCUM code of the unit of every one; `None`: each its own.
    pub unit: Option<String>,
    /// Engineering range of every one; `None`: each its own.
    pub range: Option<(f64, f64)>,
    /// The sampling interval asked for. Default: the source's.
    pub sampling_interval: Duration,
    /// How many samples the server may queue. Default: the source's.
    pub queue_size: u32,
    /// How far their values must change to be sent. Default: the source's.
    pub deadband: Deadband,
    /// The publishing interval asked for. Default: the source's.
    pub publishing_interval: Duration,
    /// The whole area.
    pub area: String,
    /// Which slot of a detector they fill; empty for any.
    pub role: String,
    /// Their group. Default 0.
    pub group: u32,
}

/// Every path.
const ALL: &str = "/**";

impl SelectConfig {
    pub(crate) fn read(section: Section<'_>, source: &Inherited<'_>) -> Option<Self> {
        let path = section.text("path");
        let of_type = section.text("type");
        if path.is_none() && of_type.is_none() {
            let way_out = "give `path = \"/Plant/**\"` for all that is below a node, `type = \"AnalogItemType\"` for \
                           all of a type, or both";
            section.missing(section.at, format_args!("neither `path` nor `type` says what to select; {way_out}"));
        }
        let path = match path {
            Some(path) => pattern(&section, "path", path),
            None => PathPattern::parse(ALL).ok(),
        };
        let exclude: Vec<Option<PathPattern>> = match section.value("exclude") {
            None => Vec::new(),
            Some(_) => section
                .required_texts("exclude", "give patterns such as `[\"/Plant/Test/**\"]`")
                .into_iter()
                .flatten()
                .map(|text| pattern(&section, "exclude", text))
                .collect(),
        };
        let below = section.text("below").map(|below| names(&section, below));
        let (unit, range) = unit_and_range(&section);
        let handling = Handling::read(&section, source);
        section.close();
        let handling = handling?;
        Some(Self {
            path: path?,
            of_type: of_type.map(|of_type| of_type.text.to_owned()),
            exclude: exclude.into_iter().collect::<Option<_>>()?,
            below: below.unwrap_or_default(),
            unit,
            range,
            sampling_interval: handling.sampling_interval,
            queue_size: handling.queue_size,
            deadband: handling.deadband,
            publishing_interval: handling.publishing_interval,
            area: handling.area,
            role: handling.role,
            group: handling.group,
        })
    }

    /// What it selects, as a text: two that select the same have the same.
    #[must_use]
    pub fn key(&self) -> String {
        let exclude: Vec<&str> = self.exclude.iter().map(PathPattern::text).collect();
        let of_type = self.of_type.as_deref().map(|of_type| format!(" type {of_type}")).unwrap_or_default();
        let without = if exclude.is_empty() { String::new() } else { format!(" without {}", exclude.join(" ")) };
        format!("{}{of_type}{without}", self.path)
    }
}

fn pattern(section: &Section<'_>, key: &str, text: Text<'_>) -> Option<PathPattern> {
    PathPattern::parse(text.text)
        .map_err(|error| section.wrong(text.at, format_args!("`{key}` \"{}\" {error}", text.text.escape_debug())))
        .ok()
}

fn names(section: &Section<'_>, below: Text<'_>) -> Vec<String> {
    let parts = below.text.strip_prefix('/').map(|rest| rest.split('/'));
    match parts {
        Some(parts) if parts.clone().all(|part| !part.is_empty()) => parts.map(str::to_owned).collect(),
        _ => {
            let shown = below.text.escape_debug();
            section.wrong(below.at, format_args!("`below` \"{shown}\" is no path; give one such as `\"/Plant\"`"));
            Vec::new()
        }
    }
}
