//! A condition that is defined anew may be of another area.

use opcua::types::{BrowseDirection, ContentFilter, ReferenceTypeId};
use watchfire_alarms::ConditionDef;
use watchfire_model::Level;

use super::client::Hmi;
use super::house::{House, key, odd, oil_high};
use crate::names::own;

/// The nodes of ours below an area by this reference.
async fn below(hmi: &Hmi, id: &str, kind: ReferenceTypeId) -> Vec<String> {
    let found = hmi.browse(own(id), kind, BrowseDirection::Forward, 0).await;
    found.into_iter().map(|found| found.node_id.node_id.to_string().replace("ns=2;s=", "")).collect()
}

#[tokio::test]
async fn a_condition_that_is_defined_anew_is_in_its_new_area_alone() {
    use ReferenceTypeId::{HasComponent, HasEventSource};
    let house = House::open().await;
    let another = key("watch/other");
    for def in [oil_high(), odd(), ConditionDef { key: another.clone(), ..odd() }] {
        let key = def.key.clone();
        house.define(def);
        house.find(&key, Level::Active, "odd", Vec::new());
    }
    let hmi = Hmi::connect(&house.url).await;
    let active = async |area: &str| hmi.value(&format!("area:{area}#ActiveCount")).await;
    while active("Hall/Press").await != 3_u32.into() {
        tokio::task::yield_now().await;
    }
    // Whoever watches the area that it leaves is told, though nothing else changes there.
    let mut left = hmi.watch(&[own("area:Hall/Press#ActiveCount")]).await;
    assert_eq!(left.next().await.1.value, Some(3_u32.into()));
    house.define(ConditionDef { area: "Yard/Pump".into(), ..odd() });
    assert_eq!(left.next().await.1.value, Some(2_u32.into()));
    let mut events = hmi.subscribe(own("area:Yard"), &["ConditionId"], ContentFilter::default()).await;
    while active("Yard").await != 1_u32.into() {
        tokio::task::yield_now().await;
    }
    assert_eq!((active("Hall").await, active("Hall/Press").await), (2_u32.into(), 2_u32.into()));
    assert_eq!(below(&hmi, "area:Yard/Pump#Alarms", HasComponent).await, ["watch/odd"]);
    assert_eq!(below(&hmi, "area:Hall/Press#Alarms", HasComponent).await, ["hot/high/press/oil", "watch/other"]);
    assert!(below(&hmi, "area:Yard/Pump", HasEventSource).await.contains(&"source:watch".to_owned()));
    let sources = below(&hmi, "area:Hall/Press", HasEventSource).await;
    assert!(sources.contains(&"source:watch".to_owned()), "another of its conditions is still there: {sources:?}");
    house.find(&key("watch/odd"), Level::Normal, "well", Vec::new());
    assert_eq!(*events.next().await.get("ConditionId"), own("watch/odd").into());

    house.define(ConditionDef { key: another, area: "Yard/Pump".into(), ..odd() });
    while active("Hall/Press").await != 1_u32.into() {
        tokio::task::yield_now().await;
    }
    let sources = below(&hmi, "area:Hall/Press", HasEventSource).await;
    assert!(!sources.contains(&"source:watch".to_owned()), "{sources:?}");
    hmi.close().await;
    house.close().await;
}
