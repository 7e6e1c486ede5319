//! The server as a whole: made from its settings, run until it is told to stop.

use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use opcua::crypto::X509Data;
use opcua::server::diagnostics::DiagnosticsNodeManagerBuilder;
use opcua::server::node_manager::ServerContext;
use opcua::server::{ServerBuilder, ServerEndpoint, ServerHandle};
use opcua::sync::{Mutex, RwLock};
use opcua::types::{BuildInfo, DateTime};
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use watchfire_config::{Security, ServerConfig, Texts};
use watchfire_model::Clock;
use watchfire_pipeline::{AlarmFigures, Commands, FirstToEnd, Latest, OperatorConsole, Recorded, Surface};
use watchfire_ua::{Application, Kinds, Pki};

use crate::audit::{self, Audit};
use crate::core::CoreBuilder;
use crate::detector_parts::DetectorNode;
use crate::device_types::{DEVICES, DEVICES_URI};
use crate::editor::Editor;
use crate::error::ServerError;
use crate::followers::Followers;
use crate::limits::limits;
use crate::manager::Manager;
use crate::names::{NAMESPACE, NAMESPACE_URI};
use crate::profiles::profiles;
use crate::publisher::Publisher;
use crate::rejected::Rejected;
use crate::shared::Shared;
use crate::space::{SignalNode, Space};
use crate::teller::Teller;
use crate::tongues::Tongues;
use crate::users::Users;
use crate::watch::Watch;

/// How often subscriptions are looked at: a bound on how late an event is beyond its publishing interval.
const SUBSCRIPTION_TICK_MS: u64 = 10;
/// How long clients get to say goodbye.
const GOODBYE: Duration = Duration::from_millis(1500);
/// The longest time for which a session that is silent keeps its place: anybody can ask for one.
const SESSION_TIMEOUT_MS: u64 = 300_000;
/// Passwords are encrypted so even where messages are not.
const PASSWORD_POLICY: &str = "Basic256Sha256";

/// What a server is made of.
pub struct ServerOptions {
    /// `[server]`.
    pub config: ServerConfig,
    /// The folder of certificates: `own`, `trusted`, `rejected`.
    pub pki_dir: PathBuf,
    /// Who we are; the certificate must say the same.
    pub application: Application,
    /// Areas that are there even while nothing is in them, parts separated by `/`.
    pub areas: Vec<String>,
    /// Where things without an area go.
    pub default_area: String,
    /// The signals.
    pub signals: Vec<SignalNode>,
    /// The detectors.
    pub detectors: Vec<DetectorNode>,
    /// The operator consoles, which `figures` counts for.
    pub consoles: Vec<OperatorConsole>,
    /// What is told to people, in their languages.
    pub texts: Texts,
    /// Their latest values.
    pub latest: Arc<Latest>,
    /// What their values are, as far as it was found out; before the kinds of `signals`.
    pub kinds: Kinds,
    /// How the alarms are doing.
    pub figures: Arc<AlarmFigures>,
    /// The certificate that ends first.
    pub first_to_end: Arc<FirstToEnd>,
    /// What was recorded of the signals.
    pub recorded: Arc<dyn Recorded>,
    /// The way to the annunciator.
    pub commands: Commands,
    /// Wall time.
    pub clock: Arc<dyn Clock>,
}

