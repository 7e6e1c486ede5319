//! What comes of messages, for whoever hands it in and says what is odd in it.

use watchfire_model::{Gap, Rows};

/// What is received is turned into this.
#[derive(Debug, Default)]
pub(crate) struct Received {
    pub rows: Rows,
    pub gaps: Vec<Gap>,
    /// The places of the gaps' signals.
    pub places: Vec<usize>,
    /// Times in which signals were out of reach of their server, by the signals' places.
    pub unreached: Vec<(usize, Gap)>,
    /// Whether conditions have changed without events.
    pub refresh: bool,
    /// Values and events of handles that nobody gave out.
    pub strangers: usize,
    /// Values whose sources' times lie before those of the values before them.
    pub backwards: Odd,
    /// Values that are no numbers, of nodes that are numbers as their server says.
    pub no_numbers: Odd,
}

/// Values that are not as they should be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Odd {
    pub count: usize,
    /// The place of the first one's signal.
    pub first: Option<usize>,
}

impl Odd {
    pub(crate) fn note(&mut self, at: usize) {
        self.count += 1;
        self.first.get_or_insert(at);
    }
}
