//! Sequence numbers of notification messages (OPC 10000-4 §5.14.1.1): which came, which are missing.

use std::collections::VecDeque;

/// So many numbers that have passed are known.
const KNOWN_MAX: usize = 128;
/// So many missing messages are waited for; of more none will come.
const MISSING_MAX: u32 = 64;

/// What a message's number says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrived {
    /// The one that was due.
    Next,
    /// It came before, perhaps by Republish, or it was already taken for lost.
    Again,
    /// It is behind and did not come before: the server has begun its numbers anew, and what was between is not known.
    Anew,
    /// So many before it are missing, from this number on.
    After {
        /// The first that is missing.
        first: u32,
        /// How many.
        count: u32,
    },
}

/// What is known of a number that has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Passed {
    /// Its message did not come, and was asked for again.
    Missing,
    /// It came, with what its message is known by beside the number; `None`: by nothing.
    Came(Option<u64>),
}

/// The numbers of one subscription. They begin at 1 and skip 0 when they wrap.
#[derive(Debug)]
pub(crate) struct Sequence {
    next: u32,
    /// The last numbers that have passed.
    known: VecDeque<(u32, Passed)>,
}

impl Sequence {
    pub(crate) const fn new() -> Self {
        Self { next: 1, known: VecDeque::new() }
    }

    /// Judges a message, by its number and its [`stamp`](crate::stamp), and expects the one after it. One that is behind and
    /// has no stamp is taken for a new one: a value that is recorded twice does less harm than one that is lost unseen.
    pub(crate) fn message(&mut self, number: u32, stamp: Option<u64>) -> Arrived {
        let mut arrived = self.judge(number);
        if arrived == Arrived::Again {
            let is_it = |passed: Passed| match passed {
                Passed::Missing => true,
                Passed::Came(known) => known.is_some() && known == stamp,
            };
            if self.known.iter().any(|(known, passed)| *known == number && is_it(*passed)) {
                return arrived;
            }
            self.known.clear();
            arrived = Arrived::Anew;
        }
        self.note_missing(arrived);
        self.note(number, Passed::Came(stamp));
        self.next = after(number);
        arrived
    }

    /// Judges a keep-alive, which bears the number of the message to come. One that is behind says nothing: some servers
    /// put the number of the last message there.
    pub(crate) fn keep_alive(&mut self, number: u32) -> Arrived {
        let arrived = self.judge(number);
        if arrived != Arrived::Again {
            self.note_missing(arrived);
            self.next = number;
        }
        arrived
    }

    fn note_missing(&mut self, arrived: Arrived) {
        if let Arrived::After { first, count } = arrived
            && count <= MISSING_MAX
        {
            let mut number = first;
            for _ in 0..count {
                self.note(number, Passed::Missing);
                number = after(number);
            }
        }
    }

    fn note(&mut self, number: u32, passed: Passed) {
        if self.known.len() >= KNOWN_MAX {
            self.known.pop_front();
        }
        self.known.push_back((number, passed));
    }

    const fn judge(&self, number: u32) -> Arrived {
        let ahead = number.wrapping_sub(self.next);
        if ahead == 0 {
            Arrived::Next
        } else if ahead < 1 << 31 {
            // Past the wrap one number less is missing, since there is no 0.
            let count = if number < self.next { ahead - 1 } else { ahead };
            if count == 0 { Arrived::Next } else { Arrived::After { first: self.next, count } }
        } else {
            Arrived::Again
        }
    }
}

/// The number after `number`.
pub(crate) const fn after(number: u32) -> u32 {
    match number.wrapping_add(1) {
        0 => 1,
        next => next,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_and_repeated_messages_are_seen() {
        let mut sequence = Sequence::new();
        assert_eq!(sequence.message(1, Some(10)), Arrived::Next);
        assert_eq!(sequence.keep_alive(2), Arrived::Next);
        assert_eq!(sequence.message(2, Some(20)), Arrived::Next);
        assert_eq!(sequence.message(5, Some(50)), Arrived::After { first: 3, count: 2 });
        assert_eq!(sequence.message(4, Some(40)), Arrived::Again, "it has been asked for");
        assert_eq!(sequence.message(5, Some(50)), Arrived::Again);
        assert_eq!(sequence.keep_alive(8), Arrived::After { first: 6, count: 2 });
        assert_eq!(sequence.keep_alive(7), Arrived::Again);
        assert_eq!(sequence.message(8, Some(80)), Arrived::Next);
    }

    #[test]
    fn numbers_that_begin_anew_are_no_repeated_messages() {
        let mut sequence = Sequence::new();
        for number in 1..=5 {
            assert_eq!(sequence.message(number, Some(number.into())), Arrived::Next);
        }
        assert_eq!(sequence.message(1, Some(6)), Arrived::Anew, "one that is known, of another time");
        assert_eq!(sequence.message(2, Some(7)), Arrived::Next);
        assert_eq!(sequence.message(2, Some(7)), Arrived::Again);
        for number in 3..1_000 {
            sequence.message(number, Some(u64::from(number) + 10));
        }
        assert_eq!(sequence.message(7, Some(17)), Arrived::Anew, "one of long ago");
        let mut sequence = Sequence::new();
        assert_eq!((sequence.message(0, Some(1)), sequence.message(1, Some(2))), (Arrived::Anew, Arrived::Next));
    }

    #[test]
    fn what_nothing_tells_from_another_message_is_not_taken_for_it() {
        let mut sequence = Sequence::new();
        for number in 1..=5 {
            assert_eq!(sequence.message(number, None), Arrived::Next);
        }
        assert_eq!((sequence.message(1, None), sequence.message(2, None)), (Arrived::Anew, Arrived::Next));
        assert_eq!(sequence.message(4, None), Arrived::After { first: 3, count: 1 });
        assert_eq!(sequence.message(3, None), Arrived::Again, "it has been asked for");
    }

    #[test]
    fn numbers_wrap_past_zero() {
        let at_the_end = || Sequence { next: u32::MAX, known: VecDeque::new() };
        let mut sequence = at_the_end();
        assert_eq!(sequence.message(u32::MAX, Some(1)), Arrived::Next);
        assert_eq!(sequence.message(1, Some(2)), Arrived::Next);
        assert_eq!(at_the_end().message(2, Some(1)), Arrived::After { first: u32::MAX, count: 2 });
        assert_eq!(after(u32::MAX), 1);
    }
}
