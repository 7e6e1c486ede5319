//! Browse paths from the Objects folder, as people write them: `/Plant/Pump/Speed`, with a namespace where it matters.
//! Knows their form, not how a server is asked for them.

use std::fmt;

use crate::Namespace;
use crate::node::{NodeAddressError, namespace, wrong};

/// A way from the Objects folder to a node, by browse names (OPC 10000-4 §A.2, hierarchical references alone).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BrowsePath {
    /// The namespace of every part that names none itself; `None`: any.
    pub namespace: Option<Namespace>,
    /// Its parts, one at least.
    pub parts: Vec<PathPart>,
}

/// One browse name of a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PathPart {
    /// The index of its own namespace, written before it: `0:Server`.
    pub namespace: Option<u16>,
    /// The name.
    pub name: String,
}

/// Longer ways are mistakes.
const PARTS_MAX: usize = 64;

impl BrowsePath {
    /// Whether a text is meant to be a path: it begins with a `/`, after its namespace if it has one.
    #[must_use]
    pub fn is_meant(text: &str) -> bool {
        let is_prefixed = text.starts_with("ns=") || text.starts_with("nsu=");
        let rest = if is_prefixed { text.split_once(';').map_or("", |(_, rest)| rest) } else { text };
        rest.starts_with('/')
    }

    /// Reads a path. In a name, `&` stands before a `/`, `:` or `&` that belongs to it.
    ///
    /// # Errors
    /// Says which part does not fit.
    pub fn parse(text: &str) -> Result<Self, NodeAddressError> {
        let (default, rest) = match namespace(text)? {
            (Namespace::Index(0), rest) if rest.len() == text.len() => (None, rest),
            (namespace, rest) => (Some(namespace), rest),
        };
        let rest = rest.strip_prefix('/').ok_or_else(|| wrong(format!("`{rest}` does not begin with a `/`")))?;
        let parts = split(rest)?.into_iter().map(|part| PathPart::parse(&part)).collect::<Result<Vec<_>, _>>()?;
        if parts.len() > PARTS_MAX {
            return Err(wrong(format!("the path has more than {PARTS_MAX} parts")));
        }
        Ok(Self { namespace: default, parts })
    }
}

/// The parts between slashes, each still with its escapes: as (character, whether it was escaped).
fn split(text: &str) -> Result<Vec<Vec<(char, bool)>>, NodeAddressError> {
    let mut parts = vec![Vec::new()];
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let (taken, escaped) = match character {
            '&' => (characters.next().ok_or_else(|| wrong("there is nothing after the last `&`".into()))?, true),
            other => (other, false),
        };
        match (parts.last_mut(), taken, escaped) {
            (Some(_), '/', false) => parts.push(Vec::new()),
            (Some(part), ..) => part.push((taken, escaped)),
            (None, ..) => {}
        }
    }
    Ok(parts)
}

impl PathPart {
    fn parse(part: &[(char, bool)]) -> Result<Self, NodeAddressError> {
        let colon = part.iter().position(|found| *found == (':', false));
        let digits = |part: &[(char, bool)]| part.iter().map(|(c, _)| *c).collect::<String>();
        let (namespace, name) = match colon.and_then(|at| part.split_at_checked(at)) {
            Some((index, name)) if !index.is_empty() && index.iter().all(|(c, _)| c.is_ascii_digit()) => {
                let index = digits(index);
                let parsed = index.parse().map_err(|_| wrong(format!("`{index}:` is no namespace up to 65535")))?;
                (Some(parsed), name.get(1..).unwrap_or_default())
            }
            _ => (None, part),
        };
        let name = digits(name);
        if name.is_empty() || name.chars().any(char::is_control) {
            return Err(wrong("the path has an empty part or one with a control character".into()));
        }
        Ok(Self { namespace, name })
    }
}

impl fmt::Display for BrowsePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(namespace) = &self.namespace {
            match namespace {
                Namespace::Index(index) => write!(f, "ns={index};")?,
                Namespace::Uri(_) => write!(f, "{namespace}")?,
            }
        }
        self.parts.iter().try_for_each(|part| write!(f, "/{part}"))
    }
}

impl fmt::Display for PathPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(index) = self.namespace {
            write!(f, "{index}:")?;
        }
        f.write_str(&escaped(&self.name))
    }
}

/// A name with `&` before what has a meaning in paths.
fn escaped(name: &str) -> String {
    name.replace('&', "&&").replace('/', "&/").replace(':', "&:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_and_written_back() {
        for text in [
            "/Plant/Pump/Speed",
            "ns=2;/Plant/Pump/0:Speed",
            "nsu=http://vendor.example/plc;/Plant/A&/B/Speed",
            "ns=0;/Server",
            "/2:Plant/a&:b/c&&d/Line 1",
        ] {
            assert!(BrowsePath::is_meant(text), "{text}");
            assert_eq!(BrowsePath::parse(text).unwrap().to_string(), text);
        }
        let path = BrowsePath::parse("nsu=urn:plc;/Plant/0:A&/B").unwrap();
        assert_eq!(path.namespace, Some(Namespace::Uri("urn:plc".into())));
        assert_eq!(path.parts[1], PathPart { namespace: Some(0), name: "A/B".into() });
        let words = BrowsePath::parse("/a:b").unwrap();
        assert_eq!(words.parts[0], PathPart { namespace: None, name: "a:b".into() });
    }

    #[test]
    fn what_is_no_path_is_refused_with_its_reason() {
        assert!(!BrowsePath::is_meant("ns=2;s=/Plant") && !BrowsePath::is_meant("s=a;/b"));
        for (text, reason) in [
            ("/", "the path has an empty part"),
            ("/a//b", "the path has an empty part"),
            ("/a/", "the path has an empty part"),
            ("/a&", "there is nothing after the last `&`"),
            ("/70000:a", "`70000:` is no namespace"),
            ("ns=x;/a", "the namespace is no number"),
            ("nsu=;/a", "the namespace URI is empty"),
        ] {
            let error = BrowsePath::parse(text).unwrap_err().to_string();
            assert!(error.starts_with(reason), "{text}: {error}");
        }
    }
}
