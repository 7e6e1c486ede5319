//! One life of a detector: it reads the log, judges, tells the annunciator and saves its state. Ingestion never waits
//! for any of it. Knows nothing of what happens after a failure.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinError;
use tokio::time::Instant as Timer;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use watchfire_model::{
    Control, DetectorOrigin, Frame, Gap, GapCause, Lsn, Phase, Record, RecordBody, SignalId, SourceState,
};

use crate::binding::{Conditions, Indexes, begun_with};
use crate::compare::Progress;
use crate::late::{Late, PATIENCE, is_of_a_source};
use crate::log::Cursor;
use crate::notices::Notice;
use crate::supervise::{Detection, Ended};
use crate::{BindingPlan, Checkpoint, CursorError, DetectorHealth, Judge, Judgement, Mode, PortError, place_at};
use crate::{defined, stand_in};

/// How often a detector's state is saved.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(60);

/// One life of a detector.
pub(crate) struct Run {
    pub detection: Arc<Detection>,
    pub plan: Arc<BindingPlan>,
    /// Frames that are left out.
    pub skips: BTreeSet<Lsn>,
    /// Where it begins when it has no past.
    pub begin: Lsn,
}

/// A detector at its place in the log.
struct Running {
    judge: Judge,
    cursor: Cursor,
    conditions: Arc<Conditions>,
    indexes: Indexes,
    progress: Arc<Progress>,
    seen: Lsn,
    saved: Lsn,
    /// Where the log ended when this life began. From there on what the detector says is news, and its levels are how
    /// its conditions stand; `None` once that was told.
    catching_up: Option<Lsn>,
    /// What judges what came late; only where anything is announced.
    late: Option<Late>,
    /// The state it went on from, until it is known whether anything is missing since then.
    before: Option<Checkpoint>,
    begun: Timer,
    /// Its sources that began to be read in this life.
    up: BTreeSet<Arc<str>>,
}

/// A checkpoint on its way to the disk, while judging goes on; answers the frame it stands for, if it was saved.
type Saving = AbortOnDropHandle<Result<Option<Lsn>, CursorError>>;

