//! Tells the log what is still to come of a source's signals, so that a restart of the gateway goes on with it: now and
//! then, since nearly all of it comes within moments, and only what has changed. Outlasts connections.
//!
//! A time out of reach is told once it is there at a second look, and how far the history of one has been fetched only at
//! the end: to fetch it again changes nothing, and of a signal that is out of reach every minute there would be no end of it.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant as Timer;
use watchfire_model::{Awaited, Awaits};
use watchfire_pipeline::Arrival;

/// What the log has of it, and when to tell it again.
#[derive(Debug)]
pub(crate) struct Told {
    /// By [`Awaited::key`].
    told: Vec<Awaited>,
    /// What was seen of times out of reach at the last look, and is not told yet; in the same order.
    seen: Vec<Awaited>,
    every: Duration,
    due: Option<Timer>,
    /// Whether it was told since the source came up.
    is_known: bool,
}

impl Told {
    pub(crate) const fn new(every: Duration) -> Self {
        Self { told: Vec::new(), seen: Vec::new(), every, due: None, is_known: false }
    }

    /// How often it is told.
    pub(crate) const fn set_every(&mut self, every: Duration) {
        self.every = every;
    }

    /// What the log has from before the start.
    pub(crate) fn recorded(&mut self, awaited: &[Awaited]) {
        self.told = awaited.to_vec();
        sort(&mut self.told);
    }

    /// The source comes up: says that it is not known yet which of its signals are watched.
    pub(crate) fn begin(&mut self, source: Arc<str>) -> Arrival {
        (self.due, self.is_known) = (Some(Timer::now() + self.every), false);
        Arrival::Awaited { source, is_known: false, awaited: Vec::new(), settled: Vec::new() }
    }

    /// The source is not up.
    pub(crate) const fn pause(&mut self) {
        self.due = None;
    }

    /// When to tell it.
    pub(crate) const fn due(&self) -> Option<Timer> {
        self.due
    }

    /// What has changed since it was told; `None`: nothing has. `is_end`: there is no second look.
    pub(crate) fn tell(&mut self, source: Arc<str>, mut now: Vec<Awaited>, is_end: bool) -> Option<Arrival> {
        self.due = Some(Timer::now() + self.every);
        sort(&mut now);
        let (mut awaited, mut settled) = (Vec::new(), Vec::new());
        let (mut told, mut seen) = (Vec::with_capacity(now.len()), Vec::new());
        let (mut before, mut after) = (self.told.iter().peekable(), now.iter().peekable());
        loop {
            let order = match (before.peek(), after.peek()) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(before), Some(after)) => before.key().cmp(&after.key()),
            };
            let old = if order.is_le() { before.next() } else { None };
            let new = if order.is_ge() { after.next() } else { None };
            let Some(new) = new else {
                settled.extend(old.map(Awaited::key));
                continue;
            };
            if let Some(old) = old.filter(|old| if is_end { *old == new } else { is_told_by(old, new) }) {
                told.push(*old);
            } else if is_end || !waits_for_a_second_look(new) || has(&self.seen, new) {
                awaited.push(*new);
                told.push(*new);
            } else {
                // Until then what was told holds: it may only be too much.
                told.extend(old);
                seen.push(*new);
            }
        }
        (self.told, self.seen) = (told, seen);
        let was_known = std::mem::replace(&mut self.is_known, true);
        let is_news = !was_known || !awaited.is_empty() || !settled.is_empty();
        is_news.then_some(Arrival::Awaited { source, is_known: true, awaited, settled })
    }
}

/// Whether nothing need be told of one since another one was.
fn is_told_by(told: &Awaited, new: &Awaited) -> bool {
    told == new || matches!(new.what, Awaits::History { .. })
}

const fn waits_for_a_second_look(awaited: &Awaited) -> bool {
    matches!(awaited.what, Awaits::Reach | Awaits::History { .. })
}

/// Whether one of those, by key, is it.
fn has(seen: &[Awaited], awaited: &Awaited) -> bool {
    let at = seen.binary_search_by_key(&awaited.key(), Awaited::key);
    at.ok().and_then(|at| seen.get(at)).is_some_and(|seen| is_told_by(seen, awaited))
}

