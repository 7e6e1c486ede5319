//! A plant in a thread of its own that can be killed, a source on it, and what the source hands in.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use watchfire_config::{
    Deadband, EndpointUrl, MessageMode, NodeAddress, Profile, Reach, Security, SignalConfig, SourceConfig,
};
use watchfire_model::{Clock, Gap, Instant, Rows, SignalId, SourceState, StatusCode, SystemClock};
use watchfire_pipeline::{Arrival, ArrivalReceiver, Inlet, LastTimes, Source, inlet};
use watchfire_plant::{FaultSchedule, Plant, PlantOptions};
use watchfire_ua::Kinds;

use crate::{OpcUaSource, Timing};

/// No test waits longer for one event.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Short intervals, so that an outage of tests is over in a second.
pub(super) fn quick() -> Timing {
    Timing {
        retry_min: Duration::from_millis(50),
        retry_max: Duration::from_millis(400),
        connect: Duration::from_secs(3),
        request: Duration::from_millis(1500),
        keep_alive: Duration::from_millis(500),
        refused_retry: Duration::from_millis(300),
        session: Duration::from_secs(5),
        watchdog: Duration::from_millis(300),
        history_lag: Duration::from_millis(100),
        refresh: Duration::from_millis(200),
        awaited: Duration::from_secs(20),
        level: Duration::from_millis(100),
    }
}

/// A plant on a runtime of its own.
pub(super) struct RunningPlant {
    pub(super) plant: Plant,
    runtime: Option<Runtime>,
    pub(super) url: String,
    pub(super) port: u16,
}

pub(super) fn healthy(port: u16) -> PlantOptions {
    PlantOptions { host: "127.0.0.1".to_owned(), port, faults: FaultSchedule::none(), ..PlantOptions::default() }
}

/// A port that can be left and taken again: below those that systems give to outgoing connections of others.
pub(super) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 31_000 + u16::try_from(std::process::id() % 50).unwrap_or_default() * 32;
    let is_free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let mut ports = (0..1_600).map(|_| 31_000 + (first - 31_000 + NEXT.fetch_add(1, Ordering::Relaxed)) % 1_600);
    ports.find(is_free).expect("a port is free")
}

/// At a free port where the options name none.
pub(super) async fn start_plant(mut options: PlantOptions) -> RunningPlant {
    if options.port == 0 {
        options.port = free_port();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let plant = runtime.spawn(Plant::start(options, CancellationToken::new())).await.unwrap().unwrap();
    let (url, port) = (plant.url().to_owned(), plant.address().port());
    RunningPlant { plant, runtime: Some(runtime), url, port }
}

impl RunningPlant {
    /// Ends the plant as a power cut would: no goodbye, the sockets are closed by the system.
    pub(super) fn kill(mut self) -> u16 {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        self.port
    }
}

impl Drop for RunningPlant {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

pub(crate) fn signal(name: &str, node: &str) -> SignalConfig {
    SignalConfig {
        name: format!("plant/{name}"),
        node: NodeAddress::parse(node).unwrap(),
        element: None,
        events: None,
        unit: None,
        range: None,
        sampling_interval: Duration::ZERO,
        queue_size: 20,
        deadband: Deadband::None,
        publishing_interval: Duration::from_millis(50),
        area: "plant".to_owned(),
        role: String::new(),
        group: 0,
        description: String::new(),
    }
}

/// Signals of the plant by their names.
pub(super) fn of_plant(names: &[&str]) -> Vec<SignalConfig> {
    names.iter().map(|name| signal(name, &format!("nsu=urn:watchfire:plant;s={name}"))).collect()
}

pub(crate) fn config(url: &str, signals: Vec<SignalConfig>) -> SourceConfig {
    SourceConfig {
        name: "plant".to_owned(),
        url: EndpointUrl::parse(url).unwrap(),
        reach: Reach::default(),
        security: Security::None,
        user: None,
        password_from: None,
        message_mode: MessageMode::SignAndEncrypt,
        user_certificate: None,
        area: "plant".to_owned(),
        publishing_interval: Duration::from_millis(50),
        profile: Profile::Standard,
        trust_server_certificate: false,
        read_metadata: true,
        signals,
        selects: Vec::new(),
    }
}

/// A source that runs. Signal ids are the places in its configuration.
pub(super) struct RunningSource {
    pub(super) arrivals: ArrivalReceiver,
    pub(super) inlet: Inlet,
    pub(super) kinds: Kinds,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

pub(super) fn start_source(config: SourceConfig, pki_dir: PathBuf, timing: Timing) -> RunningSource {
    start_source_by(Arc::new(SystemClock), config, pki_dir, timing)
}

/// With a clock of the test's.
pub(super) fn start_source_by(
    clock: Arc<dyn Clock>,
    config: SourceConfig,
    pki_dir: PathBuf,
    timing: Timing,
) -> RunningSource {
    start_source_after(&LastTimes::default(), clock, config, pki_dir, timing)
}

/// That is told what was recorded before.
pub(super) fn start_source_after(
    last: &LastTimes,
    clock: Arc<dyn Clock>,
    config: SourceConfig,
    pki_dir: PathBuf,
    timing: Timing,
) -> RunningSource {
    let signals = (0..).map(SignalId).zip(config.signals.clone()).collect();
    let kinds = Kinds::default();
    let mut source = OpcUaSource::new(config, signals, pki_dir, clock, kinds.clone()).with_timing(timing);
    source.recorded(last, &[]);
    let (inlet, arrivals) = inlet();
    let stop = CancellationToken::new();
    let task = tokio::spawn(Box::new(source).run(inlet.clone(), stop.clone()));
    RunningSource { arrivals, inlet, kinds, stop, task }
}

impl RunningSource {
    pub(super) async fn next(&mut self) -> Arrival {
        tokio::time::timeout(PATIENCE, self.arrivals.recv()).await.expect("nothing comes").expect("the source ended")
    }

    /// The first arrival of which `pick` makes something; what comes before is dropped.
    pub(super) async fn until<T>(&mut self, mut pick: impl FnMut(Arrival) -> Option<T>) -> T {
        let search = async {
            loop {
                if let Some(found) = pick(self.next().await) {
                    return found;
                }
            }
        };
        tokio::time::timeout(PATIENCE, search).await.expect("what is awaited does not come")
    }

    pub(super) async fn until_state(&mut self, wanted: SourceState) -> String {
        self.until(|arrival| match arrival {
            Arrival::State { state, reason, .. } if state == wanted => Some(reason),
            _ => None,
        })
        .await
    }

    /// Waits until the source is down with a reason that has `part` in it.
    pub(super) async fn until_down_with(&mut self, part: &str) -> String {
        self.until(|arrival| match arrival {
            Arrival::State { state: SourceState::Down, reason, .. } if reason.contains(part) => Some(reason),
            _ => None,
        })
        .await
    }

    /// Waits for good values of every one of the first `signals` signals.
    pub(super) async fn until_values(&mut self, signals: u32) -> Vec<Gap> {
        let mut missing: HashSet<SignalId> = (0..signals).map(SignalId).collect();
        let mut gaps = Vec::new();
        self.until(|arrival| {
            match arrival {
                Arrival::Rows(rows) => remove_good(&rows, &mut missing),
                Arrival::Gaps(more) => gaps.extend(more),
                _ => {}
            }
            missing.is_empty().then_some(())
        })
        .await;
        gaps
    }

    /// The status of the next signal that cannot be watched.
    pub(super) async fn until_refused(&mut self) -> (SignalId, StatusCode) {
        self.until(|arrival| match arrival {
            Arrival::Signal { signal, status, .. } => Some((signal, status)),
            _ => None,
        })
        .await
    }

    pub(super) async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.task).await.expect("a source stops").unwrap();
    }
}

/// What a source has handed in, all of it.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// Times of the values of each signal, in their order.
    pub(super) times: BTreeMap<SignalId, Vec<Instant>>,
    pub(super) gaps: Vec<Gap>,
    pub(super) states: Vec<SourceState>,
    /// Signals that cannot be watched, with their statuses.
    pub(super) refused: Vec<(SignalId, StatusCode)>,
}

