//! Out of service for a stated time, now or later, by methods of our own.

use opcua::client::IdentityToken;
use opcua::types::{
    AttributeId, ContentFilter, DateTime, LocalizedText, MethodId, NodeClass, NodeId, ObjectTypeId, StatusCode, Variant,
};
use watchfire_ua::date_time_from_instant;

use super::client::{Hmi, server};
use super::house::{House, NOON, guarded, key, oil_high};
use crate::names::own;

const OIL: &str = "hot/high/press/oil";
const FOR: &str = "method:RemoveFromServiceFor";
const PLAN: &str = "method:PlanRemovalFromService";

fn said(text: &str) -> Variant {
    LocalizedText::new("en", text).into()
}

fn at(s: u64) -> Variant {
    date_time_from_instant(NOON.plus(std::time::Duration::from_secs(s))).0.into()
}

async fn password(house: &House, user: &str) -> Hmi {
    Hmi::log_in(&house.url, IdentityToken::UserName(user.into(), "oil".to_owned().into())).await.unwrap()
}

#[tokio::test]
async fn an_alarm_is_taken_out_of_service_for_a_time_and_says_until_when() {
    let house = House::open().await;
    house.define(oil_high());
    let hmi = Hmi::connect(&house.url).await;
    let fields = ["OutOfServiceState/Id", "+OutOfServiceUntil", "+OutOfServiceFrom", "SuppressedOrShelved", "Comment"];
    let mut events = hmi.subscribe(server(), &fields, ContentFilter::default()).await;
    let found = hmi.follow(own(OIL), &["RemoveFromServiceFor"], false).await;
    assert_eq!(found, [own(FOR)], "it is found by its browse path");
    let class = hmi.attribute(own(FOR), AttributeId::NodeClass).await.value;
    assert_eq!(class, Some((NodeClass::Method as i32).into()));
    let Variant::Array(arguments) = hmi.value(&format!("{FOR}#InputArguments")).await else { panic!("no arguments") };
    assert_eq!(arguments.values.len(), 2);
    let none: Variant = DateTime::null().into();
    assert_eq!(hmi.value(&format!("{OIL}#OutOfServiceUntil")).await, none);

    assert_eq!(hmi.call(own(OIL), own(FOR), vec![3_600_000.0.into(), said("new seal")]).await, StatusCode::Good);
    let event = events.next().await;
    assert_eq!(*event.get("OutOfServiceState/Id"), true.into());
    assert_eq!((event.get("+OutOfServiceFrom"), event.get("+OutOfServiceUntil")), (&at(0), &at(3600)));
    assert_eq!((event.get("SuppressedOrShelved"), event.text("Comment")), (&true.into(), "new seal".to_owned()));
    assert_eq!(hmi.value(&format!("{OIL}#OutOfServiceUntil")).await, at(3600));
    assert_eq!(hmi.call(own(OIL), MethodId::AlarmConditionType_PlaceInService, vec![]).await, StatusCode::Good);
    assert_eq!(*events.next().await.get("+OutOfServiceUntil"), none);

    let plan = vec![at(60), 60_000.0.into(), said("later")];
    assert_eq!(hmi.call(own(OIL), own(PLAN), plan).await, StatusCode::Good);
    let event = events.next().await;
    assert_eq!(*event.get("OutOfServiceState/Id"), false.into());
    assert_eq!((event.get("+OutOfServiceFrom"), event.get("+OutOfServiceUntil")), (&at(60), &at(120)));
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn a_time_out_of_service_is_refused_with_its_reason() {
    use StatusCode as S;
    let house = House::open().await;
    house.define(oil_high());
    let hmi = Hmi::connect(&house.url).await;
    let hour: Variant = 3_600_000.0.into();
    for (object, method, arguments, status) in [
        (OIL, FOR, vec![hour.clone()], S::BadArgumentsMissing),
        (OIL, FOR, vec![said("first"), hour.clone()], S::BadInvalidArgument),
        (OIL, FOR, vec![0.0.into(), said("")], S::BadOutOfRange),
        (OIL, FOR, vec![f64::INFINITY.into(), said("")], S::BadOutOfRange),
        (OIL, PLAN, vec![at(0).clone(), hour.clone()], S::BadArgumentsMissing),
        (OIL, PLAN, vec!["noon".into(), hour.clone(), said("")], S::BadInvalidArgument),
        (OIL, PLAN, vec![at(0), 0.0.into(), said("")], S::BadOutOfRange),
        (OIL, PLAN, vec![at(400 * 86_400), hour.clone(), said("")], S::BadOutOfRange),
        ("hot/high/press/none", FOR, vec![hour.clone(), said("")], S::BadNodeIdUnknown),
        ("area:Hall", FOR, vec![hour.clone(), said("")], S::BadMethodInvalid),
        (OIL, "method:None", vec![], S::BadMethodInvalid),
    ] {
        assert_eq!(
            hmi.call(own(object), own(method), arguments.clone()).await,
            status,
            "{object} {method} {arguments:?}"
        );
    }
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn whoever_may_take_out_of_service_may_state_a_time_and_it_is_audited() {
    let house = House::with(guarded()).await;
    house.define(oil_high());
    let (bob, sue, max) = (password(&house, "bob").await, password(&house, "sue").await, password(&house, "max").await);
    let fields = ["EventType", "SourceName", "ClientUserId", "StatusCodeId", "Comment", "ShelvingTime", "MethodId"];
    let kind = opcua::types::Operand::literal(NodeId::from(ObjectTypeId::AuditConditionEventType));
    let filter = opcua::types::ContentFilterBuilder::new().of_type(kind).build();
    let mut audit = max.subscribe(server(), &fields, filter).await;
    for (hmi, user, status) in [(&bob, "bob", StatusCode::BadUserAccessDenied), (&sue, "sue", StatusCode::Good)] {
        let executable = hmi.attribute(own(FOR), AttributeId::UserExecutable).await.value;
        assert_eq!(executable, Some(status.is_good().into()), "{user}");
        assert_eq!(hmi.call(own(OIL), own(FOR), vec![60_000.0.into(), said("new seal")]).await, status, "{user}");
        let told = audit.next().await;
        assert_eq!(*told.get("EventType"), NodeId::from(ObjectTypeId::AuditConditionOutOfServiceEventType).into());
        assert_eq!(told.text("SourceName"), "Method/RemoveFromServiceFor");
        assert_eq!((told.text("ClientUserId"), told.text("Comment")), (user.to_owned(), "new seal".to_owned()));
        assert_eq!((told.get("StatusCodeId"), told.get("MethodId")), (&status.into(), &own(FOR).into()));
        assert_eq!(*told.get("ShelvingTime"), Variant::Empty, "nothing was shelved");
    }
    assert!(house.state(&key(OIL)).out_of_service.value);
    for hmi in [bob, sue, max] {
        hmi.close().await;
    }
    house.close().await;
}
