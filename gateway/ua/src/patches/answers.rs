//! How much one request has the server read and keep, how much one connection that reads no answers, and how long a message
//! may be before there is a session.

use super::kept::Bare;
use super::raw::{PATIENCE, Raw, Said};
use super::sessions::{Few, Login, connect, header, serve_and_look, session_at};
use opcua::core::{RequestMessage, ResponseMessage};
use opcua::types::{
    ActivateSessionRequest, AttributeId, CreateMonitoredItemsRequest, CreateSessionResponse, CreateSubscriptionRequest,
    GetEndpointsRequest, MonitoredItemCreateRequest, MonitoringMode, NodeId, ReadRequest, ReadValueId, StatusCode,
    TimestampsToReturn, UAString, VariableId,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The longest value that every server has: 319 kilobytes.
fn long() -> NodeId {
    VariableId::OpcUa_XmlSchema.into()
}

fn read(session: &CreateSessionResponse, nodes: usize) -> ReadRequest {
    let node = ReadValueId { node_id: long(), attribute_id: AttributeId::Value as u32, ..ReadValueId::default() };
    ReadRequest {
        request_header: header(session),
        max_age: 0.0,
        timestamps_to_return: TimestampsToReturn::Neither,
        nodes_to_read: Some(vec![node; nodes]),
    }
}

#[tokio::test]
async fn what_fits_into_no_message_is_not_read_to_the_end() {
    const NODES: usize = 300;
    let few = Arc::new(Few::default());
    let (url, pki, _handle) = serve_and_look(few.clone()).await;
    let client = connect(&url, &pki.path().join("client")).await.expect("there is room");
    let bare = Bare::open(&client, &url, Login::Nobody).await;
    let before = few.reads();
    let answer = bare.send(read(&bare.session, NODES)).await;
    let ResponseMessage::ServiceFault(fault) = answer else { panic!("more than a message holds") };
    assert_eq!(fault.response_header.service_result, StatusCode::BadResponseTooLarge);
    let read = few.reads() - before;
    assert!(read > 0 && read < NODES / 2, "{read} of {NODES}");
}

#[tokio::test]
async fn what_the_last_values_of_items_take_has_an_end_also_of_those_that_are_disabled() {
    for mode in [MonitoringMode::Reporting, MonitoringMode::Disabled] {
        let (url, pki, _handle) = serve_and_look(Arc::default()).await;
        let client = connect(&url, &pki.path().join("client")).await.expect("there is room");
        let bare = Bare::open(&client, &url, Login::Nobody).await;
        let subscription = bare.subscribe().await;
        let item = |node: NodeId| MonitoredItemCreateRequest { monitoring_mode: mode, ..node.into() };
        // One is more than there is room for (see `QUEUED_BYTES_MAX`).
        let first = bare.create(subscription, item(long())).await.expect("an item");
        for node in [long(), VariableId::Server_ServerStatus_State.into()] {
            let another = bare.create(subscription, item(node)).await;
            assert_eq!(another, Err(StatusCode::BadTooManyMonitoredItems), "{mode:?}");
        }
        bare.delete(subscription, first).await;
        bare.create(subscription, item(long())).await.expect("an item");
    }
}

// One thread would carry out one request after the other in any case.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn requests_for_items_that_are_sent_at_once_find_no_more_room_than_one_after_the_other() {
    const REQUESTS: u32 = 40;
    const ITEMS: usize = 4;
    let few = Arc::new(Few::default());
    let (url, _pki, _handle) = serve_and_look(few.clone()).await;
    let mut raw = Raw::open(port_of(&url)).await;
    let session = raw.log_in(&url).await;
    let subscribe = CreateSubscriptionRequest {
        request_header: header(&session),
        requested_publishing_interval: 1_000.0,
        requested_max_keep_alive_count: 1_000,
        requested_lifetime_count: 10_000,
        ..CreateSubscriptionRequest::default()
    };
    raw.say(4, subscribe).await;
    let ResponseMessage::CreateSubscription(subscribed) = raw.answer().await else { panic!("no subscription") };
    let create = CreateMonitoredItemsRequest {
        request_header: header(&session),
        subscription_id: subscribed.subscription_id,
        timestamps_to_return: TimestampsToReturn::Neither,
        items_to_create: Some(vec![long().into(); ITEMS]),
    };
    few.take_time(10);
    let mut bytes = Vec::new();
    for id in 0..REQUESTS {
        bytes.extend(raw.bytes(10 + id, create.clone()).await);
    }
    raw.socket.write_all(&bytes).await.expect("it is taken");
    let mut made = 0;
    for _ in 0..REQUESTS {
        made += match raw.answer().await {
            ResponseMessage::CreateMonitoredItems(created) => {
                created.results.iter().flatten().filter(|item| item.status_code.is_good()).count()
            }
            // There are too many of them in any case.
            ResponseMessage::ServiceFault(_) => 0,
            other => panic!("{other:?}"),
        };
    }
    assert_eq!(made, ITEMS, "those of one request");
}

