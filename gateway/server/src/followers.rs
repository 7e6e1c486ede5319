//! Who watches the values of signals, and how: each value as it was received, where a client asks for a sampling interval
//! of 0, or the latest one at intervals. A value goes to the items that want it and to no other of its node, so that
//! whoever wants each gets each once and in order. Knows neither nodes nor what is a right.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use opcua::server::{MonitoredItemHandle, SubscriptionCache};
use opcua::sync::Mutex;
use opcua::types::{DataValue, DateTime};
use tokio::sync::Notify;
use tokio::time::{Instant as Timer, MissedTickBehavior};
use watchfire_model::{Instant, Sample, SignalId, StatusCode};
use watchfire_pipeline::Followed;

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

/// Monitored items for the values of signals.
#[derive(Debug, Default)]
pub(crate) struct Followers {
    items: Mutex<Items>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Items {
    of: HashMap<SignalId, Vec<Item>>,
    /// Those that may not be there yet, or that are to be told how their signal stands.
    early: Vec<(SignalId, MonitoredItemHandle)>,
    sampled: usize,
}

#[derive(Debug)]
struct Item {
    handle: MonitoredItemHandle,
    /// The session that had it last.
    session: u32,
    node: Arc<SignalNode>,
    pace: Pace,
}

#[derive(Debug)]
enum Pace {
    /// Each value from a place on; those that came before the item was there.
    Each { since: u64, early: Option<Early> },
    /// The latest value at intervals, and what was shown last.
    Sampled { interval: Duration, due: Timer, shown: Option<Shown> },
}

#[derive(Debug)]
struct Early {
    values: Vec<DataValue>,
    until: Timer,
}

impl Early {
    fn begin() -> Self {
        Self { values: Vec::new(), until: Timer::now() + CREATED_WITHIN }
    }

