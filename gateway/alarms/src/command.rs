//! What operators may ask of a condition, and why it is refused (OPC 10000-9 §5.5, §5.7, §5.8).

use std::time::Duration;

use watchfire_model::{AlarmCommand, CommandKind};

use crate::condition::{Changed, Condition};
use crate::state::Shelving;
use crate::{Comment, Stamped, Suppression, maintenance};

/// The longest comment, bytes.
const COMMENT_BYTES_MAX: usize = 4096;

/// Why a command is refused; each has a status code of OPC 10000-9.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefusedCommand {
    /// BadNodeIdUnknown.
    #[error("there is no such condition")]
    UnknownCondition,
    /// BadEventIdUnknown.
    #[error("the EventId is not one of the condition's current occurrence or of its branches")]
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
    /// BadConditionAlreadyShelved.
    #[error("it is shelved so already")]
    AlreadyShelved,
    /// BadConditionNotShelved.
    #[error("it is not shelved")]
    NotShelved,
    /// BadShelvingTimeOutOfRange.
    #[error("the time is none, or longer than MaxTimeShelved")]
    ShelvingTimeOutOfRange,
    /// BadOutOfRange.
    #[error("the time out of service is none, begins in the past, or is longer than a year")]
    ServiceTimeOutOfRange,
    /// BadInvalidState.
    #[error("it is not latched, or it is active, or it waits to be acknowledged or confirmed")]
    NotResettable,
    /// BadTooManyOperations: too many commands wait, or the gateway is stopping.
    #[error("the gateway is busy or stopping; try again")]
    Busy,
}

/// Which occurrence an EventId means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meant {
    /// The condition as it is, or its current occurrence.
    Main,
    /// The branch at this place.
    Branch(usize),
}

impl Condition {
    /// What a command means here.
    ///
    /// # Errors
    /// Why it is refused.
    pub(crate) fn check(&self, command: &AlarmCommand) -> Result<Meant, RefusedCommand> {
        use CommandKind::{
            Acknowledge, AddComment, Confirm, Disable, Enable, Mark, OneShotShelve, PlanRemovalFromService,
            RemoveFromServiceFor, Reset, TimedShelve, Unshelve,
        };
        let state = &*self.state;
        if command.comment.as_ref().is_some_and(|(locale, text)| locale.len() + text.len() > COMMENT_BYTES_MAX) {
            return Err(RefusedCommand::CommentTooLong);
        }
        match command.kind {
            Enable if state.enabled.value => return Err(RefusedCommand::AlreadyEnabled),
            Disable if !state.enabled.value => return Err(RefusedCommand::AlreadyDisabled),
            Enable | Disable => return Ok(Meant::Main),
            _ if !state.enabled.value => return Err(RefusedCommand::Disabled),
            Acknowledge | Confirm | AddComment => {}
            // What was never an alarm is neither a true nor a false one.
            Mark(_) if state.activations == 0 => return Err(RefusedCommand::EventIdUnknown),
            Mark(_) => {}
            TimedShelve(ms) => {
                let longest = self.def.rules.max_shelve;
                if ms == 0 || longest.is_some_and(|longest| Duration::from_millis(ms) > longest) {
                    return Err(RefusedCommand::ShelvingTimeOutOfRange);
                }
                let again = matches!(state.shelving.value, Shelving::Timed { .. });
                return if again { Err(RefusedCommand::AlreadyShelved) } else { Ok(Meant::Main) };
            }
            OneShotShelve => {
                let again = matches!(state.shelving.value, Shelving::OneShot { .. });
                return if again { Err(RefusedCommand::AlreadyShelved) } else { Ok(Meant::Main) };
            }
            RemoveFromServiceFor(_) | PlanRemovalFromService { .. } => {
                return maintenance::check(command.kind, command.at).map(|()| Meant::Main);
            }
            Unshelve if !state.shelving.value.is_shelved() => return Err(RefusedCommand::NotShelved),
            Reset => {
                let may = state.latched.value && !state.active.value && !state.is_open(self.def.confirm);
                return if may { Ok(Meant::Main) } else { Err(RefusedCommand::NotResettable) };
            }
            _ => return Ok(Meant::Main),
        }
        let unknown = || self.dealt_with(command).unwrap_or(RefusedCommand::EventIdUnknown);
        let meant = self.meant(&command.event_id).ok_or_else(unknown)?;
        let (acked, confirmed) = match meant {
            Meant::Main => (state.acked.value, state.confirmed.value),
            Meant::Branch(at) => {
                state.branches.get(at).map_or((true, true), |branch| (branch.acked.value, branch.confirmed.value))
            }
        };
        match command.kind {
            Acknowledge if acked => Err(RefusedCommand::AlreadyAcked),
            Confirm if confirmed => Err(RefusedCommand::AlreadyConfirmed),
            AddComment if command.comment.is_none() => Err(RefusedCommand::CommentMissing),
            _ => Ok(meant),
        }
    }