/// By key, and of one key the earliest.
fn sort(awaited: &mut Vec<Awaited>) {
    awaited.sort_unstable_by_key(|awaited| (awaited.key(), awaited.since));
    awaited.dedup_by_key(|awaited| awaited.key());
}

#[cfg(test)]
mod tests {
    use super::*;
    use watchfire_model::{AwaitedKey, Instant, Known, SignalId};

    fn history(signal: u32, since: i64, until: i64) -> Awaited {
        let what = Awaits::History { until: Instant::from_s(until) };
        Awaited { signal: SignalId(signal), since: Instant::from_s(since), what }
    }

    fn away(signal: u32, since: i64) -> Awaited {
        Awaited { signal: SignalId(signal), since: Instant::from_s(since), what: Awaits::Reach }
    }

    fn owed(signal: u32, since: i64) -> Awaited {
        let what = Awaits::Value { known: Known::Value, lost: None };
        Awaited { signal: SignalId(signal), since: Instant::from_s(since), what }
    }

    type News = Option<(Vec<Awaited>, Vec<AwaitedKey>)>;

    fn news(told: Option<Arrival>) -> News {
        told.map(|told| match told {
            Arrival::Awaited { is_known: true, awaited, settled, .. } => (awaited, settled),
            other => panic!("{other:?}"),
        })
    }

    fn tell(told: &mut Told, now: &[Awaited]) -> News {
        news(told.tell("s".into(), now.to_vec(), false))
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_has_changed_is_told_and_once_after_each_time_that_the_source_came_up() {
        let mut told = Told::new(Duration::from_secs(20));
        told.recorded(&[history(3, 1, 9), away(7, 2)]);
        assert_eq!(told.due(), None);
        for _ in 0..2 {
            let coming = told.begin("s".into());
            assert!(matches!(coming, Arrival::Awaited { is_known: false, .. }));
            assert_eq!(told.due(), Some(Timer::now() + Duration::from_secs(20)));
            assert_eq!(tell(&mut told, &[away(7, 2), history(3, 1, 9)]), Some((vec![], vec![])));
            assert_eq!(tell(&mut told, &[away(7, 2), history(3, 1, 9)]), None);
        }
        // One has come, some values of another one have, and there are new ones.
        let now = [history(3, 5, 9), history(3, 9, 20), away(8, 4), history(3, 7, 20), owed(8, 4)];
        assert_eq!(tell(&mut told, &now), Some((vec![owed(8, 4)], vec![away(7, 2).key()])));
        assert_eq!(tell(&mut told, &now), Some((vec![history(3, 7, 20), away(8, 4)], vec![])), "they last");
        assert_eq!(tell(&mut told, &now), None);
        assert_eq!(tell(&mut told, &[]).map(|(awaited, settled)| (awaited.len(), settled.len())), Some((0, 4)));
    }

    #[tokio::test(start_paused = true)]
    async fn of_a_signal_that_is_out_of_reach_again_and_again_little_is_told_and_all_of_it_at_the_end() {
        let mut told = Told::new(Duration::from_secs(20));
        told.begin("s".into());
        assert_eq!(tell(&mut told, &[]), Some((vec![], vec![])));
        // Each time is over by the next look, and its history is asked for four times.
        for turn in 1..100 {
            let (begin, end) = (turn * 60, turn * 60 + 30);
            assert_eq!(tell(&mut told, &[away(7, begin)]), None);
            assert_eq!(tell(&mut told, &[history(7, begin, end)]), None);
            let one = history(7, begin + 1, end);
            assert_eq!(tell(&mut told, &[one]), Some((vec![one], vec![])));
            assert_eq!(tell(&mut told, &[history(7, begin + 2, end)]), None);
            assert_eq!(tell(&mut told, &[]), Some((vec![], vec![one.key()])));
        }
        let last = vec![away(7, 9_000), history(7, 8_000, 8_030)];
        assert_eq!(news(told.tell("s".into(), last.clone(), true)), Some((last.clone(), vec![])));
        let further = history(7, 8_005, 8_030);
        assert_eq!(tell(&mut told, &[last[0], further]), None);
        assert_eq!(news(told.tell("s".into(), vec![last[0], further], true)), Some((vec![further], vec![])));
    }
}
