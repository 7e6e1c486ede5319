//! Who gets in.

use opcua::client::{HistoryReadAction, IdentityToken};
use opcua::crypto::{PrivateKey, X509, X509Data};
use opcua::server::authenticator::{AuthManager, SessionHolder, UserToken};
use opcua::types::{
    AttributeId, ByteString, ContentFilter, DateTime, HistoryReadValueId, LocalizedText, MessageSecurityMode, MethodId,
    NodeId, ObjectId, PermissionType, ReadRawModifiedDetails, ReadValueId, RolePermissionType, StatusCode,
    TimestampsToReturn, Variant,
};
use tempfile::TempDir;
use watchfire_alarms::{ConditionDef, Rules};
use watchfire_config::{
    AccessConfig, LockoutConfig, Operation, Role, Roles, Security, ServerConfig, ShownCertificate, UserConfig,
};
use watchfire_model::Level;

use super::client::{Hmi, server};
use super::house::{House, guarded, key, oil_hash, oil_high, open, user};
use crate::UserStep;
use crate::names::own;
use crate::rejected::Rejected;

fn password(user: &str, password: &str) -> IdentityToken {
    IdentityToken::UserName(user.into(), password.to_owned().into())
}

#[tokio::test]
async fn only_known_users_with_their_own_password_get_in() {
    let house = House::with(guarded()).await;
    for (user, said) in [("ann", "Oil"), ("ann", ""), ("eve", "oil"), ("", "oil"), ("ANONYMOUS", "oil")] {
        let refused = Hmi::log_in(&house.url, password(user, said)).await.map(|_| ()).unwrap_err();
        assert_eq!(refused, StatusCode::BadIdentityTokenRejected, "{user} {said}");
    }
    Hmi::log_in(&house.url, password("ann", "oil")).await.unwrap().close().await;
    Hmi::log_in(&house.url, IdentityToken::Anonymous).await.unwrap().close().await;
    house.close().await;

    let closed = House::with(ServerConfig { anonymous: None, ..guarded() }).await;
    assert!(Hmi::log_in(&closed.url, IdentityToken::Anonymous).await.is_err());
    Hmi::log_in(&closed.url, password("bob", "oil")).await.unwrap().close().await;
    closed.close().await;
}

#[tokio::test]
async fn an_unknown_certificate_waits_for_a_person_who_is_told_where_it_lies() {
    let house = House::with(ServerConfig { security: vec![Security::Basic256Sha256], ..open() }).await;
    let mut rejected = Rejected::new(house.pki.clone(), std::sync::Arc::new(watchfire_model::SystemClock));
    let encrypted = MessageSecurityMode::SignAndEncrypt;
    let folder = TempDir::new().unwrap();
    let (_, folder) = Hmi::log_in_with(&house.url, IdentityToken::Anonymous, encrypted, folder, &[])
        .await
        .map(|_| ())
        .expect_err("nobody trusts it yet");
    let refused = rejected.look();
    assert_eq!(refused.len(), 1);
    assert!(rejected.look().is_empty(), "it is told once");
    // A person moves it, and calls it something better.
    let said = refused[0].to_string();
    assert!(said.ends_with(&format!("move it to `{}`", house.pki.trusted_dir().display())), "{said}");
    std::fs::rename(&refused[0].file, house.pki.trusted_dir().join("the press room.der")).unwrap();
    let hmi = Hmi::log_in_with(&house.url, IdentityToken::Anonymous, encrypted, folder, &[])
        .await
        .map_err(|(e, _)| e)
        .unwrap();
    assert!(hmi.value("area:Hall#ActiveCount").await == 0_u32.into());
    assert!(rejected.look().is_empty());
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let house = House::open().await;
    let port: u16 = house.url.rsplit(':').next().unwrap().trim_end_matches('/').parse().unwrap();
    let Err(refused) = House::try_build(ServerConfig { port, ..open() }) else { panic!("two servers on one port") };
    let message = refused.to_string();
    assert!(message.contains(&format!("127.0.0.1:{port}")) && message.contains("set another"), "{message}");
    house.close().await;
}

