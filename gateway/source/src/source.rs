//! The source as the pipeline sees it: connects, works, and begins anew after every loss.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use opcua::client::Session;
use tokio::time::Instant as Timer;
use tokio_util::sync::CancellationToken;
use watchfire_config::{SignalConfig, SourceConfig};
use watchfire_model::{Clock, GapCause, SignalId, SourceState};
use watchfire_pipeline::{Inlet, Source};
use watchfire_ua::{Kinds, Pki};

use crate::connect::{Connector, Opened};
use crate::convert::Converter;
use crate::publish::{Lent, Publisher};
use crate::report::Reporter;
use crate::setup::Setup;
use crate::watched::Roster;
use crate::{SourceError, Timing};

/// So long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// One OPC UA server that is read.
///
/// After any loss it begins wholly anew, with a new session and new subscriptions: what the old ones still held is not
/// asked for, each signal's values between its last one before and its first one after are a gap.
pub struct OpcUaSource {
    name: Arc<str>,
    connector: Connector,
    roster: Roster,
    converter: Converter,
    kinds: Kinds,
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
        let connector = Connector { config, pki: Pki::new(pki_dir), timing: Timing::default(), clock };
        Self { name, connector, roster, converter, kinds }
    }

    /// With other intervals than the default ones.
    #[must_use]
    pub const fn with_timing(mut self, timing: Timing) -> Self {
        self.connector.timing = timing;
        self
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
        let connector = &self.connector;
        let timing = connector.timing;
        let mut driving = pin!(connector.drive(event_loop));
        let setup = Setup::new(
            session.clone(),
            timing,
            connector.config.publishing_interval,
            self.kinds.clone(),
            connector.url(),
        );
        let lent = Lent {
            inlet,
            roster: &mut self.roster,
            converter: &mut self.converter,
            reporter,
            clock: &*connector.clock,
        };
        let publisher = Publisher::new(session.clone(), setup, lent);
        let (ended, connected) = tokio::select! {
            biased;
            () = stop.cancelled() => (None, true),
            error = &mut driving => (Some(error), false),
            error = work(&session, timing, publisher) => {
                let connected = error.can_say_goodbye();
                (Some(error), connected)
            }
        };
        if connected {
            // The server frees what it held for us; if it does not listen, its own timeouts do.
            tokio::select! {
                _ = tokio::time::timeout(GOODBYE, session.disconnect()) => {}
                _ = &mut driving => {}
            }
        }
        ended
    }
}

/// Waits for the session, then publishes until that fails.
async fn work(session: &Session, timing: Timing, publisher: Publisher<'_>) -> SourceError {
    match tokio::time::timeout(timing.connect, session.wait_for_connection()).await {
        Ok(_) => publisher.run().await,
        Err(_) => SourceError::Lost(format!("no session within {} s", timing.connect.as_secs_f32())),
    }
}

#[async_trait]
impl Source for OpcUaSource {
    fn name(&self) -> Arc<str> {
        self.name.clone()
    }

    async fn run(mut self: Box<Self>, inlet: Inlet, stop: CancellationToken) {
        let mut reporter = Reporter::new(self.name.clone());
        let timing = self.connector.timing;
        let mut attempt = 0_u32;
        loop {
            let begin = Timer::now();
            let Some(error) = self.connection(&inlet, &mut reporter, &stop).await else { return };
            let was_up = reporter.is_up();
            self.converter.owe_all(GapCause::SourceLost);
            let new = reporter.report(&inlet, SourceState::Down, error.to_string()).await;
            if !new {
                tracing::debug!(source = &*self.name, %error, "still not connected");
            } else if error.needs_person() {
                tracing::error!(source = &*self.name, %error, "not connected");
            } else {
                tracing::warn!(source = &*self.name, %error, "not connected; trying again");
            }
            // A connection that held for a while begins the waits anew; one that fails at once must not.
            attempt = if was_up && begin.elapsed() > timing.retry_max { 0 } else { attempt + 1 };
            let wait = timing.retry_after(attempt.saturating_sub(1), (&self.name, self.connector.clock.now()));
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }
}
