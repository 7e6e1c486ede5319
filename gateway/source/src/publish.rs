//! One connection's work: sets up what is to be watched, issues Publish requests while the gateway has room, checks
//! every sequence number, and hands values in. Ends only by failing.
//!
//! Set-up runs beside publishing, so that values of the first items do not overflow while the last are still made, and
//! a node that cannot be watched holds up no other.

use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use opcua::client::services::{Publish, Republish};
use opcua::client::{Session, UARequest};
use opcua::types::{
    DataChangeNotification, Error, NotificationMessage, PublishResponse, StatusChangeNotification, StatusCode,
    SubscriptionAcknowledgement,
};
use std::time::Duration;
use tokio::time::Instant as Timer;
use watchfire_model::{Clock, GapCause};
use watchfire_pipeline::{Arrival, Inlet};

use crate::SourceError;
use crate::convert::{Converter, Received};
use crate::items::Subscription;
use crate::report::Reporter;
use crate::sequence::{Arrived, after};
use crate::setup::{Job, Setup};
use crate::watched::Roster;

/// More are refused by many servers.
const PUBLISHES_MAX: usize = 10;
/// Of more missing messages than this none is asked for again: no server keeps so many.
const REPUBLISH_MAX: u32 = 64;
/// A connection is dead after so many keep-alives without any sign.
const SILENT_KEEP_ALIVES: u32 = 3;
/// A subscription is lost after so many without one of its own: a server under load may neglect one for another.
const NEGLECTED_KEEP_ALIVES: u32 = 10;
/// A wait for the inlet that is longer than this is no sign of the server's silence.
const HELD_UP: Duration = Duration::from_millis(100);

enum Event {
    Published(Result<PublishResponse, Error>),
    Job(Job),
    RetryRefused,
    Silent,
    Room,
}

/// What outlasts a connection, lent to it.
pub(crate) struct Lent<'a> {
    pub inlet: &'a Inlet,
    pub roster: &'a mut Roster,
    pub converter: &'a mut Converter,
    pub reporter: &'a mut Reporter,
    pub clock: &'a dyn Clock,
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
}

impl<'a> Publisher<'a> {
    pub(crate) fn new(session: Arc<Session>, setup: Setup, lent: Lent<'a>) -> Self {
        Self {
            session,
            lent,
            setup,
            subscriptions: Vec::new(),
            publishes: FuturesUnordered::new(),
            publishes_max: PUBLISHES_MAX,
            acknowledgements: Vec::new(),
        }
    }

    /// Works until the connection fails; returns why.
    pub(crate) async fn run(mut self) -> SourceError {
        self.lent.roster.connected();
        self.setup.examine(self.lent.roster.all());
        loop {
            if let Err(error) = self.step().await {
                return error;
            }
        }
    }

    async fn step(&mut self) -> Result<(), SourceError> {
        self.setup.go_on(&self.subscriptions);
        self.issue_publishes();
        match self.next_event().await {
            Event::Published(Ok(response)) => self.published(response).await,
            Event::Published(Err(error)) => self.publish_failed(error.status()),
            Event::Job(job) => {
                let inlet = self.lent.inlet.clone();
                self.setup.done(job, &mut self.subscriptions, &mut self.lent, &inlet).await
            }
            Event::RetryRefused => {
                self.setup.retry(self.lent.roster.refused());
                Ok(())
            }
            Event::Silent => Err(SourceError::Lost("the server has fallen silent".to_owned())),
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
        tokio::select! {
            Some(response) = self.publishes.next(), if publishing => Event::Published(response),
            job = self.setup.job(), if working => Event::Job(job),
            () = tokio::time::sleep_until(silent_at.unwrap_or(retry_at)), if publishing => Event::Silent,
            () = tokio::time::sleep_until(retry_at), if !working => Event::RetryRefused,
            () = self.lent.inlet.room(), if held_back => Event::Room,
        }
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
            // Whether the server is silent is judged by what comes, not by one request.
            StatusCode::BadTimeout => Ok(()),
            status => Err(SourceError::Lost(format!("publishing failed ({status})"))),
        }
    }

    async fn published(&mut self, response: PublishResponse) -> Result<(), SourceError> {
        let message = response.notification_message;
        let Some(at) = self.subscriptions.iter().position(|s| s.id == response.subscription_id) else { return Ok(()) };
        let Some(subscription) = self.subscriptions.get_mut(at) else { return Ok(()) };
        subscription.heard = Timer::now();
        let keep_alive = message.notification_data.as_ref().is_none_or(Vec::is_empty);
        let number = message.sequence_number;
        let arrived = if keep_alive {
            subscription.sequence.keep_alive(number)
        } else {
            self.acknowledgements.push(SubscriptionAcknowledgement {
                subscription_id: response.subscription_id,
                sequence_number: number,
            });
            subscription.sequence.message(number)
        };
        if let Arrived::After { first, count } = arrived {
            self.recover(at, first, count).await?;
        }
        if keep_alive || arrived == Arrived::Again { Ok(()) } else { self.take(message).await }
    }

    /// Asks for messages again that did not come (OPC 10000-4 §5.14.6). What the server no longer has becomes a gap of
    /// each signal of the subscription.
    async fn recover(&mut self, at: usize, first: u32, count: u32) -> Result<(), SourceError> {
        let Some(subscription_id) = self.subscriptions.get(at).map(|s| s.id) else { return Ok(()) };
        let mut lost = 0_u32;
        let mut number = first;
        for place in 0..count {
            let answer = if count > REPUBLISH_MAX {
                None
            } else {
                Republish::new(subscription_id, number, &self.session).send(self.session.channel()).await.ok()
            };
            if let Some(response) = answer {
                self.acknowledgements.push(SubscriptionAcknowledgement { subscription_id, sequence_number: number });
                self.take(response.notification_message).await?;
            } else {
                lost += if count > REPUBLISH_MAX { count - place } else { 1 };
                if let Some(subscription) = self.subscriptions.get(at) {
                    self.lent.converter.owe(&subscription.items, GapCause::Overflow);
                }
            }
            if count > REPUBLISH_MAX {
                break;
            }
            number = after(number);
        }
        if lost > 0 {
            tracing::error!(source = self.lent.reporter.source(), messages = lost, "the server has lost messages");
        }
        Ok(())
    }

    /// Hands in what a message holds, gaps before the values that end them. Waits for room.
    async fn take(&mut self, message: NotificationMessage) -> Result<(), SourceError> {
        let now = self.lent.clock.now();
        let mut received = Received::default();
        for content in message.notification_data.into_iter().flatten() {
            if content.inner_is::<DataChangeNotification>() {
                if let Some(changes) = content.into_inner_as::<DataChangeNotification>() {
                    self.lent.converter.data_change(*changes, now, &mut received);
                }
            } else if let Some(change) = content.inner_as::<StatusChangeNotification>() {
                return Err(SourceError::Lost(format!("the server ended the subscription ({})", change.status)));
            }
        }
        let begin = Timer::now();
        let Received { rows, gaps } = received;
        for arrival in [Arrival::Gaps(gaps), Arrival::Rows(rows)] {
            let empty = match &arrival {
                Arrival::Gaps(gaps) => gaps.is_empty(),
                Arrival::Rows(rows) => rows.is_empty(),
                _ => false,
            };
            if !empty && !self.lent.inlet.push(arrival).await {
                return Err(SourceError::Lost("the gateway is stopping".to_owned()));
            }
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
