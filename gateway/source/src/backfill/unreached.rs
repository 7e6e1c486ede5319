//! Times in which a server said that a signal was out of its reach: asked for a few times, and fewer of them than of gaps.
//! Those that are still to be asked for are told to the log, and taken up after a start.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Duration;

use tokio::time::Instant as Timer;
use watchfire_config::ElementPath;
use watchfire_model::{Awaited, Awaits, Gap, GapCause, Instant, SignalId};

use super::hole::Hole;
use super::{Backfill, WAITING_MAX};
use crate::watched::Roster;

/// When a time in which a server said that a signal is out of its reach is asked for: each after the one before, in
/// multiples of the time by which a history lies behind. The last one is later than a gateway's own last question.
pub(super) const UNREACHED: [u32; 4] = [5, 30, 300, 900];
/// So many such times of one signal wait; of more the oldest are left. They have been asked for most.
pub(super) const UNREACHED_MAX: usize = 8;
/// And so many of all signals; of more those wait no longer that would wait longest, which have been asked for most.
pub(super) const UNREACHED_ALL_MAX: usize = WAITING_MAX / 16;

/// One that is still to be asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unreached {
    /// When, and its number.
    key: (Timer, u64),
    signal: SignalId,
    /// Up to here it is fetched.
    since: Instant,
    until: Instant,
}

impl Backfill {
    /// Notes a time in which the signal at a place was out of reach of its server. `lag`: a server's history may lie
    /// behind its subscriptions by so much.
    pub(crate) fn add_unreached(&mut self, at: usize, gap: &Gap, element: Option<Box<ElementPath>>, lag: Duration) {
        self.lag = lag;
        if let Some(hole) = self.enter(at, gap, element) {
            self.ask_later(hole);
        }
    }

    /// Counts it among those that are to be asked for, where there is room.
    fn enter(&mut self, at: usize, gap: &Gap, element: Option<Box<ElementPath>>) -> Option<Hole> {
        let signal = gap.signal?;
        if let Some(of_it) = self.unreached_of.get_mut(&at).filter(|of_it| of_it.len() >= UNREACHED_MAX)
            && let Some(oldest) = of_it.pop_front()
        {
            self.unreached.remove(&oldest.key);
            self.unreached_count -= 1;
        }
        if self.is_full() || (self.unreached_count >= UNREACHED_ALL_MAX && !self.displace()) {
            self.unreached_left += 1;
            return None;
        }
        self.unreached_last += 1;
        let key = (Timer::now(), self.unreached_last);
        let waiting = Unreached { key, signal, since: gap.since, until: gap.until };
        self.unreached_of.entry(at).or_default().push_back(waiting);
        self.unreached_count += 1;
        Some(Hole::new(at, signal, element, gap).unreached(self.unreached_last))
    }

    /// Those that are still to be asked for. Costs by them.
    pub(crate) fn awaited(&self) -> impl Iterator<Item = Awaited> + '_ {
        self.unreached_of.values().flatten().map(|Unreached { signal, since, until, .. }| Awaited {
            signal: *signal,
            since: *since,
            what: Awaits::History { until: *until },
        })
    }

    /// Takes up those that were still to be asked for when the gateway ended: as if each had ended when it is known that
    /// the server keeps the signal's history.
    pub(crate) fn take_up_unreached(&mut self, awaited: &[Awaited], roster: &Roster, lag: Duration) {
        self.lag = lag;
        if !awaited.iter().any(|awaited| matches!(awaited.what, Awaits::History { .. })) {
            return;
        }
        let places: HashMap<SignalId, usize> = roster.ids().into_iter().zip(0..).collect();
        for awaited in awaited {
            let (Awaits::History { until }, Some(at)) = (awaited.what, places.get(&awaited.signal)) else { continue };
            let element = roster.get(*at).and_then(|watched| watched.config.element.clone());
            let signal = Some(awaited.signal);
            let gap = Gap { signal, since: awaited.since, until, cause: GapCause::SourceLost };
            if let Some(hole) = self.enter(*at, &gap, element) {
                self.set_aside(hole);
            }
        }
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
        let mut of_it = self.unreached_of.get_mut(&hole.at).into_iter().flatten();
        // Newer ones may have taken its place while it was asked for.
        let Some(waiting) = of_it.find(|waiting| Some(waiting.key.1) == hole.unreached) else { return };
        waiting.key.0 = Timer::now() + self.lag * *times;
        waiting.since = hole.filled;
        hole.passes += 1;
        self.unreached.insert(waiting.key, hole);
    }

    /// A time that was out of reach is not asked for any more.
    pub(super) fn forget(&mut self, hole: &Hole) {
        if let (Some(number), Entry::Occupied(mut of_it)) = (hole.unreached, self.unreached_of.entry(hole.at)) {
            let before = of_it.get().len();
            of_it.get_mut().retain(|other| other.key.1 != number);
            self.unreached_count -= before - of_it.get().len();
            if of_it.get().is_empty() {
                of_it.remove();
            }
        }
    }
}
