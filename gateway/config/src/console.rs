//! `[[console]]`: who looks after which areas, so that alarms are counted for each operator (ISA-18.2 §16). Which alarms
//! there are is not known here.

use std::collections::BTreeSet;

use globset::GlobBuilder;

use crate::names::{self, Unique};
use crate::nearest::near;
use crate::section::{Section, Text, listed};
use crate::{GatewayConfig, SourceConfig};

/// An operator console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsoleConfig {
    /// Its name, each once.
    pub name: String,
    /// What it is called for people; its name where it is left out.
    pub title: Option<String>,
    /// The areas that it looks after, each with those below it; none is below another.
    pub areas: Vec<String>,
}

/// The areas that there are, with those above them.
pub(crate) struct Areas {
    paths: BTreeSet<String>,
    /// Whether some could not be read.
    incomplete: bool,
}

impl Areas {
    pub(crate) fn of(sources: &[Option<SourceConfig>], gateway: Option<&GatewayConfig>) -> Self {
        let mut paths = BTreeSet::new();
        for source in sources.iter().flatten() {
            let signals = source.signals.iter().map(|signal| &signal.area);
            let selects = source.selects.iter().map(|select| &select.area);
            for area in std::iter::once(&source.area).chain(signals).chain(selects) {
                if paths.contains(area) {
                    continue;
                }
                let ends = area.match_indices('/').map(|(at, _)| at).chain([area.len()]);
                paths.extend(ends.filter_map(|end| area.get(..end)).map(str::to_owned));
            }
        }
        paths.extend(gateway.map(|gateway| gateway.name.clone()));
        Self { paths, incomplete: gateway.is_none() || sources.iter().any(Option::is_none) }
    }

    /// The areas that a path or glob means, without those that are below another of them.
    fn named(&self, section: &Section<'_>, wanted: Text<'_>) -> BTreeSet<String> {
        let shown = wanted.text.escape_debug();
        if self.paths.contains(wanted.text) {
            return BTreeSet::from([wanted.text.to_owned()]);
        }
        let glob = GlobBuilder::new(wanted.text).literal_separator(true).backslash_escape(true).build();
        let matcher = match glob {
            Ok(glob) => glob.compile_matcher(),
            Err(error) => {
                let way_out = "put a `\\` before a character that stands for itself";
                section.wrong(wanted.at, format_args!("`areas`: `{shown}` is no pattern: {}; {way_out}", error.kind()));
                return BTreeSet::new();
            }
        };
        let found: BTreeSet<String> = self.paths.iter().filter(|path| matcher.is_match(path)).cloned().collect();
        if found.is_empty() && !self.incomplete {
            let all = || self.paths.iter().map(String::as_str);
            let meant = near(wanted.text, all());
            let (word, offered) =
                if meant.is_empty() { ("known", all().take(5).collect()) } else { ("nearest", meant) };
            section
                .missing(wanted.at, format_args!("`areas`: there is no area `{shown}`; {word}: {}", listed(offered)));
        }
        found
    }
}

/// Without those that are below another.
fn topmost(areas: &BTreeSet<String>) -> Vec<String> {
    let is_below = |area: &String| {
        area.match_indices('/').any(|(at, _)| area.get(..at).is_some_and(|above| areas.contains(above)))
    };
    areas.iter().filter(|area| !is_below(area)).cloned().collect()
}

impl ConsoleConfig {
    pub(crate) fn read(section: Section<'_>, unique: &mut Unique, areas: &Areas) -> Option<Self> {
        let name = names::required(&section, "name", &['/', '#', ':'], unique);
        let title = section.text("title");
        let way_out = "name the areas that it looks after, such as `[\"line/press\", \"tanks/*\"]`";
        let wanted = section.required_texts("areas", way_out);
        let found: BTreeSet<String> =
            wanted.iter().flatten().flat_map(|wanted| areas.named(&section, *wanted)).collect();
        section.close();
        wanted?;
        Some(Self {
            name: name?.text.to_owned(),
            title: title.map(|title| title.text.to_owned()),
            areas: topmost(&found),
        })
    }
}
