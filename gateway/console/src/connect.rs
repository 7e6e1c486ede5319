//! The way in: the gateway's own certificate stands for the terminal, since whoever can read its key is on the gateway;
//! the user's password says who it is.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use opcua::client::{Client, ClientBuilder, ClientConfig, IdentityToken, Session, SessionBuilder};
use opcua::crypto::SecurityPolicy;
use opcua::sync::RwLock;
use opcua::types::{
    AttributeId, DataValue, EndpointDescription, Identifier, MessageSecurityMode, NodeId, ReadValueId, StatusCode,
    TimestampsToReturn, UserTokenPolicy, UserTokenType, VariableId, Variant,
};
use tokio::task::JoinHandle;
use watchfire_config::{PasswordFrom, Security};
use watchfire_ua::{Application, Pki};

use crate::ConsoleError;

const NAMESPACE_URI: &str = "urn:watchfire:alarms";
/// So long any answer may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
const GOODBYE: Duration = Duration::from_secs(2);
const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// Where the gateway's server is, and who comes.
#[derive(Clone, Debug)]
pub struct Door {
    /// `opc.tcp://host:port/`.
    pub url: String,
    /// Any of what the server offers.
    pub security: Security,
    /// The gateway's folder of certificates.
    pub pki: PathBuf,
    /// The user and where the password is; `None`: nobody in particular.
    pub login: Option<(String, PasswordFrom)>,
}

/// A session with the gateway.
pub struct Console {
    pub(crate) session: Arc<Session>,
    namespace: u16,
    driving: JoinHandle<StatusCode>,
}

impl Console {
    /// Connects and logs in.
    ///
    /// # Errors
    /// When nobody answers, the certificate cannot be read, or the user is not let in.
    pub async fn open(door: &Door) -> Result<Self, ConsoleError> {
        let unreachable = |detail: String| ConsoleError::Unreachable { url: door.url.clone(), detail };
        let identity = match &door.login {
            None => IdentityToken::Anonymous,
            Some((user, password)) => IdentityToken::UserName(user.clone(), password.read()?.expose().into()),
        };
        let secured = door.security != Security::None;
        let pki = Pki::new(&door.pki);
        let served = if secured {
            let file = door.pki.join(Pki::served_certificate());
            std::fs::read(&file)
                .and_then(|served| std::fs::File::open(door.pki.join(Pki::own_key())).map(|_| served))
                .map_err(|error| ConsoleError::Certificate {
                folder: door.pki.display().to_string(),
                detail: error.to_string(),
            })?
        } else {
            Vec::new()
        };
        let application = Application::gateway();
        let config = ClientBuilder::new()
            .application_name("watchfire alarms")
            .application_uri(application.uri)
            .product_uri("urn:watchfire")
            .session_name("watchfire alarms")
            .session_retry_limit(0)
            .request_timeout(PATIENCE)
            .max_message_size(MESSAGE_BYTES_MAX)
            .max_chunk_count(MESSAGE_BYTES_MAX / 8192)
            .max_array_length(1 << 20)
            .pki_dir(pki.dir())
            .certificate_path(Pki::own_certificate())
            .private_key_path(Pki::own_key())
            .into_config();
        let (policy, mode) = match door.security {
            Security::None => (SecurityPolicy::None, MessageSecurityMode::None),
            Security::Basic256Sha256 => (SecurityPolicy::Basic256Sha256, MessageSecurityMode::SignAndEncrypt),
            Security::Aes128Sha256RsaOaep => (SecurityPolicy::Aes128Sha256RsaOaep, MessageSecurityMode::SignAndEncrypt),
            Security::Aes256Sha256RsaPss => (SecurityPolicy::Aes256Sha256RsaPss, MessageSecurityMode::SignAndEncrypt),
        };
        let endpoints = endpoints(&config, &door.url).await.map_err(unreachable)?;
        let found = endpoints.into_iter().find(|endpoint| {
            SecurityPolicy::from_uri(endpoint.security_policy_uri.as_ref()) == policy && endpoint.security_mode == mode
        });
        let mut endpoint = found.ok_or_else(|| unreachable(format!("it does not offer {policy}")))?;
        endpoint.endpoint_url = door.url.as_str().into();
        let user = door.login.as_ref().map_or_else(|| "anybody".to_owned(), |(user, _)| format!("user `{user}`"));
        if !endpoint.user_identity_tokens.iter().flatten().any(|policy| fits(policy, &identity)) {
            return Err(ConsoleError::Login { user, status: StatusCode::BadIdentityTokenRejected });
        }
        let (session, events) = SessionBuilder::new(&config)
            .connect_to_endpoint_directly(endpoint)
            .map(|builder| builder.user_identity_token(identity))
            .and_then(|builder| builder.build(Arc::new(RwLock::new(pki.store(secured, served)))))
            .map_err(|error| unreachable(error.to_string()))?;
        let mut driving = events.spawn();
        let ended = tokio::select! {
            ended = &mut driving => Some(ended.unwrap_or(StatusCode::BadConnectionClosed)),
            _ = session.wait_for_connection() => None,
            () = tokio::time::sleep(PATIENCE) => Some(StatusCode::BadTimeout),
        };
        match ended {
            None => {}
            Some(
                status @ (StatusCode::BadIdentityTokenRejected
                | StatusCode::BadIdentityTokenInvalid
                | StatusCode::BadUserAccessDenied),
            ) => return Err(ConsoleError::Login { user, status }),
            Some(status) => {
                driving.abort();
                return Err(unreachable(status.to_string()));
            }
        }
        let mut console = Self { session, namespace: 0, driving };
        console.namespace = console.find_namespace(&door.url).await?;
        Ok(console)
    }

