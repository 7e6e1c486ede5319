//! What the authenticator decides and is told: who gets a session when there are few, what nobody can read, and which
//! filters are refused; what one client can ask for; and what becomes of a session of whose answers one cannot be read.

use super::select::value_of;
use async_trait::async_trait;
use opcua::client::{ClientBuilder, DataChangeCallback, EventCallback, IdentityToken, Session};
use opcua::core::ResponseMessage;
use opcua::server::address_space::AccessLevel;
use opcua::server::authenticator::{AuthManager, Password, SecurityClient, SessionHolder, UserToken};
use opcua::server::{ServerBuilder, ServerEndpoint, ServerHandle};
use opcua::types::{
    ActivateSessionRequest, ActivateSessionResponse, AnonymousIdentityToken, AttributeId, BrowsePath, ByteString,
    CloseSessionRequest, ContentFilter, ContentFilterElement, CreateSessionRequest, CreateSessionResponse,
    CreateSubscriptionRequest, CreateSubscriptionResponse, Error, EventFilter, ExtensionObject, FilterOperator,
    Identifier, MonitoredItemCreateRequest, MonitoringMode, MonitoringParameters, NodeId, ObjectId, ObjectTypeId,
    Operand, QualifiedName, ReadValueId, ReferenceTypeId, RelativePath, RelativePathElement, RequestHeader,
    SimpleAttributeOperand, StatusCode, TimestampsToReturn, UAString, UserNameIdentityToken, UserTokenPolicy,
    UserTokenType, VariableId,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;

/// Sessions that the server has.
const SESSIONS_MAX: usize = 5;
/// Bytes that a text has at most.
const STRING_MAX: usize = 10_000;
pub(super) const WAIT_MAX: Duration = Duration::from_secs(30);
/// Items for events that a session has.
const EVENT_ITEMS_MAX: usize = 5;
/// Fields that all items of a session select of an event.
pub(super) const SELECT_CLAUSES_MAX: usize = 1_100;
/// The same for all sessions of a client.
pub(super) const CLIENTS_CLAUSES_MAX: usize = 1_500;
/// Items of all sessions of a client.
pub(super) const CLIENTS_ITEMS_MAX: usize = 20;
/// Items that one item triggers.
pub(super) const LINKS_OF_ITEM: usize = 3;
/// The same for all items of a session.
pub(super) const LINKS_OF_SESSION: usize = 4;
/// Items in one request.
pub(super) const ITEMS_OF_CALL: usize = 50;
/// Subscriptions that are kept without a session.
pub(super) const LEFT_MAX: usize = 2;
/// Bytes that may wait to be sent in a session, and in all of them.
pub(super) const QUEUED_BYTES_MAX: usize = 1 << 18;
pub(super) const QUEUED_BYTES_MAX_OF_ALL: usize = 600 << 10;
/// Log-ins by a name and a password in the clear.
const BY_NAME: &str = "userpass_none";
/// Sessions that one address gets of this authenticator.
const OF_ONE: usize = 3;

/// Lets everybody in, but not too often; counts what could not be read, and filters that were refused.
#[derive(Default)]
pub(super) struct Few {
    unreadable: AtomicUsize,
    filters: AtomicUsize,
    /// Grows with each log-in by name, as if its user changed while it is looked at.
    revision: AtomicU64,
    reads: AtomicUsize,
    /// How long it takes to look whether somebody may read a variable.
    look_ms: AtomicU64,
}

impl Few {
    /// How often somebody was to read a variable.
    pub(super) fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }

    pub(super) fn take_time(&self, look_ms: u64) {
        self.look_ms.store(look_ms, Ordering::SeqCst);
    }
}

#[async_trait]
impl AuthManager for Few {
    async fn authenticate_anonymous_token(&self, _: &ServerEndpoint) -> Result<(), Error> {
        Ok(())
    }

    fn users_revision(&self) -> u64 {
        self.revision.load(Ordering::SeqCst)
    }

