//! The methods of conditions (OPC 10000-9 §5.5, §5.7, §5.8). A call answers Good only after its effect is durable. What a method changes is decided by the alarm engine, not here.

use std::sync::Arc;

use futures::future::join_all;
use opcua::nodes::TypeTree;
use opcua::server::node_manager::{MethodCall, NodeManagersRef, RequestContext, get_node_metadata};
use opcua::types::{ByteString, LocalizedText, MethodId, NodeClass, NodeId, ObjectTypeId, StatusCode, Variant};
use watchfire_alarms::RefusedCommand;
use watchfire_config::Operation;
use watchfire_model::{AlarmCommand, CommandKind, ConditionKey, Instant};
use watchfire_ua::instant_from_date_time;

use crate::attempts;
use crate::audit_event::{AuditEvent, Called, Outcome};
use crate::counted::Counted;
use crate::device_types::DeviceType;
use crate::fields::SHELVING;
use crate::method_table::{self, Arguments, Method, Place};
use crate::names::own_text;
use crate::nodes::{AreaPart, Node};
use crate::refresh;
use crate::rights::operation_of;
use crate::shared::Shared;
use crate::suppression::SuppressionGroup;
use crate::users::name_of;

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
    method: NodeId,
    what: What,
    arguments: Vec<Variant>,
}

/// What is called.
#[derive(Clone, Copy, Debug)]
enum What {
    /// ConditionRefresh, or ConditionRefresh2, which takes an item as well.
    Refresh {
        item: bool,
    },
    /// Reset of the figures of an area or a console (OPC 10000-9 §9.4).
    ResetFigures,
    /// GetGroupMemberships (OPC 10000-9 §5.8.16): asks, and changes nothing.
    Groups,
    Change(&'static Method),
}

/// What a call says beside what it asks for.
#[derive(Debug, Default)]
struct Said {
    event_id: Vec<u8>,
    comment: Option<CommentText>,
    genuine: bool,
    start: Instant,
    time_ms: f64,
}

impl Call {
    /// The call, if it is one of ours.
    pub(crate) fn of(call: &MethodCall) -> Option<Self> {
        let id = call.method_id();
        let what = if *id == NodeId::from(MethodId::ConditionType_ConditionRefresh) {
            What::Refresh { item: false }
        } else if *id == NodeId::from(MethodId::ConditionType_ConditionRefresh2) {
            What::Refresh { item: true }
        } else if *id == NodeId::from(MethodId::AlarmMetricsType_Reset) {
            What::ResetFigures
        } else if *id == NodeId::from(MethodId::AlarmConditionType_GetGroupMemberships) {
            What::Groups
        } else {
            What::Change(method_table::find(id)?)
        };
        Some(Self { object: call.object_id().clone(), method: id.clone(), what, arguments: call.arguments().to_vec() })
    }

    /// Carries it out, and tells of it whatever comes of it. Answers with what the method gives back.
    pub(crate) async fn answer(
        self,
        shared: &Arc<Shared>,
        managers: &NodeManagersRef,
        context: &RequestContext,
    ) -> Result<Vec<Variant>, Refusal> {
        let asked = self.clone();
        let mut outcome = self.carry_out(shared, context).await;
        // Of the nodes of others it is known only now whether they are there at all.
        if outcome == Err(StatusCode::BadMethodInvalid.into())
            && asked.object.namespace <= 1
            && get_node_metadata(context, managers, std::slice::from_ref(&asked.object))
                .await
                .iter()
                .all(Option::is_none)
        {
            outcome = Err(StatusCode::BadNodeIdUnknown.into());
        }
        asked.audit(shared, context, outcome.as_ref().err());
        outcome
    }

    /// What it is called.
    fn name(&self) -> &'static str {
        match self.what {
            What::Refresh { item: false } => "ConditionRefresh",
            What::Refresh { item: true } => "ConditionRefresh2",
            What::ResetFigures => "Reset",
            What::Groups => "GetGroupMemberships",
            What::Change(method) => method.name(),
        }
    }

    /// The groups that a condition is in, an array of NodeIds that may be empty.
    fn groups(&self, shared: &Shared, context: &RequestContext) -> Result<Variant, Refusal> {
        let key = condition_of(&self.object, None, shared, context)?;
        self.expect(0)?;
        let space = shared.space.read();
        let condition = space.condition(key.as_str());
        let group = condition.and_then(|condition| condition.group()).map(|group| Node::Group(group.clone()).id());
        let suppresses = condition.and_then(|condition| SuppressionGroup::with_alarm(&condition.def));
        let ids: Vec<NodeId> = group.into_iter().chain(suppresses.map(|group| group.id())).collect();
        Ok(ids.into())
    }