    async fn find_namespace(&self, url: &str) -> Result<u16, ConsoleError> {
        let value = self.values(vec![VariableId::Server_NamespaceArray.into()]).await?.pop();
        let Some(Variant::Array(uris)) = value.and_then(|value| value.value) else {
            return Err(ConsoleError::Another(url.to_owned()));
        };
        let at =
            uris.values.iter().position(|uri| matches!(uri, Variant::String(uri) if uri.as_ref() == NAMESPACE_URI));
        at.and_then(|at| u16::try_from(at).ok()).ok_or_else(|| ConsoleError::Another(url.to_owned()))
    }

    /// A node of the gateway's own.
    pub(crate) fn own(&self, name: &str) -> NodeId {
        NodeId::new(self.namespace, name)
    }

    /// The name of such a node.
    pub(crate) fn name_of(&self, id: &NodeId) -> Option<String> {
        match &id.identifier {
            Identifier::String(name) if id.namespace == self.namespace => Some(name.as_ref().to_owned()),
            _ => None,
        }
    }

    /// Values of variables, one for each.
    pub(crate) async fn values(&self, nodes: Vec<NodeId>) -> Result<Vec<DataValue>, ConsoleError> {
        let attribute_id = AttributeId::Value as u32;
        let wanted: Vec<_> =
            nodes.into_iter().map(|node_id| ReadValueId { node_id, attribute_id, ..ReadValueId::default() }).collect();
        let read = self.session.read(&wanted, TimestampsToReturn::Neither, 0.0).await;
        read.map_err(|error| ConsoleError::Lost { doing: "reading".to_owned(), status: error.status() })
    }

    /// Says goodbye; the gateway need not wait for the session to run out.
    pub async fn close(self) {
        let _told_or_not = tokio::time::timeout(GOODBYE, self.session.disconnect()).await;
        self.driving.abort();
    }
}

/// What the server offers, over a connection of its own.
async fn endpoints(config: &ClientConfig, url: &str) -> Result<Vec<EndpointDescription>, String> {
    let client = Client::new(config.clone());
    match tokio::time::timeout(PATIENCE, client.get_server_endpoints_from_url(url)).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

fn fits(policy: &UserTokenPolicy, identity: &IdentityToken) -> bool {
    match identity {
        IdentityToken::Anonymous => policy.token_type == UserTokenType::Anonymous,
        _ => policy.token_type == UserTokenType::UserName,
    }
}
