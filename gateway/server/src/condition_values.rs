//! What the fields of a condition hold: one function for its nodes and for its events, so that both always agree.

use opcua::types::{
    ByteString, DataValue, DateTime, LocalizedText, NodeId, ObjectTypeId, StatusCode, UAString, Variant,
};
use watchfire_alarms::{ConditionClass, ConditionState, EventId, Evidence};
use watchfire_model::{Instant, Level};
use watchfire_pipeline::CertificatePurpose;
use watchfire_ua::{date_time_from_instant, status_to_ua};

use crate::acknowledge_request::text_of;
use crate::fields::{ACKNOWLEDGE_REQUEST, ACKNOWLEDGE_REQUEST_TEXT, EXPECTED, EXPECTED_UNITS, Field, NORMAL, type_id};
use crate::names::{NAMESPACE, text};
use crate::signal_parts::engineering_units;
use crate::space::Condition;
use crate::state_machines::{limit_moved, limit_state, shelved, shelving, unshelve_time};

/// Pieces of evidence that are spelled out in a message.
const EVIDENCE_MAX: usize = 3;

/// The value of the field at `path` at some time; `Variant::Empty` for what is not known.
pub(crate) fn value(condition: &Condition, path: &str, now: Instant) -> Variant {
    let Condition { def, state, .. } = condition;
    match path {
        "EventId" => event_id(condition).into(),
        "Values/EventId" => ByteString::from(waiting(state).event_id(&def.key).bytes().to_vec()).into(),
        "Values/EventIdText" => UAString::from(text_of(waiting(state).event_id(&def.key).bytes())).into(),
        "EventType" => type_id(def.alarm_type).into(),
        "SourceNode" => condition.source_id().into(),
        "SourceName" => UAString::from(&*def.source_name).into(),
        "Time" => time(state.time),
        "ReceiveTime" => time(state.receive_time),
        "Message" => text(&message(condition)).into(),
        "Severity" | "Values/Severity" => state.severity.value.get().into(),
        "ConditionClassId" => class_id(def.class).into(),
        "ConditionClassName" => text(class_name(def.class)).into(),
        "ConditionSubClassId" => {
            def.rules.sub_classes.iter().map(|class| class_id(*class)).collect::<Vec<NodeId>>().into()
        }
        "ConditionSubClassName" => {
            def.rules.sub_classes.iter().map(|class| text(class_name(*class))).collect::<Vec<LocalizedText>>().into()
        }
        "ConditionName" => UAString::from(format!("{}/{}", def.key.binding(), def.key.condition())).into(),
        "BranchId" => branch_id(condition).into(),
        "Retain" => state.retain.into(),
        "SupportsFilteredRetain" => true.into(),
        "SuppressedOrShelved" => state.is_aside().into(),
        "SuppressedState" => two(state.suppressed.value.any(), "Suppressed", "Unsuppressed"),
        "SuppressedState/Id" => state.suppressed.value.any().into(),
        "SuppressedState/TransitionTime" => time(state.suppressed.since),
        "SuppressedBy" => UAString::from(state.suppressed.value.names().join(", ")).into(),
        "OutOfServiceState" => two(state.out_of_service.value, "Out of Service", "In Service"),
        "OutOfServiceState/Id" => state.out_of_service.value.into(),
        "OutOfServiceState/TransitionTime" => time(state.out_of_service.since),
        "MarkedAs" => UAString::from(mark(state)).into(),
        "OutOfServiceFrom" => span(state).0.map_or_else(|| DateTime::null().into(), time),
        "OutOfServiceUntil" => span(state).1.map_or_else(|| DateTime::null().into(), time),
        "SilenceState" => two(state.silenced.value, "Silenced", "Not Silenced"),
        "SilenceState/Id" => state.silenced.value.into(),
        "SilenceState/TransitionTime" => time(state.silenced.since),
        "LatchedState" => two(state.latched.value, "Latched", "Unlatched"),
        "LatchedState/Id" => state.latched.value.into(),
        "LatchedState/TransitionTime" => time(state.latched.since),
        "ShelvingState/CurrentState" => text(shelving(state).1).into(),
        "ShelvingState/CurrentState/Id" => NodeId::from(shelving(state).0).into(),
        "ShelvingState/LastTransition" => shelved(state).map_or(Variant::Empty, |(_, name)| text(name).into()),
        "ShelvingState/LastTransition/Id" => shelved(state).map_or(Variant::Empty, |(id, _)| NodeId::from(id).into()),
        "ShelvingState/LastTransition/TransitionTime" => {
            shelved(state).map_or(Variant::Empty, |_| time(state.shelving.since))
        }
        "ShelvingState/UnshelveTime" => unshelve_time(state, now).into(),
        "Values/Shelved" => state.shelving.value.is_shelved().into(),
        "MaxTimeShelved" => duration(def.rules.max_shelve),
        "OnDelay" => duration(def.rules.on_delay),
        "OffDelay" => duration(def.rules.off_delay),
        "ReAlarmTime" => duration(def.rules.re_alarm),
        "ReAlarmRepeatCount" => i16::try_from(state.re_alarms).unwrap_or(i16::MAX).into(),
        "FirstInGroupFlag" => state.first_in_group.into(),
        "Group" => def.rules.group.as_ref().map_or(Variant::Empty, |group| UAString::from(&*group.name).into()),
        "Cause" => UAString::from(def.rules.cause.as_str()).into(),
        "Consequence" => UAString::from(def.rules.consequence.as_str()).into(),
        "RespondWithin" => duration(def.rules.respond_within),
        "Chattering" => state.chattering.into(),
        "ClientUserId" => UAString::from(state.user.as_str()).into(),
        "EnabledState" | "EnabledState/EffectiveDisplayName" => two(state.enabled.value, "Enabled", "Disabled"),
        "EnabledState/Id" => state.enabled.value.into(),
        "EnabledState/TransitionTime" => time(state.enabled.since),
        "Quality" => status_to_ua(state.quality.value).into(),
        "Quality/SourceTimestamp" => time(state.quality.since),
        "LastSeverity" => state.last_severity.value.get().into(),
        "LastSeverity/SourceTimestamp" => time(state.last_severity.since),
        "Comment" => LocalizedText::new(&state.comment.value.locale, &state.comment.value.text).into(),
        "Comment/SourceTimestamp" => time(state.comment.since),
        "AckedState" => two(state.acked.value, "Acknowledged", "Unacknowledged"),
        "AckedState/Id" => state.acked.value.into(),
        "Values/Acknowledged" => waiting(state).acked.value.into(),
        "AckedState/TransitionTime" => time(state.acked.since),
        "ConfirmedState" => two(state.confirmed.value, "Confirmed", "Unconfirmed"),
        "ConfirmedState/Id" => state.confirmed.value.into(),
        "ConfirmedState/TransitionTime" => time(state.confirmed.since),
        "ActiveState" => two(state.active.value, "Active", "Inactive"),
        "ActiveState/Id" | "Values/Active" => state.active.value.into(),
        "ActiveState/EffectiveDisplayName" => text(effective(state)).into(),
        "ActiveState/TransitionTime" => time(state.active.since),
        "InputNode" => condition.input_id().into(),
        "HighHighLimit" => limit(condition, Level::HighHigh),
        "HighLimit" => limit(condition, Level::High),
        "LowLimit" => limit(condition, Level::Low),
        "LowLowLimit" => limit(condition, Level::LowLow),
        "LimitState/CurrentState" => limit_state(state).map_or(Variant::Empty, |(_, name)| text(name).into()),
        "LimitState/CurrentState/Id" => limit_state(state).map_or(Variant::Empty, |(id, _)| NodeId::from(id).into()),
        "LimitState/LastTransition" => limit_moved(state).map_or(Variant::Empty, |(_, name, _)| text(name).into()),
        "LimitState/LastTransition/Id" => limit_moved(state).map_or(Variant::Empty, |(id, ..)| NodeId::from(id).into()),
        "LimitState/LastTransition/TransitionTime" => limit_moved(state).map_or(Variant::Empty, |(.., at)| time(at)),
        "HighHighState" => passed(state, Level::HighHigh, "HighHigh active", "HighHigh inactive"),
        "HighHighState/Id" => has_passed(state, Level::HighHigh).into(),
        "HighHighState/TransitionTime" => since(state, Level::HighHigh),
        "HighState" => passed(state, Level::High, "High active", "High inactive"),
        "HighState/Id" => has_passed(state, Level::High).into(),
        "HighState/TransitionTime" => since(state, Level::High),
        "LowState" => passed(state, Level::Low, "Low active", "Low inactive"),
        "LowState/Id" => has_passed(state, Level::Low).into(),
        "LowState/TransitionTime" => since(state, Level::Low),
        "LowLowState" => passed(state, Level::LowLow, "LowLow active", "LowLow inactive"),
        "LowLowState/Id" => has_passed(state, Level::LowLow).into(),
        "LowLowState/TransitionTime" => since(state, Level::LowLow),
        "ExpirationDate" => condition.ending().map_or(Variant::Empty, |first| time(first.until)),
        "ExpirationLimit" => duration(condition.ending().map(|first| first.warning)),
        "CertificateType" => condition.ending().map_or_else(NodeId::null, |first| purpose_id(first.purpose)).into(),
        "Certificate" => condition.ending().map_or(Variant::Empty, |first| ByteString::from(first.der.clone()).into()),
        "SetpointNode" | "NormalState" | "TargetValueNode" => condition.against_id().into(),
        "ExpectedTime" => duration(def.rules.expected_time),
        NORMAL => def.rules.normal.map_or(Variant::Empty, Into::into),
        "Score" | "Values/Score" => state.score.map_or(Variant::Empty, Into::into),
        "Detector" => UAString::from(&*def.detector).into(),
        "Response" | "Values/Response" => UAString::from(&*def.response).into(),
        EXPECTED => condition.expected().map_or(Variant::Empty, Into::into),
        EXPECTED_UNITS => condition.unit().map_or(Variant::Empty, engineering_units),
        "Values/Message" => UAString::from(message(condition)).into(),
        "Values/LastChange" => time(state.receive_time),
        ACKNOWLEDGE_REQUEST => ByteString::null().into(),
        ACKNOWLEDGE_REQUEST_TEXT => UAString::null().into(),
        _ => Variant::Empty,
    }
}

