//! A server of many signals that change at a rate, for load tests and benchmarks. Not a plant: the values are a ramp.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opcua::nodes::{NodeType, VariableBuilder};
use opcua::server::ServerHandle;
use opcua::server::address_space::AddressSpace;
use opcua::server::node_manager::memory::SimpleNodeManager;
use opcua::types::{AttributeId, DataTypeId, DataValue, DateTime, NodeId, ObjectId, StatusCode};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use watchfire_model::{Clock, Instant, SystemClock};
use watchfire_ua::{Application, date_time_from_instant};

use crate::PlantError;
use crate::serve::{Running, Serve};

/// The load server's namespace.
pub const NAMESPACE: &str = "urn:watchfire:load";

const ROOT: &str = "Load";
/// How often a share of the signals is updated.
const SLICE_MS: u32 = 20;

/// What load to make.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// The address to listen on, also the host of its URL.
    pub host: String,
    /// The port; 0 takes any free one.
    pub port: u16,
    /// How many signals.
    pub signals: u32,
    /// How often each changes, a second.
    pub rate_hz: f64,
}

/// A load server that runs until it is told to stop.
pub struct LoadServer {
    address: SocketAddr,
    url: String,
    nodes: Arc<SimpleNodeManager>,
    handle: ServerHandle,
    namespace: u16,
    signals: u32,
    sent: Arc<AtomicU64>,
    tasks: Vec<JoinHandle<()>>,
}

impl LoadServer {
    /// Starts it. 50,000 variables take about a second and 100 MB.
    ///
    /// # Errors
    /// When the address is taken.
    pub async fn start(options: LoadOptions, stop: CancellationToken) -> Result<Self, PlantError> {
        let serve = Serve {
            application: Application::on_this_host("Watchfire load"),
            namespace: NAMESPACE,
            host: &options.host,
            port: options.port,
            pki_dir: None,
            user: None,
            limits: crate::PlantLimits::default(),
            stop: stop.clone(),
        };
        let served = serve.listen().await?;
        let namespace = served.namespace;
        let ids: Vec<NodeId> = (0..options.signals).map(|number| NodeId::new(namespace, number)).collect();
        add_nodes(&served.nodes, namespace, &ids);
        let (handle, nodes) = (served.handle.clone(), served.nodes.clone());
        let Running { address, url, task } = served.run();
        let sent = Arc::new(AtomicU64::new(0));
        let changing = tokio::spawn(change(ids, options.rate_hz, handle.clone(), sent.clone(), stop));
        Ok(Self { address, url, nodes, handle, namespace, signals: options.signals, sent, tasks: vec![task, changing] })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The node id of a signal, as a configuration writes it.
    #[must_use]
    pub fn node(number: u32) -> String {
        format!("nsu={NAMESPACE};i={number}")
    }

    /// Adds a signal that does not change while the server runs, as a controller does after a download.
    pub fn add_signal(&self, number: u32) {
        let id = NodeId::new(self.namespace, number);
        insert(&mut self.nodes.address_space().write(), &NodeId::new(self.namespace, ROOT), &id, number as usize);
    }

    /// Gives a signal another value now, beside the changes at the rate; returns the value's source time stamp.
    pub fn change(&self, number: u32, value: f64) -> Instant {
        let now = SystemClock.now();
        let (time, _) = date_time_from_instant(now);
        let id = NodeId::new(self.namespace, number);
        self.handle.subscriptions().notify_data_change(std::iter::once((
            data_value(value, time),
            &id,
            AttributeId::Value,
        )));
        self.sent.fetch_add(1, Ordering::Relaxed);
        now
    }

    /// Gives all signals another value at once, which whoever subscribes later is given as well.
    pub fn change_all(&self, value: f64) {
        let (time, _) = date_time_from_instant(SystemClock.now());
        let ids: Vec<NodeId> = (0..self.signals).map(|number| NodeId::new(self.namespace, number)).collect();
        self.keep(&ids, &data_value(value, time));
        let changes = ids.iter().map(|id| (data_value(value, time), id, AttributeId::Value));
        self.handle.subscriptions().notify_data_change(changes);
        self.sent.fetch_add(u64::from(self.signals), Ordering::Relaxed);
    }

    /// What a Read gives from now on.
    fn keep(&self, ids: &[NodeId], value: &DataValue) {
        let mut space = self.nodes.address_space().write();
        for id in ids {
            if let Some(NodeType::Variable(node)) = space.find_mut(id) {
                node.set_data_value(value.clone());
            }
        }
    }

    /// How many changes it has offered to its subscriptions so far.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Waits until it has stopped.
    pub async fn stopped(self) {
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::warn!(%error, "a task of the load server failed");
            }
        }
    }
}

fn add_nodes(nodes: &SimpleNodeManager, namespace: u16, ids: &[NodeId]) {
    let mut space = nodes.address_space().write();
    let root = NodeId::new(namespace, ROOT);
    space.add_folder(&root, ROOT, ROOT, &ObjectId::ObjectsFolder.into());
    for (number, id) in ids.iter().enumerate() {
        insert(&mut space, &root, id, number);
    }
}

fn insert(space: &mut AddressSpace, root: &NodeId, id: &NodeId, number: usize) {
    let name = format!("signal{number}");
    VariableBuilder::new(id, name.as_str(), name.as_str())
        .data_type(DataTypeId::Double)
        .value(0.0)
        .organized_by(root.clone())
        .insert(space);
}

/// Hands changes straight to the subscriptions, past the address space: a Read still gives the value before. Each slice
/// changes its share of the signals, so that the load is even; a slice that comes late makes up for it.
async fn change(ids: Vec<NodeId>, rate_hz: f64, handle: ServerHandle, sent: Arc<AtomicU64>, stop: CancellationToken) {
    let Some(last) = ids.len().checked_sub(1) else { return };
    let mut slices = tokio::time::interval(Duration::from_millis(u64::from(SLICE_MS)));
    let begin = slices.tick().await;
    let (mut done, mut next) = (0_u64, 0_usize);
    loop {
        let at = tokio::select! {
            () = stop.cancelled() => return,
            at = slices.tick() => at,
        };
        let due = due_changes(at.duration_since(begin), rate_hz, ids.len());
        let (time, _) = date_time_from_instant(SystemClock.now());
        let count = due.saturating_sub(done).min(ids.len() as u64);
        let batch = (0..count).map_while(|step| {
            let id = ids.get(next)?;
            next = if next == last { 0 } else { next + 1 };
            let value = f64::from(u32::try_from((done + step) % 1_000_000).unwrap_or(0)) / 8.0;
            Some((data_value(value, time), id, AttributeId::Value))
        });
        handle.subscriptions().notify_data_change(batch);
        done = due;
        sent.fetch_add(count, Ordering::Relaxed);
    }
}

fn data_value(value: f64, time: DateTime) -> DataValue {
    DataValue {
        value: Some(value.into()),
        status: Some(StatusCode::Good),
        source_timestamp: Some(time),
        server_timestamp: Some(time),
        ..Default::default()
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a count")]
fn due_changes(since_begin: Duration, rate_hz: f64, signals: usize) -> u64 {
    (since_begin.as_secs_f64() * rate_hz * signals as f64) as u64
}
