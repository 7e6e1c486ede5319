//! Clients that ask for what no HMI asks for: they are told so, and nobody else notices.

use std::time::Duration;

use opcua::client::IdentityToken;
use opcua::core::ResponseMessage;
use opcua::server::authenticator::{AuthManager, IdleSession, SessionHolder, UserToken};
use opcua::types::{
    AttributeId, ByteString, ContentFilter, ContentFilterBuilder, ContentFilterElement, CreateSessionRequest,
    EventFilter, ExtensionObject, FilterOperator, LocalizedText, MethodId, NodeId, NumericRange, ObjectTypeId, Operand,
    ReadValueId, SimpleAttributeOperand, StatusCode, TimestampsToReturn, VariableId, Variant,
};
use watchfire_alarms::ConditionDef;

use super::client::{Events, Hmi, PATIENCE, clause, event_item, server};
use super::house::{House, guarded, key, oil_high};
use crate::audit_event::cut;
use crate::error::ServerError;
use crate::names::own;
use crate::seats::SEATS;

const OIL: &str = "hot/high/press/oil";

/// Tries to subscribe to the events of Server with a filter; the item's status.
async fn filtered(hmi: &Hmi, subscription: u32, where_clause: ContentFilter) -> StatusCode {
    let request = event_item(server(), &["Message"], where_clause, 10);
    let created = hmi.session.create_monitored_items(subscription, TimestampsToReturn::Neither, vec![request]).await;
    created.unwrap().remove(0).result.status_code
}

fn user(name: &str) -> IdentityToken {
    IdentityToken::UserName(name.into(), "oil".to_owned().into())
}

async fn watching(hmi: &Hmi) -> Events {
    hmi.subscribe(server(), &["Message"], ContentFilter::default()).await
}

fn element(operator: FilterOperator, operands: Vec<Operand>) -> ContentFilterElement {
    ContentFilterElement::from((operator, operands))
}

/// Elements of which each but the last refers to the next so many times.
fn chain(length: u32, times: usize, last: ContentFilterElement) -> ContentFilter {
    let operator = if times == 1 { FilterOperator::Not } else { FilterOperator::And };
    let mut elements: Vec<ContentFilterElement> =
        (1..length).map(|next| element(operator, vec![Operand::element(next); times])).collect();
    elements.push(last);
    ContentFilter { elements: Some(elements) }
}

