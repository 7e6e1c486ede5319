//! The annunciator: sole owner of how alarms stand. Findings and commands go through the engine, then into the log,
//! and only when they are durable to whoever waits for them: the surfaces, or the operator who acknowledged.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;
use watchfire_alarms::{ConditionDef, Engine, Finding, RefusedCommand, Transition};
use watchfire_model::{
    AlarmState, Clock, ConditionKey, Decided, Instant, Level, Lsn, RecordBody, SourceState, StatusCode, Verdict,
};

use crate::{CommandRequest, ConditionView, Log, OwnConditions, PortError, Stats, Surface};

/// Messages that may wait for the annunciator; more makes detectors wait, and ingestion only when it has to tell of a
/// source that came or went.
const MESSAGES_MAX: usize = 4096;
/// Transitions in one record of the gateway's own: a lost source may concern tens of thousands.
const TRANSITIONS_MAX: usize = 1000;
/// Transitions that may wait to become durable.
const UNPUBLISHED_MAX: usize = 1 << 16;

/// What a detector's task tells.
#[derive(Debug)]
pub(crate) enum Notice {
    /// These conditions exist.
    Define(Vec<Arc<ConditionDef>>),
    /// What was found in a frame.
    Found {
        /// The binding.
        binding: Arc<str>,
        /// The frame.
        frame: Lsn,
        /// The frame's receive time.
        now: Instant,
        /// As recorded.
        verdicts: Vec<Verdict>,
        /// The same for the engine; empty while the detector is in shadow.
        findings: Vec<(ConditionKey, Finding)>,
    },
    /// Asks how far the log reaches once everything told before is in it.
    Settled(oneshot::Sender<Lsn>),
    /// A finding of the gateway's own.
    Own {
        /// The control record it rests on.
        cause: Lsn,
        /// When.
        now: Instant,
        /// Which condition.
        key: ConditionKey,
        /// What.
        finding: Finding,
        /// What it means for the conditions of detectors.
        change: Option<Change>,
    },
    /// How a detector's conditions stand, told once it has caught up with the log.
    Standing {
        /// The last record it has seen.
        cause: Lsn,
        /// When.
        now: Instant,
        /// Its conditions; those that stand so already stay as they are.
        findings: Vec<(ConditionKey, Finding)>,
    },
    /// A detector does not announce: none of its alarms may stay active.
    Silenced {
        /// The last record it has seen.
        cause: Lsn,
        /// When.
        now: Instant,
        /// The binding.
        binding: String,
    },
}

/// What makes conditions uncertain, or certain again.
#[derive(Debug)]
pub(crate) enum Change {
    /// A source was lost (`true`) or came back.
    Source(Arc<str>, bool),
    /// A binding's detector failed (`true`) or runs.
    Detector(String, bool),
}

/// The way to the annunciator.
#[derive(Clone, Debug)]
pub struct Notices {
    sender: mpsc::Sender<Notice>,
    own: Arc<OwnConditions>,
    stats: Arc<Stats>,
}

/// The annunciator's end.
#[derive(Debug)]
pub struct NoticeReceiver {
    receiver: mpsc::Receiver<Notice>,
    own: Arc<OwnConditions>,
}

impl Notices {
    /// A new way, which also knows the gateway's own conditions.
    #[must_use]
    pub fn new(own: OwnConditions, stats: Arc<Stats>) -> (Self, NoticeReceiver) {
        let (sender, receiver) = mpsc::channel(MESSAGES_MAX);
        let own = Arc::new(own);
        (Self { sender, own: own.clone(), stats }, NoticeReceiver { receiver, own })
    }

    pub(crate) async fn send(&self, notice: Notice) {
        if self.sender.send(notice).await.is_err() {
            tracing::debug!("a notice came after the annunciator had stopped");
        }
    }

