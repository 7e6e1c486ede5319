//! Findings in values that came late: what a source's own history gave of a time in which nobody listened. The state that a
//! detector had before that time is kept; once what is missing was asked for, another instance goes on from it through
//! what was fetched and what came of its other signals, beside the live one. What it finds is an event of its time and
//! never an alarm: that follows from the live instance alone, which sees with the next value what still holds.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant as Timer;
use tokio_util::task::AbortOnDropHandle;
use watchfire_model::{
    Copied, Frame, GapCause, Instant, Lsn, PlainEvent, Quality, RecordBody, Rows, SignalId, SourceState, Verdict,
};

use crate::detect::save;
use crate::late_findings::Findings;
use crate::notices::Notice;
use crate::supervise::Detection;
use crate::{BindingPlan, Checkpoint, CreateError, CursorError, DetectorFault, Judge, Log, OnRecord, gaps, samples};

/// News that may wait; more are left out, and what they were of is not judged.
const NEWS_MAX: usize = 64;
/// How long a state is kept for what is missing, where another could be kept for what was missing later.
const KEPT: Duration = Duration::from_secs(3600);
/// What is filled comes in parts: so long nothing is looked for after one.
const SETTLES: Duration = Duration::from_secs(1);
/// So long after one the rest is waited for. A history that lies behind is asked again after ten minutes, and what has none
/// is never asked for.
const PATIENCE: Duration = Duration::from_secs(900);
/// Of what was missing for longer the last part is judged.
const LONGEST: Duration = Duration::from_secs(7 * 86_400);
/// Of so much time values are read at once.
const STEP: Duration = Duration::from_secs(60);
/// What is judged together is of one such stretch, and has so many rows at most.
const FRAME: Duration = Duration::from_secs(1);
const FRAME_ROWS: usize = 4096;

/// The name under which the state is kept from before what is missing.
fn before(kept_as: &str) -> String {
    format!("{kept_as}.before")
}

/// Under which name what was found late is on record: no condition has such a detector.
pub(crate) fn late_binding(binding: &str) -> String {
    format!("{binding}/late")
}

/// What a detector's task has to say.
#[derive(Debug)]
pub(crate) enum News {
    /// How it stood before something may be missing.
    Before(Checkpoint),
    /// Something is missing.
    Missing,
    /// What was missing was asked for.
    Filled,
}

