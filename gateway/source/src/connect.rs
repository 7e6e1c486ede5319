//! From a configuration to a session: certificates, endpoint, login. Each failure says what a person can do.

use std::pin::{Pin, pin};
use std::sync::Arc;

use futures::{Stream, StreamExt};
use opcua::client::{
    ClientBuilder, ClientConfig, IdentityToken, Session, SessionActivity, SessionBuilder, SessionConnectMode,
    SessionEventLoop, SessionPollResult,
};
use opcua::crypto::{CertificateStore, X509};
use opcua::sync::RwLock;
use opcua::types::{EndpointDescription, StatusCode};
use watchfire_config::{EndpointUrl, SourceConfig};
use watchfire_model::Clock;
use watchfire_ua::{Application, Pki, Security, Trust};

use crate::dial::Dial;
use crate::publish::Begin;
use crate::{SourceError, Timing, discover};

/// A whole message of 2,000 values with long texts has room in this.
const MESSAGE_BYTES_MAX: usize = 64 << 20;
const ARRAY_MAX: usize = 1 << 20;
const CHANNEL_LIFETIME_MS: u32 = 600_000;

/// Makes connections to one server.
pub(crate) struct Connector {
    pub config: SourceConfig,
    pub pki: Pki,
    pub timing: Timing,
    pub clock: Arc<dyn Clock>,
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
        Self { config, pki: self.pki.clone(), timing: self.timing, clock: self.clock.clone() }
    }

    pub(crate) fn url(&self) -> String {
        self.config.url.to_string()
    }

    fn security(&self) -> Security {
        match self.config.security {
            watchfire_config::Security::None => Security::None,
            watchfire_config::Security::Basic256Sha256 => Security::Basic256Sha256,
        }
    }

    /// Finds the endpoint, checks its certificate, and makes a session for it.
    pub(crate) async fn open(&self) -> Result<Opened, SourceError> {
        let (store, identity) = self.credentials().await?;
        let dial =
            Dial { url: self.config.url.clone(), listen: self.config.reach.listen, patience: self.timing.connect };
        let client = self.client_config();
        let endpoints = discover::endpoints(&client, store.clone(), &dial, &self.timing).await?;
        let security = self.security();
        let endpoint = discover::choose(&endpoints, security, self.config.user.is_some(), &self.url())?;
        if security == Security::None {
            if self.config.user.is_some() {
                tracing::warn!(source = self.config.name, "security is none: the password may travel unencrypted");
            }
        } else {
            self.judge(&endpoint).await?;
        }
        let (session, event_loop) = SessionBuilder::new(&client)
            .with_connector(dial)
            .connect_to_endpoint_directly(endpoint)
            .map(|builder| builder.user_identity_token(identity))
            .and_then(|builder| builder.build(store))
            .map_err(SourceError::request("opening a session"))?;
        Ok(Opened { session, event_loop })
    }

    /// Certificate store and login; makes our certificate if a secured connection needs one and there is none.
    async fn credentials(&self) -> Result<(Arc<RwLock<CertificateStore>>, IdentityToken), SourceError> {
        let (pki, config, security) = (self.pki.clone(), self.config.clone(), self.security());
        off_the_runtime(move || {
            let secured = security != Security::None;
            if secured && pki.ensure_own(&Application::gateway())? {
                let file = pki.own_certificate_path();
                tracing::info!(file = %file.display(), "made our certificate; trust it on the servers to be read");
            }
            let identity = match (&config.user, config.password()?) {
                (Some(user), Some(password)) => IdentityToken::UserName(user.clone(), password.expose().into()),
                _ => IdentityToken::Anonymous,
            };
            Ok((Arc::new(RwLock::new(pki.store(secured))), identity))
        })
        .await
    }

    /// Whether the server's certificate may be used: trusted by a file, and valid today. That it names another host
    /// than the URL is worth a warning only, since a person has trusted exactly this certificate.
    async fn judge(&self, endpoint: &EndpointDescription) -> Result<(), SourceError> {
        let certificate = X509::from_byte_string(&endpoint.server_certificate)
            .map_err(|error| SourceError::Certificate(error.to_string()))?;
        let now = chrono_of(self.clock.now());
        certificate.is_time_valid(&now).map_err(|error| SourceError::Certificate(error.to_string()))?;
        let host = &self.config.url.host;
        if certificate.is_hostname_valid(host).is_err() {
            tracing::warn!(source = self.config.name, host, "the server's certificate is for another host name");
        }
        let (pki, accept) = (self.pki.clone(), self.config.trust_server_certificate);
        let name = self.config.name.clone();
        off_the_runtime(move || match pki.judge(&certificate, accept)? {
            Trust::Trusted => Ok(()),
            Trust::Accepted(file) => {
                tracing::warn!(source = name, file = %file.display(), "trusting a new server certificate as configured");
                Ok(())
            }
            Trust::Rejected(file) => Err(SourceError::Untrusted { file, trusted: pki.trusted_dir() }),
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
            .max_string_length(1 << 20)
            .max_byte_string_length(MESSAGE_BYTES_MAX)
            .pki_dir(self.pki.dir())
            .into_config()
    }

    /// What it means that the session could not be opened.
    fn explain(&self, status: StatusCode) -> SourceError {
        let login = || self.config.user.as_ref().map_or("anonymously".to_owned(), |user| format!("user `{user}`"));
        match status {
            StatusCode::BadIdentityTokenRejected
            | StatusCode::BadIdentityTokenInvalid
            | StatusCode::BadUserAccessDenied
            | StatusCode::BadUserSignatureInvalid => SourceError::Login { user: login(), status },
            StatusCode::BadSecurityChecksFailed
            | StatusCode::BadCertificateUntrusted
            | StatusCode::BadCertificateInvalid
            | StatusCode::BadCertificateUseNotAllowed
            | StatusCode::BadCertificateUriInvalid
            | StatusCode::BadCertificateHostNameInvalid
            | StatusCode::BadCertificateTimeInvalid
            | StatusCode::BadConnectionClosed
            | StatusCode::BadCommunicationError
                if self.security() != Security::None =>
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
                    self.explain(status)
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
                        let error = self.explain(status);
                        if error.needs_person() {
                            return Err(error);
                        }
                        tracing::debug!(source = self.config.name, %error, "still not connected");
                    }
                    Some(Ok(_)) => {}
                    Some(Err(status)) => return Err(self.explain(status)),
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

fn chrono_of(time: watchfire_model::Instant) -> opcua::types::DateTimeUtc {
    let (date_time, _) = watchfire_ua::date_time_from_instant(time);
    date_time.as_chrono()
}
