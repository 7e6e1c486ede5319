//! What a condition instance consists of, as tables: the variables and properties of OPC 10000-9 that we serve, and
//! the plain variables beside it. What their values are is not known here.

use std::collections::HashMap;
use std::sync::LazyLock;

use opcua::types::{DataTypeId, NodeId, ObjectTypeId, VariableTypeId};
use watchfire_alarms::{AlarmType, ConditionDef};
use watchfire_model::Level;

use crate::device_types;
use crate::names::{STATISTICAL_TYPE, own};

/// What a field is in the address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A property.
    Property,
    /// A component of this type.
    Variable(VariableTypeId),
    /// A component object of this type.
    Object(ObjectTypeId),
}

/// A field of a condition: a node below its instance and, but for [`Field::plain`], a field of its events.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Field {
    /// Browse names from the instance on, joined by `/`.
    pub path: &'static str,
    pub shape: Shape,
    pub data_type: DataTypeId,
    /// Whether its value is an array.
    pub list: bool,
    /// Whether the last browse name is of our namespace.
    pub own: bool,
    /// The conditions that have it.
    pub of: Of,
}

/// Which conditions have a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Of {
    All,
    /// The limit alarms, as far as this limit may be one of theirs.
    Limit(Level),
    /// The exclusive limit alarms.
    Exclusive,
    /// The non-exclusive ones, as far as this limit may be one of theirs.
    NonExclusive(Level),
    Deviation,
    /// Deviations that no signal is the setpoint of.
    Expecting,
    /// OffNormalAlarmType and what is derived from it.
    OffNormal,
    /// Those of which a value is known to be normal, and no signal.
    Normal,
    Discrepancy,
    /// CertificateExpirationAlarmType.
    Certificates,
    /// Conditions of further classes.
    Classified,
    /// Conditions that latch.
    Latched,
    /// Conditions of a group.
    Grouped,
    /// Conditions that are told anew.
    ReAlarming,
    /// Conditions with this rule.
    Delayed,
    Released,
    Bounded,
}

impl Of {
    fn has(self, def: &ConditionDef) -> bool {
        let (alarm, rules) = (def.alarm_type, &def.rules);
        use AlarmType::{CertificateExpiration, Discrepancy, OffNormal, SystemDiagnostic, SystemOffNormal, Trip};
        // Where its detector tells its limits there are no others.
        let may_have = |level| !rules.limits.any() || rules.limits.of(level).is_some();
        match self {
            Self::All => true,
            Self::Limit(level) => (alarm.is_exclusive() || alarm.is_non_exclusive()) && may_have(level),
            Self::Exclusive => alarm.is_exclusive(),
            Self::NonExclusive(level) => alarm.is_non_exclusive() && may_have(level),
            Self::Deviation => alarm.is_deviation(),
            Self::Expecting => def.is_of_expectation(),
            Self::OffNormal => {
                matches!(alarm, OffNormal | Trip | SystemOffNormal | SystemDiagnostic | CertificateExpiration)
                    || alarm.is_of_device()
            }
            Self::Normal => def.has_normal_value(),
            Self::Certificates => alarm == CertificateExpiration,
            Self::Discrepancy => alarm == Discrepancy,
            Self::Classified => !rules.sub_classes.is_empty(),
            Self::Latched => rules.latch,
            Self::Grouped => rules.group.is_some(),
            Self::ReAlarming => rules.re_alarm.is_some(),
            Self::Delayed => rules.on_delay.is_some(),
            Self::Released => rules.off_delay.is_some(),
            Self::Bounded => rules.max_shelve.is_some(),
        }
    }
}

