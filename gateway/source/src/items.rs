//! Requests that make subscriptions and monitored items, and what they answer. Keeps no state.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use opcua::client::services::{
    CreateMonitoredItems, CreateSubscription, DeleteMonitoredItems, DeleteSubscriptions, TransferSubscriptions,
};
use opcua::client::{Session, UARequest};
use opcua::types::{
    AttributeId, DataChangeFilter, DataChangeTrigger, DeadbandType, EventFilter, ExtensionObject, FilterOperator,
    MonitoredItemCreateRequest, MonitoredItemCreateResult, MonitoringMode, MonitoringParameters, NodeId,
    NotificationMessage, ReadValueId, StatusCode, TimestampsToReturn,
};
use tokio::time::Instant as Timer;

use watchfire_config::Deadband;
use watchfire_pipeline::{Term, Terms};

use crate::convert::client_handle;
use crate::error::{is_lost, is_short_answer, is_too_large, may_be_one};
use crate::ledger::Moment;
use crate::sequence::Sequence;
use crate::watched::{Found, Refused, Watched};
use crate::{SourceError, Timing};

/// With more in one message, servers with small limits answer BadResponseTooLarge.
const NOTIFICATIONS_PER_PUBLISH: u32 = 2_000;
/// A subscription lives so long without Publish requests, as when the gateway holds them back.
const LIFETIME: Duration = Duration::from_secs(120);

/// A server that is busy with items may be late to answer that a subscription is gone: it is asked so often.
const DELETE_TRIES: u32 = 10;

/// What a server says to be longer is not believed.
const INTERVAL_MAX: Duration = Duration::from_secs(86_400);

/// A subscription of ours on the server.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub id: u32,
    /// The publishing interval that was asked for.
    pub interval: Duration,
    /// How long the server is silent at the most.
    pub keep_alive: Duration,
    /// What was asked for, and what the server gave.
    pub terms: Terms,
    /// Whether the server's intervals can be what it says.
    pub is_plausible: bool,
    pub sequence: Sequence,
    /// When something last came of it.
    pub heard: Timer,
    /// Whether anything has come of it on this connection.
    pub has_spoken: bool,
    /// Its signals.
    pub items: Vec<Item>,
    /// The places of its streams of events.
    pub streams: Vec<usize>,
    /// How many it may hold.
    pub items_max: usize,
    /// Messages that did not come and are to be asked for again, and those that came after them.
    pub behind: Behind,
    /// Whether items of it are being removed: what the server has then is not what is known here.
    pub in_doubt: bool,
    /// Since when items of it are being made, and how many: until the answer has come the same holds.
    pub making: Option<(Timer, usize)>,
    /// The longest interval at which one of its items is sampled or published.
    pub slowest: Duration,
}

impl Subscription {
    /// Whether its server may have other items in it than are known here. Taken up again, what is missing of them would
    /// be made a second time, and each value come twice.
    pub(crate) const fn is_in_doubt(&self) -> bool {
        self.in_doubt || self.making.is_some()
    }
}

/// A monitored item as it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    /// Its signal's place; fewer than 2³².
    at: u32,
    /// How many values its server queues.
    pub queue_size: u32,
    /// Its id on the server.
    pub id: u32,
}

impl Item {
    /// Its signal's place.
    pub(crate) const fn at(self) -> usize {
        self.at as usize
    }
}

/// What is between the last message that was taken and the last one that came.
#[derive(Debug, Default)]
pub(crate) struct Behind {
    /// Sequence numbers of what is missing.
    pub missing: VecDeque<u32>,
    /// What came after it.
    pub held: VecDeque<NotificationMessage>,
    /// Since a line is back nothing has come that was sent over it for the first time; when something was heard last
    /// before it was cut.
    pub cut: Option<Option<Moment>>,
}

