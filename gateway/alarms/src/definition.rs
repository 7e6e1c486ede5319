//! What a condition is, as opposed to how it stands: fixed while its detector's configuration is.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use watchfire_model::{AlarmClass, ConditionKey, DeviceHealth, Limits, PlannedMaintenance, Scope, Severity, SignalId};

/// The role of a signal whose value is normal.
const NORMAL: &str = "normal";

/// The OPC UA alarm types in use (OPC 10000-9 §5.8). They are kept on disks by their places in this list: a new one is added
/// at its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AlarmType {
    /// ExclusiveLevelAlarmType: limits, one at a time.
    ExclusiveLevel,
    /// ExclusiveRateOfChangeAlarmType.
    ExclusiveRateOfChange,
    /// ExclusiveDeviationAlarmType: departs from an expected value.
    ExclusiveDeviation,
    /// NonExclusiveLevelAlarmType: limits, each with a state of its own.
    NonExclusiveLevel,
    /// NonExclusiveRateOfChangeAlarmType.
    NonExclusiveRateOfChange,
    /// NonExclusiveDeviationAlarmType.
    NonExclusiveDeviation,
    /// OffNormalAlarmType: a discrete value is not what it should be.
    OffNormal,
    /// TripAlarmType.
    Trip,
    /// DiscrepancyAlarmType: an action is missing within its time.
    Discrepancy,
    /// SystemOffNormalAlarmType: a source is lost.
    SystemOffNormal,
    /// SystemDiagnosticAlarmType: the gateway's own faults.
    SystemDiagnostic,
    /// CertificateExpirationAlarmType: certificates run out.
    CertificateExpiration,
    /// FailureAlarmType of OPC 10000-100 §4.12 (NE 107): an instrument has failed.
    DeviceFailure,
    /// CheckFunctionAlarmType: it is being worked on or checked.
    DeviceCheckFunction,
    /// OffSpecAlarmType: it works outside of its specification.
    DeviceOffSpec,
    /// MaintenanceRequiredAlarmType: it will need maintenance soon.
    DeviceMaintenanceRequired,
    /// AlarmConditionType itself: of one that is no longer configured, so that nobody knows which it was.
    Alarm,
    /// The gateway's own subtype of AlarmConditionType for learned findings.
    #[default]
    Statistical,
}

impl AlarmType {
    /// From the BrowseName that a plugin gives, or the word of NE 107; `None` for a type that is not offered to plugins.
    #[must_use]
    pub fn from_browse_name(name: &str) -> Option<Self> {
        Some(match name {
            "ExclusiveLevelAlarmType" => Self::ExclusiveLevel,
            "ExclusiveRateOfChangeAlarmType" => Self::ExclusiveRateOfChange,
            "ExclusiveDeviationAlarmType" => Self::ExclusiveDeviation,
            "NonExclusiveLevelAlarmType" => Self::NonExclusiveLevel,
            "NonExclusiveRateOfChangeAlarmType" => Self::NonExclusiveRateOfChange,
            "NonExclusiveDeviationAlarmType" => Self::NonExclusiveDeviation,
            "OffNormalAlarmType" => Self::OffNormal,
            "TripAlarmType" => Self::Trip,
            "DiscrepancyAlarmType" => Self::Discrepancy,
            "StatisticalAlarmType" => Self::Statistical,
            "FailureAlarmType" | "failure" => Self::DeviceFailure,
            "CheckFunctionAlarmType" | "check-function" => Self::DeviceCheckFunction,
            "OffSpecAlarmType" | "off-spec" => Self::DeviceOffSpec,
            "MaintenanceRequiredAlarmType" | "maintenance-required" => Self::DeviceMaintenanceRequired,
            _ => return None,
        })
    }

    /// The same limit alarm with one state for all limits, or with one for each; any other type as it is.
    #[must_use]
    pub const fn exclusive(self, exclusive: bool) -> Self {
        match (self, exclusive) {
            (Self::ExclusiveLevel | Self::NonExclusiveLevel, true) => Self::ExclusiveLevel,
            (Self::ExclusiveLevel | Self::NonExclusiveLevel, false) => Self::NonExclusiveLevel,
            (Self::ExclusiveRateOfChange | Self::NonExclusiveRateOfChange, true) => Self::ExclusiveRateOfChange,
            (Self::ExclusiveRateOfChange | Self::NonExclusiveRateOfChange, false) => Self::NonExclusiveRateOfChange,
            (Self::ExclusiveDeviation | Self::NonExclusiveDeviation, true) => Self::ExclusiveDeviation,
            (Self::ExclusiveDeviation | Self::NonExclusiveDeviation, false) => Self::NonExclusiveDeviation,
            (other, _) => other,
        }
    }

