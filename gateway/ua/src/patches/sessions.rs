//! Who gets a session when there are few.

use async_trait::async_trait;
use opcua::client::{ClientBuilder, IdentityToken, Session};
use opcua::core::ResponseMessage;
use opcua::server::authenticator::{AuthManager, SessionHolder};
use opcua::server::{ServerBuilder, ServerEndpoint};
use opcua::types::{CreateSessionRequest, Error, StatusCode, UAString, UserTokenPolicy, UserTokenType};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// Sessions that the server has.
const SESSIONS_MAX: usize = 5;
/// Sessions that one address gets of this authenticator.
const OF_ONE: usize = 3;

/// Lets everybody in, but not too often.
struct Few;

#[async_trait]
impl AuthManager for Few {
    async fn authenticate_anonymous_token(&self, _: &ServerEndpoint) -> Result<(), Error> {
        Ok(())
    }

    fn admit_session(&self, holder: &SessionHolder, others: &[SessionHolder]) -> Result<(), StatusCode> {
        assert!(holder.user.is_anonymous() && holder.certificate.is_none());
        let theirs = others.iter().filter(|other| other.address == holder.address).count();
        if theirs < OF_ONE { Ok(()) } else { Err(StatusCode::BadTooManySessions) }
    }

    fn user_token_policies(&self, _: &ServerEndpoint) -> Vec<UserTokenPolicy> {
        vec![UserTokenPolicy {
            policy_id: "anonymous".into(),
            token_type: UserTokenType::Anonymous,
            issued_token_type: UAString::null(),
            issuer_endpoint_url: UAString::null(),
            security_policy_uri: UAString::null(),
        }]
    }
}

async fn connect(url: &str, pki: &std::path::Path) -> Result<Arc<Session>, StatusCode> {
    let client = ClientBuilder::new()
        .application_name("patches")
        .application_uri("urn:patches:client")
        .pki_dir(pki)
        .session_retry_limit(0)
        .client()
        .expect("a client");
    let endpoint = client.get_server_endpoints_from_url(url).await.expect("endpoints").remove(0);
    let (session, events) = client
        .session_builder()
        .user_identity_token(IdentityToken::Anonymous)
        .connect_to_endpoint_directly(endpoint)
        .expect("an endpoint")
        .build(client.certificate_store().clone())
        .expect("a session");
    let mut running = events.spawn();
    tokio::select! {
        ended = &mut running => Err(ended.expect("no panic")),
        _ = session.wait_for_connection() => Ok(session),
    }
}

#[tokio::test]
async fn unused_sessions_make_room_and_the_application_gives_out_the_others() {
    let pki = tempfile::tempdir().expect("a folder for certificates");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port of the loopback");
    let port = listener.local_addr().expect("a bound port").port();
    let mut builder = ServerBuilder::new()
        .application_name("patches")
        .application_uri("urn:patches:server")
        .product_uri("urn:patches")
        .pki_dir(pki.path().join("server"))
        .host("127.0.0.1")
        .port(port)
        .discovery_urls(vec![format!("opc.tcp://127.0.0.1:{port}/")])
        .with_authenticator(Arc::new(Few))
        .add_endpoint("none", ServerEndpoint::new_none("/", &[]));
    builder.limits_mut().max_sessions = SESSIONS_MAX;
    let (server, _handle) = builder.build().expect("a server");
    tokio::spawn(server.run_with(listener));
    let (url, client) = (format!("opc.tcp://127.0.0.1:{port}/"), pki.path().join("client"));

    let first = connect(&url, &client).await.expect("there is room");
    for _ in 0..3 * SESSIONS_MAX {
        let asked = CreateSessionRequest {
            endpoint_url: url.as_str().into(),
            requested_session_timeout: 300_000.0,
            ..CreateSessionRequest::default()
        };
        let answer = first.channel().send(asked, Duration::from_secs(30)).await.expect("an answer");
        assert!(matches!(answer, ResponseMessage::CreateSession(_)), "{answer:?}");
    }
    let mut others = Vec::new();
    for _ in 1..OF_ONE {
        others.push(connect(&url, &client).await.expect("there is room"));
    }
    assert_eq!(connect(&url, &client).await.map(|_| ()), Err(StatusCode::BadTooManySessions));
    others.pop().expect("one").disconnect().await.expect("it ends");
    connect(&url, &client).await.expect("there is room again");
}
