//! The state machine. The caller sets a level or gives a command; every transition is decided here.

use std::collections::BTreeMap;
use std::sync::Arc;

use watchfire_model::{AlarmCommand, CommandKind, ConditionKey, Instant, Level, Lsn, Severity, StatusCode};

use crate::state::EVENT_IDS_MAX;
use crate::{Comment, ConditionDef, ConditionState, DecodeError, EventId, Evidence};

/// The longest comment, bytes.
const COMMENT_BYTES_MAX: usize = 4096;

/// What a detector says of a condition, in the engine's terms.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The level; `Unknown` keeps the state and makes its quality uncertain.
    pub level: Level,
    /// What is the matter, one sentence.
    pub message: String,
    /// The score, where there is one.
    pub score: Option<f64>,
    /// What drove it.
    pub evidence: Vec<Evidence>,
    /// The time at the process.
    pub at: Instant,
    /// Whether the detector can be believed.
    pub quality: StatusCode,
}

/// A state that was reached.
#[derive(Clone, Debug, PartialEq)]
pub struct Transition {
    /// What the condition is.
    pub def: Arc<ConditionDef>,
    /// How it stands now; shared with the engine and with whoever shows it, and never changed.
    pub state: Arc<ConditionState>,
    /// Whether an event tells of it. A change that concerns neither a listed condition nor one that just left the list
    /// (an inactive one whose inputs are lost) only shows in its nodes, and keeps its EventId.
    pub notify: bool,
}

/// Why a command is refused; each has a status code of OPC 10000-9.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefusedCommand {
    /// BadNodeIdUnknown.
    #[error("there is no such condition")]
    UnknownCondition,
    /// BadEventIdUnknown.
    #[error("the EventId is not one of the condition's current occurrence")]
    EventIdUnknown,
    /// BadConditionBranchAlreadyAcked.
    #[error("it is acknowledged already")]
    AlreadyAcked,
    /// BadConditionBranchAlreadyConfirmed.
    #[error("it is confirmed already")]
    AlreadyConfirmed,
    /// BadConditionDisabled.
    #[error("it is disabled")]
    Disabled,
    /// BadConditionAlreadyEnabled.
    #[error("it is enabled already")]
    AlreadyEnabled,
    /// BadConditionAlreadyDisabled.
    #[error("it is disabled already")]
    AlreadyDisabled,
    /// BadInvalidArgument.
    #[error("the comment is longer than {COMMENT_BYTES_MAX} bytes")]
    CommentTooLong,
    /// BadInvalidArgument.
    #[error("a comment is needed")]
    CommentMissing,
    /// BadTooManyOperations: too many commands wait, or the gateway is stopping.
    #[error("the gateway is busy or stopping; try again")]
    Busy,
}

#[derive(Debug)]
struct Condition {
    def: Arc<ConditionDef>,
    /// Copied when it changes, since whoever shows it keeps what was.
    state: Arc<ConditionState>,
}

/// All conditions and how they stand.
#[derive(Debug, Default)]
pub struct Engine {
    conditions: BTreeMap<ConditionKey, Condition>,
    /// States read back whose condition is not defined (yet): a detector that cannot start keeps its alarms.
    orphans: BTreeMap<ConditionKey, ConditionState>,
    /// How the last new condition began; those that begin alike share it until they change.
    fresh: Option<Arc<ConditionState>>,
}

impl Engine {
    /// Takes back a state from the log; a later one replaces it.
    ///
    /// # Errors
    /// When the bytes cannot be read; the engine is then as before.
    pub fn restore(&mut self, key: &ConditionKey, bytes: &[u8]) -> Result<(), DecodeError> {
        let state = ConditionState::decode(key.as_str(), bytes)?;
        match self.conditions.get_mut(key) {
            Some(condition) => condition.state = Arc::new(state),
            None => {
                self.orphans.insert(key.clone(), state);
            }
        }
        Ok(())
    }

