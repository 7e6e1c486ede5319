//! What the gateway does to conditions by itself is audited as what people do, within bounds.

use opcua::client::IdentityToken;
use opcua::types::{
    ByteString, ContentFilter, ContentFilterBuilder, LocalizedText, MethodId, NodeId, ObjectId, ObjectTypeId, Operand,
    StatusCode, Variant,
};
use watchfire_alarms::{Belief, ConditionDef, Suppression};
use watchfire_model::{ConditionKey, Instant, Level, Lsn};

use super::client::{Events, Hmi, server};
use super::house::{House, guarded, key, oil_high};
use crate::by_itself::ONE_BY_ONE_MAX;
use crate::names::own;

const OIL: &str = "hot/high/press/oil";
const FIELDS: [&str; 8] =
    ["EventType", "SourceNode", "SourceName", "Message", "Status", "StatusCodeId", "ClientUserId", "ConditionEventId"];

fn password(user: &str) -> IdentityToken {
    IdentityToken::UserName(user.into(), "oil".to_owned().into())
}

async fn watch(hmi: &Hmi, kind: ObjectTypeId) -> Events {
    let of: ContentFilter = ContentFilterBuilder::new().of_type(Operand::literal(NodeId::from(kind))).build();
    hmi.subscribe(server(), &FIELDS, of).await
}

/// What nobody asked for, as the engine does it.
fn suppress(house: &House, key: &ConditionKey, reason: Suppression, holds: bool) {
    let told = house.engine.lock().suppress(key, reason, holds, Lsn(9), Instant::from_s(9));
    house.surface.publish(told);
}

#[tokio::test]
async fn p9_5_10_1_and_5_10_9_what_the_gateway_suppresses_by_itself_is_audited_and_what_a_person_does_once() {
    let house = House::with(guarded()).await;
    house.define(oil_high());
    house.raise(&key(OIL));
    let max = Hmi::log_in(&house.url, password("max")).await.unwrap();
    let mut audit = watch(&max, ObjectTypeId::AuditConditionEventType).await;
    let suppression = NodeId::from(ObjectTypeId::AuditConditionSuppressionEventType);
    for (holds, name, message) in [
        (true, "Internal/Suppress", "Suppress by the gateway: the mode of operation"),
        (false, "Internal/Unsuppress", "Unsuppress by the gateway: the mode of operation: no longer"),
    ] {
        suppress(&house, &key(OIL), Suppression::MODE, holds);
        let told = audit.next().await;
        assert_eq!((told.get("EventType"), told.get("SourceNode")), (&suppression.clone().into(), &own(OIL).into()));
        assert_eq!((told.text("SourceName"), told.get("Status")), (name.to_owned(), &true.into()));
        assert_eq!(*told.get("Message"), LocalizedText::new("en", message).into());
        assert_eq!(told.text("ClientUserId"), "System/Watchfire");
        let event = house.state(&key(OIL)).event_id(&key(OIL)).bytes().to_vec();
        assert_eq!(*told.get("ConditionEventId"), ByteString::from(event).into());
    }
    let sue = Hmi::log_in(&house.url, password("sue")).await.unwrap();
    // A person's word is told by the call alone; what ends with the alarm is not.
    let shelve = MethodId::AlarmConditionType_ShelvingState_OneShotShelve;
    assert_eq!(sue.call(own(OIL), shelve, vec![]).await, StatusCode::Good);
    house.find(&key(OIL), Level::Normal, "well again", Vec::new());
    let names = [audit.next().await, audit.next().await].map(|told| told.text("SourceName"));
    assert_eq!(names, ["Method/OneShotShelve", "Internal/Unshelve"]);
    assert_eq!(sue.call(own(OIL), MethodId::AlarmConditionType_Suppress, vec![]).await, StatusCode::Good);
    assert_eq!(sue.call(own(OIL), MethodId::AlarmConditionType_RemoveFromService, vec![]).await, StatusCode::Good);
    let names = [audit.next().await, audit.next().await].map(|told| told.text("SourceName"));
    assert_eq!(names, ["Method/Suppress", "Method/RemoveFromService"]);
    max.close().await;
    sue.close().await;
    house.close().await;
}

