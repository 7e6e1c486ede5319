//! The methods of conditions as a table: which node each is, what it asks for, and with which arguments (OPC 10000-9
//! §5.5, §5.7, §5.8, and ours). What they do is not known here.

use opcua::types::{DataTypeId, MethodId, NodeId};
use watchfire_alarms::ConditionDef;
use watchfire_model::{CommandKind, Instant};

use crate::names::{METHOD, own, own_text};

/// What a method takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arguments {
    None,
    /// EventId, Comment.
    EventAndComment,
    /// EventId, Genuine, Comment.
    EventMarkAndComment,
    /// Comment.
    Comment,
    /// ShelvingTime.
    Time,
    /// ShelvingTime, Comment.
    TimeAndComment,
    /// StartTime, ShelvingTime, Comment.
    StartTimeAndComment,
}

impl Arguments {
    pub(crate) const fn count(self) -> usize {
        match self {
            Self::None => 0,
            Self::Comment | Self::Time => 1,
            Self::EventAndComment | Self::TimeAndComment => 2,
            Self::StartTimeAndComment | Self::EventMarkAndComment => 3,
        }
    }

    /// Names and types, as our own methods declare them.
    pub(crate) fn declared(self) -> Vec<(&'static str, DataTypeId, &'static str)> {
        let start = ("StartTime", DataTypeId::UtcTime, "When it begins.");
        let time = ("Duration", DataTypeId::Duration, "For how long, milliseconds.");
        let genuine = ("Genuine", DataTypeId::Boolean, "Whether it was a true alarm.");
        let event = ("EventId", DataTypeId::ByteString, "The event that was seen.");
        let comment = ("Comment", DataTypeId::LocalizedText, "Why; a null text changes no comment.");
        match self {
            Self::None => Vec::new(),
            Self::EventAndComment => vec![event, comment],
            Self::EventMarkAndComment => vec![event, genuine, comment],
            Self::Comment => vec![comment],
            Self::Time => vec![time],
            Self::TimeAndComment => vec![time, comment],
            Self::StartTimeAndComment => vec![start, time, comment],
        }
    }
}

/// Where a method is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// On the condition.
    Condition,
    /// On its ShelvingState, by the method node of the state machine's type; may be called on the condition as well.
    Shelving,
    /// The same, by the method node that AlarmConditionType declares.
    Declared,
    /// On conditions that latch.
    Latched,
}

/// The node that a method is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MethodNode {
    /// One of the standard's, which instances share with their type.
    Standard(MethodId),
    /// One of ours, which all conditions share.
    Own(&'static str),
}

impl MethodNode {
    pub(crate) fn id(self) -> NodeId {
        match self {
            Self::Standard(id) => id.into(),
            Self::Own(name) => own(&format!("{METHOD}{name}")),
        }
    }
}

/// A method that changes conditions.
#[derive(Debug)]
pub(crate) struct Method {
    pub node: MethodNode,
    /// What it asks for; times come with the call.
    pub kind: CommandKind,
    pub arguments: Arguments,
    pub place: Place,
}

const fn method(id: MethodId, kind: CommandKind, arguments: Arguments, place: Place) -> Method {
    Method { node: MethodNode::Standard(id), kind, arguments, place }
}

const fn ours(name: &'static str, kind: CommandKind, arguments: Arguments) -> Method {
    Method { node: MethodNode::Own(name), kind, arguments, place: Place::Condition }
}

/// A shelving whose time comes with the call.
const TIMED: CommandKind = CommandKind::TimedShelve(0);
/// The same of times out of service.
const OUT_FOR: CommandKind = CommandKind::RemoveFromServiceFor(0);
const OUT_THEN: CommandKind = CommandKind::PlanRemovalFromService { from: Instant::MIN, ms: 0 };