/// The OPC UA server.
pub struct Server {
    stack: opcua::server::Server,
    handle: ServerHandle,
    listener: TcpListener,
    address: SocketAddr,
    token: CancellationToken,
    pub(crate) publisher: Arc<Publisher>,
    pub(crate) teller: Teller,
    rejected: Rejected,
    pub(crate) auditing: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Server {
    /// Makes a server that listens already, and the surface that shows alarms on it. Must be called on a Tokio runtime;
    /// blocks: the first time it makes a certificate, which takes about a second.
    ///
    /// # Errors
    /// When the address cannot be had, the certificates cannot be used, or the settings do not fit together.
    pub fn build(options: ServerOptions) -> Result<(Self, Arc<dyn Surface>), ServerError> {
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(ServerError::Runtime);
        }
        let (listener, address) = listen(&options.config)?;
        let pki = Pki::new(&options.pki_dir);
        if pki.ensure_own(&options.application)? {
            tracing::info!(certificate = %pki.own_certificate_path().display(), "made a certificate for this gateway");
        }
        pki.serve_own()?;
        let (audit, audited) = Audit::new(options.application.uri.clone());
        let audit = Arc::new(audit);
        let users = Arc::new(Users::new(&options.config, pki.clone(), options.clock.clone(), audit.clone())?);
        let token = CancellationToken::new();
        let builder = builder(&options, &pki, address, users.clone(), token.clone());
        let clock = options.clock.clone();
        let shared = Arc::new(Shared {
            space: RwLock::new(
                Space::new(&options.default_area, &options.areas, options.signals)
                    .with_detectors(options.detectors)
                    .with_consoles(options.consoles)
                    .with_first_to_end(options.first_to_end),
            ),
            watch: Watch::default(),
            followers: Followers::default(),
            tongues: Tongues::new(&options.texts, &options.config),
            refreshing: Arc::default(),
            latest: options.latest,
            kinds: options.kinds,
            figures: options.figures,
            recorded: options.recorded,
            commands: options.commands,
            users: users.clone(),
            audit: audit.clone(),
            profiles: profiles(&options.config),
            clock: options.clock,
            telling: Mutex::new(()),
            stop: token.clone(),
        });
        let ours = shared.clone();
        let (stack, handle) = builder
            .with_node_manager(CoreBuilder(shared.clone()))
            .with_node_manager(DiagnosticsNodeManagerBuilder)
            .with_node_manager(move |context: ServerContext| Manager::new(ours, &context))
            .build()
            .map_err(ServerError::Settings)?;
        if handle.get_namespace_index(NAMESPACE_URI) != Some(NAMESPACE) {
            return Err(ServerError::Settings(format!(
                "the namespace `{NAMESPACE_URI}` must have the index {NAMESPACE}"
            )));
        }
        if handle.get_namespace_index(DEVICES_URI) != Some(DEVICES) {
            return Err(ServerError::Settings(format!("the namespace `{DEVICES_URI}` must have the index {DEVICES}")));
        }
        let types = handle.info().type_tree.clone();
        let auditing = Box::pin(audit::run(audit, audited, users, handle.subscriptions().clone(), types));
        let publisher = Arc::new(Publisher::default());
        let teller = Teller {
            shared,
            subscriptions: handle.subscriptions().clone(),
            types: handle.info().type_tree.clone(),
            burst: Mutex::default(),
        };
        let surface: Arc<dyn Surface> = publisher.clone();
        pki.decide_for(&mut stack.certificate_store().write(), clock.clone());
        let rejected = Rejected::new(pki, clock);
        Ok((Self { stack, handle, listener, address, token, publisher, teller, rejected, auditing }, surface))
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The way to what it shows, also while it runs.
    #[must_use]
    pub fn editor(&self) -> Editor {
        Editor {
            shared: self.teller.shared.clone(),
            subscriptions: self.teller.subscriptions.clone(),
            stack: self.handle.clone(),
        }
    }

    /// Serves clients until it is told to stop, from when they can be told all that stood before the start ([`Surface::complete`]):
    /// whoever connects sooner waits, since what he read or refreshed then would be a part, and what he watched not there.
    /// Says goodbye to them within two seconds.
    ///
    /// # Errors
    /// When the listening socket fails.
    pub async fn run(self, stop: CancellationToken) -> Result<(), ServerError> {
        let Self { stack, listener, address, token, publisher, teller, rejected, auditing, .. } = self;
        let failed = |source| ServerError::Listen { address: address.to_string(), source };
        listener.set_nonblocking(true).map_err(failed)?;
        let listener = tokio::net::TcpListener::from_std(listener).map_err(failed)?;
        let _stops_with_us = token.clone().drop_guard();
        // Tasks of their own, so that telling a flood of alarms holds up neither requests nor publishing.
        let following = Followers::run(teller.shared.clone(), teller.subscriptions.clone());
        let mut following = AbortOnDropHandle::new(tokio::spawn(following));
        let begins = publisher.clone();
        let mut publishing = AbortOnDropHandle::new(tokio::spawn(async move { publisher.run(teller).await }));
        let mut auditing = AbortOnDropHandle::new(tokio::spawn(auditing));
        let _watching = AbortOnDropHandle::new(tokio::spawn(rejected.watch()));
        let stopped = token.clone();
        let serving = async move {
            tokio::select! {
                () = begins.completed() => stack.run_with(listener).await,
                () = stopped.cancelled() => Ok(()),
            }
        };
        tokio::pin!(serving);
        let why = |ended: Result<(), JoinError>| ended.err().map_or_else(String::new, |why| why.to_string());
        let outcome = tokio::select! {
            ended = &mut serving => return ended.map_err(ServerError::Settings),
            ended = &mut publishing => Err(ServerError::Publisher(why(ended))),
            ended = &mut following => Err(ServerError::Followers(why(ended))),
            ended = &mut auditing => Err(ServerError::Audit(why(ended))),
            () = stop.cancelled() => Ok(()),
        };
        token.cancel();
        match tokio::time::timeout(GOODBYE, serving).await {
            Ok(ended) => outcome.and(ended.map_err(ServerError::Settings)),
            Err(_) => {
                tracing::warn!("some clients did not close in time: their connections are dropped");
                outcome
            }
        }
    }
}

fn listen(config: &ServerConfig) -> Result<(TcpListener, SocketAddr), ServerError> {
    let named = || format!("{}:{}", config.host, config.port);
    let failed = |source| ServerError::Listen { address: named(), source };
    let mut addresses: Vec<SocketAddr> =
        (config.host.as_str(), config.port).to_socket_addrs().map_err(failed)?.collect();
    // `localhost` has both; more HMIs can do the older.
    addresses.sort_by_key(SocketAddr::is_ipv6);
    let listener = TcpListener::bind(addresses.as_slice()).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// The host that clients are told to connect to: the configured one, or this machine's name for "every interface".
fn advertised_host(config: &ServerConfig, address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        X509Data::computer_hostnames().into_iter().next().unwrap_or_else(|| "localhost".to_owned())
    } else if config.host.contains(':') {
        format!("[{}]", config.host)
    } else {
        config.host.clone()
    }
}

fn builder(
    options: &ServerOptions,
    pki: &Pki,
    address: SocketAddr,
    users: Arc<Users>,
    token: CancellationToken,
) -> ServerBuilder {
    let host = advertised_host(&options.config, address);
    let url = format!("opc.tcp://{host}:{}/", address.port());
    let application = &options.application;
    let mut builder = ServerBuilder::new()
        .without_node_managers()
        .application_name(&application.name)
        .application_uri(&application.uri)
        .product_uri("urn:watchfire")
        .build_info(BuildInfo {
            product_uri: "urn:watchfire".into(),
            manufacturer_name: "Watchfire".into(),
            product_name: "Watchfire".into(),
            software_version: env!("CARGO_PKG_VERSION").into(),
            build_number: env!("CARGO_PKG_VERSION").into(),
            build_date: DateTime::null(),
        })
        .pki_dir(pki.dir())
        .certificate_path(Pki::served_certificate())
        .private_key_path(Pki::served_key())
        .create_sample_keypair(false)
        .trust_client_certs(false)
        .with_authenticator(users)
        .host(host)
        .port(address.port())
        .discovery_urls(vec![url])
        .limits(limits())
        .subscription_poll_interval_ms(SUBSCRIPTION_TICK_MS)
        .max_session_timeout_ms(SESSION_TIMEOUT_MS)
        // Whoever gives no hint waits for as long as it takes (OPC 10000-4 §7.33).
        .publish_timeout_default_ms(0)
        .max_secure_channel_token_lifetime_ms(3_600_000)
        .diagnostics_enabled(true)
        .token(token);
    for security in &options.config.security {
        builder = match security {
            Security::None => {
                let mut endpoint = ServerEndpoint::new_none("/", &[]);
                endpoint.password_security_policy = Some(PASSWORD_POLICY.to_owned());
                builder.add_endpoint("none", endpoint)
            }
            Security::Basic256Sha256 => {
                builder.add_endpoint("basic256sha256", ServerEndpoint::new_basic256sha256_sign_encrypt("/", &[]))
            }
            Security::Aes128Sha256RsaOaep => builder.add_endpoint(
                "aes128_sha256_rsaoaep",
                ServerEndpoint::new_aes128_sha256_rsaoaep_sign_encrypt("/", &[]),
            ),
            Security::Aes256Sha256RsaPss => builder
                .add_endpoint("aes256_sha256_rsapss", ServerEndpoint::new_aes256_sha256_rsapss_sign_encrypt("/", &[])),
        };
    }
    builder
}