#[tokio::test]
async fn of_many_conditions_at_once_so_many_are_audited_one_by_one_and_the_others_are_counted() {
    const ALL: usize = ONE_BY_ONE_MAX + 500;
    let house = House::with(guarded()).await;
    let keys: Vec<ConditionKey> =
        (0..ALL).map(|at| ConditionKey::new("many", "high", &format!("press/{at}"))).collect();
    for key in &keys {
        house.define(ConditionDef { key: key.clone(), signal: None, ..oil_high() });
    }
    let max = Hmi::log_in(&house.url, password("max")).await.unwrap();
    let mut audit = watch(&max, ObjectTypeId::AuditConditionEventType).await;
    let lost = Belief { quality: watchfire_model::StatusCode::UNCERTAIN_LAST_USABLE, supported: false };
    let told: Vec<_> = {
        let mut engine = house.engine.lock();
        keys.iter().flat_map(|key| engine.believe(key, Lsn(9), lost, Instant::from_s(9))).collect()
    };
    house.surface.publish(told);
    for key in keys.iter().take(ONE_BY_ONE_MAX) {
        let told = audit.next().await;
        assert_eq!(told.get("SourceNode"), &own(key.as_str()).into());
    }
    let summed = audit.next().await;
    let message = LocalizedText::new("en", "Suppress of 500 more conditions by the gateway: an alarm above it");
    assert_eq!((summed.get("Message"), summed.get("ConditionEventId")), (&message.into(), &Variant::Empty));
    assert_eq!(*summed.get("SourceNode"), NodeId::from(ObjectId::Server).into());
    // It was at rest: what comes next is told.
    suppress(&house, &keys[0], Suppression::MODE, true);
    assert_eq!(audit.next().await.get("SourceNode"), &own(keys[0].as_str()).into());
    max.close().await;
    house.close().await;
}

#[tokio::test]
async fn p9_5_10_6_an_acknowledgement_that_is_written_is_audited_as_one() {
    let house = House::with(guarded()).await;
    house.define(oil_high());
    house.raise(&key(OIL));
    let max = Hmi::log_in(&house.url, password("max")).await.unwrap();
    let ann = Hmi::log_in(&house.url, password("ann")).await.unwrap();
    let mut audit = watch(&max, ObjectTypeId::AuditConditionEventType).await;
    let event = house.state(&key(OIL)).event_id(&key(OIL)).bytes().to_vec();
    let text: String = event.iter().map(|byte| format!("{byte:02X}")).collect();
    let bob = Hmi::log_in(&house.url, password("bob")).await.unwrap();
    let (as_it_is, as_text) = ("AcknowledgeRequest", "AcknowledgeRequestText");
    let bytes = |bytes: &[u8]| Variant::from(ByteString::from(bytes.to_vec()));
    let writes: [(&Hmi, &str, &str, Variant, &[u8]); 7] = [
        (&ann, "ann", as_it_is, bytes(&event), &event),
        (&ann, "ann", as_text, text.as_str().into(), &event),
        (&bob, "bob", as_it_is, bytes(&[1, 2, 3]), &[1, 2, 3]),
        (&bob, "bob", as_text, "010203".into(), &[1, 2, 3]),
        (&bob, "bob", as_text, "no event".into(), &[]),
        (&bob, "bob", as_it_is, bytes(&event), &event),
        (&bob, "bob", as_text, text.as_str().into(), &event),
    ];
    for (who, name, request, said, asked) in writes {
        let status = who.write(own(&format!("{OIL}#Values/{request}")), said).await;
        let asked = ByteString::from(asked.to_vec());
        let told = audit.next().await;
        assert_eq!(*told.get("EventType"), NodeId::from(ObjectTypeId::AuditConditionAcknowledgeEventType).into());
        assert_eq!((told.get("SourceNode"), told.get("ConditionEventId")), (&own(OIL).into(), &asked.into()));
        assert_eq!((told.text("ClientUserId"), told.get("StatusCodeId")), (name.to_owned(), &status.into()));
        assert_eq!(told.text("SourceName"), "Internal/AcknowledgeRequest");
    }
    assert!(house.state(&key(OIL)).acked.value);
    max.close().await;
    ann.close().await;
    bob.close().await;
    house.close().await;
}
