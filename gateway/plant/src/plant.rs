//! The plant's OPC UA server: its variables, and the task that moves the simulated time.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use opcua::nodes::{DataTypeBuilder, NodeType, VariableBuilder};
use opcua::server::node_manager::memory::{CoreNodeManager, SimpleNodeManager};
use opcua::server::{ReverseConnectTargetConfig, ServerHandle};
use opcua::types::{
    Array, DataTypeId, DataValue, LocalizedText, NodeId, ObjectId, RedundancySupport, StatusCode, VariableId, Variant,
    VariantScalarTypeId,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use watchfire_model::{Clock, Kind, SystemClock};
use watchfire_ua::{Application, date_time_from_instant};

use crate::catalog::{NAMESPACE, PlantSignal, signals};
use crate::serve::{Running, Serve};
use crate::{FaultSchedule, PlantError, Process};

/// How often the simulation goes on and the variables that are due are updated.
const TICK_MS: u32 = 50;

/// How the plant is to be.
#[derive(Clone)]
pub struct PlantOptions {
    /// The address to listen on, also the host of its URL. Default `localhost`.
    pub host: String,
    /// The port; 0 takes any free one. Default 4841.
    pub port: u16,
    /// Seed of the noise.
    pub seed: u64,
    /// Plant seconds for a second of ours. Default 1.
    pub time_scale: f64,
    /// Which faults come when.
    pub faults: FaultSchedule,
    /// A certificate folder: with it, Basic256Sha256 is offered beside None.
    pub pki_dir: Option<PathBuf>,
    /// User and password; with them anonymous access ends.
    pub user: Option<(String, String)>,
    /// How much the server allows at once.
    pub limits: PlantLimits,
    /// The clock of the time stamps.
    pub clock: Arc<dyn Clock>,
}

/// Limits of the plant's server; small ones make it behave like a small controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlantLimits {
    /// MaxNodesPerRead.
    pub nodes_per_read: usize,
    /// MaxMonitoredItemsPerCall.
    pub items_per_call: usize,
    /// Monitored items of one subscription.
    pub items_per_subscription: usize,
}

impl Default for PlantLimits {
    fn default() -> Self {
        Self { nodes_per_read: 10_000, items_per_call: 1_000, items_per_subscription: 100_000 }
    }
}

impl Default for PlantOptions {
    fn default() -> Self {
        Self {
            host: "localhost".to_owned(),
            port: 4841,
            seed: 1,
            time_scale: 1.0,
            faults: FaultSchedule::demo(),
            pki_dir: None,
            user: None,
            limits: PlantLimits::default(),
            clock: Arc::new(SystemClock),
        }
    }
}

impl PlantOptions {
    /// The demonstration's plant: the default one, with faults.
    #[must_use]
    pub fn demo() -> Self {
        Self { faults: FaultSchedule::demo(), ..Self::default() }
    }
}

/// A plant that runs until it is told to stop.
pub struct Plant {
    address: SocketAddr,
    url: String,
    handle: ServerHandle,
    tasks: Vec<JoinHandle<()>>,
}

impl fmt::Debug for Plant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plant").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Plant {
    /// Starts the plant; it listens when this returns. Needs a Tokio runtime.
    ///
    /// # Errors
    /// When the address is taken, or the certificates cannot be made.
    pub async fn start(options: PlantOptions, stop: CancellationToken) -> Result<Self, PlantError> {
        let serve = Serve {
            application: Application::on_this_host("Watchfire plant"),
            namespace: NAMESPACE,
            host: &options.host,
            port: options.port,
            pki_dir: options.pki_dir.clone(),
            user: options.user.clone(),
            limits: options.limits,
            stop: stop.clone(),
        };
        let served = serve.listen().await?;
        let (nodes, namespace) = (served.nodes.clone(), served.namespace);
        add_nodes(&nodes, namespace);
        let process = Process::new(options.seed, options.faults);
        let ids = signals().iter().map(|signal| NodeId::new(namespace, signal.name)).collect();
        let time_scale = if options.time_scale > 0.0 { options.time_scale } else { 1.0 };
        let handle = served.handle.clone();
        let mut mover = Mover { process, ids, nodes, handle, clock: options.clock, time_scale };
        // Before anybody can ask, so that nobody sees a plant of zeros.
        mover.show(0);
        let moving = tokio::spawn(mover.run(stop));
        let handle = served.handle.clone();
        let Running { address, url, task } = served.run();
        tracing::info!(url, signals = signals().len(), "the plant runs");
        Ok(Self { address, url, handle, tasks: vec![task, moving] })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL, for a source or an HMI.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Opens connections to a client (reverse connect, OPC 10000-6 §7.1.3), again and again until one stays.
    pub fn connect_to(&self, client: SocketAddr) {
        self.handle.add_reverse_connect_target(ReverseConnectTargetConfig {
            address: client,
            endpoint_url: format!("{}/", self.url),
            id: client.to_string(),
        });
    }

    /// Says how well it is: 200 and more is well (OPC 10000-4 §6.6.2.4.2).
    pub fn set_service_level(&self, level: u8) {
        self.handle.set_service_level(level);
    }

    /// Says how others stand in for it (OPC 10000-5 §6.3.7).
    pub fn set_redundancy(&self, mode: RedundancySupport) {
        let Some(core) = self.handle.node_managers().get_of_type::<CoreNodeManager>() else { return };
        let node = NodeId::from(VariableId::Server_ServerRedundancy_RedundancySupport);
        if let Some(NodeType::Variable(variable)) = core.address_space().write().find_mut(&node) {
            variable.set_data_value(DataValue::new_now(mode as i32));
        }
    }

    /// Waits until it has stopped.
    pub async fn stopped(self) {
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::warn!(%error, "a task of the plant failed");
            }
        }
    }
}