    /// The role of the signal that such an alarm is held against, if its detector watches one.
    #[must_use]
    pub const fn role_against(self) -> Option<&'static str> {
        match self {
            deviation if deviation.is_deviation() => Some("setpoint"),
            Self::Discrepancy => Some("target"),
            Self::OffNormal | Self::Trip => Some(NORMAL),
            _ => None,
        }
    }

    /// Whether it tells that something departs from what was expected.
    #[must_use]
    pub const fn is_deviation(self) -> bool {
        matches!(self, Self::ExclusiveDeviation | Self::NonExclusiveDeviation)
    }

    /// Whether it tells of the health of an instrument.
    #[must_use]
    pub const fn is_of_device(self) -> bool {
        matches!(
            self,
            Self::DeviceFailure | Self::DeviceCheckFunction | Self::DeviceOffSpec | Self::DeviceMaintenanceRequired
        )
    }

    /// Whether it is a limit alarm with one state for all limits.
    #[must_use]
    pub const fn is_exclusive(self) -> bool {
        matches!(self, Self::ExclusiveLevel | Self::ExclusiveRateOfChange | Self::ExclusiveDeviation)
    }

    /// Whether it is a limit alarm with a state for each limit.
    #[must_use]
    pub const fn is_non_exclusive(self) -> bool {
        matches!(self, Self::NonExclusiveLevel | Self::NonExclusiveRateOfChange | Self::NonExclusiveDeviation)
    }
}

/// Condition classes (OPC 10000-9 §5.9). They are kept on disks by their places in this list: a new one is added at its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ConditionClass {
    /// ProcessConditionClassType.
    #[default]
    Process,
    /// SystemConditionClassType.
    System,
    /// StatisticalConditionClassType.
    Statistical,
    /// MaintenanceConditionClassType.
    Maintenance,
    /// HighlyManagedAlarmConditionClassType: the gateway never suppresses it of its own accord.
    HighlyManaged,
    /// SafetyConditionClassType.
    Safety,
    /// TrainingConditionClassType.
    Training,
    /// TestingConditionClassType.
    Testing,
    /// BaseConditionClassType: of one that is no longer configured, so that nobody knows which it was.
    Unclassified,
}

impl From<DeviceHealth> for AlarmType {
    fn from(health: DeviceHealth) -> Self {
        match health {
            DeviceHealth::Failure => Self::DeviceFailure,
            DeviceHealth::CheckFunction => Self::DeviceCheckFunction,
            DeviceHealth::OffSpec => Self::DeviceOffSpec,
            DeviceHealth::MaintenanceRequired => Self::DeviceMaintenanceRequired,
        }
    }
}

impl From<AlarmClass> for ConditionClass {
    fn from(class: AlarmClass) -> Self {
        match class {
            AlarmClass::Process => Self::Process,
            AlarmClass::Maintenance => Self::Maintenance,
            AlarmClass::Statistical => Self::Statistical,
            AlarmClass::HighlyManaged => Self::HighlyManaged,
            AlarmClass::Safety => Self::Safety,
            AlarmClass::Training => Self::Training,
            AlarmClass::Testing => Self::Testing,
        }
    }
}

