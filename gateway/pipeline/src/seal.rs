//! The sealer: moves what is durable in the journal into the store of record, in time slices long enough to pack well.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use watchfire_model::{Clock, RecordBody};

use crate::{Log, PortError};

/// How often the journal is sealed into the store of record.
const SEAL_EVERY: Duration = Duration::from_secs(300);
/// Rows after which it is sealed sooner.
const SEAL_ROWS: u64 = 2_000_000;
/// How often the row count is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often what is too old is dropped.
const RETAIN_EVERY: Duration = Duration::from_secs(3600);

/// Seals everything durable now; blocks.
///
/// # Errors
/// When a store fails; what was sealed before stays.
pub fn seal_all(log: &Log) -> Result<(), PortError> {
    let durable = log.durable_tail();
    loop {
        let from = log.history().sealed().next();
        if from > durable {
            return Ok(());
        }
        let mut records = Vec::new();
        let mut rows = 0;
        while rows < SEAL_ROWS {
            let next = records.last().map_or(from, |last: &watchfire_model::Record| last.lsn.next());
            let read = log.journal().read(next, 1 << 16)?;
            let before = records.len();
            records.extend(read.into_iter().take_while(|record| record.lsn <= durable));
            if records.len() == before {
                break;
            }
            let added = records.iter().skip(before).map(|record| match &record.body {
                RecordBody::Data(frame) => frame.rows.len() as u64,
                _ => 0,
            });
            rows += added.sum::<u64>();
        }
        if records.is_empty() {
            return Ok(());
        }
        log.history().seal(&records)?;
        log.journal().truncate(log.history().sealed())?;
    }
}

/// Seals every few minutes, or sooner when much has come, and drops what is older than `keep`, until `stop`.
///
/// # Errors
/// When a store fails for another reason than a full disk.
pub(crate) async fn run(
    log: Arc<Log>,
    values: impl Fn() -> u64,
    clock: Arc<dyn Clock>,
    keep: Duration,
    stop: CancellationToken,
) -> Result<(), PortError> {
    let (mut waited, mut since_retain, mut counted) = (Duration::ZERO, RETAIN_EVERY, values());
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        waited += LOOK_EVERY;
        since_retain += LOOK_EVERY;
        let count = values();
        if waited < SEAL_EVERY && count.saturating_sub(counted) < SEAL_ROWS {
            continue;
        }
        (waited, counted) = (Duration::ZERO, count);
        let retain = (since_retain >= RETAIN_EVERY).then(|| clock.now().minus(keep));
        if retain.is_some() {
            since_retain = Duration::ZERO;
        }
        let stores = log.clone();
        let sealed = tokio::task::spawn_blocking(move || {
            seal_all(&stores)?;
            retain.map_or(Ok(()), |before| stores.history().retain(before))
        });
        match sealed.await {
            Ok(Ok(())) => {}
            Ok(Err(PortError::Full { doing })) => tracing::error!(doing, "no room left on the disk; sealing waits"),
            Ok(Err(error)) => return Err(error),
            Err(panic) => tracing::error!(%panic, "sealing was ended; it is tried again"),
        }
    }
}
