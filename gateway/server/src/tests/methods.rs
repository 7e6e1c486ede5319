//! What an operator can do, and what is refused and why.

use opcua::client::IdentityToken;
use opcua::types::{
    AttributeId, ByteString, ContentFilter, LocalizedText, MethodId, NodeId, ObjectId, ObjectTypeId, StatusCode,
    Variant,
};
use watchfire_alarms::ConditionDef;
use watchfire_model::Level;

use super::client::{Hmi, PATIENCE, server};
use super::house::{House, guarded, key, odd, oil_high};
use crate::names::own;

const ACKNOWLEDGE: MethodId = MethodId::AcknowledgeableConditionType_Acknowledge;
const CONFIRM: MethodId = MethodId::AcknowledgeableConditionType_Confirm;
const COMMENT: MethodId = MethodId::ConditionType_AddComment;
const ENABLE: MethodId = MethodId::ConditionType_Enable;
const DISABLE: MethodId = MethodId::ConditionType_Disable;

const OIL: &str = "hot/high/press/oil";
/// What is written to acknowledge without a method, and what is read for it.
const REQUESTS: [[&str; 2]; 2] = [["AcknowledgeRequest", "EventId"], ["AcknowledgeRequestText", "EventIdText"]];

fn event_id(house: &House, condition: &str) -> Variant {
    ByteString::from(house.state(&key(condition)).event_id(&key(condition)).bytes().to_vec()).into()
}

fn comment(text: &str) -> Variant {
    LocalizedText::new("de", text).into()
}

/// A house in which the oil pressure is too high, and an HMI that has seen it.
async fn alarmed() -> (House, Hmi) {
    let house = House::open().await;
    house.define(oil_high());
    house.define(odd());
    let hmi = Hmi::connect(&house.url).await;
    let mut events = hmi.subscribe(server(), &["EventId"], ContentFilter::default()).await;
    house.raise(&key(OIL));
    assert_eq!(*events.next().await.get("EventId"), event_id(&house, OIL));
    (house, hmi)
}

