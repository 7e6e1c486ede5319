//! Findings in values that came late: what a source's own history gave of a time in which nobody listened. The state that a
//! detector had before that time is kept; once what is missing was asked for, another instance goes on from it through
//! what was fetched and what came of its other signals, beside the live one. What it finds is an event of its time and
//! never an alarm: that follows from the live instance alone, which sees with the next value what still holds.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant as Timer;
use tokio_util::task::AbortOnDropHandle;
use watchfire_model::{GapCause, Instant, Lsn, PlainEvent, SignalId, SourceState, Verdict};

use crate::detect::save;
use crate::late_findings::{Findings, Missing};
use crate::late_rows::{LONGEST, Missed};
use crate::notices::Notice;
use crate::supervise::Detection;
use crate::{BindingPlan, Checkpoint, CreateError, CursorError, DetectorFault, Judge, Log, OnRecord, gaps_after};

/// A source that is read again says by then what is missing, if anything is.
const GAPLESS: Duration = Duration::from_secs(60);
/// What is filled comes in parts: so long nothing is looked for after one.
const SETTLES: Duration = Duration::from_secs(1);
/// So long after one the rest is waited for. A history that lies behind is asked again after ten minutes, and what has none
/// is never asked for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(900);
/// So long at the most it is waited for what is missing, however often more is.
const LAST: Duration = Duration::from_secs(3600);
/// How long after a failure that may pass it is tried again,
const TRY_AGAIN: Duration = Duration::from_secs(60);
/// and how often.
const TRIES_MAX: u32 = 60;
/// Frames that are read before they are judged.
const FRAMES_AHEAD: usize = 8;

/// The name under which the state is kept from before what is missing.
fn before(kept_as: &str) -> String {
    // No detector has such a name.
    format!("{kept_as}/before")
}

/// Under which name what was found late is on record: no condition has such a detector.
pub(crate) fn late_binding(binding: &str) -> String {
    format!("{binding}/late")
}

/// What a detector's task has to say.
#[derive(Debug, Default)]
struct News {
    /// How it stood before something may be missing: the first that was told.
    before: Option<Checkpoint>,
    /// Something is missing,
    missing: bool,
    /// and not for want of room in a queue alone, which may go on for ever.
    lost: bool,
    /// What was missing was asked for.
    filled: bool,
    /// Whether one of its sources is lost.
    down: bool,
}

#[derive(Debug, Default)]
struct Shared {
    news: Mutex<News>,
    told: Notify,
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
    #[error("its plugin or configuration is another than before")]
    Changed,
    #[error("its plugin cannot read its state from before")]
    Unreadable,
}

impl NotJudged {
    /// Whether it may be otherwise in a while.
    fn may_pass(&self) -> bool {
        matches!(self, Self::Log(_) | Self::Create(CreateError::NotNow(_)))
    }
}

/// The way to what judges late. Whoever tells it something never waits: live values go first.
#[derive(Debug)]
pub(crate) struct Late {
    shared: Arc<Shared>,
    _task: AbortOnDropHandle<()>,
}

impl Late {
    /// Begins to judge late for a detector; `goes_on` from an earlier life.
    pub(crate) fn start(detection: &Arc<Detection>, plan: &Arc<BindingPlan>, goes_on: bool, down: bool) -> Self {
        let shared = Arc::new(Shared { news: Mutex::new(News { down, ..News::default() }), told: Notify::new() });
        let name = late_binding(&plan.spec.name);
        let judged = detection.judged_late.lock().get(&name).copied().unwrap_or_default();
        let task = Task { detection: detection.clone(), plan: plan.clone(), shared: shared.clone(), judged };
        Self { shared, _task: AbortOnDropHandle::new(tokio::spawn(task.run(goes_on))) }
    }

    /// How the detector stood before something may be missing.
    pub(crate) fn before(&self, state: Checkpoint) {
        self.tell(|news| news.before = news.before.take().or(Some(state)));
    }

    /// Something is missing; `lost`, and not for want of room in a queue alone.
    pub(crate) fn missing(&self, lost: bool) {
        self.tell(|news| (news.missing, news.lost) = (true, news.lost || lost));
    }

