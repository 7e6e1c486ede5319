//! How nodes hang together: Server and Objects over areas, areas over signals and alarms, signals over conditions.
//! References into the standard's namespace name their target only; whoever browses asks the core for the rest.

mod suppressed;

use std::sync::Arc;

use opcua::types::{MethodId, NodeId, ObjectId, ObjectTypeId, ReferenceTypeId, VariableTypeId};
use watchfire_aggregates::Aggregate;

use crate::alarm_state::{Summary, Summed};
use crate::counted::Counted;
use crate::detector_parts::DetectorPart;
use crate::device_types::{DeviceType, HEALTH};
use crate::fields::{self, FIELDS, PLAIN, SHELVING, SUB_STATES, Shape};
use crate::method_table::{self, Method, MethodNode};
use crate::metrics::{self, FIGURES, Figure};
use crate::nodes::{AreaPart, Node};
use crate::signal_parts::SignalPart;
use crate::space::{Area, Condition, Place, SignalNode, Space};
use crate::suppression::SuppressionGroup;

/// A reference, seen from one end.
#[derive(Debug)]
pub(crate) struct Reference {
    pub kind: ReferenceTypeId,
    pub forward: bool,
    pub target: Target,
}

/// The other end.
#[derive(Debug)]
pub(crate) enum Target {
    Own(Node),
    /// A node of the standard's namespace.
    Core(NodeId),
}

/// Collects references.
#[derive(Default)]
struct List(Vec<Reference>);

impl List {
    fn leads_to(&mut self, kind: ReferenceTypeId, node: Node) {
        self.0.push(Reference { kind, forward: true, target: Target::Own(node) });
    }

    fn comes_from(&mut self, kind: ReferenceTypeId, node: Node) {
        self.0.push(Reference { kind, forward: false, target: Target::Own(node) });
    }

    fn leads_to_core(&mut self, kind: ReferenceTypeId, id: impl Into<NodeId>) {
        self.0.push(Reference { kind, forward: true, target: Target::Core(id.into()) });
    }

    fn has_method(&mut self, method: &'static Method) {
        match method.node {
            MethodNode::Standard(id) => self.leads_to_core(ReferenceTypeId::HasComponent, id),
            MethodNode::Own(_) => self.leads_to(ReferenceTypeId::HasComponent, Node::Method(method)),
        }
    }

    fn comes_from_core(&mut self, kind: ReferenceTypeId, id: impl Into<NodeId>) {
        self.0.push(Reference { kind, forward: false, target: Target::Core(id.into()) });
    }
}

/// Where servers list the aggregates that they compute (OPC 10000-13 §4.2.1).
const AGGREGATES: [ObjectId; 2] =
    [ObjectId::HistoryServerCapabilities_AggregateFunctions, ObjectId::Server_ServerCapabilities_AggregateFunctions];

/// References that begin at a node of the standard's namespace and are not the standard's own.
pub(crate) fn of_core_node(space: &Space, id: &NodeId) -> Vec<Reference> {
    let mut list = List::default();
    if AGGREGATES.iter().any(|folder| *id == *folder) {
        for aggregate in Aggregate::all() {
            list.leads_to_core(ReferenceTypeId::Organizes, NodeId::new(0, aggregate.node_id()));
        }
        return list.0;
    }
    let kind = if *id == ObjectId::ObjectsFolder {
        ReferenceTypeId::Organizes
    } else if *id == ObjectId::Server {
        ReferenceTypeId::HasNotifier
    } else {
        if *id == ObjectTypeId::AlarmConditionType {
            list.leads_to(ReferenceTypeId::HasSubtype, Node::Type);
        } else if *id == ObjectTypeId::AlarmMetricsType {
            list.leads_to(ReferenceTypeId::HasSubtype, Node::MetricsType);
        } else if *id == ObjectTypeId::InstrumentDiagnosticAlarmType {
            list.leads_to(ReferenceTypeId::HasSubtype, Node::DeviceType(&HEALTH));
        }
        return list.0;
    };
    for area in &space.top {
        list.leads_to(kind, Node::Area(area.clone()));
    }
    list.0
}