    fn admit_session(
        &self,
        holder: &SessionHolder,
        others: &[SessionHolder],
        users_revision: u64,
    ) -> Result<(), StatusCode> {
        assert!(holder.certificate.is_none());
        if !holder.user.is_anonymous() {
            assert!(users_revision < self.users_revision(), "what was before it was authenticated");
            return Ok(());
        }
        let theirs = others.iter().filter(|other| other.address == holder.address).count();
        if theirs < OF_ONE { Ok(()) } else { Err(StatusCode::BadTooManySessions) }
    }

    fn effective_user_access_level(&self, _: &UserToken, level: AccessLevel, _: &NodeId) -> AccessLevel {
        self.reads.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(self.look_ms.load(Ordering::SeqCst)));
        level
    }

    fn audit_unreadable(&self, client: &SecurityClient, status: StatusCode) {
        assert!(client.address.is_some() && status.is_bad());
        self.unreadable.fetch_add(1, Ordering::Relaxed);
    }

    fn audit_refused_filter(&self, token: &UserToken, node: &NodeId, status: StatusCode) {
        assert!(token.is_anonymous() && !node.is_null() && status.is_bad());
        self.filters.fetch_add(1, Ordering::Relaxed);
    }

    async fn authenticate_username_identity_token(
        &self,
        _: &ServerEndpoint,
        name: &str,
        _: &Password,
    ) -> Result<UserToken, Error> {
        self.revision.fetch_add(1, Ordering::SeqCst);
        Ok(UserToken(name.to_owned()))
    }

    fn user_token_policies(&self, _: &ServerEndpoint) -> Vec<UserTokenPolicy> {
        let policy = |id: &str, token_type| UserTokenPolicy {
            policy_id: id.into(),
            token_type,
            issued_token_type: UAString::null(),
            issuer_endpoint_url: UAString::null(),
            security_policy_uri: UAString::null(),
        };
        vec![policy("anonymous", UserTokenType::Anonymous), policy(BY_NAME, UserTokenType::UserName)]
    }
}

pub(super) async fn connect(url: &str, pki: &std::path::Path) -> Result<Arc<Session>, StatusCode> {
    connect_reading(url, pki, 1_000).await
}

/// Connects with a client that reads arrays of so many elements at the most.
async fn connect_reading(url: &str, pki: &std::path::Path, array_max: usize) -> Result<Arc<Session>, StatusCode> {
    let client = ClientBuilder::new()
        .max_array_length(array_max)
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
    let (url, pki, _handle) = serve_and_look(few).await;
    (url, pki)
}

/// As [`serve`], and the server from within.
pub(super) async fn serve_and_look(few: Arc<Few>) -> (String, tempfile::TempDir, ServerHandle) {
    serve_with(few).await
}

/// The same with another authenticator.
pub(super) async fn serve_with(authenticator: Arc<dyn AuthManager>) -> (String, tempfile::TempDir, ServerHandle) {
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
        .with_authenticator(authenticator)
        .add_endpoint("none", ServerEndpoint::new_none("/", &[]));
    builder.limits_mut().max_sessions = SESSIONS_MAX;
    builder.limits_mut().max_string_length = STRING_MAX;
    builder.limits_mut().subscriptions.min_publishing_interval_ms = 10.0;
    builder.limits_mut().subscriptions.min_sampling_interval_ms = 0.0;
    builder.limits_mut().subscriptions.max_event_items_per_session = EVENT_ITEMS_MAX;
    builder.limits_mut().subscriptions.max_subscriptions_without_session = LEFT_MAX;
    builder.limits_mut().subscriptions.max_select_clauses_per_session = SELECT_CLAUSES_MAX;
    builder.limits_mut().subscriptions.max_select_clauses_per_client = CLIENTS_CLAUSES_MAX;
    builder.limits_mut().subscriptions.max_monitored_items_per_client = CLIENTS_ITEMS_MAX;
    builder.limits_mut().subscriptions.max_links_per_item = LINKS_OF_ITEM;
    builder.limits_mut().subscriptions.max_links_per_session = LINKS_OF_SESSION;
    builder.limits_mut().operational.max_monitored_items_per_call = ITEMS_OF_CALL;
    builder.limits_mut().subscriptions.max_queued_bytes_per_session = QUEUED_BYTES_MAX;
    builder.limits_mut().subscriptions.max_queued_bytes = QUEUED_BYTES_MAX_OF_ALL;
    builder.limits_mut().subscriptions.max_monitored_item_queue_size = 1_000;
    // Who gives no hint waits for as long as it takes.
    let builder = builder.publish_timeout_default_ms(0);
    let (server, handle) = builder.build().expect("a server");
    tokio::spawn(server.run_with(listener));
    (url, pki, handle)
}

