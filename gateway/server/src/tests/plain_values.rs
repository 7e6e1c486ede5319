//! What a client that reads and writes values alone, and those that it can have as tags, finds and can do.

use opcua::types::{
    AttributeId, BrowseDirection, ByteString, DataTypeId, LocalizedText, MethodId, NodeId, ReferenceTypeId, StatusCode,
    UAString, Variant,
};
use watchfire_model::Level;

use super::client::{Hmi, PATIENCE};
use super::house::{House, key, oil_high};
use crate::names::own;

const OIL: &str = "hot/high/press/oil";

/// A house in which the oil pressure is too high, and an HMI that has seen so.
async fn alarmed() -> (House, Hmi) {
    let house = House::open().await;
    house.define(oil_high());
    let hmi = Hmi::connect(&house.url).await;
    house.raise(&key(OIL));
    let seen = async {
        while hmi.value(&format!("{OIL}#Values/Active")).await != true.into() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, seen).await.expect("it is shown");
    (house, hmi)
}

/// The EventId as it stands, in hexadecimal.
fn event_id_text(house: &House) -> String {
    house.state(&key(OIL)).event_id(&key(OIL)).bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn an_alarm_has_its_plain_variables_in_types_that_tags_can_have() {
    let (house, hmi) = alarmed().await;
    let values = own(&format!("{OIL}#Values"));
    let found = hmi.browse(values, ReferenceTypeId::HasComponent, BrowseDirection::Forward, 0).await;
    let mut names: Vec<String> = found.iter().map(|one| one.browse_name.name.as_ref().to_owned()).collect();
    names.sort_unstable();
    let expected = [
        "AcknowledgeRequest",
        "AcknowledgeRequestText",
        "Acknowledged",
        "Active",
        "EventId",
        "EventIdText",
        "LastChange",
        "Message",
        "Response",
        "Score",
        "Severity",
        "Shelved",
    ];
    assert_eq!(names, expected);
    for (name, value, access) in [
        ("EventIdText", event_id_text(&house).into(), 1_u8),
        ("AcknowledgeRequestText", UAString::null().into(), 3),
        ("Response", Variant::from("stop the press"), 1),
    ] {
        let node = own(&format!("{OIL}#Values/{name}"));
        assert_eq!(hmi.read(node.clone()).await.value, Some(value), "{name}");
        let kind = hmi.attribute(node.clone(), AttributeId::DataType).await.value;
        assert_eq!(kind, Some(NodeId::from(DataTypeId::String).into()), "{name}");
        assert_eq!(hmi.attribute(node, AttributeId::AccessLevel).await.value, Some(access.into()), "{name}");
    }
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn a_client_without_byte_strings_acknowledges_by_writing_the_event_id_as_text() {
    let (house, hmi) = alarmed().await;
    let request = || own(&format!("{OIL}#Values/AcknowledgeRequestText"));
    let text = event_id_text(&house);
    let bytes = ByteString::from(house.state(&key(OIL)).event_id(&key(OIL)).bytes().to_vec());
    for wrong in [
        String::new(),
        "07".repeat(16),
        text[..30].to_owned(),
        text[..31].to_owned(),
        format!("{text}00"),
        format!(" {text}"),
        format!("0x{text}"),
        format!("{}+{}", &text[..30], &text[31..]),
        "not hexadecimal at all".to_owned(),
        "é".repeat(16),
        "f".repeat(60_000),
    ] {
        assert_eq!(hmi.write(request(), wrong.as_str()).await, StatusCode::BadEventIdUnknown, "{wrong:.40}");
    }
    assert_eq!(hmi.write(request(), UAString::null()).await, StatusCode::BadEventIdUnknown);
    for other in [7_u32.into(), Variant::from(bytes), LocalizedText::new("", &text).into()] {
        assert_eq!(hmi.write(request(), other).await, StatusCode::BadTypeMismatch);
    }
    let other = own(&format!("{OIL}#Values/AcknowledgeRequest"));
    assert_eq!(hmi.write(other.clone(), text.as_str()).await, StatusCode::BadTypeMismatch, "each takes its own");
    assert!(!house.state(&key(OIL)).acked.value);
    assert_eq!(hmi.write(request(), text.to_uppercase()).await, StatusCode::Good);
    assert!(house.state(&key(OIL)).acked.value, "good is said when it is done");
    assert_eq!(hmi.write(request(), text.as_str()).await, StatusCode::BadConditionBranchAlreadyAcked);
    let seen = own(&format!("{OIL}#Values/EventIdText"));
    assert_eq!(hmi.write(seen, text.as_str()).await, StatusCode::BadNotWritable);
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn the_event_id_as_text_leads_to_what_was_left_unacknowledged_before() {
    let (house, hmi) = alarmed().await;
    house.find(&key(OIL), Level::Normal, "well again", Vec::new());
    house.raise(&key(OIL));
    let state = house.state(&key(OIL));
    let ids = [state.event_id(&key(OIL)), state.branches[0].event_id(&key(OIL))];
    let mut watched = hmi.watch(&[own(&format!("{OIL}#Values/EventIdText"))]).await;
    for id in ids {
        let text: String = id.bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        while watched.next().await.1.value != Some(text.as_str().into()) {}
        let request = own(&format!("{OIL}#Values/AcknowledgeRequestText"));
        assert_eq!(hmi.write(request, text.as_str()).await, StatusCode::Good);
    }
    let state = house.state(&key(OIL));
    assert!(state.acked.value && state.branches.iter().all(|branch| branch.acked.value));
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn of_a_disabled_alarm_both_requests_are_refused_alike_and_what_it_is_can_be_read() {
    let (house, hmi) = alarmed().await;
    let text = event_id_text(&house);
    let bytes = ByteString::from(house.state(&key(OIL)).event_id(&key(OIL)).bytes().to_vec());
    assert_eq!(hmi.call(own(OIL), MethodId::ConditionType_Disable, Vec::new()).await, StatusCode::Good);
    while hmi.read(own(&format!("{OIL}#Values/Active"))).await.status() != StatusCode::BadConditionDisabled {
        tokio::task::yield_now().await;
    }
    for (request, said) in [
        ("AcknowledgeRequest", Variant::from(bytes)),
        ("AcknowledgeRequestText", text.as_str().into()),
        ("AcknowledgeRequest", ByteString::null().into()),
        ("AcknowledgeRequestText", "none".into()),
    ] {
        let status = hmi.write(own(&format!("{OIL}#Values/{request}")), said).await;
        assert_eq!(status, StatusCode::BadConditionDisabled, "{request}");
    }
    for (field, value) in [("EventIdText", event_id_text(&house)), ("Response", "stop the press".to_owned())] {
        let read = hmi.read(own(&format!("{OIL}#Values/{field}"))).await;
        assert_eq!((read.status(), read.value), (StatusCode::Good, Some(value.into())), "{field}");
    }
    let request = hmi.read(own(&format!("{OIL}#Values/AcknowledgeRequestText"))).await;
    assert_eq!(request.status(), StatusCode::Good);
    hmi.close().await;
    house.close().await;
}