/// The value as a variable shows it: with a status that says why there is none.
pub(crate) fn data_value(condition: &Condition, field: &Field, now: Instant) -> DataValue {
    let value = value(condition, field.path, now);
    let (at, _) = date_time_from_instant(condition.state.receive_time);
    let status = if !condition.state.enabled.value && !valid_while_disabled(field.path) {
        // OPC 10000-9 §5.5.2.
        StatusCode::BadConditionDisabled
    } else if value.is_empty() && field.path.starts_with("LimitState") {
        StatusCode::BadStateNotActive
    } else if value.is_empty() {
        StatusCode::BadWaitingForInitialData
    } else {
        StatusCode::Good
    };
    DataValue {
        value: Some(value),
        status: Some(status),
        source_timestamp: Some(at),
        server_timestamp: Some(at),
        ..DataValue::default()
    }
}

/// What a disabled condition still vouches for: what it is, and that it is disabled.
fn valid_while_disabled(path: &str) -> bool {
    let first = path.split('/').next().unwrap_or(path);
    match first {
        "EventId"
        | "EventType"
        | "SourceNode"
        | "SourceName"
        | "Time"
        | "ReceiveTime"
        | "ConditionClassId"
        | "ConditionClassName"
        | "ConditionSubClassId"
        | "ConditionSubClassName"
        | "ConditionName"
        | "BranchId"
        | "Retain"
        | "SupportsFilteredRetain"
        | "EnabledState"
        | "Comment"
        | "ClientUserId"
        | "Detector"
        | "Response"
        | "Cause"
        | "Consequence"
        | "RespondWithin"
        | "Group" => true,
        _ => matches!(
            path,
            "Values/EventId"
                | "Values/EventIdText"
                | "Values/LastChange"
                | "Values/Response"
                | ACKNOWLEDGE_REQUEST
                | ACKNOWLEDGE_REQUEST_TEXT
                | EXPECTED_UNITS
                | NORMAL
        ),
    }
}

