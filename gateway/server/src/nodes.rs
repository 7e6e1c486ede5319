//! Nodes, computed from what there is to show: which one a NodeId means, and what its attributes are.

use std::sync::Arc;

use opcua::server::address_space::{AccessLevel, EventNotifier};
use opcua::types::{
    Argument, AttributeId, DataTypeId, DataValue, ExtensionObject, NodeClass, NodeId, ObjectTypeId, QualifiedName,
    StatusCode, VariableTypeId, Variant,
};
use watchfire_config::{Operation, Role};
use watchfire_model::{Instant, Kind, Sample};
use watchfire_pipeline::{AlarmFigures, Latest, OperatorConsole};
use watchfire_ua::{Kinds, data_type_of_kind, sample_to_data_value};

use crate::alarm_state::{ALARM_STATE, Summary, Summed};
use crate::condition_values;
use crate::counted::Counted;
use crate::detector_parts::{DetectorNode, DetectorPart};
use crate::device_types::{DEVICES, DeviceType};
use crate::fields::{self, ACKNOWLEDGE_REQUEST_TEXT, EXPECTED, Field, NORMAL, PLAIN, Shape};
use crate::method_table::{self, Method};
use crate::metrics::{self, Figure};
use crate::names::{
    AREA, BELOW, CONSOLE, CONSOLES, DETECTOR, DETECTORS, GROUP, GROUPS, METHOD, METRICS, METRICS_TYPE, SIGNAL, SOURCE,
    STATISTICAL_TYPE, SUPPRESSION, SUPPRESSIONS, below, browse_name, own, own_text, text,
};
use crate::permissions;
use crate::rights::{Rights, operation_of};
use crate::signal_parts::SignalPart;
use crate::space::{Condition, SignalNode, Space};
use crate::speech::Speech;
use crate::suppression::{HOLDS, SuppressionGroup};
use crate::tally::Tally;

/// EventNotifier of what tells events: they can be subscribed to, and read back.
pub(crate) const NOTIFIER: EventNotifier = EventNotifier::SUBSCRIBE_TO_EVENTS.union(EventNotifier::HISTORY_READ);

