//! Who watches the values of signals, and how: each value as it was received, where a client asks for a sampling interval
//! of 0, or the latest one at intervals. A value goes to the items that want it and to no other of its node, so that
//! whoever wants each gets each once and in order. Knows neither nodes nor what is a right.

mod sampled;

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use opcua::server::{MonitoredItemHandle, SubscriptionCache};
use opcua::sync::Mutex;
use opcua::types::{DataValue, DateTime};
use tokio::sync::Notify;
use tokio::time::{Instant as Timer, MissedTickBehavior};
use watchfire_model::{Instant, Sample, SignalId, StatusCode};
use watchfire_pipeline::Followed;

use self::sampled::Round;
use crate::nodes::value_of;
use crate::shared::Shared;
use crate::space::SignalNode;

/// How often signals are looked at; the shortest sampling interval beside each value.
pub(crate) const SAMPLING: Duration = Duration::from_millis(100);
/// How often is looked whether items that are being created are there.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// An item that is not there after so long will not be.
const CREATED_WITHIN: Duration = Duration::from_secs(60);
/// Values that wait for an item that is being created.
const EARLY_MAX: usize = 1_000;
/// Values that are told in one go.
const CHUNK: usize = 1_024;
/// Items that are looked at, and values that are made for them, before anybody else has a turn: one value goes to all
/// items of its signal.
const BATCH: usize = 4_096;
/// Items that are being created and are looked for in one go.
const LOOKED_FOR: usize = 64;

/// Monitored items for the values of signals.
#[derive(Debug, Default)]
pub(crate) struct Followers {
    items: Mutex<Items>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Items {
    of: BTreeMap<SignalId, OfSignal>,
    /// Those that may not be there yet, or that are to be told how their signal stands.
    early: Vec<(SignalId, MonitoredItemHandle)>,
    sampled: usize,
    /// The place after the last value that was told.
    told: u64,
    /// How far the next value has been told.
    reached: Option<Reached>,
}

/// An item by its subscription and its number.
type Key = (u32, u32);

/// A value has been told to the items of its signal up to one.
#[derive(Clone, Copy, Debug)]
struct Reached {
    place: u64,
    signal: SignalId,
    key: Key,
}

const fn key(handle: MonitoredItemHandle) -> Key {
    (handle.subscription_id, handle.monitored_item_id)
}

#[derive(Debug, Default)]
struct OfSignal {
    items: BTreeMap<Key, Item>,
    /// How many of them want each value.
    each: usize,
}

#[derive(Debug)]
struct Item {
    handle: MonitoredItemHandle,
    /// The session that had it last.
    session: u32,
    node: Arc<SignalNode>,
    pace: Pace,
    /// Who is not gets nothing, and hears how the signal stands once it is.
    enabled: bool,
}

/// An item that is being created.
#[derive(Debug)]
pub(crate) struct Asked {
    pub handle: MonitoredItemHandle,
    pub session: u32,
    /// Each value for none, else the latest one so often.
    pub interval: Option<Duration>,
    pub enabled: bool,
}

#[derive(Debug)]
enum Pace {
    /// Each value from a place on; those that came before the item was there.
    Each { since: u64, early: Option<Early> },
    /// The latest value at intervals, what was shown last, and whether values were passed over that were to be told.
    Sampled { interval: Duration, due: Timer, shown: Option<Shown>, after_loss: bool },
}

#[derive(Debug)]
struct Early {
    values: VecDeque<DataValue>,
    until: Timer,
}

impl Early {
    fn begin() -> Self {
        Self { values: VecDeque::new(), until: Timer::now() + CREATED_WITHIN }
    }

    fn push(&mut self, value: DataValue) {
        self.values.push_back(value);
        if self.values.len() > EARLY_MAX {
            self.values.pop_front();
            if let Some(next) = self.values.front_mut() {
                tell_loss(next);
            }
        }
    }
}

/// What tells one sample from another, but for texts of one moment.
type Shown = (Instant, Instant, StatusCode, u64);

fn shown(sample: &Sample) -> Shown {
    (sample.time, sample.server_time, sample.status, sample.value.to_bits())
}

/// Says that values before it are missing (OPC 10000-4 §7.39.1).
fn tell_loss(value: &mut DataValue) {
    value.status = Some(value.status().set_overflow(true));
}

/// Values for items, by the session that had them last and their subscription.
#[derive(Default)]
struct Outgoing {
    to: BTreeMap<(u32, u32), Vec<(u32, DataValue)>>,
    count: usize,
}

impl Outgoing {
    fn put(&mut self, item: &Item, value: DataValue) {
        let to = (item.session, item.handle.subscription_id);
        self.to.entry(to).or_default().push((item.handle.monitored_item_id, value));
        self.count += 1;
    }