/// All of them.
static METHODS: &[Method] = {
    use Arguments::{Comment, EventAndComment, EventMarkAndComment, None, StartTimeAndComment, Time, TimeAndComment};
    use CommandKind::{
        Acknowledge, AddComment, Confirm, Disable, Enable, OneShotShelve, PlaceInService, RemoveFromService, Reset,
        Silence, Suppress, Unshelve, Unsuppress,
    };
    use Place::{Condition, Declared, Latched, Shelving};
    &[
        method(MethodId::ConditionType_Enable, Enable, None, Condition),
        method(MethodId::ConditionType_Disable, Disable, None, Condition),
        method(MethodId::ConditionType_AddComment, AddComment, EventAndComment, Condition),
        method(MethodId::AcknowledgeableConditionType_Acknowledge, Acknowledge, EventAndComment, Condition),
        method(MethodId::AcknowledgeableConditionType_Confirm, Confirm, EventAndComment, Condition),
        method(MethodId::AlarmConditionType_Silence, Silence, None, Condition),
        method(MethodId::AlarmConditionType_Suppress, Suppress, None, Condition),
        method(MethodId::AlarmConditionType_Suppress2, Suppress, Comment, Condition),
        method(MethodId::AlarmConditionType_Unsuppress, Unsuppress, None, Condition),
        method(MethodId::AlarmConditionType_Unsuppress2, Unsuppress, Comment, Condition),
        method(MethodId::AlarmConditionType_RemoveFromService, RemoveFromService, None, Condition),
        method(MethodId::AlarmConditionType_RemoveFromService2, RemoveFromService, Comment, Condition),
        method(MethodId::AlarmConditionType_PlaceInService, PlaceInService, None, Condition),
        method(MethodId::AlarmConditionType_PlaceInService2, PlaceInService, Comment, Condition),
        method(MethodId::AlarmConditionType_Reset, Reset, None, Latched),
        method(MethodId::AlarmConditionType_Reset2, Reset, Comment, Latched),
        method(MethodId::ShelvedStateMachineType_TimedShelve, TIMED, Time, Shelving),
        method(MethodId::ShelvedStateMachineType_TimedShelve2, TIMED, TimeAndComment, Shelving),
        method(MethodId::ShelvedStateMachineType_OneShotShelve, OneShotShelve, None, Shelving),
        method(MethodId::ShelvedStateMachineType_OneShotShelve2, OneShotShelve, Comment, Shelving),
        method(MethodId::ShelvedStateMachineType_Unshelve, Unshelve, None, Shelving),
        method(MethodId::ShelvedStateMachineType_Unshelve2, Unshelve, Comment, Shelving),
        method(MethodId::AlarmConditionType_ShelvingState_TimedShelve, TIMED, Time, Declared),
        method(MethodId::AlarmConditionType_ShelvingState_TimedShelve2, TIMED, TimeAndComment, Declared),
        method(MethodId::AlarmConditionType_ShelvingState_OneShotShelve, OneShotShelve, None, Declared),
        method(MethodId::AlarmConditionType_ShelvingState_OneShotShelve2, OneShotShelve, Comment, Declared),
        method(MethodId::AlarmConditionType_ShelvingState_Unshelve, Unshelve, None, Declared),
        method(MethodId::AlarmConditionType_ShelvingState_Unshelve2, Unshelve, Comment, Declared),
        ours("RemoveFromServiceFor", OUT_FOR, TimeAndComment),
        ours("Mark", CommandKind::Mark(true), EventMarkAndComment),
        ours("PlanRemovalFromService", OUT_THEN, StartTimeAndComment),
    ]
};

/// The method that a node is.
pub(crate) fn find(id: &NodeId) -> Option<&'static Method> {
    if let Some(name) = own_text(id) {
        return own_method(name.strip_prefix(METHOD)?);
    }
    let is = |method: &&Method| matches!(method.node, MethodNode::Standard(node) if *id == (0, node as u32));
    METHODS.iter().find(is)
}

/// One of our own, by its name.
pub(crate) fn own_method(name: &str) -> Option<&'static Method> {
    METHODS.iter().find(|method| matches!(method.node, MethodNode::Own(own) if own == name))
}

/// All of our own.
pub(crate) fn own_methods() -> impl Iterator<Item = &'static Method> {
    METHODS.iter().filter(|method| matches!(method.node, MethodNode::Own(_)))
}

/// The methods of an instance.
pub(crate) fn of_instance(def: &ConditionDef) -> impl Iterator<Item = &'static Method> {
    let has = |method: &&Method| match method.place {
        Place::Condition => true,
        Place::Latched => def.rules.latch,
        Place::Shelving | Place::Declared => false,
    };
    METHODS.iter().filter(has)
}

/// The methods of a ShelvingState.
pub(crate) fn of_shelving() -> impl Iterator<Item = &'static Method> {
    METHODS.iter().filter(|method| method.place == Place::Shelving)
}

impl Method {
    /// Its name, without that of its type.
    pub(crate) fn name(&self) -> &'static str {
        use CommandKind as K;
        if let MethodNode::Own(name) = self.node {
            return name;
        }
        // The second version of a method takes a comment.
        let names = match self.kind {
            K::Enable => ("Enable", "Enable"),
            K::Disable => ("Disable", "Disable"),
            K::AddComment => ("AddComment", "AddComment"),
            K::Acknowledge => ("Acknowledge", "Acknowledge"),
            K::Confirm => ("Confirm", "Confirm"),
            K::Silence => ("Silence", "Silence"),
            K::Suppress => ("Suppress", "Suppress2"),
            K::Unsuppress => ("Unsuppress", "Unsuppress2"),
            // Methods of our own, which have their name from above.
            K::Mark(_) => ("Mark", "Mark"),
            K::RemoveFromServiceFor(_) | K::PlanRemovalFromService { .. } | K::RemoveFromService => {
                ("RemoveFromService", "RemoveFromService2")
            }
            K::PlaceInService => ("PlaceInService", "PlaceInService2"),
            K::Reset => ("Reset", "Reset2"),
            K::TimedShelve(_) => ("TimedShelve", "TimedShelve2"),
            K::OneShotShelve => ("OneShotShelve", "OneShotShelve2"),
            K::Unshelve => ("Unshelve", "Unshelve2"),
        };
        if matches!(self.arguments, Arguments::Comment | Arguments::TimeAndComment) { names.1 } else { names.0 }
    }

    /// What it is good for, for people.
    pub(crate) fn explanation(&self) -> &'static str {
        match self.kind {
            CommandKind::RemoveFromServiceFor(_) => {
                "Takes the alarm out of service for a time; somebody is reminded when that is over."
            }
            CommandKind::PlanRemovalFromService { .. } => "The same at a time to come; PlaceInService takes it back.",
            CommandKind::Mark(_) => "Says whether it was a true alarm or a false one; it changes nothing else.",
            _ => "",
        }
    }

    /// Whether it may be called on a condition's ShelvingState.
    pub(crate) fn shelves(&self) -> bool {
        matches!(self.place, Place::Shelving | Place::Declared)
    }
}
