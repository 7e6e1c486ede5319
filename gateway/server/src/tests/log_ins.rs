//! Log-ins whose tokens no client makes: whatever is wrong with them, they are refused as such, the connection goes on, and
//! an audit event says so.

use opcua::client::IdentityToken;
use opcua::core::ResponseMessage;
use opcua::crypto::{PublicKey, SecurityPolicy, X509, X509Data};
use opcua::types::{
    ActivateSessionRequest, ApplicationDescription, ByteString, CloseSessionRequest, ContentFilterBuilder,
    CreateSessionRequest, CreateSessionResponse, ExtensionObject, NodeId, ObjectTypeId, Operand, ReadRequest,
    RequestHeader, SignatureData, StatusCode, UAString, UserNameIdentityToken, UserTokenPolicy, UserTokenType,
    X509IdentityToken,
};

use watchfire_config::{Role, ShownCertificate, UserConfig};
use watchfire_ua::Certificate;

use super::client::{Hmi, PATIENCE, clause, server};
use super::house::{House, guarded, user};

const OAEP: &str = "http://www.w3.org/2001/04/xmlenc#rsa-oaep";
const PKCS_1_5: &str = "http://www.w3.org/2001/04/xmlenc#rsa-1_5";

/// A session that waits for its user.
async fn created(house: &House, through: &Hmi) -> CreateSessionResponse {
    let asked = CreateSessionRequest {
        endpoint_url: house.url.as_str().into(),
        requested_session_timeout: 300_000.0,
        ..CreateSessionRequest::default()
    };
    let answer = through.session.channel().send(asked, PATIENCE).await.unwrap();
    let ResponseMessage::CreateSession(created) = answer else { panic!("{answer:?}") };
    *created
}

/// How the server wants to have tokens of a kind.
fn policy(session: &CreateSessionResponse, kind: UserTokenType) -> &UserTokenPolicy {
    let policies = session.server_endpoints.as_ref().unwrap()[0].user_identity_tokens.as_ref().unwrap();
    policies.iter().find(|policy| policy.token_type == kind).unwrap()
}

/// What comes of a log-in with such a password.
async fn log_in(through: &Hmi, session: &CreateSessionResponse, algorithm: &str, password: Vec<u8>) -> StatusCode {
    let by_name = policy(session, UserTokenType::UserName);
    assert_eq!(by_name.security_policy_uri.as_ref(), SecurityPolicy::Basic256Sha256.to_uri());
    let token = UserNameIdentityToken {
        policy_id: by_name.policy_id.clone(),
        user_name: "bob".into(),
        password: ByteString::from(password),
        encryption_algorithm: if algorithm.is_empty() { UAString::null() } else { algorithm.into() },
    };
    activate(through, session, ExtensionObject::from_message(token), SignatureData::default()).await
}

/// What comes of a log-in with this token.
async fn activate(
    through: &Hmi,
    session: &CreateSessionResponse,
    token: ExtensionObject,
    signature: SignatureData,
) -> StatusCode {
    let asked = ActivateSessionRequest {
        request_header: header(session),
        user_identity_token: token,
        user_token_signature: signature,
        ..ActivateSessionRequest::default()
    };
    let answer = through.session.channel().send(asked, PATIENCE).await.expect("the connection goes on");
    answer.response_header().service_result
}

fn header(session: &CreateSessionResponse) -> RequestHeader {
    RequestHeader { authentication_token: session.authentication_token.clone(), ..RequestHeader::default() }
}

/// A password as it is to be before it is encrypted.
fn with_nonce(password: &[u8], nonce: &[u8]) -> Vec<u8> {
    let length = u32::try_from(password.len() + nonce.len()).unwrap();
    [&length.to_le_bytes(), password, nonce].concat()
}

fn encrypted(policy: SecurityPolicy, key: &PublicKey, plain: &[u8]) -> Vec<u8> {
    let size = policy.calculate_cipher_text_size(plain.len(), key);
    let mut cipher = vec![0; size];
    assert_eq!(policy.asymmetric_encrypt(key, plain, &mut cipher).unwrap(), size);
    cipher
}

