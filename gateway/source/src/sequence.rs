//! Sequence numbers of notification messages (OPC 10000-4 §5.14.1.1): which came, which are missing.

/// What a message's number says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrived {
    /// The one that was due.
    Next,
    /// It came before, perhaps by Republish.
    Again,
    /// So many before it are missing, from this number on.
    After {
        /// The first that is missing.
        first: u32,
        /// How many.
        count: u32,
    },
}

/// The numbers of one subscription. They begin at 1 and skip 0 when they wrap.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sequence {
    next: u32,
}

impl Sequence {
    pub(crate) const fn new() -> Self {
        Self { next: 1 }
    }

    /// Judges a message and expects the one after it.
    pub(crate) fn message(&mut self, number: u32) -> Arrived {
        let arrived = self.judge(number);
        if arrived != Arrived::Again {
            self.next = after(number);
        }
        arrived
    }

    /// Judges a keep-alive, which bears the number of the message to come.
    pub(crate) fn keep_alive(&mut self, number: u32) -> Arrived {
        let arrived = self.judge(number);
        if arrived != Arrived::Again {
            self.next = number;
        }
        arrived
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
        assert_eq!(sequence.message(1), Arrived::Next);
        assert_eq!(sequence.keep_alive(2), Arrived::Next);
        assert_eq!(sequence.message(2), Arrived::Next);
        assert_eq!(sequence.message(5), Arrived::After { first: 3, count: 2 });
        assert_eq!(sequence.message(4), Arrived::Again);
        assert_eq!(sequence.keep_alive(8), Arrived::After { first: 6, count: 2 });
        assert_eq!(sequence.message(8), Arrived::Next);
    }

    #[test]
    fn numbers_wrap_past_zero() {
        let mut sequence = Sequence { next: u32::MAX };
        assert_eq!(sequence.message(u32::MAX), Arrived::Next);
        assert_eq!(sequence.message(1), Arrived::Next);
        let mut sequence = Sequence { next: u32::MAX };
        assert_eq!(sequence.message(2), Arrived::After { first: u32::MAX, count: 2 });
        assert_eq!(after(u32::MAX), 1);
    }
}
