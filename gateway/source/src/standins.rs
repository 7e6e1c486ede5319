//! Which of the servers that stand in for each other is read, as those see it who wait for what only another one may have.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// How many servers there are, and which is read. More than 64 are taken for 64.
#[derive(Clone, Debug)]
pub(crate) struct StandIns {
    at: usize,
    set: Arc<Set>,
}

#[derive(Debug)]
struct Set {
    count: AtomicUsize,
    /// Whether one of them was asked which others there are.
    is_told: AtomicBool,
}

impl Default for StandIns {
    /// One server, alone.
    fn default() -> Self {
        let alone = Self::new(1);
        alone.learn(1);
        alone
    }
}

impl StandIns {
    /// So many are configured; whether they name others is not known yet.
    pub(crate) fn new(configured: usize) -> Self {
        let set = Set { count: AtomicUsize::new(configured), is_told: AtomicBool::new(false) };
        Self { at: 0, set: Arc::new(set) }
    }

    /// The same while the one at this place is read.
    pub(crate) fn at(&self, at: usize) -> Self {
        Self { at, set: self.set.clone() }
    }

    /// So many there are, now that one was asked.
    pub(crate) fn learn(&self, count: usize) {
        self.set.count.store(count, Ordering::Relaxed);
        self.set.is_told.store(true, Ordering::Release);
    }

    /// Whether there is any beside the one that is read, or may be: none was asked yet.
    pub(crate) fn may_have_others(&self) -> bool {
        self.set.count.load(Ordering::Relaxed) > 1 || !self.set.is_told.load(Ordering::Acquire)
    }

    /// The one that is read, among bits for all of them.
    pub(crate) fn bit(&self) -> u64 {
        1 << self.at.min(63)
    }

    /// Whether these are all there are. Not before one was asked which there are.
    pub(crate) fn were_all(&self, bits: u64) -> bool {
        let is_told = self.set.is_told.load(Ordering::Acquire);
        let count = self.set.count.load(Ordering::Relaxed);
        let all = if count >= 64 { u64::MAX } else { (1 << count) - 1 };
        is_told && bits & all == all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_given_up_before_each_server_was_asked_and_each_is_known() {
        let alone = StandIns::default();
        assert_eq!((alone.may_have_others(), alone.were_all(alone.bit())), (false, true));
        let first = StandIns::new(1);
        assert_eq!((first.may_have_others(), first.were_all(first.bit())), (true, false), "it may name others");
        first.learn(2);
        let second = first.at(1);
        assert!(first.may_have_others() && !first.were_all(first.bit()) && !second.were_all(second.bit()));
        assert!(second.were_all(first.bit() | second.bit()));
        first.learn(100);
        assert!(!second.were_all(u64::MAX >> 1) && first.at(80).were_all(u64::MAX));
    }
}
