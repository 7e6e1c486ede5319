//! The sources that are read: started together, then replaced and ended one by one while the others go on.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, Id, JoinSet};
use tokio::time::Instant as Timer;
use tokio_util::sync::CancellationToken;
use watchfire_model::{Clock, Control, RecordBody, SignalId, SourceState, StatusCode};

use crate::changes::Change;
use crate::notices::{Gone, Notice};
use crate::recover::recover_of;
use crate::{Arrival, CursorError, Inlet, Latest, Log, Notices, PortError, Source, Stats};

/// How long one source may take to say goodbye to its server when it alone is ended.
const GOODBYE_MAX: Duration = Duration::from_secs(3);

/// The signals of each source, by the source's name; shared with whoever must know what a lost source concerns.
#[derive(Clone, Debug, Default)]
pub struct SignalsOf(Arc<RwLock<BTreeMap<Arc<str>, Vec<SignalId>>>>);

impl SignalsOf {
    /// Those of these sources.
    #[must_use]
    pub fn new(signals: BTreeMap<Arc<str>, Vec<SignalId>>) -> Self {
        Self(Arc::new(RwLock::new(signals)))
    }

    /// Says what of a source's signals holds, if it has any.
    pub(crate) fn with(&self, source: &str, say: impl FnOnce(&[SignalId])) {
        if let Some(signals) = self.0.read().get(source) {
            say(signals);
        }
    }

    /// The source of each signal.
    pub(crate) fn sources(&self) -> HashMap<SignalId, Arc<str>> {
        let all = self.0.read();
        all.iter().flat_map(|(source, signals)| signals.iter().map(|signal| (*signal, source.clone()))).collect()
    }

    /// Sets a source's signals; answers those that it had and has no more.
    fn set(&self, source: Arc<str>, signals: Vec<SignalId>) -> Vec<SignalId> {
        let mut all = self.0.write();
        let mut gone = all.get(&source).cloned().unwrap_or_default();
        let kept: std::collections::BTreeSet<_> = signals.iter().copied().collect();
        gone.retain(|signal| !kept.contains(signal));
        all.insert(source, signals);
        gone
    }
}

/// The tasks that read servers.
pub(crate) struct Readers {
    pub log: Arc<Log>,
    pub notices: Notices,
    pub clock: Arc<dyn Clock>,
    pub latest: Arc<Latest>,
    pub stats: Arc<Stats>,
    pub signals_of: SignalsOf,
    tasks: JoinSet<()>,
    names: HashMap<Id, Arc<str>>,
    running: BTreeMap<Arc<str>, Reader>,
}

/// One of them.
struct Reader {
    stop: CancellationToken,
    /// Cancelled when its task has ended, however.
    over: CancellationToken,
    task: AbortHandle,
}

impl Readers {
    pub(crate) fn new(
        log: Arc<Log>,
        notices: Notices,
        clock: Arc<dyn Clock>,
        latest: Arc<Latest>,
        stats: Arc<Stats>,
        signals_of: SignalsOf,
    ) -> Self {
        let (tasks, names, running) = (JoinSet::new(), HashMap::new(), BTreeMap::new());
        Self { log, notices, clock, latest, stats, signals_of, tasks, names, running }
    }

    pub(crate) fn start(&mut self, source: Box<dyn Source>, door: &Inlet, stop: CancellationToken) {
        let name = source.name();
        let over = CancellationToken::new();
        let (guard, running) = (over.clone().drop_guard(), source.run(door.clone(), stop.clone()));
        let task = self.tasks.spawn(async move {
            let _over = guard;
            running.await;
        });
        self.names.insert(task.id(), name.clone());
        self.running.insert(name, Reader { stop, over, task });
    }

