//! Finds monitored items that are dead though their subscription lives: now and then it reads the values of signals of
//! which nothing has come for a while. One that has changed between two readings, while nothing was reported, is dead.
//! Times prove nothing here: some servers stamp a value whenever it is read.

use std::future::pending;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use opcua::client::Session;
use opcua::types::{AttributeId, DataValue, NodeId, ReadValueId, TimestampsToReturn, Variant};
use tokio::time::Instant as Timer;

use crate::convert::Converter;

/// Signals that are looked at together.
const LOOKED_AT_MAX: usize = 500;

/// What was read of a signal: a digest, and nothing where there was no good value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    pub at: usize,
    digest: Option<u64>,
}

/// The looking at signals of which nothing comes.
pub(crate) struct Watch {
    every: Duration,
    next_at: Timer,
    /// Where to look next.
    from: usize,
    /// What the last look found.
    seen: Vec<Look>,
    job: Option<BoxFuture<'static, Vec<Look>>>,
}

impl Watch {
    pub(crate) fn new(every: Duration) -> Self {
        Self { every, next_at: Timer::now() + every, from: 0, seen: Vec::new(), job: None }
    }

    /// A connection begins: nothing that was seen before counts.
    pub(crate) fn begin(&mut self) {
        (self.job, self.next_at) = (None, Timer::now() + self.every);
        self.seen.clear();
    }

    /// When the next look is due.
    pub(crate) const fn due(&self) -> Timer {
        self.next_at
    }

    /// Whether a look is under way.
    pub(crate) const fn is_looking(&self) -> bool {
        self.job.is_some()
    }

    /// Waits for the look that is under way. Cancel-safe.
    pub(crate) async fn seen(&mut self) -> Vec<Look> {
        match &mut self.job {
            Some(job) => job.await,
            None => pending().await,
        }
    }

    /// Whom to look at: again at those that were looked at and are still quiet; at others when there are none.
    pub(crate) fn places(&mut self, converter: &mut Converter) -> Vec<usize> {
        let mut places: Vec<usize> = self.seen.iter().map(|look| look.at).collect();
        places.retain(|at| converter.is_quiet(*at));
        if places.is_empty() {
            self.seen.clear();
            (places, self.from) = converter.quiet(self.from, LOOKED_AT_MAX);
        }
        places
    }

    /// Looks at nodes, each with its place. `slowest`: the longest interval at which one is sampled or published.
    pub(crate) fn look(&mut self, session: &Arc<Session>, nodes: Vec<(usize, NodeId)>, slowest: Duration) {
        if nodes.is_empty() {
            self.next_at = self.again_at(slowest);
            return;
        }
        self.job = Some(look(session.clone(), nodes).boxed());
    }

    /// Takes over what a look found; returns the places of those that have changed since the one before.
    pub(crate) fn looked(&mut self, seen: Vec<Look>, slowest: Duration) -> Vec<usize> {
        (self.job, self.next_at) = (None, self.again_at(slowest));
        let before = std::mem::replace(&mut self.seen, seen);
        if before.is_empty() {
            return Vec::new();
        }
        changed(&before, &std::mem::take(&mut self.seen))
    }

    /// Late enough that any change has been sampled and sent by then.
    fn again_at(&self, slowest: Duration) -> Timer {
        Timer::now() + self.every.max(slowest * 4)
    }
}

/// Reads the values of signals, each with its node. Fails silently: the publishing will notice what is wrong.
async fn look(session: Arc<Session>, nodes: Vec<(usize, NodeId)>) -> Vec<Look> {
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
fn changed(before: &[Look], after: &[Look]) -> Vec<usize> {
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