#[tokio::test]
async fn a_password_is_taken_as_the_policy_has_it_encrypted_and_in_no_other_way() {
    let house = House::with(guarded()).await;
    let max = Hmi::log_in(&house.url, IdentityToken::UserName("max".into(), "oil".to_owned().into())).await.unwrap();
    let activated = Operand::literal(NodeId::from(ObjectTypeId::AuditActivateSessionEventType));
    let of_them = ContentFilterBuilder::new().eq(clause("EventType"), activated).build();
    let mut audit = max.subscribe(server(), &["ClientUserId", "StatusCodeId"], of_them).await;
    let hmi = Hmi::connect(&house.url).await;
    assert_eq!(audit.next().await.text("ClientUserId"), "anonymous");
    let der = std::fs::read(house.pki.own_certificate_path()).unwrap();
    let key = X509::from_der(&der).unwrap().public_key().unwrap();
    let (oaep, weak) = (SecurityPolicy::Basic256Sha256, SecurityPolicy::Basic128Rsa15);
    let first = created(&house, &hmi).await;
    let nonce = first.server_nonce.as_ref().to_vec();
    let whole = with_nonce(b"oil", &nonce);
    for (what, algorithm, password) in [
        ("in the clear", "", b"oil".to_vec()),
        ("with a padding that tells of the key", PKCS_1_5, encrypted(weak, &key, &whole)),
        ("with that padding, called otherwise", OAEP, encrypted(weak, &key, &whole)),
        ("by an algorithm that there is not", "rot13", b"bvy".to_vec()),
        ("too short to be encrypted", OAEP, b"oil".to_vec()),
        ("nothing", OAEP, Vec::new()),
        (
            "so long that it keeps the server busy",
            OAEP,
            encrypted(oaep, &key, &[whole.clone(), vec![0; 9_000]].concat()),
        ),
        ("without a nonce", OAEP, encrypted(oaep, &key, &with_nonce(b"oil", b""))),
        ("shorter than its length", OAEP, encrypted(oaep, &key, &[9, 0])),
        ("longer than there is", OAEP, encrypted(oaep, &key, &[0xff, 0xff, 0xff, 0xff, 1])),
        ("of another session", OAEP, encrypted(oaep, &key, &with_nonce(b"oil", &[7; 32]))),
        ("with something behind it", OAEP, encrypted(oaep, &key, &[whole.clone(), vec![1]].concat())),
        ("of bytes that are no text", OAEP, encrypted(oaep, &key, &with_nonce(&[0xff, 0xfe], &nonce))),
    ] {
        assert_eq!(log_in(&hmi, &first, algorithm, password).await, StatusCode::BadIdentityTokenInvalid, "{what}");
        let told = audit.next().await;
        assert_eq!(told.text("ClientUserId"), "bob", "{what}");
        assert_eq!(*told.get("StatusCodeId"), StatusCode::BadIdentityTokenInvalid.into(), "{what}");
    }
    let padded = encrypted(oaep, &key, &[whole.clone(), vec![0; 3]].concat());
    assert_eq!(log_in(&hmi, &first, OAEP, padded).await, StatusCode::Good);
    assert_eq!(*audit.next().await.get("StatusCodeId"), StatusCode::Good.into());
    hmi.close().await;
    max.close().await;
    house.close().await;
}