/// The references of a node of ours. Of signals and conditions, of which there can be many, those with this browse name
/// alone where there is one: they are found without looking at the others.
pub(crate) fn named(space: &Space, node: &Node, name: Option<&str>) -> Vec<Reference> {
    let mut list = List::default();
    let type_definition = node.description().type_definition;
    if !type_definition.is_null() {
        if type_definition.namespace == 0 {
            list.leads_to_core(ReferenceTypeId::HasTypeDefinition, type_definition);
        } else if let Some(device) = DeviceType::find(&type_definition) {
            list.leads_to(ReferenceTypeId::HasTypeDefinition, Node::DeviceType(device));
        } else if matches!(node, Node::AreaPart(..) | Node::Console(_)) {
            list.leads_to(ReferenceTypeId::HasTypeDefinition, Node::MetricsType);
        } else {
            list.leads_to(ReferenceTypeId::HasTypeDefinition, Node::Type);
        }
    }
    match node {
        Node::Area(path) => {
            if let Some(area) = space.areas.get(path) {
                of_area(space, (path, area), name, &mut list);
            }
            if space.detectors_in.as_ref() == Some(path) {
                list.leads_to(ReferenceTypeId::HasComponent, Node::Detectors);
            }
            if space.consoles_in.as_ref() == Some(path) {
                list.leads_to(ReferenceTypeId::HasComponent, Node::Consoles);
            }
            if space.groups_in.as_ref() == Some(path) && !space.groups.is_empty() {
                list.leads_to(ReferenceTypeId::HasComponent, Node::Groups);
            }
            if space.own_area() == *path && !SuppressionGroup::all(space).is_empty() {
                list.leads_to(ReferenceTypeId::HasComponent, Node::Suppressions);
            }
        }
        Node::AreaPart(path, part) => {
            list.comes_from(ReferenceTypeId::HasComponent, Node::Area(path.clone()));
            of_list(space, (path, *part), name, &mut list);
            if *part == AreaPart::Metrics {
                figures_of(&Counted::Area(path.clone()), &mut list);
            }
        }
        Node::Figure(counted, figure) => {
            let parent = metrics::figure(figure.parent());
            let above = parent.map_or_else(|| counted.node(), |parent| Node::Figure(counted.clone(), parent));
            list.comes_from(figure_reference(figure), above);
            figures(counted, figure.path, &mut list);
        }
        Node::Consoles => {
            if let Some(area) = &space.consoles_in {
                list.comes_from(ReferenceTypeId::HasComponent, Node::Area(area.clone()));
            }
            for console in space.consoles.values() {
                list.leads_to(ReferenceTypeId::Organizes, Node::Console(console.clone()));
            }
        }
        Node::Console(console) => {
            list.comes_from(ReferenceTypeId::Organizes, Node::Consoles);
            figures_of(&Counted::Console(console.clone()), &mut list);
        }
        Node::Signal(signal) => {
            list.comes_from(ReferenceTypeId::Organizes, Node::Area(signal.area.clone()));
            list.comes_from(ReferenceTypeId::HasEventSource, Node::Area(signal.area.clone()));
            if let Some(source) = space.source_of(&signal.name) {
                list.comes_from(ReferenceTypeId::HasEventSource, Node::Source(source.clone()));
            }
            signal_parts(signal, None, &mut list);
            if let Some(summed) = space.summed(signal) {
                list.leads_to(ReferenceTypeId::HasComponent, Node::AlarmState(summed));
            }
            conditions_at(space, space.conditions_of(signal.id), name, &mut list);
        }
        Node::SignalPart(signal, part) => {
            let parent = part
                .parent()
                .map_or_else(|| Node::Signal(signal.clone()), |parent| Node::SignalPart(signal.clone(), parent));
            list.comes_from(part.reference(), parent);
            signal_parts(signal, Some(*part), &mut list);
        }
        Node::AlarmState(summed) => {
            list.comes_from(ReferenceTypeId::HasComponent, summed.node());
            for summary in Summary::ALL {
                list.leads_to(ReferenceTypeId::HasProperty, Node::Summary(summed.clone(), summary));
            }
        }
        Node::Summary(summed, _) => {
            list.comes_from(ReferenceTypeId::HasProperty, Node::AlarmState(summed.clone()));
        }
        Node::Source(of) => {
            let source = space.sources.get(of);
            for area in source.into_iter().flat_map(|source| &source.areas) {
                list.comes_from(ReferenceTypeId::Organizes, Node::Area(area.clone()));
                list.comes_from(ReferenceTypeId::HasNotifier, Node::Area(area.clone()));
            }
            let found: Vec<&Arc<SignalNode>> = match name {
                Some(name) => space.signal(name).filter(|_| space.source_of(name) == Some(of)).into_iter().collect(),
                None => space.signals_of(of).collect(),
            };
            for signal in found {
                list.leads_to(ReferenceTypeId::HasEventSource, Node::Signal(signal.clone()));
            }
            conditions_at(space, source.map_or(&[], |source| &source.conditions), name, &mut list);
        }
        Node::Detectors => {
            if let Some(area) = &space.detectors_in {
                list.comes_from(ReferenceTypeId::HasComponent, Node::Area(area.clone()));
            }
            for detector in space.detectors.values() {
                list.leads_to(ReferenceTypeId::Organizes, Node::Detector(detector.clone()));
            }
        }
        Node::Detector(detector) => {
            list.comes_from(ReferenceTypeId::Organizes, Node::Detectors);
            for part in DetectorPart::ALL {
                list.leads_to(ReferenceTypeId::HasProperty, Node::DetectorPart(detector.clone(), part));
            }
        }
        Node::DetectorPart(detector, _) => {
            list.comes_from(ReferenceTypeId::HasProperty, Node::Detector(detector.clone()));
        }
        Node::Groups => {
            if let Some(area) = &space.groups_in {
                list.comes_from(ReferenceTypeId::HasComponent, Node::Area(area.clone()));
            }
            for group in space.groups.keys() {
                list.leads_to(ReferenceTypeId::Organizes, Node::Group(group.clone()));
            }
        }
        Node::Group(group) => {
            list.comes_from(ReferenceTypeId::Organizes, Node::Groups);
            for condition in at(space, space.groups.get(group).map_or(&[], Vec::as_slice), name) {
                list.leads_to(ReferenceTypeId::AlarmGroupMember, Node::Condition(condition.clone()));
                list.comes_from(ReferenceTypeId::HasComponent, Node::Condition(condition.clone()));
            }
        }
        Node::Suppressions => suppressed::of_folder(space, &mut list),
        Node::Suppression(group) => suppressed::of_group(space, group, name, &mut list),
        Node::Suppressing(group) => suppressed::of_variable(group, &mut list),
        Node::Condition(condition) => {
            of_condition(condition, &mut list);
            suppressed::of_condition(space, condition, &mut list);
        }
        Node::Field(condition, field) => of_field(condition, field, &mut list),
        Node::Type => {
            list.comes_from_core(ReferenceTypeId::HasSubtype, ObjectTypeId::AlarmConditionType);
            for field in fields::declared() {
                list.leads_to(ReferenceTypeId::HasProperty, Node::TypeField(field));
            }
            for method in method_table::own_methods() {
                list.has_method(method);
            }
        }
        Node::Method(method) => {
            list.comes_from(ReferenceTypeId::HasComponent, Node::Type);
            list.leads_to(ReferenceTypeId::HasProperty, Node::InputArguments(method));
            list.leads_to_core(ReferenceTypeId::HasModellingRule, ObjectId::ModellingRule_Mandatory);
        }
        Node::InputArguments(method) => {
            list.comes_from(ReferenceTypeId::HasProperty, Node::Method(method));
            list.leads_to_core(ReferenceTypeId::HasModellingRule, ObjectId::ModellingRule_Mandatory);
        }
        Node::DeviceType(device) if device.is_abstract() => {
            list.comes_from_core(ReferenceTypeId::HasSubtype, ObjectTypeId::InstrumentDiagnosticAlarmType);
            for derived in DeviceType::of_alarms() {
                list.leads_to(ReferenceTypeId::HasSubtype, Node::DeviceType(derived));
            }
        }
        Node::DeviceType(_) => list.comes_from(ReferenceTypeId::HasSubtype, Node::DeviceType(&HEALTH)),
        Node::MetricsType => {
            list.comes_from_core(ReferenceTypeId::HasSubtype, ObjectTypeId::AlarmMetricsType);
            for figure in metrics::declared() {
                list.leads_to(figure_reference(figure), Node::MetricsTypeFigure(figure));
            }
        }
        Node::MetricsTypeFigure(figure) => {
            list.comes_from(figure_reference(figure), Node::MetricsType);
            list.leads_to_core(ReferenceTypeId::HasModellingRule, ObjectId::ModellingRule_Mandatory);
        }
        Node::TypeField(_) => {
            list.comes_from(ReferenceTypeId::HasProperty, Node::Type);
            list.leads_to_core(ReferenceTypeId::HasModellingRule, ObjectId::ModellingRule_Mandatory);
        }
    }
    list.0
}

