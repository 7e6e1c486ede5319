//! Findings that are no alarms reach an HMI as plain events, and nothing else of them does.

use std::sync::Arc;

use opcua::types::{AttributeId, ByteString, ContentFilter, NodeId, ObjectTypeId, StatusCode, Variant};
use watchfire_alarms::{ConditionDef, EventId};
use watchfire_model::Instant;
use watchfire_pipeline::PlainEvent;

use super::client::{Hmi, server};
use super::house::{House, NOON, odd, oil_high};
use crate::names::own;

const FIELDS: [&str; 9] =
    ["EventId", "EventType", "SourceNode", "SourceName", "Time", "ReceiveTime", "Message", "Severity", "Retain"];

fn finding(def: ConditionDef, number: u64) -> PlainEvent {
    let def = ConditionDef { response: "".into(), ..def };
    PlainEvent {
        event_id: EventId::derive(&def.key, number, 7),
        message: format!("the {number}th"),
        def: Arc::new(def),
        at: NOON,
        receive_time: NOON.plus(std::time::Duration::from_secs(1)),
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
    let time = |at: Instant| Variant::from(watchfire_ua::date_time_from_instant(at).0);
    let expected: [(&str, Variant); 8] = [
        ("EventId", ByteString::from(id.bytes().to_vec()).into()),
        ("EventType", NodeId::from(ObjectTypeId::BaseEventType).into()),
        ("SourceNode", own("signal:press/oil").into()),
        ("SourceName", "press/oil".into()),
        ("Time", time(NOON)),
        ("ReceiveTime", time(NOON.plus(std::time::Duration::from_secs(1)))),
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
