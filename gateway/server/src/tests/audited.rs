//! One test for each audit event of OPC 10000-9 §5.10: what was carried out is told, and what was refused.

use std::sync::Arc;

use opcua::client::IdentityToken;
use opcua::types::{
    ByteString, ContentFilterBuilder, LocalizedText, MethodId as M, NodeId, ObjectTypeId, Operand, StatusCode, Variant,
};
use watchfire_alarms::{ConditionDef, Rules};
use watchfire_model::Level;

use super::client::{Events, Hmi, Seen, server};
use super::house::{House, guarded, key, oil_high};
use crate::names::own;

const OIL: &str = "hot/high/press/oil";
const FIELDS: [&str; 8] = [
    "EventType",
    "SourceNode",
    "ClientUserId",
    "Status",
    "StatusCodeId",
    "ConditionEventId",
    "Comment",
    "ShelvingTime",
];

/// An alarm that has every method, what is done to it, and who sees that.
struct Office {
    house: House,
    max: Hmi,
    sue: Hmi,
    audit: Events,
}

impl Office {
    async fn open() -> Self {
        let house = House::with(guarded()).await;
        house.define(ConditionDef { rules: Arc::new(Rules { latch: true, ..Rules::default() }), ..oil_high() });
        house.raise(&key(OIL));
        let user = |name: &str| IdentityToken::UserName(name.into(), "oil".to_owned().into());
        let max = Hmi::log_in(&house.url, user("max")).await.unwrap();
        let sue = Hmi::log_in(&house.url, user("sue")).await.unwrap();
        let of = NodeId::from(ObjectTypeId::AuditConditionEventType);
        let filter = ContentFilterBuilder::new().of_type(Operand::literal(of)).build();
        let audit = max.subscribe(server(), &FIELDS, filter).await;
        Self { house, max, sue, audit }
    }

    fn newest(&self) -> Variant {
        ByteString::from(self.house.state(&key(OIL)).event_id(&key(OIL)).bytes().to_vec()).into()
    }

    /// Calls a method; its audit event is of this type, and says whether it was carried out.
    async fn calls(&mut self, method: M, arguments: Vec<Variant>, kind: ObjectTypeId, status: StatusCode) -> Seen {
        assert_eq!(self.sue.call(own(OIL), method, arguments).await, status, "{method:?}");
        let told = self.audit.next().await;
        assert_eq!(*told.get("EventType"), NodeId::from(kind).into(), "{method:?}");
        assert_eq!((told.get("SourceNode"), told.get("StatusCodeId")), (&own(OIL).into(), &status.into()));
        assert_eq!(*told.get("Status"), status.is_good().into(), "{method:?}");
        assert_eq!(told.text("ClientUserId"), "sue");
        told
    }

    async fn close(self) {
        self.sue.close().await;
        self.max.close().await;
        self.house.close().await;
    }
}

fn why() -> Variant {
    LocalizedText::new("en", "why").into()
}

/// A method that is carried out, and what its event has beside that.
async fn is_audited(method: M, arguments: Vec<Variant>, kind: ObjectTypeId, has: &[(&str, Variant)]) {
    let mut office = Office::open().await;
    let told = office.calls(method, arguments, kind, StatusCode::Good).await;
    for (field, value) in has {
        assert_eq!(told.get(field), value, "{method:?} {field}");
    }
    office.close().await;
}

/// The same, of a method that means an event.
async fn of_an_event_is_audited(method: M, kind: ObjectTypeId) {
    let mut office = Office::open().await;
    let event = office.newest();
    let told = office.calls(method, vec![event.clone(), why()], kind, StatusCode::Good).await;
    assert_eq!((told.get("ConditionEventId"), told.get("Comment")), (&event, &why()), "{method:?}");
    office.close().await;
}

#[tokio::test]
async fn p9_5_10_3_enabling_is_audited() {
    is_audited(M::ConditionType_Disable, vec![], ObjectTypeId::AuditConditionEnableEventType, &[]).await;
}

