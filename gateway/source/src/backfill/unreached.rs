//! Times in which a server said that a signal was out of its reach: asked for a few times, and fewer of them than of gaps.

use std::collections::hash_map::Entry;
use std::time::Duration;

use tokio::time::Instant as Timer;
use watchfire_config::ElementPath;
use watchfire_model::Gap;

use super::hole::Hole;
use super::{Backfill, WAITING_MAX};

/// When a time in which a server said that a signal is out of its reach is asked for: each after the one before, in
/// multiples of the time by which a history lies behind. The last one is later than a gateway's own last question.
pub(super) const UNREACHED: [u32; 4] = [5, 30, 300, 900];
/// So many such times of one signal wait; of more the oldest are left. They have been asked for most.
pub(super) const UNREACHED_MAX: usize = 8;
/// And so many of all signals; of more those wait no longer that would wait longest, which have been asked for most.
pub(super) const UNREACHED_ALL_MAX: usize = WAITING_MAX / 16;

impl Backfill {
    /// Notes a time in which the signal at a place was out of reach of its server. `lag`: a server's history may lie
    /// behind its subscriptions by so much.
    pub(crate) fn add_unreached(&mut self, at: usize, gap: &Gap, element: Option<Box<ElementPath>>, lag: Duration) {
        let Some(signal) = gap.signal else { return };
        if let Some(of_it) = self.unreached_of.get_mut(&at).filter(|of_it| of_it.len() >= UNREACHED_MAX)
            && let Some(oldest) = of_it.pop_front()
        {
            self.unreached.remove(&oldest);
            self.unreached_count -= 1;
        }
        if self.is_full() || (self.unreached_count >= UNREACHED_ALL_MAX && !self.displace()) {
            self.unreached_left += 1;
            return;
        }
        (self.lag, self.unreached_last) = (lag, self.unreached_last + 1);
        self.unreached_of.entry(at).or_default().push_back((Timer::now(), self.unreached_last));
        self.unreached_count += 1;
        self.ask_later(Hole::new(at, signal, element, gap).unreached(self.unreached_last));
    }

    /// Makes room where a time that was out of reach waits; answers whether there was one.
    pub(super) fn displace(&mut self) -> bool {
        let Some((_, hole)) = self.unreached.pop_last() else { return false };
        self.forget(&hole);
        self.unreached_left += 1;
        true
    }

    /// Lets a time that was out of reach wait until it is asked for again; after the last time it is done.
    pub(super) fn ask_later(&mut self, mut hole: Hole) {
        let Some(times) = UNREACHED.get(hole.passes) else {
            self.forget(&hole);
            return;
        };
        let key = self.unreached_of.get_mut(&hole.at).into_iter().flatten().find(|key| Some(key.1) == hole.unreached);
        // Newer ones may have taken its place while it was asked for.
        let Some(key) = key else { return };
        key.0 = Timer::now() + self.lag * *times;
        hole.passes += 1;
        self.unreached.insert(*key, hole);
    }

    /// A time that was out of reach is not asked for any more.
    pub(super) fn forget(&mut self, hole: &Hole) {
        if let (Some(number), Entry::Occupied(mut of_it)) = (hole.unreached, self.unreached_of.entry(hole.at)) {
            let before = of_it.get().len();
            of_it.get_mut().retain(|(_, other)| *other != number);
            self.unreached_count -= before - of_it.get().len();
            if of_it.get().is_empty() {
                of_it.remove();
            }
        }
    }
}
