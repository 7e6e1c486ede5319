//! Clients that ask and do not listen, never come for what they have subscribed to, or send what nobody can read: the
//! others get their alarms all the same.

use std::time::Duration;

use opcua::client::IdentityToken;
use opcua::core::{RequestMessage, ResponseMessage};
use opcua::types::{
    ActivateSessionRequest, AnonymousIdentityToken, ContentFilter, ContentFilterBuilder, CreateMonitoredItemsRequest,
    CreateSessionRequest, CreateSubscriptionRequest, ExtensionObject, NodeId, ObjectTypeId, Operand, ReadValueId,
    RequestHeader, StatusCode, TimestampsToReturn, VariableId,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use watchfire_model::Level;

use super::client::{Events, Hmi, PATIENCE, clause, event_item, server};
use super::house::{House, guarded, key, oil_high};
use crate::names::own;

const OIL: &str = "hot/high/press/oil";
/// What a line makes bytes of that are no text.
const GARBLED: &str = "to be garbled";

/// A way to the server on which a word is garbled, and which can be made deaf.
struct Line {
    url: String,
    deaf: watch::Sender<bool>,
}

impl Line {
    async fn to(house: &House) -> Self {
        let server = house.url.trim_start_matches("opc.tcp://").trim_end_matches('/').to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("opc.tcp://{}/", listener.local_addr().unwrap());
        let (deaf, is_deaf) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.unwrap();
                tokio::spawn(connect(client, server, is_deaf.clone()));
            }
        });
        Self { url, deaf }
    }
}

