//! Finds monitored items that are dead though their subscription lives: now and then it reads the values of signals of
//! which nothing has come for a while. One that has changed between two readings, while nothing was reported, is dead.
//! Times prove nothing here: some servers stamp a value whenever it is read.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use opcua::client::Session;
use opcua::types::{AttributeId, DataValue, NodeId, ReadValueId, TimestampsToReturn, Variant};

/// Signals that are looked at together.
pub(crate) const LOOKED_AT_MAX: usize = 500;

/// What was read of a signal: a digest, and nothing where there was no good value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    pub at: usize,
    digest: Option<u64>,
}

/// Reads the values of signals, each with its node. Fails silently: the publishing will notice what is wrong.
pub(crate) async fn look(session: Arc<Session>, nodes: Vec<(usize, NodeId)>) -> Vec<Look> {
    let wanted: Vec<_> = nodes
        .iter()
        .map(|(_, node)| ReadValueId {
            node_id: node.clone(),
            attribute_id: AttributeId::Value as u32,
            ..ReadValueId::default()
        })
        .collect();
    let Ok(values) = session.read(&wanted, TimestampsToReturn::Neither, 0.0).await else { return Vec::new() };
    nodes.iter().zip(&values).map(|((at, _), value)| Look { at: *at, digest: digest(value) }).collect()
}

/// The places of those that have changed between two looks at them.
pub(crate) fn changed(before: &[Look], after: &[Look]) -> Vec<usize> {
    let both = before.iter().filter_map(|old| Some((old, after.iter().find(|new| new.at == old.at)?)));
    let differ = both.filter(|(old, new)| old.digest.is_some() && new.digest.is_some() && old.digest != new.digest);
    differ.map(|(old, _)| old.at).collect()
}

fn digest(value: &DataValue) -> Option<u64> {
    if value.status.is_some_and(|status| !status.is_good()) {
        return None;
    }
    let mut hasher = DefaultHasher::new();
    match value.value.as_ref()? {
        Variant::Empty => return None,
        Variant::Double(number) => number.to_bits().hash(&mut hasher),
        other => format!("{other:?}").hash(&mut hasher),
    }
    Some(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use opcua::types::StatusCode;

    fn read(at: usize, value: f64, status: StatusCode) -> Look {
        let value = DataValue { value: Some(Variant::Double(value)), status: Some(status), ..DataValue::default() };
        Look { at, digest: digest(&value) }
    }

    #[test]
    fn only_a_good_value_that_has_become_another_good_one_has_changed() {
        let (good, bad) = (StatusCode::Good, StatusCode::BadNoCommunication);
        let before =
            [read(1, 1.0, good), read(2, 1.0, good), read(3, 1.0, bad), read(4, 1.0, good), read(9, 1.0, good)];
        let after = [read(1, 2.0, good), read(2, 1.0, good), read(3, 2.0, good), read(4, 2.0, bad)];
        assert_eq!(changed(&before, &after), [1]);
    }
}