/// The methods, each with its right and arguments that are as good as any.
fn methods(event: &[u8]) -> Vec<(Operation, MethodId, Vec<Variant>)> {
    let seen = || vec![ByteString::from(event.to_vec()).into(), LocalizedText::new("", "seen").into()];
    let said = || vec![LocalizedText::new("", "said").into()];
    vec![
        (Operation::Acknowledge, MethodId::AcknowledgeableConditionType_Acknowledge, seen()),
        (Operation::Confirm, MethodId::AcknowledgeableConditionType_Confirm, seen()),
        (Operation::Comment, MethodId::ConditionType_AddComment, seen()),
        (Operation::Silence, MethodId::AlarmConditionType_Silence, Vec::new()),
        (Operation::Shelve, MethodId::AlarmConditionType_ShelvingState_OneShotShelve, Vec::new()),
        (Operation::Shelve, MethodId::AlarmConditionType_ShelvingState_Unshelve, Vec::new()),
        (Operation::Shelve, MethodId::ShelvedStateMachineType_TimedShelve, vec![1000.0.into()]),
        (Operation::Suppress, MethodId::AlarmConditionType_Suppress, Vec::new()),
        (Operation::Suppress, MethodId::AlarmConditionType_Unsuppress2, said()),
        (Operation::Service, MethodId::AlarmConditionType_RemoveFromService, Vec::new()),
        (Operation::Service, MethodId::AlarmConditionType_PlaceInService2, said()),
        (Operation::Reset, MethodId::AlarmConditionType_Reset, Vec::new()),
        (Operation::Enable, MethodId::ConditionType_Disable, Vec::new()),
        (Operation::Enable, MethodId::ConditionType_Enable, Vec::new()),
    ]
}

/// Whether each method is refused for want of a right, and is said to be.
async fn refused(house: &House, hmi: &Hmi) -> Vec<(Operation, bool)> {
    let oil = key("hot/high/press/oil");
    let mut refused = Vec::new();
    for (operation, method, arguments) in methods(house.state(&oil).event_id(&oil).bytes()) {
        let status = hmi.call(own("hot/high/press/oil"), method, arguments).await;
        let denied = status == StatusCode::BadUserAccessDenied;
        let executable = hmi.attribute(NodeId::from(method), AttributeId::UserExecutable).await.value;
        assert_eq!(executable, Some((!denied).into()), "{method:?}");
        refused.push((operation, denied));
    }
    refused
}

async fn reads_history(hmi: &Hmi) -> StatusCode {
    let details = ReadRawModifiedDetails {
        start_time: DateTime::epoch(),
        end_time: DateTime::endtimes(),
        num_values_per_node: 1,
        ..ReadRawModifiedDetails::default()
    };
    let wanted = HistoryReadValueId { node_id: own("signal:press/oil"), ..HistoryReadValueId::default() };
    let action = HistoryReadAction::ReadRawModifiedDetails(details);
    hmi.session.history_read(action, TimestampsToReturn::Both, false, &[wanted]).await.unwrap().remove(0).status_code
}

fn latching() -> ConditionDef {
    ConditionDef { rules: std::sync::Arc::new(Rules { latch: true, ..Rules::default() }), ..oil_high() }
}

#[tokio::test]
async fn each_role_may_do_what_the_configuration_says() {
    let house = House::with(guarded()).await;
    house.define(latching());
    house.raise(&key("hot/high/press/oil"));
    let operator =
        [Operation::Acknowledge, Operation::Confirm, Operation::Comment, Operation::Silence, Operation::Shelve];
    for (who, may) in [("ann", &[][..]), ("bob", &operator), ("sue", &Operation::ALL), ("max", &[])] {
        let hmi = Hmi::log_in(&house.url, password(who, "oil")).await.unwrap();
        for (operation, denied) in refused(&house, &hmi).await {
            assert_eq!(denied, !may.contains(&operation), "{who} {operation:?}");
        }
        let reset = hmi.attribute(MethodId::AlarmMetricsType_Reset.into(), AttributeId::UserExecutable).await.value;
        assert_eq!(reset, Some(may.contains(&Operation::Reset).into()), "{who}");
        let looks = who != "max";
        let history = reads_history(&hmi).await;
        assert_eq!(history == StatusCode::BadUserAccessDenied, !looks, "{who}: {history}");
        let level = hmi.attribute(own("signal:press/oil"), AttributeId::UserAccessLevel).await.value;
        assert_eq!(level, Some(if looks { 5_u8 } else { 1 }.into()), "{who}");
        hmi.close().await;
    }
    house.close().await;
}

