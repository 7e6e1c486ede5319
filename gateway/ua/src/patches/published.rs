//! Who is told what, and when a subscription ends that has something left to tell: requests of connections that are gone,
//! messages that nobody comes for, and what is not to be published.

use super::kept::{Bare, message_and_type, tell};
use super::sessions::{Login, connect, event_item, header, serve_and_look};
use opcua::core::ResponseMessage;
use opcua::server::{ServerHandle, SubscriptionState};
use opcua::types::{
    ActivateSessionRequest, CloseSessionRequest, CreateSubscriptionRequest, Identifier, PublishRequest,
    PublishResponse, SetPublishingModeRequest, StatusChangeNotification, StatusCode,
};
use std::sync::Arc;
use std::time::Duration;

const WAIT_MAX: Duration = Duration::from_secs(60);

/// A subscription with ten milliseconds and these counts, whose messages have one event each.
async fn subscribe_for(bare: &Bare, keep_alive: u32, lifetime: u32) -> u32 {
    let subscribe = CreateSubscriptionRequest {
        request_header: header(&bare.session),
        requested_publishing_interval: 10.0,
        requested_max_keep_alive_count: keep_alive,
        requested_lifetime_count: lifetime,
        max_notifications_per_publish: 1,
        publishing_enabled: true,
        ..CreateSubscriptionRequest::default()
    };
    let subscription = match bare.send(subscribe).await {
        ResponseMessage::CreateSubscription(created) => created.subscription_id,
        other => panic!("{other:?}"),
    };
    bare.create(subscription, event_item(message_and_type())).await.expect("an item");
    subscription
}

fn asks(bare: &Bare) -> PublishRequest {
    PublishRequest { request_header: header(&bare.session), subscription_acknowledgements: None }
}

async fn published(bare: &Bare) -> Box<PublishResponse> {
    match bare.send(asks(bare)).await {
        ResponseMessage::Publish(published) => published,
        other => panic!("{other:?}"),
    }
}

async fn ends(handle: &ServerHandle, bare: &Bare, subscription: u32) {
    let Identifier::Numeric(number) = bare.session.session_id.identifier else { panic!("{:?}", bare.session) };
    let session = handle.subscriptions().get_session_subscriptions(number).expect("a session with subscriptions");
    let state = || session.lock().get(subscription).map(opcua::server::Subscription::state);
    let ends = async {
        while state().is_some_and(|state| state != SubscriptionState::Closed) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(WAIT_MAX, ends).await.expect("it ends");
}

#[tokio::test]
async fn a_subscription_ends_also_while_it_has_messages_that_nobody_comes_for() {
    let (url, pki, handle) = serve_and_look(Arc::default()).await;
    let client = connect(&url, &pki.path().join("client")).await.expect("there is room");
    let bare = Bare::open(&client, &url, Login::Nobody).await;
    let subscription = subscribe_for(&bare, 30, 100).await;
    tell(&handle, 0..5);
    assert_eq!(bare.publish().await, ["0"]);
    ends(&handle, &bare, subscription).await;
}

#[tokio::test]
async fn the_end_of_a_subscription_is_not_kept_for_those_who_ask_for_it_again() {
    let (url, pki, handle) = serve_and_look(Arc::default()).await;
    let client = connect(&url, &pki.path().join("client")).await.expect("there is room");
    let bare = Bare::open(&client, &url, Login::Nobody).await;
    let subscription = subscribe_for(&bare, 30, 100).await;
    ends(&handle, &bare, subscription).await;
    let end = published(&bare).await;
    let data = end.notification_message.notification_data.expect("its end");
    let ended = data[0].inner_as::<StatusChangeNotification>().expect("a change of status");
    assert_eq!(ended.status, StatusCode::BadTimeout);
    assert_eq!(end.available_sequence_numbers, None, "there is no subscription to acknowledge it to");
}

#[tokio::test]
async fn what_is_not_to_be_published_is_held_back_also_where_its_messages_were_made_before() {
    let (url, pki, handle) = serve_and_look(Arc::default()).await;
    let client = connect(&url, &pki.path().join("client")).await.expect("there is room");
    let bare = Bare::open(&client, &url, Login::Nobody).await;
    let subscription = subscribe_for(&bare, 20, 10_000).await;
    tell(&handle, 0..4);
    assert_eq!(bare.publish().await, ["0"]);
    let publishing = async |publishing_enabled: bool| {
        let set = SetPublishingModeRequest {
            request_header: header(&bare.session),
            publishing_enabled,
            subscription_ids: Some(vec![subscription]),
        };
        let done = bare.send(set).await;
        assert!(matches!(done, ResponseMessage::SetPublishingMode(_)), "{done:?}");
    };
    publishing(false).await;
    for _ in 0..2 {
        let message = published(&bare).await.notification_message;
        assert_eq!((message.notification_data, message.sequence_number), (None, 2), "a keep-alive before the next");
    }
    publishing(true).await;
    for number in 1..4 {
        assert_eq!(bare.publish().await, [number.to_string()]);
    }
}

#[tokio::test]
async fn requests_of_a_session_that_is_closed_with_its_subscriptions_are_told_so() {
    let (url, pki, _handle) = serve_and_look(Arc::default()).await;
    let client = connect(&url, &pki.path().join("client")).await.expect("there is room");
    let bare = Bare::open(&client, &url, Login::Nobody).await;
    subscribe_for(&bare, 1_000, 10_000).await;
    let close = CloseSessionRequest { request_header: header(&bare.session), delete_subscriptions: true };
    let (answer, closed) = tokio::join!(bare.send(asks(&bare)), bare.send(close));
    assert!(matches!(closed, ResponseMessage::CloseSession(_)), "{closed:?}");
    let ResponseMessage::ServiceFault(fault) = answer else { panic!("{answer:?}") };
    assert_eq!(fault.response_header.service_result, StatusCode::BadSessionClosed);
}

#[tokio::test]
async fn requests_of_a_connection_that_is_gone_take_no_message() {
    let (url, pki, handle) = serve_and_look(Arc::default()).await;
    let first = connect(&url, &pki.path().join("first")).await.expect("there is room");
    let bare = Bare::open(&first, &url, Login::User("ann")).await;
    subscribe_for(&bare, 1_000, 10_000).await;
    let asked = async {
        tokio::select! {
            _ = async { tokio::join!(bare.send(asks(&bare)), bare.send(asks(&bare)), bare.send(asks(&bare))) } => {
                panic!("there is nothing to tell")
            }
            // They have been read before this is answered.
            _ = bare.create(0, event_item(message_and_type())) => {}
        }
    };
    asked.await;
    first.disconnect().await.expect("it ends");
    let second = connect(&url, &pki.path().join("second")).await.expect("there is room");
    let bare = bare.over(&second);
    let activate = ActivateSessionRequest {
        request_header: header(&bare.session),
        user_identity_token: Login::User("ann").token(),
        ..ActivateSessionRequest::default()
    };
    let done = bare.send(activate).await;
    assert!(matches!(done, ResponseMessage::ActivateSession(_)), "{done:?}");
    tell(&handle, 0..1);
    let told = tokio::time::timeout(WAIT_MAX, bare.publish()).await.expect("it is told");
    assert_eq!(told, ["0"]);
}