    const fn is_full(&self) -> bool {
        self.count >= BATCH
    }

    fn send(&mut self, shared: &Shared, subscriptions: &SubscriptionCache) {
        // The clock that the stack goes by when a sample is due.
        let now = DateTime::now();
        self.count = 0;
        for ((session, subscription), values) in std::mem::take(&mut self.to) {
            let Some((_, holder)) = shared.watch.holder(session, subscription, subscriptions) else { continue };
            let mut holder = holder.lock();
            let Some(found) = holder.get_mut(subscription) else { continue };
            for (item, value) in values {
                found.notify_data_value(&item, value, &now);
            }
        }
    }
}

impl Item {
    /// Whether the client has it by now, in whichever session.
    fn is_there(&mut self, shared: &Shared, subscriptions: &SubscriptionCache) -> bool {
        let (subscription, id) = (self.handle.subscription_id, self.handle.monitored_item_id);
        let Some((session, holder)) = shared.watch.holder(self.session, subscription, subscriptions) else {
            return false;
        };
        self.session = session;
        let holder = holder.lock();
        holder.get(subscription).is_some_and(|found| found.contains_key(&id))
    }
}

impl Followers {
    /// Watches a signal for an item that is being created. Answers the value to begin with.
    pub(crate) fn add(&self, shared: &Shared, node: &Arc<SignalNode>, asked: &Asked) -> DataValue {
        let Asked { handle, session, interval, enabled } = *asked;
        let item = Item { handle, session, node: node.clone(), pace: Pace::UNKNOWN, enabled };
        let first = self.items.lock().put(shared, item, interval);
        self.changed.notify_one();
        first
    }

    /// Forgets an item.
    pub(crate) fn remove(&self, shared: &Shared, signal: SignalId, handle: MonitoredItemHandle) {
        self.items.lock().take(shared, signal, handle);
    }

    /// Another pace for an item that is there. It is told how its signal stands, unless it gets each value as before.
    pub(crate) fn set_pace(
        &self,
        shared: &Shared,
        signal: SignalId,
        handle: MonitoredItemHandle,
        interval: Option<Duration>,
    ) {
        self.items.lock().set_pace(shared, signal, handle, interval);
        self.changed.notify_one();
    }

    /// Changes of an item's pace while values come and none is told.
    #[cfg(test)]
    pub(crate) fn change_at_once(
        &self,
        shared: &Shared,
        signal: SignalId,
        handle: MonitoredItemHandle,
        paces: &[Option<Duration>],
        values: impl FnOnce(),
    ) {
        let mut items = self.items.lock();
        values();
        paces.iter().for_each(|pace| items.set_pace(shared, signal, handle, *pace));
    }

    /// Whether an item is to be told of anything. Once it is again, it is told how its signal stands.
    pub(crate) fn enable(&self, shared: &Shared, signal: SignalId, handle: MonitoredItemHandle, enabled: bool) {
        let mut items = self.items.lock();
        let Some(item) = items.get_mut(signal, handle) else { return };
        let was = std::mem::replace(&mut item.enabled, enabled);
        // An item that only begins or ceases to report what it has goes on: nothing may be missing.
        if enabled
            && !was
            && let Some(item) = items.take(shared, signal, handle)
        {
            let interval = item.pace.interval();
            items.put_again(shared, item, interval);
        }
        drop(items);
        self.changed.notify_one();
    }