#[tokio::test]
async fn who_may_do_what_is_configuration() {
    let text = "[[source]]\nname = 's'\nurl = 'opc.tcp://plc'\n[server.access]\nreset = ['operator']\n\
                comment = ['authenticated_user']\nsilence = ['anonymous']\nacknowledge = []\n";
    let text = text.replace("[server.access]", "[[source.signal]]\nname = 'a'\nnode = 'i=1'\n[server.access]");
    let access = watchfire_config::Config::parse(&text, "access", std::path::Path::new("")).unwrap().server.access;
    assert_ne!(access, AccessConfig::default());
    let house = House::with(ServerConfig { access, ..guarded() }).await;
    house.define(latching());
    house.raise(&key("hot/high/press/oil"));
    let bob = [Operation::Reset, Operation::Comment, Operation::Silence, Operation::Confirm, Operation::Shelve];
    for (who, may) in [
        (IdentityToken::Anonymous, &[Operation::Silence][..]),
        (password("ann", "oil"), &[Operation::Silence, Operation::Comment]),
        (password("bob", "oil"), &bob),
    ] {
        let hmi = Hmi::log_in(&house.url, who).await.unwrap();
        for (operation, denied) in refused(&house, &hmi).await {
            assert_eq!(denied, !may.contains(&operation), "{operation:?} {may:?}");
        }
        hmi.close().await;
    }
    house.close().await;
}

/// What each role may do with a node, as this user is told.
async fn permissions(hmi: &Hmi, node: &str, attribute: AttributeId) -> Vec<(NodeId, PermissionType)> {
    let Some(Variant::Array(array)) = hmi.attribute(own(node), attribute).await.value else { panic!("{node}") };
    let one = |value: &Variant| {
        let Variant::ExtensionObject(object) = value else { panic!("{value:?}") };
        let one = object.inner_as::<RolePermissionType>().unwrap();
        (one.role_id.clone(), one.permissions)
    };
    array.values.iter().map(one).collect()
}

