//! A table of the file that is being read: gives its values by key and type, reports what does not fit, and at the end
//! every key that nobody asked for. Knows types and positions, not what the keys mean.

use std::cell::RefCell;
use std::fmt::Display;
use std::ops::RangeInclusive;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::nearest::nearest;
use crate::report::Report;
use crate::shown::{fewer_digits, finite, not_two, quoted_if_plain, spelled};
pub(crate) use crate::shown::{listed, shown};

/// Stands in a header for the word that the user chooses.
const CHOSEN: &str = "CONDITION";

/// A text and where it stands.
#[derive(Clone, Copy)]
pub(crate) struct Text<'t> {
    pub(crate) text: &'t str,
    pub(crate) at: usize,
}

/// One table.
pub(crate) struct Section<'t> {
    pub(crate) report: &'t Report,
    /// Its header as the documentation has it, such as `[[source]]`.
    title: &'static str,
    /// The word in the header that the user chose, where it has one.
    chosen: &'t str,
    /// What tells it from others with this header; empty for none.
    name: String,
    /// Where it begins.
    pub(crate) at: usize,
    table: Option<&'t DeTable<'t>>,
    asked: RefCell<Vec<&'static str>>,
}

impl<'t> Section<'t> {
    pub(crate) fn root(report: &'t Report, table: &'t DeTable<'t>) -> Self {
        Self::new(report, "top level", String::new(), 0, Some(table))
    }

    fn new(report: &'t Report, title: &'static str, name: String, at: usize, table: Option<&'t DeTable<'t>>) -> Self {
        Self { report, title, chosen: "", name, at, table, asked: RefCell::default() }
    }

    /// Something wrong in this section, at a byte.
    pub(crate) fn wrong(&self, at: usize, message: impl Display) {
        self.report.wrong(at, format!("{self}: {message}"));
    }

    /// Something that is not there, or refers to what is not there.
    pub(crate) fn missing(&self, at: usize, message: impl Display) {
        self.report.missing(at, format!("{self}: {message}"));
    }

    /// The value of a key; counts it as known.
    pub(crate) fn value(&self, key: &'static str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.note(key, || None)
    }

    fn note(&self, key: &'static str, default: impl FnOnce() -> Option<String>) -> Option<&'t Spanned<DeValue<'t>>> {
        self.asked.borrow_mut().push(key);
        #[cfg(test)]
        self.report.asked.borrow_mut().entry((self.title, key)).or_insert_with(default);
        #[cfg(not(test))]
        drop(default);
        self.table.and_then(|table| table.get(key))
    }

    fn mismatch(&self, key: &str, value: &Spanned<DeValue<'_>>, wanted: &str) {
        self.wrong(value.span().start, format_args!("`{key}` must be {wanted}, not {}", shown(value.get_ref())));
    }

