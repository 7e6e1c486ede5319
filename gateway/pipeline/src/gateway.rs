//! The gateway: starts the tasks over the ports it is given, and stops them in the order in which data walks.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{Id, JoinSet};
use tokio::time::Instant as Timer;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use watchfire_alarms::ConditionDef;
use watchfire_model::{Clock, Rows, SourceState};

use crate::ingest::{Ingest, Site};
use crate::notices::Notice;
use crate::supervise::Detection;
use crate::{
    Annunciator, Arrival, BindingPlan, CommandRequest, CursorError, DetectorFactory, Disk, Ends, Inlet, Latest, Log,
    Notices, OwnConditions, PortError, Source, Stats, Surface, inlet, recover,
};

/// How long stopping may take, all steps together; what has not ended by then is ended where it stands.
const STOP_MAX: Duration = Duration::from_millis(1500);
/// How much of it the sources may take to say goodbye to their servers.
const GOODBYE_MAX: Duration = Duration::from_millis(800);
/// How long what was received may take to get into the log.
const INGEST_MAX: Duration = Duration::from_secs(5);
/// How long the last commit may take beyond that: it is what makes the last values durable.
const COMMIT_MAX: Duration = Duration::from_secs(10);

/// Everything the gateway is made of.
pub struct Gateway {
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// The log over its stores.
    pub log: Arc<Log>,
    /// Makes detectors.
    pub factory: Arc<dyn DetectorFactory>,
    /// The servers that are read.
    pub sources: Vec<Box<dyn Source>>,
    /// Who shows alarms.
    pub surfaces: Vec<Arc<dyn Surface>>,
    /// The detectors.
    pub bindings: Vec<BindingPlan>,
    /// The site.
    pub site: Site,
    /// The area of the gateway's own conditions.
    pub own_area: String,
    /// Latest values, for the surfaces.
    pub latest: Arc<Latest>,
    /// Counts.
    pub stats: Arc<Stats>,
    /// Where commands arrive.
    pub commands: mpsc::Receiver<CommandRequest>,
    /// Where samples from files arrive, marked `LATE`.
    pub imports: mpsc::Receiver<Rows>,
    /// How long samples may wait to become durable.
    pub commit_interval: Duration,
    /// How long data is kept.
    pub keep: Duration,
    /// How much room sealed samples may take, bytes.
    pub keep_bytes: Option<u64>,
    /// The disk under the stores.
    pub disk: Arc<dyn Disk>,
    /// What runs out: certificates.
    pub ends: Arc<dyn Ends>,
}