/// Makes subscriptions of an earlier session those of this one (OPC 10000-4 §5.14.7), without their initial values: a
/// status for each, in order.
pub(crate) async fn transfer(session: &Session, ids: Vec<u32>) -> Result<Vec<StatusCode>, SourceError> {
    let count = ids.len();
    let request = TransferSubscriptions::new(session).subscription_ids(ids).send_initial_values(false);
    match request.send(session.channel()).await {
        Ok(response) => {
            let results = response.results.into_iter().flatten().map(|result| result.status_code);
            Ok(results.chain(std::iter::repeat(StatusCode::BadUnknownResponse)).take(count).collect())
        }
        // Many servers do not know the service.
        Err(error) if !is_lost(error.status()) => Ok(vec![error.status(); count]),
        Err(error) => Err(SourceError::request("taking over subscriptions")(error)),
    }
}

/// Deletes subscriptions, with all items that there are in them. What comes of one that stays is of no subscription that
/// is known. Fails only where the connection is lost.
pub(crate) async fn delete(session: Arc<Session>, ids: Vec<u32>) -> Result<(), SourceError> {
    let mut status = StatusCode::BadTimeout;
    for _ in 0..DELETE_TRIES {
        let request = DeleteSubscriptions::new(&session).subscription_ids(ids.clone());
        match request.send(session.channel()).await {
            Ok(_) => return Ok(()),
            Err(error) => status = error.status(),
        }
        if status != StatusCode::BadTimeout {
            break;
        }
    }
    if is_lost(status) {
        return Err(SourceError::Request { doing: "deleting a subscription", status });
    }
    tracing::debug!(?ids, %status, "the server does not delete subscriptions; what comes of them is left out");
    Ok(())
}

/// Makes a subscription.
pub(crate) async fn subscribe(
    session: &Session,
    publishing_interval: Duration,
    timing: &Timing,
    items_max: usize,
) -> Result<Subscription, SourceError> {
    let interval_s = publishing_interval.as_secs_f64().max(0.001);
    let keep_alive_count = count(timing.keep_alive.as_secs_f64() / interval_s);
    let lifetime_count = count(LIFETIME.as_secs_f64() / interval_s).max(keep_alive_count.saturating_mul(3));
    let response = CreateSubscription::new(session)
        .publishing_interval(publishing_interval)
        .max_keep_alive_count(keep_alive_count)
        .max_lifetime_count(lifetime_count)
        .max_notifications_per_publish(NOTIFICATIONS_PER_PUBLISH)
        .publishing_enabled(true)
        .send(session.channel())
        .await
        .map_err(SourceError::request("making a subscription"))?;
    let (asked_ms, told_ms) = (interval_s * 1000.0, response.revised_publishing_interval);
    let revised_ms = plausible_ms(told_ms);
    let mut terms = Terms::default();
    terms.add(Term::PublishingInterval, asked_ms, told_ms.max(0.0));
    terms.add(Term::KeepAliveCount, keep_alive_count.into(), response.revised_max_keep_alive_count.into());
    terms.add(Term::LifetimeCount, lifetime_count.into(), response.revised_lifetime_count.into());
    let revised = Duration::from_secs_f64(revised_ms.unwrap_or(asked_ms).max(1.0) / 1000.0);
    let keep_alive = revised.saturating_mul(response.revised_max_keep_alive_count);
    Ok(Subscription {
        id: response.subscription_id,
        interval: publishing_interval,
        terms,
        // What cannot be is taken for what was asked for: else a silence would be noticed after days.
        keep_alive: if keep_alive > INTERVAL_MAX { timing.keep_alive } else { keep_alive.max(timing.keep_alive) },
        is_plausible: revised_ms.is_some() && keep_alive <= INTERVAL_MAX,
        sequence: Sequence::new(),
        heard: Timer::now(),
        has_spoken: false,
        items: Vec::new(),
        streams: Vec::new(),
        items_max,
        behind: Behind::default(),
        in_doubt: false,
        making: None,
        slowest: Duration::ZERO,
    })
}