impl Run {
    /// Until `stop`, or until it fails.
    pub(crate) async fn run(self, stop: CancellationToken) -> Result<(), Ended> {
        let name = &self.plan.spec.name;
        self.detection.stats.detector(name, DetectorHealth::Starting);
        let mut running = self.start().await?;
        // All detectors start together; they need not save together.
        let mut checkpoints = tokio::time::interval_at(Timer::now() + first_checkpoint(name), CHECKPOINT_EVERY);
        let mut saving: Option<Saving> = None;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => {
                    if let Some(saving) = saving.take() {
                        running.saved(name, saving.await);
                    }
                    if let Some(last) = self.checkpoint(&mut running).await? {
                        running.saved(name, last.await);
                    }
                    return Ok(());
                }
                done = finished(&mut saving) => {
                    saving = None;
                    running.saved(name, done);
                }
                _ = checkpoints.tick(), if saving.is_none() => saving = self.checkpoint(&mut running).await?,
                record = running.cursor.next() => match record {
                    Ok(record) => self.record(&mut running, &record).await?,
                    Err(CursorError::Gone { oldest }) => self.skip(&mut running, oldest).await?,
                    Err(error) => return Err(error.into()),
                },
            }
        }
    }

    /// Makes the detector and finds its place: after its checkpoint, or where the log ended when the gateway began.
    async fn start(&self) -> Result<Running, Ended> {
        let Detection { factory, log, notices, .. } = &*self.detection;
        let spec = &self.plan.spec;
        let mut judge = Judge::create(&**factory, spec).await?;
        let all = self.plan.definitions(judge.conditions(), judge.identity());
        let (definitions, plain): (Vec<_>, Vec<_>) = all.into_iter().partition(|def| def.is_alarm());
        let known: BTreeSet<_> = definitions.iter().map(|def| def.key.clone()).collect();
        if self.plan.beside.is_none() {
            notices.rest_on(&spec.name, &definitions, &self.plan.sources);
            notices.send(Notice::Define(definitions.clone())).await;
            let (log, name, told, identity) =
                (log.clone(), spec.name.clone(), judge.conditions().to_vec(), judge.identity().clone());
            let keep = move || {
                stand_in::keep(&log, &name, &told, &identity).and_then(|()| defined::keep(&log, &name, &definitions))
            };
            if let Err(error) = tokio::task::spawn_blocking(keep).await.map_err(CursorError::Ended)? {
                tracing::warn!(detector = spec.name, %error, "what it tells of its conditions could not be kept");
            }
        }
        let conditions = Arc::new(self.plan.conditions(judge.conditions()).with_plain(plain));

        let (stores, name) = (log.clone(), self.plan.kept_as.clone());
        let from = self.plan.beside.as_ref().map(|beside| beside.from.clone());
        let load = move || -> Result<_, PortError> {
            match (stores.history().load_checkpoint(&name)?, from) {
                (None, Some(from)) => Ok((stores.history().load_checkpoint(&from)?, true)),
                (own, _) => Ok((own, false)),
            }
        };
        let (loaded, migrates) = tokio::task::spawn_blocking(load).await.map_err(CursorError::Ended)??;
        let mut saved = loaded.filter(|checkpoint| {
            let (frame, tail) = (checkpoint.frame, log.tail());
            if frame > tail {
                tracing::error!(detector = spec.name, %frame, %tail, "the saved state is of a log that is gone");
            }
            frame <= tail && judge.fits(checkpoint)
        });
        if let (Some(checkpoint), Some(beside), true) = (&mut saved, &self.plan.beside, migrates) {
            // It is another version's: the gateway's half fits only where the conditions are the same.
            checkpoint.binding.clone_from(&self.plan.kept_as);
            let theirs = self.detection.progress(&beside.detector).conditions();
            if !theirs.is_some_and(|theirs| theirs.same_as(&conditions)) {
                checkpoint.host.clear();
            }
        }
        let mut origin = self.fresh(judge.learns(), self.begin).await?;
        if let Some(checkpoint) = &saved {
            if judge.restore(checkpoint).await {
                origin = DetectorOrigin::Checkpoint(checkpoint.frame);
                if migrates {
                    // From here a kill can be made good, and it can be replayed.
                    let begun = Checkpoint { binding: begun_with(&self.plan.kept_as), ..checkpoint.clone() };
                    save(self.detection.clone(), begun).await?;
                    save(self.detection.clone(), checkpoint.clone()).await?;
                }
            } else {
                judge = Judge::create(&**factory, spec).await?;
                // What it judged before is on record and is not judged again.
                origin = self.fresh(judge.learns(), log.tail()).await?;
            }
        }
        if let DetectorOrigin::Taught { upto, .. } = origin {
            judge.teach(upto);
        }
        let identity = judge.identity();
        tracing::info!(
            detector = spec.name,
            plugin = identity.id,
            version = identity.version,
            digest = identity.digest,
            model = identity.model,
            ?origin,
            "detector started"
        );
        let control = Control::DetectorStarted {
            binding: spec.name.clone(),
            digest: identity.digest.clone(),
            config_hash: identity.config_hash.clone(),
            origin,
            seed: spec.seed,
            recorded: self.plan.mode != Mode::Learning,
        };
        let started = log.put(RecordBody::Control(control)).await?.lsn;
        let gates = judge.gates_set();
        if !gates.is_empty() {
            log.put(RecordBody::Control(Control::Gated { binding: spec.name.clone(), gates })).await?;
        }
        if self.plan.beside.is_none() {
            let (binding, why) = (spec.name.clone(), "ended, since it is no alarm of its detector any more");
            let over = Notice::Over {
                cause: started,
                now: self.detection.clock.now(),
                binding,
                except: known,
                why,
                current: false,
            };
            notices.send(over).await;
        }
        let seen = origin.after();
        let (cursor, indexes) = (log.cursor(seen.next()), self.plan.indexes());
        let progress = self.detection.progress(&spec.name);
        progress.began(&conditions, seen);
        let catching_up = Some(started);
        let announces = self.plan.mode == Mode::Live && self.plan.beside.is_none();
        let goes_on = matches!(origin, DetectorOrigin::Checkpoint(_));
        let late = announces.then(|| Late::start(&self.detection, &self.plan, goes_on, judge.lacks_a_source()));
        // One that has judged nothing yet does not know what stood.
        let goes_on = |saved: &Checkpoint| origin == DetectorOrigin::Checkpoint(saved.frame) && !saved.host.is_empty();
        let before = saved.filter(|saved| late.is_some() && goes_on(saved));
        let (saved, begun, up) = (Lsn(0), Timer::now(), BTreeSet::new());
        let mut running =
            Running { judge, cursor, conditions, indexes, progress, seen, saved, catching_up, late, before, begun, up };
        if !matches!(origin, DetectorOrigin::Checkpoint(_)) {
            // From here a kill before the first regular checkpoint can be made good by replaying the log.
            let header = self.header(&running, origin)?;
            save(self.detection.clone(), header).await?;
            running.saved = seen;
        }
        Ok(running)
    }

    /// Where it begins that has no state it can go on from.
    async fn fresh(&self, learns: bool, at: Lsn) -> Result<DetectorOrigin, Ended> {
        let Detection { log, clock, .. } = &*self.detection;
        let (from, upto) = match &self.plan.beside {
            Some(beside) => (beside.learns_from, beside.since),
            None if self.plan.learns_back.is_zero() || !learns => return Ok(DetectorOrigin::Fresh(at)),
            None => {
                let (log, since) = (log.clone(), clock.now().minus(self.plan.learns_back));
                let looking = tokio::task::spawn_blocking(move || place_at(&log, since));
                (looking.await.map_err(CursorError::Ended)??.min(at), at)
            }
        };
        let teaches = learns && from < upto;
        Ok(if teaches { DetectorOrigin::Taught { from, upto } } else { DetectorOrigin::Fresh(from) })
    }

    fn header(&self, running: &Running, origin: DetectorOrigin) -> Result<Checkpoint, Ended> {
        let identity = running.judge.identity();
        let taught = matches!(origin, DetectorOrigin::Taught { .. });
        let host = if taught { running.judge.host().map_err(Ended::Save)? } else { Vec::new() };
        Ok(Checkpoint {
            binding: self.plan.kept_as.clone(),
            plugin: identity.id.clone(),
            state_version: identity.state_version,
            config_hash: identity.config_hash.clone(),
            frame: running.seen,
            bytes: Vec::new(),
            host,
        })
    }

    async fn record(&self, running: &mut Running, record: &Record) -> Result<(), Ended> {
        self.missing(running, record).await?;
        match &record.body {
            RecordBody::Data(_) if self.skips.contains(&record.lsn) => running.judge.skip(),
            RecordBody::Data(frame) => {
                let judged = running.judge.take(record.lsn, frame, &running.indexes).await;
                let judgement = judged.map_err(|fault| Ended::Fault { frame: record.lsn, fault })?;
                self.detection.stats.judged.fetch_add(judgement.samples as u64, Ordering::Relaxed);
                self.tell(&running.conditions, record.lsn, frame, judgement).await;
            }
            RecordBody::Control(Control::Source { source, state, .. }) => {
                if self.plan.sources.iter().any(|own| **own == **source) {
                    running.judge.source(source, *state);
                    if *state == SourceState::Up && record.lsn > self.begin {
                        running.up.insert(source.as_str().into());
                    }
                    running.late.iter().for_each(|late| late.sources(running.judge.lacks_a_source()));
                }
            }
            RecordBody::Control(Control::Forgot { binding, signal, .. })
                if self.plan.is_named(binding) && !self.skips.contains(&record.lsn) =>
            {
                let index = signal.map(|signal| running.indexes.of(signal));
                if index != Some(None) {
                    let forgotten = running.judge.forget(index.flatten()).await;
                    forgotten.map_err(|fault| Ended::Fault { frame: record.lsn, fault })?;
                }
            }
            RecordBody::Control(_) | RecordBody::Decided(_) | RecordBody::Commanded { .. } => {}
        }
        running.seen = record.lsn;
        running
            .progress
            .seen(record.lsn, if let RecordBody::Data(frame) = &record.body { Some(frame.now) } else { None });
        if let Some(started) = running.catching_up
            && running.seen >= started
        {
            running.catching_up = None;
            self.caught_up(running, started).await;
        }
        Ok(())
    }

    /// Tells of what is missing, and how the detector stood before: at the loss of a source, or where it began.
    async fn missing(&self, running: &mut Running, record: &Record) -> Result<(), Ended> {
        let Some(late) = &running.late else { return Ok(()) };
        let is_own = |signal: Option<SignalId>| signal.is_some_and(|signal| running.indexes.of(signal).is_some());
        match &record.body {
            RecordBody::Data(frame) => {
                let own = |gap: &Gap| is_own(gap.signal) && is_of_a_source(gap.signal, gap.cause);
                if frame.gaps.iter().any(own) {
                    if let Some(before) = running.before.take() {
                        late.before(before);
                    }
                    let is_lost = |gap: &Gap| own(gap) && gap.cause != GapCause::Overflow;
                    late.missing(frame.gaps.iter().any(is_lost));
                }
            }
            RecordBody::Control(Control::Filled { fills, .. })
                if fills.iter().any(|fill| is_own(Some(fill.signal))) =>
            {
                late.filled();
            }
            // The first of them: the reason of a loss may change while it lasts.
            RecordBody::Control(Control::Source { source, state: SourceState::Down, .. })
                if record.lsn > self.begin
                    && !running.judge.lacks_a_source()
                    && self.plan.sources.iter().any(|own| **own == **source) =>
            {
                // Where it was not read since the start, what is missing begins before that.
                let state = match running.before.take() {
                    Some(before) => before,
                    None => running.judge.save(&self.plan.kept_as, running.seen).await.map_err(Ended::Save)?,
                };
                late.before(state);
            }
            _ => {}
        }
        Ok(())
    }

    /// Goes on at `oldest`, since what lies before is no longer kept: on record, and told to the plugin as a gap.
    async fn skip(&self, running: &mut Running, oldest: Lsn) -> Result<(), Ended> {
        let name = &self.plan.spec.name;
        let from = running.cursor.place();
        tracing::warn!(detector = name, %from, %oldest, "detector fell behind what is kept and skips to it");
        let skipped = Control::DetectorSkipped { binding: name.clone(), from, to: oldest };
        self.detection.log.put(RecordBody::Control(skipped)).await?;
        self.detection.stats.skipped.fetch_add(1, Ordering::Relaxed);
        running.judge.skip();
        running.cursor.skip_to(oldest);
        Ok(())
    }

    /// Says that the detector runs, and brings the alarms to how it sees its conditions now: one that was in shadow and
    /// goes live raises what already stands, one that no longer announces leaves nothing active behind.
    async fn caught_up(&self, running: &mut Running, started: Lsn) {
        let Detection { notices, clock, stats, .. } = &*self.detection;
        let (name, now) = (&self.plan.spec.name, clock.now());
        let phase = running.judge.phase().unwrap_or(Phase::Ready);
        tracing::info!(detector = name, at = %running.seen, "detector has caught up with the log");
        stats.detector(name, DetectorHealth::Running { phase, have: 0, need: 0 });
        if self.plan.beside.is_some() {
            return;
        }
        notices.detector(started, now, name, None).await;
        let cause = running.seen;
        if self.plan.mode == Mode::Live {
            let verdicts: Vec<_> = running.judge.standing().collect();
            // Events tell what happens, not what stands.
            let (findings, _) = running.conditions.findings(cause, now, &verdicts);
            let except = findings.iter().map(|(key, _)| key.clone()).collect();
            notices.send(Notice::Standing { cause, now, binding: name.clone(), findings }).await;
            if running.judge.knows_what_stands() {
                // What another version has raised, and this one never said.
                let (binding, why) = (name.clone(), "ended, since its detector does not say so any more");
                notices.send(Notice::Over { cause, now, binding, except, why, current: true }).await;
            }
        } else {
            let (binding, except, why) = (name.clone(), BTreeSet::new(), "its detector no longer announces");
            notices.send(Notice::Over { cause, now, binding, except, why, current: true }).await;
        }
    }

    async fn tell(&self, conditions: &Conditions, lsn: Lsn, frame: &Frame, judgement: Judgement) {
        let name = &self.plan.spec.name;
        if let Some(progress) = judgement.progress {
            let (phase, have, need) = (progress.phase, progress.have, progress.need);
            self.detection.stats.detector(name, DetectorHealth::Running { phase, have, need });
        }
        if let Some(phase) = judgement.phase {
            tracing::info!(detector = name, ?phase, "detector phase");
        }
        if judgement.verdicts.is_empty() || self.plan.mode == Mode::Learning {
            return;
        }
        let (verdicts, now) = (judgement.verdicts, frame.now);
        let live = self.plan.mode == Mode::Live;
        let (findings, events) = if live { conditions.findings(lsn, now, &verdicts) } else { Default::default() };
        let binding: Arc<str> = name.as_str().into();
        let found = Notice::Found { binding, frame: lsn, now, verdicts, findings, events };
        self.detection.notices.send(found).await;
    }

    /// Takes the detector's state, if it has seen anything since, and starts to save it.
    async fn checkpoint(&self, running: &mut Running) -> Result<Option<Saving>, Ended> {
        if running.seen == running.saved {
            return Ok(None);
        }
        let taken = running.judge.save(&self.plan.kept_as, running.seen).await;
        let checkpoint = taken.map_err(Ended::Save)?;
        // What is missing since it began is known once each source is read again; one that was read all the time does not
        // say so.
        let are_up = self.plan.sources.iter().all(|source| running.up.contains(source));
        if are_up || running.begun.elapsed() > PATIENCE {
            running.before = None;
        }
        Ok(Some(AbortOnDropHandle::new(tokio::spawn(save(self.detection.clone(), checkpoint)))))
    }
}

