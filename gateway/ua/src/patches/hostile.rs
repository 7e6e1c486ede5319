//! Clients of whose bytes each costs the server many: it bounds what it keeps for one connection, and how many of them
//! there are.

use super::client::connect;
use super::raw::{PATIENCE, Raw, Said, header};
use opcua::client::UARequest;
use opcua::client::services::Publish;
use opcua::server::{Limits, ServerBuilder};
use opcua::types::{
    AttributeId, GetEndpointsRequest, NodeId, ReadValueId, StatusCode, SubscriptionAcknowledgement, TimestampsToReturn,
    VariableId,
};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Bytes that a message has at most.
const MESSAGE_MAX: usize = 300_000;

async fn serve(limits: Limits) -> (u16, tempfile::TempDir) {
    let pki = tempfile::tempdir().expect("a folder for certificates");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port of the loopback");
    let port = listener.local_addr().expect("a bound port").port();
    let (server, _) = ServerBuilder::new_anonymous("patches")
        .application_uri("urn:patches:server")
        .product_uri("urn:patches")
        .pki_dir(pki.path().join("server"))
        .host("127.0.0.1")
        .port(port)
        .limits(limits)
        .build()
        .expect("a server");
    tokio::spawn(server.run_with(listener));
    (port, pki)
}

fn limits() -> Limits {
    Limits { max_message_size: MESSAGE_MAX, max_chunk_count: 512, max_array_length: 100_000, ..Limits::default() }
}

#[tokio::test]
async fn who_does_not_read_answers_is_read_no_more_requests_of_until_then() {
    const REQUESTS: u32 = 60_000;
    let (port, _pki) = serve(limits()).await;
    let mut raw = Raw::open(port).await;
    let mut asked = Vec::new();
    for id in 0..REQUESTS {
        let request = GetEndpointsRequest {
            request_header: header(),
            endpoint_url: format!("opc.tcp://127.0.0.1:{port}/").into(),
            ..GetEndpointsRequest::default()
        };
        asked.extend(raw.bytes(id + 2, request).await);
    }
    // What is taken before nothing more is for a while: all of it, if the server did not wait.
    let mut taken = 0;
    while let Ok(Ok(count)) = tokio::time::timeout(Duration::from_secs(3), raw.socket.write(&asked[taken..])).await {
        taken += count;
        if taken == asked.len() {
            panic!("all {REQUESTS} requests were read, and none of their answers");
        }
    }
    // Whoever reads gets all answers.
    let (mut reads, mut writes) = raw.socket.split();
    let rest = asked.split_off(taken);
    let write = async { writes.write_all(&rest).await.expect("it is taken") };
    let read = async {
        let (mut answers, mut header) = (0, [0; 8]);
        while answers < REQUESTS {
            reads.read_exact(&mut header).await.expect("an answer");
            let size = u32::from_le_bytes([header[4], header[5], header[6], header[7]]) as usize;
            let mut body = vec![0; size - header.len()];
            reads.read_exact(&mut body).await.expect("an answer");
            answers += 1;
        }
    };
    let both = async { tokio::join!(write, read) };
    tokio::time::timeout(Duration::from_secs(300), both).await.expect("all is answered");
}

#[tokio::test]
async fn a_message_is_refused_by_what_it_says_of_its_size_and_by_the_size_of_all_its_pieces() {
    let (port, _pki) = serve(limits()).await;
    let refused =
        |said: Said, wanted: StatusCode| assert!(matches!(said, Said::Error(status) if status == wanted), "{said:?}");
    // Longer than the buffer that was acknowledged; all of it would be waited for.
    let mut raw = Raw::open(port).await;
    let mut long = raw.piece(3, &[0; 16]);
    long[4..8].copy_from_slice(&100_000_u32.to_le_bytes());
    raw.socket.write_all(&long).await.expect("it is taken");
    refused(raw.hear().await, StatusCode::BadTcpMessageTooLarge);
    // Before anything else was said as well.
    let mut raw = Raw::connect(port).await;
    raw.socket.write_all(b"HELF\xff\xff\xff\xff").await.expect("it is taken");
    refused(raw.hear().await, StatusCode::BadTcpMessageTooLarge);
    // Each piece is short enough.
    let mut raw = Raw::open(port).await;
    for at in 0..5 {
        let piece = raw.piece(at + 2, &[0; 60_000]);
        raw.socket.write_all(&piece).await.expect("it is taken");
    }
    refused(raw.hear().await, StatusCode::BadTcpMessageTooLarge);
    // A piece of a message before there is a channel.
    let mut raw = Raw::connect(port).await;
    let piece = raw.piece(1, &[0; 16]);
    raw.socket.write_all(&piece).await.expect("it is taken");
    refused(raw.hear().await, StatusCode::BadTcpSecureChannelUnknown);
}

#[tokio::test]
async fn connections_that_nobody_uses_make_room_for_others() {
    let (port, pki) = serve(Limits { max_connections: 10, max_connections_per_address: 5, ..limits() }).await;
    let (session, _running) = connect(port, pki.path(), PATIENCE).await;
    let mut first = Raw::open(port).await;
    let mut others = Vec::new();
    for _ in 0..20 {
        others.push(Raw::open(port).await);
    }
    assert!(matches!(first.hear().await, Said::Closed));
    // Who has a session keeps it, and whoever comes next gets one.
    let state = ReadValueId {
        node_id: NodeId::from(VariableId::Server_ServerStatus_State),
        attribute_id: AttributeId::Value as u32,
        ..ReadValueId::default()
    };
    let read = session.read(std::slice::from_ref(&state), TimestampsToReturn::Neither, 0.0).await.expect("an answer");
    assert_eq!(read[0].status(), StatusCode::Good);
    let (session, _running) = connect(port, pki.path(), PATIENCE).await;
    let read = session.read(&[state], TimestampsToReturn::Neither, 0.0).await.expect("an answer");
    assert_eq!(read[0].status(), StatusCode::Good);
}

#[tokio::test]
async fn nobody_acknowledges_more_than_can_have_been_sent() {
    let (port, pki) = serve(limits()).await;
    let (session, _running) = connect(port, pki.path(), PATIENCE).await;
    let one = SubscriptionAcknowledgement { subscription_id: 1, sequence_number: 1 };
    let answer = Publish::new(&session).acks(vec![one; 20_000]).send(session.channel()).await;
    assert_eq!(answer.map(drop).map_err(|error| error.status()), Err(StatusCode::BadTooManyOperations));
}
