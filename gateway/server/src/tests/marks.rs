//! What people say of alarms: marked as true or false, on record, counted, and nothing else.

use opcua::client::IdentityToken;
use opcua::types::{ByteString, ContentFilter, LocalizedText, NodeId, ObjectTypeId, StatusCode, Variant};
use watchfire_model::Level;

use super::client::{Hmi, server};
use super::house::{House, guarded, key, oil_high};
use crate::names::own;

const OIL: &str = "hot/high/press/oil";
const MARK: &str = "method:Mark";

fn event(house: &House) -> Variant {
    ByteString::from(house.state(&key(OIL)).event_id(&key(OIL)).bytes().to_vec()).into()
}

fn said(text: &str) -> Variant {
    LocalizedText::new("en", text).into()
}

#[tokio::test]
async fn an_alarm_is_marked_and_counted_for_its_detector_and_its_area() {
    let house = House::open().await;
    house.define(oil_high());
    let hmi = Hmi::connect(&house.url).await;
    let fields = ["+MarkedAs", "Comment", "ActiveState/Id", "AckedState/Id", "Retain"];
    let mut events = hmi.subscribe(server(), &fields, ContentFilter::default()).await;
    assert_eq!(hmi.follow(own(OIL), &["Mark"], false).await, [own(MARK)]);
    let unseen = hmi.call(own(OIL), own(MARK), vec![event(&house), true.into(), said("")]).await;
    assert_eq!(unseen, StatusCode::BadEventIdUnknown, "it was never an alarm");
    house.raise(&key(OIL));
    assert_eq!(events.next().await.text("+MarkedAs"), "");
    for (genuine, mark) in [(false, "false"), (true, "true"), (false, "false")] {
        let arguments = vec![event(&house), genuine.into(), said("the gauge was being cleaned")];
        assert_eq!(hmi.call(own(OIL), own(MARK), arguments).await, StatusCode::Good);
        let told = events.next().await;
        assert_eq!((told.text("+MarkedAs"), told.text("Comment")), (mark.into(), "the gauge was being cleaned".into()));
        let unchanged = (told.get("ActiveState/Id"), told.get("AckedState/Id"), told.get("Retain"));
        assert_eq!(unchanged, (&true.into(), &false.into(), &true.into()), "it changes nothing else");
    }
    // Who watches the counts is told of the next.
    let mut watched = hmi.watch(&[own("detector:hot#MarkedTrue30Days")]).await;
    assert_eq!(watched.next().await.1.value, Some(0_u32.into()));
    for (genuine, count) in [(true, 1_u32), (false, 0)] {
        let arguments = vec![event(&house), genuine.into(), said("looked again")];
        assert_eq!(hmi.call(own(OIL), own(MARK), arguments).await, StatusCode::Good);
        assert_eq!(watched.next().await.1.value, Some(count.into()));
        events.next().await;
    }
    let counts = ["detector:hot#AlarmsIn30Days", "detector:hot#MarkedTrue30Days", "detector:hot#MarkedFalse30Days"];
    for (node, count) in counts.into_iter().zip([1_u32, 0, 1]) {
        assert_eq!(hmi.value(node).await, count.into(), "{node}");
    }
    assert_eq!(hmi.value("area:Hall#Metrics/MarkedFalse30Days").await, 1_u32.into());
    house.find(&key(OIL), Level::Normal, "well again", Vec::new());
    assert_eq!(events.next().await.text("+MarkedAs"), "false", "it is still said of what is over");
    let wrong = vec![event(&house), "no".into(), said("")];
    assert_eq!(hmi.call(own(OIL), own(MARK), wrong).await, StatusCode::BadInvalidArgument);
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn whoever_may_mark_is_set_and_every_mark_is_audited() {
    let house = House::with(guarded()).await;
    house.define(oil_high());
    house.raise(&key(OIL));
    let log_in = async |user: &str| {
        Hmi::log_in(&house.url, IdentityToken::UserName(user.into(), "oil".to_owned().into())).await.unwrap()
    };
    let (ann, bob, max) = (log_in("ann").await, log_in("bob").await, log_in("max").await);
    let fields = ["EventType", "SourceName", "ClientUserId", "StatusCodeId", "ConditionEventId", "Comment"];
    let kind = opcua::types::Operand::literal(NodeId::from(ObjectTypeId::AuditConditionEventType));
    let mut audit =
        max.subscribe(server(), &fields, opcua::types::ContentFilterBuilder::new().of_type(kind).build()).await;
    for (hmi, user, status) in [(&ann, "ann", StatusCode::BadUserAccessDenied), (&bob, "bob", StatusCode::Good)] {
        let seen = event(&house);
        assert_eq!(hmi.call(own(OIL), own(MARK), vec![seen.clone(), false.into(), said("dust")]).await, status);
        let told = audit.next().await;
        assert_eq!(*told.get("EventType"), NodeId::from(ObjectTypeId::AuditConditionEventType).into());
        assert_eq!((told.text("SourceName"), told.text("ClientUserId")), ("Method/Mark".into(), user.into()));
        assert_eq!((told.get("StatusCodeId"), told.get("ConditionEventId")), (&status.into(), &seen));
        assert_eq!(told.text("Comment"), "dust");
    }
    for hmi in [ann, bob, max] {
        hmi.close().await;
    }
    house.close().await;
}