    /// Tells of every source whose task ends by itself, as of one that is lost; the others go on. A source begins its work
    /// anew by itself where that fails, so none does but by a fault there. Dropping the future loses nothing.
    pub(crate) async fn watch(&mut self, door: &Inlet) -> std::convert::Infallible {
        loop {
            let Some(ended) = self.tasks.join_next_with_id().await else { return std::future::pending().await };
            let (id, why) = match ended {
                Ok((id, ())) => (id, "its task ended".to_owned()),
                Err(error) => (error.id(), format!("its task failed: {error}")),
            };
            let Some(source) = self.names.remove(&id) else { continue };
            tracing::error!(%source, why, "a source is no longer read");
            let reason = format!(
                "{why}; it is read again when the gateway is started again, or `watchfire reload` finds it changed"
            );
            door.push(Arrival::State { source, state: SourceState::Down, reason }).await;
        }
    }

    /// Makes a change. What the old source had received is in the log before the new one begins, and the new one is
    /// told what was recorded, so that what its server has since then is fetched, or a gap.
    pub(crate) async fn change(
        &mut self,
        change: Change,
        door: &Inlet,
        stop: &CancellationToken,
    ) -> Result<(), PortError> {
        match change {
            Change::Source(mut source, signals) => {
                let name = source.name();
                self.end(&name, door).await;
                let gone = self.signals_of.set(name.clone(), signals);
                self.latest.mark(&gone, StatusCode::BAD_NO_DATA, self.clock.now());
                let (log, signals_of, of) = (self.log.clone(), self.signals_of.clone(), name.clone());
                let recovering = move || {
                    let mut recovered = recover_of(&log, &signals_of, Some(&of))?;
                    // As where the disk is full: what is known is told all the same.
                    if let Err(error) = recovered.interrupt(&log, Some(&of)) {
                        tracing::error!(source = %of, %error, "that the source is not read yet could not be kept");
                    }
                    Ok::<_, CursorError>(recovered)
                };
                match tokio::task::spawn_blocking(recovering).await {
                    Ok(Ok(recovered)) => source.recorded(&recovered.last, &recovered.open),
                    Ok(Err(error)) => tracing::error!(source = %name, %error, "what was recorded cannot be read"),
                    Err(error) => tracing::error!(source = %name, %error, "what was recorded cannot be read"),
                }
                let defined = self.notices.own().source_def(&name);
                self.notices.send(Notice::Define(vec![defined])).await;
                self.start(source, door, stop.child_token());
            }
            Change::EndSource(name) => {
                let name: Arc<str> = name.into();
                self.end(&name, door).await;
                let gone = self.signals_of.set(name.clone(), Vec::new());
                self.latest.mark(&gone, StatusCode::BAD_NO_DATA, self.clock.now());
                let reason = "it is no longer configured".to_owned();
                let ended = Control::SourceEnded { source: name.to_string(), reason };
                let cause = self.log.put(RecordBody::Control(ended)).await?.lsn;
                self.stats.sources.lock().remove(&name);
                let now = self.clock.now();
                self.notices.send(Notice::Gone { cause, now, what: Gone::Source(name) }).await;
            }
            Change::Detector(_) | Change::EndDetector(_) => {}
        }
        Ok(())
    }

    /// Ends a source and waits until what it has handed in is in the log.
    async fn end(&mut self, name: &Arc<str>, door: &Inlet) {
        let Some(Reader { stop, over, task }) = self.running.remove(name) else { return };
        self.names.remove(&task.id());
        stop.cancel();
        if tokio::time::timeout(GOODBYE_MAX, over.cancelled()).await.is_err() {
            tracing::warn!(source = %name, "did not say goodbye in time and is ended");
            task.abort();
            over.cancelled().await;
        }
        let (answer, taken) = oneshot::channel();
        if door.push(Arrival::Settled(answer)).await {
            // Ingestion that has ended has nothing left to take.
            drop(taken.await);
        }
    }

    /// Waits for all of them, and ends those that have not ended in time: ingestion ends after the last of them.
    pub(crate) async fn finish(&mut self, end: Timer) {
        let ending = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout_at(end, ending).await.is_err() {
            tracing::warn!(what = "sources", "did not stop in time and is ended");
        }
        self.tasks.shutdown().await;
    }
}