/// The EventId of the transition that led here.
pub(crate) fn event_id(condition: &Condition) -> ByteString {
    ByteString::from(condition.state.event_id(&condition.def.key).bytes().to_vec())
}

/// What whoever sees values alone has to acknowledge: the occurrence that is shown, and once that is done the oldest of
/// those left behind (OPC 10000-9 §5.5.2, BranchId).
pub(crate) fn waiting(state: &ConditionState) -> &ConditionState {
    let left = || state.branches.iter().find(|branch| !branch.acked.value);
    if state.acked.value { left().unwrap_or(state) } else { state }
}

fn time(at: Instant) -> Variant {
    date_time_from_instant(at).0.into()
}

/// What somebody has said of this occurrence.
const fn mark(state: &ConditionState) -> &'static str {
    match state.mark.value {
        Some(true) => "true",
        Some(false) => "false",
        None => "",
    }
}

/// Since when and until when it is out of service, as far as was stated, or will be.
fn span(state: &ConditionState) -> (Option<Instant>, Option<Instant>) {
    match &state.maintenance.planned {
        _ if state.out_of_service.value => (Some(state.out_of_service.since), state.maintenance.until),
        Some(planned) => (Some(planned.from), Some(planned.until)),
        None => (None, None),
    }
}

fn two(value: bool, yes: &str, no: &str) -> Variant {
    text(if value { yes } else { no }).into()
}

