//! Tells the log what is still to come of a source's signals, so that a restart of the gateway goes on with it: now and
//! then, since nearly all of it comes within moments, and only what has changed. Outlasts connections.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant as Timer;
use watchfire_model::Awaited;
use watchfire_pipeline::Arrival;

/// What the log has of it, and when to tell it again.
#[derive(Debug)]
pub(crate) struct Told {
    /// By [`Awaited::key`].
    told: Vec<Awaited>,
    every: Duration,
    due: Option<Timer>,
    /// Whether it was told since the source came up.
    is_known: bool,
}

impl Told {
    pub(crate) const fn new(every: Duration) -> Self {
        Self { told: Vec::new(), every, due: None, is_known: false }
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

    /// What has changed since it was told; `None`: nothing has.
    pub(crate) fn tell(&mut self, source: Arc<str>, mut now: Vec<Awaited>) -> Option<Arrival> {
        self.due = Some(Timer::now() + self.every);
        sort(&mut now);
        let (mut awaited, mut settled) = (Vec::new(), Vec::new());
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
            match (old, new) {
                (Some(old), None) => settled.push(*old),
                (_, Some(new)) if old != Some(new) => awaited.push(*new),
                _ => {}
            }
        }
        self.told = now;
        let was_known = std::mem::replace(&mut self.is_known, true);
        let is_news = !was_known || !awaited.is_empty() || !settled.is_empty();
        is_news.then_some(Arrival::Awaited { source, is_known: true, awaited, settled })
    }
}

/// By key, and of one key the earliest.
fn sort(awaited: &mut Vec<Awaited>) {
    awaited.sort_unstable_by_key(|awaited| (awaited.key(), awaited.since));
    awaited.dedup_by_key(|awaited| awaited.key());
}

#[cfg(test)]
mod tests {
    use super::*;
    use watchfire_model::{Awaits, Instant, SignalId};

    fn history(signal: u32, since: i64, until: i64) -> Awaited {
        let what = Awaits::History { until: Instant::from_s(until) };
        Awaited { signal: SignalId(signal), since: Instant::from_s(since), what }
    }

    fn away(signal: u32, since: i64) -> Awaited {
        Awaited { signal: SignalId(signal), since: Instant::from_s(since), what: Awaits::Reach }
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_has_changed_is_told_and_once_after_each_time_that_the_source_came_up() {
        let mut told = Told::new(Duration::from_secs(20));
        told.recorded(&[history(3, 1, 9), away(7, 2)]);
        assert_eq!(told.due(), None);
        let tell = |told: &mut Told, now: &[Awaited]| match told.tell("s".into(), now.to_vec()) {
            Some(Arrival::Awaited { is_known: true, awaited, settled, .. }) => Some((awaited, settled)),
            None => None,
            other => panic!("{other:?}"),
        };
        for _ in 0..2 {
            let coming = told.begin("s".into());
            assert!(matches!(coming, Arrival::Awaited { is_known: false, .. }));
            assert_eq!(told.due(), Some(Timer::now() + Duration::from_secs(20)));
            assert_eq!(tell(&mut told, &[away(7, 2), history(3, 1, 9)]), Some((vec![], vec![])));
            assert_eq!(tell(&mut told, &[away(7, 2), history(3, 1, 9)]), None);
        }
        // One has come, some values of another one have, and there are new ones.
        let now = [history(3, 5, 9), history(3, 9, 20), away(8, 4), history(3, 7, 20)];
        let changed = (vec![history(3, 5, 9), history(3, 7, 20), away(8, 4)], vec![away(7, 2)]);
        assert_eq!(tell(&mut told, &now), Some(changed));
        assert_eq!(tell(&mut told, &now), None);
        assert_eq!(tell(&mut told, &[]).map(|(awaited, settled)| (awaited.len(), settled.len())), Some((0, 3)));
    }
}
