//! The first moments of a start: nobody is told of less than what stands.

use std::time::Duration;

use opcua::types::{ContentFilter, MethodId, NodeId, ObjectTypeId, StatusCode, Variant};

use super::client::{Hmi, server};
use super::house::{House, key, oil_high, open};
use crate::names::own;

const OIL: &str = "hot/high/press/oil";
/// A client is let in within a hundredth of it.
const A_WHILE: Duration = Duration::from_millis(500);

async fn incomplete() -> House {
    House::incomplete(open(), |_| {}).await
}

#[tokio::test]
async fn whoever_connects_at_a_start_waits_until_all_that_stands_is_known_and_then_gets_it() {
    let house = incomplete().await;
    let mut connecting = Box::pin(Hmi::connect(&house.url));
    let early = tokio::time::timeout(A_WHILE, &mut connecting).await;
    assert!(early.is_err(), "it would see an empty alarm list");
    house.define(oil_high());
    house.raise(&key(OIL));
    house.surface.complete();
    let hmi = connecting.await;
    assert_eq!(hmi.value(&format!("{OIL}#ActiveState/Id")).await, true.into(), "it is there from the first");
    let mut events = hmi.subscribe(server(), &["EventType", "ConditionId"], ContentFilter::default()).await;
    let (kind, refresh) = (NodeId::from(ObjectTypeId::ConditionType), MethodId::ConditionType_ConditionRefresh);
    assert_eq!(hmi.call(kind, refresh, vec![events.subscription.into()]).await, StatusCode::Good);
    let kind = |kind: ObjectTypeId| Variant::from(NodeId::from(kind));
    assert_eq!(*events.next().await.get("EventType"), kind(ObjectTypeId::RefreshStartEventType));
    assert_eq!(*events.next().await.get("ConditionId"), own(OIL).into());
    assert_eq!(*events.next().await.get("EventType"), kind(ObjectTypeId::RefreshEndEventType));
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn one_that_is_stopped_before_it_knows_all_that_stands_ends_at_once() {
    let house = incomplete().await;
    tokio::time::timeout(A_WHILE, house.close()).await.expect("it waits for clients that it has not let in");
}
