//! Tells of what was found damaged among the sealed records and is gone on without: nobody should learn of it from the
//! absence of samples, months later.

use std::sync::Arc;
use std::time::Duration;

use watchfire_model::Clock;

use crate::{Log, Notices};

/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Looks, and tells what is new, for as long as it is polled.
pub(crate) async fn run(log: Arc<Log>, notices: Notices, clock: Arc<dyn Clock>) {
    let mut told: Option<usize> = None;
    loop {
        let found = log.history().given_up();
        // It only ever grows while the gateway runs.
        if told != Some(found.len()) {
            told = Some(found.len());
            notices.damage(log.tail(), clock.now(), found).await;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
