//! A part of a value: `[3]`, `[1,2]`, `axis.position`, `axes[2].torque`. Knows no value.

use std::fmt;

/// A step into a value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ElementStep {
    /// A member of a structure, by its name.
    Member(String),
    /// An element of an array, an index for each of its dimensions, from 0.
    Index(Vec<u32>),
}

/// The way from a node's value to the part of it that a signal is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ElementPath(Vec<ElementStep>);

/// A text that names no part of a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` names no part of a value; write `[3]`, `[1,2]`, `member`, or `member[3].part`, or `[0:9]` for ten signals"
)]
pub struct ElementError(pub String);

/// More signals than this come of no single range.
const RANGE_MAX: u32 = 10_000;

impl ElementPath {
    /// Reads a path. A range as its last step, `[0:9]`, gives a path for each index in it, which is also the last part
    /// of the signal's name.
    ///
    /// # Errors
    /// When it is no path, or its range is empty or larger than 10,000.
    pub fn parse(text: &str) -> Result<Vec<(Option<u32>, Self)>, ElementError> {
        let error = || ElementError(text.to_owned());
        let mut steps = Vec::new();
        let mut range = None;
        let mut rest = text.trim();
        while !rest.is_empty() {
            if range.is_some() {
                return Err(error());
            }
            if let Some(inner) = rest.strip_prefix('[') {
                let (indexes, after) = inner.split_once(']').ok_or_else(error)?;
                match indexes.split_once(':') {
                    Some((first, last)) => range = Some((index(first, text)?, index(last, text)?)),
                    None => steps.push(ElementStep::Index(
                        indexes.split(',').map(|one| index(one, text)).collect::<Result<_, _>>()?,
                    )),
                }
                rest = after;
                if let Some(member) = rest.strip_prefix('.') {
                    rest = member;
                    if rest.is_empty() || rest.starts_with('[') {
                        return Err(error());
                    }
                } else if !rest.is_empty() && !rest.starts_with('[') {
                    return Err(error());
                }
            } else {
                let end = rest.find(['.', '[']).unwrap_or(rest.len());
                let (member, after) = rest.split_at_checked(end).ok_or_else(error)?;
                if member.is_empty() || member.contains(']') {
                    return Err(error());
                }
                steps.push(ElementStep::Member(member.to_owned()));
                rest = after.strip_prefix('.').unwrap_or(after);
                if after == "." || (after.starts_with('.') && rest.starts_with('[')) {
                    return Err(error());
                }
            }
        }
        match range {
            None if steps.is_empty() => Err(error()),
            None => Ok(vec![(None, Self(steps))]),
            Some((first, last)) if first <= last && last - first < RANGE_MAX => Ok((first..=last)
                .map(|at| {
                    let mut steps = steps.clone();
                    steps.push(ElementStep::Index(vec![at]));
                    (Some(at), Self(steps))
                })
                .collect()),
            Some(_) => Err(error()),
        }
    }

    /// Its steps, at least one.
    #[must_use]
    pub fn steps(&self) -> &[ElementStep] {
        &self.0
    }
}

fn index(digits: &str, text: &str) -> Result<u32, ElementError> {
    digits.trim().parse().map_err(|_| ElementError(text.to_owned()))
}

impl fmt::Display for ElementPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            match step {
                ElementStep::Member(name) if at == 0 => f.write_str(name)?,
                ElementStep::Member(name) => write!(f, ".{name}")?,
                ElementStep::Index(indexes) => {
                    let indexes: Vec<_> = indexes.iter().map(ToString::to_string).collect();
                    write!(f, "[{}]", indexes.join(","))?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_and_written_alike() {
        for text in ["[0]", "[1,2]", "a", "axis.position", "axes[2].torque", "a[1][2]", "a.b.c[3]"] {
            let paths = ElementPath::parse(text).unwrap();
            assert_eq!(paths.len(), 1);
            assert_eq!((paths[0].0, paths[0].1.to_string()), (None, text.to_owned()));
        }
    }

    #[test]
    fn a_range_is_a_path_for_each_index() {
        let paths = ElementPath::parse("axes[8:10]").unwrap();
        let written: Vec<_> = paths.iter().map(|(at, path)| (at.unwrap(), path.to_string())).collect();
        assert_eq!(written, [(8, "axes[8]".to_owned()), (9, "axes[9]".to_owned()), (10, "axes[10]".to_owned())]);
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for text in
            ["", " ", "[", "[]", "[a]", "[-1]", "a.", ".a", "a..b", "a.[1]", "[1]a", "[1].", "[3:1]", "[0:10000]"]
        {
            assert!(ElementPath::parse(text).is_err(), "{text}");
        }
        for text in ["[1:2].a", "[1:2][3]", "a]"] {
            assert!(ElementPath::parse(text).unwrap_err().to_string().contains(text), "{text}");
        }
    }
}