fn effective(state: &ConditionState) -> &'static str {
    match state.level {
        _ if !state.active.value => "Inactive",
        Level::HighHigh => "Active: HighHigh",
        Level::High => "Active: High",
        Level::Low => "Active: Low",
        Level::LowLow => "Active: LowLow",
        Level::Active | Level::Normal | Level::Unknown => "Active",
    }
}

/// Whether the limit of a level is passed: what is above high-high is above high as well.
fn has_passed(state: &ConditionState, level: Level) -> bool {
    state.active.value && state.level.passes(level)
}

fn passed(state: &ConditionState, level: Level, yes: &str, no: &str) -> Variant {
    two(has_passed(state, level), yes, no)
}

fn limit(condition: &Condition, level: Level) -> Variant {
    condition.limit(level).map_or(Variant::Empty, Into::into)
}

pub(crate) fn branch_id(condition: &Condition) -> NodeId {
    let of = |id: EventId| NodeId::new(NAMESPACE, ByteString::from(id.bytes().to_vec()));
    condition.state.branch.map_or_else(NodeId::null, of)
}

/// A Duration, milliseconds.
fn duration(time: Option<std::time::Duration>) -> Variant {
    time.map_or(Variant::Empty, |time| (time.as_secs_f64() * 1e3).into())
}

/// Since when the limit of a level is passed or not.
fn since(state: &ConditionState, level: Level) -> Variant {
    state.moves.as_ref().and_then(|moves| moves.since(level)).map_or(Variant::Empty, time)
}

