//! Limit alarms: one state for all limits, or one for each, and the limits themselves.

use std::sync::Arc;
use std::time::Duration;

use opcua::types::{
    AttributeId, BrowseDirection, ContentFilter, ContentFilterBuilder, DataTypeId, MethodId, NodeId, ObjectId,
    ObjectTypeId, Operand, ReferenceTypeId, StatusCode, Variant,
};
use watchfire_alarms::{AlarmType, ConditionDef, Evidence, Rules};
use watchfire_model::{Kind, Level, Limits, SignalId};

use super::client::{Hmi, clause, server};
use super::house::{House, NOON, key, odd, oil_evidence, oil_high, signal};
use crate::SignalNode;
use crate::names::own;

const OIL: &str = "hot/high/press/oil";
const EXPECTED: &str = "hot/high/press/oil#Values/Expected";
const STATES: [&str; 4] = ["HighHighState/Id", "HighState/Id", "LowState/Id", "LowLowState/Id"];

fn limit_alarm(alarm_type: AlarmType, limits: Limits) -> ConditionDef {
    ConditionDef { alarm_type, rules: Arc::new(Rules { limits, ..Rules::default() }), ..oil_high() }
}

fn all_four() -> Limits {
    Limits { high_high: Some(9.0), high: Some(8.0), low: Some(2.0), low_low: Some(1.0) }
}

