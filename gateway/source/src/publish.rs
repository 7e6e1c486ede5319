//! One connection's work: sets up what is to be watched, issues Publish requests while the gateway has room, checks
//! every sequence number, and hands values in. Ends only by failing.
//!
//! Set-up runs beside publishing, so that values of the first items do not overflow while the last are still made, and
//! a node that cannot be watched holds up no other. So does the reading of history for what was missed.
//!
//! When the transport is lost, all of it can be dropped at any point and taken up again: what a message held is converted
//! in one step, and what is converted waits in a queue that outlasts the connection.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use opcua::client::services::{Publish, Republish};
use opcua::client::{Session, UARequest};
use opcua::types::{
    AttributeId, DataChangeNotification, Error, EventNotificationList, NotificationMessage, PublishResponse,
    ReadValueId, StatusChangeNotification, StatusCode, SubscriptionAcknowledgement, TimestampsToReturn, VariableId,
};
use std::time::Duration;
use tokio::time::Instant as Timer;
use watchfire_model::{Clock, GapCause, SourceState};
use watchfire_pipeline::{Arrival, Inlet};

use crate::SourceError;
use crate::awaited::Told;
use crate::backfill::{self, Backfill};
use crate::convert::Converter;
use crate::error::{is_lost, is_unreadable};
use crate::items::{self, Subscription};
use crate::received::Received;
use crate::report::Reporter;
use crate::sequence::{Arrived, after};
use crate::setup::{Job, Setup};
use crate::stamp::stamp;
use crate::unreadable::Search;
use crate::watchdog::{Look, Watch};
use crate::watched::Roster;

mod anew;
mod lies;
mod owed;
mod told;

use lies::Lies;

/// A line that has come back may fail again before anything has come over it; a session that is taken up in vain so often is
/// made anew.
const RESUMES_MAX: u32 = 3;
/// More are refused by many servers.
const PUBLISHES_MAX: usize = 10;
/// Of more missing messages than this none is asked for again: no server keeps so many.
const REPUBLISH_MAX: u32 = 64;
/// A connection is dead after so many keep-alives without any sign.
const SILENT_KEEP_ALIVES: u32 = 3;
/// A subscription is lost after so many without one of its own: a server under load may neglect one for another.
const NEGLECTED_KEEP_ALIVES: u32 = 10;
/// A server that cannot send so many messages in a row is asked anew from the beginning.
const TOO_LARGE_MAX: u32 = 10;
/// A wait for the inlet that is longer than this is no sign of the server's silence.
const HELD_UP: Duration = Duration::from_millis(100);

enum Event {
    Published(Result<PublishResponse, Error>),
    Job(Job),
    Page(backfill::Page),
    History,
    Look,
    Looked(Vec<Look>),
    Awaited,
    RetryRefused,
    Silent,
    Room,
}

/// How a connection begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    /// With a new session: what an earlier one had is taken over where the server allows it.
    NewSession,
    /// With the session of the connection before, and all that it had.
    SameSession,
}

/// What outlasts a connection, lent to it.
pub(crate) struct Lent<'a> {
    pub inlet: &'a Inlet,
    pub roster: &'a mut Roster,
    pub converter: &'a mut Converter,
    pub reporter: &'a mut Reporter,
    pub backfill: &'a mut Backfill,
    pub awaited: &'a mut Told,
    /// What is to be handed in.
    pub queue: &'a mut VecDeque<Arrival>,
    pub clock: &'a dyn Clock,
    pub history_lag: Duration,
    /// A request that is not answered after so long was too much.
    pub slow_after: Duration,
    /// Publish requests at the server, at the most.
    pub publishes_max: usize,
    /// How often signals of which nothing comes are looked at.
    pub watchdog: Duration,
}