    /// Tells whoever wants each value, as many as go in one go; returns the others, of which the first may have been told
    /// to some.
    fn tell<'a>(&self, shared: &Shared, subscriptions: &SubscriptionCache, mut told: &'a [Followed]) -> &'a [Followed] {
        let values = shared.values();
        let mut outgoing = Outgoing::default();
        let mut items = self.items.lock();
        let mut looked_at = 0;
        'told: for _ in 0..CHUNK {
            let Some((one, rest)) = told.split_first() else { break };
            let Items { of, reached, .. } = &mut *items;
            let after = reached.take().filter(|reached| reached.place == one.place);
            let after = after.map_or(Bound::Unbounded, |reached| Bound::Excluded(reached.key));
            let theirs = of.get_mut(&one.signal).into_iter();
            for (key, item) in theirs.flat_map(|of| of.items.range_mut((after, Bound::Unbounded))) {
                if looked_at >= BATCH {
                    break 'told;
                }
                looked_at += 1;
                *reached = Some(Reached { place: one.place, signal: one.signal, key: *key });
                let Pace::Each { since, early } = &mut item.pace else { continue };
                if one.place < *since || !item.enabled {
                    continue;
                }
                let mut value = value_of(Some(&one.sample), values.kind(&item.node));
                if one.after_loss {
                    tell_loss(&mut value);
                }
                match early {
                    Some(early) => early.push(value),
                    None => outgoing.put(item, value),
                }
            }
            told = rest;
            (items.told, items.reached) = (one.place + 1, None);
        }
        // Under the lock: what came early and what comes now must not change places.
        outgoing.send(shared, subscriptions);
        told
    }

    /// Hands over what came early to items that are there by now.
    async fn settle(&self, shared: &Shared, subscriptions: &SubscriptionCache) {
        let waiting = std::mem::take(&mut self.items.lock().early);
        for some in waiting.chunks(LOOKED_FOR) {
            self.settle_some(shared, subscriptions, some);
            tokio::task::yield_now().await;
        }
    }

    fn settle_some(
        &self,
        shared: &Shared,
        subscriptions: &SubscriptionCache,
        some: &[(SignalId, MonitoredItemHandle)],
    ) {
        let now = Timer::now();
        let mut outgoing = Outgoing::default();
        let mut items = self.items.lock();
        for (signal, handle) in some {
            let Some(item) = items.get_mut(*signal, *handle) else { continue };
            let Pace::Each { early: Some(Early { until, .. }), .. } = item.pace else { continue };
            if !item.is_there(shared, subscriptions) {
                if until < now {
                    items.take(shared, *signal, *handle);
                } else {
                    items.early.push((*signal, *handle));
                }
                continue;
            }
            let Pace::Each { early, .. } = &mut item.pace else { continue };
            for value in early.take().into_iter().flat_map(|early| early.values) {
                outgoing.put(item, value);
            }
            if outgoing.is_full() {
                outgoing.send(shared, subscriptions);
            }
        }
        outgoing.send(shared, subscriptions);
    }

    /// Tells of values for ever.
    pub(crate) async fn run(shared: Arc<Shared>, subscriptions: Arc<SubscriptionCache>) {
        let this = &shared.followers;
        let mut sampling = tokio::time::interval(SAMPLING);
        sampling.set_missed_tick_behavior(MissedTickBehavior::Skip);
        // It goes on from one turn to the next: where values come all the time, none would last until it is due.
        let mut looking = tokio::time::interval(LOOK_EVERY);
        looking.set_missed_tick_behavior(MissedTickBehavior::Skip);
        // Where a round of samples has come to: it takes turns with values that are told.
        let mut round: Option<Round> = None;
        loop {
            let (has_sampled, has_early) = {
                let items = this.items.lock();
                (items.sampled > 0, !items.early.is_empty())
            };
            tokio::select! {
                told = shared.latest.told() => {
                    let mut rest = told.as_slice();
                    while !rest.is_empty() {
                        rest = this.tell(&shared, &subscriptions, rest);
                        round = round.and_then(|round| this.sample(&shared, &subscriptions, round));
                        tokio::task::yield_now().await;
                    }
                }
                _ = sampling.tick(), if has_sampled && round.is_none() => round = Some(Round::begin()),
                () = tokio::task::yield_now(), if round.is_some() => {
                    round = round.and_then(|round| this.sample(&shared, &subscriptions, round));
                }
                _ = looking.tick(), if has_early => this.settle(&shared, &subscriptions).await,
                () = this.changed.notified() => {}
            }
        }
    }
}

impl Pace {
    /// Before it is put in.
    const UNKNOWN: Self = Self::Each { since: 0, early: None };

    fn sampled(interval: Duration, after_loss: bool) -> Self {
        Self::Sampled { interval, due: Timer::now(), shown: None, after_loss }
    }

    /// Whether values may wait for the item that it has not been told, where those before `told` have been and those
    /// before `next` are there.
    fn waits(&self, told: u64, next: u64) -> bool {
        match self {
            Self::Each { early: Some(early), .. } if !early.values.is_empty() => true,
            Self::Each { since, .. } => next > told.max(*since),
            Self::Sampled { .. } => false,
        }
    }

    const fn interval(&self) -> Option<Duration> {
        match self {
            Self::Each { .. } => None,
            Self::Sampled { interval, .. } => Some(*interval),
        }
    }
}