    /// Says what a condition is. A known one keeps its state; a new one starts normal at `at`.
    pub fn define(&mut self, def: Arc<ConditionDef>, at: Instant) -> Transition {
        let known = self.conditions.remove(&def.key).map(|condition| condition.state);
        let recovered = || self.orphans.remove(&def.key).map(Arc::new);
        let mut state = match known.or_else(recovered) {
            Some(state) => state,
            None => self.fresh(def.severity, at),
        };
        let retain = state.must_retain(&def);
        if state.retain != retain {
            Arc::make_mut(&mut state).retain = retain;
        }
        let transition = Transition { def: def.clone(), state: state.clone(), notify: false };
        self.conditions.insert(def.key.clone(), Condition { def, state });
        transition
    }

    fn fresh(&mut self, severity: Severity, at: Instant) -> Arc<ConditionState> {
        let alike = |state: &&Arc<ConditionState>| state.severity.value == severity && state.time == at;
        if let Some(state) = self.fresh.as_ref().filter(alike) {
            return state.clone();
        }
        self.fresh.insert(Arc::new(ConditionState::normal(severity, at))).clone()
    }

    /// The conditions and their states, by key.
    pub fn conditions(&self) -> impl Iterator<Item = (&Arc<ConditionDef>, &ConditionState)> {
        self.conditions.values().map(|condition| (&condition.def, &*condition.state))
    }

    /// How a condition stands.
    #[must_use]
    pub fn state(&self, key: &ConditionKey) -> Option<&ConditionState> {
        self.conditions.get(key).map(|condition| &*condition.state)
    }

    /// How a condition stood when its state was taken back, whether or not it is defined by now.
    #[must_use]
    pub fn recovered(&self, key: &ConditionKey) -> Option<&ConditionState> {
        self.state(key).or_else(|| self.orphans.get(key))
    }

    /// Applies a finding that rests on the record at `cause`. `now` is the receive time. Answers the transition, if
    /// there is one: a finding that changes nothing that an operator sees is none, and neither is one for a condition
    /// that is unknown. A disabled condition keeps its level for when it is enabled, without an event.
    pub fn apply(&mut self, key: &ConditionKey, cause: Lsn, finding: Finding, now: Instant) -> Option<Transition> {
        let condition = self.conditions.get_mut(key)?;
        if condition.state.stands_so(&finding) {
            return None;
        }
        let (was_listed, at) = (condition.state.retain, finding.at);
        Arc::make_mut(&mut condition.state).take(&condition.def, finding);
        Some(condition.changed(was_listed, cause, at, now))
    }

    /// Says how far the findings of a condition can be believed, without touching its state otherwise: a detector
    /// that fails or loses its inputs never clears an alarm.
    pub fn apply_quality(
        &mut self,
        key: &ConditionKey,
        cause: Lsn,
        quality: StatusCode,
        now: Instant,
    ) -> Option<Transition> {
        let condition = self.conditions.get_mut(key)?;
        if condition.state.quality.value == quality || !condition.state.enabled.value {
            return None;
        }
        Arc::make_mut(&mut condition.state).quality.set(quality, now);
        let was_listed = condition.state.retain;
        Some(condition.changed(was_listed, cause, now, now))
    }

    /// Carries out a command.
    ///
    /// # Errors
    /// Why it is refused; nothing has changed then.
    pub fn command(&mut self, command: &AlarmCommand) -> Result<Transition, RefusedCommand> {
        let condition = self.conditions.get_mut(&command.key).ok_or(RefusedCommand::UnknownCondition)?;
        condition.check(command)?;
        let at = command.at;
        let confirm = condition.def.confirm;
        let state = Arc::make_mut(&mut condition.state);
        match command.kind {
            CommandKind::Acknowledge => {
                state.acked.set(true, at);
                state.confirmed.set(!confirm, at);
            }
            CommandKind::Confirm => state.confirmed.set(true, at),
            CommandKind::Enable => state.enable(at),
            CommandKind::Disable => state.enabled.set(false, at),
            CommandKind::AddComment => {}
        }
        if let Some((locale, text)) = &command.comment {
            state.comment = crate::Stamped::new(Comment { locale: locale.clone(), text: text.clone() }, at);
        }
        state.user.clone_from(&command.user);
        condition.transition(0, at, at);
        Ok(condition.announced())
    }
}

