//! What was tried by those who may not: putting alarms aside, and changing what is set of them (ISA-18.2 §16: none is
//! good). Nothing of it succeeds; whoever looks after alarms should know that it is tried. Counted since the start.

use std::collections::BTreeMap;
use std::sync::Arc;

use opcua::sync::Mutex;
use opcua::types::NodeId;
use watchfire_config::Operation;

use crate::names::own_text;
use crate::nodes::Node;
use crate::space::Space;

/// What was tried in one area and below it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tried {
    /// To suppress, shelve, take out of service or disable an alarm, or to end that.
    pub suppressions: u32,
    /// To write what is set of an alarm.
    pub changes: u32,
}

/// What was tried, by area.
#[derive(Debug, Default)]
pub(crate) struct Attempts(Mutex<BTreeMap<Arc<str>, Tried>>);

impl Attempts {
    /// Counts a call that was refused for want of a right, if it was to put an alarm aside.
    pub(crate) fn called(&self, space: &Space, object: &NodeId, operation: Operation) {
        if matches!(operation, Operation::Suppress | Operation::Shelve | Operation::Service | Operation::Enable) {
            self.count(space, object, |tried| tried.suppressions = tried.suppressions.saturating_add(1));
        }
    }

    /// Counts a write that was refused, if it was to something of an alarm that nobody writes.
    pub(crate) fn written(&self, space: &Space, node: &NodeId) {
        self.count(space, node, |tried| tried.changes = tried.changes.saturating_add(1));
    }

    fn count(&self, space: &Space, node: &NodeId, add: impl Fn(&mut Tried)) {
        let condition = match own_text(node).and_then(|name| Node::find(space, name)) {
            Some(Node::Condition(condition)) => condition,
            Some(field @ Node::Field(..)) if field.takes_acknowledgement().is_some() => return,
            Some(Node::Field(condition, _)) => condition,
            _ => return,
        };
        let mut all = self.0.lock();
        for area in space.areas_of(&condition) {
            add(all.entry(area).or_default());
        }
    }

    /// What was tried in an area and below it.
    pub(crate) fn of(&self, area: &str) -> Tried {
        self.0.lock().get(area).copied().unwrap_or_default()
    }

    /// Begins anew.
    pub(crate) fn reset(&self, area: &str) {
        self.0.lock().remove(area);
    }
}