/// A node of our namespace.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    Area(Arc<str>),
    AreaPart(Arc<str>, AreaPart),
    Figure(Counted, &'static Figure),
    Consoles,
    /// An operator console: the object with the figures of its alarms.
    Console(Arc<OperatorConsole>),
    Signal(Arc<SignalNode>),
    SignalPart(Arc<SignalNode>, SignalPart),
    Source(Arc<str>),
    /// An AlarmStateVariableType variable, and its properties.
    AlarmState(Summed),
    Summary(Summed, Summary),
    Detectors,
    Detector(Arc<DetectorNode>),
    DetectorPart(Arc<DetectorNode>, DetectorPart),
    Groups,
    /// An AlarmGroupType object (OPC 10000-9 §5.8.3), shared by its members as their FirstInGroup.
    Group(Arc<str>),
    Suppressions,
    /// An AlarmSuppressionGroupType object (OPC 10000-9 §5.8.4), and its Boolean variable.
    Suppression(SuppressionGroup),
    Suppressing(SuppressionGroup),
    Condition(Arc<Condition>),
    Field(Arc<Condition>, &'static Field),
    Type,
    TypeField(&'static Field),
    /// The type of an area's or a console's figures, a subtype of AlarmMetricsType.
    MetricsType,
    MetricsTypeFigure(&'static Figure),
    /// A method of ours.
    Method(&'static Method),
    InputArguments(&'static Method),
    DeviceType(&'static DeviceType),
}

/// The property of a method that says what it takes.
const INPUT_ARGUMENTS: &str = "InputArguments";
/// What a group of alarms is called below a condition.
const FIRST: &str = "FirstInGroup";

/// What is below an area besides what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AreaPart {
    Alarms,
    AlarmValues,
    ActiveCount,
    UnacknowledgedCount,
    HighestSeverity,
    Metrics,
}

impl AreaPart {
    pub(crate) const ALL: [Self; 6] = [
        Self::Alarms,
        Self::AlarmValues,
        Self::ActiveCount,
        Self::UnacknowledgedCount,
        Self::HighestSeverity,
        Self::Metrics,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Alarms => "Alarms",
            Self::AlarmValues => "AlarmValues",
            Self::ActiveCount => "ActiveCount",
            Self::UnacknowledgedCount => "UnacknowledgedCount",
            Self::HighestSeverity => "HighestSeverity",
            Self::Metrics => METRICS,
        }
    }

    /// Its value and data type; `None` for the objects.
    pub(crate) fn value(self, tally: &Tally) -> Option<(DataTypeId, Variant)> {
        match self {
            Self::Alarms | Self::AlarmValues | Self::Metrics => None,
            Self::ActiveCount => Some((DataTypeId::UInt32, tally.active().into())),
            Self::UnacknowledgedCount => Some((DataTypeId::UInt32, tally.unacknowledged().into())),
            Self::HighestSeverity => Some((DataTypeId::UInt16, tally.highest_severity().into())),
        }
    }
}

/// What browsing says of a node.
#[derive(Clone, Debug)]
pub(crate) struct Description {
    pub id: NodeId,
    pub class: NodeClass,
    pub browse_name: QualifiedName,
    /// The text shown to people.
    pub display: String,
    /// Null for a type.
    pub type_definition: NodeId,
}

/// Where the values of variables come from that are not kept with the nodes.
pub(crate) struct Values<'a> {
    pub latest: &'a Latest,
    pub figures: &'a AlarmFigures,
    pub kinds: &'a Kinds,
    pub now: Instant,
}

impl Values<'_> {
    /// What a signal's values are, as far as is known.
    pub(crate) fn kind(&self, signal: &SignalNode) -> Kind {
        self.kinds.get(signal.id).unwrap_or(signal.kind)
    }
}

impl Node {
    /// The node that a NodeId means.
    pub(crate) fn of(space: &Space, id: &NodeId) -> Option<Self> {
        own_text(id).and_then(|name| Self::find(space, name)).or_else(|| DeviceType::find(id).map(Self::DeviceType))
    }

    /// The node that a string of our namespace means.
    pub(crate) fn find(space: &Space, name: &str) -> Option<Self> {
        if let Some(condition) = space.condition(name) {
            return Some(Self::Condition(condition.clone()));
        }
        if let Some(whole) = Self::find_whole(space, name) {
            return Some(whole);
        }
        let (owner, path) = name.rsplit_once(BELOW)?;
        if let Some(condition) = space.condition(owner) {
            let field = fields::field(path).filter(|field| condition.has(field))?;
            return Some(Self::Field(condition.clone(), field));
        }
        match Self::find_whole(space, owner)? {
            Self::Area(area) => {
                if let Some(figure) = path.strip_prefix(METRICS).and_then(|path| path.strip_prefix('/')) {
                    return metrics::figure(figure).map(|figure| Self::Figure(Counted::Area(area), figure));
                }
                let part = AreaPart::ALL.into_iter().find(|part| part.name() == path);
                part.map(|part| Self::AreaPart(area.clone(), part)).or_else(|| Summed::Area(area).find(path))
            }
            Self::Signal(signal) => {
                let part = SignalPart::of(&signal).find(|part| part.path() == path);
                part.map(|part| Self::SignalPart(signal.clone(), part))
                    .or_else(|| space.summed(&signal).and_then(|summed| summed.find(path)))
            }
            Self::Detector(detector) => DetectorPart::ALL
                .into_iter()
                .find(|part| part.name() == path)
                .map(|part| Self::DetectorPart(detector, part)),
            Self::Console(console) => {
                metrics::figure(path).map(|figure| Self::Figure(Counted::Console(console), figure))
            }
            Self::Suppression(group) => (path == HOLDS && group.has_variable()).then_some(Self::Suppressing(group)),
            Self::Method(method) => (path == INPUT_ARGUMENTS).then_some(Self::InputArguments(method)),
            Self::Type => fields::declared().find(|field| field.path == path).map(Self::TypeField),
            Self::MetricsType => metrics::declared().find(|figure| figure.path == path).map(Self::MetricsTypeFigure),
            _ => None,
        }
    }

    fn find_whole(space: &Space, name: &str) -> Option<Self> {
        if let Some(path) = name.strip_prefix(AREA) {
            space.areas.get_key_value(path).map(|(path, _)| Self::Area(path.clone()))
        } else if let Some(signal) = name.strip_prefix(SIGNAL) {
            space.signal(signal).map(|signal| Self::Signal(signal.clone()))
        } else if let Some(source) = name.strip_prefix(SOURCE) {
            space.sources.get_key_value(source).map(|(source, _)| Self::Source(source.clone()))
        } else if let Some(detector) = name.strip_prefix(DETECTOR) {
            space.detectors.get(detector).cloned().map(Self::Detector)
        } else if let Some(console) = name.strip_prefix(CONSOLE) {
            space.consoles.get(console).cloned().map(Self::Console)
        } else if let Some(method) = name.strip_prefix(METHOD) {
            method_table::own_method(method).map(Self::Method)
        } else if let Some(group) = name.strip_prefix(GROUP) {
            space.groups.get_key_value(group).map(|(group, _)| Self::Group(group.clone()))
        } else if let Some(group) = name.strip_prefix(SUPPRESSION) {
            SuppressionGroup::find(space, group).map(Self::Suppression)
        } else if name == SUPPRESSIONS {
            (!SuppressionGroup::all(space).is_empty()).then_some(Self::Suppressions)
        } else if name == GROUPS {
            space.groups.first_key_value().map(|_| Self::Groups)
        } else if name == CONSOLES {
            space.consoles.first_key_value().map(|_| Self::Consoles)
        } else if name == DETECTORS {
            space.detectors_in.is_some().then_some(Self::Detectors)
        } else {
            match name {
                STATISTICAL_TYPE => Some(Self::Type),
                METRICS_TYPE => Some(Self::MetricsType),
                _ => None,
            }
        }
    }

    pub(crate) fn id(&self) -> NodeId {
        match self {
            Self::Area(path) => own(&format!("{AREA}{path}")),
            Self::AreaPart(path, part) => below(&format!("{AREA}{path}"), part.name()),
            Self::Figure(counted, figure) => counted.figure_id(figure),
            Self::Consoles => own(CONSOLES),
            Self::Console(console) => own(&format!("{CONSOLE}{}", console.name)),
            Self::Signal(signal) => own(&format!("{SIGNAL}{}", signal.name)),
            Self::SignalPart(signal, part) => below(&format!("{SIGNAL}{}", signal.name), part.path()),
            Self::Source(name) => own(&format!("{SOURCE}{name}")),
            Self::AlarmState(summed) => summed.id(),
            Self::Summary(summed, summary) => summed.summary_id(*summary),
            Self::Detectors => own(DETECTORS),
            Self::Detector(detector) => own(&format!("{DETECTOR}{}", detector.name)),
            Self::DetectorPart(detector, part) => below(&format!("{DETECTOR}{}", detector.name), part.name()),
            Self::Groups => own(GROUPS),
            Self::Group(group) => own(&format!("{GROUP}{group}")),
            Self::Suppressions => own(SUPPRESSIONS),
            Self::Suppression(group) => group.id(),
            Self::Suppressing(group) => group.variable_id(),
            Self::Condition(condition) => own(condition.key()),
            Self::Field(condition, field) => below(condition.key(), field.path),
            Self::Type => own(STATISTICAL_TYPE),
            Self::TypeField(field) => below(STATISTICAL_TYPE, field.path),
            Self::MetricsType => own(METRICS_TYPE),
            Self::MetricsTypeFigure(figure) => below(METRICS_TYPE, figure.path),
            Self::Method(method) => method.node.id(),
            Self::InputArguments(method) => below(&format!("{METHOD}{}", method.name()), INPUT_ARGUMENTS),
            Self::DeviceType(device) => device.id(),
        }
    }

    pub(crate) fn description(&self) -> Description {
        let last = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
        let ours = |name: &str| browse_name(true, name);
        let (class, browse_name, display, type_definition): (_, _, String, NodeId) = match self {
            Self::Area(path) => (NodeClass::Object, ours(&last(path)), last(path), ObjectTypeId::FolderType.into()),
            Self::AreaPart(_, part) => {
                let (class, kind) = match part {
                    AreaPart::Alarms | AreaPart::AlarmValues => {
                        (NodeClass::Object, ObjectTypeId::BaseObjectType.into())
                    }
                    AreaPart::Metrics => (NodeClass::Object, own(METRICS_TYPE)),
                    AreaPart::ActiveCount | AreaPart::UnacknowledgedCount | AreaPart::HighestSeverity => {
                        (NodeClass::Variable, VariableTypeId::BaseDataVariableType.into())
                    }
                };
                (class, ours(part.name()), part.name().to_owned(), kind)
            }
            Self::Figure(_, figure) | Self::MetricsTypeFigure(figure) => {
                let name = figure.name();
                (NodeClass::Variable, browse_name(figure.own, name), name.to_owned(), figure.kind.into())
            }
            Self::Signal(signal) => {
                let kind = match signal.range {
                    Some(_) => VariableTypeId::AnalogItemType,
                    None => VariableTypeId::BaseDataVariableType,
                };
                (NodeClass::Variable, ours(&signal.name), signal.name.to_string(), kind.into())
            }
            Self::SignalPart(_, part) => {
                let (class, kind) = part.class();
                (class, QualifiedName::new(0, part.name()), part.name().to_owned(), kind)
            }
            Self::Source(name) => {
                (NodeClass::Object, ours(name), name.to_string(), ObjectTypeId::BaseObjectType.into())
            }
            Self::AlarmState(_) => {
                let kind = VariableTypeId::AlarmStateVariableType.into();
                (NodeClass::Variable, ours(ALARM_STATE), ALARM_STATE.to_owned(), kind)
            }
            Self::Summary(_, summary) => {
                let (name, kind) = (summary.name(), VariableTypeId::PropertyType.into());
                (NodeClass::Variable, browse_name(false, name), name.to_owned(), kind)
            }
            Self::Detectors => {
                (NodeClass::Object, ours("Detectors"), "Detectors".to_owned(), ObjectTypeId::FolderType.into())
            }
            Self::Detector(detector) => {
                let name = &detector.name;
                (NodeClass::Object, ours(name), name.to_string(), ObjectTypeId::BaseObjectType.into())
            }
            Self::DetectorPart(_, part) => {
                (NodeClass::Variable, ours(part.name()), part.name().to_owned(), VariableTypeId::PropertyType.into())
            }
            Self::Consoles => {
                (NodeClass::Object, ours("Consoles"), "Consoles".to_owned(), ObjectTypeId::FolderType.into())
            }
            Self::Console(console) => {
                (NodeClass::Object, ours(&console.name), console.title().to_owned(), own(METRICS_TYPE))
            }
            Self::Groups => {
                (NodeClass::Object, ours("AlarmGroups"), "AlarmGroups".to_owned(), ObjectTypeId::FolderType.into())
            }
            // The standard's name of it below a condition.
            Self::Group(group) => {
                (NodeClass::Object, browse_name(false, FIRST), group.to_string(), ObjectTypeId::AlarmGroupType.into())
            }
            Self::Suppressions => {
                let name = "SuppressionGroups";
                (NodeClass::Object, ours(name), name.to_owned(), ObjectTypeId::FolderType.into())
            }
            Self::Suppression(group) => {
                let kind = ObjectTypeId::AlarmSuppressionGroupType.into();
                (NodeClass::Object, ours(&group.name()), group.title(), kind)
            }
            Self::Suppressing(_) => {
                (NodeClass::Variable, ours(HOLDS), HOLDS.to_owned(), VariableTypeId::BaseDataVariableType.into())
            }
            Self::Condition(condition) => {
                let key = condition.key();
                (NodeClass::Object, ours(key), key.to_owned(), fields::type_id(condition.def.alarm_type))
            }
            Self::Field(condition, field) if field.path == PLAIN => {
                let key = condition.key();
                (NodeClass::Object, ours(key), key.to_owned(), ObjectTypeId::BaseObjectType.into())
            }
            Self::Field(_, field) | Self::TypeField(field) => {
                let (class, kind) = match field.shape {
                    Shape::Property => (NodeClass::Variable, VariableTypeId::PropertyType.into()),
                    Shape::Variable(kind) => (NodeClass::Variable, kind.into()),
                    Shape::Object(kind) => (NodeClass::Object, kind.into()),
                };
                (class, browse_name(field.own, field.name()), field.name().to_owned(), kind)
            }
            Self::Method(method) => (NodeClass::Method, ours(method.name()), method.name().to_owned(), NodeId::null()),
            Self::InputArguments(_) => {
                let kind = VariableTypeId::PropertyType.into();
                (NodeClass::Variable, browse_name(false, INPUT_ARGUMENTS), INPUT_ARGUMENTS.to_owned(), kind)
            }
            Self::DeviceType(device) => {
                let name = device.name;
                (NodeClass::ObjectType, QualifiedName::new(DEVICES, name), name.to_owned(), NodeId::null())
            }
            Self::Type => (NodeClass::ObjectType, ours(STATISTICAL_TYPE), STATISTICAL_TYPE.to_owned(), NodeId::null()),
            Self::MetricsType => (NodeClass::ObjectType, ours(METRICS_TYPE), METRICS_TYPE.to_owned(), NodeId::null()),
        };
        Description { id: self.id(), class, browse_name, display, type_definition }
    }

    /// Whether clients can subscribe to its events.
    pub(crate) const fn is_notifier(&self) -> bool {
        matches!(self, Self::Area(_) | Self::Source(_))
    }

    /// Whether its value changes as time goes by, without a change of a condition.
    pub(crate) fn moves(&self) -> bool {
        match self {
            Self::Figure(..) | Self::Suppressing(_) => true,
            Self::DetectorPart(_, part) => part.moves(),
            Self::Field(_, field) => field.moves(),
            _ => false,
        }
    }

    /// The value of a variable; `None` for what is none.
    pub(crate) fn value(&self, space: &Space, values: &Values<'_>) -> Option<DataValue> {
        match self {
            Self::Signal(signal) => Some(signal_value(signal, values)),
            Self::SignalPart(signal, part) => {
                part.value(signal, values.kind(signal)).map(|(_, value)| DataValue::new_now(value))
            }
            Self::AreaPart(path, part) => {
                let tally = &space.areas.get(path)?.tally;
                part.value(tally).map(|(_, value)| DataValue::new_now(value))
            }
            Self::AlarmState(summed) => Some(DataValue::new_now(summed.mask(space))),
            Self::Summary(summed, summary) => Some(DataValue::new_now(summed.summary(space, *summary))),
            Self::Figure(counted, figure) => Some(DataValue::new_now(counted.value(figure, values))),
            Self::Field(_, field) if matches!(field.shape, Shape::Object(_)) => None,
            Self::Field(condition, field) if field.path == NORMAL => {
                let value = condition_values::data_value(condition, field, values.now);
                Some(DataValue { value: condition.normal(normal_kind(condition, values)), ..value })
            }
            Self::Field(condition, field) => Some(condition_values::data_value(condition, field, values.now)),
            Self::TypeField(_) | Self::MetricsTypeFigure(_) => Some(DataValue::new_now(Variant::Empty)),
            Self::DetectorPart(detector, part) => Some(DataValue::new_now(part.value(detector, values))),
            Self::Suppressing(group) => Some(group.holds(space, values)),
            Self::InputArguments(method) => Some(DataValue::new_now(arguments(method))),
            Self::Area(_)
            | Self::Source(_)
            | Self::Detectors
            | Self::Detector(_)
            | Self::Consoles
            | Self::Console(_)
            | Self::Groups
            | Self::Group(_)
            | Self::Suppressions
            | Self::Suppression(_)
            | Self::Condition(_)
            | Self::DeviceType(_)
            | Self::Type
            | Self::MetricsType
            | Self::Method(_) => None,
        }
    }

    fn data_type(&self, values: &Values<'_>) -> NodeId {
        match self {
            Self::Signal(signal) => data_type_of_kind(values.kind(signal)).into(),
            Self::SignalPart(signal, part) => {
                part.value(signal, values.kind(signal)).map_or_else(NodeId::null, |(kind, _)| kind.into())
            }
            Self::AreaPart(_, part) => {
                part.value(&Tally::default()).map_or_else(|| DataTypeId::BaseDataType.into(), |(kind, _)| kind.into())
            }
            Self::AlarmState(_) => DataTypeId::AlarmMask.into(),
            Self::Summary(_, summary) => summary.data_type().into(),
            Self::Figure(_, figure) | Self::MetricsTypeFigure(figure) => figure.data_type.into(),
            Self::Field(condition, field) if field.path == NORMAL => {
                data_type_of_kind(normal_kind(condition, values)).into()
            }
            Self::Field(_, field) | Self::TypeField(field) => field.data_type.into(),
            Self::DetectorPart(_, part) => part.data_type().into(),
            Self::Suppressing(_) => DataTypeId::Boolean.into(),
            Self::InputArguments(_) => DataTypeId::Argument.into(),
            Self::Area(_)
            | Self::Source(_)
            | Self::Detectors
            | Self::Detector(_)
            | Self::Consoles
            | Self::Console(_)
            | Self::Groups
            | Self::Group(_)
            | Self::Suppressions
            | Self::Suppression(_)
            | Self::Condition(_)
            | Self::DeviceType(_)
            | Self::Type
            | Self::MetricsType
            | Self::Method(_) => NodeId::null(),
        }
    }

    /// 1 for an array, -1 for a single value.
    fn value_rank(&self) -> i32 {
        match self {
            Self::Field(_, field) | Self::TypeField(field) if field.list => 1,
            Self::InputArguments(_) => 1,
            _ => -1,
        }
    }

    /// An attribute (OPC 10000-3 §5.9); the value itself as [`Node::value`] has it.
    ///
    /// # Errors
    /// BadAttributeIdInvalid for one that nodes of this class do not have.
    pub(crate) fn attribute(
        &self,
        space: &Space,
        values: &Values<'_>,
        attribute: AttributeId,
        rights: &Rights<'_>,
    ) -> Result<DataValue, StatusCode> {
        let description = self.description();
        let variable = description.class == NodeClass::Variable;
        let value: Variant = match attribute {
            AttributeId::Value if variable => {
                return self.value(space, values).ok_or(StatusCode::BadAttributeIdInvalid);
            }
            AttributeId::NodeId => description.id.into(),
            AttributeId::NodeClass => (description.class as i32).into(),
            AttributeId::BrowseName => description.browse_name.into(),
            AttributeId::DisplayName => text(&description.display).into(),
            AttributeId::Description => text(&self.explanation()).into(),
            AttributeId::WriteMask | AttributeId::UserWriteMask => 0_u32.into(),
            AttributeId::IsAbstract if description.class == NodeClass::ObjectType => {
                matches!(self, Self::DeviceType(device) if device.is_abstract()).into()
            }
            AttributeId::EventNotifier if description.class == NodeClass::Object => {
                let notifier = if self.is_notifier() { NOTIFIER } else { EventNotifier::empty() };
                notifier.bits().into()
            }
            AttributeId::DataType if variable => self.data_type(values).into(),
            AttributeId::ValueRank if variable => self.value_rank().into(),
            AttributeId::ArrayDimensions if variable && self.value_rank() > 0 => vec![0_u32].into(),
            AttributeId::Executable if matches!(self, Self::Method(_)) => true.into(),
            AttributeId::AccessLevel if variable => self.access(true, true).into(),
            AttributeId::UserAccessLevel if variable => {
                self.access(rights.may(Operation::Acknowledge), rights.may(Operation::ReadHistory)).into()
            }
            AttributeId::UserExecutable if let Self::Method(method) = self => {
                rights.may(operation_of(method.kind)).into()
            }
            AttributeId::RolePermissions => permissions::of(self, Role::ALL.into_iter().collect(), rights),
            AttributeId::UserRolePermissions => permissions::of(self, rights.roles, rights),
            AttributeId::AccessLevelEx if variable => u32::from(self.access(true, true)).into(),
            AttributeId::MinimumSamplingInterval if variable => 0.0_f64.into(),
            AttributeId::Historizing if variable => matches!(self, Self::Signal(_)).into(),
            _ => return Err(StatusCode::BadAttributeIdInvalid),
        };
        Ok(DataValue::new_now(value))
    }

    /// An attribute as it is said in a language. Names stay as they are, as they do where nodes are browsed.
    pub(crate) fn spoken(&self, attribute: AttributeId, value: DataValue, speech: &Speech) -> DataValue {
        let field = match self {
            Self::Field(_, field) if attribute == AttributeId::Value => field.path,
            // What comes from elsewhere has its own languages.
            _ if attribute == AttributeId::Description => "",
            _ => return value,
        };
        DataValue { value: value.value.map(|value| speech.value(field, value)), ..value }
    }

    /// Whether it takes an EventId to acknowledge: of which condition, and as which field.
    pub(crate) fn takes_acknowledgement(&self) -> Option<(&Arc<Condition>, &'static Field)> {
        match self {
            Self::Field(condition, field) if field.is_request() => Some((condition, *field)),
            _ => None,
        }
    }

    fn access(&self, may_write: bool, may_read_history: bool) -> u8 {
        let write = may_write && self.takes_acknowledgement().is_some();
        let mut level = AccessLevel::CURRENT_READ;
        if write {
            level |= AccessLevel::CURRENT_WRITE;
        }
        if may_read_history && matches!(self, Self::Signal(_)) {
            level |= AccessLevel::HISTORY_READ;
        }
        level.bits()
    }

    fn explanation(&self) -> String {
        match self {
            Self::Signal(signal) => signal.description.to_string(),
            Self::Condition(condition) => condition.def.text.to_string(),
            Self::DetectorPart(_, part) => part.explanation().to_owned(),
            Self::Figure(_, figure) | Self::MetricsTypeFigure(figure) => figure.explanation.to_owned(),
            Self::AlarmState(_) => "Whether alarms are active, unacknowledged, unconfirmed.".to_owned(),
            Self::Console(console) => format!("The alarms of {}.", console.areas.join(", ")),
            Self::MetricsType => {
                "How the alarms of an area or an operator console are doing, by ISA-18.2 and EEMUA 191.".to_owned()
            }
            Self::Field(_, field) if field.path == ACKNOWLEDGE_REQUEST_TEXT => {
                "Write the EventIdText that was seen in order to acknowledge the alarm.".to_owned()
            }
            Self::Field(_, field) if field.is_request() => {
                "Write the EventId that was seen in order to acknowledge the alarm.".to_owned()
            }
            Self::Field(_, field) if field.path == EXPECTED => {
                "What was expected: the middle of the least and the most, or the one that is told.".to_owned()
            }
            Self::Field(_, field) if field.path == NORMAL => "The value that is normal.".to_owned(),
            Self::Method(method) => method.explanation().to_owned(),
            Self::DeviceType(device) => device.explanation.to_owned(),
            Self::Type => "A finding that was learned from data.".to_owned(),
            Self::Group(_) => "Alarms that have one cause; the first of them is marked.".to_owned(),
            Self::Suppression(group) => group.explanation(),
            Self::Suppressing(group) => group.meaning(),
            _ => String::new(),
        }
    }
}

/// InputArguments of a method.
fn arguments(method: &Method) -> Variant {
    let argument = |(name, kind, explanation): (&str, DataTypeId, &str)| Argument {
        name: name.into(),
        data_type: kind.into(),
        value_rank: -1,
        array_dimensions: None,
        description: text(explanation),
    };
    let all: Vec<ExtensionObject> =
        method.arguments.declared().into_iter().map(|one| ExtensionObject::from_message(argument(one))).collect();
    all.into()
}

/// What the value that is normal is: as the values of the signal that it is compared with, where that is one.
fn normal_kind(condition: &Condition, values: &Values<'_>) -> Kind {
    let kind = condition.signal.as_ref().map(|signal| values.kind(signal));
    kind.filter(|kind| !kind.is_text() && *kind != Kind::Time).unwrap_or(Kind::Real)
}

/// The latest sample of a signal.
pub(crate) fn signal_value(signal: &SignalNode, values: &Values<'_>) -> DataValue {
    value_of(values.latest.get(signal.id).as_ref(), values.kind(signal))
}

/// A sample of a signal, if there is one yet; a bad status goes without a value, so that clients notice it whatever they
/// compare.
pub(crate) fn value_of(sample: Option<&Sample>, kind: Kind) -> DataValue {
    let Some(sample) = sample else {
        return DataValue { status: Some(StatusCode::BadWaitingForInitialData), ..DataValue::default() };
    };
    let mut value = sample_to_data_value(sample, kind);
    if sample.status.is_bad() {
        value.value = None;
    }
    value
}