#[tokio::test]
async fn each_node_says_what_each_role_may_do_with_it_and_what_this_user_may() {
    let house = House::with(guarded()).await;
    house.define(latching());
    let look = PermissionType::Browse | PermissionType::ReadRolePermissions | PermissionType::Read;
    let hears = look | PermissionType::ReceiveEvents;
    let [anonymous, user, observer, operator, supervisor] = [
        ObjectId::WellKnownRole_Anonymous,
        ObjectId::WellKnownRole_AuthenticatedUser,
        ObjectId::WellKnownRole_Observer,
        ObjectId::WellKnownRole_Operator,
        ObjectId::WellKnownRole_Supervisor,
    ]
    .map(NodeId::from);
    let bob = Hmi::log_in(&house.url, password("bob", "oil")).await.unwrap();
    // The node; what everybody may; what an operator and a supervisor may beside it.
    for (node, all, operators, supervisors) in [
        ("area:Hall", hears, PermissionType::ReadHistory, PermissionType::ReadHistory),
        ("area:Hall#ActiveCount", look, PermissionType::empty(), PermissionType::empty()),
        ("area:Hall#Metrics", look, PermissionType::empty(), PermissionType::Call),
        ("signal:press/oil", look, PermissionType::ReadHistory, PermissionType::ReadHistory),
        ("hot/high/press/oil", hears, PermissionType::Call, PermissionType::Call),
        ("hot/high/press/oil#ShelvingState", look, PermissionType::Call, PermissionType::Call),
        ("hot/high/press/oil#Values/AcknowledgeRequest", look, PermissionType::Write, PermissionType::Write),
        ("hot/high/press/oil#Values/EventId", look, PermissionType::empty(), PermissionType::empty()),
        ("hot/high/press/oil#Values/AcknowledgeRequestText", look, PermissionType::Write, PermissionType::Write),
        ("hot/high/press/oil#Values/EventIdText", look, PermissionType::empty(), PermissionType::empty()),
        ("method:Mark", look, PermissionType::Call, PermissionType::Call),
        ("method:RemoveFromServiceFor", look, PermissionType::empty(), PermissionType::Call),
    ] {
        let roles = permissions(&bob, node, AttributeId::RolePermissions).await;
        assert_eq!(roles.len(), Role::ALL.len(), "{node}");
        let of = |role: &NodeId| roles.iter().find(|(id, _)| id == role).unwrap().1;
        for (role, more) in [
            (&anonymous, PermissionType::empty()),
            (&user, PermissionType::empty()),
            (&operator, operators),
            (&supervisor, supervisors),
        ] {
            assert_eq!(of(role), all | more, "{node} {role}");
        }
        let told = permissions(&bob, node, AttributeId::UserRolePermissions).await;
        let his: Vec<_> = [&anonymous, &user, &operator].map(|role| (role.clone(), of(role))).to_vec();
        assert_eq!(told, his, "{node}");
    }
    let nobody = Hmi::connect(&house.url).await;
    let told = permissions(&nobody, "area:Hall", AttributeId::UserRolePermissions).await;
    assert_eq!(told, [(anonymous, hears), (observer, hears | PermissionType::ReadHistory)]);
    nobody.close().await;
    bob.close().await;
    house.close().await;
}

/// A certificate and its key.
fn made(name: &str) -> (X509, PrivateKey) {
    let data = X509Data {
        key_size: 2048,
        common_name: name.into(),
        organization: "plant".into(),
        organizational_unit: "hall".into(),
        country: "DE".into(),
        state: "BW".into(),
        alt_host_names: vec!["127.0.0.1".to_owned()].into(),
        certificate_duration_days: 10,
    };
    X509::cert_and_pkey(&data).unwrap()
}

#[tokio::test]
async fn the_owner_of_a_certificate_gets_in_and_nobody_else_by_it() {
    let folder = TempDir::new().unwrap();
    let [(eve, eves_key), (ben, bens_key), (lea, leas_key)] = ["eve", "ben", "lea"].map(made);
    let token = |certificate: &X509, key: &PrivateKey| IdentityToken::new_x509(certificate.clone(), key.clone());
    let file = folder.path().join("ben.der");
    std::fs::write(&file, ben.to_der().unwrap()).unwrap();
    let shown = |name: &str, certificate| UserConfig {
        password_hash: None,
        certificate: Some(certificate),
        ..user(name, &[Role::Operator])
    };
    // The clock of a server that is secured is the machine's.
    let config = ServerConfig {
        security: vec![Security::None, Security::Basic256Sha256],
        anonymous: None,
        users: vec![
            shown("ben", ShownCertificate::File(file)),
            shown("lea", ShownCertificate::Thumbprint(lea.thumbprint().as_hex_string().to_ascii_lowercase())),
        ],
        ..open()
    };
    let house = House::with(config).await;
    house.define(oil_high());
    house.raise(&key("hot/high/press/oil"));
    let refused = StatusCode::BadIdentityTokenRejected;
    assert_eq!(Hmi::log_in(&house.url, token(&eve, &eves_key)).await.map(|_| ()), Err(refused));
    assert!(Hmi::log_in(&house.url, token(&ben, &eves_key)).await.is_err(), "the key does not fit");
    assert!(Hmi::log_in(&house.url, password("ben", "")).await.is_err(), "ben has no password");
    let hmi = Hmi::log_in(&house.url, token(&ben, &bens_key)).await.unwrap();
    let seen = house.state(&key("hot/high/press/oil")).event_id(&key("hot/high/press/oil")).bytes().to_vec();
    let arguments = vec![ByteString::from(seen).into(), LocalizedText::new("", "seen").into()];
    let acknowledge = MethodId::AcknowledgeableConditionType_Acknowledge;
    assert_eq!(hmi.call(own("hot/high/press/oil"), acknowledge, arguments).await, StatusCode::Good);
    assert_eq!(house.state(&key("hot/high/press/oil")).user, "ben");
    hmi.close().await;
    Hmi::log_in(&house.url, token(&lea, &leas_key)).await.unwrap().close().await;

    // A person has second thoughts.
    let rejected = house.pki.shelf(watchfire_ua::Shelf::Denied);
    std::fs::create_dir_all(&rejected).unwrap();
    std::fs::write(rejected.join("lea.der"), lea.to_der().unwrap()).unwrap();
    assert_eq!(Hmi::log_in(&house.url, token(&lea, &leas_key)).await.map(|_| ()), Err(refused));
    house.close().await;

    let nothing = folder.path().join("nothing.der");
    std::fs::write(&nothing, "nothing").unwrap();
    let config = ServerConfig { users: vec![shown("ben", ShownCertificate::File(nothing))], ..open() };
    let Err(error) = House::try_build(config) else { panic!("it is no certificate") };
    let message = error.to_string();
    assert!(
        message.contains("`ben`") && message.contains("nothing.der") && message.contains("no certificate"),
        "{message}"
    );
}

