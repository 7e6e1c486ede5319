//! What a person does to an alarm: the methods of OPC 10000-9, with a comment wherever there is one that takes it.

use std::time::Duration;

use opcua::types::{ByteString, LocalizedText, MethodId, NodeId, StatusCode, Variant};

use watchfire_model::Instant;
use watchfire_ua::date_time_from_instant;

use crate::{Console, ConsoleError};

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// Acknowledge the event that is given, or the newest.
    Acknowledge,
    /// Confirm it.
    Confirm,
    /// Comment on it.
    Comment,
    /// Say whether it was a true alarm.
    Mark(bool),
    /// Put it aside for so long.
    Shelve(Duration),
    /// Put it aside until it has ended.
    ShelveOnce,
    /// Take it up again.
    Unshelve,
    /// Suppress it.
    Suppress,
    /// Suppress it no longer, whatever the reason was.
    Unsuppress,
    /// Take it out of service.
    RemoveFromService,
    /// Take it out of service for so long.
    RemoveFromServiceFor(Duration),
    /// The same from a time to come on.
    PlanRemovalFromService {
        /// When it begins.
        from: Instant,
        /// For how long.
        lasting: Duration,
    },
    /// Put it back into service.
    PlaceInService,
    /// Silence it.
    Silence,
    /// Let go of a latched one.
    Reset,
    /// Enable it.
    Enable,
    /// Disable it.
    Disable,
}

/// To which alarm, and why.
#[derive(Clone, Debug)]
pub struct Command<'a> {
    /// The condition's name.
    pub condition: &'a str,
    /// What is done.
    pub doing: Doing,
    /// The event that is meant; `None`: the newest of the condition.
    pub event: Option<Vec<u8>>,
    /// Why; `None` leaves the comment as it is.
    pub comment: Option<&'a str>,
}

impl Console {
    /// Does it; durable in the gateway when this returns.
    ///
    /// # Errors
    /// When there is no such condition, the user may not, or the condition is not in a state for it.
    pub async fn give(&self, command: &Command<'_>) -> Result<(), ConsoleError> {
        let name = command.condition;
        let event = match (&command.event, command.doing) {
            (Some(event), _) => event.clone(),
            (None, Doing::Acknowledge | Doing::Confirm | Doing::Comment | Doing::Mark(_)) => {
                self.newest_event(name).await?
            }
            (None, _) => Vec::new(),
        };
        let comment: Variant = command.comment.map_or_else(LocalizedText::null, LocalizedText::from).into();
        let event = move || Variant::from(ByteString::from(event.clone()));
        let with_comment = command.comment.is_some();
        let second = |plain: MethodId, second: MethodId| {
            if with_comment { (second.into(), vec![comment.clone()]) } else { (plain.into(), Vec::new()) }
        };
        let own = |name: &str| self.own(&format!("method:{name}"));
        let lasts = |lasting: Duration| Variant::from(lasting.as_secs_f64() * 1000.0);
        let (method, arguments): (NodeId, Vec<Variant>) = match command.doing {
            Doing::Acknowledge => (MethodId::AcknowledgeableConditionType_Acknowledge.into(), vec![event(), comment]),
            Doing::Confirm => (MethodId::AcknowledgeableConditionType_Confirm.into(), vec![event(), comment]),
            Doing::Comment => (MethodId::ConditionType_AddComment.into(), vec![event(), comment]),
            Doing::Shelve(lasting) => {
                let (method, mut arguments) = second(
                    MethodId::ShelvedStateMachineType_TimedShelve,
                    MethodId::ShelvedStateMachineType_TimedShelve2,
                );
                arguments.insert(0, lasts(lasting));
                (method, arguments)
            }
            Doing::ShelveOnce => second(
                MethodId::ShelvedStateMachineType_OneShotShelve,
                MethodId::ShelvedStateMachineType_OneShotShelve2,
            ),
            Doing::Unshelve => {
                second(MethodId::ShelvedStateMachineType_Unshelve, MethodId::ShelvedStateMachineType_Unshelve2)
            }
            Doing::Suppress => second(MethodId::AlarmConditionType_Suppress, MethodId::AlarmConditionType_Suppress2),
            Doing::Unsuppress => {
                second(MethodId::AlarmConditionType_Unsuppress, MethodId::AlarmConditionType_Unsuppress2)
            }
            Doing::RemoveFromService => {
                second(MethodId::AlarmConditionType_RemoveFromService, MethodId::AlarmConditionType_RemoveFromService2)
            }
            Doing::Mark(genuine) => (own("Mark"), vec![event(), genuine.into(), comment]),
            Doing::RemoveFromServiceFor(lasting) => (own("RemoveFromServiceFor"), vec![lasts(lasting), comment]),
            Doing::PlanRemovalFromService { from, lasting } => {
                let from = date_time_from_instant(from).0.into();
                (own("PlanRemovalFromService"), vec![from, lasts(lasting), comment])
            }
            Doing::PlaceInService => {
                second(MethodId::AlarmConditionType_PlaceInService, MethodId::AlarmConditionType_PlaceInService2)
            }
            Doing::Silence => (MethodId::AlarmConditionType_Silence.into(), Vec::new()),
            Doing::Reset => second(MethodId::AlarmConditionType_Reset, MethodId::AlarmConditionType_Reset2),
            Doing::Enable => (MethodId::ConditionType_Enable.into(), Vec::new()),
            Doing::Disable => (MethodId::ConditionType_Disable.into(), Vec::new()),
        };
        let called = self.session.call_one((self.own(name), method, Some(arguments))).await;
        let status = called
            .map_err(|error| ConsoleError::Lost { doing: format!("`{name}`"), status: error.status() })?
            .status_code;
        match status {
            StatusCode::BadNodeIdUnknown | StatusCode::BadNodeIdInvalid => {
                Err(ConsoleError::Unknown(format!("condition `{name}`")))
            }
            status if status.is_bad() => Err(ConsoleError::refused(&format!("`{name}`"), status)),
            _ => Ok(()),
        }
    }

    async fn newest_event(&self, condition: &str) -> Result<Vec<u8>, ConsoleError> {
        let value = self.values(vec![self.own(&format!("{condition}#EventId"))]).await?.pop();
        match value.and_then(|value| value.value) {
            Some(Variant::ByteString(event)) => Ok(event.value.unwrap_or_default()),
            _ => Err(ConsoleError::Unknown(format!("condition `{condition}`"))),
        }
    }
}
