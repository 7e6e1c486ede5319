//! One task a binding: reads the log, judges, tells the annunciator, saves its state. A detector that fails is dropped,
//! made anew and brought up to where it failed; ingestion never waits for any of it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant as Timer;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use watchfire_model::{Clock, Control, DetectorOrigin, Frame, Lsn, Phase, Record, RecordBody, SignalId};

use crate::annunciate::Notice;
use crate::binding::{Conditions, cut};
use crate::log::Cursor;
use crate::{
    BindingPlan, Checkpoint, CreateError, CursorError, DetectorFactory, DetectorFault, DetectorHealth, Judge,
    Judgement, Log, Mode, Notices, PortError, Stats,
};

/// How often a detector's state is saved.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(60);
/// Restarts within [`RESTART_WINDOW`] after which a person is needed.
const RESTARTS_MAX: usize = 5;
/// The window in which restarts are counted.
const RESTART_WINDOW: Duration = Duration::from_secs(60);
/// The first pause before a restart; it doubles with each.
const BACKOFF: Duration = Duration::from_millis(200);

/// What every binding's task uses.
pub(crate) struct Detection {
    pub factory: Arc<dyn DetectorFactory>,
    pub log: Arc<Log>,
    /// The end of the log before the sources began: where a detector without a past begins.
    pub begin: Lsn,
    pub notices: Notices,
    pub clock: Arc<dyn Clock>,
    pub stats: Arc<Stats>,
}

/// Why a run ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Create(#[from] CreateError),
    #[error("at frame {frame}: {fault}")]
    Fault { frame: Lsn, fault: DetectorFault },
    #[error(transparent)]
    Log(#[from] CursorError),
    #[error("the detector's task panicked: {0}")]
    Panic(String),
}

impl From<PortError> for Ended {
    fn from(error: PortError) -> Self {
        Self::Log(error.into())
    }
}

