//! How suppression groups hang together with their members and with what they suppress (OPC 10000-9 §5.4.4, §5.4.6).

use std::sync::Arc;

use opcua::types::ReferenceTypeId;

use super::List;
use crate::nodes::Node;
use crate::space::{Condition, Space};
use crate::suppression::SuppressionGroup;

/// The references of the folder of all groups.
pub(super) fn of_folder(space: &Space, list: &mut List) {
    list.comes_from(ReferenceTypeId::HasComponent, Node::Area(space.own_area()));
    for group in SuppressionGroup::all(space) {
        list.leads_to(ReferenceTypeId::Organizes, Node::Suppression(group));
    }
}

/// The references of a group; of what it suppresses, of which there can be much, to the condition of this name alone where
/// there is one.
pub(super) fn of_group(space: &Space, group: &SuppressionGroup, name: Option<&str>, list: &mut List) {
    list.comes_from(ReferenceTypeId::Organizes, Node::Suppressions);
    if let Some(alarm) = group.alarm(space) {
        list.leads_to(ReferenceTypeId::AlarmSuppressionGroupMember, Node::Condition(alarm.clone()));
    }
    if group.has_variable() {
        // The first makes it a DataVariable (OPC 10000-3 §5.6.4).
        for kind in [ReferenceTypeId::HasComponent, ReferenceTypeId::AlarmSuppressionGroupMember] {
            list.leads_to(kind, Node::Suppressing(group.clone()));
        }
    }
    let places = match name.map(|name| space.place_of(name)) {
        Some(None) => return,
        Some(only) => space.suppressions.places(group, only),
        None => space.suppressions.places(group, None),
    };
    for condition in places.into_iter().filter_map(|place| space.condition_at(place)) {
        list.comes_from(ReferenceTypeId::HasAlarmSuppressionGroup, Node::Condition(condition.clone()));
    }
}

/// The references of a group's variable.
pub(super) fn of_variable(group: &SuppressionGroup, list: &mut List) {
    for kind in [ReferenceTypeId::HasComponent, ReferenceTypeId::AlarmSuppressionGroupMember] {
        list.comes_from(kind, Node::Suppression(group.clone()));
    }
}

/// The references of a condition to what suppresses it, and from what suppresses others while it is active.
pub(super) fn of_condition(space: &Space, condition: &Arc<Condition>, list: &mut List) {
    for group in SuppressionGroup::suppressing(space, condition) {
        list.leads_to(ReferenceTypeId::HasAlarmSuppressionGroup, Node::Suppression(group));
    }
    if let Some(group) = SuppressionGroup::with_alarm(&condition.def) {
        list.comes_from(ReferenceTypeId::AlarmSuppressionGroupMember, Node::Suppression(group));
    }
}
