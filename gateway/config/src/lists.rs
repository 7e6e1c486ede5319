//! Which of the lists that a configuration names are read: those that people keep in a spreadsheet are made and put in their
//! place with the program's help, and the configuration may name them before they are there.

use std::path::Path;

/// How the lists of alarms and of texts are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lists<'p> {
    /// As they are named; one that is not there is a mistake.
    #[default]
    AsNamed,
    /// One that is not there is empty: for whoever is about to make it.
    AsFarAsThere,
    /// This list of alarms, in the place of the one that is named.
    WithAlarms(&'p Path),
}

impl<'p> Lists<'p> {
    /// The list of alarms that is read, if any is.
    pub(crate) fn alarms(self, named: Option<&'p Path>) -> Option<&'p Path> {
        match self {
            Self::WithAlarms(given) => Some(given),
            Self::AsNamed | Self::AsFarAsThere => self.texts(named),
        }
    }

    /// The list of texts that is read, if any is.
    pub(crate) fn texts(self, named: Option<&'p Path>) -> Option<&'p Path> {
        named.filter(|file| self != Self::AsFarAsThere || file.exists())
    }
}
