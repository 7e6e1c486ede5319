//! Who wants the latest value at intervals: all of them are looked at in rounds, some at a time, so that nobody's items keep
//! others from theirs.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::rc::Rc;

use opcua::server::SubscriptionCache;
use opcua::types::{DataValue, DateTime};
use tokio::time::Instant as Timer;
use watchfire_model::{Kind, Sample, SignalId};

use super::{BATCH, Followers, Item, Key, Pace, shown, tell_loss};
use crate::nodes::value_of;
use crate::shared::Shared;

/// A look at all items, and the last that was looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Round {
    began: Timer,
    reached: Option<(SignalId, Key)>,
}

impl Round {
    pub(super) fn begin() -> Self {
        Self { began: Timer::now(), reached: None }
    }
}

/// An item that is to be told of a sample.
type Due = (SignalId, Key, Kind, Rc<Sample>);

impl Item {
    /// What it is to be told, if it is time and it has not been.
    fn due(&mut self, now: Timer, latest: impl FnOnce() -> Option<Rc<Sample>>) -> Option<Rc<Sample>> {
        let Pace::Sampled { interval, due, shown: last, .. } = &mut self.pace else { return None };
        if *due > now || !self.enabled {
            return None;
        }
        *due = now.checked_add(*interval).unwrap_or(now);
        latest().filter(|sample| *last != Some(shown(sample)))
    }

    fn show(&mut self, sample: &Sample, kind: Kind) -> DataValue {
        let mut value = value_of(Some(sample), kind);
        if let Pace::Sampled { shown: last, after_loss, .. } = &mut self.pace {
            *last = Some(shown(sample));
            if std::mem::take(after_loss) {
                tell_loss(&mut value);
            }
        }
        value
    }
}

impl Followers {
    /// Goes on with a round, as far as goes in one go; `None` once it is through.
    pub(super) fn sample(&self, shared: &Shared, subscriptions: &SubscriptionCache, round: Round) -> Option<Round> {
        let mut due: BTreeMap<(u32, u32), Vec<Due>> = BTreeMap::new();
        let values = shared.values();
        let mut items = self.items.lock();
        let (mut looked_at, mut reached) = (0, None);
        let first = round.reached.map_or(Bound::Unbounded, |(signal, _)| Bound::Included(signal));
        'all: for (signal, of) in items.of.range_mut((first, Bound::Unbounded)) {
            let mut latest = None;
            let after = match round.reached {
                Some((reached, key)) if reached == *signal => Bound::Excluded(key),
                _ => Bound::Unbounded,
            };
            for (key, item) in of.items.range_mut((after, Bound::Unbounded)) {
                let latest = || latest.get_or_insert_with(|| shared.latest.get(*signal).map(Rc::new)).clone();
                if let Some(sample) = item.due(round.began, latest) {
                    due.entry((item.session, key.0)).or_default().push((
                        *signal,
                        *key,
                        values.kind(&item.node),
                        sample,
                    ));
                }
                looked_at += 1;
                if looked_at >= BATCH {
                    reached = Some((*signal, *key));
                    break 'all;
                }
            }
        }
        let now = DateTime::now();
        for ((session, subscription), theirs) in due {
            let Some((session, holder)) = shared.watch.holder(session, subscription, subscriptions) else { continue };
            let mut holder = holder.lock();
            let Some(found) = holder.get_mut(subscription) else { continue };
            for (signal, key, kind, sample) in theirs {
                // One that is being created is told in a later round.
                let Some(item) = items.of.get_mut(&signal).and_then(|of| of.items.get_mut(&key)) else { continue };
                if !found.contains_key(&key.1) {
                    continue;
                }
                item.session = session;
                let value = item.show(&sample, kind);
                found.notify_data_value(&key.1, value, &now);
            }
        }
        reached.map(|reached| Round { reached: Some(reached), ..round })
    }
}