impl Gathered {
    pub(super) fn count(&self, signal: SignalId) -> usize {
        self.times.get(&signal).map_or(0, Vec::len)
    }

    /// Whether it has come as far as another one, for the first three signals.
    pub(super) fn is_as_far_as(&self, other: &Self) -> bool {
        let last = |of: &Self, id| of.times.get(&SignalId(id)).and_then(|times| times.iter().max().copied());
        (0..3).all(|id| last(self, id) >= last(other, id))
    }

    /// It has all that another one has, in order and nothing twice.
    #[track_caller]
    pub(super) fn has_all_of(&self, other: &Self) {
        for id in (0..3).map(SignalId) {
            let (mine, others) = (&self.times[&id], &other.times[&id]);
            let missed: Vec<_> = others.iter().filter(|time| !mine.contains(time)).collect();
            assert!(missed.is_empty(), "signal {id}: {missed:?}");
            assert!(mine.windows(2).all(|pair| pair[0] < pair[1]), "signal {id}: none twice, all in order");
        }
    }

    fn take(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Rows(rows) => {
                for (signal, time) in rows.signal.iter().zip(&rows.time) {
                    self.times.entry(*signal).or_default().push(*time);
                }
            }
            Arrival::Gaps(gaps) => self.gaps.extend(gaps),
            Arrival::State { state, .. } => self.states.push(state),
            Arrival::Signal { signal, status, .. } => self.refused.push((signal, status)),
            _ => {}
        }
    }
}

impl RunningSource {
    /// Takes what has come.
    pub(super) fn take_all(&mut self, into: &mut Gathered) {
        while let Some(arrival) = self.arrivals.try_recv() {
            into.take(arrival);
        }
    }

    /// Takes what comes until it is enough.
    pub(super) async fn gather(&mut self, into: &mut Gathered, enough: impl Fn(&Gathered) -> bool) {
        let gathering = async {
            while !enough(into) {
                into.take(self.next().await);
            }
        };
        tokio::time::timeout(PATIENCE, gathering).await.expect("what is awaited does not come");
    }
}

fn remove_good(rows: &Rows, missing: &mut HashSet<SignalId>) {
    rows.check().unwrap();
    for (signal, status) in rows.signal.iter().zip(&rows.status) {
        if status.is_good() {
            missing.remove(signal);
        }
    }
}