    fn push(&mut self, value: DataValue) {
        self.values.push(value);
        if self.values.len() > EARLY_MAX {
            self.values.remove(0);
            if let Some(next) = self.values.first_mut() {
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
struct Outgoing(BTreeMap<(u32, u32), Vec<(u32, DataValue)>>);

impl Outgoing {
    fn put(&mut self, item: &Item, value: DataValue) {
        let to = (item.session, item.handle.subscription_id);
        self.0.entry(to).or_default().push((item.handle.monitored_item_id, value));
    }

    fn send(self, shared: &Shared, subscriptions: &SubscriptionCache) {
        // The clock that the stack goes by when a sample is due.
        let now = DateTime::now();
        for ((session, subscription), values) in self.0 {
            let Some((_, holder)) = shared.watch.holder(session, subscription, subscriptions) else { continue };
            let mut holder = holder.lock();
            let Some(found) = holder.get_mut(subscription) else { continue };
            for (item, value) in values {
                found.notify_data_value(&item, value, &now);
            }
        }
    }
}

impl Followers {
    /// Watches a signal for an item that is being created: each value for no `interval`, else the latest one so often.
    /// Answers the one to begin with.
    pub(crate) fn add(
        &self,
        shared: &Shared,
        node: &Arc<SignalNode>,
        handle: MonitoredItemHandle,
        session: u32,
        interval: Option<Duration>,
    ) -> DataValue {
        let item = Item { handle, session, node: node.clone(), pace: Pace::UNKNOWN };
        let first = self.items.lock().put(shared, item, interval);
        self.changed.notify_one();
        first
    }

    /// Forgets an item.
    pub(crate) fn remove(&self, shared: &Shared, signal: SignalId, handle: MonitoredItemHandle) {
        self.items.lock().take(shared, signal, handle);
    }

    /// Another pace for an item that is there. It is told how its signal stands.
    pub(crate) fn set_pace(
        &self,
        shared: &Shared,
        signal: SignalId,
        handle: MonitoredItemHandle,
        interval: Option<Duration>,
    ) {
        let mut items = self.items.lock();
        if let Some(item) = items.take(shared, signal, handle) {
            items.put_again(shared, item, interval);
        }
        drop(items);
        self.changed.notify_one();
    }

    /// Tells an item how its signal stands, as after it was disabled.
    pub(crate) fn tell_again(&self, shared: &Shared, signal: SignalId, handle: MonitoredItemHandle) {
        let mut items = self.items.lock();
        if let Some(item) = items.take(shared, signal, handle) {
            let interval = item.pace.interval();
            items.put_again(shared, item, interval);
        }
        drop(items);
        self.changed.notify_one();
    }

    /// Tells whoever wants each value.
    fn tell(&self, shared: &Shared, subscriptions: &SubscriptionCache, told: &[Followed]) {
        let values = shared.values();
        let mut outgoing = Outgoing::default();
        let mut items = self.items.lock();
        for one in told {
            for item in items.of.get_mut(&one.signal).into_iter().flatten() {
                let Pace::Each { since, early } = &mut item.pace else { continue };
                if one.place < *since {
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
        }
        // Under the lock: what came early and what comes now must not change places.
        outgoing.send(shared, subscriptions);
    }

    /// Hands over what came early to items that are there by now.
    fn settle(&self, shared: &Shared, subscriptions: &SubscriptionCache) {
        let now = Timer::now();
        let mut outgoing = Outgoing::default();
        let mut items = self.items.lock();
        let mut waiting = std::mem::take(&mut items.early);
        let mut never = Vec::new();
        waiting.retain(|(signal, handle)| {
            let item = items.of.get_mut(signal).and_then(|items| items.iter_mut().find(|one| one.handle == *handle));
            let Some(item) = item else { return false };
            let Pace::Each { early: early @ Some(_), .. } = &mut item.pace else { return false };
            let holder = shared.watch.holder(item.session, handle.subscription_id, subscriptions);
            let there = holder.is_some_and(|(session, holder)| {
                item.session = session;
                let holder = holder.lock();
                holder.get(handle.subscription_id).is_some_and(|found| found.contains_key(&handle.monitored_item_id))
            });
            if there {
                for value in early.take().into_iter().flat_map(|early| early.values) {
                    outgoing.put(item, value);
                }
            } else if early.as_ref().is_some_and(|early| early.until < now) {
                never.push((*signal, *handle));
            }
            !there
        });
        items.early = waiting;
        for (signal, handle) in never {
            items.take(shared, signal, handle);
        }
        outgoing.send(shared, subscriptions);
    }

    /// Tells whoever wants the latest value at intervals.
    fn sample(&self, shared: &Shared, subscriptions: &SubscriptionCache) {
        let now = Timer::now();
        let values = shared.values();
        let mut outgoing = Outgoing::default();
        let mut items = self.items.lock();
        for (signal, items) in &mut items.of {
            let mut latest = None;
            for item in items {
                let Pace::Sampled { interval, due, shown: last } = &mut item.pace else { continue };
                if *due > now {
                    continue;
                }
                *due = now + *interval;
                let latest = latest.get_or_insert_with(|| shared.latest.get(*signal));
                let Some(sample) = latest else { continue };
                if *last == Some(shown(sample)) {
                    continue;
                }
                let there = shared.watch.holder(item.session, item.handle.subscription_id, subscriptions);
                let there = there.is_some_and(|(session, holder)| {
                    item.session = session;
                    let holder = holder.lock();
                    let found = holder.get(item.handle.subscription_id);
                    found.is_some_and(|found| found.contains_key(&item.handle.monitored_item_id))
                });
                if there {
                    *last = Some(shown(sample));
                    outgoing.put(item, value_of(Some(sample), values.kind(&item.node)));
                }
            }
        }
        outgoing.send(shared, subscriptions);
    }

    /// Tells of values for ever.
    pub(crate) async fn run(shared: Arc<Shared>, subscriptions: Arc<SubscriptionCache>) {
        let this = &shared.followers;
        let mut sampling = tokio::time::interval(SAMPLING);
        sampling.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            let (has_sampled, has_early) = {
                let items = this.items.lock();
                (items.sampled > 0, !items.early.is_empty())
            };
            tokio::select! {
                told = shared.latest.told() => {
                    for chunk in told.chunks(CHUNK) {
                        this.tell(&shared, &subscriptions, chunk);
                        tokio::task::yield_now().await;
                    }
                }
                _ = sampling.tick(), if has_sampled => this.sample(&shared, &subscriptions),
                () = tokio::time::sleep(LOOK_EVERY), if has_early => this.settle(&shared, &subscriptions),
                () = this.changed.notified() => {}
            }
        }
    }
}

impl Pace {
    /// Before it is put in.
    const UNKNOWN: Self = Self::Each { since: 0, early: None };

    const fn interval(&self) -> Option<Duration> {
        match self {
            Self::Each { .. } => None,
            Self::Sampled { interval, .. } => Some(*interval),
        }
    }
}

impl Items {
    /// Puts an item in; answers the value that its signal has.
    fn put(&mut self, shared: &Shared, item: Item, interval: Option<Duration>) -> DataValue {
        let (signal, handle) = (item.node.id, item.handle);
        let (sample, pace) = match interval {
            None => {
                let (sample, since) = shared.latest.follow(signal);
                self.early.push((signal, handle));
                (sample, Pace::Each { since, early: Some(Early::begin()) })
            }
            Some(interval) => {
                self.sampled += 1;
                (shared.latest.get(signal), Pace::Sampled { interval, due: Timer::now(), shown: None })
            }
        };
        let first = value_of(sample.as_ref(), shared.values().kind(&item.node));
        self.of.entry(signal).or_default().push(Item { pace, ..item });
        first
    }

    /// Puts an item in that is there, and is to be told how its signal stands.
    fn put_again(&mut self, shared: &Shared, item: Item, interval: Option<Duration>) {
        let signal = item.node.id;
        let first = self.put(shared, item, interval);
        let put = self.of.get_mut(&signal).and_then(|items| items.last_mut());
        if let Some(Pace::Each { early: Some(early), .. }) = put.map(|item| &mut item.pace) {
            early.push(first);
        }
    }

    /// Takes an item out.
    fn take(&mut self, shared: &Shared, signal: SignalId, handle: MonitoredItemHandle) -> Option<Item> {
        let items = self.of.get_mut(&signal)?;
        let at = items.iter().position(|item| item.handle == handle)?;
        let item = items.swap_remove(at);
        if matches!(item.pace, Pace::Sampled { .. }) {
            self.sampled -= 1;
        }
        if !items.iter().any(|item| matches!(item.pace, Pace::Each { .. })) {
            shared.latest.unfollow(signal);
        }
        if items.is_empty() {
            self.of.remove(&signal);
        }
        Some(item)
    }
}
