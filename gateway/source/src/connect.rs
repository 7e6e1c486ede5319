//! From a configuration to a session: certificates, endpoint, login. Each failure says what a person can do.

use std::pin::{Pin, pin};
use std::sync::Arc;

use futures::{Stream, StreamExt};
use opcua::client::{
    ClientBuilder, ClientConfig, IdentityToken, Session, SessionActivity, SessionBuilder, SessionConnectMode,
    SessionEventLoop, SessionPollResult,
};
use opcua::crypto::CertificateStore;
use opcua::sync::RwLock;
use opcua::types::{EndpointDescription, StatusCode};
use watchfire_config::{EndpointUrl, SourceConfig};
use watchfire_model::Clock;
use watchfire_ua::{Application, Certificate, Peer, Pki, Policy, Security, Trust};

use crate::dial::Dial;
use crate::publish::Begin;
use crate::{SourceError, Timing, discover, login};

/// A whole message of 2,000 values with long texts has room in this.
const MESSAGE_BYTES_MAX: usize = 64 << 20;
/// More elements are not read, and with them not their message: each takes far more room here than on the wire. Texts
/// and byte strings may be as long as their message; what is too long to be recorded is left out when it is a value.
const ARRAY_MAX: usize = 1 << 20;
const CHANNEL_LIFETIME_MS: u32 = 600_000;

/// Makes connections to one server.
pub(crate) struct Connector {
    pub config: SourceConfig,
    pub pki: Pki,
    pub timing: Timing,
    pub clock: Arc<dyn Clock>,
    /// The server that is configured first, of those that stand in for each other.
    pub primary: EndpointUrl,
}

/// A session that is not connected yet, and what has to be polled for it to live.
pub(crate) struct Opened {
    pub session: Arc<Session>,
    pub event_loop: SessionEventLoop<Dial>,
}

impl Connector {
    /// What makes connections to another server of the same source.
    pub(crate) fn at(&self, url: EndpointUrl) -> Self {
        let config = SourceConfig { url, ..self.config.clone() };
        Self {
            config,
            pki: self.pki.clone(),
            timing: self.timing,
            clock: self.clock.clone(),
            primary: self.primary.clone(),
        }
    }

    /// What the server's certificate is pinned for: servers that stand in for each other have one each.
    fn pinned_for(&self) -> String {
        let SourceConfig { name, url, .. } = &self.config;
        if *url == self.primary { name.clone() } else { format!("{name}@{}:{}", url.host, url.port) }
    }

    pub(crate) fn url(&self) -> String {
        self.config.url.to_string()
    }

    pub(crate) fn security(&self) -> Security {
        use watchfire_config::{MessageMode, Security as Configured};
        let policy = match self.config.security {
            Configured::None => Policy::None,
            Configured::Basic256Sha256 => Policy::Basic256Sha256,
            Configured::Aes128Sha256RsaOaep => Policy::Aes128Sha256RsaOaep,
            Configured::Aes256Sha256RsaPss => Policy::Aes256Sha256RsaPss,
        };
        match self.config.message_mode {
            MessageMode::SignAndEncrypt => Security::encrypted(policy),
            MessageMode::Sign => Security::signed(policy),
        }
    }

    /// Finds the endpoint, checks its certificate, and makes a session for it.
    pub(crate) async fn open(&self) -> Result<Opened, SourceError> {
        let identity = self.credentials().await?;
        let endpoint = self.choose(&self.endpoints().await?)?;
        let (dial, client, security) = (self.dial(), self.client_config(), self.security());
        if security.is_secured() {
            self.judge(&endpoint).await?;
        } else if self.config.user.is_some() {
            tracing::warn!(source = self.config.name, "security is none: the password may travel unencrypted");
        }
        let shown = endpoint.server_certificate.as_ref().to_vec();
        let store = self.store(security.is_secured(), shown).await?;
        let (session, event_loop) = SessionBuilder::new(&client)
            .with_connector(dial)
            .connect_to_endpoint_directly(endpoint)
            .map(|builder| builder.user_identity_token(identity))
            .and_then(|builder| builder.build(store))
            .map_err(SourceError::request("opening a session"))?;
        Ok(Opened { session, event_loop })
    }

    fn dial(&self) -> Dial {
        Dial { url: self.config.url.clone(), listen: self.config.reach.listen, patience: self.timing.connect }
    }

    /// What the server offers.
    pub(crate) async fn endpoints(&self) -> Result<Vec<EndpointDescription>, SourceError> {
        let nobody = self.store(false, Vec::new()).await?;
        discover::endpoints(&self.client_config(), nobody, &self.dial(), &self.timing).await
    }

