//! The alarm types of instrument health by NE 107 (OPC 10000-100 §4.12), as nodes of their own namespace with the ids that
//! every server gives them. Nothing else of that namespace is served.

use opcua::types::{Identifier, NodeId};

/// The URI of the namespace for devices.
pub(crate) const DEVICES_URI: &str = "http://opcfoundation.org/UA/DI/";
/// Its index here: after our own.
pub(crate) const DEVICES: u16 = 3;

/// A type of that namespace.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DeviceType {
    pub number: u32,
    pub name: &'static str,
    pub explanation: &'static str,
}

/// What the others are derived from; abstract, a subtype of InstrumentDiagnosticAlarmType.
pub(crate) static HEALTH: DeviceType = DeviceType {
    number: 15_143,
    name: "DeviceHealthDiagnosticAlarmType",
    explanation: "An instrument is not as it should be.",
};
/// NE 107 failure.
pub(crate) static FAILURE: DeviceType = DeviceType {
    number: 15_292,
    name: "FailureAlarmType",
    explanation: "An instrument has failed: what it says is not valid.",
};
/// NE 107 check function.
pub(crate) static CHECK_FUNCTION: DeviceType = DeviceType {
    number: 15_441,
    name: "CheckFunctionAlarmType",
    explanation: "An instrument is being worked on or checked: what it says is not valid for a time.",
};
/// NE 107 out of specification.
pub(crate) static OFF_SPEC: DeviceType = DeviceType {
    number: 15_590,
    name: "OffSpecAlarmType",
    explanation: "An instrument works outside of its specification: what it says is uncertain.",
};
/// NE 107 maintenance required.
pub(crate) static MAINTENANCE_REQUIRED: DeviceType = DeviceType {
    number: 15_739,
    name: "MaintenanceRequiredAlarmType",
    explanation: "An instrument will soon need maintenance: what it says is valid still.",
};

impl DeviceType {
    /// Those that an alarm can have.
    pub(crate) fn of_alarms() -> [&'static Self; 4] {
        [&FAILURE, &CHECK_FUNCTION, &OFF_SPEC, &MAINTENANCE_REQUIRED]
    }

    /// All of them, the one that the others are derived from first.
    pub(crate) fn all() -> impl Iterator<Item = &'static Self> {
        std::iter::once(&HEALTH).chain(Self::of_alarms())
    }

    /// The type that a NodeId means.
    pub(crate) fn find(id: &NodeId) -> Option<&'static Self> {
        match id.identifier {
            Identifier::Numeric(number) if id.namespace == DEVICES => Self::all().find(|one| one.number == number),
            _ => None,
        }
    }

    pub(crate) fn id(&self) -> NodeId {
        NodeId::new(DEVICES, self.number)
    }

    /// Whether no alarm has it.
    pub(crate) fn is_abstract(&self) -> bool {
        self == &HEALTH
    }
}