    /// What was missing was asked for.
    pub(crate) fn filled(&self) {
        self.tell(|news| news.filled = true);
    }

    /// Whether one of its sources is lost now.
    pub(crate) fn sources(&self, down: bool) {
        self.tell(|news| news.down = down);
    }

    fn tell(&self, change: impl FnOnce(&mut News)) {
        change(&mut self.shared.news.lock());
        self.shared.told.notify_one();
    }
}

/// A state from before something may be missing.
struct Kept {
    state: Checkpoint,
    waits: Waits,
    /// How often it was tried in vain.
    tries: u32,
    /// When it was first known that something is missing since.
    missing_since: Option<Timer>,
}

/// What a state that is kept waits for.
enum Waits {
    /// To be told what is missing; until then, if no source is lost any more.
    ForGaps(Option<Timer>),
    /// For what is missing: when to look for it next, and when for the last time.
    ForValues(Option<Timer>, Timer),
}

impl Kept {
    fn new(state: Checkpoint, waits: Waits) -> Self {
        Self { state, waits, tries: 0, missing_since: None }
    }

    /// For how long it is waited now.
    fn patient_until(&mut self, now: Timer) -> Timer {
        let since = *self.missing_since.get_or_insert(now);
        (now + PATIENCE).min(since + LAST)
    }

    fn due(&self) -> Option<Timer> {
        match self.waits {
            Waits::ForGaps(until) => until,
            Waits::ForValues(look_at, until) => Some(look_at.map_or(until, |look_at| look_at.min(until))),
        }
    }
}

/// What a look came to.
enum Looked {
    /// There may be more to come.
    Waits,
    /// All there is was judged.
    Done,
}

struct Task {
    detection: Arc<Detection>,
    plan: Arc<BindingPlan>,
    shared: Arc<Shared>,
    /// The frame that told of what was missing and was judged last.
    judged: Lsn,
}

impl Task {
    async fn run(mut self, goes_on: bool) {
        let mut kept = self.loaded(goes_on).await;
        kept = self.hear(kept).await;
        loop {
            let due = kept.as_ref().and_then(Kept::due);
            tokio::select! {
                () = self.shared.told.notified() => {}
                () = tokio::time::sleep_until(due.unwrap_or_else(Timer::now)), if due.is_some() => {
                    kept = match kept {
                        Some(kept) => self.due(kept).await,
                        None => None,
                    };
                }
            }
            kept = self.hear(kept).await;
        }
    }

    /// Takes what was told meanwhile.
    async fn hear(&self, mut kept: Option<Kept>) -> Option<Kept> {
        let news = {
            let mut news = self.shared.news.lock();
            let down = news.down;
            std::mem::replace(&mut *news, News { down, ..News::default() })
        };
        // The earliest is the right one: what is missing later is judged from it as well.
        if let (None, Some(state)) = (&kept, news.before) {
            self.keep(Checkpoint { binding: before(&self.plan.kept_as), ..state.clone() }).await;
            kept = Some(Kept::new(state, Waits::ForGaps(None)));
        }
        let mut kept = kept?;
        let now = Timer::now();
        kept.waits = match kept.waits {
            Waits::ForGaps(_) if news.missing => Waits::ForValues(None, kept.patient_until(now)),
            Waits::ForGaps(_) if news.down => Waits::ForGaps(None),
            Waits::ForGaps(until) => Waits::ForGaps(until.or(Some(now + GAPLESS))),
            Waits::ForValues(look_at, _) if news.lost => Waits::ForValues(look_at, kept.patient_until(now)),
            Waits::ForValues(look_at, until) => Waits::ForValues(look_at, until),
        };
        if let (Waits::ForValues(..), true) = (&kept.waits, news.filled) {
            kept.waits = Waits::ForValues(Some(now + SETTLES), kept.patient_until(now));
        }
        Some(kept)
    }

