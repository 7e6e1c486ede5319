//! A client of its own for a test: without security, on the loopback, and never connected a second time.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use opcua::client::{ClientBuilder, IdentityToken, Session};
use opcua::crypto::SecurityPolicy;
use opcua::types::{MessageSecurityMode, StatusCode, UserTokenPolicy};
use tokio::task::JoinHandle;

/// Connects to a server on this port; its certificates lie below the folder. Also what keeps the session going.
pub(super) async fn connect(port: u16, pki: &Path, request_max: Duration) -> (Arc<Session>, JoinHandle<StatusCode>) {
    let mut client = ClientBuilder::new()
        .application_name("patches")
        .application_uri("urn:patches:client")
        .pki_dir(pki.join("client"))
        .request_timeout(request_max)
        .session_retry_limit(0)
        .client()
        .expect("a client");
    let url = format!("opc.tcp://127.0.0.1:{port}/");
    let endpoint =
        (url.as_str(), SecurityPolicy::None.to_str(), MessageSecurityMode::None, UserTokenPolicy::anonymous());
    let (session, events) =
        client.connect_to_matching_endpoint(endpoint, IdentityToken::Anonymous).await.expect("an endpoint");
    let running = events.spawn();
    assert!(session.wait_for_connection().await, "the client connects");
    (session, running)
}
