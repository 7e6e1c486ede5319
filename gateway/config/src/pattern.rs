//! Patterns over browse paths: `/Plant/*/Speed`, `/Plant/**`. Matched step by step while an address space is walked, so
//! that no branch is looked at from which nothing can match. Knows no server.

use std::fmt;

use globset::{Glob, GlobMatcher};

/// A pattern over the browse names from the Objects folder to a node.
///
/// In a part `*` stands for anything, `?` for one character, `[ab]` for one of them, `{one,other}` for either; the part
/// `**` stands for any number of parts, none as well.
#[derive(Clone, Debug)]
pub struct PathPattern {
    text: String,
    segments: Vec<Segment>,
}

#[derive(Clone, Debug)]
enum Segment {
    Any,
    Literal(String),
    Glob(Box<GlobMatcher>),
}

/// How far a way matches a pattern: the parts that may come next, one bit each. [`Progress::NONE`]: nothing below can
/// match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Progress(u64);

impl Progress {
    /// Nothing at or below matches.
    pub const NONE: Self = Self(0);
}

/// Each part is a bit, and the end is one.
const SEGMENTS_MAX: usize = 60;

impl PathPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// Says what does not fit.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err("does not begin with a `/`; a pattern reads `/Plant/*/Speed` or `/Plant/**`".to_owned());
        };
        let segments = rest.split('/').map(Segment::parse).collect::<Result<Vec<_>, _>>()?;
        if segments.len() > SEGMENTS_MAX {
            return Err(format!("has more than {SEGMENTS_MAX} parts; use `**` for those that do not matter"));
        }
        Ok(Self { text: text.to_owned(), segments })
    }

    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The first part, if it is a plain name.
    #[must_use]
    pub fn first_name(&self) -> Option<&str> {
        match self.segments.first() {
            Some(Segment::Literal(name)) => Some(name),
            _ => None,
        }
    }

    /// Before the first part.
    #[must_use]
    pub fn begin(&self) -> Progress {
        self.past_any(1)
    }

    /// One part further.
    #[must_use]
    pub fn step(&self, progress: Progress, name: &str) -> Progress {
        let mut next = 0;
        for (place, segment) in self.segments.iter().enumerate().filter(|(place, _)| progress.0 >> place & 1 == 1) {
            match segment {
                Segment::Any => next |= 1 << place,
                Segment::Literal(literal) if literal == name => next |= 1 << (place + 1),
                Segment::Glob(glob) if glob.is_match(name) => next |= 1 << (place + 1),
                Segment::Literal(_) | Segment::Glob(_) => {}
            }
        }
        self.past_any(next)
    }

    /// Whether the way so far matches as a whole.
    #[must_use]
    pub const fn is_match(&self, progress: Progress) -> bool {
        progress.0 >> self.segments.len() & 1 == 1
    }

    /// Whether something below the way so far can match.
    #[must_use]
    pub fn leads_on(&self, progress: Progress) -> bool {
        progress.0 & !(1 << self.segments.len()) != 0
    }

    /// `**` may stand for no part at all.
    fn past_any(&self, mut bits: u64) -> Progress {
        for (place, segment) in self.segments.iter().enumerate() {
            if bits >> place & 1 == 1 && matches!(segment, Segment::Any) {
                bits |= 1 << (place + 1);
            }
        }
        Progress(bits)
    }
}

impl Segment {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("has an empty part; leave the `/` out".to_owned());
        }
        if text == "**" {
            return Ok(Self::Any);
        }
        if !text.contains(['*', '?', '[', ']', '{', '}', '\\']) {
            return Ok(Self::Literal(text.to_owned()));
        }
        let glob = Glob::new(text).map_err(|error| {
            format!("has the part `{text}`, which is no pattern: {}; put special characters in `[…]`", error.kind())
        })?;
        Ok(Self::Glob(Box::new(glob.compile_matcher())))
    }
}

impl PartialEq for PathPattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(pattern: &str, way: &str) -> (bool, bool) {
        let pattern = PathPattern::parse(pattern).unwrap();
        let end = way.split('/').skip(1).fold(pattern.begin(), |progress, name| pattern.step(progress, name));
        (pattern.is_match(end), pattern.leads_on(end))
    }

    #[test]
    fn ways_match_or_lead_on_or_neither() {
        for (pattern, way, matches, leads_on) in [
            ("/Plant/*/Speed", "/Plant", false, true),
            ("/Plant/*/Speed", "/Plant/Pump 1", false, true),
            ("/Plant/*/Speed", "/Plant/Pump 1/Speed", true, false),
            ("/Plant/*/Speed", "/Plant/Pump 1/Flow", false, false),
            ("/Plant/*/Speed", "/Plant/A/B/Speed", false, false),
            ("/Plant/**/Speed", "/Plant/Speed", true, true),
            ("/Plant/**/Speed", "/Plant/A/B/Speed", true, true),
            ("/Plant/**", "/Other", false, false),
            ("/**", "/a/b/c", true, true),
            ("/**/a/**/b", "/x/a/b", true, true),
            ("/P[12]/{Speed,Flow}", "/P2/Flow", true, false),
            ("/P[12]/{Speed,Flow}", "/P3", false, false),
            ("/P?/x.y*", "/P9/x.yz", true, false),
        ] {
            assert_eq!(walk(pattern, way), (matches, leads_on), "{pattern} {way}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for (text, reason) in [
            ("Plant/*", "does not begin with a `/`"),
            ("/Plant//x", "has an empty part"),
            ("/[a", "which is no pattern"),
            (&"/a".repeat(61), "more than 60 parts"),
        ] {
            assert!(PathPattern::parse(text).unwrap_err().contains(reason), "{text}");
        }
    }
}