/// An interval that a server has revised, if it can be one.
fn plausible_ms(told_ms: f64) -> Option<f64> {
    (0.0..=INTERVAL_MAX.as_secs_f64() * 1000.0).contains(&told_ms).then_some(told_ms)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
fn count(intervals: f64) -> u32 {
    intervals.ceil().clamp(1.0, 1e6) as u32
}

/// A monitored item to be made.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub at: usize,
    node: NodeId,
    /// The events that are wanted of it; `None`: its value.
    events: Option<Box<EventFilter>>,
    sampling_interval: Duration,
    queue_size: u32,
    deadband: Deadband,
    /// Of the subscription that it belongs into.
    pub publishing_interval: Duration,
}

impl Wanted {
    pub(crate) fn new(found: Found, watched: &Watched) -> Self {
        Self {
            at: found.at,
            node: found.node,
            events: None,
            sampling_interval: watched.config.sampling_interval,
            queue_size: watched.config.queue_size,
            deadband: watched.config.deadband,
            publishing_interval: watched.config.publishing_interval,
        }
    }

    /// With the events that pass a filter.
    pub(crate) fn with_events(self, filter: EventFilter) -> Self {
        Self { events: Some(Box::new(filter)), ..self }
    }

    /// Whether its events are wanted rather than its value.
    pub(crate) const fn is_stream(&self) -> bool {
        self.events.is_some()
    }

    /// Events of any severity: which are wanted is seen when they come. Their type cannot be.
    fn take_all_events(&mut self) -> bool {
        let Some(filter) = &mut self.events else { return true };
        let elements = filter.where_clause.elements.take().unwrap_or_default();
        !elements.is_empty() && elements.iter().all(|element| element.filter_operator != FilterOperator::OfType)
    }

    /// The node's value is that of these as well: as often, as deep and as close as any of them wants it.
    pub(crate) fn share(&mut self, watched: &Watched) {
        self.sampling_interval = self.sampling_interval.min(watched.config.sampling_interval);
        self.queue_size = self.queue_size.max(watched.config.queue_size);
        self.publishing_interval = self.publishing_interval.min(watched.config.publishing_interval);
        // A deadband of an array is one of each element; that of a structure none.
        if self.deadband != watched.config.deadband {
            self.deadband = Deadband::None;
        }
    }

    /// Every sample is wanted, equal values as well, unless there is a deadband: a sensor that repeats itself is worth
    /// knowing.
    fn request(&self, every_sample: bool) -> MonitoredItemCreateRequest {
        let (deadband_type, deadband_value) = match self.deadband {
            Deadband::None => (DeadbandType::None, 0.0),
            Deadband::Absolute(value) => (DeadbandType::Absolute, value),
            Deadband::Percent(share) => (DeadbandType::Percent, share),
        };
        let trigger = if self.deadband == Deadband::None {
            DataChangeTrigger::StatusValueTimestamp
        } else {
            DataChangeTrigger::StatusValue
        };
        let (attribute_id, filter) = if let Some(events) = &self.events {
            (AttributeId::EventNotifier, ExtensionObject::from_message((**events).clone()))
        } else if every_sample {
            let deadband_type = deadband_type as u32;
            let filter = DataChangeFilter { trigger, deadband_type, deadband_value };
            (AttributeId::Value, ExtensionObject::from_message(filter))
        } else {
            (AttributeId::Value, ExtensionObject::null())
        };
        MonitoredItemCreateRequest {
            item_to_monitor: ReadValueId {
                node_id: self.node.clone(),
                attribute_id: attribute_id as u32,
                ..Default::default()
            },
            monitoring_mode: MonitoringMode::Reporting,
            requested_parameters: MonitoringParameters {
                client_handle: client_handle(self.at),
                sampling_interval: self.sampling_interval.as_secs_f64() * 1000.0,
                filter,
                queue_size: self.queue_size,
                discard_oldest: true,
            },
        }
    }
}

