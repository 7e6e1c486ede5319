//! A client as the library makes it, with the limits and the items that the gateway asks for too.

use std::sync::Arc;
use std::time::Duration;

use opcua::client::{ClientBuilder, OnSubscriptionNotificationCore, Session};
use opcua::types::{
    AttributeId, DataChangeFilter, DataChangeTrigger, ExtensionObject, MessageSecurityMode, MonitoredItemCreateRequest,
    MonitoringMode, MonitoringParameters, NodeId, ReadValueId, StatusCode, TimestampsToReturn,
};
use tokio::task::JoinHandle;
use watchfire_plant::load::NAMESPACE;

use crate::Failure;

const MESSAGE_BYTES_MAX: usize = 64 << 20;
/// Items of one subscription, values of one message, items made by one request: as the gateway has them.
const ITEMS_PER_SUBSCRIPTION: u32 = 10_000;
const NOTIFICATIONS_PER_PUBLISH: u32 = 2_000;
const ITEMS_PER_REQUEST: usize = 1_000;

/// What to subscribe to.
pub struct Subscribed {
    pub signals: u32,
    pub publishing_ms: u64,
    pub sampling_ms: f64,
    pub queue: u32,
}

/// A connected session.
pub struct Client {
    pub session: Arc<Session>,
    running: JoinHandle<StatusCode>,
}

impl Client {
    /// Connects without security, as the benchmarks' servers do.
    pub async fn connect(url: &str) -> Result<Self, Failure> {
        let client = ClientBuilder::new()
            .application_name("bench")
            .application_uri("urn:watchfire:bench")
            .create_sample_keypair(false)
            .pki_dir(std::env::temp_dir().join("watchfire-bench-without-certificates"))
            .session_retry_limit(0)
            .max_message_size(MESSAGE_BYTES_MAX)
            .max_chunk_count(MESSAGE_BYTES_MAX / 8192)
            .max_array_length(1 << 20)
            .max_string_length(1 << 20)
            .max_byte_string_length(MESSAGE_BYTES_MAX)
            .client()
            .map_err(|errors| errors.join("; "))?;
        let endpoints = client.get_server_endpoints_from_url(url).await?;
        let open = endpoints.into_iter().find(|endpoint| endpoint.security_mode == MessageSecurityMode::None);
        let endpoint = open.ok_or_else(|| format!("`{url}` has no endpoint without security"))?;
        let (session, events) = client
            .session_builder()
            .connect_to_endpoint_directly(endpoint)?
            .build(client.certificate_store().clone())?;
        let running = events.spawn();
        if !session.wait_for_connection().await {
            return Err(format!("`{url}` does not let us in").into());
        }
        Ok(Self { session, running })
    }

    /// Subscribes to the load server's signals.
    pub async fn subscribe<C>(&self, wanted: &Subscribed, callback: impl Fn() -> C) -> Result<(), Failure>
    where
        C: OnSubscriptionNotificationCore + 'static,
    {
        let namespaces = self.session.read_namespace_array().await?;
        let namespace = namespaces.get_index(NAMESPACE);
        let namespace = namespace.ok_or("the server is no load server")?;
        let every = Duration::from_millis(wanted.publishing_ms);
        let mut first = 0;
        while first < wanted.signals {
            let last = wanted.signals.min(first + ITEMS_PER_SUBSCRIPTION);
            let made =
                self.session.create_subscription(every, 1_000, 30, NOTIFICATIONS_PER_PUBLISH, 0, true, callback());
            let subscription = made.await?;
            let items: Vec<_> =
                (first..last).map(|number| item(NodeId::new(namespace, number), number, wanted)).collect();
            for chunk in items.chunks(ITEMS_PER_REQUEST) {
                let made =
                    self.session.create_monitored_items(subscription, TimestampsToReturn::Both, chunk.to_vec()).await?;
                if let Some(bad) = made.iter().find(|item| !item.result.status_code.is_good()) {
                    return Err(format!("an item was refused: {}", bad.result.status_code).into());
                }
            }
            first = last;
        }
        Ok(())
    }

    /// Ends the session.
    pub async fn close(self) -> Result<(), Failure> {
        self.session.disconnect().await?;
        self.running.await?;
        Ok(())
    }
}

fn item(node: NodeId, number: u32, wanted: &Subscribed) -> MonitoredItemCreateRequest {
    let filter = DataChangeFilter { trigger: DataChangeTrigger::StatusValueTimestamp, ..DataChangeFilter::default() };
    MonitoredItemCreateRequest {
        item_to_monitor: ReadValueId {
            node_id: node,
            attribute_id: AttributeId::Value as u32,
            ..ReadValueId::default()
        },
        monitoring_mode: MonitoringMode::Reporting,
        requested_parameters: MonitoringParameters {
            client_handle: number + 1,
            sampling_interval: wanted.sampling_ms,
            filter: ExtensionObject::from_message(filter),
            queue_size: wanted.queue,
            discard_oldest: true,
        },
    }
}
