//! How often an item is looked at that leaves it to its subscription.

use super::kept::Bare;
use super::sessions::{Login, connect, header, serve_and_look};
use opcua::core::ResponseMessage;
use opcua::types::{
    CreateMonitoredItemsRequest, CreateSubscriptionRequest, ModifyMonitoredItemsRequest, ModifySubscriptionRequest,
    MonitoredItemCreateRequest, MonitoredItemModifyRequest, MonitoringParameters, NodeId, TimestampsToReturn,
    VariableId,
};
use std::sync::Arc;

/// An item that asks for this interval, by its number, and the interval that it gets.
async fn item(bare: &Bare, subscription_id: u32, interval: f64) -> (u32, f64) {
    let mut item = MonitoredItemCreateRequest::from(NodeId::from(VariableId::Server_ServiceLevel));
    item.requested_parameters.sampling_interval = interval;
    let create = CreateMonitoredItemsRequest {
        request_header: header(&bare.session),
        subscription_id,
        timestamps_to_return: TimestampsToReturn::Neither,
        items_to_create: Some(vec![item]),
    };
    let ResponseMessage::CreateMonitoredItems(made) = bare.send(create).await else { panic!("no items") };
    let made = made.results.expect("results").remove(0);
    (made.monitored_item_id, made.revised_sampling_interval)
}

#[tokio::test]
async fn an_interval_below_zero_is_the_one_at_which_the_subscription_publishes_by_then() {
    let (url, pki, _handle) = serve_and_look(Arc::default()).await;
    let client = connect(&url, &pki.path().join("client")).await.expect("there is room");
    let bare = Bare::open(&client, &url, Login::Nobody).await;
    let subscribe = CreateSubscriptionRequest {
        request_header: header(&bare.session),
        requested_publishing_interval: 62.5,
        requested_max_keep_alive_count: 100,
        requested_lifetime_count: 1_000,
        publishing_enabled: true,
        ..CreateSubscriptionRequest::default()
    };
    let ResponseMessage::CreateSubscription(made) = bare.send(subscribe).await else { panic!("no subscription") };
    let subscription_id = made.subscription_id;
    assert_eq!(made.revised_publishing_interval, 62.5);
    let (first, interval) = item(&bare, subscription_id, -1.0).await;
    assert_eq!(interval, 62.5);
    assert_eq!(item(&bare, subscription_id, -1e9).await.1, 62.5);
    assert_eq!(item(&bare, subscription_id, 250.0).await.1, 250.0);
    let modify = ModifySubscriptionRequest {
        request_header: header(&bare.session),
        subscription_id,
        requested_publishing_interval: 400.0,
        requested_lifetime_count: 1_000,
        requested_max_keep_alive_count: 100,
        ..ModifySubscriptionRequest::default()
    };
    assert!(matches!(bare.send(modify).await, ResponseMessage::ModifySubscription(_)));
    assert_eq!(item(&bare, subscription_id, -1.0).await.1, 400.0);
    // What was made before goes on as it was, until somebody asks for it again.
    let requested_parameters = MonitoringParameters { sampling_interval: -1.0, ..MonitoringParameters::default() };
    let modify = ModifyMonitoredItemsRequest {
        request_header: header(&bare.session),
        subscription_id,
        timestamps_to_return: TimestampsToReturn::Neither,
        items_to_modify: Some(vec![MonitoredItemModifyRequest { monitored_item_id: first, requested_parameters }]),
    };
    let ResponseMessage::ModifyMonitoredItems(modified) = bare.send(modify).await else { panic!("not modified") };
    assert_eq!(modified.results.expect("results")[0].revised_sampling_interval, 400.0);
}
