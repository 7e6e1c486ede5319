//! Findings that are no alarms reach an HMI as plain events, and nothing else of them does.

use std::time::Duration;

use opcua::types::{
    AttributeId, ByteString, ContentFilter, ContentFilterBuilder, EventFilter, NodeId, ObjectTypeId, Operand,
    ReadEventDetails, StatusCode, Variant,
};
use watchfire_alarms::{ConditionDef, EventId};
use watchfire_model::{Instant, PlainEvent};

use watchfire_ua::date_time_from_instant;

use super::client::{Hmi, clause, server};
use super::house::{House, NOON, odd, oil_high};
use super::past::{fields, read};
use crate::names::own;

const FIELDS: [&str; 9] =
    ["EventId", "EventType", "SourceNode", "SourceName", "Time", "ReceiveTime", "Message", "Severity", "Retain"];

fn finding(def: ConditionDef, number: u64) -> PlainEvent {
    PlainEvent {
        event_id: *EventId::derive(&def.key, number, 7).bytes(),
        message: format!("the {number}th"),
        area: def.area.as_ref().into(),
        source_name: def.source_name.as_ref().into(),
        signal: def.signal,
        severity: def.severity,
        key: def.key,
        at: NOON,
        receive_time: NOON.plus(Duration::from_secs(1)),
    }
}

#[tokio::test]
async fn a_finding_that_is_no_alarm_is_an_event_at_every_level_and_no_condition() {
    let house = House::open().await;
    let hmi = Hmi::connect(&house.url).await;
    let mut events = hmi.subscribe(server(), &FIELDS, ContentFilter::default()).await;
    let mut above = hmi.subscribe(own("area:Hall"), &FIELDS, ContentFilter::default()).await;
    house.surface.tell(vec![finding(oil_high(), 1), finding(odd(), 2)]);
    let first = events.next().await;
    let id = EventId::derive(&oil_high().key, 1, 7);
    let time = |at: Instant| Variant::from(date_time_from_instant(at).0);
    let expected: [(&str, Variant); 8] = [
        ("EventId", ByteString::from(id.bytes().to_vec()).into()),
        ("EventType", NodeId::from(ObjectTypeId::BaseEventType).into()),
        ("SourceNode", own("signal:press/oil").into()),
        ("SourceName", "press/oil".into()),
        ("Time", time(NOON)),
        ("ReceiveTime", time(NOON.plus(Duration::from_secs(1)))),
        ("Severity", 700_u16.into()),
        ("Retain", Variant::Empty),
    ];
    for (field, value) in expected {
        assert_eq!(*first.get(field), value, "{field}");
    }
    assert_eq!(first.text("Message"), "the 1th");
    assert_eq!(*events.next().await.get("SourceNode"), own("detector:watch").into());
    assert_eq!(above.next().await.text("Message"), "the 1th");
    let node = hmi.attribute(own("hot/high/press/oil"), AttributeId::BrowseName).await;
    assert_eq!(node.status, Some(StatusCode::BadNodeIdUnknown));
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn p11_6_5_2_findings_that_are_no_alarms_are_read_back_as_they_were_told() {
    let house = House::open().await;
    let hmi = Hmi::connect(&house.url).await;
    let mut live = hmi.subscribe(server(), &FIELDS, ContentFilter::default()).await;
    let (of_a_signal, of_a_detector) = (finding(oil_high(), 1), finding(odd(), 2));
    house.surface.tell(vec![of_a_signal.clone(), of_a_detector.clone()]);
    house.recorded.record_plain(of_a_signal);
    house.recorded.record_plain(of_a_detector);
    let told = [live.next().await, live.next().await];
    let told: Vec<Vec<Variant>> =
        told.iter().map(|event| FIELDS.map(|field| event.get(field).clone()).into()).collect();
    let wanted = |where_clause| ReadEventDetails {
        num_values_per_node: 0,
        start_time: date_time_from_instant(NOON).0,
        end_time: date_time_from_instant(NOON.plus(Duration::from_secs(60))).0,
        filter: EventFilter { select_clauses: Some(FIELDS.iter().map(|field| clause(field)).collect()), where_clause },
    };
    let all = wanted(ContentFilter::default());
    for (node, expected) in [
        (server(), &told[..]),
        (own("area:Hall"), &told),
        (own("area:Hall/Press"), &told),
        (own("area:Hall/Empty"), &[]),
    ] {
        let found = read(&hmi, node.clone(), &all, ByteString::null()).await;
        assert_eq!(fields(&found), expected, "{node}");
    }
    let alarms = Operand::literal(Variant::from(NodeId::from(ObjectTypeId::AlarmConditionType)));
    let alarms = wanted(ContentFilterBuilder::new().of_type(alarms).build());
    assert_eq!(fields(&read(&hmi, server(), &alarms, ByteString::null()).await), Vec::<Vec<Variant>>::new());
    hmi.close().await;
    house.close().await;
}
