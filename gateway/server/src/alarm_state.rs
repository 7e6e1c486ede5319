//! The alarms of an area or of a signal summed up in one variable (AlarmStateVariableType, OPC 10000-9 §8.2), for clients
//! that read values alone. Counts what everybody sees: enabled, and neither suppressed nor shelved nor out of service.

use std::sync::Arc;

use opcua::types::{
    AttributeId, ContentFilter, ContentFilterElement, DataTypeId, ExtensionObject, FilterOperator, NodeId,
    ObjectTypeId, Operand, QualifiedName, SimpleAttributeOperand, Variant,
};

use crate::names::{AREA, SIGNAL, below};
use crate::nodes::Node;
use crate::space::{SignalNode, Space};
use crate::tally::Tally;

/// Its name below an area or a signal.
pub(crate) const ALARM_STATE: &str = "AlarmState";

/// Whose alarms.
#[derive(Clone, Debug)]
pub(crate) enum Summed {
    /// Those of an area and of all below it.
    Area(Arc<str>),
    /// Those about a signal, of which there is one at least.
    Signal(Arc<SignalNode>),
}

/// A property of the variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Summary {
    HighestActiveSeverity,
    HighestUnackSeverity,
    ActiveCount,
    UnacknowledgedCount,
    UnconfirmedCount,
    Filter,
}

impl Summed {
    pub(crate) fn node(&self) -> Node {
        match self {
            Self::Area(path) => Node::Area(path.clone()),
            Self::Signal(signal) => Node::Signal(signal.clone()),
        }
    }

    pub(crate) fn id(&self) -> NodeId {
        self.below(ALARM_STATE)
    }

    pub(crate) fn summary_id(&self, summary: Summary) -> NodeId {
        self.below(&format!("{ALARM_STATE}/{}", summary.name()))
    }

    fn below(&self, path: &str) -> NodeId {
        match self {
            Self::Area(area) => below(&format!("{AREA}{area}"), path),
            Self::Signal(signal) => below(&format!("{SIGNAL}{}", signal.name), path),
        }
    }

    /// The node that a path below its owner means, if it is one of these.
    pub(crate) fn find(self, path: &str) -> Option<Node> {
        let rest = path.strip_prefix(ALARM_STATE)?;
        if rest.is_empty() {
            return Some(Node::AlarmState(self));
        }
        let name = rest.strip_prefix('/')?;
        Summary::ALL.into_iter().find(|of| of.name() == name).map(|of| Node::Summary(self, of))
    }

    /// What the counts say: of an area those that are kept, of a signal those of its few conditions.
    fn ask<T>(&self, space: &Space, question: impl FnOnce(&Tally) -> T) -> T {
        match self {
            Self::Area(path) => match space.areas.get(path) {
                Some(area) => question(&area.tally),
                None => question(&Tally::default()),
            },
            Self::Signal(signal) => {
                let mut tally = Tally::default();
                let conditions = space.conditions_of(signal.id).iter();
                conditions.filter_map(|place| space.condition_at(*place)).for_each(|one| tally.enter(&one.state));
                question(&tally)
            }
        }
    }

    /// The value of the variable: an AlarmMask (OPC 10000-9 §8.3).
    pub(crate) fn mask(&self, space: &Space) -> Variant {
        self.ask(space, |tally| {
            let bit = |is_set: bool, place: u16| u16::from(is_set) << place;
            let (active, unacknowledged) = (tally.active() > 0, tally.unacknowledged() > 0);
            (bit(active, 0) | bit(unacknowledged, 1) | bit(tally.unconfirmed() > 0, 2)).into()
        })
    }

    /// The value of one of its properties.
    pub(crate) fn summary(&self, space: &Space, summary: Summary) -> Variant {
        self.ask(space, |tally| summary.value(tally))
    }
}

impl Summary {
    pub(crate) const ALL: [Self; 6] = [
        Self::HighestActiveSeverity,
        Self::HighestUnackSeverity,
        Self::ActiveCount,
        Self::UnacknowledgedCount,
        Self::UnconfirmedCount,
        Self::Filter,
    ];

    /// Its BrowseName, in the standard's namespace.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::HighestActiveSeverity => "HighestActiveSeverity",
            Self::HighestUnackSeverity => "HighestUnackSeverity",
            Self::ActiveCount => "ActiveCount",
            Self::UnacknowledgedCount => "UnacknowledgedCount",
            Self::UnconfirmedCount => "UnconfirmedCount",
            Self::Filter => "Filter",
        }
    }

    pub(crate) const fn data_type(self) -> DataTypeId {
        match self {
            Self::HighestActiveSeverity | Self::HighestUnackSeverity => DataTypeId::UInt16,
            Self::ActiveCount | Self::UnacknowledgedCount | Self::UnconfirmedCount => DataTypeId::UInt32,
            Self::Filter => DataTypeId::ContentFilter,
        }
    }

    fn value(self, tally: &Tally) -> Variant {
        match self {
            Self::HighestActiveSeverity => tally.highest_severity().into(),
            Self::HighestUnackSeverity => tally.highest_unacknowledged().into(),
            Self::ActiveCount => tally.active().into(),
            Self::UnacknowledgedCount => tally.unacknowledged().into(),
            Self::UnconfirmedCount => tally.unconfirmed().into(),
            Self::Filter => ExtensionObject::from_message(filter()).into(),
        }
    }
}

/// What is counted, as a client would ask for the same events: SuppressedOrShelved is false.
fn filter() -> ContentFilter {
    let field = SimpleAttributeOperand {
        type_definition_id: ObjectTypeId::AlarmConditionType.into(),
        browse_path: Some(vec![QualifiedName::new(0, "SuppressedOrShelved")]),
        attribute_id: AttributeId::Value as u32,
        ..SimpleAttributeOperand::default()
    };
    let operands = [Operand::SimpleAttributeOperand(field), Operand::literal(false)];
    let element = ContentFilterElement {
        filter_operator: FilterOperator::Equals,
        filter_operands: Some(operands.into_iter().map(Into::into).collect()),
    };
    ContentFilter { elements: Some(vec![element]) }
}
