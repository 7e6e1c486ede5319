//! One variable that sums up the alarms of an area or a signal, as clients that know no alarms read it.

use opcua::types::{
    AttributeId, BrowseDirection, ByteString, ContentFilter, DataTypeId, DataValue, FilterOperator, LocalizedText,
    MethodId, NodeId, ReferenceTypeId, StatusCode, VariableTypeId, Variant,
};
use watchfire_alarms::ConditionDef;
use watchfire_model::{Level, Scope};

use super::client::{Changes, Hmi};
use super::house::{House, key, odd, oil_high};
use crate::names::own;

const AREA: &str = "area:Hall#AlarmState";
const SIGNAL: &str = "signal:press/oil#AlarmState";
const OIL: &str = "hot/high/press/oil";
const ACTIVE: u16 = 1;
const UNACKNOWLEDGED: u16 = 2;
const UNCONFIRMED: u16 = 4;

/// Mask, highest severities, counts: as they are read.
async fn summary(hmi: &Hmi, node: &str) -> [Variant; 6] {
    let of = async |name: &str| hmi.value(&format!("{node}{name}")).await;
    [
        of("").await,
        of("/HighestActiveSeverity").await,
        of("/HighestUnackSeverity").await,
        of("/ActiveCount").await,
        of("/UnacknowledgedCount").await,
        of("/UnconfirmedCount").await,
    ]
}

fn expected(mask: u16, severities: [u16; 2], counts: [u32; 3]) -> [Variant; 6] {
    let [active, unacknowledged, unconfirmed] = counts.map(Variant::from);
    [mask.into(), severities[0].into(), severities[1].into(), active, unacknowledged, unconfirmed]
}

/// The next change of this node; others are passed over.
async fn next(changes: &mut Changes, node: &str) -> DataValue {
    loop {
        let (of, value) = changes.next().await;
        if of == node {
            return value;
        }
    }
}