/// What became of a chunk of items.
#[derive(Debug, Default)]
pub(crate) struct Created {
    pub made: Vec<Item>,
    pub refused: Vec<Refused>,
    /// The subscription is full: these belong into another one.
    pub no_room: Vec<Wanted>,
    /// The request was too large as a whole: none was made, try fewer at once.
    pub too_many: Vec<Wanted>,
    /// The request was refused as a whole, perhaps for one of these: none was made.
    pub spoiled: Vec<Wanted>,
    /// The server has not answered for these: it may have made them or not.
    pub unanswered: Vec<Wanted>,
    /// How many were given another sampling interval than asked for: by both, in milliseconds.
    pub revised: BTreeMap<(u64, u64), usize>,
    /// What was asked for, and what the server gave.
    pub terms: Terms,
    /// The longest interval at which one of them is sampled or published.
    pub slowest: Duration,
    /// How many could not be made as asked for, and report every change instead.
    pub plain: usize,
    /// How many were given an interval that cannot be.
    pub implausible: usize,
}

/// Removes items of ours, so many in a request at the most.
async fn remove(session: &Session, subscription: u32, ids: &[u32], at_once: usize) -> Result<(), SourceError> {
    for ids in ids.chunks(at_once.max(1)) {
        let request = DeleteMonitoredItems::new(subscription, session).items_to_delete(ids.to_vec());
        request.send(session.channel()).await.map_err(SourceError::request("removing monitored items"))?;
    }
    Ok(())
}

impl Subscription {
    /// Removes those of its items that are meant, so many in a request at the most; returns them. Where that is dropped
    /// or fails the subscription stays in doubt.
    pub(crate) async fn remove(
        &mut self,
        session: &Session,
        at_once: usize,
        is_meant: impl Fn(&Item) -> bool,
    ) -> Result<Vec<Item>, SourceError> {
        let (removed, kept): (Vec<Item>, Vec<Item>) = self.items.drain(..).partition(is_meant);
        self.items = kept;
        if !removed.is_empty() {
            let was_in_doubt = std::mem::replace(&mut self.in_doubt, true);
            let ids: Vec<u32> = removed.iter().map(|item| item.id).collect();
            remove(session, self.id, &ids, at_once).await?;
            self.in_doubt = was_in_doubt;
        }
        Ok(removed)
    }
}

/// Makes items; those whose server cannot report every sample are made to report changes.
pub(crate) async fn create(session: Arc<Session>, id: u32, chunk: Vec<Wanted>) -> Result<Created, SourceError> {
    let mut created = Created::default();
    let mut again = Vec::new();
    let results = match send(&session, id, &chunk, true).await? {
        Sent::Answered(results) => results,
        other => {
            created.put_aside(chunk, &other);
            return Ok(created);
        }
    };
    for (mut wanted, result) in chunk.into_iter().zip(results) {
        match result.0 {
            StatusCode::BadMonitoredItemFilterUnsupported
            | StatusCode::BadEventFilterInvalid
            | StatusCode::BadFilterOperatorUnsupported
                if wanted.events.is_some() =>
            {
                if wanted.take_all_events() {
                    again.push(wanted);
                } else {
                    created.sort_in(wanted, result);
                }
            }
            StatusCode::BadMonitoredItemFilterUnsupported
            | StatusCode::BadMonitoredItemFilterInvalid
            | StatusCode::BadDeadbandFilterInvalid
            | StatusCode::BadFilterNotAllowed => again.push(wanted),
            _ => created.sort_in(wanted, result),
        }
    }
    if !again.is_empty() {
        created.plain = again.iter().filter(|wanted| wanted.events.is_none()).count();
        match send(&session, id, &again, false).await? {
            Sent::Answered(results) => {
                for (wanted, result) in again.into_iter().zip(results) {
                    created.sort_in(wanted, result);
                }
            }
            other => created.put_aside(again, &other),
        }
    }
    Ok(created)
}

impl Created {
    /// Keeps those of a request that has no answer for each.
    fn put_aside(&mut self, wanted: Vec<Wanted>, sent: &Sent) {
        match sent {
            Sent::TooLarge => self.too_many = wanted,
            Sent::Spoiled => self.spoiled = wanted,
            Sent::Unanswered | Sent::Answered(_) => self.unanswered = wanted,
        }
    }