    /// Tells of a source that came or went.
    pub async fn source(&self, cause: Lsn, now: Instant, source: &Arc<str>, state: SourceState, reason: String) {
        self.stats.sources.lock().insert(source.clone(), (state, reason.clone()));
        let down = state == SourceState::Down;
        let quality = if down { StatusCode::BAD_NO_COMMUNICATION } else { StatusCode::GOOD };
        let finding = own_finding(down, reason, now, quality);
        let change = Some(Change::Source(source.clone(), down));
        self.send(Notice::Own { cause, now, key: OwnConditions::source_key(source), finding, change }).await;
    }

    /// Tells of a detector that failed, or runs again (`fault` is `None`); its conditions keep their state meanwhile.
    pub async fn detector(&self, cause: Lsn, now: Instant, binding: &str, fault: Option<String>) {
        let failed = fault.is_some();
        let reason = fault.unwrap_or_else(|| "runs again".to_owned());
        let finding = own_finding(failed, reason, now, StatusCode::GOOD);
        let change = Some(Change::Detector(binding.to_owned(), failed));
        self.send(Notice::Own { cause, now, key: OwnConditions::detector_key(binding), finding, change }).await;
    }

    /// Tells that the machine's clock lies behind the log's time, or does so no longer (`behind` is `None`).
    pub(crate) async fn clock(&self, cause: Lsn, now: Instant, behind: Option<String>) {
        let active = behind.is_some();
        let reason = behind.unwrap_or_else(|| "the machine's clock agrees with the log again".to_owned());
        let finding = own_finding(active, reason, now, StatusCode::GOOD);
        self.send(Notice::Own { cause, now, key: OwnConditions::clock_key(), finding, change: None }).await;
    }

    /// Tells that the disk runs full, or has room again.
    pub(crate) async fn disk(&self, cause: Lsn, now: Instant, active: bool, reason: String) {
        let finding = own_finding(active, reason, now, StatusCode::GOOD);
        self.send(Notice::Own { cause, now, key: OwnConditions::disk_key(), finding, change: None }).await;
    }

    /// Tells what of the certificates runs out, or that nothing does (`soon` is `None`).
    pub(crate) async fn certificates(&self, cause: Lsn, now: Instant, soon: Option<String>) {
        let active = soon.is_some();
        let reason = soon.unwrap_or_else(|| "no certificate runs out soon".to_owned());
        let finding = own_finding(active, reason, now, StatusCode::GOOD);
        self.send(Notice::Own { cause, now, key: OwnConditions::certificates_key(), finding, change: None }).await;
    }

    /// Notes which conditions rest on which sources, so that a lost source makes them uncertain.
    pub(crate) fn rest_on(&self, defs: &[Arc<ConditionDef>], sources: &[Arc<str>]) {
        self.own.rest_on(defs, sources);
    }
}

fn own_finding(active: bool, message: String, at: Instant, quality: StatusCode) -> Finding {
    let level = if active { Level::Active } else { Level::Normal };
    Finding { level, message, score: None, evidence: Vec::new(), at, quality }
}

/// What waits until the record at its place is durable.
#[derive(Debug)]
struct Unpublished {
    lsn: Lsn,
    views: Vec<ConditionView>,
    answer: Option<oneshot::Sender<Result<(), RefusedCommand>>>,
}

/// The annunciator's parts.
pub struct Annunciator {
    /// How alarms stand.
    pub engine: Engine,
    /// The last frame decided on, by binding.
    pub decided: BTreeMap<String, Lsn>,
    /// Where decisions go.
    pub log: Arc<Log>,
    /// Wall time, for conditions that appear.
    pub clock: Arc<dyn Clock>,
    /// Counts.
    pub stats: Arc<Stats>,
    /// Who shows alarms.
    pub surfaces: Vec<Arc<dyn Surface>>,
}