fn port_of(url: &str) -> u16 {
    url.trim_end_matches('/').rsplit_once(':').and_then(|(_, port)| port.parse().ok()).expect("a port")
}

impl Raw {
    /// Opens a session, with requests 2 and 3.
    async fn log_in(&mut self, url: &str) -> CreateSessionResponse {
        self.say(2, session_at(url, "raw")).await;
        let ResponseMessage::CreateSession(session) = self.answer().await else { panic!("no session") };
        let activate = ActivateSessionRequest {
            request_header: header(&session),
            user_identity_token: Login::Nobody.token(),
            ..ActivateSessionRequest::default()
        };
        self.say(3, activate).await;
        assert!(matches!(self.answer().await, ResponseMessage::ActivateSession(_)));
        *session
    }

    async fn say(&mut self, id: u32, request: impl Into<RequestMessage>) {
        let bytes = self.bytes(id, request).await;
        self.socket.write_all(&bytes).await.expect("it is taken");
    }

    async fn answer(&mut self) -> ResponseMessage {
        match self.hear().await {
            Said::Answer(answer) => *answer,
            other => panic!("{other:?}"),
        }
    }

    /// Reads so many answers, whatever they say.
    async fn take_answers(&mut self, answers: usize) {
        let (mut taken, mut header) = (0, [0; 8]);
        while taken < answers {
            self.socket.read_exact(&mut header).await.expect("an answer");
            let size = u32::from_le_bytes([header[4], header[5], header[6], header[7]]) as usize;
            let mut body = vec![0; size - header.len()];
            self.socket.read_exact(&mut body).await.expect("an answer");
            taken += usize::from(header.starts_with(b"MSGF"));
        }
    }
}

#[tokio::test]
async fn who_does_not_read_answers_has_no_more_of_them_made() {
    const READS: usize = 90;
    let few = Arc::new(Few::default());
    let (url, _pki, _handle) = serve_and_look(few.clone()).await;
    let mut raw = Raw::open(port_of(&url)).await;
    let session = raw.log_in(&url).await;
    for id in 0..READS {
        raw.say(10 + u32::try_from(id).expect("a few"), read(&session, 1)).await;
    }
    let mut made = 0;
    let settled = async {
        loop {
            tokio::time::sleep(Duration::from_secs(2)).await;
            if std::mem::replace(&mut made, few.reads()) == few.reads() && few.reads() > 0 {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, settled).await.expect("it rests");
    // What the sockets take, a megabyte, and two more.
    assert!(few.reads() < READS / 2, "{} of {READS} answers were made, of which none was read", few.reads());
    tokio::time::timeout(PATIENCE, raw.take_answers(READS)).await.expect("all is answered");
    assert!(few.reads() >= READS);
}

#[tokio::test]
async fn before_there_is_a_session_no_message_is_long() {
    let (url, _pki, _handle) = serve_and_look(Arc::default()).await;
    // All of it would be kept, and nobody has logged in.
    let long = || vec![UAString::from("x".repeat(9_000)); 33];
    let mut raw = Raw::open(port_of(&url)).await;
    let mut create = session_at(&url, "raw");
    create.client_description.discovery_urls = Some(long());
    raw.say(2, create).await;
    let said = raw.hear().await;
    assert!(matches!(said, Said::Error(StatusCode::BadTcpMessageTooLarge)), "{said:?}");
    // Whoever has one may say as much.
    let mut raw = Raw::open(port_of(&url)).await;
    raw.log_in(&url).await;
    let request_header = super::raw::header();
    raw.say(
        4,
        GetEndpointsRequest {
            request_header,
            endpoint_url: url.into(),
            locale_ids: Some(long()),
            ..GetEndpointsRequest::default()
        },
    )
    .await;
    assert!(matches!(raw.answer().await, ResponseMessage::GetEndpoints(_)));
}
