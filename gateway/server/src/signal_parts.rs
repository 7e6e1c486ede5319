//! What hangs below a watched signal: range and unit (OPC 10000-8 §5.3.2), and how its history is to be read
//! (OPC 10000-11 §5.2.2).

use opcua::types::{
    DataTypeId, EUInformation, ExtensionObject, NodeClass, NodeId, ObjectTypeId, Range, ReferenceTypeId,
    VariableTypeId, Variant,
};
use watchfire_model::Kind;

use crate::names::text;
use crate::space::SignalNode;

/// Whose unit codes ours are.
const UCUM_URI: &str = "http://unitsofmeasure.org";

/// EngineeringUnits of a UCUM unit code (OPC 10000-8 §5.6.3).
pub(crate) fn engineering_units(unit: &str) -> Variant {
    let information = EUInformation {
        namespace_uri: UCUM_URI.into(),
        unit_id: -1,
        display_name: text(unit),
        description: text(unit),
    };
    ExtensionObject::from_message(information).into()
}

/// A node below a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignalPart {
    EuRange,
    EngineeringUnits,
    HaConfiguration,
    Stepped,
    AggregateConfiguration,
    TreatUncertainAsBad,
    PercentDataBad,
    PercentDataGood,
    UseSlopedExtrapolation,
}

const ALL: [SignalPart; 9] = [
    SignalPart::EuRange,
    SignalPart::EngineeringUnits,
    SignalPart::HaConfiguration,
    SignalPart::Stepped,
    SignalPart::AggregateConfiguration,
    SignalPart::TreatUncertainAsBad,
    SignalPart::PercentDataBad,
    SignalPart::PercentDataGood,
    SignalPart::UseSlopedExtrapolation,
];

impl SignalPart {
    /// Its place below the signal.
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::EuRange => "EURange",
            Self::EngineeringUnits => "EngineeringUnits",
            Self::HaConfiguration => "HA Configuration",
            Self::Stepped => "HA Configuration/Stepped",
            Self::AggregateConfiguration => "HA Configuration/AggregateConfiguration",
            Self::TreatUncertainAsBad => "HA Configuration/AggregateConfiguration/TreatUncertainAsBad",
            Self::PercentDataBad => "HA Configuration/AggregateConfiguration/PercentDataBad",
            Self::PercentDataGood => "HA Configuration/AggregateConfiguration/PercentDataGood",
            Self::UseSlopedExtrapolation => "HA Configuration/AggregateConfiguration/UseSlopedExtrapolation",
        }
    }

    /// Its BrowseName, in the standard's namespace.
    pub(crate) fn name(self) -> &'static str {
        self.path().rsplit('/').next().unwrap_or_default()
    }

    /// What it hangs below; `None` for the signal itself.
    pub(crate) fn parent(self) -> Option<Self> {
        let (parent, _) = self.path().rsplit_once('/')?;
        ALL.into_iter().find(|part| part.path() == parent)
    }

    /// How it hangs there.
    pub(crate) const fn reference(self) -> ReferenceTypeId {
        match self {
            Self::HaConfiguration => ReferenceTypeId::HasHistoricalConfiguration,
            Self::AggregateConfiguration => ReferenceTypeId::HasComponent,
            _ => ReferenceTypeId::HasProperty,
        }
    }

    /// Its class and type definition.
    pub(crate) fn class(self) -> (NodeClass, NodeId) {
        match self {
            Self::HaConfiguration => (NodeClass::Object, ObjectTypeId::HistoricalDataConfigurationType.into()),
            Self::AggregateConfiguration => (NodeClass::Object, ObjectTypeId::AggregateConfigurationType.into()),
            _ => (NodeClass::Variable, VariableTypeId::PropertyType.into()),
        }
    }

    /// The parts that a signal has.
    pub(crate) fn of(signal: &SignalNode) -> impl Iterator<Item = Self> + '_ {
        ALL.into_iter().filter(|part| match part {
            Self::EuRange => signal.range.is_some(),
            Self::EngineeringUnits => signal.unit.is_some(),
            _ => true,
        })
    }

    /// Its value and data type; `None` for the objects. `kind` is what the signal's values are.
    pub(crate) fn value(self, signal: &SignalNode, kind: Kind) -> Option<(DataTypeId, Variant)> {
        Some(match self {
            Self::EuRange => {
                let (low, high) = signal.range.unwrap_or_default();
                (DataTypeId::Range, ExtensionObject::from_message(Range { low, high }).into())
            }
            Self::EngineeringUnits => {
                (DataTypeId::EUInformation, engineering_units(signal.unit.as_deref().unwrap_or_default()))
            }
            Self::HaConfiguration | Self::AggregateConfiguration => return None,
            Self::Stepped => (DataTypeId::Boolean, (kind != Kind::Real).into()),
            Self::TreatUncertainAsBad => (DataTypeId::Boolean, true.into()),
            Self::PercentDataBad | Self::PercentDataGood => (DataTypeId::Byte, 100_u8.into()),
            Self::UseSlopedExtrapolation => (DataTypeId::Boolean, false.into()),
        })
    }
}
