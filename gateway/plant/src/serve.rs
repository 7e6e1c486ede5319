//! An OPC UA server of simulated variables: socket, endpoints, limits, end. Knows no variable.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use opcua::server::diagnostics::NamespaceMetadata;
use opcua::server::node_manager::memory::{SimpleNodeManager, simple_node_manager};
use opcua::server::{ANONYMOUS_USER_TOKEN_ID, Server, ServerBuilder, ServerEndpoint, ServerHandle, ServerUserToken};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use watchfire_ua::{Application, Pki, Policy, Security};

use crate::{PlantError, PlantLimits};

const USER_TOKEN_ID: &str = "user";
/// How often the server looks whether a publishing interval is over: bounds the delay it adds to a value.
const POLL_MS: u64 = 20;
/// Sessions at once. Those of clients that were killed count until they run out.
const SESSIONS: usize = 500;

/// What a simulated server is to be.
pub(crate) struct Serve<'a> {
    pub application: Application,
    pub namespace: &'a str,
    pub host: &'a str,
    pub port: u16,
    pub pki_dir: Option<PathBuf>,
    pub user: Option<(String, String)>,
    pub limits: PlantLimits,
    pub stop: CancellationToken,
}

/// A simulated server whose socket listens; nobody is answered before it runs.
pub(crate) struct Served {
    pub handle: ServerHandle,
    pub nodes: Arc<SimpleNodeManager>,
    pub namespace: u16,
    server: Server,
    listener: TcpListener,
    address: SocketAddr,
    url: String,
}

/// A simulated server that runs.
pub(crate) struct Running {
    pub address: SocketAddr,
    pub url: String,
    pub task: JoinHandle<()>,
}

impl Served {
    /// Answers clients until the server is stopped.
    pub fn run(self) -> Running {
        let (server, listener) = (self.server, self.listener);
        let task = tokio::spawn(async move {
            if let Err(reason) = server.run_with(listener).await {
                tracing::error!(reason, "the simulated server ended");
            }
        });
        Running { address: self.address, url: self.url, task }
    }
}

impl Serve<'_> {
    /// Listens and makes the server, so that its nodes can be made.
    pub async fn listen(self) -> Result<Served, PlantError> {
        let address = format!("{}:{}", self.host, self.port);
        let listener = TcpListener::bind(&address)
            .await
            .map_err(|cause| PlantError::Listen { address: address.clone(), cause })?;
        let address = listener.local_addr().map_err(|cause| PlantError::Listen { address, cause })?;
        let metadata = NamespaceMetadata { namespace_uri: self.namespace.to_owned(), ..Default::default() };
        let (host, uri) = (self.host.to_owned(), self.namespace.to_owned());
        let builder = self.builder(address.port())?.with_node_manager(simple_node_manager(metadata, "simulation"));
        let (server, handle) = builder.build().map_err(PlantError::Server)?;
        let missing = |what: &str| PlantError::Server(format!("it has no {what}"));
        let nodes = handle.node_managers().get_of_type::<SimpleNodeManager>().ok_or_else(|| missing("node manager"))?;
        let namespace = handle.get_namespace_index(&uri).ok_or_else(|| missing("namespace"))?;
        let url = format!("opc.tcp://{host}:{}", address.port());
        Ok(Served { handle, nodes, namespace, server, listener, address, url })
    }

    fn builder(self, port: u16) -> Result<ServerBuilder, PlantError> {
        let tokens = match &self.user {
            None => vec![ANONYMOUS_USER_TOKEN_ID.to_owned()],
            Some(_) => vec![USER_TOKEN_ID.to_owned()],
        };
        let endpoint = |security: Security| ServerEndpoint::new("/", security.policy(), security.mode(), &tokens);
        let mut builder = ServerBuilder::new()
            .application_name(self.application.name.clone())
            .application_uri(self.application.uri.clone())
            .product_uri(self.namespace)
            .host(self.host)
            .port(port)
            .token(self.stop)
            .discovery_urls(vec!["/".to_owned()])
            .add_endpoint("none", endpoint(Security::NONE))
            .subscription_poll_interval_ms(POLL_MS);
        if let Some((user, password)) = &self.user {
            builder = builder.add_user_token(USER_TOKEN_ID, ServerUserToken::user_pass(user, password));
        }
        if let Some(dir) = self.pki_dir {
            Pki::new(&dir).ensure_own(&self.application)?;
            builder = builder.pki_dir(dir).certificate_path(Pki::own_certificate()).private_key_path(Pki::own_key());
            for policy in Policy::ALL.into_iter().filter(|policy| *policy != Policy::None) {
                builder = builder
                    .add_endpoint(format!("{policy} signed"), endpoint(Security::signed(policy)))
                    .add_endpoint(format!("{policy} encrypted"), endpoint(Security::encrypted(policy)));
            }
        }
        let limits = builder.limits_mut();
        limits.max_sessions = SESSIONS;
        limits.operational.max_nodes_per_read = self.limits.nodes_per_read;
        limits.operational.max_monitored_items_per_call = self.limits.items_per_call;
        limits.subscriptions.max_monitored_items_per_sub = self.limits.items_per_subscription;
        limits.subscriptions.min_sampling_interval_ms = 10.0;
        limits.subscriptions.min_publishing_interval_ms = 10.0;
        limits.subscriptions.max_monitored_item_queue_size = 1_000;
        limits.subscriptions.max_queued_notifications = 100;
        Ok(builder)
    }
}