/// Why the gateway had to stop by itself.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// A store failed: nothing can be recorded any more.
    #[error("the gateway stops, since it can no longer record: {0}")]
    Store(#[from] PortError),
    /// What is stored cannot be read.
    #[error("the gateway cannot start, since its log cannot be read: {0}")]
    Log(#[from] CursorError),
    /// One of its own tasks panicked.
    #[error("the gateway stops, since its {0} task failed")]
    Task(&'static str),
}

type Essential = AbortOnDropHandle<Result<(), PortError>>;

impl Gateway {
    /// Runs until `stop`, then stops cleanly: what was received is durable, detectors' states are saved.
    ///
    /// # Errors
    /// [`GatewayError`] when it cannot start or has to stop by itself.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), GatewayError> {
        let log = self.log.clone();
        let recovered =
            tokio::task::spawn_blocking(move || recover(&log)).await.map_err(|_| GatewayError::Task("recovery"))??;
        let own = OwnConditions::new(&self.own_area);
        for source in &mut self.sources {
            source.recorded(&recovered.last, &recovered.open);
            // What rests on a source that was lost stays uncertain until the source says otherwise.
            let lost = recovered.engine.recovered(&OwnConditions::source_key(&source.name()));
            if lost.is_some_and(|state| state.active.value) {
                own.source(&source.name(), true);
            }
        }
        let (notices, notice_receiver) = Notices::new(own, self.stats.clone());
        notices.send(Notice::Define(self.own_conditions())).await;

        let (commit_stop, seal_stop) = (CancellationToken::new(), CancellationToken::new());
        let mut commit: Essential = task(self.log.clone().commit(self.commit_interval, commit_stop.clone()));
        let stats = self.stats.clone();
        let values = move || stats.values.load(Ordering::Relaxed);
        let keep = crate::seal::Keep { age: self.keep, bytes: self.keep_bytes };
        let sealing = crate::seal::run(self.log.clone(), values, self.clock.clone(), keep, seal_stop.clone());
        let mut seal: Essential = task(sealing);
        let watching = crate::disk::run(self.log.clone(), self.disk, notices.clone(), self.clock.clone());
        let watching_disk = AbortOnDropHandle::new(tokio::spawn(watching));
        let watching = crate::ends::run(self.log.clone(), self.ends, notices.clone(), self.clock.clone());
        let watching_ends = AbortOnDropHandle::new(tokio::spawn(watching));
        let annunciator = Annunciator {
            engine: recovered.engine,
            decided: recovered.decided,
            log: self.log.clone(),
            clock: self.clock.clone(),
            stats: self.stats.clone(),
            surfaces: self.surfaces,
        };
        let mut annunciate: Essential = task(annunciator.run(notice_receiver, self.commands));

        let detect_stop = CancellationToken::new();
        let threads = self.factory.threads().unwrap_or_else(tokio::runtime::Handle::current);
        let detection = Arc::new(Detection {
            factory: self.factory,
            log: self.log.clone(),
            begin: self.log.tail(),
            notices: notices.clone(),
            clock: self.clock.clone(),
            stats: self.stats.clone(),
        });
        let mut detectors = JoinSet::new();
        for plan in self.bindings {
            detectors.spawn_on(detection.clone().run(Arc::new(plan), detect_stop.clone()), &threads);
        }
        drop(detection);

        let (door, arrivals) = inlet();
        let ingest = Ingest {
            arrivals,
            log: self.log.clone(),
            clock: self.clock,
            latest: self.latest,
            stats: self.stats,
            notices,
            site: self.site,
            last_now: recovered.last_now,
        };
        let mut ingest: Essential = task(ingest.run());
        let source_stop = CancellationToken::new();
        let handing = hand_in(self.imports, door.clone(), source_stop.clone());
        let _importing = AbortOnDropHandle::new(tokio::spawn(handing));
        let mut sources = Sources::start(self.sources, &door, &source_stop);

        let failed = tokio::select! {
            () = stop.cancelled() => None,
            result = &mut commit => Some((result, "commit")),
            result = &mut seal => Some((result, "sealing")),
            result = &mut annunciate => Some((result, "annunciator")),
            result = &mut ingest => Some((result, "ingestion")),
            never = sources.watch(&door) => match never {},
        };
        let end = Timer::now() + STOP_MAX;
        source_stop.cancel();
        seal_stop.cancel();
        drop(door);
        sources.end(Timer::now() + GOODBYE_MAX).await;
        if failed.is_none() {
            // Nothing that was received may be lost for want of a moment.
            finish("ingestion", Timer::now() + INGEST_MAX, async { drop(ingest.await) }).await;
        }
        drop((watching_disk, watching_ends));
        detect_stop.cancel();
        finish("detectors", end, async { while detectors.join_next().await.is_some() {} }).await;
        detectors.abort_all();
        if let Some((result, task)) = failed {
            return Err(match result {
                Ok(Err(error)) => GatewayError::Store(error),
                Ok(Ok(())) | Err(_) => GatewayError::Task(task),
            });
        }
        finish("annunciator", end, async { drop(annunciate.await) }).await;
        finish("sealing", end, async { drop(seal.await) }).await;
        commit_stop.cancel();
        match tokio::time::timeout(COMMIT_MAX, commit).await {
            Ok(ended) => ended.map_err(|_| GatewayError::Task("commit"))??,
            Err(_) => return Err(GatewayError::Task("commit")),
        }
        Ok(())
    }

    fn own_conditions(&self) -> Vec<Arc<ConditionDef>> {
        let own = OwnConditions::new(&self.own_area);
        let sources = self.sources.iter().map(|source| own.source_def(&source.name()));
        let detectors = self.bindings.iter().map(|plan| own.detector_def(&plan.spec.name));
        sources.chain(detectors).chain([own.clock_def(), own.disk_def(), own.certificates_def()]).collect()
    }
}

/// The tasks that read servers.
struct Sources {
    tasks: JoinSet<()>,
    names: HashMap<Id, Arc<str>>,
}

impl Sources {
    fn start(sources: Vec<Box<dyn Source>>, door: &Inlet, stop: &CancellationToken) -> Self {
        let (mut tasks, mut names) = (JoinSet::new(), HashMap::new());
        for source in sources {
            let name = source.name();
            let task = tasks.spawn(source.run(door.clone(), stop.clone()));
            names.insert(task.id(), name);
        }
        Self { tasks, names }
    }

    /// Tells of every source whose task ends by itself, as of one that is lost; the others go on.
    async fn watch(&mut self, door: &Inlet) -> std::convert::Infallible {
        loop {
            let Some(ended) = self.tasks.join_next_with_id().await else { return std::future::pending().await };
            let (id, why) = match ended {
                Ok((id, ())) => (id, "its task ended".to_owned()),
                Err(error) => (error.id(), format!("its task failed: {error}")),
            };
            let Some(source) = self.names.get(&id).cloned() else { continue };
            tracing::error!(%source, why, "a source is no longer read");
            let reason = format!("{why}; it is read again when the gateway is started again");
            door.push(Arrival::State { source, state: SourceState::Down, reason }).await;
        }
    }

    /// Waits for all of them, and ends those that have not ended in time: ingestion ends after the last of them.
    async fn end(&mut self, end: Timer) {
        finish("sources", end, async { while self.tasks.join_next().await.is_some() {} }).await;
        self.tasks.shutdown().await;
    }
}

/// Hands in what is imported, as a source does, until it is told to stop.
async fn hand_in(mut imports: mpsc::Receiver<Rows>, door: Inlet, stop: CancellationToken) {
    let handing = async {
        while let Some(rows) = imports.recv().await {
            if !door.push(Arrival::Late(rows)).await {
                return;
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = handing => {}
    }
}

/// A task that ends with its owner.
fn task(future: impl Future<Output = Result<(), PortError>> + Send + 'static) -> Essential {
    AbortOnDropHandle::new(tokio::spawn(future))
}

async fn finish(what: &'static str, end: Timer, ending: impl Future<Output = ()>) {
    if tokio::time::timeout_at(end, ending).await.is_err() {
        tracing::warn!(what, "did not stop in time and is ended");
    }
}
