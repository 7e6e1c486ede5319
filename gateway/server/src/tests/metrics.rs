//! The figures of an area as clients read and reset them.

use std::sync::Arc;
use std::time::Duration;

use opcua::types::{
    AttributeId, BrowseDirection, MethodId, NodeId, ObjectId, ObjectTypeId, ReferenceDescription, ReferenceTypeId,
    StatusCode, VariableTypeId, Variant,
};
use watchfire_alarms::{ConditionDef, Rules};
use watchfire_model::{Level, Lsn};
use watchfire_ua::date_time_from_instant;

use super::client::Hmi;
use super::house::{House, NOON, guarded, key, odd, oil_high};
use crate::names::own;

const METRICS: &str = "area:Hall#Metrics";

async fn count(hmi: &Hmi, figure: &str) -> Variant {
    hmi.value(&format!("{METRICS}/{figure}")).await
}

#[tokio::test]
async fn p9_9_2_an_area_counts_its_alarms_and_those_below_it() {
    let house = House::open().await;
    house.define(oil_high());
    house.define(odd());
    let hmi = Hmi::connect(&house.url).await;
    assert_eq!(count(&hmi, "AlarmCount").await, 0_u32.into());
    house.raise(&key("hot/high/press/oil"));
    house.find(&key("watch/odd"), Level::Active, "odd", Vec::new());
    house.find(&key("watch/odd"), Level::Normal, "well", Vec::new());
    while count(&hmi, "AlarmsInDay").await != 2_u32.into() {
        tokio::task::yield_now().await;
    }
    for (figure, value) in [
        ("AlarmCount", Variant::from(2_u32)),
        ("CurrentAlarmRate", 2.0.into()),
        ("CurrentAlarmRate/Rate", 10_u16.into()),
        ("MaximumAlarmRate", 2.0.into()),
        ("AlarmsInHour", 2_u32.into()),
        ("HighShare30Days", 0.5.into()),
        ("MediumShare30Days", 0.5.into()),
        ("TopTenShareDay", 1.0.into()),
        ("FloodShareDay", 0.0.into()),
        ("Chattering", 0_u32.into()),
    ] {
        assert_eq!(count(&hmi, figure).await, value, "{figure}");
    }
    assert_eq!(hmi.value("area:Hall/Press#Metrics/AlarmCount").await, 2_u32.into());
    let reset = MethodId::AlarmMetricsType_Reset;
    assert_eq!(hmi.call(own("area:Hall"), reset, Vec::new()).await, StatusCode::BadMethodInvalid);
    assert_eq!(hmi.call(own("area:None#Metrics"), reset, Vec::new()).await, StatusCode::BadNodeIdUnknown);
    assert_eq!(hmi.call(own(METRICS), reset, vec![1_u32.into()]).await, StatusCode::BadTooManyArguments);
    assert_eq!(hmi.call(own(METRICS), reset, Vec::new()).await, StatusCode::Good);
    assert_eq!(count(&hmi, "AlarmCount").await, 0_u32.into());
    assert_eq!(hmi.value("area:Hall/Press#Metrics/AlarmCount").await, 2_u32.into(), "each area for itself");
    hmi.close().await;
    house.close().await;
}

/// An alarm that stood for 90 seconds and was told anew twice, unacknowledged for five minutes.
async fn of_a_long_alarm() -> (House, Hmi) {
    let house = House::open().await;
    let rules = Rules { re_alarm: Some(Duration::from_secs(40)), ..Rules::default() };
    house.define(ConditionDef { rules: Arc::new(rules), ..oil_high() });
    let oil = key("hot/high/press/oil");
    house.raise(&oil);
    for s in [40, 80] {
        let told = house.engine.lock().expire(Lsn(8), NOON.plus(Duration::from_secs(s)), |_| true);
        assert_eq!(told.len(), 1, "it is told anew");
        for one in told {
            house.figures.told(&one.def, &one.state, one.told().receive_time);
        }
    }
    house.find_at(&oil, Level::Normal, "well", Vec::new(), NOON.plus(Duration::from_secs(90)));
    house.clock.advance(Duration::from_secs(300));
    let hmi = Hmi::connect(&house.url).await;
    while count(&hmi, "AlarmCount").await == 0_u32.into() {
        tokio::task::yield_now().await;
    }
    (house, hmi)
}

fn moment(s: u64) -> Variant {
    date_time_from_instant(NOON.plus(Duration::from_secs(s))).0.into()
}