#[tokio::test]
async fn whoever_shows_a_users_certificate_has_to_sign_with_its_key() {
    let der = made().to_der().unwrap();
    let thumbprint = Certificate::first_of(&der).unwrap().thumbprint().as_str().to_ascii_lowercase();
    let mut config = guarded();
    config.users.push(UserConfig {
        password_hash: None,
        certificate: Some(ShownCertificate::Thumbprint(thumbprint)),
        ..user("gita", &[Role::Operator])
    });
    let house = House::with(config).await;
    let hmi = Hmi::connect(&house.url).await;
    let session = created(&house, &hmi).await;
    let policy_id = policy(&session, UserTokenType::Certificate).policy_id.clone();
    for (certificate_data, signed, status) in [
        (der.clone(), Vec::new(), StatusCode::BadUserSignatureInvalid),
        (der.clone(), vec![7; 256], StatusCode::BadUserSignatureInvalid),
        (b"no certificate".to_vec(), vec![7; 256], StatusCode::BadIdentityTokenInvalid),
        (Vec::new(), vec![7; 256], StatusCode::BadIdentityTokenInvalid),
    ] {
        let certificate_data = ByteString::from(certificate_data);
        let token = ExtensionObject::from_message(X509IdentityToken { policy_id: policy_id.clone(), certificate_data });
        let signature = SignatureData { signature: ByteString::from(signed), ..SignatureData::default() };
        assert_eq!(activate(&hmi, &session, token, signature).await, status);
    }
    hmi.close().await;
    house.close().await;
}

fn made() -> X509 {
    let person =
        ApplicationDescription { application_uri: "urn:test:gita".into(), ..ApplicationDescription::default() };
    X509::cert_and_pkey(&X509Data::from((person, None))).unwrap().0
}

#[tokio::test]
async fn a_session_is_no_others_whoever_has_seen_its_token() {
    let house = House::with(guarded()).await;
    let name = |name: &str| IdentityToken::UserName(name.into(), "oil".to_owned().into());
    let max = Hmi::log_in(&house.url, name("max")).await.unwrap();
    let refused = Operand::literal(false);
    let of_refused = ContentFilterBuilder::new().eq(clause("Status"), refused).build();
    let mut audit = max.subscribe(server(), &["EventType", "SourceName", "StatusCodeId"], of_refused).await;
    let (bob, other) = (Hmi::connect(&house.url).await, Hmi::connect(&house.url).await);
    let der = std::fs::read(house.pki.own_certificate_path()).unwrap();
    let key = X509::from_der(&der).unwrap().public_key().unwrap();
    let session = created(&house, &bob).await;
    let password = encrypted(SecurityPolicy::Basic256Sha256, &key, &with_nonce(b"oil", session.server_nonce.as_ref()));
    assert_eq!(log_in(&bob, &session, OAEP, password).await, StatusCode::Good);
    // Another connection asks in its name, and would take it over as somebody else.
    let read = ReadRequest { request_header: header(&session), ..ReadRequest::default() };
    let answer = other.session.channel().send(read, PATIENCE).await.unwrap();
    assert_eq!(answer.response_header().service_result, StatusCode::BadSecureChannelIdInvalid);
    let told = audit.next().await;
    assert_eq!(*told.get("EventType"), NodeId::from(ObjectTypeId::AuditSecurityEventType).into());
    assert_eq!(*told.get("StatusCodeId"), StatusCode::BadSecureChannelIdInvalid.into());
    let asked = ActivateSessionRequest { request_header: header(&session), ..ActivateSessionRequest::default() };
    let answer = other.session.channel().send(asked, PATIENCE).await.unwrap();
    assert_eq!(answer.response_header().service_result, StatusCode::BadIdentityChangeNotSupported);
    let told = audit.next().await;
    assert_eq!(told.text("SourceName"), "Session/ActivateSession");
    assert_eq!(*told.get("StatusCodeId"), StatusCode::BadIdentityChangeNotSupported.into());
    let asked = CloseSessionRequest { request_header: header(&session), delete_subscriptions: true };
    let answer = other.session.channel().send(asked, PATIENCE).await.unwrap();
    assert_eq!(answer.response_header().service_result, StatusCode::BadSecureChannelIdInvalid);
    let told = audit.next().await;
    assert_eq!(told.text("SourceName"), "Session/CloseSession");
    // The one who has it goes on.
    let read = ReadRequest { request_header: header(&session), ..ReadRequest::default() };
    let answer = bob.session.channel().send(read, PATIENCE).await.unwrap();
    assert_eq!(answer.response_header().service_result, StatusCode::BadNothingToDo);
    for hmi in [bob, other, max] {
        hmi.close().await;
    }
    house.close().await;
}