    /// OPC 10000-9 §5.10. What was carried out and changes nothing is none of its events; what was refused always is.
    fn audit(&self, shared: &Shared, context: &RequestContext, refusal: Option<&Refusal>) {
        let method = match self.what {
            What::Refresh { .. } | What::Groups if refusal.is_none() => return,
            What::Refresh { .. } | What::Groups | What::ResetFigures => None,
            What::Change(method) => Some(method),
        };
        let status = match refusal {
            None => StatusCode::Good,
            Some(Refusal::Status(status)) => *status,
            Some(Refusal::Arguments(_)) => StatusCode::BadInvalidArgument,
        };
        if let (StatusCode::BadUserAccessDenied, Some(method)) = (status, method) {
            attempts::called(shared, &self.object, operation_of(method.kind));
        }
        let (event, time, comment) = match method.map(|method| method.arguments) {
            Some(Arguments::EventAndComment) => (Some(0), None, Some(1)),
            Some(Arguments::EventMarkAndComment) => (Some(0), None, Some(2)),
            Some(Arguments::TimeAndComment) => (None, Some(0), Some(1)),
            Some(Arguments::StartTimeAndComment) => (None, None, Some(2)),
            Some(Arguments::Time) => (None, Some(0), None),
            Some(Arguments::Comment) => (None, None, Some(0)),
            Some(Arguments::None) | None => (None, None, None),
        };
        let argument = |at: Option<usize>| at.and_then(|at| self.arguments.get(at)).cloned();
        let called = Called {
            object: self.object.clone(),
            method: self.method.clone(),
            name: self.name(),
            arguments: &self.arguments,
            kind: method.map(|method| method.kind),
            user: name_of(&context.token),
            event_id: argument(event),
            comment: argument(comment),
            shelving_time: argument(time.filter(|_| method.is_some_and(Method::shelves))),
        };
        let outcome = Outcome { server: &shared.audit.server, at: shared.clock.now(), status };
        shared.audit.tell(AuditEvent::of_call(called, outcome));
    }

    async fn carry_out(self, shared: &Arc<Shared>, context: &RequestContext) -> Result<Vec<Variant>, Refusal> {
        let done = |()| Vec::new();
        let method = match self.what {
            What::Refresh { item } => return self.refresh(item, shared, context).await.map(done),
            What::ResetFigures => return self.reset_figures(shared, context).await.map(done),
            What::Groups => return self.groups(shared, context).map(|groups| vec![groups]),
            What::Change(method) => method,
        };
        let key = condition_of(&self.object, Some(method), shared, context)?;
        if !shared.users.may(&context.token, operation_of(method.kind)) {
            return Err(StatusCode::BadUserAccessDenied.into());
        }
        let said = self.said(method.arguments)?;
        let kind = match method.kind {
            CommandKind::TimedShelve(_) => CommandKind::TimedShelve(milliseconds(said.time_ms)),
            CommandKind::RemoveFromServiceFor(_) => CommandKind::RemoveFromServiceFor(milliseconds(said.time_ms)),
            CommandKind::PlanRemovalFromService { .. } => {
                CommandKind::PlanRemovalFromService { from: said.start, ms: milliseconds(said.time_ms) }
            }
            CommandKind::Mark(_) => CommandKind::Mark(said.genuine),
            kind => kind,
        };
        let command = AlarmCommand {
            key,
            kind,
            event_id: said.event_id,
            comment: said.comment,
            user: name_of(&context.token).to_owned(),
            at: shared.clock.now(),
        };
        give(shared, command).await.map(done).map_err(Refusal::Status)
    }

    async fn refresh(&self, wants_item: bool, shared: &Arc<Shared>, context: &RequestContext) -> Result<(), Refusal> {
        if self.object != ObjectTypeId::ConditionType {
            // Asks what else it is, for the right refusal.
            condition_of(&self.object, None, shared, context)?;
            return Err(StatusCode::BadMethodInvalid.into());
        }
        self.expect(if wants_item { 2 } else { 1 })?;
        let ids: Vec<Option<u32>> = self.arguments.iter().map(number).collect();
        if ids.contains(&None) {
            let fits = |id: &Option<u32>| if id.is_some() { StatusCode::Good } else { StatusCode::BadTypeMismatch };
            return Err(Refusal::Arguments(ids.iter().map(fits).collect()));
        }
        let mut ids = ids.into_iter().flatten();
        let subscription = ids.next().ok_or(StatusCode::BadArgumentsMissing)?;
        refresh::begin(shared, context, subscription, ids.next()).await.map_err(Refusal::Status)
    }