/// How the alarms of a condition behave in time and beside each other (OPC 10000-9 §5.8.2), and what was settled of
/// them when they were rationalised (ISA-18.2 §9). The default is the plain alarm: at once, without end, alone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    /// OnDelay: for so long a finding must stand before it is an alarm.
    pub on_delay: Option<Duration>,
    /// OffDelay: for so long it must be gone before the alarm ends.
    pub off_delay: Option<Duration>,
    /// ReAlarmTime: an alarm that still stands after it is one anew.
    pub re_alarm: Option<Duration>,
    /// MaxTimeShelved.
    pub max_shelve: Option<Duration>,
    /// LatchedState: once active it stays in the list until somebody resets it.
    pub latch: bool,
    /// Whether a chattering alarm stays active until it was quiet for a minute.
    pub damp: bool,
    /// The group it belongs to.
    pub group: Option<Group>,
    /// How many alarms its detector may tell in ten minutes, where somebody counts them. The engine does not.
    pub budget: Option<u32>,
    /// What may have caused it; may be empty.
    pub cause: String,
    /// What happens if nobody does anything; may be empty.
    pub consequence: String,
    /// The time in which somebody must have done something.
    pub respond_within: Option<Duration>,
    /// The operating modes in which whoever owns the engine suppresses it. The engine knows none.
    pub suppress_in_modes: Vec<u32>,
    /// The name of the signal that it is held against, where its detector watches one: the setpoint of a deviation, the
    /// target of a discrepancy, the normal state of what is off normal.
    pub against: Option<Arc<str>>,
    /// The value that is normal, of what is off normal; as far as that is settled.
    pub normal: Option<f64>,
    /// ExpectedTime: within it the target of a discrepancy is to be reached; as far as that is settled.
    pub expected_time: Option<Duration>,
    /// Further classes that it is of.
    pub sub_classes: Vec<ConditionClass>,
    /// The limits by which its detector judges, where it tells them.
    pub limits: Limits,
    /// When it is out of service, as far as that is settled.
    pub maintenance: Vec<PlannedMaintenance>,
}

/// Alarms that have one cause (OPC 10000-9 §5.8.2, FirstInGroup).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: Arc<str>,
    /// Whether those that follow the first are suppressed while it lasts, as far as they are no more severe.
    pub first_only: bool,
}

/// A condition instance: what it is and where it belongs. What the instances of one condition have in common they
/// share: each has some 130 bytes and its key.
#[derive(Clone, Debug, PartialEq)]
pub struct ConditionDef {
    /// Its name for ever.
    pub key: ConditionKey,
    /// The area whose alarm list it is in; parts separated by `/`.
    pub area: Arc<str>,
    /// What it is about: a signal's name, a source's or a detector's.
    pub source_name: Arc<str>,
    /// The signal it is about, for conditions of one signal.
    pub signal: Option<SignalId>,
    /// For what there is one instance.
    pub scope: Scope,
    /// Its type.
    pub alarm_type: AlarmType,
    /// Its class.
    pub class: ConditionClass,
    /// Severity while active.
    pub severity: Severity,
    /// What it means, one sentence.
    pub text: Arc<str>,
    /// What the operator should do.
    pub response: Arc<str>,
    /// Whether an acknowledged alarm must be confirmed as well.
    pub confirm: bool,
    /// Who finds it: plugin, version and digest, for people.
    pub detector: Arc<str>,
    /// How its alarms behave.
    pub rules: Arc<Rules>,
}

impl ConditionDef {
    /// Whether what is found of it is an alarm: only where somebody has settled what to do about it (ISA-18.2 §9). The
    /// engine does not ask; whoever owns it defines no other.
    #[must_use]
    pub fn is_alarm(&self) -> bool {
        !self.response.trim().is_empty()
    }

    /// Whether it tells of a departure from what its detector expects, and no signal that it watches is that.
    #[must_use]
    pub fn is_of_expectation(&self) -> bool {
        self.alarm_type.is_deviation() && self.rules.against.is_none()
    }

    /// Whether it is off normal from a value that was settled, and from that of no signal.
    #[must_use]
    pub fn has_normal_value(&self) -> bool {
        self.alarm_type.role_against() == Some(NORMAL) && self.rules.normal.is_some() && self.rules.against.is_none()
    }

    /// The sources that it rests on, of those of its detector: one of one signal on that signal's, any other on all.
    pub fn rests_on<'s>(&self, sources: &'s [Arc<str>]) -> impl Iterator<Item = &'s Arc<str>> {
        sources.iter().filter(|source| match self.scope {
            Scope::Signal => self.source_name.strip_prefix(&***source).is_some_and(|rest| rest.starts_with('/')),
            Scope::Group | Scope::Binding => true,
        })
    }

    /// Whether the gateway never suppresses it of its own accord, by its class or one of its further classes.
    #[must_use]
    pub fn is_highly_managed(&self) -> bool {
        let managed = ConditionClass::HighlyManaged;
        self.class == managed || self.rules.sub_classes.contains(&managed)
    }
}