impl Field {
    /// The last browse name.
    pub(crate) fn name(&self) -> &'static str {
        self.path.rsplit_once('/').map_or(self.path, |(_, name)| name)
    }

    /// The path of what it is part of; empty for the instance itself.
    pub(crate) fn parent(&self) -> &'static str {
        self.path.rsplit_once('/').map_or("", |(parent, _)| parent)
    }

    /// Whether a condition of this definition has it, as far as that alone says.
    pub(crate) fn is_in(&self, def: &ConditionDef) -> bool {
        self.of.has(def)
    }

    /// Whether its value changes by itself, without a change of the condition.
    pub(crate) fn moves(&self) -> bool {
        self.of == Of::Certificates || self.path == UNSHELVE_TIME
    }

    /// Whether it is one of the plain variables, for clients that know no alarms; not part of events.
    pub(crate) fn plain(&self) -> bool {
        self.path.starts_with(PLAIN)
    }

    /// Whether an acknowledgement can be written into it.
    pub(crate) fn is_request(&self) -> bool {
        matches!(self.path, ACKNOWLEDGE_REQUEST | ACKNOWLEDGE_REQUEST_TEXT)
    }
}

/// The object that holds a condition's plain variables. It is not below the instance but in its area's `AlarmValues`.
pub(crate) const PLAIN: &str = "Values";
/// The state machine of shelving, which has methods of its own.
pub(crate) const SHELVING: &str = "ShelvingState";
/// States, and what they are divided into while they are true (HasTrueSubState, OPC 10000-9 §5.4.2), as the types of the
/// standard have it. None of them has states that another is divided into while it is false.
pub(crate) static SUB_STATES: &[(&str, &str)] = &[
    ("EnabledState", "AckedState"),
    ("EnabledState", "ConfirmedState"),
    ("EnabledState", "ActiveState"),
    ("EnabledState", "SuppressedState"),
    ("EnabledState", SHELVING),
    ("ActiveState", "LimitState"),
    ("ActiveState", "HighHighState"),
    ("ActiveState", "HighState"),
    ("ActiveState", "LowState"),
    ("ActiveState", "LowLowState"),
];
/// What is left of a shelving.
const UNSHELVE_TIME: &str = "ShelvingState/UnshelveTime";
/// What was expected, where no signal is the setpoint.
pub(crate) const EXPECTED: &str = "Values/Expected";
/// Its unit, where it is known.
pub(crate) const EXPECTED_UNITS: &str = "Values/Expected/EngineeringUnits";
/// What is normal, where that is settled and no signal has it.
pub(crate) const NORMAL: &str = "Values/Normal";
/// The variables that can be written: with an EventId, and with one as text.
pub(crate) const ACKNOWLEDGE_REQUEST: &str = "Values/AcknowledgeRequest";
pub(crate) const ACKNOWLEDGE_REQUEST_TEXT: &str = "Values/AcknowledgeRequestText";

const fn property(path: &'static str, data_type: DataTypeId) -> Field {
    Field { path, shape: Shape::Property, data_type, list: false, own: false, of: Of::All }
}

const fn variable(path: &'static str, kind: VariableTypeId, data_type: DataTypeId) -> Field {
    Field { path, shape: Shape::Variable(kind), data_type, list: false, own: false, of: Of::All }
}

const fn list(path: &'static str, data_type: DataTypeId) -> Field {
    Field { list: true, ..property(path, data_type) }
}

const fn only(of: Of, field: Field) -> Field {
    Field { of, ..field }
}

const fn ours(field: Field) -> Field {
    Field { own: true, ..field }
}

const fn plain(path: &'static str, data_type: DataTypeId) -> Field {
    ours(variable(path, VariableTypeId::BaseDataVariableType, data_type))
}

