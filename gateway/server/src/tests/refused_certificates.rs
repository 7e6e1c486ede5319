//! Certificates that let nobody in, each told as what is the matter with it (OPC 10000-4 §6.1.3, OPC 10000-5 §6.4).

#[path = "../../../ua/src/pki/tests/made.rs"]
#[allow(dead_code, reason = "the other room needs more of it")]
mod made;

use std::fs;

use opcua::client::IdentityToken;
use opcua::crypto::{PrivateKey, X509};
use opcua::types::{
    ByteString, ContentFilterBuilder, MessageSecurityMode, NodeId, ObjectId, ObjectTypeId, Operand, StatusCode,
    UAString, Variant,
};
use rsa::RsaPrivateKey;
use rsa::pkcs8::{EncodePrivateKey, LineEnding};
use rsa::rand_core::OsRng;
use tempfile::TempDir;
use watchfire_config::{Role, Security, ServerConfig, ShownCertificate, UserConfig};
use watchfire_model::{Clock, SystemClock};
use watchfire_ua::{Certificate, RevocationList, Shelf};

use super::client::{Events, Hmi, Seen, server};
use super::house::{House, guarded, user};
use made::{Made, Maker};

const FIELDS: [&str; 10] = [
    "EventType",
    "SourceNode",
    "SourceName",
    "Message",
    "Severity",
    "Status",
    "StatusCodeId",
    "Certificate",
    "InvalidUri",
    "InvalidHostname",
];
/// What every client of these tests says that it is.
const APPLICATION: &str = "urn:test:hmi";
const DAY_S: i64 = 86_400;

/// Seconds since 1970 so many days from now, by the machine's clock: a server whose messages are secured has no other.
fn day(days: i64) -> i64 {
    SystemClock.now().ns() / 1_000_000_000 + days * DAY_S
}

/// A folder of an application with this certificate and key.
fn folder_with(certificate: &Certificate, key: &RsaPrivateKey) -> TempDir {
    let folder = TempDir::new().unwrap();
    for place in ["own", "private"] {
        fs::create_dir(folder.path().join(place)).unwrap();
    }
    fs::write(folder.path().join("own/cert.der"), certificate.der()).unwrap();
    let pem = key.to_pkcs8_pem(LineEnding::LF).unwrap();
    fs::write(folder.path().join("private/private.pem"), pem.as_bytes()).unwrap();
    folder
}

fn check(told: &Seen, certificate: &Certificate, kind: ObjectTypeId, status: StatusCode) {
    assert_eq!(*told.get("EventType"), NodeId::from(kind).into(), "{status}");
    assert_eq!(*told.get("StatusCodeId"), status.into());
    assert_eq!(*told.get("Status"), false.into(), "{status}");
    assert_eq!(*told.get("SourceNode"), NodeId::from(ObjectId::Server).into(), "{status}");
    assert_eq!(told.text("SourceName"), "Security/Certificate", "{status}");
    assert_eq!(*told.get("Certificate"), ByteString::from(certificate.der().to_vec()).into(), "{status}");
    assert_eq!(*told.get("InvalidHostname"), Variant::Empty, "{status}: a client is asked for no host");
    let Variant::UInt16(severity) = told.get("Severity") else { panic!("{status}") };
    assert!(*severity > 333, "{status}: what was refused weighs more");
}

async fn watched(config: ServerConfig) -> (House, Hmi, Events) {
    let both = vec![Security::None, Security::Basic256Sha256];
    let house = House::with(ServerConfig { security: both, ..config }).await;
    let password = IdentityToken::UserName("max".into(), "oil".to_owned().into());
    let max = Hmi::log_in(&house.url, password).await.unwrap();
    let kind = Operand::literal(NodeId::from(ObjectTypeId::AuditCertificateEventType));
    let events = max.subscribe(server(), &FIELDS, ContentFilterBuilder::new().of_type(kind).build()).await;
    (house, max, events)
}