    /// Whose figures it is called on.
    fn counted(&self, shared: &Shared) -> Result<Counted, StatusCode> {
        match own_text(&self.object).and_then(|name| Node::find(&shared.space.read(), name)) {
            Some(Node::AreaPart(path, AreaPart::Metrics)) => Ok(Counted::Area(path)),
            Some(Node::Console(console)) => Ok(Counted::Console(console)),
            // A type stands where an instance must.
            Some(Node::MetricsType) => Err(StatusCode::BadNodeIdInvalid),
            None if self.object == ObjectTypeId::AlarmMetricsType => Err(StatusCode::BadNodeIdInvalid),
            Some(_) => Err(StatusCode::BadMethodInvalid),
            None if self.object.is_null() => Err(StatusCode::BadNodeIdInvalid),
            None if self.object.namespace <= 1 => Err(StatusCode::BadMethodInvalid),
            None => Err(StatusCode::BadNodeIdUnknown),
        }
    }

    /// Answers once it is kept, as for any command.
    async fn reset_figures(&self, shared: &Arc<Shared>, context: &RequestContext) -> Result<(), Refusal> {
        let counted = self.counted(shared)?;
        if !shared.users.may(&context.token, Operation::Reset) {
            return Err(StatusCode::BadUserAccessDenied.into());
        }
        self.expect(0)?;
        let (user, now) = (name_of(&context.token), shared.clock.now());
        match counted {
            Counted::Area(area) => {
                tracing::info!(area = &*area, user, "figures of alarms begin anew");
                shared.figures.reset(&area, now).await;
            }
            Counted::Console(console) => {
                tracing::info!(console = &*console.name, user, "figures of alarms begin anew");
                shared.figures.reset_console(&console.name, now).await;
            }
        }
        Ok(())
    }

    fn expect(&self, count: usize) -> Result<(), StatusCode> {
        match self.arguments.len() {
            given if given < count => Err(StatusCode::BadArgumentsMissing),
            given if given > count => Err(StatusCode::BadTooManyArguments),
            _ => Ok(()),
        }
    }

    /// The arguments, each of the type that it must have.
    fn said(&self, arguments: Arguments) -> Result<Said, Refusal> {
        self.expect(arguments.count())?;
        let mut said = Said::default();
        let mut fits = Vec::new();
        let mut given = self.arguments.iter();
        if matches!(arguments, Arguments::EventAndComment | Arguments::EventMarkAndComment) {
            let event_id = given.next().and_then(|argument| match argument {
                Variant::ByteString(ByteString { value }) => Some(value.clone().unwrap_or_default()),
                Variant::Empty => Some(Vec::new()),
                _ => None,
            });
            fits.push(event_id.is_some());
            said.event_id = event_id.unwrap_or_default();
        }
        if arguments == Arguments::EventMarkAndComment {
            let genuine = given.next().and_then(|argument| match argument {
                Variant::Boolean(genuine) => Some(*genuine),
                _ => None,
            });
            fits.push(genuine.is_some());
            said.genuine = genuine.unwrap_or_default();
        }
        if arguments == Arguments::StartTimeAndComment {
            let start = given.next().and_then(|argument| match argument {
                Variant::DateTime(start) => instant_from_date_time(start, None),
                _ => None,
            });
            fits.push(start.is_some());
            said.start = start.unwrap_or_default();
        }
        if matches!(arguments, Arguments::Time | Arguments::TimeAndComment | Arguments::StartTimeAndComment) {
            let time = given.next().and_then(|argument| match argument {
                Variant::Double(time) => Some(*time),
                _ => None,
            });
            fits.push(time.is_some());
            said.time_ms = time.unwrap_or_default();
        }
        if let Some(argument) = given.next() {
            let comment = match argument {
                Variant::LocalizedText(text) => Some(comment(text)),
                Variant::Empty => Some(None),
                _ => None,
            };
            fits.push(comment.is_some());
            said.comment = comment.flatten();
        }
        if fits.contains(&false) {
            let status = |fits: &bool| if *fits { StatusCode::Good } else { StatusCode::BadTypeMismatch };
            return Err(Refusal::Arguments(fits.iter().map(status).collect()));
        }
        Ok(said)
    }
}