/// All fields.
pub(crate) static FIELDS: &[Field] = {
    use DataTypeId::{Boolean, ByteString, Double, Duration, LocalizedText, StatusCode, String, UInt16, UtcTime};
    use VariableTypeId::{
        ConditionVariableType, FiniteStateVariableType, FiniteTransitionVariableType, TwoStateVariableType,
    };
    &[
        // BaseEventType (OPC 10000-5 §6.4.2).
        property("EventId", ByteString),
        property("EventType", DataTypeId::NodeId),
        property("SourceNode", DataTypeId::NodeId),
        property("SourceName", String),
        property("Time", UtcTime),
        property("ReceiveTime", UtcTime),
        property("Message", LocalizedText),
        property("Severity", UInt16),
        // ConditionType (OPC 10000-9 §5.5.2).
        property("ConditionClassId", DataTypeId::NodeId),
        property("ConditionClassName", LocalizedText),
        only(Of::Classified, list("ConditionSubClassId", DataTypeId::NodeId)),
        only(Of::Classified, list("ConditionSubClassName", LocalizedText)),
        property("ConditionName", String),
        property("BranchId", DataTypeId::NodeId),
        property("Retain", Boolean),
        property("SupportsFilteredRetain", Boolean),
        property("ClientUserId", String),
        variable("EnabledState", TwoStateVariableType, LocalizedText),
        property("EnabledState/Id", Boolean),
        property("EnabledState/EffectiveDisplayName", LocalizedText),
        property("EnabledState/TransitionTime", UtcTime),
        variable("Quality", ConditionVariableType, StatusCode),
        property("Quality/SourceTimestamp", UtcTime),
        variable("LastSeverity", ConditionVariableType, UInt16),
        property("LastSeverity/SourceTimestamp", UtcTime),
        variable("Comment", ConditionVariableType, LocalizedText),
        property("Comment/SourceTimestamp", UtcTime),
        // AcknowledgeableConditionType (§5.7.2).
        variable("AckedState", TwoStateVariableType, LocalizedText),
        property("AckedState/Id", Boolean),
        property("AckedState/TransitionTime", UtcTime),
        variable("ConfirmedState", TwoStateVariableType, LocalizedText),
        property("ConfirmedState/Id", Boolean),
        property("ConfirmedState/TransitionTime", UtcTime),
        // AlarmConditionType (§5.8.2).
        variable("ActiveState", TwoStateVariableType, LocalizedText),
        property("ActiveState/Id", Boolean),
        property("ActiveState/EffectiveDisplayName", LocalizedText),
        property("ActiveState/TransitionTime", UtcTime),
        property("InputNode", DataTypeId::NodeId),
        property("SuppressedOrShelved", Boolean),
        variable("SuppressedState", TwoStateVariableType, LocalizedText),
        property("SuppressedState/Id", Boolean),
        property("SuppressedState/TransitionTime", UtcTime),
        variable("OutOfServiceState", TwoStateVariableType, LocalizedText),
        property("OutOfServiceState/Id", Boolean),
        property("OutOfServiceState/TransitionTime", UtcTime),
        variable("SilenceState", TwoStateVariableType, LocalizedText),
        property("SilenceState/Id", Boolean),
        property("SilenceState/TransitionTime", UtcTime),
        only(Of::Latched, variable("LatchedState", TwoStateVariableType, LocalizedText)),
        only(Of::Latched, property("LatchedState/Id", Boolean)),
        only(Of::Latched, property("LatchedState/TransitionTime", UtcTime)),
        // ShelvedStateMachineType (§5.8.17).
        Field {
            path: SHELVING,
            shape: Shape::Object(ObjectTypeId::ShelvedStateMachineType),
            data_type: DataTypeId::BaseDataType,
            list: false,
            own: false,
            of: Of::All,
        },
        variable("ShelvingState/CurrentState", FiniteStateVariableType, LocalizedText),
        property("ShelvingState/CurrentState/Id", DataTypeId::NodeId),
        variable("ShelvingState/LastTransition", FiniteTransitionVariableType, LocalizedText),
        property("ShelvingState/LastTransition/Id", DataTypeId::NodeId),
        property("ShelvingState/LastTransition/TransitionTime", UtcTime),
        property(UNSHELVE_TIME, Duration),
        only(Of::Bounded, property("MaxTimeShelved", Duration)),
        only(Of::Delayed, property("OnDelay", Duration)),
        only(Of::Released, property("OffDelay", Duration)),
        only(Of::Grouped, variable("FirstInGroupFlag", VariableTypeId::BaseDataVariableType, Boolean)),
        only(Of::ReAlarming, property("ReAlarmTime", Duration)),
        only(Of::ReAlarming, variable("ReAlarmRepeatCount", VariableTypeId::BaseDataVariableType, DataTypeId::Int16)),
        // LimitAlarmType (§5.8.18).
        only(Of::Limit(Level::HighHigh), property("HighHighLimit", Double)),
        only(Of::Limit(Level::High), property("HighLimit", Double)),
        only(Of::Limit(Level::Low), property("LowLimit", Double)),
        only(Of::Limit(Level::LowLow), property("LowLowLimit", Double)),
        // ExclusiveLimitAlarmType (§5.8.19).
        only(
            Of::Exclusive,
            Field {
                path: "LimitState",
                shape: Shape::Object(ObjectTypeId::ExclusiveLimitStateMachineType),
                data_type: DataTypeId::BaseDataType,
                list: false,
                own: false,
                of: Of::Exclusive,
            },
        ),
        only(Of::Exclusive, variable("LimitState/CurrentState", FiniteStateVariableType, LocalizedText)),
        only(Of::Exclusive, property("LimitState/CurrentState/Id", DataTypeId::NodeId)),
        only(Of::Exclusive, variable("LimitState/LastTransition", FiniteTransitionVariableType, LocalizedText)),
        only(Of::Exclusive, property("LimitState/LastTransition/Id", DataTypeId::NodeId)),
        only(Of::Exclusive, property("LimitState/LastTransition/TransitionTime", UtcTime)),
        // NonExclusiveLimitAlarmType (§5.8.20).
        only(Of::NonExclusive(Level::HighHigh), variable("HighHighState", TwoStateVariableType, LocalizedText)),
        only(Of::NonExclusive(Level::HighHigh), property("HighHighState/Id", Boolean)),
        only(Of::NonExclusive(Level::HighHigh), property("HighHighState/TransitionTime", UtcTime)),
        only(Of::NonExclusive(Level::High), variable("HighState", TwoStateVariableType, LocalizedText)),
        only(Of::NonExclusive(Level::High), property("HighState/Id", Boolean)),
        only(Of::NonExclusive(Level::High), property("HighState/TransitionTime", UtcTime)),
        only(Of::NonExclusive(Level::Low), variable("LowState", TwoStateVariableType, LocalizedText)),
        only(Of::NonExclusive(Level::Low), property("LowState/Id", Boolean)),
        only(Of::NonExclusive(Level::Low), property("LowState/TransitionTime", UtcTime)),
        only(Of::NonExclusive(Level::LowLow), variable("LowLowState", TwoStateVariableType, LocalizedText)),
        only(Of::NonExclusive(Level::LowLow), property("LowLowState/Id", Boolean)),
        only(Of::NonExclusive(Level::LowLow), property("LowLowState/TransitionTime", UtcTime)),
        // Mandatory properties of other subtypes.
        only(Of::Deviation, property("SetpointNode", DataTypeId::NodeId)),
        only(Of::OffNormal, property("NormalState", DataTypeId::NodeId)),
        only(Of::Discrepancy, property("TargetValueNode", DataTypeId::NodeId)),
        only(Of::Discrepancy, property("ExpectedTime", Duration)),
        // CertificateExpirationAlarmType (§5.8.25).
        only(Of::Certificates, property("ExpirationDate", UtcTime)),
        only(Of::Certificates, property("ExpirationLimit", Duration)),
        only(Of::Certificates, property("CertificateType", DataTypeId::NodeId)),
        only(Of::Certificates, property("Certificate", ByteString)),
        // Ours: why, and what to do.
        ours(property("Score", Double)),
        ours(property("Detector", String)),
        ours(property("Response", String)),
        ours(property("Cause", String)),
        ours(property("Consequence", String)),
        ours(property("RespondWithin", Duration)),
        ours(property("Chattering", Boolean)),
        ours(property("SuppressedBy", String)),
        ours(property("MarkedAs", String)),
        ours(property("OutOfServiceFrom", UtcTime)),
        ours(property("OutOfServiceUntil", UtcTime)),
        only(Of::Grouped, ours(property("Group", String))),
        ours(Field {
            path: PLAIN,
            shape: Shape::Object(ObjectTypeId::BaseObjectType),
            data_type: DataTypeId::BaseDataType,
            list: false,
            own: true,
            of: Of::All,
        }),
        plain("Values/Active", Boolean),
        plain("Values/Acknowledged", Boolean),
        plain("Values/Severity", UInt16),
        plain("Values/Message", String),
        plain("Values/Response", String),
        plain("Values/LastChange", UtcTime),
        plain("Values/Score", Double),
        plain("Values/Shelved", Boolean),
        // For SetpointNode (§5.8.22).
        only(Of::Expecting, ours(variable(EXPECTED, VariableTypeId::BaseAnalogType, Double))),
        only(Of::Expecting, property(EXPECTED_UNITS, DataTypeId::EUInformation)),
        // For NormalState (§5.8.24).
        only(Of::Normal, plain(NORMAL, Double)),
        plain("Values/EventId", ByteString),
        plain(ACKNOWLEDGE_REQUEST, ByteString),
        plain("Values/EventIdText", String),
        plain(ACKNOWLEDGE_REQUEST_TEXT, String),
    ]
};

