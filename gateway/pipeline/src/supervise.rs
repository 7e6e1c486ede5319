//! The supervisor of detectors: one that fails is dropped, made anew after a pause and brought up to where it failed.
//! A frame on which it fails twice is left out, on record; after too many failures it is given up, visibly. One that
//! cannot be made for a reason that may pass is never given up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant as Timer;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use watchfire_model::{Clock, Control, Lsn, RecordBody};

use crate::compare::Progress;
use crate::detect::Run;
use crate::notices::Notice;
use crate::stand_in;
use crate::{
    BindingPlan, CreateError, CursorError, DetectorFactory, DetectorFault, DetectorHealth, Log, Notices, PortError,
    Stats,
};

/// Restarts within [`RESTART_WINDOW`] after which a person is needed.
const RESTARTS_MAX: usize = 5;
/// Saves of its state on which a detector may fail, life after life.
const SAVE_FAULTS_MAX: usize = 3;
/// The window in which restarts are counted.
const RESTART_WINDOW: Duration = Duration::from_secs(60);
/// The first pause before a restart; it doubles with each.
const BACKOFF: Duration = Duration::from_millis(200);
/// The longest pause before a restart.
const BACKOFF_MAX: Duration = Duration::from_secs(60);

/// What every binding's task uses.
pub(crate) struct Detection {
    pub factory: Arc<dyn DetectorFactory>,
    pub log: Arc<Log>,
    pub notices: Notices,
    pub clock: Arc<dyn Clock>,
    pub stats: Arc<Stats>,
    /// What was judged late of each binding, by the name under which that is on record.
    pub judged_late: Mutex<BTreeMap<String, Lsn>>,
    /// How far each binding has come.
    pub progress: Mutex<BTreeMap<String, Arc<Progress>>>,
}

/// Why a run ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended {
    #[error(transparent)]
    Create(#[from] CreateError),
    #[error("at frame {frame}: {fault}")]
    Fault { frame: Lsn, fault: DetectorFault },
    #[error("while its state was saved: {0}")]
    Save(DetectorFault),
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
    /// How far a binding has come.
    pub(crate) fn progress(&self, name: &str) -> Arc<Progress> {
        let mut all = self.progress.lock();
        if let Some(known) = all.get(name) {
            return known.clone();
        }
        all.entry(name.to_owned()).or_default().clone()
    }

    /// Runs a binding until `stop`, restarting its detector when it fails. Without a past it sees what comes after
    /// `begin`.
    pub(crate) async fn run(self: Arc<Self>, plan: Arc<BindingPlan>, begin: Lsn, stop: CancellationToken) {
        let kept_as = plan.kept_as.clone();
        let mut skips = self.skips(&kept_as).await;
        let mut restarts: Vec<Timer> = Vec::new();
        let (mut last_fault, mut save_faults) = (None, 0);
        let (mut started, mut pause) = (Timer::now(), BACKOFF);
        let mut stood_in = plan.beside.is_some();
        loop {
            let once = Run { detection: self.clone(), plan: plan.clone(), skips: skips.clone(), begin };
            let ended = match AbortOnDropHandle::new(tokio::spawn(once.run(stop.clone()))).await {
                Ok(Ok(())) => return,
                Ok(Err(ended)) => ended,
                Err(panic) => Ended::Panic(panic.to_string()),
            };
            if stop.is_cancelled() {
                return;
            }
            let hopeless = matches!(ended, Ended::Create(CreateError::Plugin(_) | CreateError::Refused(_)));
            let not_now = matches!(ended, Ended::Create(CreateError::NotNow(_)));
            let frame = if let Ended::Fault { frame, .. } = &ended { Some(*frame) } else { None };
            let skip = frame.is_some() && frame == last_fault;
            last_fault = frame;
            let now = Timer::now();
            if now - started > RESTART_WINDOW && !not_now {
                pause = BACKOFF;
            }
            restarts.retain(|at| now - *at < RESTART_WINDOW);
            if !not_now {
                restarts.push(now);
            }
            save_faults = if matches!(ended, Ended::Save(_)) { save_faults + 1 } else { 0 };
            let give_up = hopeless || restarts.len() > RESTARTS_MAX || save_faults > SAVE_FAULTS_MAX;
            let next = if give_up { None } else { Some(pause) };
            if !std::mem::replace(&mut stood_in, true) {
                self.stand_in(&plan).await;
            }
            let told = self.tell_fault(&plan, &ended, frame, skip, next).await;
            if let (true, Some(frame)) = (skip, frame) {
                skips.insert(frame);
                // The log says so first: replay must know of every frame that is left out.
                if let Some(told) = told {
                    self.log.durable(told).await;
                }
                self.save_skips(&kept_as, &skips).await;
            }
            if give_up {
                stop.cancelled().await;
                return;
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(BACKOFF_MAX);
            started = Timer::now();
        }
    }

    /// Has the conditions of a detector that may not have told them be there: nobody else says what they are.
    async fn stand_in(&self, plan: &Arc<BindingPlan>) {
        let (log, of) = (self.log.clone(), plan.clone());
        let recalling = tokio::task::spawn_blocking(move || stand_in::recall(&log, &of));
        let defs = recalling.await.unwrap_or_default();
        self.notices.send(Notice::StandIn { plan: plan.clone(), defs }).await;
    }

    /// Answers where the log says so; `None` when the log has failed.
    async fn tell_fault(
        &self,
        plan: &BindingPlan,
        ended: &Ended,
        frame: Option<Lsn>,
        skip: bool,
        next: Option<Duration>,
    ) -> Option<Lsn> {
        let name = &plan.spec.name;
        let mut reason = format!("detector `{name}` (plugin `{}`) {ended}", plan.spec.plugin);
        if let Ended::Create(_) = ended {
            reason = format!("detector `{name}`: {ended}");
        }
        if skip {
            reason.push_str("; it failed there twice, so that frame is skipped");
        }
        if let Ended::Create(CreateError::NotNow(_)) = ended {
            reason.push_str("; it is tried again, at least once a minute");
        }
        if next.is_none() {
            reason.push_str("; given up until `watchfire reload` or the gateway's next start");
            tracing::error!(detector = name, reason, "detector given up");
            self.stats.detector(name, DetectorHealth::GaveUp(reason.clone()));
        } else {
            tracing::warn!(detector = name, reason, ?next, "detector failed and is restarted");
            self.stats.detector(name, DetectorHealth::Failed(reason.clone()));
        }
        let control = Control::DetectorFault {
            binding: name.clone(),
            frame: frame.unwrap_or_else(|| self.log.tail()),
            reason: reason.clone(),
            skip,
        };
        let record = self.log.put(RecordBody::Control(control)).await.ok()?;
        self.log.hurry();
        if plan.beside.is_none() {
            self.notices.detector(record.lsn, self.clock.now(), name, Some(reason)).await;
        }
        Some(record.lsn)
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
