//! The way to the annunciator: what detectors' tasks and the gateway itself have to say of conditions.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use watchfire_alarms::{ConditionDef, Finding};
use watchfire_model::{ConditionKey, Instant, Level, Lsn, PlainEvent, SourceState, StatusCode, Verdict};

use crate::{BindingPlan, OwnConditions, Stats};

/// Messages that may wait for the annunciator; more makes detectors wait, and ingestion only when it has to tell of a
/// source that came or went.
const MESSAGES_MAX: usize = 4096;

/// What a detector's task tells.
#[derive(Debug)]
pub(crate) enum Notice {
    /// These conditions exist.
    Define(Vec<Arc<ConditionDef>>),
    /// What is configured at a start: of anything else nobody tells any more how it stands.
    Configured {
        /// The detectors that have conditions.
        plans: Vec<Arc<BindingPlan>>,
        /// The sources.
        sources: Vec<Arc<str>>,
    },
    /// A detector cannot be made: its conditions exist all the same, as they were told last, unless there are any of it.
    StandIn {
        /// The detector's plan.
        plan: Arc<BindingPlan>,
        /// Its conditions, as far as that is known.
        defs: Vec<Arc<ConditionDef>>,
    },
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
        /// What of it is no alarm; empty while the detector is in shadow.
        events: Vec<PlainEvent>,
    },
    /// What was found in values that came late.
    FoundLate {
        /// The binding.
        binding: String,
        /// The last frame that told of what was missing.
        frame: Lsn,
        /// What was found first of each.
        verdicts: Vec<Verdict>,
        /// The same as it is told.
        events: Vec<PlainEvent>,
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
        /// The binding.
        binding: String,
        /// Its conditions; those that stand so already stay as they are.
        findings: Vec<(ConditionKey, Finding)>,
    },
    /// Nobody tells any more how these conditions stand: none of them may stay active.
    Over {
        /// The record it rests on.
        cause: Lsn,
        /// When.
        now: Instant,
        /// Whose conditions.
        binding: String,
        /// Those of them that go on.
        except: BTreeSet<ConditionKey>,
        /// Why, as operators read it.
        why: &'static str,
        /// Whether its detector has seen all there is.
        current: bool,
    },
    /// The plant's mode of operation is another.
    Mode {
        /// The last record before that.
        cause: Lsn,
        /// When.
        now: Instant,
        /// What it is now.
        mode: u32,
    },
    /// A binding is no more: its conditions and its health end, and rest on nothing.
    Gone {
        /// The control record that says so.
        cause: Lsn,
        /// When.
        now: Instant,
        /// What it was.
        what: Gone,
    },
}

/// What was taken away while the gateway runs.
#[derive(Debug)]
pub(crate) enum Gone {
    /// A detector.
    Detector(String),
    /// A source.
    Source(Arc<str>),
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
    pub(crate) receiver: mpsc::Receiver<Notice>,
    pub(crate) own: Arc<OwnConditions>,
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

    /// Tells of another mode of operation: before anything of that mode is judged, if it is called before that is put into
    /// the log.
    pub(crate) async fn mode(&self, cause: Lsn, now: Instant, mode: u32) {
        self.send(Notice::Mode { cause, now, mode }).await;
    }

    /// Tells of a source that came or went.
    pub async fn source(&self, cause: Lsn, now: Instant, source: &Arc<str>, state: SourceState, reason: String) {
        self.stats.source(source, state, &reason, now);
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

    /// Tells what was found damaged since the start, one sentence each.
    pub(crate) async fn damage(&self, cause: Lsn, now: Instant, found: Vec<String>) {
        let active = !found.is_empty();
        let reason = if active { found.join("; ") } else { "nothing damaged was met since the start".to_owned() };
        let finding = own_finding(active, reason, now, StatusCode::GOOD);
        self.send(Notice::Own { cause, now, key: OwnConditions::history_key(), finding, change: None }).await;
    }

    /// Tells why the store of record is not kept up, or that it is (`fault` is `None`).
    pub(crate) async fn sealing(&self, cause: Lsn, now: Instant, fault: Option<String>) {
        let active = fault.is_some();
        let reason = fault.unwrap_or_else(|| "the store of record is kept up again".to_owned());
        let finding = own_finding(active, reason, now, StatusCode::GOOD);
        self.send(Notice::Own { cause, now, key: OwnConditions::sealing_key(), finding, change: None }).await;
    }

    /// Tells what of the certificates runs out, or that nothing does (`soon` is `None`).
    pub(crate) async fn certificates(&self, cause: Lsn, now: Instant, soon: Option<String>) {
        let active = soon.is_some();
        let reason = soon.unwrap_or_else(|| "no certificate runs out soon".to_owned());
        let finding = own_finding(active, reason, now, StatusCode::GOOD);
        self.send(Notice::Own { cause, now, key: OwnConditions::certificates_key(), finding, change: None }).await;
    }

    /// Notes which conditions rest on which sources, so that a lost source makes them uncertain.
    pub(crate) fn rest_on(&self, binding: &str, defs: &[Arc<ConditionDef>], sources: &[Arc<str>]) {
        self.own.rest_on(binding, defs, sources);
    }

    /// The gateway's own conditions.
    pub(crate) fn own(&self) -> &OwnConditions {
        &self.own
    }
}

/// A finding of the gateway's own.
pub(crate) fn own_finding(active: bool, message: String, at: Instant, quality: StatusCode) -> Finding {
    let level = if active { Level::Active } else { Level::Normal };
    Finding { level, message, score: None, evidence: Vec::new(), at, quality }
}