/// The publishing half of a connection.
pub(crate) struct Publisher<'a> {
    session: Arc<Session>,
    lent: Lent<'a>,
    setup: Setup,
    subscriptions: Vec<Subscription>,
    publishes: FuturesUnordered<BoxFuture<'static, Result<PublishResponse, Error>>>,
    publishes_max: usize,
    acknowledgements: Vec<SubscriptionAcknowledgement>,
    /// How often the session may be taken up again before anything is published: not at all until something was.
    resumes: u32,
    /// Messages in a row that were too large to be sent.
    too_large: u32,
    lies: Lies,
    watch: Watch,
    /// The search for values that no message can be read with.
    search: Search,
}

impl<'a> Publisher<'a> {
    /// With the subscriptions of an earlier session.
    pub(crate) fn new(session: Arc<Session>, setup: Setup, lent: Lent<'a>, kept: Vec<Subscription>) -> Self {
        let publishes_max = lent.publishes_max.clamp(1, PUBLISHES_MAX);
        let every = lent.watchdog;
        Self {
            session,
            lent,
            setup,
            subscriptions: kept,
            publishes: FuturesUnordered::new(),
            publishes_max,
            acknowledgements: Vec::new(),
            resumes: 0,
            too_large: 0,
            lies: Lies::default(),
            watch: Watch::new(every),
            search: Search::new(),
        }
    }

    /// The subscriptions, for a later session.
    pub(crate) fn into_subscriptions(self) -> Vec<Subscription> {
        for (since, items) in self.subscriptions.iter().filter_map(|subscription| subscription.making) {
            // A server that is busy for so long may not even say that it is there.
            if since.elapsed() > self.lent.slow_after {
                self.lent.roster.was_slow(items);
            }
        }
        self.subscriptions
    }

    /// The longest interval at which a signal is sampled or published.
    fn slowest(&self) -> Duration {
        self.subscriptions.iter().map(|subscription| subscription.slowest).max().unwrap_or_default()
    }

    /// Whether it makes sense to take the session up again when the transport was lost: all was made, and something has
    /// come since one of the last times that it was taken up.
    pub(crate) fn can_resume(&self) -> bool {
        let is_known = self.subscriptions.iter().all(|subscription| !subscription.is_in_doubt());
        self.resumes > 0 && self.setup.is_done() && !self.subscriptions.is_empty() && is_known
    }

    /// Says that the transport was lost.
    pub(crate) async fn lost(&mut self, error: &SourceError) {
        self.lent.backfill.lost();
        self.publishes.clear();
        tracing::warn!(source = self.lent.reporter.source(), %error, "connection lost; taking the session up again");
        self.lent.reporter.report(self.lent.inlet, SourceState::Down, error.to_string()).await;
    }

    /// Works until the connection fails; returns why. May be dropped at any point, and called again.
    pub(crate) async fn run(&mut self, begin: Begin) -> SourceError {
        if let Err(error) = self.begin(begin).await {
            return error;
        }
        loop {
            if let Err(error) = self.step().await {
                return error;
            }
        }
    }

    async fn begin(&mut self, begin: Begin) -> Result<(), SourceError> {
        self.publishes.clear();
        self.lent.backfill.lost();
        self.watch.begin();
        self.search.begin();
        self.resumes = if matches!(begin, Begin::SameSession) { self.resumes.saturating_sub(1) } else { 0 };
        self.deliver().await?;
        match begin {
            Begin::NewSession => self.take_over().await?,
            Begin::SameSession => self.setup.up(&mut self.lent).await,
        }
        self.heard_all();
        let heard = self.lent.converter.heard_last();
        for at in 0..self.subscriptions.len() {
            let Some(subscription) = self.subscriptions.get_mut(at) else { break };
            subscription.has_spoken = false;
            // Where it was cut again before anything came: since the first time.
            let since = *subscription.behind.cut.get_or_insert(heard);
            self.owe_shallow(at, since);
        }
        let items = self.subscriptions.iter().flat_map(|subscription| &subscription.items);
        let places = items.flat_map(|item| self.lent.converter.parts_of(item.at()));
        let resumed: Vec<_> = places.filter_map(|at| self.lent.roster.get(at).map(|watched| watched.id)).collect();
        if !resumed.is_empty() {
            self.lent.queue.push_back(Arrival::Resumed(resumed));
            self.deliver().await?;
        }
        for at in 0..self.subscriptions.len() {
            self.catch_up(at).await?;
        }
        Ok(())
    }

