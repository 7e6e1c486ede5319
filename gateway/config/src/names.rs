//! Names: their form, that none is given twice, and finding signals by name or glob.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::rc::Rc;

use globset::GlobBuilder;

use crate::nearest::near;
use crate::section::{Section, Text, listed};

/// Characters that have a meaning in the patterns of `signals`.
pub(crate) const IN_PATTERNS: &[char] = &['/', '*', '?', '[', ']', '{', '}', '!', '\\'];
/// Names are put into NodeIds.
const NAME_BYTES_MAX: usize = 128;
/// Beyond so many errors, near names are no longer searched: it costs a pass over all names.
const OFFERS_MAX: usize = 50;

/// Names of one sort, each once.
pub(crate) struct Unique {
    sort: &'static str,
    /// Where each stands: its file and its line.
    places: HashMap<String, (Rc<str>, usize)>,
}

impl Unique {
    pub(crate) fn new(sort: &'static str) -> Self {
        Self { sort, places: HashMap::new() }
    }

    /// Reports a name that is taken.
    pub(crate) fn claim(&mut self, section: &Section<'_>, name: Text<'_>) {
        let place = (section.report.file.clone(), section.report.line(name.at));
        if let Err(message) = self.claim_at(place, name.text) {
            section.wrong(name.at, format_args!("`name`: {message}"));
        }
    }

    /// Takes a name for a place, its file and its line.
    ///
    /// # Errors
    /// That it is taken, and where.
    pub(crate) fn claim_at(&mut self, place: (Rc<str>, usize), name: &str) -> Result<(), String> {
        if let Some((file, line)) = self.places.get(name) {
            let elsewhere = if *file == place.0 { String::new() } else { format!(" of {file}") };
            let sort = self.sort;
            return Err(format!("the {sort} in line {line}{elsewhere} is named `{name}` too; names must differ"));
        }
        self.places.insert(name.to_owned(), place);
        Ok(())
    }
}

/// A name that must be there, well-formed and not taken.
pub(crate) fn required<'t>(
    section: &Section<'t>,
    key: &'static str,
    forbidden: &[char],
    unique: &mut Unique,
) -> Option<Text<'t>> {
    let name = section.required_text(key, &format!("give the {} a name", unique.sort))?;
    if !check(section, key, name, forbidden) {
        return None;
    }
    unique.claim(section, name);
    Some(name)
}

/// Whether a name is well-formed; reports why not.
pub(crate) fn check(section: &Section<'_>, key: &str, name: Text<'_>, forbidden: &[char]) -> bool {
    let shown = name.text.escape_debug();
    match well_formed(name.text, forbidden) {
        Ok(()) => return true,
        Err(why) if name.text.len() > NAME_BYTES_MAX => section.wrong(name.at, format_args!("`{key}` {why}")),
        Err(why) => section.wrong(name.at, format_args!("`{key}` \"{shown}\" {why}")),
    }
    false
}

/// Whether a name is well-formed.
///
/// # Errors
/// Why not, to be put after the name.
pub(crate) fn well_formed(name: &str, forbidden: &[char]) -> Result<(), String> {
    if let Some(found) = name.chars().find(|c| c.is_control() || forbidden.contains(c)) {
        Err(format!("has a `{}` in it; leave it out", found.escape_debug()))
    } else if name.trim() != name {
        Err("begins or ends with a blank; leave it out".to_owned())
    } else if name.len() > NAME_BYTES_MAX {
        Err(format!("is longer than {NAME_BYTES_MAX} bytes; shorten it"))
    } else {
        Ok(())
    }
}

/// Whether names joined by `/` are well-formed; reports why not.
pub(crate) fn check_path(section: &Section<'_>, key: &str, path: Text<'_>, such: &str) -> bool {
    if path.text.split('/').any(|part| part.is_empty() || part.trim() != part) {
        let shown = path.text.escape_debug();
        let message = format_args!("`{key}` \"{shown}\" has an empty part or blanks around a `/`; give {such}");
        section.wrong(path.at, message);
        return false;
    }
    check(section, key, path, &[])
}

/// Reports a file that cannot be read.
pub(crate) fn check_file(section: &Section<'_>, key: &str, at: usize, path: &Path) {
    let opened = std::fs::File::open(path).and_then(|file| file.metadata());
    let shown = path.display();
    match opened {
        Ok(data) if data.is_dir() => {
            section.wrong(at, format_args!("`{key}`: `{shown}` is a folder; name a file"));
        }
        Ok(_) => {}
        Err(error) => {
            let message = "a relative path begins at the configuration file's folder";
            section.wrong(at, format_args!("`{key}`: `{shown}` cannot be read: {error}; {message}"));
        }
    }
}

/// The full names of all signals, in the order of the file.
#[derive(Default)]
pub(crate) struct Known {
    names: Vec<String>,
    places: HashMap<String, usize>,
    /// Places of streams of events, which no pattern means: what watches numbers would make nothing good of them.
    streams: HashSet<usize>,
    /// Sources of which not every signal is known yet.
    open: Vec<String>,
}

impl Known {
    pub(crate) fn add(&mut self, name: &str) {
        self.places.entry(name.to_owned()).or_insert(self.names.len());
        self.names.push(name.to_owned());
    }

