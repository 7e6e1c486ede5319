//! Secure channels and sessions that somebody has opened otherwise than is offered, or takes over: what is offered holds for
//! as long as they last. And bytes that are too few to be what they should be.

use super::raw::{Raw, Said, header};
use opcua::core::ResponseMessage;
use opcua::core::comms::message_chunk::MessageChunkHeader;
use opcua::core::comms::secure_channel::{Role, SecureChannel};
use opcua::core::comms::security_header::SecurityHeader;
use opcua::crypto::{CertificateStore, PrivateKey, SecurityPolicy, X509, X509Data};
use opcua::server::{ANONYMOUS_USER_TOKEN_ID, ServerBuilder, ServerEndpoint};
use opcua::sync::RwLock;
use opcua::types::{
    ActivateSessionRequest, ApplicationDescription, ByteString, ChannelSecurityToken, CreateSessionRequest, DateTime,
    DecodingOptions, GetEndpointsRequest, MessageSecurityMode, OpenSecureChannelRequest, RequestHeader,
    SecurityTokenRequestType, SimpleBinaryDecodable, StatusCode,
};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

const HOUR_MS: u32 = 3_600_000;

/// A server that offers Basic256Sha256, signed and encrypted, and nothing else.
struct Secured {
    port: u16,
    certificate: X509,
    _pki: tempfile::TempDir,
}

impl Secured {
    async fn start() -> Self {
        Self::start_with(|builder| builder).await
    }