    /// Takes over what an earlier session had on this server, and makes anew what cannot be taken over.
    async fn take_over(&mut self) -> Result<(), SourceError> {
        self.lent.roster.connected();
        if !self.subscriptions.is_empty() {
            let ids = self.subscriptions.iter().map(|subscription| subscription.id).collect();
            let answers = items::transfer(&self.session, ids).await?;
            let mut answer = answers.iter();
            self.subscriptions.retain(|_| answer.next().is_some_and(|status| status.is_good()));
            // What the server has in those is not known, and may be what is made anew now.
            let (doubtful, known): (Vec<_>, Vec<_>) =
                std::mem::take(&mut self.subscriptions).into_iter().partition(Subscription::is_in_doubt);
            self.subscriptions = known;
            if !doubtful.is_empty() {
                let ids = doubtful.iter().map(|subscription| subscription.id).collect();
                items::delete(self.session.clone(), ids).await?;
            }
            let (source, kept) = (self.lent.reporter.source(), self.subscriptions.len());
            let refused = answers.iter().find(|status| !status.is_good());
            let reason = refused.map(ToString::to_string).unwrap_or_default();
            tracing::info!(source, kept, of = answers.len(), reason, "subscriptions were taken over");
        }
        let items = self.subscriptions.iter().flat_map(|subscription| &subscription.items);
        let kept: BTreeSet<usize> = items.flat_map(|item| self.lent.converter.parts_of(item.at())).collect();
        let missing: Vec<usize> = (0..self.lent.roster.len()).filter(|at| !kept.contains(at)).collect();
        self.lent.converter.owe(missing.iter().copied(), GapCause::SourceLost);
        // Another server, or the same with other namespaces, may have another node there.
        missing.iter().for_each(|at| self.lent.roster.set_history(*at, None));
        self.lent.backfill.begin_session();
        if self.lent.roster.has_members() {
            self.setup.learn();
        }
        self.setup.examine(self.lent.roster.some(&missing));
        Ok(())
    }

    async fn step(&mut self) -> Result<(), SourceError> {
        if !self.setup.is_working() && self.search.starts() {
            let items = self.subscriptions.iter().flat_map(|subscription| &subscription.items);
            let places: Vec<usize> = items.flat_map(|item| self.lent.converter.parts_of(item.at())).collect();
            self.setup.search(self.lent.roster.doubtful(&places));
        }
        self.setup.go_on(&mut self.subscriptions, self.lent.converter);
        self.issue_publishes();
        match self.next_event().await {
            Event::Published(Ok(response)) => self.published(response).await,
            Event::Published(Err(error)) => self.publish_failed(error.status()),
            Event::Job(Job::Searched(examined)) => self.searched(examined?).await,
            Event::Job(job) => {
                let inlet = self.lent.inlet.clone();
                self.setup.done(job, &mut self.subscriptions, &mut self.lent, &inlet).await
            }
            Event::History => {
                let roster = &*self.lent.roster;
                self.lent.backfill.go_on(&self.session, |at| roster.history(at).cloned());
                Ok(())
            }
            Event::Page(page) => {
                let (source, now) = (self.lent.reporter.shared_source(), self.lent.clock.now());
                self.lent.queue.extend(self.lent.backfill.take(page, self.lent.converter.streams(), &source, now)?);
                self.deliver().await
            }
            Event::Look => {
                let places = self.watch.places(self.lent.converter);
                let nodes = self.setup.nodes_of(&places, self.lent.roster);
                self.watch.look(&self.session, nodes, self.slowest());
                Ok(())
            }
            Event::Looked(seen) => self.looked(seen).await,
            Event::Awaited => self.tell_awaited().await,
            Event::RetryRefused => {
                self.setup.retry(self.lent.roster.refused());
                Ok(())
            }
            Event::Silent => Err(self.fell_silent().await),
            Event::Room => {
                self.heard_all();
                Ok(())
            }
        }
    }