#[tokio::test]
async fn p9_5_10_4_a_comment_is_audited() {
    of_an_event_is_audited(M::ConditionType_AddComment, ObjectTypeId::AuditConditionCommentEventType).await;
}

#[tokio::test]
async fn p9_5_10_6_an_acknowledgement_is_audited() {
    let acknowledge = M::AcknowledgeableConditionType_Acknowledge;
    of_an_event_is_audited(acknowledge, ObjectTypeId::AuditConditionAcknowledgeEventType).await;
}

#[tokio::test]
async fn p9_5_10_7_a_confirmation_is_audited() {
    let (confirm, kind) = (M::AcknowledgeableConditionType_Confirm, ObjectTypeId::AuditConditionConfirmEventType);
    let acknowledge = M::AcknowledgeableConditionType_Acknowledge;
    let mut office = Office::open().await;
    let raised = office.newest();
    // Nothing waits for a confirmation before it is acknowledged, nor after it.
    let nothing_waits = StatusCode::BadConditionBranchAlreadyConfirmed;
    let early = office.calls(confirm, vec![raised.clone(), why()], kind, nothing_waits).await;
    assert_eq!(*early.get("ConditionEventId"), raised);
    let of_acknowledging = ObjectTypeId::AuditConditionAcknowledgeEventType;
    office.calls(acknowledge, vec![raised, Variant::Empty], of_acknowledging, StatusCode::Good).await;
    let acknowledged = office.newest();
    let told = office.calls(confirm, vec![acknowledged.clone(), why()], kind, StatusCode::Good).await;
    assert_eq!((told.get("ConditionEventId"), told.get("Comment")), (&acknowledged, &why()));
    office.calls(confirm, vec![acknowledged, why()], kind, nothing_waits).await;
    office.close().await;
}

#[tokio::test]
async fn p9_5_10_8_shelving_is_audited() {
    let kind = ObjectTypeId::AuditConditionShelvingEventType;
    let no_time = [("ShelvingTime", Variant::Empty)];
    is_audited(M::AlarmConditionType_ShelvingState_OneShotShelve, vec![], kind, &no_time).await;
    let timed = M::AlarmConditionType_ShelvingState_TimedShelve;
    is_audited(timed, vec![90_000.0.into()], kind, &[("ShelvingTime", 90_000.0.into())]).await;
}

#[tokio::test]
async fn p9_5_10_9_suppression_is_audited() {
    is_audited(M::AlarmConditionType_Suppress, vec![], ObjectTypeId::AuditConditionSuppressionEventType, &[]).await;
}

#[tokio::test]
async fn p9_5_10_10_silencing_is_audited() {
    is_audited(M::AlarmConditionType_Silence, vec![], ObjectTypeId::AuditConditionSilenceEventType, &[]).await;
}

#[tokio::test]
async fn p9_5_10_11_a_reset_is_audited() {
    let (reset, kind) = (M::AlarmConditionType_Reset, ObjectTypeId::AuditConditionResetEventType);
    let mut office = Office::open().await;
    office.calls(reset, vec![], kind, StatusCode::BadInvalidState).await;
    office.house.find(&key(OIL), Level::Normal, "well again", Vec::new());
    for (method, kind) in [
        (M::AcknowledgeableConditionType_Acknowledge, ObjectTypeId::AuditConditionAcknowledgeEventType),
        (M::AcknowledgeableConditionType_Confirm, ObjectTypeId::AuditConditionConfirmEventType),
    ] {
        let event = office.newest();
        office.calls(method, vec![event, Variant::Empty], kind, StatusCode::Good).await;
    }
    office.calls(reset, vec![], kind, StatusCode::Good).await;
    assert!(!office.house.state(&key(OIL)).latched.value);
    office.close().await;
}

#[tokio::test]
async fn p9_5_10_12_service_is_audited() {
    let kind = ObjectTypeId::AuditConditionOutOfServiceEventType;
    is_audited(M::AlarmConditionType_RemoveFromService, vec![], kind, &[]).await;
}
