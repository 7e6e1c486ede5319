//! The Condition methods (OPC 10000-9 §5.5.4 to §5.5.8, §5.7.3, §5.7.4). A call answers Good only after its effect is
//! durable. What a method changes is decided by the alarm engine, not here.

use std::sync::Arc;

use opcua::nodes::TypeTree;
use opcua::server::node_manager::{MethodCall, RequestContext};
use opcua::types::{ByteString, LocalizedText, MethodId, NodeClass, NodeId, ObjectTypeId, StatusCode, Variant};
use watchfire_alarms::RefusedCommand;
use watchfire_model::{AlarmCommand, CommandKind, ConditionKey};

use crate::names::own_text;
use crate::nodes::Node;
use crate::refresh;
use crate::shared::Shared;
use crate::users::{changes_conditions, name_of};

/// Why a call is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Status(StatusCode),
    /// BadInvalidArgument with the status of each argument.
    Arguments(Vec<StatusCode>),
}

impl From<StatusCode> for Refusal {
    fn from(status: StatusCode) -> Self {
        Self::Status(status)
    }
}

/// Locale and text.
type CommentText = (String, String);

/// A call, apart from where its answer goes.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    object: NodeId,
    method: MethodId,
    arguments: Vec<Variant>,
}

impl Call {
    /// The call, if it is one of ours.
    pub(crate) fn of(call: &MethodCall) -> Option<Self> {
        if call.method_id().namespace != 0 {
            return None;
        }
        let method = call.method_id().as_method_id().ok()?;
        let refresh =
            matches!(method, MethodId::ConditionType_ConditionRefresh | MethodId::ConditionType_ConditionRefresh2);
        (refresh || changes_conditions(call.method_id())).then(|| Self {
            object: call.object_id().clone(),
            method,
            arguments: call.arguments().to_vec(),
        })
    }

    /// Carries it out.
    pub(crate) async fn answer(self, shared: &Arc<Shared>, context: &RequestContext) -> Result<(), Refusal> {
        let kind = match self.method {
            MethodId::ConditionType_ConditionRefresh | MethodId::ConditionType_ConditionRefresh2 => {
                return self.refresh(shared, context);
            }
            MethodId::ConditionType_Enable => CommandKind::Enable,
            MethodId::ConditionType_Disable => CommandKind::Disable,
            MethodId::ConditionType_AddComment => CommandKind::AddComment,
            MethodId::AcknowledgeableConditionType_Acknowledge => CommandKind::Acknowledge,
            _ => CommandKind::Confirm,
        };
        let key = condition_of(&self.object, shared, context)?;
        if !shared.users.may_operate(&context.token) {
            return Err(StatusCode::BadUserAccessDenied.into());
        }
        let (event_id, comment) = match kind {
            CommandKind::Enable | CommandKind::Disable => {
                self.expect(0)?;
                (Vec::new(), None)
            }
            CommandKind::Acknowledge | CommandKind::Confirm | CommandKind::AddComment => self.event_and_comment()?,
        };
        let command = AlarmCommand {
            key,
            kind,
            event_id,
            comment,
            user: name_of(&context.token).to_owned(),
            at: shared.clock.now(),
        };
        give(shared, command).await.map_err(Refusal::Status)
    }

    fn refresh(&self, shared: &Arc<Shared>, context: &RequestContext) -> Result<(), Refusal> {
        if self.object != ObjectTypeId::ConditionType {
            // Asks what else it is, for the right refusal.
            condition_of(&self.object, shared, context)?;
            return Err(StatusCode::BadMethodInvalid.into());
        }
        let wants_item = self.method == MethodId::ConditionType_ConditionRefresh2;
        self.expect(if wants_item { 2 } else { 1 })?;
        let ids: Vec<Option<u32>> = self.arguments.iter().map(number).collect();
        if ids.contains(&None) {
            let fits = |id: &Option<u32>| if id.is_some() { StatusCode::Good } else { StatusCode::BadTypeMismatch };
            return Err(Refusal::Arguments(ids.iter().map(fits).collect()));
        }
        let mut ids = ids.into_iter().flatten();
        let subscription = ids.next().ok_or(StatusCode::BadArgumentsMissing)?;
        refresh::begin(shared, context, subscription, ids.next()).map_err(Refusal::Status)
    }