    async fn next_event(&mut self) -> Event {
        let publishing = !self.publishes.is_empty();
        let held_back = !publishing && !self.subscriptions.is_empty();
        let silent_at = self.silent_at();
        let working = self.setup.is_working();
        let retry_at = self.setup.retry_at();
        let reading = self.lent.backfill.is_working();
        let history_at = self.lent.backfill.due();
        let (look_at, looking) = (self.watch.due(), self.watch.is_looking());
        let awaited_at = self.lent.awaited.due();
        let idle = !looking && self.setup.is_done();
        tokio::select! {
            Some(response) = self.publishes.next(), if publishing => Event::Published(response),
            job = self.setup.job(), if working => Event::Job(job),
            page = self.lent.backfill.page(), if reading => Event::Page(page),
            () = tokio::time::sleep_until(history_at.unwrap_or(retry_at)), if history_at.is_some() => Event::History,
            () = tokio::time::sleep_until(look_at), if idle => Event::Look,
            seen = self.watch.seen(), if looking => Event::Looked(seen),
            () = tokio::time::sleep_until(silent_at.unwrap_or(retry_at)), if publishing && silent_at.is_some() => Event::Silent,
            () = tokio::time::sleep_until(awaited_at.unwrap_or(retry_at)), if awaited_at.is_some() => Event::Awaited,
            () = tokio::time::sleep_until(retry_at), if !working => Event::RetryRefused,
            () = self.lent.inlet.room(), if held_back => Event::Room,
        }
    }

    /// The connection is given up. Subscriptions of which nothing has come on it are not kept where the server answers
    /// otherwise: one may hand over a subscription that is dead, and taking that up again would go on for ever. Where it
    /// does not answer either the line hangs, and what they have queued is still to be had.
    async fn fell_silent(&mut self) -> SourceError {
        let is_mute = self.subscriptions.iter().any(|subscription| !subscription.has_spoken);
        let before = self.subscriptions.len();
        if is_mute && answers(self.session.clone()).await {
            self.subscriptions.retain(|subscription| subscription.has_spoken);
        }
        let dead = before - self.subscriptions.len();
        if dead > 0 {
            let source = self.lent.reporter.source();
            tracing::warn!(source, dead, "subscriptions of which nothing has come are made anew");
            self.resumes = 0;
        }
        SourceError::Lost("the server has fallen silent".to_owned())
    }

    /// When the connection is to be given up unless something comes; `None` before the first subscription.
    fn silent_at(&self) -> Option<Timer> {
        let all = self.subscriptions.iter().map(|s| s.heard + s.keep_alive * SILENT_KEEP_ALIVES).max()?;
        let one = self.subscriptions.iter().map(|s| s.heard + s.keep_alive * NEGLECTED_KEEP_ALIVES).min()?;
        Some(all.min(one))
    }

    /// Keeps a few Publish requests at the server, none while the inlet is more than half full: then the server
    /// queues, and says so when its queues overflow.
    fn issue_publishes(&mut self) {
        let wanted = (2 * self.subscriptions.len() + 1).min(self.publishes_max);
        while !self.subscriptions.is_empty() && self.publishes.len() < wanted && self.lent.inlet.has_room() {
            let session = self.session.clone();
            let acknowledgements = std::mem::take(&mut self.acknowledgements);
            let longest = self.subscriptions.iter().map(|s| s.keep_alive).max().unwrap_or_default();
            // A request waits at the server until all before it have been answered by keep-alives.
            let timeout = longest * u32::try_from(PUBLISHES_MAX).unwrap_or(1) * 2;
            let publish = async move {
                Publish::new(&session).acks(acknowledgements).timeout(timeout).send(session.channel()).await
            };
            self.publishes.push(publish.boxed());
        }
    }

