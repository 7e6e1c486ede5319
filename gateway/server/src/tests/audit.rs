//! Who did what, and who was refused, as those see it who may.

use opcua::client::IdentityToken;
use opcua::core::ResponseMessage;
use opcua::types::{
    ByteString, ContentFilter, ContentFilterBuilder, CreateSessionRequest, LocalizedText, MessageSecurityMode,
    MethodId, NodeId, ObjectTypeId, Operand, StatusCode, VariableId, Variant,
};
use tempfile::TempDir;
use watchfire_config::{Role, Security, ServerConfig};

use super::client::{Events, Hmi, PATIENCE, Seen, server};
use super::house::{House, guarded, key, oil_high, user};
use crate::names::own;
use crate::seats::SESSIONS_MAX;

const FIELDS: [&str; 16] = [
    "EventType",
    "SourceNode",
    "SourceName",
    "Message",
    "Severity",
    "Status",
    "StatusCodeId",
    "ServerId",
    "ClientUserId",
    "MethodId",
    "InputArguments",
    "ConditionEventId",
    "Comment",
    "ShelvingTime",
    "NewValue",
    "SecureChannelId",
];
const OIL: &str = "hot/high/press/oil";

fn password(user: &str, password: &str) -> IdentityToken {
    IdentityToken::UserName(user.into(), password.to_owned().into())
}

/// The audit events of a type and of those derived from it.
fn of(kind: ObjectTypeId) -> ContentFilter {
    ContentFilterBuilder::new().of_type(Operand::literal(NodeId::from(kind))).build()
}

async fn watch(hmi: &Hmi, kind: ObjectTypeId) -> Events {
    hmi.subscribe(server(), &FIELDS, of(kind)).await
}

#[tokio::test]
async fn p9_5_10_2_what_is_done_to_an_alarm_and_what_is_refused_leaves_an_audit_event() {
    let house = House::with(guarded()).await;
    house.define(oil_high());
    house.raise(&key(OIL));
    let (max, bob) = (
        Hmi::log_in(&house.url, password("max", "oil")).await.unwrap(),
        Hmi::log_in(&house.url, password("bob", "oil")).await.unwrap(),
    );
    assert_eq!(max.read(VariableId::Server_Auditing.into()).await.value, Some(true.into()));
    let mut audit = watch(&max, ObjectTypeId::AuditConditionEventType).await;
    let state = house.state(&key(OIL));
    let event = ByteString::from(state.event_id(&key(OIL)).bytes().to_vec());
    let seen = || vec![event.clone().into(), LocalizedText::from("seen").into()];
    let acknowledge = MethodId::AcknowledgeableConditionType_Acknowledge;
    for (status, again) in [(StatusCode::Good, false), (StatusCode::BadConditionBranchAlreadyAcked, true)] {
        assert_eq!(bob.call(own(OIL), acknowledge, seen()).await, status);
        let told = audit.next().await;
        assert_eq!(*told.get("EventType"), NodeId::from(ObjectTypeId::AuditConditionAcknowledgeEventType).into());
        assert_eq!(*told.get("SourceNode"), own(OIL).into());
        assert_eq!(told.text("SourceName"), "Method/Acknowledge");
        assert_eq!(*told.get("Status"), (!again).into());
        assert_eq!(*told.get("StatusCodeId"), status.into());
        assert_eq!(told.text("ServerId"), "urn:test:watchfire");
        assert_eq!(told.text("ClientUserId"), "bob");
        assert_eq!(*told.get("MethodId"), NodeId::from(acknowledge).into());
        assert_eq!(*told.get("ConditionEventId"), event.clone().into());
        assert_eq!(told.text("Comment"), "seen");
        let given = Variant::from(seen().into_iter().map(|one| Variant::Variant(Box::new(one))).collect::<Vec<_>>());
        assert_eq!(*told.get("InputArguments"), given);
        let severity = |event: &Variant| if let Variant::UInt16(severity) = event { *severity } else { 0 };
        assert_eq!(severity(told.get("Severity")) > 333, again, "what was refused weighs more");
    }
    // A right that is missing, a wrong argument, and a method on nothing.
    let disable = MethodId::ConditionType_Disable;
    assert_eq!(bob.call(own(OIL), disable, Vec::new()).await, StatusCode::BadUserAccessDenied);
    let told = audit.next().await;
    assert_eq!(*told.get("EventType"), NodeId::from(ObjectTypeId::AuditConditionEnableEventType).into());
    assert_eq!((told.text("ClientUserId"), told.get("Status")), ("bob".to_owned(), &false.into()));
    let shelve = MethodId::AlarmConditionType_ShelvingState_TimedShelve;
    assert_eq!(bob.call(own(OIL), shelve, vec![(-1.0).into()]).await, StatusCode::BadShelvingTimeOutOfRange);
    let told = audit.next().await;
    assert_eq!(*told.get("EventType"), NodeId::from(ObjectTypeId::AuditConditionShelvingEventType).into());
    assert_eq!(*told.get("ShelvingTime"), (-1.0).into());
    let nothing = own("hot/high/press/none");
    assert_eq!(bob.call(nothing.clone(), acknowledge, seen()).await, StatusCode::BadNodeIdUnknown);
    let told = audit.next().await;
    assert_eq!((told.get("SourceNode"), told.get("Status")), (&nothing.into(), &false.into()));
    // A comment that nobody has to read whole.
    let long = vec![event.clone().into(), LocalizedText::new("", &"x".repeat(60_000)).into()];
    assert_eq!(bob.call(own(OIL), acknowledge, long).await, StatusCode::BadInvalidArgument);
    assert_eq!(*audit.next().await.get("Comment"), Variant::Empty);
    max.close().await;
    bob.close().await;
    house.close().await;
}