impl Condition {
    fn check(&self, command: &AlarmCommand) -> Result<(), RefusedCommand> {
        use CommandKind::{Acknowledge, AddComment, Confirm, Disable, Enable};
        let state = &self.state;
        match command.kind {
            Enable if state.enabled.value => return Err(RefusedCommand::AlreadyEnabled),
            Disable if !state.enabled.value => return Err(RefusedCommand::AlreadyDisabled),
            Enable | Disable => return Ok(()),
            Acknowledge | Confirm | AddComment => {}
        }
        if !state.enabled.value {
            return Err(RefusedCommand::Disabled);
        }
        if !state.event_ids.iter().any(|id| id.bytes()[..] == command.event_id[..]) {
            return Err(RefusedCommand::EventIdUnknown);
        }
        if command.comment.as_ref().is_some_and(|(locale, text)| locale.len() + text.len() > COMMENT_BYTES_MAX) {
            return Err(RefusedCommand::CommentTooLong);
        }
        match command.kind {
            Acknowledge if state.acked.value => Err(RefusedCommand::AlreadyAcked),
            Confirm if state.confirmed.value => Err(RefusedCommand::AlreadyConfirmed),
            AddComment if command.comment.is_none() => Err(RefusedCommand::CommentMissing),
            _ => Ok(()),
        }
    }

    /// Gives the state that was just reached its number, its EventId and its place in the list.
    fn transition(&mut self, cause: u64, at: Instant, now: Instant) {
        let state = Arc::make_mut(&mut self.state);
        state.transitions += 1;
        state.event_id = EventId::derive(&self.def.key, state.transitions, cause);
        state.event_ids.push(state.event_id);
        let excess = state.event_ids.len().saturating_sub(EVENT_IDS_MAX);
        state.event_ids.drain(..excess);
        state.time = at;
        state.receive_time = now;
        state.retain = state.must_retain(&self.def);
    }

    /// After a finding changed the state: a transition, unless the condition neither was nor is listed.
    fn changed(&mut self, was_listed: bool, cause: Lsn, at: Instant, now: Instant) -> Transition {
        Arc::make_mut(&mut self.state).decided = cause;
        if was_listed || self.state.must_retain(&self.def) {
            self.transition(cause.0, at, now);
            return self.announced();
        }
        Transition { notify: false, ..self.announced() }
    }

    fn announced(&self) -> Transition {
        Transition { def: self.def.clone(), state: self.state.clone(), notify: true }
    }
}

impl ConditionState {
    /// Whether a finding changes nothing that an operator sees: the reason only counts while the condition is listed.
    fn stands_so(&self, finding: &Finding) -> bool {
        let same_level = finding.level == Level::Unknown
            || (finding.level == self.level && (!self.retain || finding.message == self.message));
        same_level && self.quality.value == finding.quality
    }

    fn take(&mut self, def: &ConditionDef, finding: Finding) {
        let at = finding.at;
        self.quality.set(finding.quality, at);
        if finding.level == Level::Unknown {
            return;
        }
        let was_active = self.active.value;
        self.level = finding.level;
        self.score = finding.score;
        self.message = finding.message;
        self.evidence = finding.evidence;
        self.active.set(finding.level.is_active(), at);
        if self.active.value && !was_active && self.enabled.value {
            self.begin_occurrence(at);
        }
        if self.active.value && self.severity.value != def.severity {
            self.last_severity = self.severity.clone();
            self.severity.set(def.severity, at);
        }
    }

    /// A new occurrence: nobody has acknowledged it, and EventIds of the one before no longer count, so that nothing
    /// is acknowledged by accident.
    fn begin_occurrence(&mut self, at: Instant) {
        self.activations += 1;
        self.acked.set(false, at);
        self.confirmed.set(true, at);
        self.event_ids.clear();
    }

    /// Enabling an alarm whose level went active meanwhile begins an occurrence.
    fn enable(&mut self, at: Instant) {
        self.enabled.set(true, at);
        if self.active.value {
            self.begin_occurrence(at);
        }
    }
}