    /// A text; empty ones are errors.
    pub(crate) fn text(&self, key: &'static str) -> Option<Text<'t>> {
        let value = self.value(key)?;
        self.as_text(key, value)
    }

    /// A text that may be empty.
    pub(crate) fn any_text(&self, key: &'static str) -> Option<Text<'t>> {
        let value = self.value(key)?;
        match value.get_ref() {
            DeValue::String(text) => Some(Text { text, at: value.span().start }),
            _ => self.as_text(key, value),
        }
    }

    fn as_text(&self, key: &str, value: &'t Spanned<DeValue<'t>>) -> Option<Text<'t>> {
        match value.get_ref() {
            DeValue::String(text) if text.trim().is_empty() => {
                self.wrong(value.span().start, format_args!("`{key}` is empty; give it a text or leave it out"));
                None
            }
            DeValue::String(text) => Some(Text { text, at: value.span().start }),
            other => {
                self.mismatch(key, value, &format!("text in quotes{}", quoted_if_plain(other)));
                None
            }
        }
    }

    /// A text that must be there; `way_out` says what to write.
    pub(crate) fn required_text(&self, key: &'static str, way_out: &str) -> Option<Text<'t>> {
        let value = self.value(key);
        if value.is_none() {
            self.missing(self.at, format_args!("`{key}` is missing; {way_out}"));
        }
        self.as_text(key, value?)
    }

    /// A text with a default.
    pub(crate) fn text_or(&self, key: &'static str, default: &'static str) -> Text<'t> {
        let value = self.note(key, || Some(format!("\"{default}\"")));
        value.and_then(|value| self.as_text(key, value)).unwrap_or(Text { text: default, at: self.at })
    }

    /// A whole number within bounds, or the default.
    pub(crate) fn integer_or(&self, key: &'static str, bounds: RangeInclusive<u64>, default: u64) -> u64 {
        let value = self.note(key, || Some(default.to_string()));
        value.and_then(|value| self.as_integer(key, value, bounds)).unwrap_or(default)
    }

    /// A whole number within bounds.
    pub(crate) fn integer(&self, key: &'static str, bounds: RangeInclusive<u64>) -> Option<u64> {
        let value = self.value(key)?;
        self.as_integer(key, value, bounds)
    }

    fn as_integer(&self, key: &str, value: &Spanned<DeValue<'_>>, bounds: RangeInclusive<u64>) -> Option<u64> {
        let number = match value.get_ref() {
            DeValue::Integer(digits) => u64::from_str_radix(digits.as_str(), digits.radix()).ok(),
            _ => None,
        };
        let number = number.filter(|number| bounds.contains(number));
        if number.is_none() {
            let wanted = match (bounds.start(), bounds.end()) {
                (0, &u64::MAX) => "a whole number from 0".to_owned(),
                (least, &u64::MAX) => format!("a whole number from {least}"),
                (least, most) => format!("a whole number from {least} to {most}"),
            };
            self.mismatch(key, value, &wanted);
        }
        number
    }

    /// A list of whole numbers within bounds.
    pub(crate) fn integers(&self, key: &'static str, bounds: RangeInclusive<u64>) -> Option<Vec<u64>> {
        let value = self.value(key)?;
        let Some(items) = value.get_ref().as_array() else {
            self.mismatch(key, value, "a list of whole numbers, such as `[2, 3]`");
            return None;
        };
        Some(items.iter().filter_map(|item| self.as_integer(key, item, bounds.clone())).collect())
    }

    /// A finite number within bounds.
    pub(crate) fn number(&self, key: &'static str, bounds: RangeInclusive<f64>) -> Option<f64> {
        let value = self.value(key)?;
        self.as_number(key, value, bounds)
    }

    /// A value as a number within bounds.
    pub(crate) fn as_number(
        &self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        bounds: RangeInclusive<f64>,
    ) -> Option<f64> {
        let number = finite(value.get_ref()).filter(|number| bounds.contains(number));
        if number.is_none() {
            let wanted = match (*bounds.start(), *bounds.end()) {
                (f64::MIN, f64::MAX) => "a finite number".to_owned(),
                (least, f64::MAX) => format!("a number from {least}"),
                (least, most) => format!("a number from {} to {most}", fewer_digits(least)),
            };
            self.mismatch(key, value, &wanted);
        }
        number
    }

    /// `[low, high]`, low below high.
    pub(crate) fn range(&self, key: &'static str) -> Option<(f64, f64)> {
        let value = self.value(key)?;
        let pair = value.get_ref().as_array().and_then(|items| match &items[..] {
            [low, high] => Some((finite(low.get_ref())?, finite(high.get_ref())?)),
            _ => None,
        });
        match pair {
            None => self.wrong(
                value.span().start,
                format_args!("`{key}` must be two finite numbers, `[low, high]`, {}", not_two(value.get_ref())),
            ),
            Some((low, high)) if low >= high => {
                let message = format_args!("`{key}` is [{low}, {high}]; the first must be below the second");
                self.wrong(value.span().start, message);
            }
            Some(_) => return pair,
        }
        None
    }

    /// True or false, if given.
    pub(crate) fn flag(&self, key: &'static str) -> Option<bool> {
        let value = self.value(key)?;
        self.as_flag(key, value)
    }

    /// True or false, or the default.
    pub(crate) fn flag_or(&self, key: &'static str, default: bool) -> bool {
        let value = self.note(key, || Some(default.to_string()));
        value.and_then(|value| self.as_flag(key, value)).unwrap_or(default)
    }

    fn as_flag(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<bool> {
        if let DeValue::Boolean(flag) = value.get_ref() {
            return Some(*flag);
        }
        self.mismatch(key, value, "`true` or `false`");
        None
    }

    /// What one of the words means, or the default.
    pub(crate) fn choice_or<T: Copy + PartialEq>(&self, key: &'static str, default: T, words: &[(&str, T)]) -> T {
        let word = || words.iter().find(|(_, meaning)| *meaning == default).map(|(word, _)| format!("\"{word}\""));
        let value = self.note(key, word);
        value.and_then(|value| self.as_choice(key, value, words)).unwrap_or(default)
    }

    /// One of the words, if there is one.
    pub(crate) fn choice<T: Copy>(&self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        self.as_choice(key, self.value(key)?, words)
    }

    fn as_choice<T: Copy>(&self, key: &str, value: &Spanned<DeValue<'_>>, words: &[(&str, T)]) -> Option<T> {
        let text = value.get_ref().as_str();
        let found = words.iter().find(|(word, _)| Some(*word) == text);
        if found.is_none() {
            self.mismatch(key, value, &spelled(words));
        }
        found.map(|(_, meaning)| *meaning)
    }

    /// A list of words, or the default.
    pub(crate) fn choices_or<T: Copy + PartialEq>(&self, key: &'static str, default: T, words: &[(&str, T)]) -> Vec<T> {
        let word = || words.iter().find(|(_, meaning)| *meaning == default).map(|(word, _)| format!("[\"{word}\"]"));
        let Some(value) = self.note(key, word) else { return vec![default] };
        let mut chosen = Vec::new();
        match value.get_ref().as_array() {
            Some(items) if !items.is_empty() => {
                for item in items.iter() {
                    let meaning = self.as_choice(key, item, words);
                    chosen.extend(meaning.filter(|meaning| !chosen.contains(meaning)));
                }
            }
            _ => self.mismatch(key, value, &format!("a list of at least one of {}", spelled(words))),
        }
        chosen
    }

    /// A list of words, which may be empty, or the default.
    pub(crate) fn some_or<T: Copy + PartialEq>(&self, key: &'static str, default: &[T], words: &[(&str, T)]) -> Vec<T> {
        let named =
            |meant: &T| words.iter().find(|(_, meaning)| meaning == meant).map(|(word, _)| format!("\"{word}\""));
        let spelled_out = || Some(format!("[{}]", default.iter().filter_map(named).collect::<Vec<_>>().join(", ")));
        let Some(value) = self.note(key, spelled_out) else { return default.to_vec() };
        let mut chosen = Vec::new();
        match value.get_ref().as_array() {
            Some(items) => {
                for item in items.iter() {
                    let meaning = self.as_choice(key, item, words);
                    chosen.extend(meaning.filter(|meaning| !chosen.contains(meaning)));
                }
            }
            None => self.mismatch(key, value, &format!("a list of {}", spelled(words))),
        }
        chosen
    }

    /// A list of words, if it is there; then of one at least.
    pub(crate) fn choices<T: Copy + PartialEq>(&self, key: &'static str, words: &[(&str, T)]) -> Option<Vec<T>> {
        let value = self.value(key)?;
        let items = value.get_ref().as_array().filter(|items| !items.is_empty());
        match items {
            Some(items) => Some(items.iter().filter_map(|item| self.as_choice(key, item, words)).collect()),
            None => {
                self.mismatch(key, value, &format!("a list of at least one of {}", spelled(words)));
                None
            }
        }
    }

    /// A list of texts that must be there and have one at least.
    pub(crate) fn required_texts(&self, key: &'static str, way_out: &str) -> Option<Vec<Text<'t>>> {
        let Some(value) = self.value(key) else {
            self.missing(self.at, format_args!("`{key}` is missing; {way_out}"));
            return None;
        };
        match value.get_ref().as_array() {
            Some(items) if !items.is_empty() => Some(items.iter().filter_map(|item| self.as_text(key, item)).collect()),
            _ => {
                self.mismatch(key, value, &format!("a list of texts; {way_out}"));
                None
            }
        }
    }

    /// A list of texts; empty when it is not there.
    pub(crate) fn texts(&self, key: &'static str) -> Vec<Text<'t>> {
        let Some(value) = self.note(key, || Some("[]".to_owned())) else { return Vec::new() };
        match value.get_ref().as_array() {
            Some(items) => items.iter().filter_map(|item| self.as_text(key, item)).collect(),
            None => {
                self.mismatch(key, value, "a list of texts");
                Vec::new()
            }
        }
    }

    /// The table under a key; an empty one when it is not there.
    pub(crate) fn table(&self, key: &'static str, title: &'static str) -> Section<'t> {
        let (at, table) = match self.value(key).map(|value| (value, value.get_ref())) {
            Some((value, DeValue::Table(table))) => (value.span().start, Some(table)),
            Some((value, _)) => {
                self.mismatch(key, value, &format!("a table (begin it with `{title}`)"));
                (self.at, None)
            }
            None => (self.at, None),
        };
        Section::new(self.report, title, self.name.clone(), at, table)
    }

    /// The tables of a list of tables.
    pub(crate) fn tables(&self, key: &'static str, title: &'static str) -> Vec<Section<'t>> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let items = match value.get_ref() {
            DeValue::Array(items) => &items[..],
            _ => {
                let given = shown(value.get_ref());
                let message = format_args!("`{key}` is a list of tables, not {given}; begin each with `{title}`");
                self.wrong(value.span().start, message);
                return Vec::new();
            }
        };
        let mut sections = Vec::new();
        for (place, item) in items.iter().enumerate() {
            match item.get_ref() {
                DeValue::Table(table) => {
                    let name = self.name_of(table, place);
                    sections.push(Section::new(self.report, title, name, item.span().start, Some(table)));
                }
                _ => self.mismatch(key, item, &format!("a table (begin it with `{title}`)")),
            }
        }
        sections
    }

    fn name_of(&self, table: &DeTable<'_>, place: usize) -> String {
        let under = if self.name.is_empty() { String::new() } else { format!("{}/", self.name) };
        match table.get("name").and_then(|name| name.get_ref().as_str()) {
            Some(name) => format!("{under}{name}"),
            None => format!("{under}#{}", place + 1),
        }
    }

    /// The tables of a table whose keys the user chooses; they stand for [`CHOSEN`] in `title`.
    pub(crate) fn named_tables(&self, key: &'static str, title: &'static str) -> Vec<(Text<'t>, Section<'t>)> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let DeValue::Table(table) = value.get_ref() else {
            self.mismatch(key, value, &format!("a table of tables (begin each with `{title}`)"));
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (chosen, inner) in table.iter() {
            let at = chosen.span().start;
            let chosen: &'t str = chosen.get_ref();
            match inner.get_ref() {
                DeValue::Table(inner) => {
                    let mut section = Section::new(self.report, title, self.name.clone(), at, Some(inner));
                    section.chosen = chosen;
                    sections.push((Text { text: chosen, at }, section));
                }
                _ => self.wrong(at, format_args!("`{key}.{chosen}` is no table; begin one with `{title}`")),
            }
        }
        sections
    }

    /// Reports the keys that nobody asked for.
    pub(crate) fn close(self) {
        let known = self.asked.borrow();
        for (key, _) in self.table.into_iter().flat_map(|table| table.iter()) {
            let name: &str = key.get_ref();
            if known.contains(&name) {
                continue;
            }
            let way_out = match nearest(name, known.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("known here: {}", listed(known.iter().copied())),
            };
            self.wrong(key.span().start, format_args!("unknown key `{}`; {way_out}", name.escape_debug()));
        }
    }
}

impl Display for Section<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.title.split_once(CHOSEN), self.chosen) {
            (Some((before, after)), chosen) if !chosen.is_empty() => {
                write!(f, "{before}{}{after}", chosen.escape_debug())?;
            }
            _ => f.write_str(self.title)?,
        }
        if self.name.is_empty() { Ok(()) } else { write!(f, " \"{}\"", self.name.escape_debug()) }
    }
}