impl Annunciator {
    /// Runs until nobody can send notices any more; commands are answered until then. Everything decided is durable
    /// and published when it returns, provided the log still commits.
    ///
    /// # Errors
    /// When the log fails.
    pub async fn run(
        mut self,
        mut notices: NoticeReceiver,
        mut commands: mpsc::Receiver<CommandRequest>,
    ) -> Result<(), PortError> {
        let (unpublished, queue) = mpsc::channel(UNPUBLISHED_MAX);
        let publisher = publish(queue, self.log.clone(), self.surfaces.clone(), self.stats.clone());
        let publisher = AbortOnDropHandle::new(tokio::spawn(publisher));
        let mut commands_open = true;
        loop {
            let ready = tokio::select! {
                notice = notices.receiver.recv() => match notice {
                    Some(notice) => self.notice(&notices.own, notice).await?,
                    None => break,
                },
                request = commands.recv(), if commands_open => match request {
                    Some(request) => self.command(request).await?,
                    None => { commands_open = false; None }
                },
            };
            if let Some(ready) = ready {
                self.log.hurry();
                if unpublished.send(ready).await.is_err() {
                    break;
                }
            }
        }
        drop(unpublished);
        if publisher.await.is_err() {
            tracing::error!("the task that publishes alarms has failed");
        }
        Ok(())
    }

    async fn notice(&mut self, own: &OwnConditions, notice: Notice) -> Result<Option<Unpublished>, PortError> {
        match notice {
            Notice::Define(defs) => Ok(Some(self.define(defs))),
            Notice::Settled(answer) => {
                if answer.send(self.log.tail()).is_err() {
                    tracing::debug!("a detector that asked has ended");
                }
                Ok(None)
            }
            Notice::Found { binding, frame, now, verdicts, findings } => {
                if self.decided.get(&*binding).is_some_and(|last| frame <= *last) {
                    return Ok(None);
                }
                let mut transitions = Vec::new();
                for (key, mut finding) in findings {
                    own.believe(&key, &mut finding);
                    transitions.extend(self.engine.apply(&key, frame, finding, now));
                }
                self.decide(binding.to_string(), frame, verdicts, transitions).await
            }
            Notice::Own { cause, now, key, finding, change } => {
                let mut transitions: Vec<_> = self.engine.apply(&key, cause, finding, now).into_iter().collect();
                let held = match change {
                    None => Vec::new(),
                    Some(Change::Source(source, down)) => own.source(&source, down),
                    Some(Change::Detector(binding, failed)) => own.detector(&binding, failed),
                };
                let held = held.iter().filter_map(|(key, status)| self.engine.apply_quality(key, cause, *status, now));
                transitions.extend(held);
                self.decide_own(cause, transitions).await
            }
            Notice::Standing { cause, now, findings } => {
                let mut transitions = Vec::new();
                for (key, mut finding) in findings {
                    own.believe(&key, &mut finding);
                    let stands = self.engine.state(&key).map(|state| state.level);
                    if finding.level == Level::Unknown || stands != Some(finding.level) {
                        transitions.extend(self.engine.apply(&key, cause, finding, now));
                    }
                }
                self.decide_own(cause, transitions).await
            }
            Notice::Silenced { cause, now, binding } => {
                let ours = self.engine.conditions().filter(|(def, _)| def.key.binding() == binding);
                let active: Vec<_> =
                    ours.filter(|(_, state)| state.active.value).map(|(def, _)| def.key.clone()).collect();
                let over = own_finding(false, "its detector no longer announces".to_owned(), now, StatusCode::GOOD);
                let mut transitions = Vec::new();
                for key in active {
                    let mut over = over.clone();
                    own.believe(&key, &mut over);
                    transitions.extend(self.engine.apply(&key, cause, over, now));
                }
                self.decide_own(cause, transitions).await
            }
        }
    }