impl Items {
    fn get_mut(&mut self, signal: SignalId, handle: MonitoredItemHandle) -> Option<&mut Item> {
        self.of.get_mut(&signal)?.items.get_mut(&key(handle))
    }

    /// Puts an item in; answers the value that its signal has.
    fn put(&mut self, shared: &Shared, item: Item, interval: Option<Duration>) -> DataValue {
        let (signal, handle) = (item.node.id, item.handle);
        let of = self.of.entry(signal).or_default();
        let (sample, pace) = match interval {
            None => {
                let (sample, since) = shared.latest.follow(signal);
                self.early.push((signal, handle));
                of.each += 1;
                (sample, Pace::Each { since, early: Some(Early::begin()) })
            }
            Some(interval) => {
                self.sampled += 1;
                (shared.latest.get(signal), Pace::sampled(interval, false))
            }
        };
        let first = value_of(sample.as_ref(), shared.values().kind(&item.node));
        of.items.insert(key(handle), Item { pace, ..item });
        first
    }

    /// Puts an item in that is there, and is to be told how its signal stands.
    fn put_again(&mut self, shared: &Shared, item: Item, interval: Option<Duration>) {
        let (signal, handle) = (item.node.id, item.handle);
        let first = self.put(shared, item, interval);
        if let Some(Pace::Each { early: Some(early), .. }) = self.get_mut(signal, handle).map(|item| &mut item.pace) {
            early.push(first);
        }
    }

    fn set_pace(&mut self, shared: &Shared, signal: SignalId, handle: MonitoredItemHandle, interval: Option<Duration>) {
        let has = |reached: Reached| reached.signal == signal && key(handle) <= reached.key;
        let told = self.reached.filter(|reached| has(*reached)).map_or(self.told, |reached| reached.place + 1);
        let Some(item) = self.get_mut(signal, handle) else { return };
        let after_loss = match (&item.pace, interval) {
            // It keeps its place, and misses nothing.
            (Pace::Each { .. }, None) => return,
            (Pace::Each { .. }, Some(_)) => item.pace.waits(told, shared.latest.follow(signal).1),
            (Pace::Sampled { after_loss, .. }, _) => *after_loss,
        };
        let Some(item) = self.take(shared, signal, handle) else { return };
        self.put_again(shared, item, interval);
        match self.get_mut(signal, handle).map(|item| &mut item.pace) {
            Some(Pace::Sampled { after_loss: marked, .. }) => *marked = after_loss,
            // The value to begin with is the first after those that are missing.
            Some(Pace::Each { early: Some(early), .. }) if after_loss => {
                early.values.iter_mut().take(1).for_each(tell_loss)
            }
            _ => {}
        }
    }

    /// Takes an item out.
    fn take(&mut self, shared: &Shared, signal: SignalId, handle: MonitoredItemHandle) -> Option<Item> {
        let of = self.of.get_mut(&signal)?;
        let item = of.items.remove(&key(handle))?;
        match item.pace {
            Pace::Sampled { .. } => self.sampled -= 1,
            Pace::Each { .. } => {
                of.each -= 1;
                if of.each == 0 {
                    shared.latest.unfollow(signal);
                }
            }
        }
        if of.items.is_empty() {
            self.of.remove(&signal);
        }
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_told_of_a_loss_only_where_values_wait_for_it() {
        let early = |count| {
            let mut early = Early::begin();
            (0..count).for_each(|_| early.push(DataValue::null()));
            Some(early)
        };
        for (since, early, told, next, waits) in [
            (0, None, 5, 5, false),
            (0, None, 5, 6, true),
            // It has come after those that wait.
            (7, None, 5, 7, false),
            (7, None, 5, 8, true),
            (0, early(0), 5, 5, false),
            (0, early(1), 5, 5, true),
        ] {
            let pace = Pace::Each { since, early };
            assert_eq!(pace.waits(told, next), waits, "{pace:?} {told} {next}");
        }
    }

    #[test]
    fn of_too_many_values_for_an_item_that_is_not_there_the_newest_are_kept_and_the_loss_is_told() {
        let mut early = Early::begin();
        (0..EARLY_MAX as u32 + 10).for_each(|value| early.push(DataValue::value_only(value)));
        assert_eq!(early.values.len(), EARLY_MAX);
        let marked: Vec<_> = early.values.iter().map(|value| value.status().overflow()).collect();
        assert_eq!(early.values[0].value, Some(10_u32.into()));
        assert!(marked[0] && !marked[1..].contains(&true));
    }
}