    async fn start_with(set: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Self {
        let pki = tempfile::tempdir().expect("a folder for certificates");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port of the loopback");
        let port = listener.local_addr().expect("a bound port").port();
        let endpoint = ServerEndpoint::new_basic256sha256_sign_encrypt("/", &[ANONYMOUS_USER_TOKEN_ID.to_owned()]);
        let builder = ServerBuilder::new()
            .application_name("patches")
            .application_uri("urn:patches:server")
            .product_uri("urn:patches")
            .pki_dir(pki.path().join("server"))
            .create_sample_keypair(true)
            .trust_client_certs(true)
            .host("127.0.0.1")
            .port(port)
            .discovery_urls(vec![format!("opc.tcp://127.0.0.1:{port}/")])
            .add_endpoint("secured", endpoint);
        let (server, _) = set(builder).build().expect("a server");
        tokio::spawn(server.run_with(listener));
        let der = std::fs::read(pki.path().join("server/own/cert.der")).expect("its certificate");
        Self { port, certificate: X509::from_der(&der).expect("a certificate"), _pki: pki }
    }

    /// A connection of this client, which secures what it says by a policy.
    async fn connect(&self, client: &(X509, PrivateKey), policy: SecurityPolicy) -> Raw {
        let mut raw = Raw::connect(self.port).await;
        raw.secure(policy, client, &self.certificate);
        raw
    }

    /// The same, with an open channel.
    async fn open(&self, client: &(X509, PrivateKey), lifetime_ms: u32) -> Raw {
        let mut raw = self.connect(client, SecurityPolicy::Basic256Sha256).await;
        let opened = raw.ask_for_channel(SecurityTokenRequestType::Issue, lifetime_ms).await;
        raw.take(opened);
        raw
    }

    fn session_of(&self, client: &X509) -> CreateSessionRequest {
        CreateSessionRequest {
            request_header: header(),
            client_description: ApplicationDescription {
                application_uri: "urn:patches:client".into(),
                ..ApplicationDescription::default()
            },
            endpoint_url: format!("opc.tcp://127.0.0.1:{}/", self.port).into(),
            client_nonce: ByteString::from(vec![7; 32]),
            client_certificate: client.as_byte_string(),
            requested_session_timeout: 60_000.0,
            ..CreateSessionRequest::default()
        }
    }
}

/// A certificate with a key of its own, or another one with this key.
fn made(key: Option<&PrivateKey>) -> (X509, PrivateKey) {
    let description = ApplicationDescription {
        application_uri: "urn:patches:client".into(),
        // Two that are made within a second are the same otherwise.
        application_name: if key.is_some() { "another" } else { "client" }.into(),
        ..ApplicationDescription::default()
    };
    let data = X509Data::from((description, None));
    match key {
        Some(key) => (X509::from_pkey(key, &data).expect("a certificate"), key.clone()),
        None => X509::cert_and_pkey(&data).expect("a certificate"),
    }
}

/// What a server has refused: by an error, or as the answer to a request.
fn refused(said: Said) -> StatusCode {
    match said {
        Said::Error(status) => status,
        Said::Answer(answer) => answer.response_header().service_result,
        Said::Closed => panic!("the connection is gone without a word"),
    }
}

#[tokio::test]
async fn a_channel_is_opened_as_it_is_offered_and_in_no_other_way() {
    let server = Secured::start().await;
    let client = made(None);
    // It is not even decrypted by the server's key: the padding of Basic128Rsa15 tells of it.
    for policy in [SecurityPolicy::Basic128Rsa15, SecurityPolicy::Basic256, SecurityPolicy::Aes256Sha256RsaPss] {
        let mut raw = server.connect(&client, policy).await;
        let said = raw.ask_for_channel(SecurityTokenRequestType::Issue, HOUR_MS).await;
        assert_eq!(refused(said), StatusCode::BadSecurityPolicyRejected, "{policy}");
    }
    // There is no channel by which the answer could be secured, so it is an error, as for the policy.
    for (security_mode, nonce_bytes, status) in [
        (MessageSecurityMode::None, 32, StatusCode::BadSecurityModeRejected),
        (MessageSecurityMode::Sign, 32, StatusCode::BadSecurityModeRejected),
        (MessageSecurityMode::Invalid, 32, StatusCode::BadSecurityModeRejected),
        (MessageSecurityMode::SignAndEncrypt, 16, StatusCode::BadNonceInvalid),
    ] {
        let mut raw = server.connect(&client, SecurityPolicy::Basic256Sha256).await;
        let request = OpenSecureChannelRequest {
            request_header: header(),
            security_mode,
            client_nonce: ByteString::from(vec![7; nonce_bytes]),
            ..OpenSecureChannelRequest::default()
        };
        let said = raw.ask(1, request).await;
        assert!(matches!(said, Said::Error(said) if said == status), "{security_mode:?}: {said:?}");
    }
    // In the clear there are endpoints to be asked for, and no session.
    let mut raw = Raw::open(server.port).await;
    let request = GetEndpointsRequest { request_header: header(), ..GetEndpointsRequest::default() };
    assert_eq!(refused(raw.ask(2, request).await), StatusCode::Good);
    let said = raw.ask(3, server.session_of(&client.0)).await;
    assert_eq!(refused(said), StatusCode::BadSecurityPolicyRejected);
}

#[tokio::test]
async fn an_open_channel_stays_as_secure_and_with_whom_it_was_opened() {
    let server = Secured::start().await;
    let client = made(None);
    // Whoever can write into the connection would read on in the clear.
    let mut raw = server.open(&client, HOUR_MS).await;
    let in_the_clear = |raw: &mut Raw| {
        raw.channel.set_security_policy(SecurityPolicy::None);
        raw.channel.set_security_mode(MessageSecurityMode::None);
    };
    in_the_clear(&mut raw);
    let said = raw.ask_for_channel(SecurityTokenRequestType::Renew, HOUR_MS).await;
    assert_eq!(refused(said), StatusCode::BadSecurityPolicyRejected);
    let mut raw = server.open(&client, HOUR_MS).await;
    in_the_clear(&mut raw);
    let said = raw.ask_for_channel(SecurityTokenRequestType::Issue, HOUR_MS).await;
    assert_eq!(refused(said), StatusCode::BadSecurityPolicyRejected);
    let mut raw = server.open(&client, HOUR_MS).await;
    let said = raw.ask_for_channel(SecurityTokenRequestType::Issue, HOUR_MS).await;
    assert_eq!(refused(said), StatusCode::BadRequestTypeInvalid);
    // With another certificate.
    let mut raw = server.open(&client, HOUR_MS).await;
    let other = made(Some(&client.1));
    raw.channel.set_cert(Some(other.0.clone()));
    let said = raw.ask_for_channel(SecurityTokenRequestType::Renew, HOUR_MS).await;
    assert_eq!(refused(said), StatusCode::BadSecurityChecksFailed);
    // Nor is there a session for anybody else than who opened it.
    let mut raw = server.open(&client, HOUR_MS).await;
    assert_eq!(refused(raw.ask(2, server.session_of(&other.0)).await), StatusCode::BadSecurityChecksFailed);
    let said = raw.ask(3, server.session_of(&client.0)).await;
    let Said::Answer(answer) = said else { panic!("{said:?}") };
    let ResponseMessage::CreateSession(created) = *answer else { panic!("{answer:?}") };
    // Who opened it has to sign for it.
    let request_header = RequestHeader { authentication_token: created.authentication_token, ..header() };
    let activate = ActivateSessionRequest { request_header, ..ActivateSessionRequest::default() };
    assert_eq!(refused(raw.ask(4, activate).await), StatusCode::BadApplicationSignatureInvalid);
}

#[tokio::test]
async fn a_token_is_taken_for_a_while_after_the_next_one_and_a_channel_ends_that_is_not_renewed() {
    const LIFETIME_MS: u32 = 3_000;
    let server = Secured::start_with(|builder| builder.min_secure_channel_token_lifetime_ms(LIFETIME_MS)).await;
    let client = made(None);
    let mut raw = server.open(&client, LIFETIME_MS).await;
    let endpoints = || GetEndpointsRequest { request_header: header(), ..GetEndpointsRequest::default() };
    for id in [2, 3] {
        tokio::time::sleep(Duration::from_millis(u64::from(LIFETIME_MS) * 2 / 3)).await;
        let renewed = raw.ask_for_channel(SecurityTokenRequestType::Renew, LIFETIME_MS).await;
        // What was under way meanwhile has the token of before.
        let bytes = raw.bytes(id, endpoints()).await;
        raw.socket.write_all(&bytes).await.expect("it is taken");
        raw.take(renewed);
        assert_eq!(refused(raw.hear().await), StatusCode::Good, "renewal {id}");
    }
    let said = tokio::time::timeout(Duration::from_secs(60), raw.hear()).await.expect("it ends");
    assert_eq!(refused(said), StatusCode::BadTimeout);
}

#[tokio::test]
async fn a_token_lives_for_as_long_as_a_client_asks_but_long_enough_to_be_renewed() {
    let server = Secured::start().await;
    let client = made(None);
    for (asked_ms, given_ms) in [(0, 300_000), (1, 10_000), (3_600, 10_000), (10_001, 10_001), (HOUR_MS, 300_000)] {
        let mut raw = server.connect(&client, SecurityPolicy::Basic256Sha256).await;
        let opened = raw.ask_for_channel(SecurityTokenRequestType::Issue, asked_ms).await;
        assert_eq!(raw.take(opened).security_token.revised_lifetime, given_ms, "{asked_ms} ms");
    }
}

#[test]
fn a_token_lives_from_when_it_is_received_whatever_the_clock_of_its_server_says() {
    let certificates = Arc::new(RwLock::new(CertificateStore::new(Path::new("/nonexistent"))));
    let mut channel = SecureChannel::new(certificates, Role::Client, Arc::default());
    for days in [-10_000, 1] {
        let created_at = DateTime::now() + chrono::Duration::days(days);
        channel.set_security_token(ChannelSecurityToken {
            channel_id: 1,
            token_id: 1,
            created_at,
            revised_lifetime: HOUR_MS,
        });
        assert!(!channel.should_renew_security_token(), "{days} days");
        let left = DateTime::now() - channel.token_created_at();
        assert!(left >= chrono::Duration::zero() && left < chrono::Duration::minutes(10), "{days} days: {left}");
    }
    // Seven weeks, which is the longest that can be said.
    let longest = ChannelSecurityToken { revised_lifetime: u32::MAX, ..ChannelSecurityToken::default() };
    channel.set_security_token(ChannelSecurityToken { token_id: 2, ..longest });
    assert!(!channel.should_renew_security_token());
}

#[tokio::test]
async fn what_is_too_short_to_be_what_it_should_be_is_refused_with_a_word() {
    let server = Secured::start().await;
    let client = made(None);
    let policy = SecurityPolicy::Basic256Sha256;
    // A message that is shorter than its signature.
    let mut raw = server.open(&client, HOUR_MS).await;
    let mut short = b"MSGF\x18\0\0\0".to_vec();
    short.extend(raw.channel.secure_channel_id().to_le_bytes());
    short.extend(raw.channel.token_id().to_le_bytes());
    short.resize(24, 0);
    raw.socket.write_all(&short).await.expect("it is taken");
    assert_eq!(refused(raw.hear().await), StatusCode::BadSecurityChecksFailed);
    // One that is no whole number of blocks.
    let mut raw = server.open(&client, HOUR_MS).await;
    let whole = raw.bytes(2, GetEndpointsRequest { request_header: header(), ..Default::default() }).await;
    let cut = cut_to(&whole, whole.len() - 5);
    raw.socket.write_all(&cut).await.expect("it is taken");
    assert_eq!(refused(raw.hear().await), StatusCode::BadSecurityChecksFailed);
    // A request for a channel of which a part is missing, and one that holds less than its signature.
    let mut raw = server.connect(&client, policy).await;
    raw.channel.create_random_nonce();
    let request = OpenSecureChannelRequest { request_header: header(), ..Default::default() };
    let whole = raw.bytes(1, request).await;
    let key = server.certificate.public_key().expect("its key");
    let mut few = vec![0; 256];
    assert_eq!(policy.asymmetric_encrypt(&key, &[7; 10], &mut few).expect("it is encrypted"), 256);
    let head = head_of(&whole);
    let tiny = cut_to(&[head, &few].concat(), head.len() + few.len());
    // And one that would be decrypted for long.
    let long = cut_to(&[head, &few.repeat(200)].concat(), head.len() + few.len() * 200);
    for (bytes, status) in [
        (cut_to(&whole, whole.len() - 5), StatusCode::BadSecurityChecksFailed),
        (tiny, StatusCode::BadSecurityChecksFailed),
        (long, StatusCode::BadTcpMessageTooLarge),
    ] {
        let mut raw = server.connect(&client, policy).await;
        raw.socket.write_all(&bytes).await.expect("it is taken");
        assert_eq!(refused(raw.hear().await), status);
    }
}

/// What comes before that which is encrypted in a request for a channel.
fn head_of(chunk: &[u8]) -> &[u8] {
    let (options, mut rest) = (DecodingOptions::default(), chunk);
    MessageChunkHeader::decode(&mut rest, &options).expect("a header");
    SecurityHeader::decode_from_stream(&mut rest, true, &options).expect("a security header");
    &chunk[..chunk.len() - rest.len()]
}

/// The first bytes of a chunk, which then says that it is so long.
fn cut_to(chunk: &[u8], size: usize) -> Vec<u8> {
    let mut cut = chunk[..size].to_vec();
    cut[4..8].copy_from_slice(&u32::try_from(size).expect("it is short").to_le_bytes());
    cut
}