#[tokio::test]
async fn p5_6_4_each_defect_of_a_clients_certificate_is_told_to_whoever_watches() {
    use ObjectTypeId as T;
    use StatusCode as S;
    let (house, max, mut audit) = watched(guarded()).await;
    let maker = Maker::new();
    let valid = |made: Made| made.valid(day(-100), day(100));
    let client = |serial| valid(maker.server("CN=panel", serial)).for_clients().application(APPLICATION);
    let by_plant = |made: Made| made.sign(&maker.plant, "CN=plant");
    let plant = valid(maker.authority("CN=plant", 2)).sign(&maker.root, "CN=root");
    let old = maker.authority("CN=old", 3).valid(day(-100), day(-1)).sign(&maker.root, "CN=root");
    let no_authority = by_plant(valid(maker.server("CN=neighbour", 4)));
    let short_key = RsaPrivateKey::new(&mut OsRng, 1024).unwrap();
    let short = Maker { server: short_key.clone(), ..maker.clone() };
    let short = by_plant(valid(short.server("CN=short", 5)).application(APPLICATION));
    for trusted in [&plant, &old, &no_authority, &short] {
        house.pki.put(trusted, Shelf::Trusted).unwrap();
    }
    house.pki.put_list(&maker.revocations("CN=plant", &maker.plant, &[17])).unwrap();

    for (certificate, status, kind) in [
        (
            by_plant(client(10).valid(day(-100), day(-1))),
            S::BadCertificateTimeInvalid,
            T::AuditCertificateExpiredEventType,
        ),
        (
            by_plant(client(11).valid(day(1), day(100))),
            S::BadCertificateTimeInvalid,
            T::AuditCertificateExpiredEventType,
        ),
        (
            client(12).sign(&maker.plant, "CN=old"),
            S::BadCertificateIssuerTimeInvalid,
            T::AuditCertificateExpiredEventType,
        ),
        (client(13).sign(&maker.root, "CN=plant"), S::BadCertificateInvalid, T::AuditCertificateInvalidEventType),
        (short, S::BadCertificatePolicyCheckFailed, T::AuditCertificateInvalidEventType),
        (
            client(14).sign(&maker.server, "CN=neighbour"),
            S::BadCertificateIssuerUseNotAllowed,
            T::AuditCertificateMismatchEventType,
        ),
        (by_plant(client(17)), S::BadCertificateRevoked, T::AuditCertificateRevokedEventType),
        (
            client(18).sign(&maker.root, "CN=nobody"),
            S::BadCertificateChainIncomplete,
            T::AuditCertificateUntrustedEventType,
        ),
        (
            by_plant(client(19).application("urn:somebody:else")),
            S::BadCertificateUriInvalid,
            T::AuditCertificateDataMismatchEventType,
        ),
    ] {
        let key = if status == S::BadCertificatePolicyCheckFailed { &short_key } else { &maker.server };
        let (folder, secured) = (folder_with(&certificate, key), MessageSecurityMode::SignAndEncrypt);
        let refused = Hmi::log_in_with(&house.url, IdentityToken::Anonymous, secured, folder, &[]).await;
        let (answer, _) = refused.map(|_| ()).expect_err("it has a defect");
        assert_eq!(answer, status);
        let told = audit.next().await;
        check(&told, &certificate, kind, status);
        let subject = format!("certificate `{}` of {APPLICATION} from 127.0.0.1", certificate.subject());
        assert!(told.text("Message").starts_with(&subject), "{}", told.text("Message"));
        let uri =
            if status == S::BadCertificateUriInvalid { UAString::from(APPLICATION).into() } else { Variant::Empty };
        assert_eq!(*told.get("InvalidUri"), uri, "{status}");
    }
    // One without any of these.
    let folder = folder_with(&by_plant(client(20)), &maker.server);
    let secured = MessageSecurityMode::SignAndEncrypt;
    let hmi = Hmi::log_in_with(&house.url, IdentityToken::Anonymous, secured, folder, &[]).await;
    hmi.map_err(|(status, _)| status).unwrap().close().await;
    max.close().await;
    assert!(audit.is_empty(), "what was let in is none of these");
    house.close().await;
}

#[tokio::test]
async fn p5_6_4_each_defect_of_a_users_certificate_is_told_to_whoever_watches() {
    use ObjectTypeId as T;
    use StatusCode as S;
    let maker = Maker::new();
    let person = |subject: &str, serial| maker.server(subject, serial).for_clients().valid(day(-100), day(100));
    let by_plant = |made: Made| made.sign(&maker.plant, "CN=plant");
    let plant = maker.authority("CN=plant", 2).valid(day(-100), day(100)).sign(&maker.root, "CN=root");
    let [old, gone, stranger, good] = [
        by_plant(person("CN=old", 30).valid(day(-100), day(-1))),
        by_plant(person("CN=gone", 31)),
        by_plant(person("CN=stranger", 32)),
        by_plant(person("CN=good", 33)),
    ];
    let shown = |name: &str, certificate: &Certificate| UserConfig {
        password_hash: None,
        certificate: Some(ShownCertificate::Thumbprint(certificate.thumbprint().as_str().to_ascii_lowercase())),
        ..user(name, &[Role::Operator])
    };
    let mut config = guarded();
    config.users.extend([shown("olaf", &old), shown("gerd", &gone), shown("gita", &good)]);
    let (house, max, mut audit) = watched(config).await;
    house.pki.put(&plant, Shelf::Issuers).unwrap();
    house.pki.put_list(&maker.revocations("CN=plant", &maker.plant, &[31])).unwrap();
    let pem = maker.server.to_pkcs8_pem(LineEnding::LF).unwrap();
    let token = |certificate: &Certificate| {
        let certificate = X509::from_der(certificate.der()).unwrap();
        IdentityToken::new_x509(certificate, PrivateKey::from_pem(pem.as_bytes()).unwrap())
    };
    for (certificate, status, kind, why) in [
        (&old, S::BadCertificateTimeInvalid, T::AuditCertificateExpiredEventType, "of user `olaf` has expired"),
        (
            &gone,
            S::BadCertificateRevoked,
            T::AuditCertificateRevokedEventType,
            "of user `gerd` has been revoked by `CN=plant`",
        ),
        (&stranger, S::BadCertificateUntrusted, T::AuditCertificateUntrustedEventType, "is no user's"),
    ] {
        let refused = Hmi::log_in(&house.url, token(certificate)).await.map(|_| ()).unwrap_err();
        assert_eq!(refused, S::BadIdentityTokenRejected, "{status}: the client is not told why");
        let told = audit.next().await;
        check(&told, certificate, kind, status);
        assert!(told.text("Message").contains(why), "{}", told.text("Message"));
    }
    Hmi::log_in(&house.url, token(&good)).await.unwrap().close().await;
    max.close().await;
    assert!(audit.is_empty());
    house.close().await;
}