    fn publish_failed(&mut self, status: StatusCode) -> Result<(), SourceError> {
        match status {
            StatusCode::BadTooManyPublishRequests => {
                self.publishes_max = self.publishes.len().max(1);
                Ok(())
            }
            // One message is lost, as its number will show; the next may be smaller, or can be read.
            status if is_unreadable(status) && (self.search.is_running() || self.too_large < TOO_LARGE_MAX) => {
                if !self.search.is_running() {
                    self.too_large += 1;
                    let source = self.lent.reporter.source();
                    tracing::error!(source, %status, "a message is too large, or cannot be read; its values are lost; looking for those that it was");
                }
                self.search.message_lost();
                Ok(())
            }
            // The requests for one that was deleted, since it is made anew.
            StatusCode::BadNoSubscription if !self.setup.is_done() => Ok(()),
            // Whether the server is silent is judged by what comes, not by one request.
            StatusCode::BadTimeout => Ok(()),
            status if is_lost(status) => Err(SourceError::Lost(format!("publishing failed ({status})"))),
            status => Err(SourceError::Request { doing: "publishing", status }),
        }
    }

    async fn published(&mut self, response: PublishResponse) -> Result<(), SourceError> {
        let message = response.notification_message;
        let Some(at) = self.subscriptions.iter().position(|s| s.id == response.subscription_id) else { return Ok(()) };
        let Some(subscription) = self.subscriptions.get_mut(at) else { return Ok(()) };
        (self.resumes, self.too_large) = (RESUMES_MAX, 0);
        (subscription.heard, subscription.has_spoken) = (Timer::now(), true);
        if !subscription.streams.is_empty() {
            self.lent.converter.heard(&subscription.streams, self.lent.clock.now());
        }
        let keep_alive = message.notification_data.as_ref().is_none_or(Vec::is_empty);
        let number = message.sequence_number;
        let arrived = if keep_alive {
            subscription.sequence.keep_alive(number)
        } else {
            self.acknowledgements.push(SubscriptionAcknowledgement {
                subscription_id: response.subscription_id,
                sequence_number: number,
            });
            subscription.sequence.message(number, stamp(&message))
        };
        if let Arrived::After { first, count } = arrived {
            if count <= REPUBLISH_MAX {
                let missing = std::iter::successors(Some(first), |number| Some(after(*number)));
                subscription.behind.missing.extend(missing.take(usize::try_from(count).unwrap_or(0)));
            } else {
                let source = self.lent.reporter.source();
                tracing::error!(source, messages = count, "the server has lost messages");
                let items = subscription.items.clone();
                self.owe(items, GapCause::Overflow);
            }
        }
        if arrived == Arrived::Anew {
            let items = self.subscriptions.get(at).map(|subscription| subscription.items.clone()).unwrap_or_default();
            self.lies.begin_anew(number, self.lent.reporter.source());
            self.owe(items, GapCause::Overflow);
        }
        let Some(subscription) = self.subscriptions.get_mut(at) else { return Ok(()) };
        if !keep_alive && arrived != Arrived::Again {
            subscription.behind.held.push_back(message);
        }
        self.catch_up(at).await
    }

    /// Asks for messages again that did not come (OPC 10000-4 §5.14.6), then takes those that came after them. What the
    /// server no longer has becomes a gap of each signal of the subscription.
    async fn catch_up(&mut self, at: usize) -> Result<(), SourceError> {
        let (mut lost, mut again) = (0_u32, 0_u32);
        while let Some((id, number)) =
            self.subscriptions.get(at).and_then(|s| s.behind.missing.front().map(|number| (s.id, *number)))
        {
            let answer = Republish::new(id, number, &self.session).send(self.session.channel()).await;
            if let Err(error) = &answer
                && (is_lost(error.status()) || error.status() == StatusCode::BadTimeout)
            {
                return Err(SourceError::Lost(format!("asking for a message again failed ({})", error.status())));
            }
            let Some(subscription) = self.subscriptions.get_mut(at) else { break };
            subscription.behind.missing.pop_front();
            // Some servers answer with an empty message when they no longer have it.
            if let Ok(response) = answer
                && response.notification_message.sequence_number == number
            {
                again += 1;
                let acknowledgement = SubscriptionAcknowledgement { subscription_id: id, sequence_number: number };
                self.acknowledgements.push(acknowledgement);
                self.convert(response.notification_message)?;
            } else {
                lost += 1;
                let items = subscription.items.clone();
                self.owe(items, GapCause::Overflow);
            }
        }
        if lost > 0 {
            tracing::error!(source = self.lent.reporter.source(), messages = lost, "the server has lost messages");
        }
        if again > 0 {
            let source = self.lent.reporter.source();
            tracing::info!(source, messages = again, "the server has sent messages again that did not come");
        }
        // What was sent before the line was cut says nothing of what was dropped until the next message was made.
        if again > 0
            && let Some(since) = self.subscriptions.get(at).and_then(|subscription| subscription.behind.cut)
        {
            self.owe_shallow(at, since);
        }
        while let Some(message) = self.subscriptions.get_mut(at).and_then(|s| s.behind.held.pop_front()) {
            self.convert(message)?;
            if let Some(subscription) = self.subscriptions.get_mut(at) {
                subscription.behind.cut = None;
            }
        }
        self.deliver().await
    }

