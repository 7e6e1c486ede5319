//! What the gateway does to conditions by itself: it suppresses, ends a shelving, takes out of service as was planned. Who
//! keeps an eye on suppression is to see that as what people do (OPC 10000-9 §5.10.1, §5.10.9: automatic suppression too).
//! A source that is lost may concern tens of thousands of conditions: so many are told one by one, of the others how many
//! there were. What an audit event is, is known in `audit_event`.

use std::collections::BTreeMap;
use std::time::Duration;

use opcua::types::{NodeId, StatusCode};
use tokio::time::Instant as Timer;
use watchfire_alarms::{ConditionState, Shelving, Suppression};
use watchfire_model::{CommandKind, Instant};

use crate::audit::Audit;
use crate::audit_event::{AuditEvent, Outcome};

/// So many are told one by one, of what comes at once: a quarter of what may wait.
pub(crate) const ONE_BY_ONE_MAX: usize = 256;
/// What never ends is summed up after so long.
const SUMMED_UP_AFTER: Duration = Duration::from_secs(10);

/// Something that was done by nobody: as which method, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Done {
    /// As it would be called.
    pub name: &'static str,
    /// Why, in words.
    pub why: String,
}

impl Done {
    /// The command to which it comes; it tells the type of the event.
    pub(crate) const fn kind(&self) -> CommandKind {
        match self.name.as_bytes() {
            b"Suppress" => CommandKind::Suppress,
            b"Unsuppress" => CommandKind::Unsuppress,
            b"Unshelve" => CommandKind::Unshelve,
            b"RemoveFromService" => CommandKind::RemoveFromService,
            _ => CommandKind::PlaceInService,
        }
    }

    fn new(name: &'static str, why: impl Into<String>) -> Self {
        Self { name, why: why.into() }
    }
}

/// What lies between two states of a condition, if nobody has commanded it.
pub(crate) fn done(before: &ConditionState, after: &ConditionState) -> Vec<Done> {
    let mut all = Vec::new();
    let (was, is) = (before.suppressed.value, after.suppressed.value);
    if was != is {
        let among = |some: Suppression, others: Suppression| {
            let names: Vec<&str> = some.names().into_iter().filter(|name| !others.names().contains(name)).collect();
            names.join(", ")
        };
        let (begun, ended) = (among(is, was), among(was, is));
        if !begun.is_empty() {
            all.push(Done::new("Suppress", begun));
        }
        if !ended.is_empty() {
            all.push(Done::new("Unsuppress", format!("{ended}: no longer")));
        }
    }
    if before.shelving.value.is_shelved() && !after.shelving.value.is_shelved() {
        let by_time = matches!(before.shelving.value, Shelving::Timed { .. }) || after.active.value;
        all.push(Done::new("Unshelve", if by_time { "its time is over" } else { "the alarm is over" }));
    }
    match (before.out_of_service.value, after.out_of_service.value) {
        (false, true) => all.push(Done::new("RemoveFromService", format!("as was planned by {}", after.user))),
        (true, false) => all.push(Done::new("PlaceInService", "as was planned")),
        _ => {}
    }
    all
}

/// What was done since the gateway was last at rest.
#[derive(Debug, Default)]
pub(crate) struct Burst {
    since: Option<Timer>,
    told: usize,
    /// How much more of each there was.
    more: BTreeMap<Done, u64>,
}

impl Burst {
    /// Tells of something that was done to a condition, or counts it.
    pub(crate) fn tell(&mut self, audit: &Audit, (node, event_id): (NodeId, &[u8]), done: Done, at: Instant) {
        if self.since.get_or_insert_with(Timer::now).elapsed() > SUMMED_UP_AFTER {
            self.end(audit, at);
        }
        if self.told < ONE_BY_ONE_MAX {
            self.told += 1;
            let outcome = Outcome { server: &audit.server, at, status: StatusCode::Good };
            audit.tell(AuditEvent::by_itself(Some((node, event_id)), &done, 1, outcome));
        } else {
            *self.more.entry(done).or_default() += 1;
        }
    }

    /// Tells how much more there was: the next is told again.
    pub(crate) fn end(&mut self, audit: &Audit, at: Instant) {
        for (done, count) in std::mem::take(self).more {
            let outcome = Outcome { server: &audit.server, at, status: StatusCode::Good };
            audit.tell(AuditEvent::by_itself(None, &done, count, outcome));
        }
    }
}