fn of_area(space: &Space, (path, area): (&Arc<str>, &Area), name: Option<&str>, list: &mut List) {
    match &area.parent {
        Some(parent) => {
            list.comes_from(ReferenceTypeId::Organizes, Node::Area(parent.clone()));
            list.comes_from(ReferenceTypeId::HasNotifier, Node::Area(parent.clone()));
        }
        None => {
            list.comes_from_core(ReferenceTypeId::Organizes, ObjectId::ObjectsFolder);
            list.comes_from_core(ReferenceTypeId::HasNotifier, ObjectId::Server);
        }
    }
    for part in AreaPart::ALL {
        list.leads_to(ReferenceTypeId::HasComponent, Node::AreaPart(path.clone(), part));
    }
    list.leads_to(ReferenceTypeId::HasComponent, Node::AlarmState(Summed::Area(path.clone())));
    for below in &area.areas {
        list.leads_to(ReferenceTypeId::Organizes, Node::Area(below.clone()));
        list.leads_to(ReferenceTypeId::HasNotifier, Node::Area(below.clone()));
    }
    for source in &area.sources {
        list.leads_to(ReferenceTypeId::Organizes, Node::Source(source.clone()));
        list.leads_to(ReferenceTypeId::HasNotifier, Node::Source(source.clone()));
    }
    let found: Vec<&Arc<SignalNode>> = match name {
        Some(name) => space.signal(name).filter(|signal| signal.area == *path).into_iter().collect(),
        None => area.signals.iter().collect(),
    };
    for signal in found {
        list.leads_to(ReferenceTypeId::Organizes, Node::Signal(signal.clone()));
        list.leads_to(ReferenceTypeId::HasEventSource, Node::Signal(signal.clone()));
    }
}

