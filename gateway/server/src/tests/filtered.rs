//! Lists of clients that filter (SupportsFilteredRetain), and the classes that they filter by.

use std::sync::Arc;

use opcua::types::{
    AttributeId, ByteString, ContentFilter, ContentFilterBuilder, LocalizedText, MethodId, NodeId, ObjectTypeId,
    Operand, StatusCode, Variant,
};
use watchfire_alarms::{ConditionClass, ConditionDef, Rules};
use watchfire_model::Level;

use super::client::{Hmi, clause, server};
use super::house::{House, key, odd, oil_high};
use crate::names::own;

const OIL: &str = "hot/high/press/oil";

/// What is not acknowledged, as lists of what is to be done are filtered.
fn to_do() -> ContentFilter {
    ContentFilterBuilder::new().eq(Operand::from(clause("AckedState/Id")), Operand::literal(false)).build()
}

async fn acknowledge(house: &House, hmi: &Hmi) {
    let id = ByteString::from(house.state(&key(OIL)).event_id(&key(OIL)).bytes().to_vec());
    let method = MethodId::AcknowledgeableConditionType_Acknowledge;
    assert_eq!(hmi.call(own(OIL), method, vec![id.into(), Variant::Empty]).await, StatusCode::Good);
}

#[tokio::test]
async fn what_leaves_a_clients_filter_is_told_once_more_with_retain_false() {
    let house = House::open().await;
    house.define(ConditionDef { confirm: false, ..oil_high() });
    let hmi = Hmi::connect(&house.url).await;
    let fields = ["EventId", "Retain", "AckedState/Id", "SupportsFilteredRetain"];
    let mut all = hmi.subscribe(server(), &fields, ContentFilter::default()).await;
    let mut at_server = hmi.subscribe(server(), &fields, to_do()).await;
    let mut at_area = hmi.subscribe(own("area:Hall"), &fields, to_do()).await;
    house.raise(&key(OIL));
    for events in [&mut all, &mut at_server, &mut at_area] {
        let event = events.next().await;
        assert_eq!((event.get("Retain"), event.get("SupportsFilteredRetain")), (&true.into(), &true.into()));
    }
    acknowledge(&house, &hmi).await;
    let whole = all.next().await;
    assert_eq!(*whole.get("Retain"), true.into(), "it still stands");
    for events in [&mut at_server, &mut at_area] {
        let event = events.next().await;
        assert_eq!((event.get("Retain"), event.get("AckedState/Id")), (&false.into(), &true.into()));
        assert_eq!(event.get("EventId"), whole.get("EventId"), "the same event");
    }
    // What comes after concerns nobody who filters, until it passes again.
    house.find(&key(OIL), Level::Normal, "well again", Vec::new());
    house.raise(&key(OIL));
    for events in [&mut at_server, &mut at_area] {
        assert_eq!(*events.next().await.get("Retain"), true.into());
        assert!(events.is_empty());
    }
    assert_eq!(hmi.value(&format!("{OIL}#SupportsFilteredRetain")).await, true.into());
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn what_a_refresh_has_told_is_taken_out_of_a_filtered_list_too() {
    let house = House::open().await;
    house.define(ConditionDef { confirm: false, ..oil_high() });
    house.raise(&key(OIL));
    let hmi = Hmi::connect(&house.url).await;
    let mut events = hmi.subscribe(server(), &["ConditionId", "Retain"], to_do()).await;
    let refresh = MethodId::ConditionType_ConditionRefresh;
    let asked = hmi.call(ObjectTypeId::ConditionType.into(), refresh, vec![events.subscription.into()]).await;
    assert_eq!(asked, StatusCode::Good);
    let oil = Variant::from(own(OIL));
    let mut next_of_oil = async || {
        loop {
            let event = events.next().await;
            if *event.get("ConditionId") == oil {
                return event.get("Retain").clone();
            }
        }
    };
    assert_eq!(next_of_oil().await, true.into());
    acknowledge(&house, &hmi).await;
    assert_eq!(next_of_oil().await, false.into());
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn an_alarm_has_further_classes_where_they_are_set() {
    let house = House::open().await;
    let sub_classes = vec![ConditionClass::Safety, ConditionClass::Testing];
    house.define(ConditionDef { rules: Arc::new(Rules { sub_classes, ..Rules::default() }), ..oil_high() });
    house.define(odd());
    let hmi = Hmi::connect(&house.url).await;
    let fields = ["ConditionClassId", "ConditionSubClassId", "ConditionSubClassName"];
    let mut events = hmi.subscribe(server(), &fields, ContentFilter::default()).await;
    house.raise(&key(OIL));
    let event = events.next().await;
    let ids = [ObjectTypeId::SafetyConditionClassType, ObjectTypeId::TestingConditionClassType].map(NodeId::from);
    let named = |name: &str| LocalizedText::new("en", name);
    let names = vec![named("SafetyConditionClassType"), named("TestingConditionClassType")];
    assert_eq!(*event.get("ConditionClassId"), NodeId::from(ObjectTypeId::ProcessConditionClassType).into());
    assert_eq!(*event.get("ConditionSubClassId"), ids.to_vec().into());
    assert_eq!(*event.get("ConditionSubClassName"), names.into());
    let node = own(&format!("{OIL}#ConditionSubClassId"));
    assert_eq!(hmi.read(node.clone()).await.value, Some(ids.to_vec().into()));
    assert_eq!(hmi.attribute(node.clone(), AttributeId::ValueRank).await.value, Some(1_i32.into()));
    assert_eq!(hmi.attribute(node, AttributeId::ArrayDimensions).await.value, Some(vec![0_u32].into()));
    house.find(&key("watch/odd"), Level::Active, "odd", Vec::new());
    assert_eq!(*events.next().await.get("ConditionSubClassId"), Variant::Empty);
    let none = hmi.read(own("watch/odd#ConditionSubClassId")).await;
    assert_eq!(none.status(), StatusCode::BadNodeIdUnknown);
    hmi.close().await;
    house.close().await;
}