    /// The places of all items that were in the request.
    pub(crate) fn places(&self) -> impl Iterator<Item = usize> {
        let left = self.too_many.iter().chain(&self.spoiled).chain(&self.unanswered).chain(&self.no_room);
        self.made.iter().map(|item| item.at()).chain(left.map(|wanted| wanted.at))
    }

    fn sort_in(&mut self, wanted: Wanted, (status, queue_size, sampling_ms, id): Answer) {
        match status {
            status if status.is_good() => {
                let asked_ms = wanted.sampling_interval.as_secs_f64() * 1000.0;
                let revised_ms = plausible_ms(sampling_ms);
                self.implausible += usize::from(revised_ms.is_none());
                let sampling_ms = revised_ms.unwrap_or(asked_ms);
                if wanted.events.is_none() && (asked_ms - sampling_ms).abs() >= 1.0 {
                    *self.revised.entry((whole_ms(asked_ms), whole_ms(sampling_ms))).or_default() += 1;
                }
                if wanted.events.is_none() {
                    self.terms.add(Term::SamplingInterval, asked_ms, sampling_ms);
                }
                self.terms.add(Term::QueueSize, wanted.queue_size.into(), queue_size.into());
                let sampling = Duration::from_millis(whole_ms(sampling_ms));
                self.slowest = self.slowest.max(sampling.max(wanted.publishing_interval));
                self.made.push(Item { at: client_handle(wanted.at) - 1, queue_size, id });
            }
            StatusCode::BadTooManyMonitoredItems => self.no_room.push(wanted),
            status => self.refused.push(Refused { at: wanted.at, status }),
        }
    }
}

/// Status, queue size, sampling interval in milliseconds, and id.
type Answer = (StatusCode, u32, f64, u32);

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
fn whole_ms(ms: f64) -> u64 {
    ms.round().clamp(0.0, 1e15) as u64
}

/// What a request to make items has come to.
enum Sent {
    /// An answer for each.
    Answered(Vec<Answer>),
    /// It was too large for the server.
    TooLarge,
    /// It was refused as a whole.
    Spoiled,
    /// No answer, or not for each.
    Unanswered,
}

/// One request.
async fn send(session: &Session, id: u32, chunk: &[Wanted], every_sample: bool) -> Result<Sent, SourceError> {
    let items = chunk.iter().map(|wanted| wanted.request(every_sample)).collect();
    let request =
        CreateMonitoredItems::new(id, session).timestamps_to_return(TimestampsToReturn::Both).items_to_create(items);
    match request.send(session.channel()).await {
        Ok(response) => {
            let results = response.results.into_iter().map(|item| item.result);
            let answer = |result: MonitoredItemCreateResult| {
                let (queue_size, sampling_ms) = (result.revised_queue_size, result.revised_sampling_interval);
                (result.status_code, queue_size, sampling_ms, result.monitored_item_id)
            };
            Ok(Sent::Answered(results.map(answer).take(chunk.len()).collect()))
        }
        // Some may have been made.
        Err(error) if error.status() == StatusCode::BadTimeout || is_short_answer(&error) => Ok(Sent::Unanswered),
        Err(error) => match error.status() {
            // Some servers refuse the whole request when the subscription is full.
            StatusCode::BadTooManyMonitoredItems => {
                Ok(Sent::Answered(vec![(StatusCode::BadTooManyMonitoredItems, 0, 0.0, 0); chunk.len()]))
            }
            status if is_too_large(status) && chunk.len() > 1 => Ok(Sent::TooLarge),
            status if may_be_one(status) && chunk.len() > 1 => Ok(Sent::Spoiled),
            // One alone concerns no other.
            status if may_be_one(status) => Ok(Sent::Answered(vec![(status, 0, 0.0, 0); chunk.len()])),
            status => Err(SourceError::Request { doing: "making monitored items", status }),
        },
    }
}