/// The audit events of filters that were refused.
fn filters_alone() -> ContentFilter {
    let name = Operand::literal(Variant::from("MonitoredItem/Filter"));
    ContentFilterBuilder::new().eq(clause("SourceName"), name).build()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_that_nobody_could_evaluate_are_refused() {
    let house = House::with(guarded()).await;
    house.define(oil_high());
    let hmi = Hmi::connect(&house.url).await;
    let max = Hmi::log_in(&house.url, IdentityToken::UserName("max".into(), "oil".to_owned().into())).await.unwrap();
    let fields = ["SourceName", "SourceNode", "ClientUserId", "StatusCodeId"];
    let mut audit = max.subscribe(server(), &fields, filters_alone()).await;
    let mut events = watching(&hmi).await;
    let subscription = events.subscription;
    let is_null = || element(FilterOperator::IsNull, vec![Operand::literal(1)]);
    let severity = || Operand::from(clause("Severity"));
    let many: Vec<Operand> = std::iter::once(severity()).chain((0..10_000).map(Operand::literal)).collect();
    for (what, filter) in [
        ("10,000 operands", ContentFilter { elements: Some(vec![element(FilterOperator::InList, many)]) }),
        ("20,000 elements, one below the other", chain(20_000, 1, is_null())),
        ("sixty elements, each twice below the one before", chain(60, 2, is_null())),
        ("a circle", chain(4, 1, element(FilterOperator::Not, vec![Operand::element(0)]))),
        ("an element that is not there", chain(2, 1, element(FilterOperator::Not, vec![Operand::element(7)]))),
        ("no operand", chain(2, 1, element(FilterOperator::Not, Vec::new()))),
    ] {
        let status = tokio::time::timeout(Duration::from_secs(10), filtered(&hmi, subscription, filter)).await;
        assert_eq!(status, Ok(StatusCode::BadEventFilterInvalid), "{what}");
        let told = audit.next().await;
        assert_eq!(
            (told.text("SourceName"), told.text("ClientUserId")),
            ("MonitoredItem/Filter".into(), "anonymous".into())
        );
        let refused: Variant = StatusCode::BadEventFilterInvalid.into();
        assert_eq!((told.get("SourceNode"), told.get("StatusCodeId")), (&server().into(), &refused), "{what}");
    }
    // What an HMI may well ask for.
    let list: Vec<Operand> = std::iter::once(severity()).chain((600..800).map(Operand::literal)).collect();
    let listed = ContentFilter { elements: Some(vec![element(FilterOperator::InList, list)]) };
    assert_eq!(filtered(&hmi, subscription, listed).await, StatusCode::Good);
    assert_eq!(filtered(&hmi, subscription, chain(60, 1, is_null())).await, StatusCode::Good);
    house.raise(&key(OIL));
    events.next().await;
    hmi.close().await;
    max.close().await;
    house.close().await;
}

#[tokio::test]
async fn an_index_range_within_a_text_ends_nothing() {
    let house = House::open().await;
    let name = "Öldruck/水位";
    house.define(ConditionDef { source_name: name.into(), signal: None, ..oil_high() });
    let (hmi, other) = (Hmi::connect(&house.url).await, Hmi::connect(&house.url).await);
    let mut events = watching(&other).await;
    // Each character, and each byte within one.
    let ranged =
        |index: u32| SimpleAttributeOperand { index_range: NumericRange::Index(index), ..clause("SourceName") };
    let subscription = events.subscription;
    let mut item = event_item(server(), &[], ContentFilter::default(), 10);
    let select_clauses = Some((0..30).map(ranged).collect());
    let filter = EventFilter { select_clauses, where_clause: ContentFilter::default() };
    item.requested_parameters.filter = ExtensionObject::from_message(filter);
    let created = other.session.create_monitored_items(subscription, TimestampsToReturn::Neither, vec![item]).await;
    assert_eq!(created.unwrap()[0].result.status_code, StatusCode::Good);
    house.raise(&key(OIL));
    let mut told = Vec::new();
    for _ in 0..2 {
        let event = tokio::time::timeout(PATIENCE, events.received.recv()).await.expect("no event came");
        told.push(event.unwrap());
    }
    told.sort_by_key(Vec::len);
    assert!(matches!(&*told[0], [Variant::LocalizedText(_)]));
    let characters: Vec<Variant> = name.chars().map(|one| one.to_string().into()).collect();
    let nothing = vec![Variant::Empty; 30 - characters.len()];
    assert_eq!(told[1], [characters, nothing].concat());
    // Of a value that is read or watched as well.
    for (range, part) in [("1:2", Some("ld")), ("8:99", Some("水位")), ("10", None)] {
        let node_id = own("hot/high/press/oil#SourceName");
        let index_range = range.parse().unwrap();
        let wanted =
            ReadValueId { node_id, attribute_id: AttributeId::Value as u32, index_range, ..Default::default() };
        let read =
            hmi.session.read(std::slice::from_ref(&wanted), TimestampsToReturn::Neither, 0.0).await.unwrap().remove(0);
        assert_eq!(read.value, part.map(Variant::from), "{range}");
        let mut watched = hmi.watch_item(wanted).await;
        let (_, first) = watched.next().await;
        assert_eq!(first.value.filter(|value| *value != Variant::Empty), part.map(Variant::from), "{range}");
    }
    hmi.close().await;
    other.close().await;
    house.close().await;
}

#[tokio::test]
async fn a_server_does_not_go_on_without_its_audit_events() {
    let ended = House::with_auditing(async { panic!("as if it were a defect") }).await;
    assert!(matches!(ended, Err(ServerError::Audit(_))), "{ended:?}");
}

#[tokio::test]
async fn of_ten_who_acknowledge_at_once_one_was_first_and_all_are_on_record() {
    let house = House::with(guarded()).await;
    house.define(oil_high());
    house.raise(&key(OIL));
    let max = Hmi::log_in(&house.url, user("max")).await.unwrap();
    let acknowledged = Operand::literal(NodeId::from(ObjectTypeId::AuditConditionAcknowledgeEventType));
    let of_it = ContentFilterBuilder::new().eq(clause("EventType"), acknowledged).build();
    let mut audit = max.subscribe(server(), &["StatusCodeId", "ClientUserId"], of_it).await;
    let event = ByteString::from(house.state(&key(OIL)).event_id(&key(OIL)).bytes().to_vec());
    let mut hmis = Vec::new();
    for _ in 0..10 {
        hmis.push(Hmi::log_in(&house.url, user("bob")).await.unwrap());
    }
    let arguments = || vec![Variant::from(event.clone()), LocalizedText::from("mine").into()];
    let acknowledge = MethodId::AcknowledgeableConditionType_Acknowledge;
    let answers = futures::future::join_all(hmis.iter().map(|hmi| hmi.call(own(OIL), acknowledge, arguments()))).await;
    let count = |status: StatusCode| answers.iter().filter(|answer| **answer == status).count();
    assert_eq!((count(StatusCode::Good), count(StatusCode::BadConditionBranchAlreadyAcked)), (1, 9), "{answers:?}");
    let mut recorded = Vec::new();
    for _ in &answers {
        let told = audit.next().await;
        assert_eq!(told.text("ClientUserId"), "bob");
        recorded.push(told.get("StatusCodeId").clone());
    }
    let count = |status: StatusCode| recorded.iter().filter(|told| **told == status.into()).count();
    assert_eq!((count(StatusCode::Good), count(StatusCode::BadConditionBranchAlreadyAcked)), (1, 9), "{recorded:?}");
    for hmi in hmis.into_iter().chain([max]) {
        hmi.close().await;
    }
    house.close().await;
}

/// Opens sessions until there are no more.
async fn all_there_are(house: &House, who: &IdentityToken) -> (Vec<Hmi>, StatusCode) {
    let mut greedy = Vec::new();
    loop {
        match Hmi::log_in(&house.url, who.clone()).await {
            Ok(hmi) => greedy.push(hmi),
            Err(status) => return (greedy, status),
        }
        assert!(greedy.len() < 200, "there is no end");
    }
}

#[tokio::test]
async fn whoever_opens_a_hundred_sessions_disturbs_nobody_and_leaves_room_for_others() {
    let house = House::with(guarded()).await;
    house.define(oil_high());
    let nobody = IdentityToken::Anonymous;
    let first = Hmi::connect(&house.url).await;
    let mut events = watching(&first).await;
    let max = Hmi::log_in(&house.url, user("max")).await.unwrap();
    let refused = Operand::literal(Variant::from(StatusCode::BadTooManySessions));
    let of_refused = ContentFilterBuilder::new().eq(clause("StatusCodeId"), refused).build();
    let mut audit = max.subscribe(server(), &["EventType", "ClientUserId", "Status"], of_refused).await;
    let (mut greedy, refused) = all_there_are(&house, &nobody).await;
    assert_eq!((greedy.len(), refused), (73, StatusCode::BadTooManySessions));
    house.raise(&key(OIL));
    assert!(events.next().await.text("Message").starts_with("too high"));
    // Whoever logs in is another, from the same address as well.
    let (bobs, refused) = all_there_are(&house, &user("bob")).await;
    assert_eq!((bobs.len(), refused), (10, StatusCode::BadTooManySessions));
    let operator = Hmi::log_in(&house.url, user("sue")).await.unwrap();
    let event = ByteString::from(house.state(&key(OIL)).event_id(&key(OIL)).bytes().to_vec());
    let arguments = vec![event.into(), LocalizedText::from("seen").into()];
    let acknowledge = MethodId::AcknowledgeableConditionType_Acknowledge;
    assert_eq!(operator.call(own(OIL), acknowledge, arguments).await, StatusCode::Good);
    for refused in ["anonymous", "bob"] {
        let told = audit.next().await;
        assert_eq!(*told.get("EventType"), NodeId::from(ObjectTypeId::AuditActivateSessionEventType).into());
        assert_eq!((told.text("ClientUserId"), told.get("Status")), (refused.to_owned(), &false.into()));
    }
    // Who goes makes room.
    for hmi in bobs.into_iter().chain(greedy.drain(..10)) {
        hmi.close().await;
    }
    greedy.push(Hmi::connect(&house.url).await);
    for hmi in greedy.into_iter().chain([first, operator, max]) {
        hmi.close().await;
    }
    house.close().await;
}

#[tokio::test]
async fn sessions_that_are_made_and_never_used_keep_out_nobody() {
    let house = House::open().await;
    let hmi = Hmi::connect(&house.url).await;
    let asked = CreateSessionRequest {
        endpoint_url: house.url.as_str().into(),
        requested_session_timeout: 300_000.0,
        ..CreateSessionRequest::default()
    };
    for _ in 0..3 * SEATS {
        let answer = hmi.session.channel().send(asked.clone(), Duration::from_secs(20)).await.unwrap();
        assert!(matches!(answer, ResponseMessage::CreateSession(_)), "{answer:?}");
    }
    Hmi::connect(&house.url).await.close().await;
    // What they take does not count: nobody gets a session more by it.
    let most = hmi.read(VariableId::Server_ServerCapabilities_MaxSessions.into()).await.value;
    assert_eq!(most, Some(u32::try_from(SEATS).unwrap().into()));
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn where_all_sessions_are_taken_one_that_nobody_uses_makes_room() {
    let (shared, house) = House::with_patience(guarded(), PATIENCE).await;
    let holder = |name: &str| SessionHolder { user: UserToken(name.to_owned()), address: None, certificate: None };
    let idle = |name: &str, idle_s| IdleSession { holder: holder(name), idle: Duration::from_secs(idle_s) };
    let (ann, bob) = (holder("ann"), holder("bob"));
    let full = vec![ann; SEATS];
    let asked = shared.users.users_revision();
    assert_eq!(shared.users.admit_session(&bob, &full, asked), Err(StatusCode::BadTooManySessions));
    let gives_way = |idle: &[IdleSession]| shared.users.choose_session_to_end(&bob, &full, idle);
    assert_eq!(gives_way(&[idle("ann", 3_000), idle("sue", 70)]), Some(0));
    assert_eq!(gives_way(&[idle("ann", 59)]), None, "it may be used yet");
    house.close().await;
}

#[test]
fn who_logs_in_by_a_name_without_end_is_cut_short_in_the_log() {
    assert_eq!(cut("bob"), "bob");
    assert_eq!(cut(&"b".repeat(1 << 20)).len(), 1024);
}