#[tokio::test]
async fn a_written_request_leaves_an_audit_event_of_a_write() {
    let house = House::with(guarded()).await;
    house.define(oil_high());
    house.raise(&key(OIL));
    let max = Hmi::log_in(&house.url, password("max", "oil")).await.unwrap();
    let mut audit = watch(&max, ObjectTypeId::AuditUpdateEventType).await;
    let written = own("hot/high/press/oil#Values/AcknowledgeRequest");
    let ann = Hmi::log_in(&house.url, password("ann", "oil")).await.unwrap();
    let asked = ByteString::from(vec![1, 2, 3]);
    let status = ann.write(written.clone(), asked.clone()).await;
    assert!(status.is_bad(), "{status}");
    let told = audit.next().await;
    assert_eq!(*told.get("EventType"), NodeId::from(ObjectTypeId::AuditWriteUpdateEventType).into());
    assert_eq!((told.get("SourceNode"), told.get("NewValue")), (&written.into(), &asked.into()));
    assert_eq!(told.text("SourceName"), "Attribute/Write");
    assert_eq!((told.text("ClientUserId"), told.get("StatusCodeId")), ("ann".to_owned(), &status.into()));
    max.close().await;
    ann.close().await;
    house.close().await;
}

#[tokio::test]
async fn what_is_refused_and_would_change_nothing_leaves_an_audit_event_too() {
    use StatusCode as S;
    let house = House::with(guarded()).await;
    house.define(oil_high());
    let max = Hmi::log_in(&house.url, password("max", "oil")).await.unwrap();
    let bob = Hmi::log_in(&house.url, password("bob", "oil")).await.unwrap();
    let mut audit = watch(&max, ObjectTypeId::AuditUpdateEventType).await;
    let mut methods = watch(&max, ObjectTypeId::AuditUpdateMethodEventType).await;
    let theirs: Variant = methods.subscription.into();
    let metrics = own("area:Hall#Metrics");
    let conditions: NodeId = ObjectTypeId::ConditionType.into();
    let refresh_item = MethodId::ConditionType_ConditionRefresh2;
    for (object, method, arguments, status, name) in [
        (
            conditions.clone(),
            NodeId::from(MethodId::ConditionType_ConditionRefresh),
            vec![theirs.clone()],
            S::BadUserAccessDenied,
            "ConditionRefresh",
        ),
        (
            conditions.clone(),
            refresh_item.into(),
            vec![theirs, 1_u32.into()],
            S::BadUserAccessDenied,
            "ConditionRefresh2",
        ),
        (conditions.clone(), refresh_item.into(), Vec::new(), S::BadArgumentsMissing, "ConditionRefresh2"),
        (metrics, MethodId::AlarmMetricsType_Reset.into(), Vec::new(), S::BadUserAccessDenied, "Reset"),
        (
            conditions,
            MethodId::AlarmConditionType_GetGroupMemberships.into(),
            Vec::new(),
            S::BadNodeIdInvalid,
            "GetGroupMemberships",
        ),
        (server(), MethodId::Server_GetMonitoredItems.into(), Vec::new(), S::BadInvalidArgument, "i=11492"),
        (own(OIL), own("method:Nothing"), Vec::new(), S::BadMethodInvalid, "ns=2;s=method:Nothing"),
        (own(OIL), NodeId::new(9, 1_u32), Vec::new(), S::BadMethodInvalid, "ns=9;i=1"),
    ] {
        assert_eq!(bob.call(object.clone(), method, arguments).await, status, "{name}");
        let told = methods.next().await;
        assert_eq!(*told.get("EventType"), NodeId::from(ObjectTypeId::AuditUpdateMethodEventType).into());
        assert_eq!((told.text("SourceName"), told.get("SourceNode")), (format!("Method/{name}"), &object.into()));
        assert_eq!((told.text("ClientUserId"), told.get("StatusCodeId")), ("bob".to_owned(), &status.into()));
    }
    // A value that nobody can write.
    for fixed in [VariableId::Server_ServiceLevel.into(), NodeId::new(9, "nothing")] {
        let status = bob.write(fixed.clone(), 7_u8).await;
        assert!(status.is_bad(), "{status}");
        let mut told = audit.next().await;
        while *told.get("EventType") != NodeId::from(ObjectTypeId::AuditWriteUpdateEventType).into() {
            told = audit.next().await;
        }
        assert_eq!((told.get("SourceNode"), told.get("StatusCodeId")), (&fixed.into(), &status.into()));
    }
    max.close().await;
    bob.close().await;
    house.close().await;
}