#[tokio::test]
async fn p9_9_2_how_long_alarms_stood_and_waited_at_most_and_how_often_they_came_anew_is_told() {
    let (house, hmi) = of_a_long_alarm().await;
    for (figure, value) in [
        ("StartTime", moment(0)),
        ("MaximumActiveState", 90_000.0.into()),
        ("MaximumUnAck", 300_000.0.into()),
        ("MaximumReAlarmCount", 2_u32.into()),
    ] {
        assert_eq!(count(&hmi, figure).await, value, "{figure}");
    }
    assert_eq!(hmi.value("console:east#MaximumActiveState").await, 90_000.0.into());
    house.clock.advance(Duration::from_secs(60));
    assert_eq!(count(&hmi, "MaximumActiveState").await, 90_000.0.into(), "it is over");
    assert_eq!(count(&hmi, "MaximumUnAck").await, 360_000.0.into(), "it waits still");
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn p9_9_4_reset_begins_the_figures_anew() {
    let (house, hmi) = of_a_long_alarm().await;
    assert_ne!(count(&hmi, "MaximumAlarmRate").await, 0.0.into());
    assert_eq!(hmi.call(own(METRICS), MethodId::AlarmMetricsType_Reset, Vec::new()).await, StatusCode::Good);
    for (figure, value) in [
        ("StartTime", moment(300)),
        ("AlarmCount", 0_u32.into()),
        ("MaximumActiveState", 0.0.into()),
        ("MaximumReAlarmCount", 0_u32.into()),
        ("MaximumAlarmRate", 0.0.into()),
        ("CurrentAlarmRate", 0.0.into()),
        ("AverageAlarmRate", 0.0.into()),
        // What waits is not forgotten by it.
        ("MaximumUnAck", 300_000.0.into()),
    ] {
        assert_eq!(count(&hmi, figure).await, value, "{figure}");
    }
    assert_eq!(hmi.value("area:Hall/Press#Metrics/StartTime").await, moment(0), "each area for itself");
    for (object, status) in [
        (own("area:Hall"), StatusCode::BadMethodInvalid),
        (own("hot/high/press/oil"), StatusCode::BadMethodInvalid),
        (ObjectId::Server.into(), StatusCode::BadMethodInvalid),
        (NodeId::new(0, 4_000_000_000_u32), StatusCode::BadNodeIdUnknown),
        (NodeId::new(1, "nowhere"), StatusCode::BadNodeIdUnknown),
        (own("AreaAlarmMetricsType"), StatusCode::BadNodeIdInvalid),
        (ObjectTypeId::AlarmMetricsType.into(), StatusCode::BadNodeIdInvalid),
        (NodeId::null(), StatusCode::BadNodeIdInvalid),
        (own("area:Nowhere#Metrics"), StatusCode::BadNodeIdUnknown),
    ] {
        let called = hmi.call(object.clone(), MethodId::AlarmMetricsType_Reset, Vec::new()).await;
        assert_eq!(called, status, "{object}");
    }
    let below = hmi.browse(own(METRICS), ReferenceTypeId::HasComponent, BrowseDirection::Forward, 0).await;
    assert!(below.iter().any(|found| found.browse_name.name.as_ref() == "Reset"), "it is found by browsing");
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn p9_9_3_figures_are_found_by_browsing() {
    let house = House::open().await;
    let hmi = Hmi::connect(&house.url).await;
    let found = hmi.follow(own("area:Hall"), &["Metrics", ".CurrentAlarmRate", ".Rate"], false).await;
    assert_eq!(found, vec![own("area:Hall#Metrics/CurrentAlarmRate/Rate")]);
    let found = hmi.follow(own(METRICS), &["Stale"], false).await;
    assert_eq!(found, vec![own("area:Hall#Metrics/Stale")]);
    let name = hmi.attribute(own("area:Hall#Metrics/Stale"), AttributeId::Description).await;
    assert!(matches!(name.value, Some(Variant::LocalizedText(_))));
    let kinds: [NodeId; 2] = [own("AreaAlarmMetricsType"), VariableTypeId::AlarmRateVariableType.into()];
    for (node, kind) in [METRICS, "area:Hall#Metrics/AverageAlarmRate"].into_iter().zip(kinds) {
        let definition = ReferenceTypeId::HasTypeDefinition;
        let found = hmi.browse(own(node), definition, BrowseDirection::Forward, 0).await;
        assert_eq!(found.first().unwrap().node_id.node_id, kind, "{node}");
    }
    // The type is the standard's with what that lacks.
    let subtypes = hmi
        .browse(ObjectTypeId::AlarmMetricsType.into(), ReferenceTypeId::HasSubtype, BrowseDirection::Forward, 0)
        .await;
    assert_eq!(subtypes.first().unwrap().node_id.node_id, own("AreaAlarmMetricsType"));
    let figures =
        hmi.browse(own("AreaAlarmMetricsType"), ReferenceTypeId::HasComponent, BrowseDirection::Forward, 0).await;
    let name = |figure: &ReferenceDescription| figure.browse_name.name.to_string();
    let names: Vec<String> = figures.iter().map(name).collect();
    for declared in ["Stale", "FloodShareDay", "UnauthorizedSuppressions", "UnauthorizedChanges"] {
        assert!(names.iter().any(|name| name == declared), "{declared}: {names:?}");
    }
    assert!(!names.contains(&"AlarmCount".to_owned()), "what is the standard's is its supertype's");
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn p9_9_2_an_operator_console_has_the_figures_of_the_areas_that_it_looks_after() {
    let house = House::open().await;
    house.define(oil_high());
    let hmi = Hmi::connect(&house.url).await;
    house.raise(&key("hot/high/press/oil"));
    while hmi.value("console:east#AlarmsInDay").await != 1_u32.into() {
        tokio::task::yield_now().await;
    }
    for (node, value) in [
        ("console:east#AlarmCount", Variant::from(1_u32)),
        ("console:east#CurrentAlarmRate", 1.0.into()),
        ("console:east#CurrentAlarmRate/Rate", 10_u16.into()),
        ("console:east#UnauthorizedSuppressions", 0_u32.into()),
        ("console:west#AlarmCount", 0_u32.into()),
    ] {
        assert_eq!(hmi.value(node).await, value, "{node}");
    }
    // Whoever browses comes to it from the top.
    let found = hmi.follow(own("area:Gateway"), &["Consoles", "east", ".CurrentAlarmRate", ".Rate"], false).await;
    assert_eq!(found, vec![own("console:east#CurrentAlarmRate/Rate")]);
    let all = hmi.browse(own("consoles"), ReferenceTypeId::Organizes, BrowseDirection::Forward, 0).await;
    let names: Vec<_> = all.iter().map(|found| found.display_name.text.to_string()).collect();
    assert_eq!(names, ["Control room east", "west"]);
    let definition = ReferenceTypeId::HasTypeDefinition;
    let found = hmi.browse(own("console:east"), definition, BrowseDirection::Forward, 0).await;
    assert_eq!(found.first().unwrap().node_id.node_id, own("AreaAlarmMetricsType"));
    let (reset, oil) = (MethodId::AlarmMetricsType_Reset, "hot/high/press/oil");
    assert_eq!(hmi.call(own("consoles"), reset, Vec::new()).await, StatusCode::BadMethodInvalid);
    assert_eq!(hmi.call(own("console:none"), reset, Vec::new()).await, StatusCode::BadNodeIdUnknown);
    assert_eq!(hmi.call(own("console:east"), reset, Vec::new()).await, StatusCode::Good);
    assert_eq!(hmi.value("console:east#AlarmCount").await, 0_u32.into());
    assert_eq!(hmi.value("area:Hall/Press#Metrics/AlarmCount").await, 1_u32.into(), "areas go on");
    assert!(hmi.write(own(&format!("{oil}#HighLimit")), 99.0).await.is_bad());
    assert_eq!(hmi.value("console:east#UnauthorizedChanges").await, 1_u32.into());
    assert_eq!(hmi.value("console:west#UnauthorizedChanges").await, 0_u32.into());
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn what_is_tried_by_those_who_may_not_is_counted_for_the_area_and_those_above() {
    let house = House::with(guarded()).await;
    house.define(oil_high());
    let oil = "hot/high/press/oil";
    house.raise(&key(oil));
    let log_in = async |name: &str| {
        let who = opcua::client::IdentityToken::UserName(name.into(), "oil".to_owned().into());
        Hmi::log_in(&house.url, who).await.unwrap()
    };
    let (ann, sue) = (log_in("ann").await, log_in("sue").await);
    for method in [
        MethodId::AlarmConditionType_Suppress,
        MethodId::ShelvedStateMachineType_OneShotShelve,
        MethodId::AlarmConditionType_RemoveFromService,
        MethodId::ConditionType_Disable,
        // Of these none is asked for what is put aside.
        MethodId::AlarmConditionType_Silence,
        MethodId::AlarmMetricsType_Reset,
    ] {
        assert!(ann.call(own(oil), method, Vec::new()).await.is_bad(), "{method:?}");
    }
    assert!(sue.write(own("hot/high/press/oil#HighLimit"), 99.0).await.is_bad(), "nobody changes limits so");
    for request in ["AcknowledgeRequest", "AcknowledgeRequestText"] {
        assert!(ann.write(own(&format!("hot/high/press/oil#Values/{request}")), 1_u32).await.is_bad(), "{request}");
    }
    for (area, tried) in [("Hall/Press", [4_u32, 1]), ("Hall", [4, 1]), ("Hall/Empty", [0, 0])] {
        for (figure, tried) in ["UnauthorizedSuppressions", "UnauthorizedChanges"].into_iter().zip(tried) {
            assert_eq!(ann.value(&format!("area:{area}#Metrics/{figure}")).await, tried.into(), "{area} {figure}");
        }
    }
    assert_eq!(sue.call(own(METRICS), MethodId::AlarmMetricsType_Reset, Vec::new()).await, StatusCode::Good);
    assert_eq!(count(&ann, "UnauthorizedSuppressions").await, 0_u32.into());
    ann.close().await;
    sue.close().await;
    house.close().await;
}