impl Running {
    /// Notes how saving ended. An earlier state stays when it failed, and the next one is tried in its time.
    fn saved(&mut self, name: &str, done: Result<Result<Option<Lsn>, CursorError>, JoinError>) {
        match done.map_err(CursorError::Ended).flatten() {
            Ok(Some(frame)) => self.saved = frame,
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(detector = name, %error, "the state could not be saved; the earlier one stays");
            }
        }
    }
}

/// Waits for a checkpoint that is on its way; for ever when there is none.
async fn finished(saving: &mut Option<Saving>) -> Result<Result<Option<Lsn>, CursorError>, JoinError> {
    match saving {
        Some(saving) => saving.await,
        None => std::future::pending().await,
    }
}

/// When a binding saves for the first time: spread by name, so that the disk is not asked by all at once.
fn first_checkpoint(name: &str) -> Duration {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    let share = u32::try_from(hasher.finish() % 256).unwrap_or(0);
    CHECKPOINT_EVERY / 2 + CHECKPOINT_EVERY / 512 * share
}

/// Saves once everything it rests on and everything it led to is durable: a state must never know more than the log,
/// or a level that it remembers as told would never be told. `None` when the gateway is stopping.
pub(crate) async fn save(detection: Arc<Detection>, checkpoint: Checkpoint) -> Result<Option<Lsn>, CursorError> {
    let log = detection.log.clone();
    let (answer, told) = oneshot::channel();
    detection.notices.send(Notice::Settled(answer)).await;
    let Ok(decided) = told.await else { return Ok(None) };
    log.hurry();
    let frame = checkpoint.frame;
    if !log.durable(decided.max(frame)).await {
        return Ok(None);
    }
    tokio::task::spawn_blocking(move || log.history().save_checkpoint(&checkpoint)).await??;
    Ok(Some(frame))
}