/// Why late values were not judged.
#[derive(Debug, thiserror::Error)]
enum NotJudged {
    #[error(transparent)]
    Log(#[from] CursorError),
    #[error(transparent)]
    Create(#[from] CreateError),
    #[error("{0}")]
    Fault(#[from] DetectorFault),
    #[error("its state from before is not there any more")]
    NoState,
}

/// The way to what judges late.
#[derive(Debug)]
pub(crate) struct Late {
    news: mpsc::Sender<News>,
    _task: AbortOnDropHandle<()>,
}

impl Late {
    /// Begins to judge late for a detector.
    pub(crate) fn start(detection: &Arc<Detection>, plan: &Arc<BindingPlan>) -> Self {
        let (news, receiver) = mpsc::channel(NEWS_MAX);
        let task = Task { detection: detection.clone(), plan: plan.clone(), judged: Lsn(0) };
        Self { news, _task: AbortOnDropHandle::new(tokio::spawn(task.run(receiver))) }
    }

    /// Tells it something, without waiting: live values go first.
    pub(crate) fn tell(&self, news: News) {
        if self.news.try_send(news).is_err() {
            tracing::warn!("a detector is told more of what is missing than it judges late; some of it is left out");
        }
    }
}

/// A state from before something was missing.
struct Kept {
    state: Checkpoint,
    since: Timer,
    /// Whether it is known that something is.
    missing: bool,
}

struct Task {
    detection: Arc<Detection>,
    plan: Arc<BindingPlan>,
    /// The frame that told of what was missing and was judged last.
    judged: Lsn,
}

impl Task {
    async fn run(mut self, mut news: mpsc::Receiver<News>) {
        let name = self.plan.spec.name.clone();
        self.judged = self.detection.judged_late.get(&late_binding(&name)).copied().unwrap_or_default();
        // What was kept when the gateway ended is missed until it is known better.
        let loaded = self.load().await.filter(|state| state.frame > Lsn(0));
        let mut kept = loaded.map(|state| Kept { state, since: Timer::now(), missing: true });
        let (mut look_at, mut patient_until) = (kept.as_ref().map(|_| Timer::now()), Timer::now() + PATIENCE);
        loop {
            let told = tokio::select! {
                told = news.recv() => told,
                () = tokio::time::sleep_until(look_at.unwrap_or_else(Timer::now)), if look_at.is_some() => {
                    let is_last = Timer::now() >= patient_until;
                    look_at = Some(patient_until).filter(|_| !is_last);
                    if let Some(Kept { state, missing: true, .. }) = &kept && self.is_done(state, is_last).await {
                        (kept, look_at) = (None, None);
                        self.keep(self.nothing()).await;
                    }
                    continue;
                }
            };
            match told {
                None => return,
                Some(News::Missing) => {
                    if let Some(kept) = &mut kept {
                        kept.missing = true;
                    }
                }
                Some(News::Before(state)) => {
                    let holds = |kept: &Kept| kept.missing && kept.since.elapsed() < KEPT;
                    if !kept.as_ref().is_some_and(holds) {
                        self.keep(Checkpoint { binding: before(&self.plan.kept_as), ..state.clone() }).await;
                        kept = Some(Kept { state, since: Timer::now(), missing: false });
                    }
                }
                Some(News::Filled) => {
                    (look_at, patient_until) = (Some(Timer::now() + SETTLES), Timer::now() + PATIENCE);
                }
            }
        }
    }

    /// Whether a state is needed no more.
    async fn is_done(&mut self, state: &Checkpoint, is_last: bool) -> bool {
        match self.look(state, is_last).await {
            Ok(done) => done,
            Err(error) => {
                tracing::warn!(detector = self.plan.spec.name, %error, "values that came late are not judged");
                true
            }
        }
    }

    fn nothing(&self) -> Checkpoint {
        Checkpoint {
            binding: before(&self.plan.kept_as),
            plugin: String::new(),
            state_version: 0,
            config_hash: String::new(),
            frame: Lsn(0),
            bytes: Vec::new(),
            host: Vec::new(),
        }
    }

    async fn load(&self) -> Option<Checkpoint> {
        let (log, name) = (self.detection.log.clone(), before(&self.plan.kept_as));
        tokio::task::spawn_blocking(move || log.history().load_checkpoint(&name)).await.ok()?.ok()?
    }

    async fn keep(&self, state: Checkpoint) {
        if let Err(error) = save(self.detection.clone(), state).await {
            tracing::warn!(detector = self.plan.spec.name, %error, "the state from before what is missing could not be kept");
        }
    }

    /// Judges what was missing after this state, once all of it was asked for, or nothing else will be; whether the state is
    /// needed no more.
    async fn look(&mut self, state: &Checkpoint, is_last: bool) -> Result<bool, NotJudged> {
        let (log, after) = (self.detection.log.clone(), state.frame.max(self.judged));
        let signals: BTreeSet<SignalId> = self.plan.spec.signals.iter().map(|signal| signal.id).collect();
        let found = tokio::task::spawn_blocking(move || missing(&log, signals, after)).await;
        let gaps = found.map_err(CursorError::Ended)??;
        if !is_last && gaps.iter().any(|told| told.fill.is_none()) {
            return Ok(false);
        }
        let Some(last) = gaps.iter().map(|told| told.noticed).max() else { return Ok(false) };
        if gaps.iter().filter_map(|told| told.fill).any(|fill| fill.values > 0) {
            let (verdicts, events) = self.judge(state, &gaps, last).await?;
            tracing::info!(detector = self.plan.spec.name, found = events.len(), "values that came late were judged");
            let binding = self.plan.spec.name.clone();
            let found = Notice::FoundLate { binding, frame: last, verdicts, events };
            self.detection.notices.send(found).await;
            let (answer, told) = oneshot::channel();
            self.detection.notices.send(Notice::Settled(answer)).await;
            let Ok(decided) = told.await else { return Ok(false) };
            self.detection.log.hurry();
            if !self.detection.log.durable(decided).await {
                return Ok(false);
            }
        }
        self.judged = last;
        Ok(true)
    }

    /// What another instance finds that goes on from `state`.
    async fn judge(
        &self,
        state: &Checkpoint,
        gaps: &[OnRecord],
        last: Lsn,
    ) -> Result<(Vec<Verdict>, Vec<PlainEvent>), NotJudged> {
        let Self { detection, plan, .. } = self;
        let mut judge = Judge::create(&*detection.factory, &plan.spec).await?;
        if !judge.fits(state) || !judge.restore(state).await {
            return Err(NotJudged::NoState);
        }
        plan.sources.iter().for_each(|source| judge.source(source, SourceState::Up));
        let known = judge.known_until();
        // What was known of a signal before it was missing, or of others when the state was taken.
        let from = |signal: SignalId| {
            let of_it = gaps.iter().filter(|told| told.gap.signal == Some(signal)).map(|told| told.gap.since);
            of_it.chain(known).min()
        };
        let signals: Vec<_> = plan.spec.signals.iter().map(|signal| (signal.id, from(signal.id))).collect();
        let since = gaps.iter().map(|told| told.gap.since).chain(known).min().unwrap_or_default();
        let until = gaps.iter().map(|told| told.gap.until).max().unwrap_or_default();
        let begin = since.max(until.minus(LONGEST));
        let stands = frame_at(&detection.log, last).await?;
        let (mut findings, indexes) = (Findings::new(plan, &judge), plan.indexes());
        let (mut at, mut now) = (begin, known.unwrap_or(begin));
        while at < until {
            let (log, to) = (detection.log.clone(), at.plus(STEP).min(until));
            let wanted = signals.clone();
            let read = tokio::task::spawn_blocking(move || rows_of(&log, &wanted, at, to)).await;
            for rows in cut(&read.map_err(CursorError::Ended)??) {
                now = rows.time.last().map_or(now, |last| now.max(*last));
                let frame = Frame { now, rows, gaps: Vec::new(), utc_offset_s: stands.utc_offset_s, mode: stands.mode };
                findings.take(judge.take(last, &frame, &indexes).await?.verdicts);
            }
            at = to;
        }
        Ok(findings.end(until, last, detection.clock.now()))
    }
}

/// What is missing of some signals, as told after a place.
fn missing(log: &Log, signals: BTreeSet<SignalId>, after: Lsn) -> Result<Vec<OnRecord>, CursorError> {
    let mut found = Vec::new();
    for page in gaps(log, Some(signals), Instant::MIN, Instant::MAX)? {
        let counts = |told: &OnRecord| told.noticed > after && is_of_a_source(told.gap.signal, told.gap.cause);
        found.extend(page?.into_iter().filter(counts));
    }
    Ok(found)
}

/// Whether something is missing that a source's own history may have.
pub(crate) fn is_of_a_source(signal: Option<SignalId>, cause: GapCause) -> bool {
    signal.is_some() && cause != GapCause::Skipped
}

/// The frame at a place, for the mode and the zone that held then.
async fn frame_at(log: &Arc<Log>, place: Lsn) -> Result<Frame, CursorError> {
    let log = log.clone();
    let records = tokio::task::spawn_blocking(move || log.read(place, 1)).await.map_err(CursorError::Ended)??;
    let frame = records
        .into_iter()
        .find_map(|record| if let RecordBody::Data(frame) = record.body { Some(frame) } else { None });
    Ok(frame.unwrap_or_default())
}

/// What is on record of some signals, of each after its own time, in the order of time.
fn rows_of(
    log: &Log,
    signals: &[(SignalId, Option<Instant>)],
    from: Instant,
    to: Instant,
) -> Result<Rows, CursorError> {
    let mut found = Rows::default();
    for (signal, known) in signals {
        let begin = known.map_or(from, |known| from.max(Instant::from_ns(known.ns().saturating_add(1))));
        if begin < to {
            for rows in samples(log, *signal, begin, to)? {
                found.append(&mut rows?);
            }
        }
    }
    let mut order: Vec<usize> = (0..found.len()).collect();
    order.sort_by_key(|row| found.time.get(*row).copied());
    let mut sorted = Rows::default();
    for row in order {
        sorted.push_row(&found, row);
    }
    Ok(sorted)
}

/// Rows in order, cut as they would have come: they are of their time now, and not late.
fn cut(rows: &Rows) -> Vec<Rows> {
    let mut frames: Vec<Rows> = Vec::new();
    let mut copied = Copied::default();
    for row in 0..rows.len() {
        let ends = |frame: &Rows| {
            let ends = frame.time.first().map(|first| first.plus(FRAME));
            frame.len() >= FRAME_ROWS || rows.time.get(row).copied() > ends
        };
        if frames.last().is_none_or(ends) {
            frames.push(Rows::default());
        }
        if let Some(frame) = frames.last_mut() {
            frame.copy_row(rows, row, &mut copied);
        }
    }
    for quality in frames.iter_mut().flat_map(|frame| &mut frame.quality) {
        *quality = Quality(quality.0 & !(Quality::LATE.0 | Quality::INITIAL.0));
    }
    frames
}