impl Detection {
    /// Runs a binding until `stop`, restarting its detector when it fails.
    pub(crate) async fn run(self: Arc<Self>, plan: Arc<BindingPlan>, stop: CancellationToken) {
        let name = plan.spec.name.clone();
        let mut skips = self.skips(&name).await;
        let mut restarts: Vec<Timer> = Vec::new();
        let mut last_fault = None;
        let (mut started, mut pause) = (Timer::now(), BACKOFF);
        loop {
            let once = Run { detection: self.clone(), plan: plan.clone(), skips: skips.clone() };
            let ended = match AbortOnDropHandle::new(tokio::spawn(once.run(stop.clone()))).await {
                Ok(Ok(())) => return,
                Ok(Err(ended)) => ended,
                Err(panic) => Ended::Panic(panic.to_string()),
            };
            if stop.is_cancelled() {
                return;
            }
            let hopeless = matches!(ended, Ended::Create(CreateError::Plugin(_) | CreateError::Refused(_)));
            let frame = if let Ended::Fault { frame, .. } = &ended { Some(*frame) } else { None };
            let skip = frame.is_some() && frame == last_fault;
            if let (true, Some(frame)) = (skip, frame) {
                skips.insert(frame);
                self.save_skips(&name, &skips).await;
            }
            last_fault = frame;
            let now = Timer::now();
            if now - started > RESTART_WINDOW {
                pause = BACKOFF;
            }
            restarts.retain(|at| now - *at < RESTART_WINDOW);
            restarts.push(now);
            let give_up = hopeless || restarts.len() > RESTARTS_MAX;
            self.tell_fault(&plan, &ended, frame, skip, give_up).await;
            if give_up {
                stop.cancelled().await;
                return;
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            pause *= 2;
            started = Timer::now();
        }
    }

    async fn tell_fault(&self, plan: &BindingPlan, ended: &Ended, frame: Option<Lsn>, skip: bool, give_up: bool) {
        let name = &plan.spec.name;
        let mut reason = format!("detector `{name}` (plugin `{}`) {ended}", plan.spec.plugin);
        if let Ended::Create(_) = ended {
            reason = format!("detector `{name}`: {ended}");
        }
        if skip {
            reason.push_str("; it failed there twice, so that frame is skipped");
        }
        if give_up {
            reason.push_str("; given up until the gateway is started again");
            tracing::error!(detector = name, reason, "detector given up");
            self.stats.detector(name, DetectorHealth::GaveUp(reason.clone()));
        } else {
            tracing::warn!(detector = name, reason, "detector failed and is restarted");
            self.stats.detector(name, DetectorHealth::Failed(reason.clone()));
        }
        let control = Control::DetectorFault {
            binding: name.clone(),
            frame: frame.unwrap_or_else(|| self.log.tail()),
            reason: reason.clone(),
            skip,
        };
        let Ok(record) = self.log.put(RecordBody::Control(control)).await else { return };
        self.notices.detector(record.lsn, self.clock.now(), name, Some(reason), self.notices.conditions_of(name)).await;
    }

    async fn skips(&self, name: &str) -> BTreeSet<Lsn> {
        let (log, note) = (self.log.clone(), format!("skips/{name}"));
        let read = tokio::task::spawn_blocking(move || log.history().note(&note)).await;
        let bytes = read.ok().and_then(Result::ok).flatten().unwrap_or_default();
        postcard::from_bytes(&bytes).unwrap_or_default()
    }

    async fn save_skips(&self, name: &str, skips: &BTreeSet<Lsn>) {
        let (log, note) = (self.log.clone(), format!("skips/{name}"));
        let bytes = postcard::to_allocvec(skips).unwrap_or_default();
        let saved = tokio::task::spawn_blocking(move || log.history().set_note(&note, &bytes)).await;
        if !matches!(saved, Ok(Ok(()))) {
            tracing::warn!(detector = name, "the list of skipped frames could not be saved");
        }
    }
}

/// One life of a detector.
struct Run {
    detection: Arc<Detection>,
    plan: Arc<BindingPlan>,
    skips: BTreeSet<Lsn>,
}

/// A detector at its place in the log.
struct Running {
    judge: Judge,
    cursor: Cursor,
    conditions: Conditions,
    indexes: HashMap<SignalId, u32>,
    seen: Lsn,
    saved: Lsn,
}

impl Run {
    async fn run(self, stop: CancellationToken) -> Result<(), Ended> {
        let name = &self.plan.spec.name;
        self.detection.stats.detector(name, DetectorHealth::Starting);
        let mut running = self.start().await?;
        let health = DetectorHealth::Running { phase: running.judge.phase().unwrap_or(Phase::Ready), have: 0, need: 0 };
        self.detection.stats.detector(name, health);
        let mut checkpoints = tokio::time::interval_at(Timer::now() + CHECKPOINT_EVERY, CHECKPOINT_EVERY);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => {
                    self.checkpoint(&mut running).await?;
                    return Ok(());
                }
                _ = checkpoints.tick() => match self.checkpoint(&mut running).await {
                    Err(Ended::Log(error)) => {
                        tracing::warn!(detector = name, %error, "the state could not be saved; the earlier one stays");
                    }
                    saved => saved?,
                },
                record = running.cursor.next() => match record {
                    Ok(record) => self.record(&mut running, &record).await?,
                    Err(CursorError::Gone { oldest }) => {
                        tracing::warn!(detector = name, %oldest, "detector fell behind what is kept and skips to it");
                        running.cursor.skip_to(oldest);
                    }
                    Err(error) => return Err(error.into()),
                },
            }
        }
    }

    /// Makes the detector and finds its place: after its checkpoint, or where the log ended when the gateway began.
    async fn start(&self) -> Result<Running, Ended> {
        let Detection { factory, log, notices, clock, .. } = &*self.detection;
        let spec = &self.plan.spec;
        let mut judge = Judge::create(&**factory, spec).await?;
        let definitions = self.plan.definitions(judge.conditions(), judge.identity());
        let keys: Vec<_> = definitions.iter().map(|def| def.key.clone()).collect();
        notices.rest_on(&definitions, &self.plan.sources);
        notices.send(Notice::Define(definitions)).await;
        let conditions = self.plan.conditions(judge.conditions());

        let (stores, name) = (log.clone(), spec.name.clone());
        let load = tokio::task::spawn_blocking(move || stores.history().load_checkpoint(&name)).await;
        let saved = load.map_err(CursorError::Ended)??.filter(|checkpoint| judge.fits(checkpoint));
        let mut origin = DetectorOrigin::Fresh(self.detection.begin);
        if let Some(checkpoint) = &saved {
            if judge.restore(checkpoint).await {
                origin = DetectorOrigin::Checkpoint(checkpoint.frame);
            } else {
                judge = Judge::create(&**factory, spec).await?;
                // What it judged before is on record and is not judged again.
                origin = DetectorOrigin::Fresh(log.tail());
            }
        }
        let identity = judge.identity();
        tracing::info!(
            detector = spec.name,
            plugin = identity.id,
            version = identity.version,
            digest = identity.digest,
            ?origin,
            "detector started"
        );
        let control = Control::DetectorStarted {
            binding: spec.name.clone(),
            digest: identity.digest.clone(),
            config_hash: identity.config_hash.clone(),
            origin,
            seed: spec.seed,
        };
        let started = log.put(RecordBody::Control(control)).await?.lsn;
        notices.detector(started, clock.now(), &spec.name, None, keys).await;
        let (DetectorOrigin::Checkpoint(seen) | DetectorOrigin::Fresh(seen)) = origin;
        let indexes = self.plan.indexes();
        let mut running = Running { judge, cursor: log.cursor(seen.next()), conditions, indexes, seen, saved: Lsn(0) };
        if let DetectorOrigin::Fresh(_) = origin {
            // From here a kill before the first regular checkpoint can be made good by replaying the log.
            self.save(self.header(&running)).await?;
            running.saved = seen;
        }
        Ok(running)
    }

    fn header(&self, running: &Running) -> Checkpoint {
        let identity = running.judge.identity();
        Checkpoint {
            binding: self.plan.spec.name.clone(),
            plugin: identity.id.clone(),
            state_version: identity.state_version,
            config_hash: identity.config_hash.clone(),
            frame: running.seen,
            bytes: Vec::new(),
            host: Vec::new(),
        }
    }

    async fn record(&self, running: &mut Running, record: &Record) -> Result<(), Ended> {
        let (lsn, frame) = match &record.body {
            RecordBody::Data(frame) if !self.skips.contains(&record.lsn) => (record.lsn, frame),
            other => {
                if let RecordBody::Control(Control::Source { source, state, .. }) = other
                    && self.plan.sources.iter().any(|own| **own == **source)
                {
                    running.judge.source(source, *state);
                }
                running.seen = record.lsn;
                return Ok(());
            }
        };
        let fault = |fault| Ended::Fault { frame: lsn, fault };
        let batch = cut(lsn, frame, &running.indexes);
        self.detection.stats.judged.fetch_add(batch.len() as u64, Ordering::Relaxed);
        let judgement = running.judge.judge(&batch).await.map_err(fault)?;
        running.seen = lsn;
        self.tell(&running.conditions, lsn, frame, judgement).await?;
        Ok(())
    }

    async fn tell(&self, conditions: &Conditions, lsn: Lsn, frame: &Frame, judgement: Judgement) -> Result<(), Ended> {
        let name = &self.plan.spec.name;
        if let Some(progress) = judgement.progress {
            let (phase, have, need) = (progress.phase, progress.have, progress.need);
            self.detection.stats.detector(name, DetectorHealth::Running { phase, have, need });
        }
        if let Some(phase) = judgement.phase {
            tracing::info!(detector = name, ?phase, "detector phase");
        }
        if judgement.verdicts.is_empty() || self.plan.mode == Mode::Learning {
            return Ok(());
        }
        let live = self.plan.mode == Mode::Live;
        let findings = judgement.verdicts.iter().filter(|_| live).filter_map(|v| conditions.finding(v)).collect();
        let binding: Arc<str> = name.as_str().into();
        let found = Notice::Found { binding, frame: lsn, now: frame.now, verdicts: judgement.verdicts, findings };
        self.detection.notices.send(found).await;
        Ok(())
    }

    async fn checkpoint(&self, running: &mut Running) -> Result<(), Ended> {
        if running.seen == running.saved {
            return Ok(());
        }
        let saved = running.judge.save(&self.plan.spec.name, running.seen).await;
        let checkpoint = saved.map_err(|fault| Ended::Fault { frame: running.seen, fault })?;
        self.save(checkpoint).await?;
        running.saved = running.seen;
        Ok(())
    }

    /// Saves once everything it rests on and everything it led to is durable: a state must never know more than the log,
    /// or a level that it remembers as told would never be told.
    async fn save(&self, checkpoint: Checkpoint) -> Result<(), Ended> {
        let log = self.detection.log.clone();
        let (answer, told) = oneshot::channel();
        self.detection.notices.send(Notice::Settled(answer)).await;
        let Ok(decided) = told.await else { return Ok(()) };
        log.hurry();
        if !log.durable(decided.max(checkpoint.frame)).await {
            return Ok(());
        }
        let saved = tokio::task::spawn_blocking(move || log.history().save_checkpoint(&checkpoint)).await;
        saved.map_err(CursorError::Ended)??;
        Ok(())
    }
}
