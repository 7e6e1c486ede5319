//! The two state machines of a condition (OPC 10000-9 §5.8.17, §5.8.19): which state of the standard each is in, and by
//! which transition it came there.

use opcua::types::ObjectId;
use watchfire_alarms::{ConditionState, Shelving};
use watchfire_model::{Instant, Level};

/// CurrentState of ShelvingState.
pub(crate) fn shelving(state: &ConditionState) -> (ObjectId, &'static str) {
    match state.shelving.value {
        Shelving::Unshelved => (ObjectId::ShelvedStateMachineType_Unshelved, "Unshelved"),
        Shelving::Timed { .. } => (ObjectId::ShelvedStateMachineType_TimedShelved, "TimedShelved"),
        Shelving::OneShot { .. } => (ObjectId::ShelvedStateMachineType_OneShotShelved, "OneShotShelved"),
    }
}

/// LastTransition of ShelvingState; `None` before the first.
pub(crate) fn shelved(state: &ConditionState) -> Option<(ObjectId, &'static str)> {
    use Shelving::{OneShot, Timed, Unshelved};
    let before = state.moves.as_ref()?.shelved_before?;
    Some(match (before, state.shelving.value) {
        (Unshelved, Timed { .. }) => {
            (ObjectId::ShelvedStateMachineType_UnshelvedToTimedShelved, "UnshelvedToTimedShelved")
        }
        (Unshelved, OneShot { .. }) => {
            (ObjectId::ShelvedStateMachineType_UnshelvedToOneShotShelved, "UnshelvedToOneShotShelved")
        }
        (Timed { .. }, Unshelved) => {
            (ObjectId::ShelvedStateMachineType_TimedShelvedToUnshelved, "TimedShelvedToUnshelved")
        }
        (Timed { .. }, OneShot { .. }) => {
            (ObjectId::ShelvedStateMachineType_TimedShelvedToOneShotShelved, "TimedShelvedToOneShotShelved")
        }
        (OneShot { .. }, Unshelved) => {
            (ObjectId::ShelvedStateMachineType_OneShotShelvedToUnshelved, "OneShotShelvedToUnshelved")
        }
        (OneShot { .. }, Timed { .. }) => {
            (ObjectId::ShelvedStateMachineType_OneShotShelvedToTimedShelved, "OneShotShelvedToTimedShelved")
        }
        // No transition of the standard leads from a state to itself.
        (Unshelved, Unshelved) | (Timed { .. }, Timed { .. }) | (OneShot { .. }, OneShot { .. }) => return None,
    })
}

/// UnshelveTime (OPC 10000-9 §5.8.17.2), milliseconds: what is left; for ever is the greatest number.
pub(crate) fn unshelve_time(state: &ConditionState, now: Instant) -> f64 {
    match state.shelving.value {
        Shelving::Unshelved => 0.0,
        Shelving::OneShot { until: None } => f64::MAX,
        Shelving::Timed { until } | Shelving::OneShot { until: Some(until) } => {
            let left = u64::try_from(until.since_ns(now)).unwrap_or_default();
            std::time::Duration::from_nanos(left).as_secs_f64() * 1e3
        }
    }
}

/// CurrentState of LimitState; `None` while none is passed.
pub(crate) fn limit_state(state: &ConditionState) -> Option<(ObjectId, &'static str)> {
    match state.level {
        _ if !state.active.value => None,
        Level::HighHigh => Some((ObjectId::ExclusiveLimitStateMachineType_HighHigh, "HighHigh")),
        Level::High => Some((ObjectId::ExclusiveLimitStateMachineType_High, "High")),
        Level::Low => Some((ObjectId::ExclusiveLimitStateMachineType_Low, "Low")),
        Level::LowLow => Some((ObjectId::ExclusiveLimitStateMachineType_LowLow, "LowLow")),
        Level::Normal | Level::Active | Level::Unknown => None,
    }
}

/// LastTransition of LimitState: only those between the limits of one side are the standard's.
pub(crate) fn limit_moved(state: &ConditionState) -> Option<(ObjectId, &'static str, Instant)> {
    let before = state.moves.as_ref()?.limit_before.as_ref()?;
    let (id, name) = match (before.value, state.level) {
        _ if !state.active.value => return None,
        (Level::HighHigh, Level::High) => (ObjectId::ExclusiveLimitStateMachineType_HighHighToHigh, "HighHighToHigh"),
        (Level::High, Level::HighHigh) => (ObjectId::ExclusiveLimitStateMachineType_HighToHighHigh, "HighToHighHigh"),
        (Level::LowLow, Level::Low) => (ObjectId::ExclusiveLimitStateMachineType_LowLowToLow, "LowLowToLow"),
        (Level::Low, Level::LowLow) => (ObjectId::ExclusiveLimitStateMachineType_LowToLowLow, "LowToLowLow"),
        _ => return None,
    };
    Some((id, name, before.since))
}