    fn meant(&self, event_id: &[u8]) -> Option<Meant> {
        let bears = |ids: &[crate::EventId]| ids.iter().any(|id| id.bytes()[..] == *event_id);
        if bears(&self.state.event_ids) {
            return Some(Meant::Main);
        }
        self.state.branches.iter().position(|branch| bears(&branch.event_ids)).map(Meant::Branch)
    }

    /// What is answered to whoever comes too late for a branch: it was acknowledged, and confirmed where that is asked for.
    fn dealt_with(&self, command: &AlarmCommand) -> Option<RefusedCommand> {
        let known = self.state.later.dealt_with.iter().any(|id| id.bytes()[..] == *command.event_id);
        match command.kind {
            CommandKind::Acknowledge if known => Some(RefusedCommand::AlreadyAcked),
            CommandKind::Confirm if known => Some(RefusedCommand::AlreadyConfirmed),
            _ => None,
        }
    }

    /// Carries out a command that was checked.
    pub(crate) fn obey(&mut self, command: &AlarmCommand, meant: Meant) -> Changed {
        use CommandKind::{
            Acknowledge, AddComment, Confirm, Disable, Enable, Mark, OneShotShelve, PlaceInService,
            PlanRemovalFromService, RemoveFromService, RemoveFromServiceFor, Reset, Silence, Suppress, TimedShelve,
            Unshelve, Unsuppress,
        };
        let (at, def) = (command.at, self.def.clone());
        let mut changed = Changed::default();
        if command.kind == Silence && (!self.state.active.value || self.state.silenced.value) {
            // What does not sound is not silenced (OPC 10000-9 §5.8.7).
            return changed;
        }
        let state = self.state_mut();
        let aim = match meant {
            Meant::Main => &mut *state,
            Meant::Branch(place) => match state.branches.get_mut(place) {
                Some(branch) => branch,
                None => &mut *state,
            },
        };
        match command.kind {
            Acknowledge => {
                aim.acked.set(true, at);
                aim.confirmed.set(!def.confirm, at);
            }
            Confirm => aim.confirmed.set(true, at),
            Mark(genuine) => aim.mark.set(Some(genuine), at),
            _ => {}
        }
        let planned = matches!(command.kind, PlanRemovalFromService { .. });
        if let Some((locale, text)) = command.comment.as_ref().filter(|_| !planned) {
            aim.comment = Stamped::new(Comment { locale: locale.clone(), text: text.clone() }, at);
        }
        aim.user.clone_from(&command.user);
        match command.kind {
            Acknowledge | Confirm | AddComment | Mark(_) => {}
            Enable => self.enable(at, &mut changed),
            Disable => {
                state.enabled.set(false, at);
                state.delayed = None;
                state.re_alarm_at = None;
                changed.switched = true;
            }
            TimedShelve(ms) => {
                state.shelve(Shelving::Timed { until: at.plus(Duration::from_millis(ms)) }, at);
            }
            OneShotShelve => {
                let until = def.rules.max_shelve.map(|longest| at.plus(longest));
                state.shelve(Shelving::OneShot { until }, at);
            }
            Unshelve => state.shelve(Shelving::Unshelved, at),
            Suppress => {
                let with = state.suppressed.value.with(Suppression::OPERATOR, true);
                state.suppressed.set(with, at);
            }
            // A person's word lifts every reason; one that begins anew suppresses anew. What ends and begins of these two
            // is told again and again while they last.
            Unsuppress => {
                for reason in [Suppression::MODE, Suppression::PARENT] {
                    let lifted = state.has_lifted(reason) || state.suppressed.value.has(reason);
                    state.later.lifted = state.later.lifted.with(reason, lifted);
                }
                state.suppressed.set(Suppression::default(), at);
                changed.lifted = true;
            }
            RemoveFromService => self.take_out(None, at),
            RemoveFromServiceFor(ms) => self.take_out(Some(at.plus(Duration::from_millis(ms))), at),
            PlanRemovalFromService { from, ms } => {
                self.plan(from, from.plus(Duration::from_millis(ms)), &command.user, command.comment.as_ref());
            }
            PlaceInService => self.put_back(at),
            Silence => state.silenced.set(true, at),
            Reset => state.latched.set(false, at),
        }
        if let Meant::Branch(place) = meant {
            changed.branch(place);
        } else {
            changed.main = true;
        }
        changed
    }
}