#[tokio::test]
async fn whoever_guesses_must_wait_and_only_that_one() {
    let long = std::time::Duration::from_secs(600);
    let lockout = LockoutConfig { after: 3, after_from_address: 9, first: long, longest: long };
    let house = House::with(ServerConfig { lockout, anonymous: Some(Roles::of(&[Role::Observer])), ..guarded() }).await;
    let fails =
        async |user: &str, said: &str| Hmi::log_in(&house.url, password(user, said)).await.map(|_| ()).unwrap_err();
    Hmi::log_in(&house.url, password("sue", "oil")).await.unwrap().close().await;
    for name in ["bob", "nobody", "sue"] {
        for _ in 0..3 {
            assert_eq!(fails(name, "wrong").await, StatusCode::BadIdentityTokenRejected, "{name}");
        }
        if name == "sue" {
            break;
        }
        assert_eq!(fails(name, "oil").await, StatusCode::BadUserAccessDenied, "{name}, whether there is one or not");
    }
    // That were nine from this address.
    assert_eq!(fails("ann", "oil").await, StatusCode::BadUserAccessDenied);
    Hmi::log_in(&house.url, IdentityToken::Anonymous).await.unwrap().close().await;
    house.close().await;
}

#[tokio::test]
async fn whoever_may_no_longer_log_in_loses_the_session_and_other_roles_count_at_once() {
    const OIL: &str = "hot/high/press/oil";
    let house = House::with(guarded()).await;
    house.define(oil_high());
    house.raise(&key(OIL));
    let [ann, bob, sue, max] =
        futures_of(["ann", "bob", "sue", "max"].map(|name| Hmi::log_in(&house.url, password(name, "oil")))).await;
    let mut gone = bob.subscribe(server(), &["Message"], ContentFilter::default()).await;
    let mut stays = max.subscribe(server(), &["Message"], ContentFilter::default()).await;
    let acknowledge = async |hmi: &Hmi| {
        let seen = house.state(&key(OIL)).event_id(&key(OIL)).bytes().to_vec();
        let arguments = vec![ByteString::from(seen).into(), LocalizedText::new("", "seen").into()];
        hmi.call(own(OIL), MethodId::AcknowledgeableConditionType_Acknowledge, arguments).await
    };
    assert_eq!(acknowledge(&ann).await, StatusCode::BadUserAccessDenied);
    let another = oil_hash().replace("c29tZXNhbHQ", "b3RoZXJzYWx0");
    let changed = UserConfig { password_hash: Some(another), ..user("sue", &[Role::Supervisor]) };
    let users = vec![
        user("ann", &[Role::Operator]),
        changed,
        UserConfig { locale: Some("de".into()), ..user("max", &[Role::SecurityAdmin]) },
        user("eve", &[Role::Observer]),
    ];
    let others = house.editor.compare_users(&ServerConfig { users, ..guarded() }).unwrap();
    let steps: Vec<_> = others.steps.iter().map(|(name, step)| (name.as_str(), *step)).collect();
    let expected = [
        ("ann", UserStep::Roles),
        ("bob", UserStep::Removed),
        ("eve", UserStep::Added),
        ("max", UserStep::Locale),
        ("sue", UserStep::Login { sessions_end: true }),
    ];
    assert_eq!(steps, expected);
    house.editor.users(others);

    // What comes from now on is told to whoever stays, and to nobody else.
    while !gone.is_empty() {}
    house.find(&key(OIL), Level::HighHigh, "much too high", vec![]);
    while stays.next().await.text("Message") != "much too high" {}
    Hmi::log_in(&house.url, password("eve", "oil")).await.unwrap().close().await;
    assert!(gone.is_empty(), "one whose session has ended is told what comes");
    assert_eq!(acknowledge(&ann).await, StatusCode::Good);
    let node = ReadValueId { node_id: server(), attribute_id: AttributeId::BrowseName as u32, ..Default::default() };
    let read = sue.session.read(&[node], TimestampsToReturn::Neither, 0.0).await;
    assert_eq!(read.unwrap_err().status(), StatusCode::BadSessionIdInvalid);
    let refused = Some(StatusCode::BadIdentityTokenRejected);
    for who in ["bob", "sue"] {
        assert_eq!(Hmi::log_in(&house.url, password(who, "oil")).await.err(), refused, "{who}");
    }
    ann.close().await;
    max.close().await;
    house.close().await;
}