#[tokio::test]
async fn p9_5_8_20_each_limit_of_a_non_exclusive_alarm_has_a_state_of_its_own() {
    let house = House::open().await;
    house.define(limit_alarm(AlarmType::NonExclusiveLevel, all_four()));
    let hmi = Hmi::connect(&house.url).await;
    let fields = ["EventType", "HighHighState", "HighHighState/Id", "HighState/Id", "LowState/Id", "LowLowState/Id"];
    // Whoever asks for one of its states in a filter gets what is above it as well.
    let above_high =
        ContentFilterBuilder::new().eq(Operand::from(clause("HighState/Id")), Operand::literal(true)).build();
    let mut high = hmi.subscribe(server(), &["ActiveState/EffectiveDisplayName", "Retain"], above_high).await;
    let mut events = hmi.subscribe(server(), &fields, ContentFilter::default()).await;
    for (level, states, shown) in [
        (Level::High, [false, true, false, false], "HighHigh inactive"),
        (Level::HighHigh, [true, true, false, false], "HighHigh active"),
        (Level::High, [false, true, false, false], "HighHigh inactive"),
        (Level::Low, [false, false, true, false], "HighHigh inactive"),
        (Level::LowLow, [false, false, true, true], "HighHigh inactive"),
        (Level::Normal, [false; 4], "HighHigh inactive"),
    ] {
        house.find(&key(OIL), level, "beyond its limit", Vec::new());
        let event = events.next().await;
        assert_eq!(*event.get("EventType"), NodeId::from(ObjectTypeId::NonExclusiveLevelAlarmType).into());
        assert_eq!(STATES.map(|state| event.get(state).clone()), states.map(Variant::from), "{level:?}");
        assert_eq!(event.text("HighHighState"), shown, "{level:?}");
        for (state, is) in STATES.into_iter().zip(states) {
            assert_eq!(hmi.value(&format!("{OIL}#{state}")).await, is.into(), "{level:?} {state}");
        }
    }
    // The last says that it is no longer one of them.
    for (shown, retain) in
        [("Active: High", true), ("Active: HighHigh", true), ("Active: High", true), ("Active: Low", false)]
    {
        let event = high.next().await;
        assert_eq!(
            (event.text("ActiveState/EffectiveDisplayName").as_str(), event.get("Retain")),
            (shown, &retain.into())
        );
    }
    assert!(high.is_empty());
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn the_refreshed_list_tells_the_state_of_each_limit() {
    let house = House::open().await;
    house.define(limit_alarm(AlarmType::NonExclusiveDeviation, Limits::default()));
    let hmi = Hmi::connect(&house.url).await;
    house.find(&key(OIL), Level::LowLow, "far too low", Vec::new());
    let mut events =
        hmi.subscribe(server(), &["EventType", "LowState/Id", "LowLowState/Id"], ContentFilter::default()).await;
    let refresh = MethodId::ConditionType_ConditionRefresh;
    let asked = hmi.call(ObjectTypeId::ConditionType.into(), refresh, vec![events.subscription.into()]).await;
    assert_eq!(asked, StatusCode::Good);
    let kind = |kind: ObjectTypeId| Variant::from(NodeId::from(kind));
    let event = loop {
        let event = events.next().await;
        if *event.get("EventType") == kind(ObjectTypeId::NonExclusiveDeviationAlarmType) {
            break event;
        }
    };
    assert_eq!((event.get("LowState/Id"), event.get("LowLowState/Id")), (&true.into(), &true.into()));
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn p9_5_8_18_limits_that_a_detector_tells_are_there_before_they_are_passed_and_no_others() {
    let house = House::open().await;
    let two = Limits { high_high: Some(9.0), high: Some(8.0), ..Limits::default() };
    house.define(limit_alarm(AlarmType::ExclusiveLevel, two));
    house.define(ConditionDef { key: key("each/high/press/oil"), ..limit_alarm(AlarmType::NonExclusiveLevel, two) });
    let hmi = Hmi::connect(&house.url).await;
    assert!(!hmi.watch(&[own("each/high/press/oil#Retain")]).await.next().await.0.is_empty());
    for alarm in [OIL, "each/high/press/oil"] {
        for (limit, value) in [("HighHighLimit", 9.0), ("HighLimit", 8.0)] {
            assert_eq!(hmi.value(&format!("{alarm}#{limit}")).await, value.into(), "{alarm} {limit}");
        }
        for limit in ["LowLimit", "LowLowLimit", "LowState", "LowLowState/Id"] {
            let there = hmi.read(own(&format!("{alarm}#{limit}"))).await;
            assert_eq!(there.status(), StatusCode::BadNodeIdUnknown, "{alarm} {limit}");
        }
    }
    let forward = opcua::types::BrowseDirection::Forward;
    let parts = hmi.browse(own("each/high/press/oil"), ReferenceTypeId::HasComponent, forward, 0).await;
    let has = |name: &str| parts.iter().any(|part| part.browse_name.name.as_ref() == name);
    assert!(has("HighHighState") && has("HighState") && !has("LowState") && !has("LimitState"));
    assert_eq!(hmi.read(own(&format!("{OIL}#HighState"))).await.status(), StatusCode::BadNodeIdUnknown);
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn p9_5_8_19_2_from_which_limit_an_exclusive_alarm_came_is_told_while_it_stands() {
    let house = House::open().await;
    house.define(limit_alarm(AlarmType::ExclusiveLevel, all_four()));
    let hmi = Hmi::connect(&house.url).await;
    let fields = ["LimitState/LastTransition/Id", "LimitState/LastTransition/TransitionTime"];
    let mut events = hmi.subscribe(server(), &fields, ContentFilter::default()).await;
    for (s, level, transition) in [
        (0, Level::High, None),
        (1, Level::HighHigh, Some(9340)),
        (2, Level::High, Some(9339)),
        (3, Level::Low, None),
        (4, Level::LowLow, Some(9338)),
        (5, Level::Low, Some(9337)),
        (6, Level::Normal, None),
    ] {
        let at = NOON.plus(std::time::Duration::from_secs(s));
        house.find_at(&key(OIL), level, "beyond its limit", Vec::new(), at);
        let event = events.next().await;
        let id = transition.map_or(Variant::Empty, |id: u32| NodeId::new(0, id).into());
        let time = transition.map_or(Variant::Empty, |_| watchfire_ua::date_time_from_instant(at).0.into());
        assert_eq!(fields.map(|field| event.get(field).clone()), [id.clone(), time], "{level:?}");
        assert_eq!(hmi.value(&format!("{OIL}#LimitState/LastTransition/Id")).await, id, "{level:?}");
    }
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn p9_5_8_19_3_an_exclusive_limit_alarm_is_beyond_one_limit_at_a_time() {
    let house = House::open().await;
    house.define(limit_alarm(AlarmType::ExclusiveLevel, all_four()));
    let hmi = Hmi::connect(&house.url).await;
    let fields = ["LimitState/CurrentState", "LimitState/CurrentState/Id", "HighState/Id"];
    let mut events = hmi.subscribe(server(), &fields, ContentFilter::default()).await;
    for (level, name, state) in [
        (Level::High, "High", Some(ObjectId::ExclusiveLimitStateMachineType_High)),
        (Level::HighHigh, "HighHigh", Some(ObjectId::ExclusiveLimitStateMachineType_HighHigh)),
        (Level::Low, "Low", Some(ObjectId::ExclusiveLimitStateMachineType_Low)),
        (Level::LowLow, "LowLow", Some(ObjectId::ExclusiveLimitStateMachineType_LowLow)),
        (Level::Normal, "", None),
    ] {
        house.find(&key(OIL), level, "beyond its limit", Vec::new());
        let event = events.next().await;
        let state = state.map_or(Variant::Empty, |state| NodeId::from(state).into());
        assert_eq!(*event.get("LimitState/CurrentState/Id"), state, "{level:?}");
        assert_eq!(*event.get("HighState/Id"), Variant::Empty, "{level:?}: there is no such state beside it");
        if !name.is_empty() {
            assert_eq!(event.text("LimitState/CurrentState"), name);
        }
        assert_eq!(hmi.value(&format!("{OIL}#LimitState/CurrentState/Id")).await, state, "{level:?}");
    }
    let machine = own(&format!("{OIL}#LimitState"));
    let of = hmi.browse(machine, ReferenceTypeId::HasTypeDefinition, BrowseDirection::Forward, 0).await;
    assert_eq!(of.first().unwrap().node_id.node_id, ObjectTypeId::ExclusiveLimitStateMachineType);
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn each_limits_state_has_its_own_transition_time() {
    let house = House::open().await;
    house.define(limit_alarm(AlarmType::NonExclusiveLevel, all_four()));
    let hmi = Hmi::connect(&house.url).await;
    let fields = ["HighState/TransitionTime", "HighHighState/TransitionTime", "LowState/TransitionTime"];
    let mut events = hmi.subscribe(server(), &fields, ContentFilter::default()).await;
    let at = |s| NOON.plus(std::time::Duration::from_secs(s));
    let time = |s: Option<u64>| s.map_or(Variant::Empty, |s| watchfire_ua::date_time_from_instant(at(s)).0.into());
    for (s, level, expected) in [
        (1, Level::High, [Some(1), None, None]),
        (2, Level::HighHigh, [Some(1), Some(2), None]),
        (3, Level::Normal, [Some(3), Some(3), None]),
    ] {
        house.find_at(&key(OIL), level, "beyond its limit", Vec::new(), at(s));
        let event = events.next().await;
        assert_eq!(fields.map(|field| event.get(field).clone()), expected.map(time), "{level:?}");
    }
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn a_deviation_a_discrepancy_and_what_is_off_normal_name_the_signal_that_they_are_held_against() {
    let house = House::open().await;
    let hmi = Hmi::connect(&house.url).await;
    let fields = ["SetpointNode", "TargetValueNode", "NormalState"];
    let mut events = hmi.subscribe(server(), &fields, ContentFilter::default()).await;
    for (at, (alarm_type, field)) in [
        (AlarmType::NonExclusiveDeviation, "SetpointNode"),
        (AlarmType::Discrepancy, "TargetValueNode"),
        (AlarmType::OffNormal, "NormalState"),
    ]
    .into_iter()
    .enumerate()
    {
        for against in [Some("press/set"), None] {
            let name = format!("held{at}/{}/press/oil", against.is_some());
            let rules = Arc::new(Rules { against: against.map(Into::into), ..Rules::default() });
            house.define(ConditionDef { key: key(&name), alarm_type, rules, ..oil_high() });
            house.find(&key(&name), Level::Active, "not as it should be", Vec::new());
            let expected = match (against, alarm_type) {
                (Some(signal), _) => own(&format!("signal:{signal}")),
                (None, AlarmType::NonExclusiveDeviation) => own(&format!("{name}#Values/Expected")),
                (None, _) => NodeId::null(),
            };
            assert_eq!(*events.next().await.get(field), expected.clone().into(), "{field}");
            assert_eq!(hmi.value(&format!("{name}#{field}")).await, expected.into(), "{field}");
        }
    }
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn p9_5_8_24_2_the_normal_value_and_the_expected_time_are_those_that_were_settled() {
    let house = House::open().await;
    let hmi = Hmi::connect(&house.url).await;
    let settled = Rules { normal: Some(0.0), expected_time: Some(Duration::from_secs(30)), ..Rules::default() };
    for (name, alarm_type, rules) in [
        ("door/open/press/door", AlarmType::OffNormal, settled.clone()),
        ("door/trip/press/door", AlarmType::Trip, Rules::default()),
        ("valve/late/press/door", AlarmType::Discrepancy, settled),
        ("valve/later/press/door", AlarmType::Discrepancy, Rules::default()),
    ] {
        let (signal, source_name) = (Some(SignalId(2)), "press/door".into());
        let rules = Arc::new(rules);
        house.define(ConditionDef { key: key(name), alarm_type, rules, signal, source_name, ..oil_high() });
    }
    let mut events = hmi.subscribe(server(), &["NormalState", "ExpectedTime"], ContentFilter::default()).await;
    house.find(&key("door/open/press/door"), Level::Active, "open", Vec::new());
    let normal = own("door/open/press/door#Values/Normal");
    assert_eq!(*events.next().await.get("NormalState"), normal.clone().into());
    assert_eq!(hmi.value("door/open/press/door#NormalState").await, normal.clone().into());
    let value = hmi.attribute(normal.clone(), AttributeId::Value).await.value;
    assert_eq!(value, Some(false.into()), "as the door's own values are");
    assert_eq!(
        hmi.attribute(normal, AttributeId::DataType).await.value,
        Some(NodeId::from(DataTypeId::Boolean).into())
    );
    assert_eq!(hmi.value("door/trip/press/door#NormalState").await, NodeId::null().into());
    assert!(hmi.read(own("door/trip/press/door#Values/Normal")).await.status().is_bad());
    house.find(&key("valve/late/press/door"), Level::Active, "late", Vec::new());
    assert_eq!(*events.next().await.get("ExpectedTime"), 30_000.0.into());
    assert_eq!(hmi.value("valve/late/press/door#ExpectedTime").await, 30_000.0.into());
    assert_eq!(
        hmi.read(own("valve/later/press/door#ExpectedTime")).await.status(),
        StatusCode::BadWaitingForInitialData
    );
    hmi.close().await;
    house.close().await;
}

fn expecting(low: Option<f64>, high: Option<f64>) -> Vec<Evidence> {
    let driven_by = Evidence { signal: "press/door".into(), low: Some(0.0), high: Some(0.0), ..oil_evidence() };
    vec![driven_by, Evidence { low, high, ..oil_evidence() }]
}

#[tokio::test]
async fn p9_5_8_22_2_and_5_8_22_3_without_a_setpoint_what_was_expected_is_a_variable_of_its_own() {
    let house = House::open().await;
    house.define(limit_alarm(AlarmType::ExclusiveDeviation, Limits::default()));
    let hmi = Hmi::connect(&house.url).await;
    let mut told = hmi.watch(&[own(&format!("{OIL}#Values/Message"))]).await;
    assert!(!told.next().await.0.is_empty());
    assert_eq!(hmi.read(own(EXPECTED)).await.status(), StatusCode::BadWaitingForInitialData, "nothing was so far");
    assert_eq!(hmi.value(&format!("{OIL}#SetpointNode")).await, own(EXPECTED).into());
    for (level, low, high, expected) in [
        (Level::High, Some(4.0), Some(6.0), 5.0),
        (Level::HighHigh, None, Some(7.0), 7.0),
        // It did not say.
        (Level::High, None, None, 7.0),
        (Level::Low, Some(3.0), None, 3.0),
    ] {
        house.find(&key(OIL), level, &format!("{level:?}, not as expected"), expecting(low, high));
        assert!(!told.next().await.0.is_empty());
        let value = hmi.read(own(EXPECTED)).await;
        assert_eq!((value.status(), value.value), (StatusCode::Good, Some(expected.into())), "{level:?}");
    }
    house.find(&key(OIL), Level::Normal, "as expected", Vec::new());
    assert!(!told.next().await.0.is_empty());
    assert_eq!(hmi.value(EXPECTED).await, 3.0.into(), "what was expected last");

    let forward = opcua::types::BrowseDirection::Forward;
    let parts = hmi.browse(own(&format!("{OIL}#Values")), ReferenceTypeId::HasComponent, forward, 0).await;
    assert!(parts.iter().any(|part| part.node_id.node_id == own(EXPECTED)));
    let [units] = &hmi.follow(own(EXPECTED), &[".EngineeringUnits"], false).await[..] else { panic!("no unit") };
    assert_eq!(hmi.read(units.clone()).await.value, hmi.read(own("signal:press/oil#EngineeringUnits")).await.value);
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn what_was_expected_is_served_for_deviations_without_a_setpoint_alone() {
    let house = House::open().await;
    let deviation = limit_alarm(AlarmType::ExclusiveDeviation, Limits::default());
    let against = Arc::new(Rules { against: Some("press/set".into()), ..Rules::default() });
    house.define(ConditionDef { rules: against, ..deviation.clone() });
    house
        .define(ConditionDef { key: key("hot/level/press/oil"), ..limit_alarm(AlarmType::ExclusiveLevel, all_four()) });
    house.define(ConditionDef { alarm_type: AlarmType::NonExclusiveDeviation, ..odd() });
    let hmi = Hmi::connect(&house.url).await;
    assert!(!hmi.watch(&[own("watch/odd#Retain")]).await.next().await.0.is_empty());
    for (node, status) in [
        (EXPECTED, StatusCode::BadNodeIdUnknown),
        ("hot/level/press/oil#Values/Expected", StatusCode::BadNodeIdUnknown),
        ("watch/odd#Values/Expected", StatusCode::BadWaitingForInitialData),
        // What is about several signals has no unit of its own.
        ("watch/odd#Values/Expected/EngineeringUnits", StatusCode::BadNodeIdUnknown),
    ] {
        assert_eq!(hmi.read(own(node)).await.status(), status, "{node}");
    }
    // Of several signals, what was expected of the first that is named.
    let mut seen = hmi.watch(&[own("watch/odd#Values/Expected")]).await;
    assert!(seen.next().await.1.value.is_none_or(|value| value.is_empty()));
    house.find(&key("watch/odd"), Level::High, "odd", expecting(Some(4.0), Some(6.0)));
    assert_eq!(seen.next().await.1.value, Some(0.0.into()));
    house.find(&key("watch/odd"), Level::HighHigh, "odder", vec![Evidence { high: None, ..oil_evidence() }]);
    assert_eq!(seen.next().await.1.status(), StatusCode::BadWaitingForInitialData);
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn what_is_expected_is_told_in_the_unit_that_the_signal_has_now() {
    let house = House::open().await;
    house.define(limit_alarm(AlarmType::ExclusiveDeviation, Limits::default()));
    let hmi = Hmi::connect(&house.url).await;
    let units = async |name: &str| hmi.value(name).await;
    let (signal_units, expected_units) = ("signal:press/oil#EngineeringUnits", &format!("{EXPECTED}/EngineeringUnits"));
    let bar = units(signal_units).await;
    while units(expected_units).await != bar {
        tokio::task::yield_now().await;
    }
    let described = signal(1, "press/oil", "Hall/Press", Kind::Real);
    house.editor.signals(vec![SignalNode { unit: Some("kPa".into()), ..described }]);
    house.find(&key(OIL), Level::High, "too high", vec![oil_evidence()]);
    while units(expected_units).await == bar {
        tokio::task::yield_now().await;
    }
    assert_eq!(units(expected_units).await, units(signal_units).await);
    hmi.close().await;
    house.close().await;
}