/// The fields by their paths: looked for with each field of each event of each item.
static BY_PATH: LazyLock<HashMap<&str, &Field>> =
    LazyLock::new(|| FIELDS.iter().map(|field| (field.path, field)).collect());

/// The field at a path.
pub(crate) fn field(path: &str) -> Option<&'static Field> {
    BY_PATH.get(path).copied()
}

/// The fields of our own that events of alarms have, whatever their type is.
pub(crate) fn of_events() -> impl Iterator<Item = &'static Field> {
    FIELDS.iter().filter(|field| field.own && !field.plain())
}

/// Those of them that our own type declares as properties.
pub(crate) fn declared() -> impl Iterator<Item = &'static Field> {
    of_events().filter(|field| field.of == Of::All)
}

/// The type's node.
pub(crate) fn type_id(alarm: AlarmType) -> NodeId {
    match alarm {
        AlarmType::ExclusiveLevel => ObjectTypeId::ExclusiveLevelAlarmType.into(),
        AlarmType::ExclusiveRateOfChange => ObjectTypeId::ExclusiveRateOfChangeAlarmType.into(),
        AlarmType::ExclusiveDeviation => ObjectTypeId::ExclusiveDeviationAlarmType.into(),
        AlarmType::NonExclusiveLevel => ObjectTypeId::NonExclusiveLevelAlarmType.into(),
        AlarmType::NonExclusiveRateOfChange => ObjectTypeId::NonExclusiveRateOfChangeAlarmType.into(),
        AlarmType::NonExclusiveDeviation => ObjectTypeId::NonExclusiveDeviationAlarmType.into(),
        AlarmType::OffNormal => ObjectTypeId::OffNormalAlarmType.into(),
        AlarmType::Trip => ObjectTypeId::TripAlarmType.into(),
        AlarmType::Discrepancy => ObjectTypeId::DiscrepancyAlarmType.into(),
        AlarmType::SystemOffNormal => ObjectTypeId::SystemOffNormalAlarmType.into(),
        AlarmType::SystemDiagnostic => ObjectTypeId::SystemDiagnosticAlarmType.into(),
        AlarmType::CertificateExpiration => ObjectTypeId::CertificateExpirationAlarmType.into(),
        AlarmType::DeviceFailure => device_types::FAILURE.id(),
        AlarmType::DeviceCheckFunction => device_types::CHECK_FUNCTION.id(),
        AlarmType::DeviceOffSpec => device_types::OFF_SPEC.id(),
        AlarmType::DeviceMaintenanceRequired => device_types::MAINTENANCE_REQUIRED.id(),
        AlarmType::Alarm => ObjectTypeId::AlarmConditionType.into(),
        AlarmType::Statistical => own(STATISTICAL_TYPE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_has_its_parent_and_only_one_place() {
        for (at, one) in FIELDS.iter().enumerate() {
            assert!(one.parent().is_empty() || field(one.parent()).is_some(), "{}", one.path);
            assert_eq!(field(one.path), Some(one));
            assert_eq!(FIELDS.iter().position(|other| other.path == one.path), Some(at));
        }
        let known = |path: &&str| field(path).is_some();
        assert!(SUB_STATES.iter().all(|(whole, part)| known(whole) && known(part)));
    }
}