#[tokio::test]
async fn who_was_let_in_by_what_is_replaced_meanwhile_gets_no_session() {
    let (shared, house) = House::with_patience(guarded(), std::time::Duration::from_secs(300)).await;
    let admitted = |name: &str, revision: u64| {
        let holder = SessionHolder { user: UserToken(name.to_owned()), address: None, certificate: None };
        shared.users.admit_session(&holder, &[], revision).is_ok()
    };
    let replace = |users: Vec<UserConfig>| {
        shared.users.replace(shared.users.compare(&ServerConfig { users, ..guarded() }).unwrap());
        shared.users.users_revision()
    };
    let first = shared.users.users_revision();
    let another = oil_hash().replace("c29tZXNhbHQ", "b3RoZXJzYWx0");
    let sue = || UserConfig { password_hash: Some(another.clone()), ..user("sue", &[Role::Supervisor]) };
    let max = || UserConfig { locale: Some("de".into()), ..user("max", &[Role::SecurityAdmin]) };
    let second = replace(vec![sue(), max()]);
    // Bob is gone, Sue has another password, and Max speaks another language, with which anybody may log in.
    for (name, before, now) in [("bob", false, false), ("sue", false, true), ("max", true, true)] {
        assert_eq!((admitted(name, first), admitted(name, second)), (before, now), "{name}");
    }
    // Whoever comes back by the same name is somebody else.
    let third = replace(vec![sue(), max(), user("bob", &[Role::Operator])]);
    for (name, expected) in [("bob", [false, false, true]), ("sue", [false, true, true]), ("max", [true, true, true])] {
        assert_eq!([first, second, third].map(|revision| admitted(name, revision)), expected, "{name}");
    }
    assert!(admitted("ANONYMOUS", first));
    house.close().await;
}

/// All of these log-ins, one after another.
async fn futures_of<const N: usize>(hmis: [impl Future<Output = Result<Hmi, StatusCode>>; N]) -> [Hmi; N] {
    let mut all = Vec::new();
    for hmi in hmis {
        all.push(hmi.await.unwrap());
    }
    all.try_into().ok().unwrap()
}