/// The instances below `Alarms`, their plain variables below `AlarmValues`.
fn of_list(space: &Space, (path, part): (&Arc<str>, AreaPart), name: Option<&str>, list: &mut List) {
    let all = || space.areas.get(path).into_iter().flat_map(|area| &area.conditions);
    let found: Vec<&Arc<Condition>> = match name {
        Some(name) => space.condition(name).filter(|condition| condition.area == *path).into_iter().collect(),
        None => all().filter_map(|place| space.condition_at(*place)).collect(),
    };
    for condition in found {
        match part {
            AreaPart::Alarms => list.leads_to(ReferenceTypeId::HasComponent, Node::Condition(condition.clone())),
            AreaPart::AlarmValues => {
                if let Some(values) = fields::field(PLAIN) {
                    list.leads_to(ReferenceTypeId::HasComponent, Node::Field(condition.clone(), values));
                }
            }
            AreaPart::ActiveCount | AreaPart::UnacknowledgedCount | AreaPart::HighestSeverity | AreaPart::Metrics => {
                return;
            }
        }
    }
}

/// What hangs below an object with figures.
fn figures_of(counted: &Counted, list: &mut List) {
    figures(counted, "", list);
    list.leads_to_core(ReferenceTypeId::HasComponent, MethodId::AlarmMetricsType_Reset);
}

