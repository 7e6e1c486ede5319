//! The source as the pipeline sees it: connects, works, and begins anew after every loss.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::{FutureExt, StreamExt};
use opcua::client::Session;
use tokio::time::Instant as Timer;
use tokio_util::sync::CancellationToken;
use watchfire_config::{Profile, SignalConfig, SourceConfig};
use watchfire_model::{Clock, Gap, SignalId, SourceState};
use watchfire_pipeline::{Arrival, Inlet, Last, LastTimes, Source};
use watchfire_ua::{Kinds, Pki};

use crate::awaited::Told;
use crate::backfill::Backfill;
use crate::connect::{Connector, Events, Opened};
use crate::convert::Converter;
use crate::items::Subscription;
use crate::publish::{Begin, Lent, Publisher};
use crate::redundancy::{self, FAILOVER_AFTER, Servers};
use crate::report::Reporter;
use crate::reverse::Door;
use crate::setup::Setup;
use crate::watched::Roster;
use crate::{SourceError, Timing};

/// So long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);
/// And so long to tell what is still to come, of the time that all sources have together when the gateway stops: what
/// the log has no room for must not take that of the goodbye.
const TELLING: Duration = Duration::from_millis(300);

/// One OPC UA server that is read.
///
/// When its transport is lost it takes the session up again with all that it had: what the server has sent meanwhile it
/// sends again, and what it could not send it has queued. When the server has forgotten the session, a new one takes
/// over the subscriptions; when it does not give them, they are made anew. What is missing then is a gap of each signal,
/// from its last value before to its first one after; where the server keeps history, it is asked for what is in there.
pub struct OpcUaSource {
    name: Arc<str>,
    connector: Connector,
    roster: Roster,
    converter: Converter,
    backfill: Backfill,
    /// What was told of what is still to come.
    awaited: Told,
    /// What is to be handed in.
    queue: VecDeque<Arrival>,
    /// What the last session had on its server.
    kept: Vec<Subscription>,
    kinds: Kinds,
    servers: Servers,
}

impl OpcUaSource {
    /// A source for a server and its signals, each with its id. Certificates lie in `pki_dir`; ours is made there when
    /// a secured connection is first needed. What the signals' values are is filled into `kinds` at each connection.
    /// Connects only when it runs.
    #[must_use]
    pub fn new(
        config: SourceConfig,
        signals: Vec<(SignalId, SignalConfig)>,
        pki_dir: PathBuf,
        clock: Arc<dyn Clock>,
        kinds: Kinds,
    ) -> Self {
        let name: Arc<str> = config.name.as_str().into();
        let roster = Roster::new(name.clone(), signals);
        let converter = Converter::new(roster.ids(), kinds.clone());
        let servers = Servers::new(config.url.clone(), config.reach.redundant.clone());
        let timing = Timing::default().of(&config.reach);
        let primary = config.url.clone();
        let connector = Connector { primary, config, pki: Pki::new(pki_dir), timing, clock };
        let (backfill, queue, kept) = (Backfill::default(), VecDeque::new(), Vec::new());
        let awaited = Told::new(timing.awaited);
        Self { name, connector, roster, converter, backfill, awaited, queue, kept, kinds, servers }
    }

    /// With other intervals than the default ones.
    #[must_use]
    pub fn with_timing(mut self, timing: Timing) -> Self {
        self.connector.timing = timing.of(&self.connector.config.reach);
        self.awaited.set_every(timing.awaited);
        self
    }

    /// Listens for a server that opens the connection, also between two connections.
    fn open_door(&self) -> Option<Arc<Door>> {
        let config = &self.connector.config;
        let address = config.reach.listen?;
        match Door::at(address) {
            Ok(door) => {
                door.expect(&config.url);
                Some(door)
            }
            Err(error) => {
                tracing::error!(source = &*self.name, %address, %error, "cannot listen for the server; trying again");
                None
            }
        }
    }

    /// Goes to another server of the source where there is one; returns whether it is to be tried at once.
    fn change_server(&mut self, error: &SourceError, has_held: bool) -> bool {
        if !self.servers.has_others() {
            return false;
        }
        let at_once = if let SourceError::Better { url } = error {
            self.servers.go_to(url);
            true
        } else {
            !self.servers.failed(has_held)
        };
        if let Some(url) = self.servers.current() {
            self.connector.config.url = url.clone();
        }
        // What the other one had is not this one's, unless they mirror each other.
        if !self.servers.are_mirrored() {
            self.kept.clear();
        }
        at_once
    }