async fn connect(client: TcpStream, server: TcpStream, mut is_deaf: watch::Receiver<bool>) {
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
        (client.into_split(), server.into_split());
    let asks = async {
        let mut bytes = vec![0; 1 << 16];
        while let Ok(count @ 1..) = from_client.read(&mut bytes).await {
            let asked = &mut bytes[..count];
            if let Some(at) = asked.windows(GARBLED.len()).position(|some| some == GARBLED.as_bytes()) {
                asked[at..at + GARBLED.len()].fill(0xff);
            }
            if to_server.write_all(asked).await.is_err() {
                break;
            }
        }
    };
    let hears = async {
        let mut bytes = vec![0; 1 << 16];
        loop {
            let made_deaf = async { is_deaf.wait_for(|is_deaf| *is_deaf).await.is_ok() };
            let read = tokio::select! {
                biased;
                _ = made_deaf => None,
                read = from_server.read(&mut bytes) => Some(read.unwrap_or(0)),
            };
            let Some(count) = read else { std::future::pending().await };
            if count == 0 || to_client.write_all(&bytes[..count]).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = asks => {}
        () = hears => {}
    }
}

/// Raises an alarm and makes it worse so many times: whoever listens is told of each.
async fn all_is_told(house: &House, events: &mut Events, times: usize) {
    for at in 0..times {
        let level = if at % 2 == 0 { Level::High } else { Level::HighHigh };
        house.find(&key(OIL), level, &format!("event {at}."), Vec::new());
    }
    for at in 0..times {
        let message = events.next().await.text("Message");
        assert!(message.starts_with(&format!("event {at}.")), "{message} in place of event {at}");
    }
}

async fn watching(house: &House) -> (Hmi, Events) {
    house.define(oil_high());
    let hmi = Hmi::connect(&house.url).await;
    let events = hmi.subscribe(server(), &["Message"], ContentFilter::default()).await;
    (hmi, events)
}

#[tokio::test]
async fn a_client_that_does_not_read_its_socket_disturbs_nobody() {
    let house = House::open().await;
    let (hmi, mut events) = watching(&house).await;
    let line = Line::to(&house).await;
    let deaf = Hmi::connect(&line.url).await;
    deaf.subscribe(server(), &["Message"], ContentFilter::default()).await;
    line.deaf.send_replace(true);
    // More than the sockets of both sides hold.
    let much = vec![ReadValueId::from(NodeId::from(VariableId::Server_ServerCapabilities_ServerProfileArray)); 5_000];
    for _ in 0..10 {
        let (session, much) = (deaf.session.clone(), much.clone());
        tokio::spawn(async move { session.read(&much, TimestampsToReturn::Neither, 0.0).await });
    }
    all_is_told(&house, &mut events, 1_000).await;
    hmi.close().await;
    house.close().await;
}

/// Asks over the channel of a client, in the name of another session.
async fn ask(through: &Hmi, request: impl Into<RequestMessage>) -> ResponseMessage {
    through.session.channel().send(request, PATIENCE).await.unwrap()
}

#[tokio::test]
async fn a_client_that_never_comes_for_what_it_has_subscribed_to_disturbs_nobody() {
    let house = House::open().await;
    let (hmi, mut events) = watching(&house).await;
    let create = CreateSessionRequest {
        endpoint_url: house.url.as_str().into(),
        requested_session_timeout: 300_000.0,
        ..CreateSessionRequest::default()
    };
    let ResponseMessage::CreateSession(created) = ask(&hmi, create).await else { panic!("no session") };
    let header = || RequestHeader { authentication_token: created.authentication_token.clone(), ..Default::default() };
    let token = AnonymousIdentityToken { policy_id: "anonymous".into() };
    let activate = ActivateSessionRequest {
        request_header: header(),
        user_identity_token: ExtensionObject::from_message(token),
        ..ActivateSessionRequest::default()
    };
    let activated = ask(&hmi, activate).await;
    assert!(matches!(activated, ResponseMessage::ActivateSession(_)), "{activated:?}");
    let subscribe = CreateSubscriptionRequest {
        request_header: header(),
        requested_publishing_interval: 10.0,
        requested_max_keep_alive_count: 100,
        requested_lifetime_count: 10_000,
        publishing_enabled: true,
        ..CreateSubscriptionRequest::default()
    };
    let ResponseMessage::CreateSubscription(subscribed) = ask(&hmi, subscribe).await else { panic!("no subscription") };
    let item = event_item(server(), &["Message"], ContentFilter::default(), 10);
    let monitor = CreateMonitoredItemsRequest {
        request_header: header(),
        subscription_id: subscribed.subscription_id,
        timestamps_to_return: TimestampsToReturn::Neither,
        items_to_create: Some(vec![item; 50]),
    };
    let ResponseMessage::CreateMonitoredItems(items) = ask(&hmi, monitor).await else { panic!("no items") };
    assert!(items.results.unwrap().iter().all(|item| item.status_code == StatusCode::Good));
    all_is_told(&house, &mut events, 1_000).await;
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn a_text_that_is_none_is_refused_with_an_audit_event_and_disturbs_nobody() {
    let house = House::with(guarded()).await;
    let (hmi, mut events) = watching(&house).await;
    let max = Hmi::log_in(&house.url, IdentityToken::UserName("max".into(), "oil".to_owned().into())).await.unwrap();
    let kind = Operand::literal(NodeId::from(ObjectTypeId::AuditSecurityEventType));
    let unreadable = ContentFilterBuilder::new().eq(clause("EventType"), kind).build();
    let mut audit = max.subscribe(server(), &["SourceName", "StatusCodeId"], unreadable).await;
    let line = Line::to(&house).await;
    let garbling = Hmi::connect(&line.url).await;
    let wanted = [ReadValueId::from(own(GARBLED))];
    let read = garbling.session.read(&wanted, TimestampsToReturn::Neither, 0.0);
    let read = tokio::time::timeout(Duration::from_secs(20), read).await.unwrap();
    assert!(read.is_err(), "{read:?}");
    let told = audit.next().await;
    assert_eq!(told.text("SourceName"), "SecureChannel/Message");
    assert_eq!(*told.get("StatusCodeId"), StatusCode::BadDecodingError.into());
    all_is_told(&house, &mut events, 10).await;
    hmi.close().await;
    max.close().await;
    house.close().await;
}