/// What is told of channels and sessions.
const OF_SESSIONS: [&str; 9] = [
    "EventType",
    "SourceName",
    "ClientUserId",
    "StatusCodeId",
    "ClientCertificate",
    "ClientCertificateThumbprint",
    "RevisedSessionTimeout",
    "SessionId",
    "Message",
];

/// The next audit event of this source name.
async fn next_of(events: &mut Events, source: &str) -> Seen {
    loop {
        let told = events.next().await;
        if told.text("SourceName") == source {
            return told;
        }
    }
}

async fn watch_sessions(hmi: &Hmi) -> Events {
    hmi.subscribe(server(), &OF_SESSIONS, of(ObjectTypeId::AuditSecurityEventType)).await
}

#[tokio::test]
async fn channels_and_sessions_are_told_with_whose_they_are_and_what_they_got() {
    let both = ServerConfig { security: vec![Security::None, Security::Basic256Sha256], ..guarded() };
    let house = House::with(both).await;
    let max = Hmi::log_in(&house.url, password("max", "oil")).await.unwrap();
    let mut audit = watch_sessions(&max).await;
    let (encrypted, folder) = (MessageSecurityMode::SignAndEncrypt, TempDir::new().unwrap());
    Hmi::log_in_with(&house.url, IdentityToken::Anonymous, encrypted, folder, &[]).await.map(|_| ()).unwrap_err();
    // The endpoints are asked for in the clear.
    loop {
        let told = next_of(&mut audit, "SecureChannel/OpenSecureChannel").await;
        assert_eq!(told.text("ClientUserId"), "System/OpenSecureChannel");
        let thumbprint = told.text("ClientCertificateThumbprint");
        if let Variant::ByteString(certificate) = told.get("ClientCertificate")
            && !certificate.is_null_or_empty()
        {
            assert_eq!(thumbprint.len(), 40, "{thumbprint}");
            break;
        }
    }
    let refused = next_of(&mut audit, "Session/CreateSession").await;
    assert_eq!(refused.text("ClientUserId"), "System/CreateSession");
    let asked = CreateSessionRequest {
        endpoint_url: house.url.as_str().into(),
        requested_session_timeout: 1e9,
        ..CreateSessionRequest::default()
    };
    max.session.channel().send(asked, PATIENCE).await.unwrap();
    let told = next_of(&mut audit, "Session/CreateSession").await;
    assert_eq!(told.text("ClientUserId"), "System/CreateSession");
    assert_eq!(*told.get("RevisedSessionTimeout"), 300_000.0.into());
    max.close().await;
    house.close().await;
}