    /// Records transitions of the gateway's own finding, in records of bounded size.
    async fn decide_own(
        &mut self,
        cause: Lsn,
        mut transitions: Vec<Transition>,
    ) -> Result<Option<Unpublished>, PortError> {
        let mut ready: Option<Unpublished> = None;
        while !transitions.is_empty() {
            let rest = transitions.split_off(transitions.len().min(TRANSITIONS_MAX));
            let some = std::mem::replace(&mut transitions, rest);
            let Some(more) = self.decide(crate::OWN_BINDING.to_owned(), cause, Vec::new(), some).await? else {
                continue;
            };
            match &mut ready {
                Some(ready) => {
                    ready.lsn = more.lsn;
                    ready.views.extend(more.views);
                }
                None => ready = Some(more),
            }
            tokio::task::yield_now().await;
        }
        Ok(ready)
    }

    fn define(&mut self, defs: Vec<Arc<ConditionDef>>) -> Unpublished {
        let now = self.clock.now();
        let shown = |transition: Transition| ConditionView {
            def: transition.def,
            state: transition.state,
            notify: transition.notify,
        };
        let views = defs.into_iter().map(|def| shown(self.engine.define(def, now))).collect();
        Unpublished { lsn: Lsn(0), views, answer: None }
    }

    async fn decide(
        &mut self,
        binding: String,
        frame: Lsn,
        verdicts: Vec<Verdict>,
        transitions: Vec<Transition>,
    ) -> Result<Option<Unpublished>, PortError> {
        if verdicts.is_empty() && transitions.is_empty() {
            return Ok(None);
        }
        self.decided.insert(binding.clone(), frame);
        let decided = Decided { binding, frame, verdicts, transitions: states(&transitions) };
        let record = self.log.put(RecordBody::Decided(decided)).await?;
        Ok(Some(Unpublished { lsn: record.lsn, views: views(transitions), answer: None }))
    }

    async fn command(&mut self, request: CommandRequest) -> Result<Option<Unpublished>, PortError> {
        let CommandRequest { command, reply } = request;
        let transition = match self.engine.command(&command) {
            Ok(transition) => transition,
            Err(refused) => {
                tracing::info!(condition = %command.key, user = command.user, kind = ?command.kind, %refused, "command refused");
                if reply.send(Err(refused)).is_err() {
                    tracing::debug!("whoever gave the command no longer waits");
                }
                return Ok(None);
            }
        };
        tracing::info!(condition = %command.key, user = command.user, kind = ?command.kind, "command");
        let transitions = vec![transition];
        let body = RecordBody::Commanded { command, transitions: states(&transitions) };
        let record = self.log.put(body).await?;
        Ok(Some(Unpublished { lsn: record.lsn, views: views(transitions), answer: Some(reply) }))
    }
}

fn states(transitions: &[Transition]) -> Vec<AlarmState> {
    transitions.iter().map(|t| AlarmState { key: t.def.key.clone(), state: t.state.encode() }).collect()
}

fn views(transitions: Vec<Transition>) -> Vec<ConditionView> {
    transitions.into_iter().map(|t| ConditionView { def: t.def, state: t.state, notify: t.notify }).collect()
}

/// Publishes and answers in order, each as soon as it is durable. What never becomes durable is never published.
async fn publish(
    mut queue: mpsc::Receiver<Unpublished>,
    log: Arc<Log>,
    surfaces: Vec<Arc<dyn Surface>>,
    stats: Arc<Stats>,
) {
    while let Some(Unpublished { lsn, views, answer }) = queue.recv().await {
        if !log.durable(lsn).await {
            return;
        }
        let announced = views.iter().filter(|view| view.notify).count();
        stats.transitions.fetch_add(announced as u64, Ordering::Relaxed);
        if !views.is_empty() {
            for surface in &surfaces {
                show(&**surface, views.clone());
            }
        }
        if let Some(answer) = answer
            && answer.send(Ok(())).is_err()
        {
            tracing::debug!("whoever gave the command no longer waits");
        }
    }
}

/// A surface that panics costs its own news, never anyone else's.
fn show(surface: &dyn Surface, views: Vec<ConditionView>) {
    if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| surface.publish(views))).is_err() {
        tracing::error!("a surface failed to show a change; what it shows may be old until the gateway starts again");
    }
}