    /// Does what it is time for; what is kept then.
    async fn due(&mut self, mut kept: Kept) -> Option<Kept> {
        let Waits::ForValues(_, until) = kept.waits else {
            // Nothing was missing.
            self.keep(self.nothing()).await;
            return None;
        };
        let down = self.shared.news.lock().down;
        let is_last = Timer::now() >= until;
        match self.look(&kept.state, is_last, down).await {
            Ok(Looked::Waits) => {
                let until = if is_last { Timer::now() + PATIENCE } else { until };
                kept.waits = Waits::ForValues(None, until);
                return Some(kept);
            }
            // What is missing of a source that is still lost, or of a signal that is read again only later, is judged
            // from the same state.
            Ok(Looked::Done) => {
                let until = (!down).then(|| Timer::now() + GAPLESS);
                return Some(Kept::new(kept.state, Waits::ForGaps(until)));
            }
            Err(error) if error.may_pass() && kept.tries < TRIES_MAX => {
                tracing::warn!(detector = self.plan.spec.name, %error, "values that came late are judged later");
                let again = Timer::now() + TRY_AGAIN;
                kept = Kept { waits: Waits::ForValues(Some(again), until.max(again)), tries: kept.tries + 1, ..kept };
                return Some(kept);
            }
            Err(error) => {
                tracing::warn!(detector = self.plan.spec.name, %error, "values that came late are not judged; look through them with `watchfire history`");
            }
        }
        self.keep(self.nothing()).await;
        None
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

    /// What was kept when the gateway or the detector ended: one that did not begin anew goes on with it.
    async fn loaded(&self, goes_on: bool) -> Option<Kept> {
        for _ in 0..TRIES_MAX {
            match self.load().await {
                Ok(Some(kept)) if goes_on => return Some(kept),
                Ok(_) => break,
                Err(error) => {
                    tracing::warn!(detector = self.plan.spec.name, %error, "what is missing cannot be looked for; tried again");
                    tokio::time::sleep(TRY_AGAIN).await;
                }
            }
        }
        self.keep_if_there(self.nothing()).await;
        None
    }

    async fn load(&self) -> Result<Option<Kept>, CursorError> {
        let (log, name) = (self.detection.log.clone(), before(&self.plan.kept_as));
        let (now, judged) = (self.detection.clock.now(), self.judged);
        let signals = self.signals();
        let look = move || -> Result<Option<(Checkpoint, bool)>, CursorError> {
            let loaded = log.history().load_checkpoint(&name)?;
            let Some(state) = loaded.filter(|state| state.frame > Lsn(0) && state.frame <= log.tail()) else {
                return Ok(None);
            };
            if Missed::time_after(&log, state.frame)?.is_some_and(|then| then.plus(LONGEST) < now) {
                return Ok(None);
            }
            let is_missing = !missing(&log, signals, state.frame.max(judged))?.is_empty();
            Ok(Some((state, is_missing)))
        };
        let found = tokio::task::spawn_blocking(look).await.map_err(CursorError::Ended)??;
        let now = Timer::now();
        Ok(found.map(|(state, is_missing)| {
            // A source that opens the connection itself may take a while to do so.
            let waits = match is_missing {
                true => Waits::ForValues(Some(now), now + PATIENCE),
                false => Waits::ForGaps(Some(now + PATIENCE)),
            };
            Kept { missing_since: is_missing.then_some(now), ..Kept::new(state, waits) }
        }))
    }

    /// Forgets what was kept, if anything was.
    async fn keep_if_there(&self, nothing: Checkpoint) {
        let (log, name) = (self.detection.log.clone(), nothing.binding.clone());
        let loaded = tokio::task::spawn_blocking(move || log.history().load_checkpoint(&name)).await;
        if let Ok(Ok(Some(state))) = loaded
            && state.frame > Lsn(0)
        {
            self.keep(nothing).await;
        }
    }

    async fn keep(&self, state: Checkpoint) {
        if let Err(error) = save(self.detection.clone(), state).await {
            tracing::warn!(detector = self.plan.spec.name, %error, "the state from before what is missing could not be kept");
        }
    }

    fn signals(&self) -> BTreeSet<SignalId> {
        self.plan.spec.signals.iter().map(|signal| signal.id).collect()
    }

    /// Judges what was missing after this state, once all of it was asked for and every source is back, or nothing else will
    /// be.
    async fn look(&mut self, state: &Checkpoint, is_last: bool, down: bool) -> Result<Looked, NotJudged> {
        let (log, after, signals) = (self.detection.log.clone(), state.frame, self.signals());
        let found = tokio::task::spawn_blocking(move || missing(&log, signals, after)).await;
        let gaps = found.map_err(CursorError::Ended)??;
        // What was judged before is gone through again, since the state is from before it, and told no more.
        let is_new = |told: &&OnRecord| told.noticed > self.judged;
        if !is_last && (down || gaps.iter().filter(is_new).any(|told| told.fill.is_none())) {
            return Ok(Looked::Waits);
        }
        let Some(last) = gaps.iter().filter(is_new).map(|told| told.noticed).max() else {
            return Ok(if is_last { Looked::Done } else { Looked::Waits });
        };
        if gaps.iter().filter(is_new).filter_map(|told| told.fill).any(|fill| fill.values > 0) {
            let (verdicts, events) = self.judge(state, gaps, last).await?;
            tracing::info!(detector = self.plan.spec.name, found = events.len(), "values that came late were judged");
            let binding = self.plan.spec.name.clone();
            let found = Notice::FoundLate { binding, frame: last, verdicts, events };
            self.detection.notices.send(found).await;
            let (answer, told) = oneshot::channel();
            self.detection.notices.send(Notice::Settled(answer)).await;
            let Ok(decided) = told.await else { return Ok(Looked::Waits) };
            self.detection.log.hurry();
            if !self.detection.log.durable(decided).await {
                return Ok(Looked::Waits);
            }
        }
        self.judged = last;
        self.detection.judged_late.lock().insert(late_binding(&self.plan.spec.name), last);
        Ok(Looked::Done)
    }

    /// What another instance finds in what was missing that goes on from `state`.
    async fn judge(
        &self,
        state: &Checkpoint,
        gaps: Vec<OnRecord>,
        last: Lsn,
    ) -> Result<(Vec<Verdict>, Vec<PlainEvent>), NotJudged> {
        let Self { detection, plan, .. } = self;
        let mut judge = Judge::create(&*detection.factory, &plan.spec).await?;
        if !judge.fits(state) {
            return Err(NotJudged::Changed);
        }
        if !judge.restore(state).await {
            return Err(NotJudged::Unreadable);
        }
        plan.sources.iter().for_each(|source| judge.source(source, SourceState::Up));
        let is_new = |told: &&OnRecord| told.noticed > self.judged;
        let mut findings = Findings::new(plan, &judge, Missing::of(gaps.iter().filter(is_new)));
        let missed = Missed { signals: self.signals(), gaps, state: state.frame, known: judge.known_until(), last };
        let (sender, mut frames) = mpsc::channel(FRAMES_AHEAD);
        let log = detection.log.clone();
        let reading = tokio::task::spawn_blocking(move || missed.read(&log, &sender));
        let indexes = plan.indexes();
        while let Some((at, frame)) = frames.recv().await {
            findings.take(judge.take(last, &frame, &indexes).await?.verdicts, at);
        }
        reading.await.map_err(CursorError::Ended)??;
        Ok(findings.end(last, detection.clock.now()))
    }
}

/// What is missing of some signals, as told after a place.
fn missing(log: &Log, signals: BTreeSet<SignalId>, after: Lsn) -> Result<Vec<OnRecord>, CursorError> {
    let mut found = Vec::new();
    for page in gaps_after(log, after, Some(signals), Instant::MIN, Instant::MAX)? {
        found.extend(page?.into_iter().filter(|told| is_of_a_source(told.gap.signal, told.gap.cause)));
    }
    Ok(found)
}

/// Whether something is missing that a source's own history may have.
pub(crate) fn is_of_a_source(signal: Option<SignalId>, cause: GapCause) -> bool {
    signal.is_some() && !matches!(cause, GapCause::Skipped | GapCause::Imported)
}
