//! What the authenticator decides and is told: who gets a session when there are few, what nobody can read, and which
//! filters are refused.

use super::select::value_of;
use async_trait::async_trait;
use opcua::client::{ClientBuilder, DataChangeCallback, IdentityToken, Session};
use opcua::core::ResponseMessage;
use opcua::server::authenticator::{AuthManager, SecurityClient, SessionHolder, UserToken};
use opcua::server::{ServerBuilder, ServerEndpoint};
use opcua::types::{
    ActivateSessionRequest, AnonymousIdentityToken, AttributeId, ContentFilter, ContentFilterElement,
    CreateSessionRequest, Error, EventFilter, ExtensionObject, FilterOperator, MonitoredItemCreateRequest,
    MonitoringMode, MonitoringParameters, NodeId, ObjectId, ObjectTypeId, Operand, ReadValueId, RequestHeader,
    StatusCode, TimestampsToReturn, UAString, UserTokenPolicy, UserTokenType,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;

/// Sessions that the server has.
const SESSIONS_MAX: usize = 5;
/// Bytes that a text has at most.
const STRING_MAX: usize = 10_000;
const WAIT_MAX: Duration = Duration::from_secs(30);
/// Sessions that one address gets of this authenticator.
const OF_ONE: usize = 3;

/// Lets everybody in, but not too often; counts what could not be read, and filters that were refused.
#[derive(Default)]
struct Few {
    unreadable: AtomicUsize,
    filters: AtomicUsize,
}

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

    fn audit_unreadable(&self, client: &SecurityClient, status: StatusCode) {
        assert!(client.address.is_some() && status.is_bad());
        self.unreadable.fetch_add(1, Ordering::Relaxed);
    }

    fn audit_refused_filter(&self, token: &UserToken, node: &NodeId, status: StatusCode) {
        assert!(token.is_anonymous() && *node == ObjectId::Server && status == StatusCode::BadEventFilterInvalid);
        self.filters.fetch_add(1, Ordering::Relaxed);
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

/// A server, where it listens, and the folder of its certificates.
async fn serve(few: Arc<Few>) -> (String, tempfile::TempDir) {
    let pki = tempfile::tempdir().expect("a folder for certificates");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port of the loopback");
    let port = listener.local_addr().expect("a bound port").port();
    let url = format!("opc.tcp://127.0.0.1:{port}/");
    let mut builder = ServerBuilder::new()
        .application_name("patches")
        .application_uri("urn:patches:server")
        .product_uri("urn:patches")
        .pki_dir(pki.path().join("server"))
        .host("127.0.0.1")
        .port(port)
        .discovery_urls(vec![url.clone()])
        .with_authenticator(few)
        .add_endpoint("none", ServerEndpoint::new_none("/", &[]));
    builder.limits_mut().max_sessions = SESSIONS_MAX;
    builder.limits_mut().max_string_length = STRING_MAX;
    let (server, _handle) = builder.build().expect("a server");
    tokio::spawn(server.run_with(listener));
    (url, pki)
}

fn session_at(url: &str, name: &str) -> CreateSessionRequest {
    CreateSessionRequest {
        endpoint_url: url.into(),
        session_name: name.into(),
        requested_session_timeout: 300_000.0,
        ..CreateSessionRequest::default()
    }
}

#[tokio::test]
async fn an_activated_session_has_a_nonce_also_in_the_clear() {
    let (url, pki) = serve(Arc::default()).await;
    let client = connect(&url, &pki.path().join("client")).await.expect("there is room");
    let answer = client.channel().send(session_at(&url, "second"), WAIT_MAX).await.expect("an answer");
    let ResponseMessage::CreateSession(created) = answer else { panic!("{answer:?}") };
    let token = AnonymousIdentityToken { policy_id: "anonymous".into() };
    let activate = ActivateSessionRequest {
        request_header: RequestHeader {
            authentication_token: created.authentication_token.clone(),
            ..RequestHeader::default()
        },
        user_identity_token: ExtensionObject::from_message(token),
        ..ActivateSessionRequest::default()
    };
    let answer = client.channel().send(activate, WAIT_MAX).await.expect("an answer");
    let ResponseMessage::ActivateSession(activated) = answer else { panic!("{answer:?}") };
    for nonce in [&created.server_nonce, &activated.server_nonce] {
        assert!(nonce.as_ref().len() >= 32, "{nonce:?}");
    }
}

#[tokio::test]
async fn the_authenticator_is_told_of_a_message_that_cannot_be_read() {
    let few = Arc::new(Few::default());
    let (url, pki) = serve(few.clone()).await;
    let client = connect(&url, &pki.path().join("client")).await.expect("there is room");
    let long = "x".repeat(STRING_MAX + 1);
    let answer = client.channel().send(session_at(&url, &long), WAIT_MAX).await;
    assert!(!matches!(answer, Ok(ResponseMessage::CreateSession(_))), "{answer:?}");
    assert_eq!(few.unreadable.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn unused_sessions_make_room_and_the_application_gives_out_the_others() {
    let (url, pki) = serve(Arc::default()).await;
    let client = pki.path().join("client");
    let first = connect(&url, &client).await.expect("there is room");
    for _ in 0..3 * SESSIONS_MAX {
        let answer = first.channel().send(session_at(&url, ""), WAIT_MAX).await.expect("an answer");
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

#[tokio::test]
async fn a_filter_that_is_refused_is_told_to_the_authenticator() {
    let few = Arc::new(Few::default());
    let (url, pki) = serve(few.clone()).await;
    let session = connect(&url, &pki.path().join("client")).await.expect("there is room");
    let nothing = DataChangeCallback::new(|_, _| {});
    let created = session.create_subscription(Duration::from_millis(100), 10_000, 3_000, 0, 0, false, nothing).await;
    let subscription = created.expect("a subscription");
    let endless = ContentFilterElement::from((FilterOperator::Not, vec![Operand::element(0)]));
    for (elements, told) in [(Vec::new(), 0), (vec![endless], 1)] {
        let filter = EventFilter {
            select_clauses: Some(vec![value_of(ObjectTypeId::BaseEventType, "Message")]),
            where_clause: ContentFilter { elements: Some(elements) },
        };
        let item = MonitoredItemCreateRequest {
            item_to_monitor: ReadValueId {
                node_id: ObjectId::Server.into(),
                attribute_id: AttributeId::EventNotifier as u32,
                ..ReadValueId::default()
            },
            monitoring_mode: MonitoringMode::Reporting,
            requested_parameters: MonitoringParameters {
                filter: ExtensionObject::from_message(filter),
                ..MonitoringParameters::default()
            },
        };
        session.create_monitored_items(subscription, TimestampsToReturn::Neither, vec![item]).await.expect("answers");
        assert_eq!(few.filters.load(Ordering::Relaxed), told);
    }
}
