//! One short session for a question: connects, asks, says goodbye. For what is done beside the watching.

use std::future::Future;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use opcua::client::Session;
use watchfire_config::SourceConfig;
use watchfire_model::Clock;
use watchfire_ua::Pki;

use crate::connect::{Connector, Events, Opened};
use crate::{SourceError, Timing};

/// So long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// What makes connections to a source's server.
pub(crate) fn connector(config: &SourceConfig, pki_dir: PathBuf, clock: Arc<dyn Clock>) -> Connector {
    let primary = config.url.clone();
    Connector {
        primary,
        config: config.clone(),
        pki: Pki::new(pki_dir),
        timing: Timing::default().of(&config.reach),
        clock,
    }
}

/// Connects and does `work` with the session; fails as soon as the connection does.
pub(crate) async fn visit<T, W: Future<Output = Result<T, SourceError>>>(
    connector: &Connector,
    work: impl FnOnce(Arc<Session>) -> W,
) -> Result<T, SourceError> {
    let Opened { session, event_loop } = connector.open().await?;
    let events = event_loop.enter();
    let mut events: Events<'_> = pin!(events);
    let mut driving = pin!(connector.drive(&mut events, false));
    let timing = connector.timing;
    let asking = async {
        match tokio::time::timeout(timing.connect, session.wait_for_connection()).await {
            Ok(_) => work(session.clone()).await,
            Err(_) => Err(SourceError::Lost(format!("no session within {} s", timing.connect.as_secs_f32()))),
        }
    };
    let done = tokio::select! {
        biased;
        (error, _) = &mut driving => return Err(error),
        done = asking => done,
    };
    if done.as_ref().err().is_none_or(SourceError::can_say_goodbye) {
        tokio::select! {
            _ = tokio::time::timeout(GOODBYE, session.disconnect()) => {}
            _ = &mut driving => {}
        }
    }
    done
}