#[tokio::test]
async fn p9_5_5_6_and_5_7_3_and_5_7_4_an_alarm_is_commented_acknowledged_and_confirmed() {
    let (house, hmi) = alarmed().await;
    let fields = ["EventId", "AckedState/Id", "ConfirmedState/Id", "Comment", "ClientUserId", "Retain"];
    let mut events = hmi.subscribe(server(), &fields, ContentFilter::default()).await;
    let raised = event_id(&house, OIL);
    let steps = [
        (COMMENT, "looking", (false, true, true)),
        (ACKNOWLEDGE, "seen", (true, false, true)),
        (CONFIRM, "", (true, true, true)),
    ];
    for (method, said, (acked, confirmed, retained)) in steps {
        let said = if said.is_empty() { LocalizedText::null().into() } else { comment(said) };
        // Earlier EventIds of the occurrence stay valid.
        assert_eq!(hmi.call(own(OIL), method, vec![raised.clone(), said]).await, StatusCode::Good, "{method:?}");
        let event = events.next().await;
        assert_eq!(*event.get("EventId"), event_id(&house, OIL));
        assert_ne!(*event.get("EventId"), raised);
        assert_eq!(*event.get("AckedState/Id"), acked.into());
        assert_eq!(*event.get("ConfirmedState/Id"), confirmed.into());
        assert_eq!(*event.get("Retain"), retained.into());
        assert_eq!(event.text("ClientUserId"), "anonymous");
    }
    let state = house.state(&key(OIL));
    assert_eq!((state.comment.value.text.as_str(), state.comment.value.locale.as_str()), ("seen", "de"));
    house.find(&key(OIL), Level::Normal, "well again", Vec::new());
    assert_eq!(*events.next().await.get("Retain"), false.into());
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn p9_5_5_4_and_5_5_5_an_alarm_is_disabled_and_enabled() {
    let (house, hmi) = alarmed().await;
    let fields = ["EnabledState/Id", "Retain"];
    let mut events = hmi.subscribe(server(), &fields, ContentFilter::default()).await;
    for (method, status, enabled) in [
        (ENABLE, StatusCode::BadConditionAlreadyEnabled, true),
        (DISABLE, StatusCode::Good, false),
        (DISABLE, StatusCode::BadConditionAlreadyDisabled, false),
    ] {
        assert_eq!(hmi.call(own(OIL), method, Vec::new()).await, status);
        assert_eq!(house.state(&key(OIL)).enabled.value, enabled);
    }
    let event = events.next().await;
    assert_eq!((event.get("EnabledState/Id"), event.get("Retain")), (&false.into(), &false.into()));
    assert_eq!(hmi.read(own("hot/high/press/oil#ActiveState/Id")).await.status(), StatusCode::BadConditionDisabled);
    assert_eq!(hmi.read(own("hot/high/press/oil#EnabledState/Id")).await.status(), StatusCode::Good);
    assert_eq!(hmi.value("area:Hall#ActiveCount").await, 0_u32.into());
    let seen = vec![event_id(&house, OIL), comment("seen")];
    assert_eq!(hmi.call(own(OIL), ACKNOWLEDGE, seen).await, StatusCode::BadConditionDisabled);
    assert_eq!(hmi.call(own(OIL), ENABLE, Vec::new()).await, StatusCode::Good);
    let event = events.next().await;
    assert_eq!((event.get("EnabledState/Id"), event.get("Retain")), (&true.into(), &true.into()));
    assert_eq!(hmi.value("area:Hall#ActiveCount").await, 1_u32.into());
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn p9_5_13_every_refusal_says_why() {
    use StatusCode as S;
    let (house, hmi) = alarmed().await;
    let id = event_id(&house, OIL);
    let good = || vec![id.clone(), comment("seen")];
    let unknown: Variant = ByteString::from(vec![1_u8; 16]).into();
    let null: Variant = LocalizedText::null().into();
    let long = comment(&"x".repeat(5000));
    let oil = || own(OIL);
    let base: NodeId = ObjectTypeId::AlarmConditionType.into();
    let cases: Vec<(NodeId, MethodId, Vec<Variant>, StatusCode)> = vec![
        (oil(), ACKNOWLEDGE, Vec::new(), S::BadArgumentsMissing),
        (oil(), ACKNOWLEDGE, vec![id.clone()], S::BadArgumentsMissing),
        (oil(), ACKNOWLEDGE, vec![id.clone(), comment(""), 1_u32.into()], S::BadTooManyArguments),
        (oil(), ACKNOWLEDGE, vec![1_u32.into(), comment("seen")], S::BadInvalidArgument),
        (oil(), ACKNOWLEDGE, vec![id.clone(), "seen".into()], S::BadInvalidArgument),
        (oil(), ACKNOWLEDGE, vec![unknown.clone(), comment("seen")], S::BadEventIdUnknown),
        (oil(), CONFIRM, vec![unknown.clone(), comment("seen")], S::BadEventIdUnknown),
        (oil(), COMMENT, vec![unknown, comment("seen")], S::BadEventIdUnknown),
        (oil(), ACKNOWLEDGE, vec![Variant::Empty, comment("seen")], S::BadEventIdUnknown),
        (oil(), ACKNOWLEDGE, vec![id.clone(), long.clone()], S::BadInvalidArgument),
        (oil(), COMMENT, vec![id.clone(), long], S::BadInvalidArgument),
        (oil(), COMMENT, vec![id.clone(), null.clone()], S::BadInvalidArgument),
        (oil(), CONFIRM, good(), S::BadConditionBranchAlreadyConfirmed),
        (oil(), ENABLE, vec![1_u32.into()], S::BadTooManyArguments),
        // A type, an area, a variable, nothing at all where an instance must stand.
        (base.clone(), ACKNOWLEDGE, good(), S::BadNodeIdInvalid),
        (own("StatisticalAlarmType"), ACKNOWLEDGE, good(), S::BadNodeIdInvalid),
        (ObjectTypeId::ConditionType.into(), DISABLE, Vec::new(), S::BadNodeIdInvalid),
        (own("area:Hall"), ACKNOWLEDGE, good(), S::BadMethodInvalid),
        (NodeId::null(), ACKNOWLEDGE, good(), S::BadNodeIdInvalid),
        (own("hot/high/press/oil#AckedState"), ACKNOWLEDGE, good(), S::BadMethodInvalid),
        (ObjectId::Server.into(), ACKNOWLEDGE, good(), S::BadMethodInvalid),
        (own("no/such"), ACKNOWLEDGE, good(), S::BadNodeIdUnknown),
        (NodeId::new(9, 1_u32), ACKNOWLEDGE, good(), S::BadNodeIdUnknown),
        (NodeId::new(0, 4_000_000_000_u32), ACKNOWLEDGE, good(), S::BadNodeIdUnknown),
        // A method that conditions do not have.
        (oil(), MethodId::Server_GetMonitoredItems, vec![1_u32.into()], S::BadMethodInvalid),
        (oil(), MethodId::ConditionType_ConditionRefresh, vec![1_u32.into()], S::BadMethodInvalid),
        // With a null comment an acknowledgement is as good as with any, but only once.
        (oil(), ACKNOWLEDGE, vec![id.clone(), null], S::Good),
        (oil(), ACKNOWLEDGE, good(), S::BadConditionBranchAlreadyAcked),
        (oil(), CONFIRM, vec![id.clone(), Variant::Empty], S::Good),
        (oil(), CONFIRM, good(), S::BadConditionBranchAlreadyConfirmed),
    ];
    for (at, (object, method, arguments, status)) in cases.into_iter().enumerate() {
        assert_eq!(hmi.call(object.clone(), method, arguments).await, status, "case {at}: {object} {method:?}");
    }
    assert_eq!(hmi.call(oil(), own("no/such/method"), Vec::new()).await, S::BadMethodInvalid);
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn calls_of_one_request_are_answered_in_their_places() {
    let (house, hmi) = alarmed().await;
    let call = |object: NodeId, method: MethodId, arguments: Vec<Variant>| {
        opcua::types::CallMethodRequest::from((object, NodeId::from(method), Some(arguments)))
    };
    let id = event_id(&house, OIL);
    let answers = hmi
        .session
        .call(vec![
            call(own("no/such"), ACKNOWLEDGE, vec![id.clone(), comment("")]),
            call(ObjectId::Server.into(), MethodId::Server_GetMonitoredItems, vec![77_u32.into()]),
            call(own(OIL), ACKNOWLEDGE, vec![id, comment("")]),
        ])
        .await
        .unwrap();
    let statuses: Vec<StatusCode> = answers.iter().map(|answer| answer.status_code).collect();
    assert_eq!(statuses, [StatusCode::BadNodeIdUnknown, StatusCode::BadSubscriptionIdInvalid, StatusCode::Good]);
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn a_client_that_knows_no_alarms_acknowledges_by_writing_what_it_saw() {
    let (house, hmi) = alarmed().await;
    let request = || own("hot/high/press/oil#Values/AcknowledgeRequest");
    let seen = hmi.value("hot/high/press/oil#Values/EventId").await;
    assert_eq!(hmi.write(request(), 7_u32).await, StatusCode::BadTypeMismatch);
    assert_eq!(hmi.write(request(), ByteString::from(vec![7_u8; 16])).await, StatusCode::BadEventIdUnknown);
    assert_eq!(hmi.write(request(), ByteString::null()).await, StatusCode::BadEventIdUnknown);
    assert!(!house.state(&key(OIL)).acked.value);
    assert_eq!(hmi.write(request(), seen.clone()).await, StatusCode::Good);
    assert!(house.state(&key(OIL)).acked.value, "good is said when it is done");
    assert_eq!(hmi.write(request(), seen).await, StatusCode::BadConditionBranchAlreadyAcked);
    assert_eq!(
        hmi.write(own("hot/high/press/oil#Values/EventId"), ByteString::null()).await,
        StatusCode::BadNotWritable
    );
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn a_client_that_knows_no_alarms_is_led_to_what_was_left_unacknowledged_before() {
    let (house, hmi) = alarmed().await;
    house.find(&key(OIL), Level::Normal, "well again", Vec::new());
    house.raise(&key(OIL));
    assert_eq!(house.state(&key(OIL)).branches.len(), 1, "the first was left behind");
    let values = async |name: &str| hmi.value(&format!("{OIL}#Values/{name}")).await;
    let left = house.state(&key(OIL)).branches[0].event_id(&key(OIL));
    let left: Variant = ByteString::from(left.bytes().to_vec()).into();
    // The one that stands, then the one that was left behind: nothing else is shown, once all has been told.
    for (asked_for, first) in [(event_id(&house, OIL), true), (left, false)] {
        let shown = async {
            while values("EventId").await != asked_for || values("Acknowledged").await != false.into() {
                tokio::task::yield_now().await;
            }
        };
        let shown = tokio::time::timeout(PATIENCE, shown).await;
        assert!(shown.is_ok(), "{} instead, for the one that stands: {first}", values("EventId").await);
        assert_eq!(hmi.value("area:Hall#UnacknowledgedCount").await, 1_u32.into());
        let request = own(&format!("{OIL}#Values/AcknowledgeRequest"));
        assert_eq!(hmi.write(request, asked_for).await, StatusCode::Good);
    }
    while values("Acknowledged").await != true.into() {
        tokio::task::yield_now().await;
    }
    assert_eq!(hmi.value("area:Hall#UnacknowledgedCount").await, 0_u32.into());
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn who_may_only_look_changes_nothing() {
    let house = House::with(guarded()).await;
    house.define(oil_high());
    let bob = Hmi::log_in(&house.url, IdentityToken::UserName("bob".into(), "oil".to_owned().into())).await.unwrap();
    let mut events = bob.subscribe(server(), &["ClientUserId"], ContentFilter::default()).await;
    house.raise(&key(OIL));
    events.next().await;
    let ann = IdentityToken::UserName("ann".into(), "oil".to_owned().into());
    for who in [IdentityToken::Anonymous, ann] {
        let looking = Hmi::log_in(&house.url, who).await.unwrap();
        for (method, arguments) in [
            (ACKNOWLEDGE, vec![event_id(&house, OIL), comment("")]),
            (CONFIRM, vec![event_id(&house, OIL), comment("")]),
            (COMMENT, vec![event_id(&house, OIL), comment("x")]),
            (ENABLE, Vec::new()),
            (DISABLE, Vec::new()),
        ] {
            assert_eq!(looking.call(own(OIL), method, arguments).await, StatusCode::BadUserAccessDenied, "{method:?}");
        }
        for [request, seen] in REQUESTS {
            let request = own(&format!("{OIL}#Values/{request}"));
            let seen = looking.value(&format!("{OIL}#Values/{seen}")).await;
            assert_eq!(looking.write(request.clone(), seen).await, StatusCode::BadUserAccessDenied);
            let access = looking.attribute(request.clone(), AttributeId::UserAccessLevel).await.value;
            assert_eq!(access, Some(1_u8.into()), "it can be read");
        }
        let executable = looking.attribute(NodeId::from(ACKNOWLEDGE), AttributeId::UserExecutable).await.value;
        assert_eq!(executable, Some(false.into()));
        // The alarm list is for everybody.
        let mut list = looking.subscribe(server(), &["ConditionId"], ContentFilter::default()).await;
        let refresh = MethodId::ConditionType_ConditionRefresh;
        let condition_type: NodeId = ObjectTypeId::ConditionType.into();
        assert_eq!(looking.call(condition_type, refresh, vec![list.subscription.into()]).await, StatusCode::Good);
        list.next().await;
        assert_eq!(*list.next().await.get("ConditionId"), own(OIL).into());
        looking.close().await;
    }
    assert!(!house.state(&key(OIL)).acked.value);
    for [request, _] in REQUESTS {
        let request = own(&format!("{OIL}#Values/{request}"));
        assert_eq!(bob.attribute(request, AttributeId::UserAccessLevel).await.value, Some(3_u8.into()));
    }
    let seen = vec![event_id(&house, OIL), comment("seen")];
    assert_eq!(bob.call(own(OIL), ACKNOWLEDGE, seen).await, StatusCode::Good);
    assert_eq!(events.next().await.text("ClientUserId"), "bob");
    bob.close().await;
    house.close().await;
}

/// An acknowledgement is not answered before it is durable, and not at all by a gateway that is stopping.
#[tokio::test]
async fn a_command_that_nobody_takes_is_refused_as_busy() {
    let (house, hmi) = alarmed().await;
    house.close_annunciator().await;
    let seen = vec![event_id(&house, OIL), comment("seen")];
    assert_eq!(hmi.call(own(OIL), ACKNOWLEDGE, seen).await, StatusCode::BadTooManyOperations);
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn p9_5_7_2_the_confirmation_that_nobody_asks_for_is_there_already() {
    let house = House::open().await;
    house.define(ConditionDef { confirm: false, ..oil_high() });
    let hmi = Hmi::connect(&house.url).await;
    let mut events = hmi.subscribe(server(), &["Retain"], ContentFilter::default()).await;
    house.raise(&key(OIL));
    events.next().await;
    let seen = vec![event_id(&house, OIL), comment("seen")];
    assert_eq!(hmi.call(own(OIL), ACKNOWLEDGE, seen.clone()).await, StatusCode::Good);
    assert_eq!(hmi.call(own(OIL), CONFIRM, seen).await, StatusCode::BadConditionBranchAlreadyConfirmed);
    hmi.close().await;
    house.close().await;
}
