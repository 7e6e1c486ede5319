//! Watches what runs out by itself, such as certificates, and tells of it early enough for a person to renew it. Does not
//! know what it is.

use std::sync::Arc;
use std::time::Duration;

use watchfire_model::Clock;

use crate::{Ends, Log, Notices};

/// How often it is looked: somebody who has renewed something wants to see that it counts.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Looks, and tells what has changed, for as long as it is polled.
pub(crate) async fn run(log: Arc<Log>, ends: Arc<dyn Ends>, notices: Notices, clock: Arc<dyn Clock>) {
    let mut told: Option<Option<String>> = None;
    loop {
        let (looking, now) = (ends.clone(), clock.now());
        match tokio::task::spawn_blocking(move || looking.soon(now)).await {
            Ok(soon) if told.as_ref() != Some(&soon) => {
                if let Some(reason) = &soon {
                    tracing::warn!(reason, "certificates run out");
                }
                told = Some(soon.clone());
                notices.certificates(log.tail(), now, soon).await;
            }
            Ok(_) => {}
            Err(panic) => tracing::error!(%panic, "looking at the certificates was ended"),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