#[tokio::test]
async fn sessions_that_end_by_themselves_and_subscriptions_that_move_are_told() {
    let house = House::with(guarded()).await;
    let max = Hmi::log_in(&house.url, password("max", "oil")).await.unwrap();
    let mut audit = watch_sessions(&max).await;
    let bob = Hmi::log_in(&house.url, password("bob", "oil")).await.unwrap();
    let again = Hmi::log_in(&house.url, password("bob", "oil")).await.unwrap();
    let moved = bob.subscribe(server(), &["Message"], ContentFilter::default()).await.subscription;
    let hers = audit.subscription;
    for (subscription, status) in [(moved, StatusCode::Good), (hers, StatusCode::BadUserAccessDenied)] {
        let answer = again.session.transfer_subscriptions(&[subscription], false).await.unwrap();
        assert_eq!(answer[0].status_code, status);
        let told = next_of(&mut audit, "Session/TransferSubscriptions").await;
        assert_eq!((told.text("ClientUserId"), told.get("StatusCodeId")), ("bob".to_owned(), &status.into()));
        assert_eq!(*told.get("EventType"), NodeId::from(ObjectTypeId::AuditSessionEventType).into());
    }
    let asked = |timeout_ms| CreateSessionRequest {
        endpoint_url: house.url.as_str().into(),
        requested_session_timeout: timeout_ms,
        ..CreateSessionRequest::default()
    };
    let made = max.session.channel().send(asked(1.0), PATIENCE).await.unwrap();
    let ResponseMessage::CreateSession(made) = made else { panic!("{made:?}") };
    let told = next_of(&mut audit, "Session/Timeout").await;
    assert_eq!(*told.get("SessionId"), made.session_id.clone().into());
    for _ in 0..SESSIONS_MAX {
        max.session.channel().send(asked(300_000.0), PATIENCE).await.unwrap();
    }
    let told = next_of(&mut audit, "Session/Terminated").await;
    assert_eq!(*told.get("EventType"), NodeId::from(ObjectTypeId::AuditSessionEventType).into());
    for hmi in [max, bob, again] {
        hmi.close().await;
    }
    house.close().await;
}

#[tokio::test]
async fn a_session_that_ends_with_its_users_right_to_it_is_told_as_what_it_is() {
    let house = House::with(guarded()).await;
    let max = Hmi::log_in(&house.url, password("max", "oil")).await.unwrap();
    let mut audit = watch_sessions(&max).await;
    let _bob = Hmi::log_in(&house.url, password("bob", "oil")).await.unwrap();
    let users = guarded().users.into_iter().filter(|user| user.name != "bob").collect();
    let others = house.editor.compare_users(&ServerConfig { users, ..guarded() }).unwrap();
    house.editor.users(others);
    let told = next_of(&mut audit, "Session/Terminated").await;
    assert_eq!(told.text("ClientUserId"), "bob");
    assert_eq!(told.text("Message"), "a session ended, since its user is gone or has to log in anew");
    max.close().await;
    house.close().await;
}