fn class_id(class: ConditionClass) -> NodeId {
    match class {
        ConditionClass::Process => ObjectTypeId::ProcessConditionClassType.into(),
        ConditionClass::System => ObjectTypeId::SystemConditionClassType.into(),
        ConditionClass::Statistical => ObjectTypeId::StatisticalConditionClassType.into(),
        ConditionClass::Maintenance => ObjectTypeId::MaintenanceConditionClassType.into(),
        ConditionClass::HighlyManaged => ObjectTypeId::HighlyManagedAlarmConditionClassType.into(),
        ConditionClass::Safety => ObjectTypeId::SafetyConditionClassType.into(),
        ConditionClass::Training => ObjectTypeId::TrainingConditionClassType.into(),
        ConditionClass::Testing => ObjectTypeId::TestingConditionClassType.into(),
        ConditionClass::Unclassified => ObjectTypeId::BaseConditionClassType.into(),
    }
}

const fn class_name(class: ConditionClass) -> &'static str {
    match class {
        ConditionClass::Process => "ProcessConditionClassType",
        ConditionClass::System => "SystemConditionClassType",
        ConditionClass::Statistical => "StatisticalConditionClassType",
        ConditionClass::Maintenance => "MaintenanceConditionClassType",
        ConditionClass::HighlyManaged => "HighlyManagedAlarmConditionClassType",
        ConditionClass::Safety => "SafetyConditionClassType",
        ConditionClass::Training => "TrainingConditionClassType",
        ConditionClass::Testing => "TestingConditionClassType",
        ConditionClass::Unclassified => "BaseConditionClassType",
    }
}

/// The type of a certificate; that of an authority is none of the standard's.
fn purpose_id(purpose: CertificatePurpose) -> NodeId {
    match purpose {
        CertificatePurpose::Own => ObjectTypeId::RsaSha256ApplicationCertificateType.into(),
        CertificatePurpose::Application => ObjectTypeId::ApplicationCertificateType.into(),
        CertificatePurpose::User => ObjectTypeId::UserCredentialCertificateType.into(),
        CertificatePurpose::Authority => ObjectTypeId::CertificateType.into(),
    }
}

/// The message with its reason. Evidence is added where the sentence does not name the signal that drove it.
fn message(condition: &Condition) -> String {
    let Condition { def, state, .. } = condition;
    let sentence: &str = if state.message.is_empty() { &def.text } else { &state.message };
    let named = |evidence: &Evidence| sentence.contains(&*evidence.signal);
    if !state.active.value || state.evidence.is_empty() || state.evidence.first().is_some_and(named) {
        return sentence.to_owned();
    }
    let reasons: Vec<String> = state.evidence.iter().take(EVIDENCE_MAX).map(reason).collect();
    format!("{sentence} ({})", reasons.join("; "))
}

fn reason(evidence: &Evidence) -> String {
    let Evidence { signal, observed, low, high, .. } = evidence;
    let seen = format!("{signal} = {}", short(*observed));
    match (low, high) {
        (Some(low), Some(high)) => format!("{seen}, expected {} to {}", short(*low), short(*high)),
        (Some(low), None) => format!("{seen}, expected at least {}", short(*low)),
        (None, Some(high)) => format!("{seen}, expected at most {}", short(*high)),
        (None, None) => seen,
    }
}

/// Four significant digits: enough to act on.
fn short(number: f64) -> String {
    if number == 0.0 || !number.is_finite() {
        return number.to_string();
    }
    let magnitude = number.abs().log10().floor();
    if !(-4.0..7.0).contains(&magnitude) {
        return format!("{number:.3e}");
    }
    // The magnitude lies within -4..7, so this is 0 to 7.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small non-negative number")]
    let decimals = (3.0 - magnitude).max(0.0) as usize;
    let digits = format!("{number:.decimals$}");
    if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.').to_owned() } else { digits }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_stay_numbers() {
        for (number, shown) in
            [(0.0, "0"), (91.349, "91.35"), (85.0, "85"), (1234.56, "1235"), (-0.012_345, "-0.01235"), (1e9, "1.000e9")]
        {
            assert_eq!(short(number), shown);
        }
    }
}