#[tokio::test]
async fn p9_8_2_and_8_3_the_alarms_of_an_area_and_of_a_signal_are_summed_up_at_every_change() {
    let house = House::open().await;
    house.define(oil_high());
    house.define(odd());
    let hmi = Hmi::connect(&house.url).await;
    assert!(!hmi.watch(&[own("watch/odd#Retain")]).await.next().await.0.is_empty());
    let mut changes = hmi.watch(&[own(AREA), own(SIGNAL)]).await;
    assert!(changes.round(2).await.values().all(|value| value.value == Some(0_u16.into())));
    let mut told = async |node: &str, mask: u16| {
        assert_eq!(next(&mut changes, node).await.value, Some(mask.into()), "{node}");
    };
    assert_eq!(summary(&hmi, SIGNAL).await, expected(0, [0, 0], [0, 0, 0]));

    house.raise(&key(OIL));
    told(SIGNAL, ACTIVE | UNACKNOWLEDGED).await;
    assert_eq!(summary(&hmi, SIGNAL).await, expected(ACTIVE | UNACKNOWLEDGED, [700, 700], [1, 1, 0]));
    house.find(&key("watch/odd"), Level::Active, "odd", Vec::new());
    while hmi.value(&format!("{AREA}/ActiveCount")).await != 2_u32.into() {
        tokio::task::yield_now().await;
    }
    assert_eq!(summary(&hmi, AREA).await, expected(ACTIVE | UNACKNOWLEDGED, [700, 700], [2, 2, 0]));
    assert_eq!(
        summary(&hmi, SIGNAL).await,
        expected(ACTIVE | UNACKNOWLEDGED, [700, 700], [1, 1, 0]),
        "what is its own"
    );

    let meant = |house: &House| {
        let event = ByteString::from(house.state(&key(OIL)).event_id(&key(OIL)).bytes().to_vec());
        vec![event.into(), LocalizedText::new("", "seen").into()]
    };
    let acknowledge = MethodId::AcknowledgeableConditionType_Acknowledge;
    assert_eq!(hmi.call(own(OIL), acknowledge, meant(&house)).await, StatusCode::Good);
    told(SIGNAL, ACTIVE | UNCONFIRMED).await;
    assert_eq!(summary(&hmi, SIGNAL).await, expected(ACTIVE | UNCONFIRMED, [700, 0], [1, 0, 1]));
    assert_eq!(summary(&hmi, AREA).await, expected(ACTIVE | UNACKNOWLEDGED | UNCONFIRMED, [700, 400], [2, 1, 1]));
    let confirm = MethodId::AcknowledgeableConditionType_Confirm;
    assert_eq!(hmi.call(own(OIL), confirm, meant(&house)).await, StatusCode::Good);
    told(SIGNAL, ACTIVE).await;

    // What is put aside is not counted, as Filter says, and is again afterwards.
    let shelve = MethodId::AlarmConditionType_ShelvingState_OneShotShelve;
    assert_eq!(hmi.call(own(OIL), shelve, Vec::new()).await, StatusCode::Good);
    told(SIGNAL, 0).await;
    assert_eq!(summary(&hmi, AREA).await, expected(ACTIVE | UNACKNOWLEDGED, [400, 400], [1, 1, 0]));
    let unshelve = MethodId::AlarmConditionType_ShelvingState_Unshelve;
    assert_eq!(hmi.call(own(OIL), unshelve, Vec::new()).await, StatusCode::Good);
    told(SIGNAL, ACTIVE).await;
    house.find(&key(OIL), Level::Normal, "well", Vec::new());
    told(SIGNAL, 0).await;
    house.find(&key("watch/odd"), Level::Normal, "well", Vec::new());
    while hmi.value(&format!("{AREA}/ActiveCount")).await != 0_u32.into() {
        tokio::task::yield_now().await;
    }
    assert_eq!(summary(&hmi, AREA).await, expected(UNACKNOWLEDGED, [0, 400], [0, 1, 0]));
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn p9_8_2_the_summary_is_found_by_browsing_and_says_what_it_counts() {
    use ReferenceTypeId::{HasComponent, HasProperty};
    let house = House::open().await;
    house.define(oil_high());
    let hmi = Hmi::connect(&house.url).await;
    assert!(!hmi.watch(&[own(&format!("{OIL}#Retain"))]).await.next().await.0.is_empty());
    for (owner, node) in [("area:Hall", AREA), ("signal:press/oil", SIGNAL)] {
        let found = hmi.browse(own(owner), HasComponent, BrowseDirection::Forward, 0).await;
        let found = found.iter().find(|found| found.node_id.node_id == own(node)).unwrap();
        assert_eq!(found.type_definition.node_id, NodeId::from(VariableTypeId::AlarmStateVariableType), "{node}");
        let properties = hmi.browse(own(node), HasProperty, BrowseDirection::Forward, 0).await;
        let names: Vec<_> = properties.iter().map(|found| found.browse_name.name.to_string()).collect();
        let wanted = [
            "HighestActiveSeverity",
            "HighestUnackSeverity",
            "ActiveCount",
            "UnacknowledgedCount",
            "UnconfirmedCount",
            "Filter",
        ];
        assert_eq!(names, wanted, "{node}");
        for property in &properties {
            let back = hmi.browse(property.node_id.node_id.clone(), HasProperty, BrowseDirection::Inverse, 0).await;
            assert_eq!(back[0].node_id.node_id, own(node));
        }
        let back = hmi.browse(own(node), HasComponent, BrowseDirection::Inverse, 0).await;
        assert_eq!(back[0].node_id.node_id, own(owner));
        let kind = hmi.attribute(own(node), AttributeId::DataType).await.value;
        assert_eq!(kind, Some(NodeId::from(DataTypeId::AlarmMask).into()));
        assert_eq!(hmi.follow(own(owner), &["AlarmState", ".UnconfirmedCount"], false).await.len(), 1);
        let Variant::ExtensionObject(filter) = hmi.value(&format!("{node}/Filter")).await else { panic!("{node}") };
        let filter = filter.inner_as::<ContentFilter>().unwrap().elements.clone().unwrap();
        assert_eq!((filter.len(), filter[0].filter_operator), (1, FilterOperator::Equals));
    }
    // A signal that no alarm is about has none.
    let none = hmi.attribute(own("signal:press/door#AlarmState"), AttributeId::Value).await;
    assert_eq!(none.status, Some(StatusCode::BadNodeIdUnknown));
    let parts = hmi.browse(own("signal:press/door"), HasComponent, BrowseDirection::Forward, 0).await;
    assert!(parts.is_empty(), "{parts:?}");
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn an_alarm_whose_signal_nobody_knew_while_its_detector_was_away_is_summed_up_there_once_it_is_back() {
    let house = House::open().await;
    house.define(ConditionDef { signal: None, scope: Scope::Binding, ..oil_high() });
    house.raise(&key(OIL));
    house.define(oil_high());
    // The conditions are defined by a task: its last word is a value.
    house.define(odd());
    let hmi = Hmi::connect(&house.url).await;
    assert!(!hmi.watch(&[own("watch/odd#Retain")]).await.next().await.0.is_empty());
    assert_eq!(summary(&hmi, SIGNAL).await, expected(ACTIVE | UNACKNOWLEDGED, [700, 700], [1, 1, 0]));
    let about = hmi.browse(own("area:Hall/Press"), ReferenceTypeId::HasNotifier, BrowseDirection::Forward, 0).await;
    let about: Vec<NodeId> = about.into_iter().map(|reference| reference.node_id.node_id).collect();
    assert_eq!(about, [own("source:watch")], "it is about a signal, and no object stands for that");
    hmi.close().await;
    house.close().await;
}
