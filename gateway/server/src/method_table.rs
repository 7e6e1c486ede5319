//! The methods of conditions as a table: which node of the standard each is, what it asks for, and with which
//! arguments (OPC 10000-9 §5.5, §5.7, §5.8). What they do is not known here.

use opcua::types::{MethodId, NodeId};
use watchfire_alarms::ConditionDef;
use watchfire_model::CommandKind;

/// What a method takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arguments {
    None,
    /// EventId, Comment.
    EventAndComment,
    /// Comment.
    Comment,
    /// ShelvingTime.
    Time,
    /// ShelvingTime, Comment.
    TimeAndComment,
}

impl Arguments {
    pub(crate) const fn count(self) -> usize {
        match self {
            Self::None => 0,
            Self::Comment | Self::Time => 1,
            Self::EventAndComment | Self::TimeAndComment => 2,
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

/// A method that changes conditions.
#[derive(Debug)]
pub(crate) struct Method {
    pub id: MethodId,
    /// What it asks for; the time of a shelving comes with the call.
    pub kind: CommandKind,
    pub arguments: Arguments,
    pub place: Place,
}

const fn method(id: MethodId, kind: CommandKind, arguments: Arguments, place: Place) -> Method {
    Method { id, kind, arguments, place }
}

/// A shelving whose time comes with the call.
const TIMED: CommandKind = CommandKind::TimedShelve(0);

/// All of them.
static METHODS: &[Method] = {
    use Arguments::{Comment, EventAndComment, None, Time, TimeAndComment};
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
    ]
};

/// The method that a node is.
pub(crate) fn find(id: &NodeId) -> Option<&'static Method> {
    METHODS.iter().find(|method| *id == (0, method.id as u32))
}

/// The methods that an instance shares with its type.
pub(crate) fn of_instance(def: &ConditionDef) -> impl Iterator<Item = MethodId> {
    let has = |method: &&Method| match method.place {
        Place::Condition => true,
        Place::Latched => def.rules.latch,
        Place::Shelving | Place::Declared => false,
    };
    METHODS.iter().filter(has).map(|method| method.id)
}

/// The methods of a ShelvingState.
pub(crate) fn of_shelving() -> impl Iterator<Item = MethodId> {
    METHODS.iter().filter(|method| method.place == Place::Shelving).map(|method| method.id)
}

impl Method {
    /// Its name, without that of its type.
    pub(crate) fn name(&self) -> &'static str {
        use CommandKind as K;
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
            K::RemoveFromService => ("RemoveFromService", "RemoveFromService2"),
            K::PlaceInService => ("PlaceInService", "PlaceInService2"),
            K::Reset => ("Reset", "Reset2"),
            K::TimedShelve(_) => ("TimedShelve", "TimedShelve2"),
            K::OneShotShelve => ("OneShotShelve", "OneShotShelve2"),
            K::Unshelve => ("Unshelve", "Unshelve2"),
        };
        if matches!(self.arguments, Arguments::Comment | Arguments::TimeAndComment) { names.1 } else { names.0 }
    }

    /// Whether it may be called on a condition's ShelvingState.
    pub(crate) fn shelves(&self) -> bool {
        matches!(self.place, Place::Shelving | Place::Declared)
    }
}