/// Answers the calls of methods of conditions. What is left is none of ours.
pub(crate) async fn answer_all<'a>(
    shared: &Arc<Shared>,
    managers: &NodeManagersRef,
    context: &RequestContext,
    methods: &'a mut [&mut MethodCall],
) -> Vec<&'a mut MethodCall> {
    shared.watch.saw_session(context.session_id, &context.subscriptions);
    let mut ours: Vec<(&mut MethodCall, Call)> = Vec::new();
    let mut others: Vec<&mut MethodCall> = Vec::new();
    for method in methods {
        match Call::of(method) {
            Some(call) => ours.push((&mut **method, call)),
            None => others.push(&mut **method),
        }
    }
    // Together, since each waits for the next commit of the log.
    let answers = join_all(ours.iter().map(|(_, call)| call.clone().answer(shared, managers, context))).await;
    for ((method, _), answer) in ours.iter_mut().zip(answers) {
        match answer {
            Ok(outputs) => {
                method.set_outputs(outputs);
                method.set_status(StatusCode::Good);
            }
            Err(Refusal::Status(status)) => method.set_status(status),
            Err(Refusal::Arguments(statuses)) => method.set_argument_error(statuses),
        }
    }
    others
}

/// Tells of calls of methods that are none of conditions, once they are answered: of those that were refused.
pub(crate) fn tell_refused<'a>(shared: &Shared, context: &RequestContext, calls: impl Iterator<Item = &'a MethodCall>) {
    for call in calls.filter(|call| call.status().is_bad()) {
        let called = Called {
            object: call.object_id().clone(),
            method: call.method_id().clone(),
            name: &call.method_id().to_string(),
            arguments: call.arguments(),
            kind: None,
            user: name_of(&context.token),
            event_id: None,
            comment: None,
            shelving_time: None,
        };
        let outcome = Outcome { server: &shared.audit.server, at: shared.clock.now(), status: call.status() };
        shared.audit.tell(AuditEvent::of_call(called, outcome));
    }
}

/// A Duration as whole milliseconds, rounded up; 0, which is no time, for what is none.
fn milliseconds(duration: f64) -> u64 {
    if !duration.is_finite() || duration <= 0.0 {
        return 0;
    }
    // A float-to-integer cast saturates.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive and finite")]
    let whole = duration.ceil() as u64;
    whole
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

/// The condition that a call is about: one that has the method, or one to whose ShelvingState it belongs.
fn condition_of(
    object: &NodeId,
    method: Option<&Method>,
    shared: &Shared,
    context: &RequestContext,
) -> Result<ConditionKey, StatusCode> {
    if let Some(name) = own_text(object) {
        return match Node::find(&shared.space.read(), name) {
            Some(Node::Condition(condition)) => {
                let latches = condition.def.rules.latch;
                if method.is_some_and(|method| method.place == Place::Latched && !latches) {
                    return Err(StatusCode::BadMethodInvalid);
                }
                Ok(condition.def.key.clone())
            }
            Some(Node::Field(condition, field)) if field.path == SHELVING && method.is_some_and(Method::shelves) => {
                Ok(condition.def.key.clone())
            }
            Some(Node::Type) => Err(StatusCode::BadNodeIdInvalid),
            Some(_) => Err(StatusCode::BadMethodInvalid),
            None => Err(StatusCode::BadNodeIdUnknown),
        };
    }
    if DeviceType::find(object).is_some() {
        return Err(StatusCode::BadNodeIdInvalid);
    }
    if object.is_null() {
        return Err(StatusCode::BadNodeIdInvalid);
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
        // What was refused is told with its audit event.
        Err(refused) => Err(status_of(refused)),
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
        RefusedCommand::AlreadyShelved => StatusCode::BadConditionAlreadyShelved,
        RefusedCommand::NotShelved => StatusCode::BadConditionNotShelved,
        RefusedCommand::ShelvingTimeOutOfRange => StatusCode::BadShelvingTimeOutOfRange,
        RefusedCommand::ServiceTimeOutOfRange => StatusCode::BadOutOfRange,
        RefusedCommand::NotResettable => StatusCode::BadInvalidState,
        RefusedCommand::Busy => StatusCode::BadTooManyOperations,
    }
}