    /// What of it is used.
    pub(crate) fn choose(&self, endpoints: &[EndpointDescription]) -> Result<EndpointDescription, SourceError> {
        discover::choose(endpoints, self.security(), login::kind(&self.config), &self.url())
    }

    /// Our login; makes our certificate if a secured connection needs one and there is none.
    pub(crate) async fn credentials(&self) -> Result<IdentityToken, SourceError> {
        let (pki, config, security) = (self.pki.clone(), self.config.clone(), self.security());
        off_the_runtime(move || {
            if security.is_secured() && pki.ensure_own(&Application::gateway())? {
                let file = pki.own_certificate_path();
                tracing::info!(file = %file.display(), "made our certificate; trust it on the servers to be read");
            }
            login::read(&config)
        })
        .await
    }

    /// The stack's view of our certificates, which trusts the one that was judged and no other.
    async fn store(&self, secured: bool, judged: Vec<u8>) -> Result<Arc<RwLock<CertificateStore>>, SourceError> {
        let pki = self.pki.clone();
        off_the_runtime(move || Ok(Arc::new(RwLock::new(pki.store(secured, judged))))).await
    }

    /// Whether the server's certificate may be used. That one which a person has chosen names another host than the URL
    /// is worth a warning only.
    pub(crate) async fn judge(&self, endpoint: &EndpointDescription) -> Result<(), SourceError> {
        let shown = endpoint.server_certificate.as_ref().to_vec();
        let application = endpoint.server.application_uri.as_ref().to_owned();
        let (host, name) = (self.config.url.host.clone(), self.config.name.clone());
        let pinned_for = self.pinned_for();
        let (pki, first_use) = (self.pki.clone(), self.config.trust_server_certificate);
        let now = self.clock.now();
        off_the_runtime(move || {
            let peer = Peer { application_uri: Some(&application), host: Some(&host) };
            let judged = if first_use {
                pki.judge_or_pin(&pinned_for, &shown, &peer, now)?
            } else {
                pki.judge(&shown, &peer, now)?
            };
            if Certificate::first_of(&shown).is_some_and(|certificate| !certificate.is_for_host(&host)) {
                tracing::warn!(source = name, host, "the server's certificate is for another host name");
            }
            if !matches!(judged, Trust::Refused(_)) {
                pki.note_used(&pinned_for, &shown)?;
            }
            match judged {
                Trust::Trusted => Ok(()),
                Trust::Pinned(file) => {
                    let file = file.display();
                    tracing::warn!(source = name, %file, "pinned the first certificate of the server, as configured");
                    Ok(())
                }
                Trust::Refused(refused) => Err(SourceError::Certificate(refused)),
            }
        })
        .await
    }

    fn client_config(&self) -> ClientConfig {
        let application = Application::gateway();
        ClientBuilder::new()
            .application_name(application.name)
            .application_uri(application.uri)
            .product_uri("urn:watchfire")
            .session_name(format!("watchfire {}", self.config.name))
            .session_timeout(u32::try_from(self.timing.session.as_millis()).unwrap_or(u32::MAX))
            .session_retry_limit(-1)
            .session_retry_initial(self.timing.retry_min)
            .session_retry_max(self.timing.retry_max)
            .recreate_subscriptions(false)
            .channel_lifetime(CHANNEL_LIFETIME_MS)
            .keep_alive_interval(self.timing.keep_alive)
            .request_timeout(self.timing.request)
            .max_message_size(MESSAGE_BYTES_MAX)
            .max_chunk_count(MESSAGE_BYTES_MAX / 8192)
            .max_array_length(ARRAY_MAX)
            .max_string_length(MESSAGE_BYTES_MAX)
            .max_byte_string_length(MESSAGE_BYTES_MAX)
            .pki_dir(self.pki.dir())
            .into_config()
    }

    /// What it means that the session could not be opened; `was_in`: it could be before.
    fn explain(&self, status: StatusCode, was_in: bool) -> SourceError {
        match status {
            StatusCode::BadIdentityTokenRejected
            | StatusCode::BadIdentityTokenInvalid
            | StatusCode::BadUserAccessDenied
            | StatusCode::BadUserSignatureInvalid => SourceError::Login { user: login::name(&self.config), status },
            StatusCode::BadSecurityChecksFailed
            | StatusCode::BadCertificateUntrusted
            | StatusCode::BadCertificateInvalid
            | StatusCode::BadCertificateUseNotAllowed
            | StatusCode::BadCertificateUriInvalid
            | StatusCode::BadCertificateHostNameInvalid
            | StatusCode::BadCertificateTimeInvalid
                if self.security().is_secured() =>
            {
                SourceError::RefusesUs { status, file: self.pki.own_certificate_path() }
            }
            // Many servers just hang up on a certificate that they do not trust; one that has let us in before is away.
            StatusCode::BadConnectionClosed | StatusCode::BadCommunicationError
                if self.security().is_secured() && !was_in =>
            {
                SourceError::RefusesUs { status, file: self.pki.own_certificate_path() }
            }
            _ => SourceError::Unreachable { url: self.url(), detail: status.to_string() },
        }
    }

