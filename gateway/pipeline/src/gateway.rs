//! The gateway: starts the tasks over the ports it is given, and stops them in the order in which data walks.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::Instant as Timer;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use watchfire_alarms::ConditionDef;
use watchfire_model::{Clock, Rows};

use crate::disk::Watched;
use crate::faults::Faults;
use crate::ingest::{Ingest, Site};
use crate::notices::Notice;
use crate::readers::Readers;
use crate::roster::Roster;
use crate::seal::{Keep, Sealer};
use crate::supervise::Detection;
use crate::{
    AlarmFigures, Annunciator, Arrival, BindingPlan, ChangeRequests, CommandRequest, CursorError, DetectorFactory,
    Disk, Ends, Inlet, Latest, Log, Notices, OwnConditions, PortError, Source, Stats, Surface, inlet, recover,
};

/// How long stopping may take, all steps together; what has not ended by then is ended where it stands. It takes a part of a
/// second, unless the machine is busy or a detector is at it.
const STOP_MAX: Duration = Duration::from_secs(5);
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
    pub bindings: Vec<Arc<BindingPlan>>,
    /// The site.
    pub site: Site,
    /// The area of the gateway's own conditions.
    pub own_area: String,
    /// Latest values, for the surfaces.
    pub latest: Arc<Latest>,
    /// Counts.
    pub stats: Arc<Stats>,
    /// How the alarms are doing, for the surfaces.
    pub figures: Arc<AlarmFigures>,
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
    /// How long summaries are kept; none are made without it.
    pub keep_summaries: Option<Duration>,
    /// The disk under the stores.
    pub disk: Arc<dyn Disk>,
    /// With less room on it than this it is told, bytes; a share of the disk without it.
    pub disk_warning_bytes: Option<u64>,
    /// What runs out: certificates.
    pub ends: Arc<dyn Ends>,
    /// Where changes arrive.
    pub changes: ChangeRequests,
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
        let (log, figures) = (self.log.clone(), self.figures.clone());
        let signals_of = self.site.signals_of.clone();
        let recovering = move || {
            figures.recover(&log)?;
            let mut recovered = recover(&log, &signals_of)?;
            if let Err(error) = recovered.begin(&log, &signals_of) {
                tracing::error!(%error, "that the sources are not read yet could not be kept");
            }
            Ok::<_, CursorError>(recovered)
        };
        let mut recovered =
            tokio::task::spawn_blocking(recovering).await.map_err(|_| GatewayError::Task("recovery"))??;
        let own = OwnConditions::new(&self.own_area);
        for source in &mut self.sources {
            source.recorded(&recovered.last, &recovered.open);
            // What rests on a source that was lost stays uncertain until the source says otherwise.
            let lost = recovered.engine.recovered(&OwnConditions::source_key(&source.name()));
            if lost.is_some_and(|state| state.active.value) {
                own.source(&source.name(), true);
            }
        }
        // A million gaps are nothing to keep for as long as it runs.
        drop((std::mem::take(&mut recovered.last), std::mem::take(&mut recovered.open)));
        let (notices, notice_receiver) = Notices::new(own, self.stats.clone());
        notices.send(Notice::Define(self.own_conditions())).await;
        let plans = self.bindings.iter().filter(|plan| plan.beside.is_none()).cloned().collect();
        let sources = self.sources.iter().map(|source| source.name()).collect();
        notices.send(Notice::Configured { plans, sources }).await;

        let (commit_stop, seal_stop) = (CancellationToken::new(), CancellationToken::new());
        let mut commit: Essential = task(self.log.clone().commit(self.commit_interval, commit_stop.clone()));
        let stats = self.stats.clone();
        let values = move || stats.values.load(Ordering::Relaxed);
        let keep = Keep { age: self.keep, bytes: self.keep_bytes, summaries: self.keep_summaries };
        let faults = Arc::<Faults>::default();
        let sealer = Sealer { log: self.log.clone(), clock: self.clock.clone(), keep, faults: faults.clone() };
        let mut seal: Essential = task(sealer.run(values, seal_stop.clone()));
        let watching = crate::faults::run(self.log.clone(), faults, notices.clone(), self.clock.clone());
        let watching_faults = AbortOnDropHandle::new(tokio::spawn(watching));
        let disk = Watched { disk: self.disk, warning_bytes: self.disk_warning_bytes };
        let watching = crate::disk::run(self.log.clone(), disk, notices.clone(), self.clock.clone());
        let watching_disk = AbortOnDropHandle::new(tokio::spawn(watching));
        let watching = crate::ends::run(self.log.clone(), self.ends, notices.clone(), self.clock.clone());
        let watching_ends = AbortOnDropHandle::new(tokio::spawn(watching));
        let watching = crate::damage::run(self.log.clone(), notices.clone(), self.clock.clone());
        let watching_damage = AbortOnDropHandle::new(tokio::spawn(watching));
        let keeping = crate::figures::run(self.figures.clone(), self.log.clone(), self.clock.clone());
        let keeping_figures = AbortOnDropHandle::new(tokio::spawn(keeping));
        let judged_late = Mutex::new(recovered.decided.clone());
        let annunciator = Annunciator {
            engine: recovered.engine,
            decided: recovered.decided,
            log: self.log.clone(),
            clock: self.clock.clone(),
            stats: self.stats.clone(),
            figures: self.figures.clone(),
            surfaces: self.surfaces,
        };
        let mut annunciate: Essential = task(annunciator.run(notice_receiver, self.commands));

        let detect_stop = CancellationToken::new();
        let threads = self.factory.threads().unwrap_or_else(tokio::runtime::Handle::current);
        let detection = Detection {
            factory: self.factory,
            log: self.log.clone(),
            notices: notices.clone(),
            clock: self.clock.clone(),
            stats: self.stats.clone(),
            judged_late,
            progress: Mutex::default(),
        };
        let ChangeRequests { detectors: detector_changes, sources: mut source_changes } = self.changes;
        // Detectors without a past see the sources' first values however long it takes to make them.
        let (roster, begin) = (Roster::new(detection, threads), self.log.tail());
        let roster = roster.run(self.bindings, begin, detector_changes, detect_stop.clone());
        let mut detectors = AbortOnDropHandle::new(tokio::spawn(roster));

        let (door, arrivals) = inlet();
        let signals_of = self.site.signals_of.clone();
        let ingest = Ingest {
            arrivals,
            log: self.log.clone(),
            clock: self.clock.clone(),
            latest: self.latest.clone(),
            stats: self.stats.clone(),
            notices: notices.clone(),
            site: self.site,
            last_now: recovered.last_now,
            last_mode: recovered.mode,
        };
        let mut ingest: Essential = task(ingest.run());
        let source_stop = CancellationToken::new();
        let handing = hand_in(self.imports, door.clone(), source_stop.clone());
        let _importing = AbortOnDropHandle::new(tokio::spawn(handing));
        let clock = self.clock.clone();
        let mut readers = Readers::new(self.log.clone(), notices, self.clock, self.latest, self.stats, signals_of);
        for source in self.sources {
            readers.start(source, &door, source_stop.child_token());
        }

        let failed = loop {
            let asked = tokio::select! {
                () = stop.cancelled() => break None,
                result = &mut commit => break Some((result, "commit")),
                result = &mut seal => break Some((result, "sealing")),
                result = &mut annunciate => break Some((result, "annunciator")),
                result = &mut ingest => break Some((result, "ingestion")),
                never = readers.watch(&door) => match never {},
                Some(asked) = source_changes.recv() => asked,
            };
            // It may wait for ingestion, which may wait for room on the disk.
            let changed = tokio::select! {
                () = stop.cancelled() => break None,
                result = &mut commit => break Some((result, "commit")),
                result = &mut seal => break Some((result, "sealing")),
                result = &mut annunciate => break Some((result, "annunciator")),
                result = &mut ingest => break Some((result, "ingestion")),
                changed = readers.change(asked.change, &door, &source_stop) => changed,
            };
            if let Err(error) = changed {
                tracing::error!(%error, "a change of the sources could not be recorded");
            }
            // Whoever asked may have gone.
            let _ = asked.done.send(());
        };
        let end = Timer::now() + STOP_MAX;
        source_stop.cancel();
        seal_stop.cancel();
        drop(door);
        readers.finish(Timer::now() + GOODBYE_MAX).await;
        drop(readers);
        if failed.is_none() {
            // Nothing that was received may be lost for want of a moment.
            finish("ingestion", Timer::now() + INGEST_MAX, async { drop(ingest.await) }).await;
        }
        drop((watching_disk, watching_ends, watching_damage, watching_faults, keeping_figures));
        detect_stop.cancel();
        finish("detectors", end, async { drop((&mut detectors).await) }).await;
        drop(detectors);
        if let Some((result, task)) = failed {
            return Err(match result {
                Ok(Err(error)) => GatewayError::Store(error),
                Ok(Ok(())) | Err(_) => GatewayError::Task(task),
            });
        }
        finish("annunciator", end, async { drop(annunciate.await) }).await;
        if let Err(error) = self.figures.keep(&self.log, clock.now()).await {
            tracing::error!(%error, "the figures of alarms could not be kept");
        }
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
        let announced = self.bindings.iter().filter(|plan| plan.beside.is_none());
        let detectors = announced.map(|plan| own.detector_def(&plan.spec.name));
        let machine = [own.clock_def(), own.disk_def(), own.history_def(), own.sealing_def(), own.certificates_def()];
        sources.chain(detectors).chain(machine).collect()
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
