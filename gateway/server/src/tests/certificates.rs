//! The alarm that tells of certificates that run out.

use std::time::Duration;

use opcua::types::{ByteString, ContentFilterBuilder, NodeId, ObjectTypeId, Operand, Variant};
use watchfire_alarms::{AlarmType, ConditionClass, ConditionDef};
use watchfire_model::{Instant, Level};
use watchfire_pipeline::{CertificatePurpose, EndingCertificate};

use super::client::{Hmi, server};
use super::house::{House, NOON, key, odd};
use crate::names::own;

const CERTIFICATES: &str = "gateway/certificates";

fn ending(purpose: CertificatePurpose, until: Instant) -> EndingCertificate {
    EndingCertificate { until, purpose, der: vec![0x30, 0x82, 1, 2], warning: Duration::from_secs(30 * 86_400) }
}

#[tokio::test]
async fn p9_5_8_24_7_the_alarm_of_certificates_says_which_ends_first_and_when() {
    let house = House::open().await;
    let alarm_type = AlarmType::CertificateExpiration;
    house.define(ConditionDef { key: key(CERTIFICATES), alarm_type, class: ConditionClass::System, ..odd() });
    let hmi = Hmi::connect(&house.url).await;
    let mut changes = hmi.watch(&[own("gateway/certificates#ExpirationDate")]).await;
    assert_eq!(changes.next().await.1.value.unwrap_or_default(), Variant::Empty, "nobody has looked yet");
    let monday: Variant = watchfire_ua::date_time_from_instant(NOON).0.into();
    house.first_to_end.set(Some(ending(CertificatePurpose::Own, NOON)));
    assert_eq!(changes.next().await.1.value, Some(monday.clone()), "it is told without an alarm");

    let fields = ["EventType", "ExpirationDate", "ExpirationLimit", "CertificateType", "Certificate", "NormalState"];
    // It is a system off-normal alarm as well.
    let base = NodeId::from(ObjectTypeId::SystemOffNormalAlarmType);
    let off_normal = ContentFilterBuilder::new().of_type(Operand::literal(base)).build();
    let mut events = hmi.subscribe(server(), &fields, off_normal).await;
    house.find(&key(CERTIFICATES), Level::Active, "the gateway's own certificate expires", Vec::new());
    let event = events.next().await;
    let id = |id: ObjectTypeId| Variant::from(NodeId::from(id));
    assert_eq!(*event.get("EventType"), id(ObjectTypeId::CertificateExpirationAlarmType));
    assert_eq!(*event.get("ExpirationDate"), monday);
    assert_eq!(*event.get("ExpirationLimit"), (30.0 * 86_400_000.0).into());
    assert_eq!(*event.get("CertificateType"), id(ObjectTypeId::RsaSha256ApplicationCertificateType));
    assert_eq!(*event.get("Certificate"), ByteString::from(vec![0x30, 0x82, 1, 2]).into());
    assert_eq!(*event.get("NormalState"), NodeId::null().into());

    house.first_to_end.set(Some(ending(CertificatePurpose::User, NOON)));
    let kind = hmi.value("gateway/certificates#CertificateType").await;
    assert_eq!(kind, id(ObjectTypeId::UserCredentialCertificateType));
    hmi.close().await;
    house.close().await;
}