    /// Turns what a message holds into what is to be handed in, gaps before the values that end them.
    fn convert(&mut self, message: NotificationMessage) -> Result<(), SourceError> {
        let now = self.lent.clock.now();
        let mut received = Received::default();
        let mut ended = None;
        for content in message.notification_data.into_iter().flatten() {
            if content.inner_is::<DataChangeNotification>() {
                if let Some(changes) = content.into_inner_as::<DataChangeNotification>() {
                    self.lent.converter.data_change(*changes, now, &mut received);
                }
            } else if content.inner_is::<EventNotificationList>() {
                if let Some(events) = content.into_inner_as::<EventNotificationList>() {
                    self.lent.converter.events(*events, now, &mut received);
                }
            } else if let Some(change) = content.inner_as::<StatusChangeNotification>()
                && change.status.is_bad()
            {
                ended = Some(SourceError::Request { doing: "keeping a subscription alive", status: change.status });
            }
        }
        self.lies.look(&received, self.lent.reporter.source(), self.lent.roster);
        let Received { rows, gaps, places, unreached, refresh, .. } = received;
        if refresh {
            self.setup.refresh(&self.subscriptions);
        }
        for (gap, at) in gaps.iter().zip(places) {
            let element = self.lent.roster.get(at).and_then(|watched| watched.config.element.clone());
            if self.lent.roster.history(at).is_some() {
                self.lent.backfill.add(at, gap, element, self.lent.history_lag);
            } else {
                self.lent.backfill.leave_to_others(at, gap, element);
            }
        }
        for (at, gap) in unreached {
            if self.lent.roster.history(at).is_some() {
                let element = self.lent.roster.get(at).and_then(|watched| watched.config.element.clone());
                self.lent.backfill.add_unreached(at, &gap, element, self.lent.history_lag);
            }
        }
        if !gaps.is_empty() {
            self.lent.queue.push_back(Arrival::Gaps(gaps));
        }
        if !rows.is_empty() {
            self.lent.queue.push_back(Arrival::Rows(rows));
        }
        ended.map_or(Ok(()), Err)
    }

    /// Hands in what waits for it. Waits for room.
    async fn deliver(&mut self) -> Result<(), SourceError> {
        let begin = Timer::now();
        if !self.lent.inlet.deliver(self.lent.queue).await {
            return Err(SourceError::Lost("the gateway is stopping".to_owned()));
        }
        if begin.elapsed() > HELD_UP {
            self.heard_all();
        }
        Ok(())
    }

    /// Silence while the gateway itself did not listen is none.
    fn heard_all(&mut self) {
        for subscription in &mut self.subscriptions {
            subscription.heard = Timer::now();
        }
    }
}

/// Whether a server answers at all: asked for its time, which every server has.
async fn answers(session: Arc<Session>) -> bool {
    let time = ReadValueId {
        node_id: VariableId::Server_ServerStatus_CurrentTime.into(),
        attribute_id: AttributeId::Value as u32,
        ..ReadValueId::default()
    };
    session.read(&[time], TimestampsToReturn::Neither, 0.0).await.is_ok()
}