fn figures(counted: &Counted, parent: &str, list: &mut List) {
    for figure in FIGURES.iter().filter(|figure| figure.parent() == parent) {
        list.leads_to(figure_reference(figure), Node::Figure(counted.clone(), figure));
    }
}

fn figure_reference(figure: &Figure) -> ReferenceTypeId {
    match figure.kind {
        VariableTypeId::PropertyType => ReferenceTypeId::HasProperty,
        _ => ReferenceTypeId::HasComponent,
    }
}

fn signal_parts(signal: &Arc<SignalNode>, parent: Option<SignalPart>, list: &mut List) {
    for part in SignalPart::of(signal).filter(|part| part.parent() == parent) {
        list.leads_to(part.reference(), Node::SignalPart(signal.clone(), part));
    }
}

fn conditions_at(space: &Space, places: &[Place], name: Option<&str>, list: &mut List) {
    for condition in at(space, places, name) {
        list.leads_to(ReferenceTypeId::HasCondition, Node::Condition(condition.clone()));
    }
}

/// The conditions at these places; the one of this name alone where there is one.
fn at<'a>(space: &'a Space, places: &[Place], name: Option<&str>) -> Vec<&'a Arc<Condition>> {
    match name {
        Some(name) => space
            .place_of(name)
            .filter(|place| places.contains(place))
            .and_then(|place| space.condition_at(place))
            .into_iter()
            .collect(),
        None => places.iter().filter_map(|place| space.condition_at(*place)).collect(),
    }
}

fn of_condition(condition: &Arc<Condition>, list: &mut List) {
    list.comes_from(ReferenceTypeId::HasComponent, Node::AreaPart(condition.area.clone(), AreaPart::Alarms));
    let source = match &condition.signal {
        Some(signal) => Node::Signal(signal.clone()),
        None => Node::Source(condition.def.source_name.clone()),
    };
    list.comes_from(ReferenceTypeId::HasCondition, source);
    for method in method_table::of_instance(&condition.def) {
        list.has_method(method);
    }
    list.leads_to_core(ReferenceTypeId::HasComponent, MethodId::AlarmConditionType_GetGroupMemberships);
    if let Some(group) = condition.group() {
        list.comes_from(ReferenceTypeId::AlarmGroupMember, Node::Group(group.clone()));
        list.leads_to(ReferenceTypeId::HasComponent, Node::Group(group.clone()));
    }
    children(condition, "", list);
}

fn of_field(condition: &Arc<Condition>, field: &'static fields::Field, list: &mut List) {
    let kind =
        if field.shape == Shape::Property { ReferenceTypeId::HasProperty } else { ReferenceTypeId::HasComponent };
    if field.path == PLAIN {
        list.comes_from(kind, Node::AreaPart(condition.area.clone(), AreaPart::AlarmValues));
    } else if let Some(parent) = fields::field(field.parent()) {
        list.comes_from(kind, Node::Field(condition.clone(), parent));
    } else {
        list.comes_from(kind, Node::Condition(condition.clone()));
    }
    for (whole, part) in SUB_STATES {
        if *whole == field.path
            && let Some(part) = fields::field(part).filter(|part| condition.has(part))
        {
            list.leads_to(ReferenceTypeId::HasTrueSubState, Node::Field(condition.clone(), part));
        } else if *part == field.path
            && let Some(whole) = fields::field(whole)
        {
            list.comes_from(ReferenceTypeId::HasTrueSubState, Node::Field(condition.clone(), whole));
        }
    }
    if field.path == SHELVING {
        for method in method_table::of_shelving() {
            list.has_method(method);
        }
    }
    children(condition, field.path, list);
}

fn children(condition: &Arc<Condition>, path: &str, list: &mut List) {
    let below = FIELDS.iter().filter(|field| field.parent() == path && field.path != PLAIN);
    for field in below.filter(|field| condition.has(field)) {
        let kind =
            if field.shape == Shape::Property { ReferenceTypeId::HasProperty } else { ReferenceTypeId::HasComponent };
        list.leads_to(kind, Node::Field(condition.clone(), field));
    }
}