    /// Polls a session until it is lost; returns why, and whether its transport is closed. Nothing of the session moves
    /// unless this is polled. `connected`: whether it was connected before; it is tried once to connect it else.
    pub(crate) async fn drive(&self, events: &mut Events<'_>, mut connected: bool) -> (SourceError, bool) {
        loop {
            let error = match events.next().await {
                Some(Ok(SessionPollResult::Reconnected(_))) => {
                    connected = true;
                    continue;
                }
                Some(Ok(SessionPollResult::ConnectionLost(status))) => {
                    return (SourceError::Lost(status.to_string()), true);
                }
                Some(Ok(SessionPollResult::ReconnectFailed(status)) | Err(status)) if !connected => {
                    self.explain(status, false)
                }
                Some(Ok(SessionPollResult::SessionActivity(SessionActivity::KeepAliveFailed(status)))) => {
                    let Some(lost) = silence(status) else {
                        tracing::warn!(source = self.config.name, %status, "the server says that it is not well");
                        continue;
                    };
                    lost
                }
                Some(Ok(_)) => continue,
                Some(Err(status)) => SourceError::Lost(status.to_string()),
                None => SourceError::Lost("the session was closed".to_owned()),
            };
            return (error, false);
        }
    }

    /// Makes a new transport for a session that has lost its own, or has one that hangs: until the server has forgotten
    /// the session. Answers how it goes on.
    pub(crate) async fn resume(
        &self,
        events: &mut Events<'_>,
        session: &Session,
        closed: bool,
    ) -> Result<Begin, SourceError> {
        let mut closing = pin!(async {
            if !closed {
                session.channel().close_channel().await;
            }
        });
        let mut is_closing = true;
        let resuming = async {
            loop {
                let event = tokio::select! {
                    () = &mut closing, if is_closing => {
                        is_closing = false;
                        continue;
                    }
                    event = events.next() => event,
                };
                match event {
                    Some(Ok(SessionPollResult::Reconnected(SessionConnectMode::ReactivatedSession(_)))) => {
                        return Ok(Begin::SameSession);
                    }
                    Some(Ok(SessionPollResult::Reconnected(SessionConnectMode::NewSession(_)))) => {
                        return Ok(Begin::NewSession);
                    }
                    Some(Ok(SessionPollResult::ReconnectFailed(status))) => {
                        let error = self.explain(status, true);
                        // One that hangs up may have another certificate now: that is found out anew.
                        let hangs_up = status == StatusCode::BadConnectionClosed && self.security().is_secured();
                        if error.needs_person() || hangs_up {
                            return Err(error);
                        }
                        tracing::debug!(source = self.config.name, %error, "still not connected");
                    }
                    Some(Ok(_)) => {}
                    Some(Err(status)) => return Err(self.explain(status, true)),
                    None => return Err(SourceError::Lost("the session was closed".to_owned())),
                }
            }
        };
        match tokio::time::timeout(self.timing.session, resuming).await {
            Ok(resumed) => resumed,
            Err(_) => {
                let limit_s = self.timing.session.as_secs_f32();
                Err(SourceError::Lost(format!("the session could not be taken up again within {limit_s} s")))
            }
        }
    }
}

/// What happens to a session.
pub(crate) type Events<'e> = Pin<&'e mut (dyn Stream<Item = Result<SessionPollResult, StatusCode>> + Send)>;

/// A keep-alive that was not answered means a dead connection; one that was, whatever it says, a living one.
fn silence(status: StatusCode) -> Option<SourceError> {
    let dead = matches!(
        status,
        StatusCode::BadTimeout
            | StatusCode::BadConnectionClosed
            | StatusCode::BadNotConnected
            | StatusCode::BadSessionClosed
            | StatusCode::BadSessionIdInvalid
            | StatusCode::BadSecureChannelClosed
            | StatusCode::BadSecureChannelIdInvalid
    );
    dead.then(|| SourceError::Lost(format!("the server does not answer ({status})")))
}

/// Runs what blocks on files or computes long.
async fn off_the_runtime<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SourceError> + Send + 'static,
) -> Result<T, SourceError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(SourceError::Lost(format!("the gateway failed within itself: {error}"))),
    }
}