    /// One connection from its beginning to its end. `None` when told to stop.
    async fn connection(
        &mut self,
        inlet: &Inlet,
        reporter: &mut Reporter,
        stop: &CancellationToken,
    ) -> Option<SourceError> {
        let opened = tokio::select! {
            () = stop.cancelled() => return None,
            opened = self.connector.open() => opened,
        };
        let Opened { session, event_loop } = match opened {
            Ok(opened) => opened,
            Err(error) => return Some(error),
        };
        self.backfill.read_from(self.servers.standins());
        let connector = &self.connector;
        let timing = connector.timing;
        let events = event_loop.enter();
        let mut events: Events<'_> = pin!(events);
        let setup = Setup::new(session.clone(), timing, connector.config.profile, self.kinds.clone(), connector.url());
        let lent = Lent {
            inlet,
            roster: &mut self.roster,
            converter: &mut self.converter,
            reporter,
            backfill: &mut self.backfill,
            awaited: &mut self.awaited,
            queue: &mut self.queue,
            clock: &*connector.clock,
            history_lag: timing.history_lag,
            slow_after: timing.request / 2,
            watchdog: timing.watchdog,
            publishes_max: if connector.config.profile == Profile::Small { 2 } else { usize::MAX },
        };
        let mut publisher = Publisher::new(session.clone(), setup, lent, std::mem::take(&mut self.kept));
        let mut begin = None;
        let (ended, connected) = loop {
            let (error, closed) = tokio::select! {
                biased;
                () = stop.cancelled() => break (None, true),
                lost = connector.drive(&mut events, begin.is_some()) => lost,
                error = work(&session, timing, &mut publisher, begin) => (error, false),
                url = redundancy::better(connector, &session, &mut self.servers) => (SourceError::Better { url }, false),
            };
            if !error.is_loss() || !publisher.can_resume() {
                let connected = error.can_say_goodbye();
                break (Some(error), connected);
            }
            publisher.lost(&error).await;
            tokio::select! {
                biased;
                () = stop.cancelled() => break (None, false),
                () = tokio::time::sleep(FAILOVER_AFTER), if self.servers.has_others() => break (Some(error), false),
                resumed = connector.resume(&mut events, &session, closed) => match resumed {
                    Ok(mode) => begin = Some(mode),
                    Err(error) => break (Some(error), false),
                },
            }
        };
        // The log may have no room.
        if ended.is_none() && tokio::time::timeout(TELLING, publisher.end()).await.is_err() {
            tracing::debug!(source = &*self.name, "what is still to come could not be told");
        }
        self.kept = publisher.into_subscriptions();
        if connected {
            // The server frees what it held for us; if it does not listen, its own timeouts do. What a new session may
            // take over it is to keep.
            let goodbye = async {
                let ends = match ended {
                    None => true,
                    Some(SourceError::Better { .. }) => !self.servers.are_mirrored(),
                    Some(_) => false,
                };
                if ends { session.disconnect().await } else { session.disconnect_without_delete_subscriptions().await }
            };
            let following = async { while let Some(Ok(_)) = events.next().await {} };
            tokio::select! {
                _ = tokio::time::timeout(GOODBYE, goodbye) => {}
                () = following => {}
            }
        }
        ended
    }
}

/// Waits for a first session, then publishes until that fails.
async fn work(session: &Session, timing: Timing, publisher: &mut Publisher<'_>, begin: Option<Begin>) -> SourceError {
    let Some(begin) = begin else {
        return match tokio::time::timeout(timing.connect, session.wait_for_connection()).await {
            Ok(_) => publisher.run(Begin::NewSession).await,
            Err(_) => SourceError::Lost(format!("no session within {} s", timing.connect.as_secs_f32())),
        };
    };
    publisher.run(begin).await
}

/// What a panic said.
fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "it did not say why".to_owned())
}

#[async_trait]
impl Source for OpcUaSource {
    fn name(&self) -> Arc<str> {
        self.name.clone()
    }

    fn recorded(&mut self, last: &LastTimes, open: &[Gap]) {
        self.backfill.take_up(open, &self.roster);
        let awaited = last.awaited(&self.name);
        self.backfill.take_up_unreached(awaited, &self.roster, self.connector.timing.history_lag);
        self.awaited.recorded(awaited);
        let Some(all_until) = last.all_until(&self.name, self.roster.ids().into_iter()) else { return };
        self.converter.recorded(|signal| last.get(signal), all_until, last.since(&self.name));
        self.converter.by_our_clock(|signal| match last.get(signal) {
            None => last.is_by_our_clock(&self.name),
            Some(known) => matches!(known, Last::Received(_)),
        });
        self.converter.go_on(awaited, |signal| last.get(signal).is_some());
    }

    async fn run(mut self: Box<Self>, inlet: Inlet, stop: CancellationToken) {
        let mut reporter = Reporter::new(self.name.clone());
        let _door = self.open_door();
        let timing = self.connector.timing;
        let mut attempt = 0_u32;
        loop {
            let begin = Timer::now();
            let connection = AssertUnwindSafe(self.connection(&inlet, &mut reporter, &stop)).catch_unwind();
            let error = match connection.await {
                Ok(None) => return,
                Ok(Some(error)) => error,
                // What is known of each signal is kept, so that what is missed is a gap; all else is made anew.
                Err(panic) => {
                    self.kept.clear();
                    SourceError::Panicked(said(&*panic))
                }
            };
            let was_up = reporter.is_up();
            // A connection that held for a while begins the waits anew; one that fails at once must not.
            let has_held = was_up && begin.elapsed() > timing.retry_max;
            let reason = self.servers.reason(&error, was_up);
            let new = reporter.report(&inlet, SourceState::Down, reason).await;
            if !new {
                tracing::debug!(source = &*self.name, %error, "still not connected");
            } else if error.needs_person() {
                tracing::error!(source = &*self.name, %error, "not connected");
            } else {
                tracing::warn!(source = &*self.name, %error, "not connected; trying again");
            }
            if self.change_server(&error, has_held) {
                continue;
            }
            attempt = if has_held { 0 } else { attempt + 1 };
            let wait = timing.retry_after(attempt.saturating_sub(1), (&self.name, self.connector.clock.now()));
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }
}
