//! What a server sends that cannot be, or that is not as it says itself: told once on each connection, with the first signal
//! concerned. What is done with it is for others.

use crate::received::{Odd, Received};
use crate::watched::Roster;

/// What has been told.
#[derive(Debug, Default)]
pub(super) struct Lies {
    strangers: bool,
    backwards: bool,
    no_numbers: bool,
    numbers_anew: bool,
}

impl Lies {
    /// Tells of what is odd in messages.
    pub(super) fn look(&mut self, received: &Received, source: &str, roster: &Roster) {
        if received.strangers > 0 && is_first(&mut self.strangers) {
            let values = received.strangers;
            tracing::warn!(source, values, "the server sends values of handles that nobody gave out; skipped");
        }
        if let Some((signal, values)) = first_of(received.backwards, &mut self.backwards, roster) {
            tracing::warn!(
                source,
                signal,
                values,
                "the server gives values times more than a second before those of the ones before them; recorded as they are"
            );
        }
        if let Some((signal, values)) = first_of(received.no_numbers, &mut self.no_numbers, roster) {
            tracing::warn!(
                source,
                signal,
                values,
                "the server sends values of another type than it says its nodes have; recorded as they are"
            );
        }
    }

    /// Tells that the numbers of messages begin anew, from this one on.
    pub(super) fn begin_anew(&mut self, number: u32, source: &str) {
        if is_first(&mut self.numbers_anew) {
            tracing::warn!(
                source,
                number,
                "the server begins the numbers of its messages anew; what was between is not known"
            );
        }
    }
}

fn is_first(told: &mut bool) -> bool {
    !std::mem::replace(told, true)
}

/// The signal's name and the number of values, where that has not been told.
fn first_of<'a>(odd: Odd, told: &mut bool, roster: &'a Roster) -> Option<(&'a str, usize)> {
    let watched = roster.get(odd.first?)?;
    is_first(told).then(|| (watched.name(), odd.count))
}
