//! What of a refused request was tried by those who may not: putting alarms aside, and changing what is set of them. It
//! is counted among the figures of alarms, since whoever looks after alarms should know that it is tried.

use opcua::types::NodeId;
use watchfire_config::Operation;
use watchfire_pipeline::Tried;

use crate::names::own_text;
use crate::nodes::Node;
use crate::shared::Shared;

/// Counts a call that was refused for want of a right, if it was to put an alarm aside.
pub(crate) fn called(shared: &Shared, object: &NodeId, operation: Operation) {
    if matches!(operation, Operation::Suppress | Operation::Shelve | Operation::Service | Operation::Enable) {
        count(shared, object, Tried::SUPPRESSION);
    }
}

/// Counts a write that was refused, if it was to something of an alarm that nobody writes.
pub(crate) fn written(shared: &Shared, node: &NodeId) {
    count(shared, node, Tried::CHANGE);
}

fn count(shared: &Shared, node: &NodeId, tried: Tried) {
    let space = shared.space.read();
    let condition = match own_text(node).and_then(|name| Node::find(&space, name)) {
        Some(Node::Condition(condition)) => condition,
        Some(field @ Node::Field(..)) if field.takes_acknowledgement().is_some() => return,
        Some(Node::Field(condition, _)) => condition,
        _ => return,
    };
    drop(space);
    shared.figures.tried(&condition.area, tried);
}