/// Who opens a session.
#[derive(Clone, Copy)]
pub(super) enum Login {
    Nobody,
    User(&'static str),
}

impl Login {
    pub(super) fn token(self) -> ExtensionObject {
        match self {
            Self::Nobody => ExtensionObject::from_message(AnonymousIdentityToken { policy_id: "anonymous".into() }),
            Self::User(name) => ExtensionObject::from_message(UserNameIdentityToken {
                policy_id: BY_NAME.into(),
                user_name: name.into(),
                password: ByteString::from(b"any".to_vec()),
                encryption_algorithm: UAString::null(),
            }),
        }
    }
}

/// A session without a client of its own, as it was created and activated.
pub(super) async fn open_session(
    through: &Session,
    url: &str,
    login: Login,
) -> (CreateSessionResponse, ActivateSessionResponse) {
    let answer = through.channel().send(session_at(url, "bare"), WAIT_MAX).await.expect("an answer");
    let ResponseMessage::CreateSession(created) = answer else { panic!("{answer:?}") };
    let activate = ActivateSessionRequest {
        request_header: header(&created),
        user_identity_token: login.token(),
        ..ActivateSessionRequest::default()
    };
    let answer = through.channel().send(activate, WAIT_MAX).await.expect("an answer");
    let ResponseMessage::ActivateSession(activated) = answer else { panic!("{answer:?}") };
    (*created, *activated)
}

/// The header of a session's requests.
pub(super) fn header(created: &CreateSessionResponse) -> RequestHeader {
    RequestHeader { authentication_token: created.authentication_token.clone(), ..RequestHeader::default() }
}

/// An item for the events of Server.
pub(super) fn event_item(filter: EventFilter) -> MonitoredItemCreateRequest {
    MonitoredItemCreateRequest {
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
    }
}

/// Opens a session, subscribes and leaves, without a word of the subscription. The session's number.
pub(super) async fn left_behind(
    through: &Session,
    url: &str,
    login: Login,
    interval: f64,
) -> (u32, CreateSubscriptionResponse) {
    let (session, _) = open_session(through, url, login).await;
    let subscribe = CreateSubscriptionRequest {
        request_header: header(&session),
        requested_publishing_interval: interval,
        requested_max_keep_alive_count: 1,
        requested_lifetime_count: 3,
        publishing_enabled: true,
        ..CreateSubscriptionRequest::default()
    };
    let answer = through.channel().send(subscribe, WAIT_MAX).await.expect("an answer");
    let ResponseMessage::CreateSubscription(created) = answer else { panic!("{answer:?}") };
    let close = CloseSessionRequest { request_header: header(&session), delete_subscriptions: false };
    let answer = through.channel().send(close, WAIT_MAX).await.expect("an answer");
    assert!(matches!(answer, ResponseMessage::CloseSession(_)), "{answer:?}");
    let Identifier::Numeric(number) = session.session_id.identifier else { panic!("{}", session.session_id) };
    (number, *created)
}

/// Waits until the server has nothing left of a session's subscriptions.
pub(super) async fn forgotten(handle: &ServerHandle, session: u32) {
    let looked = async {
        while handle.subscriptions().get_session_subscriptions(session).is_some() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(WAIT_MAX, looked).await.expect("it is forgotten");
}

#[tokio::test]
async fn a_subscription_that_expires_without_its_session_is_let_go() {
    let (url, pki, handle) = serve_and_look(Arc::default()).await;
    let client = connect(&url, &pki.path().join("client")).await.expect("there is room");
    let (session, _) = left_behind(&client, &url, Login::Nobody, 10.0).await;
    forgotten(&handle, session).await;
}

#[tokio::test]
async fn of_subscriptions_without_a_session_the_first_to_come_is_the_first_to_go() {
    let (url, pki, handle) = serve_and_look(Arc::default()).await;
    let client = connect(&url, &pki.path().join("client")).await.expect("there is room");
    let thousand_years = 3.2e13;
    let (first, created) = left_behind(&client, &url, Login::Nobody, thousand_years).await;
    assert_eq!(created.revised_publishing_interval, 3_600_000.0);
    assert!(created.revised_lifetime_count <= 12, "{}", created.revised_lifetime_count);
    assert!(handle.subscriptions().get_session_subscriptions(first).is_some());
    let mut later = Vec::new();
    for _ in 0..LEFT_MAX {
        later.push(left_behind(&client, &url, Login::Nobody, thousand_years).await.0);
    }
    forgotten(&handle, first).await;
    for one in later {
        assert!(handle.subscriptions().get_session_subscriptions(one).is_some());
    }
}

#[tokio::test]
async fn what_one_client_can_ask_for_has_an_end() {
    let (url, pki) = serve(Arc::default()).await;
    let client = connect(&url, &pki.path().join("client")).await.expect("there is room");
    let step = || RelativePathElement {
        reference_type_id: ReferenceTypeId::HierarchicalReferences.into(),
        include_subtypes: true,
        target_name: QualifiedName::new(0, "Server"),
        ..RelativePathElement::default()
    };
    let path = |elements: usize| BrowsePath {
        starting_node: ObjectId::ObjectsFolder.into(),
        relative_path: RelativePath { elements: Some(vec![step(); elements]) },
    };
    let found = client.translate_browse_paths_to_node_ids(&[path(1), path(33)]).await.expect("an answer");
    let statuses: Vec<StatusCode> = found.iter().map(|one| one.status_code).collect();
    assert_eq!(statuses, [StatusCode::Good, StatusCode::BadQueryTooComplex]);

    let second = Duration::from_secs(1);
    let subscription = client
        .create_subscription(second, 100, 10, 0, 0, true, EventCallback::new(|_, _| {}))
        .await
        .expect("a subscription");
    let item = |fields: usize| {
        let clause =
            SimpleAttributeOperand { attribute_id: AttributeId::Value as u32, ..SimpleAttributeOperand::default() };
        let select_clauses = Some(vec![clause; fields]);
        event_item(EventFilter { select_clauses, ..EventFilter::default() })
    };
    let ask = async |items| client.create_monitored_items(subscription, TimestampsToReturn::Neither, items).await;
    let results = ask(vec![item(10), item(500), item(501)]).await.expect("an answer");
    let results: Vec<_> = results.iter().map(|one| (one.result.status_code, one.result.revised_queue_size)).collect();
    assert_eq!(results[..2], [(StatusCode::Good, 10_000), (StatusCode::Good, 2_000)], "{results:?}");
    assert_eq!(results[2].0, StatusCode::BadEventFilterInvalid);
    let many = ask(vec![item(1); EVENT_ITEMS_MAX]).await;
    assert_eq!(many.map(|_| ()).map_err(|error| error.status()), Err(StatusCode::BadTooManyMonitoredItems));
}

pub(super) fn session_at(url: &str, name: &str) -> CreateSessionRequest {
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
    let (created, activated) = open_session(&client, &url, Login::Nobody).await;
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
async fn an_answer_that_cannot_be_read_fails_its_request_and_not_the_session() {
    const ARRAY_MAX: usize = 16;
    let (url, pki) = serve(Arc::new(Few::default())).await;
    let session = connect_reading(&url, pki.path(), ARRAY_MAX).await.expect("a session");
    let time = ReadValueId::from(NodeId::from(VariableId::Server_ServerStatus_CurrentTime));
    let id = session.session_id();
    for count in [1, ARRAY_MAX + 1, 1] {
        let read = session.read(&vec![time.clone(); count], TimestampsToReturn::Neither, 0.0).await;
        let read = read.map(|values| values.len()).map_err(|error| error.status());
        assert_eq!(read, if count > ARRAY_MAX { Err(StatusCode::BadDecodingError) } else { Ok(count) });
    }
    assert_eq!(session.session_id(), id, "it is the same session");
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
        let item = event_item(filter);
        session.create_monitored_items(subscription, TimestampsToReturn::Neither, vec![item]).await.expect("answers");
        assert_eq!(few.filters.load(Ordering::Relaxed), told);
    }
}
