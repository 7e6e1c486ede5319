//! Collects what is wrong while a file is read, so that the reading never stops at the first error.
//! Knows lines and messages, not what the sections mean.

use std::cell::RefCell;
use std::rc::Rc;

use crate::{ConfigError, ConfigErrors};

/// How sure an error is when the file has syntax errors as well.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sure {
    /// It stands in the file.
    Yes,
    /// Something is missing, perhaps only because a line could not be read.
    UnlessUnread,
}

struct Found {
    line: usize,
    sure: Sure,
    message: String,
}

/// The errors of one file.
pub(crate) struct Report {
    /// The file as it was named.
    pub(crate) file: Rc<str>,
    line_starts: Vec<usize>,
    found: RefCell<Vec<Found>>,
    /// What is wrong with files that this one names.
    elsewhere: RefCell<Vec<ConfigError>>,
    #[cfg(test)]
    pub(crate) asked: RefCell<std::collections::BTreeMap<(&'static str, &'static str), Option<String>>>,
}

impl Report {
    pub(crate) fn new(file: &str, text: &str) -> Self {
        let after_newlines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Self {
            file: file.into(),
            line_starts: std::iter::once(0).chain(after_newlines).collect(),
            found: RefCell::default(),
            elsewhere: RefCell::default(),
            #[cfg(test)]
            asked: RefCell::default(),
        }
    }

    /// The line of a byte, from 1.
    pub(crate) fn line(&self, at: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= at)
    }

    /// File and line of a byte, as errors begin.
    pub(crate) fn place(&self, at: usize) -> String {
        format!("{}:{}", self.file, self.line(at))
    }

    /// Something wrong at a byte.
    pub(crate) fn wrong(&self, at: usize, message: String) {
        self.push(self.line(at), Sure::Yes, message);
    }

    /// Something that is not there, or refers to what is not there.
    pub(crate) fn missing(&self, at: usize, message: String) {
        self.push(self.line(at), Sure::UnlessUnread, message);
    }

    /// Something missing that has no line.
    pub(crate) fn missing_from_file(&self, message: String) {
        self.push(0, Sure::UnlessUnread, message);
    }

    fn push(&self, line: usize, sure: Sure, message: String) {
        self.found.borrow_mut().push(Found { line, sure, message });
    }

    /// What is wrong with a file that this one names.
    pub(crate) fn wrong_elsewhere(&self, errors: Vec<ConfigError>) {
        self.elsewhere.borrow_mut().extend(errors);
    }

    /// How many so far.
    pub(crate) fn count(&self) -> usize {
        self.found.borrow().len() + self.elsewhere.borrow().len()
    }

    /// Everything in the order of lines, once each. `unread`: lines that are no TOML. Then their own values and what
    /// may stand in them is not judged.
    pub(crate) fn finish(self, mut unread: Vec<(usize, String)>) -> Result<(), ConfigErrors> {
        let mut found = self.found.into_inner();
        if !unread.is_empty() {
            found.retain(|f| f.sure == Sure::Yes && unread.iter().all(|(line, _)| *line != f.line));
            unread.sort_by_key(|(line, _)| *line);
            unread.dedup_by_key(|(line, _)| *line);
            found.extend(unread.into_iter().map(|(line, message)| Found { line, sure: Sure::Yes, message }));
        }
        found.sort_by_key(|f| f.line);
        let mut errors: Vec<ConfigError> = found
            .into_iter()
            .map(|f| ConfigError { file: self.file.to_string(), line: f.line, message: f.message })
            .collect();
        errors.extend(self.elsewhere.into_inner());
        errors.dedup();
        if errors.is_empty() { Ok(()) } else { Err(ConfigErrors(errors)) }
    }
}