    fn expect(&self, count: usize) -> Result<(), StatusCode> {
        match self.arguments.len() {
            given if given < count => Err(StatusCode::BadArgumentsMissing),
            given if given > count => Err(StatusCode::BadTooManyArguments),
            _ => Ok(()),
        }
    }

    fn event_and_comment(&self) -> Result<(Vec<u8>, Option<CommentText>), Refusal> {
        self.expect(2)?;
        let event_id = match self.arguments.first() {
            Some(Variant::ByteString(ByteString { value })) => Some(value.clone().unwrap_or_default()),
            Some(Variant::Empty) => Some(Vec::new()),
            _ => None,
        };
        let comment = match self.arguments.get(1) {
            Some(Variant::LocalizedText(text)) => Some(comment(text)),
            Some(Variant::Empty) => Some(None),
            _ => None,
        };
        match (event_id, comment) {
            (Some(event_id), Some(comment)) => Ok((event_id, comment)),
            (event_id, comment) => {
                let fits = |fits| if fits { StatusCode::Good } else { StatusCode::BadTypeMismatch };
                Err(Refusal::Arguments(vec![fits(event_id.is_some()), fits(comment.is_some())]))
            }
        }
    }
}

/// `None` for a null text, which changes nothing. An empty text with a locale takes a comment away.
fn comment(text: &LocalizedText) -> Option<CommentText> {
    let (locale, text) = (text.locale.as_ref(), text.text.as_ref());
    (!locale.is_empty() || !text.is_empty()).then(|| (locale.to_owned(), text.to_owned()))
}

fn number(argument: &Variant) -> Option<u32> {
    match argument {
        Variant::UInt32(number) => Some(*number),
        _ => None,
    }
}

/// The condition that a call is about.
fn condition_of(object: &NodeId, shared: &Shared, context: &RequestContext) -> Result<ConditionKey, StatusCode> {
    if let Some(name) = own_text(object) {
        return match Node::find(&shared.space.read(), name) {
            Some(Node::Condition(condition)) => Ok(condition.def.key.clone()),
            Some(Node::Type) => Err(StatusCode::BadNodeIdInvalid),
            Some(_) => Err(StatusCode::BadMethodInvalid),
            None => Err(StatusCode::BadNodeIdUnknown),
        };
    }
    let types = context.type_tree.read();
    match types.get(object) {
        Some(NodeClass::ObjectType) if types.is_subtype_of(object, &ObjectTypeId::ConditionType.into()) => {
            Err(StatusCode::BadNodeIdInvalid)
        }
        _ if object.namespace <= 1 => Err(StatusCode::BadMethodInvalid),
        _ => Err(StatusCode::BadNodeIdUnknown),
    }
}

/// Gives a command to the annunciator and waits until it is durable.
///
/// # Errors
/// The status code of OPC 10000-9 for its refusal.
pub(crate) async fn give(shared: &Shared, command: AlarmCommand) -> Result<(), StatusCode> {
    let (key, kind, user) = (command.key.clone(), command.kind, command.user.clone());
    let answer = shared.commands.give(command).await;
    match answer {
        Ok(()) => {
            tracing::info!(condition = %key, ?kind, user, "a command was carried out");
            Ok(())
        }
        Err(refused) => {
            tracing::info!(condition = %key, ?kind, user, reason = %refused, "a command was refused");
            Err(status_of(refused))
        }
    }
}

const fn status_of(refused: RefusedCommand) -> StatusCode {
    match refused {
        RefusedCommand::UnknownCondition => StatusCode::BadNodeIdUnknown,
        RefusedCommand::EventIdUnknown => StatusCode::BadEventIdUnknown,
        RefusedCommand::AlreadyAcked => StatusCode::BadConditionBranchAlreadyAcked,
        RefusedCommand::AlreadyConfirmed => StatusCode::BadConditionBranchAlreadyConfirmed,
        RefusedCommand::Disabled => StatusCode::BadConditionDisabled,
        RefusedCommand::AlreadyEnabled => StatusCode::BadConditionAlreadyEnabled,
        RefusedCommand::AlreadyDisabled => StatusCode::BadConditionAlreadyDisabled,
        RefusedCommand::CommentTooLong | RefusedCommand::CommentMissing => StatusCode::BadInvalidArgument,
        RefusedCommand::Busy => StatusCode::BadTooManyOperations,
    }
}