    /// A stream of events, which only its own name means.
    pub(crate) fn add_stream(&mut self, name: &str) {
        self.streams.insert(self.names.len());
        self.add(name);
    }

    /// A source has signals that its server must be asked for.
    pub(crate) fn open(&mut self, source: &str) {
        self.open.push(source.to_owned());
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    /// Whether a name or pattern may mean signals that are not known yet.
    pub(crate) fn may_come(&self, pattern: &str) -> bool {
        let first = pattern.split('/').next().unwrap_or_default();
        let matcher = GlobBuilder::new(first).literal_separator(true).backslash_escape(true).build();
        let matcher = matcher.map(|glob| glob.compile_matcher());
        self.open.iter().any(|source| source == first || matcher.as_ref().is_ok_and(|glob| glob.is_match(source)))
    }

    /// The signals that patterns name which have been read before, as far as they are there.
    pub(crate) fn named(&self, patterns: &[String]) -> Vec<String> {
        let mut inside = vec![false; self.names.len()];
        let is_out = |pattern: &&String| pattern.starts_with('!') && !self.has(pattern);
        let (takes_out, puts_in): (Vec<&String>, Vec<&String>) = patterns.iter().partition(is_out);
        for (pattern, wanted) in puts_in.iter().map(|p| (p, true)).chain(takes_out.iter().map(|p| (p, false))) {
            let text = if wanted { pattern.as_str() } else { pattern.strip_prefix('!').unwrap_or(pattern) };
            for place in self.places_of(text).unwrap_or_default() {
                if let Some(flag) = inside.get_mut(place) {
                    *flag = wanted;
                }
            }
        }
        self.chosen(&inside)
    }

    fn chosen(&self, inside: &[bool]) -> Vec<String> {
        self.names.iter().zip(inside).filter(|(_, inside)| **inside).map(|(name, _)| name.clone()).collect()
    }

    fn places_of(&self, pattern: &str) -> Result<Vec<usize>, globset::Error> {
        if let Some(place) = self.places.get(pattern) {
            return Ok(vec![*place]);
        }
        let matcher =
            GlobBuilder::new(pattern).literal_separator(true).backslash_escape(true).build()?.compile_matcher();
        let matches = self.names.iter().enumerate().filter(|(_, name)| matcher.is_match(name.as_str()));
        Ok(matches.map(|(place, _)| place).filter(|place| !self.streams.contains(place)).collect())
    }

    /// What to write instead of a name or pattern that matches nothing.
    pub(crate) fn offer(&self, wanted: &str) -> String {
        let names = || self.names.iter().map(String::as_str);
        if self.names.is_empty() {
            return "there is no signal at all; add a `[[source.signal]]`".to_owned();
        }
        let tail = format!("/{wanted}");
        let mut meant: Vec<&str> = names().filter(|name| name.ends_with(&tail)).take(3).collect();
        if meant.is_empty() {
            meant = near(wanted, names());
        }
        match (meant.is_empty(), self.names.len()) {
            (false, _) => format!("nearest: {}", listed(meant)),
            (true, count @ ..=3) => format!("known: {}", listed(names().take(count))),
            (true, count) => format!("known: {} and {} more", listed(names().take(3)), count - 3),
        }
    }

    /// The signals that the patterns name, in the order of the file. A pattern is a full name, a glob over full names
    /// (`*` stops at a `/`, `**` does not), or either with `!` before it, which takes signals out again.
    pub(crate) fn resolve(&self, section: &Section<'_>, patterns: &[Text<'_>]) -> Vec<String> {
        let mut inside = vec![false; self.names.len()];
        let is_out = |pattern: &Text<'_>| pattern.text.starts_with('!') && !self.has(pattern.text);
        let (takes_out, puts_in): (Vec<Text<'_>>, Vec<Text<'_>>) = patterns.iter().copied().partition(is_out);
        for (pattern, wanted) in puts_in.iter().map(|p| (p, true)).chain(takes_out.iter().map(|p| (p, false))) {
            let text = if wanted { pattern.text } else { pattern.text.strip_prefix('!').unwrap_or(pattern.text) };
            let Some(matched) = self.matched(section, pattern.at, text) else { continue };
            if matched.is_empty() && !self.may_come(text) {
                let way_out = if section.report.count() < OFFERS_MAX { self.offer(text) } else { String::new() };
                let message = format!("`signals`: `{}` matches no signal; {way_out}", pattern.text.escape_debug());
                section.missing(pattern.at, message.trim_end_matches("; "));
            }
            for place in matched {
                if let Some(flag) = inside.get_mut(place) {
                    *flag = wanted;
                }
            }
        }
        if let (Some(first), true) = (patterns.first(), puts_in.is_empty()) {
            section.wrong(first.at, "`signals` only takes signals out; put some in first, such as `\"source/**\"`");
        }
        self.chosen(&inside)
    }

    fn matched(&self, section: &Section<'_>, at: usize, pattern: &str) -> Option<Vec<usize>> {
        self.places_of(pattern)
            .map_err(|error| {
                let message = format!("`signals`: `{}` is no pattern: {}", pattern.escape_debug(), error.kind());
                section.wrong(at, format_args!("{message}; put a `\\` before a character that stands for itself"));
            })
            .ok()
    }
}
