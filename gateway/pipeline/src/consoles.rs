//! Operator consoles: whose alarms are counted together because one person looks after them (ISA-18.2 §16). Knows
//! areas by their paths, not what is in them.

use std::sync::Arc;

use crate::area_parts;

/// Stands before a console's name among the paths of areas, of which none has such a character.
const CONSOLE: char = '\u{1f}';

/// An operator console: a name, and the areas that it looks after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorConsole {
    /// Its name.
    pub name: Arc<str>,
    /// What it is called for people; its name where it is empty.
    pub title: Arc<str>,
    /// The areas, each with those below it, as paths without spaces or empty parts.
    pub areas: Vec<Arc<str>>,
}

impl OperatorConsole {
    /// Whether it looks after what is in an area, given as its path without spaces or empty parts.
    #[must_use]
    pub fn looks_after(&self, area: &str) -> bool {
        let is_in =
            |above: &Arc<str>| area.strip_prefix(&**above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        self.areas.iter().any(is_in)
    }

    /// What it is called for people.
    #[must_use]
    pub fn title(&self) -> &str {
        if self.title.is_empty() { &self.name } else { &self.title }
    }
}

/// What a console's counts are kept under, beside those of areas.
pub(crate) fn key_of(console: &str) -> String {
    format!("{CONSOLE}{console}")
}

/// Whether counts that are kept so are a console's.
pub(crate) fn is_console(key: &str) -> bool {
    key.starts_with(CONSOLE)
}

/// What the counts of an area's alarms are kept under: that area, those above it, and the consoles that look after it.
pub(crate) fn counted_as(area: &str, default_area: &str, consoles: &[OperatorConsole]) -> Vec<String> {
    let mut parts = area_parts(area, default_area);
    let path = parts.join("/");
    let own = consoles.iter().filter(|console| console.looks_after(&path));
    let mut keys: Vec<String> = own.map(|console| key_of(&console.name)).collect();
    while !parts.is_empty() {
        keys.push(parts.join("/"));
        parts.pop();
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_console_looks_after_its_areas_and_those_below_them() {
        let console =
            OperatorConsole { name: "east".into(), title: "".into(), areas: vec!["line/press".into(), "tanks".into()] };
        for (area, is) in [
            ("line/press", true),
            ("line/press/oil", true),
            ("line/presses", false),
            ("line", false),
            ("tanks", true),
            ("", false),
        ] {
            assert_eq!(console.looks_after(area), is, "{area}");
        }
        assert_eq!(console.title(), "east");
        let keys = counted_as(" line / press/oil", "own", std::slice::from_ref(&console));
        assert_eq!(keys, ["\u{1f}east", "line/press/oil", "line/press", "line"]);
        assert_eq!(counted_as("", "own", &[console]), ["own"]);
    }
}