/// Moves the process and shows what its sensors say.
struct Mover {
    process: Process,
    ids: Vec<NodeId>,
    nodes: Arc<SimpleNodeManager>,
    handle: ServerHandle,
    clock: Arc<dyn Clock>,
    time_scale: f64,
}

impl Mover {
    async fn run(mut self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(Duration::from_millis(u64::from(TICK_MS)));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut now_ms = 0_u32;
        let mut last = ticks.tick().await;
        loop {
            let at = tokio::select! {
                () = stop.cancelled() => return,
                at = ticks.tick() => at,
            };
            self.process.step(at.duration_since(last).as_secs_f64() * self.time_scale);
            last = at;
            now_ms = now_ms.wrapping_add(TICK_MS);
            self.show(now_ms);
        }
    }

    /// Updates the variables that are due.
    fn show(&mut self, now_ms: u32) {
        let (time, _) = date_time_from_instant(self.clock.now());
        let shown = self.process.values();
        let product = self.process.product();
        let due = signals().iter().zip(&self.ids).zip(shown).filter(|((s, _), _)| now_ms % s.update_ms < TICK_MS);
        let values = due.map(|((signal, id), value)| {
            let data = DataValue {
                value: Some(variant(signal, value, product)),
                status: Some(StatusCode::Good),
                source_timestamp: Some(time),
                server_timestamp: Some(time),
                ..Default::default()
            };
            (id, None, data)
        });
        if let Err(status) = self.nodes.set_values(self.handle.subscriptions(), values) {
            tracing::warn!(%status, "the plant could not show its values");
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "discrete values are small whole numbers")]
fn variant(signal: &PlantSignal, value: f64, product: &str) -> Variant {
    match signal.kind {
        Kind::Boolean => Variant::Boolean(value != 0.0),
        Kind::Enumeration => Variant::Int32(value as i32),
        Kind::Unsigned => Variant::UInt32(value as u32),
        Kind::Text => Variant::String(product.into()),
        _ => Variant::Double(value),
    }
}

/// `Objects/Plant/pump/flow` and so on, read-only; the mode has an enumeration type of its own.
fn add_nodes(nodes: &SimpleNodeManager, namespace: u16) {
    let mut space = nodes.address_space().write();
    let id = |name: &str| NodeId::new(namespace, name);
    let mode_type = id("ModeType");
    DataTypeBuilder::new(&mode_type, "ModeType", "ModeType").subtype_of(DataTypeId::Enumeration).insert(&mut *space);
    let names = ["Off", "Run", "Clean"].map(|name| Variant::from(LocalizedText::from(name)));
    if let Ok(names) = Array::new(VariantScalarTypeId::LocalizedText, names.to_vec()) {
        VariableBuilder::new(&id("ModeType/EnumStrings"), "EnumStrings", "EnumStrings")
            .data_type(DataTypeId::LocalizedText)
            .value_rank(1)
            .value(Variant::from(names))
            .property_of(mode_type.clone())
            .insert(&mut *space);
    }
    let root = id("Plant");
    space.add_folder(&root, "Plant", "Plant", &ObjectId::ObjectsFolder.into());
    for signal in signals() {
        let (unit, name) = signal.name.split_once('/').unwrap_or(("", signal.name));
        let folder = id(unit);
        if !space.node_exists(&folder) {
            space.add_folder(&folder, unit, unit, &root);
        }
        let data_type: NodeId = match signal.kind {
            Kind::Boolean => DataTypeId::Boolean.into(),
            Kind::Unsigned => DataTypeId::UInt32.into(),
            Kind::Enumeration => mode_type.clone(),
            Kind::Text => DataTypeId::String.into(),
            _ => DataTypeId::Double.into(),
        };
        VariableBuilder::new(&id(signal.name), name, name)
            .description(signal.description)
            .data_type(data_type)
            .value(variant(signal, 0.0, ""))
            .minimum_sampling_interval(f64::from(signal.update_ms))
            .organized_by(folder)
            .insert(&mut *space);
    }
}