#[tokio::test]
async fn p5_6_4_a_log_in_that_fails_is_told_without_its_password() {
    let config = guarded();
    let house = House::with(config).await;
    let max = Hmi::log_in(&house.url, password("max", "oil")).await.unwrap();
    let mut audit = watch(&max, ObjectTypeId::AuditActivateSessionEventType).await;
    Hmi::log_in(&house.url, password("bob", "water")).await.map(|_| ()).unwrap_err();
    let told = audit.next().await;
    assert_eq!((told.text("ClientUserId"), told.get("Status")), ("bob".to_owned(), &false.into()));
    assert_eq!(*told.get("StatusCodeId"), StatusCode::BadIdentityTokenRejected.into());
    assert!(told.text("Message").starts_with("log-in of bob from 127.0.0.1"), "{}", told.text("Message"));
    assert!(!FIELDS.iter().any(|field| told.text(field).contains("water")));
    Hmi::log_in(&house.url, password("bob", "oil")).await.unwrap().close().await;
    let told = audit.next().await;
    assert_eq!((told.text("ClientUserId"), told.get("Status")), ("bob".to_owned(), &true.into()));
    max.close().await;
    house.close().await;
}

#[tokio::test]
async fn a_certificate_that_nobody_trusts_is_told_with_its_subject() {
    let both = ServerConfig { security: vec![Security::None, Security::Basic256Sha256], ..guarded() };
    let house = House::with(both).await;
    let max = Hmi::log_in(&house.url, password("max", "oil")).await.unwrap();
    let mut audit = watch(&max, ObjectTypeId::AuditCertificateEventType).await;
    let (encrypted, folder) = (MessageSecurityMode::SignAndEncrypt, TempDir::new().unwrap());
    Hmi::log_in_with(&house.url, IdentityToken::Anonymous, encrypted, folder, &[]).await.map(|_| ()).unwrap_err();
    let told = audit.next().await;
    assert_eq!(*told.get("EventType"), NodeId::from(ObjectTypeId::AuditCertificateUntrustedEventType).into());
    assert_eq!((told.text("SourceName"), told.get("Status")), ("Security/Certificate".to_owned(), &false.into()));
    assert!(told.text("Message").contains("CN=hmi"), "{}", told.text("Message"));
    max.close().await;
    house.close().await;
}

#[tokio::test]
async fn nobody_else_sees_them_whatever_they_subscribe_to() {
    let mut config = guarded();
    config.users.push(user("eve", &[Role::Supervisor]));
    let house = House::with(config).await;
    house.define(oil_high());
    let eve = Hmi::log_in(&house.url, password("eve", "oil")).await.unwrap();
    let max = Hmi::log_in(&house.url, password("max", "oil")).await.unwrap();
    let mut hidden = eve.subscribe(server(), &FIELDS, ContentFilter::default()).await;
    let mut shown = watch(&max, ObjectTypeId::AuditEventType).await;
    let disabled = MethodId::ConditionType_Disable;
    assert_eq!(max.call(own(OIL), disabled, Vec::new()).await, StatusCode::BadUserAccessDenied);
    loop {
        let told = shown.next().await;
        if told.text("SourceName") == "Method/Disable" {
            break;
        }
    }
    // An alarm comes after what was to be hidden: what was told of to one is told of to all by then.
    house.raise(&key(OIL));
    let first = hidden.next().await;
    assert_eq!(*first.get("SourceNode"), own("signal:press/oil").into());
    eve.close().await;
    max.close().await;
    house.close().await;
}
