//! One life of a gateway in a simulation, and the site that outlives it.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use watchfire_alarms::{ConditionState, EventId, RefusedCommand};
use watchfire_model::{
    AlarmCommand, Awaited, AwaitedKey, Clock, CommandKind, ConditionKey, Gap, GapCause, Instant, ManualClock,
    PlainEvent, Quality, Record, RecordBody, Rows, SignalId, SignalInfo, SourceState, StatusCode,
};

use super::memory::{MemoryDisk, MemoryHistory, MemoryJournal};
use super::plain::PlainFactory;
use crate::{
    AlarmFigures, Arrival, BindingPlan, BindingSpec, Change, Changes, Commands, ConditionView, Gateway, GatewayError,
    Inlet, Last, LastTimes, Latest, Log, Mode, OperatorConsole, Quota, ReplayError, ReplayReport, SignalsOf, Source,
    Stats, Surface, changes, commands, replay, seal_all,
};

/// What outlives a gateway: its stores and the world's clock.
pub struct Site {
    pub journal: MemoryJournal,
    pub history: MemoryHistory,
    pub disk: Arc<MemoryDisk>,
    pub ends: Arc<Ending>,
    /// The signal that tells the mode of operation.
    pub mode_signal: Option<SignalId>,
    /// The operator consoles of the next life.
    pub consoles: Vec<OperatorConsole>,
    clock: Arc<ManualClock>,
}

/// What ends soon, as a test says.
#[derive(Default)]
pub struct Ending(pub Mutex<Option<String>>);

impl crate::Ends for Ending {
    fn soon(&self, _: Instant) -> Option<String> {
        self.0.lock().clone()
    }
}

impl Site {
    pub fn new() -> Self {
        let clock = Arc::new(ManualClock::at(Instant::from_s(1_800_000_000)));
        let journal = MemoryJournal::default();
        let (history, disk) = (MemoryHistory::beside(&journal), journal.disk());
        Self { history, disk, journal, ends: Arc::default(), mode_signal: None, consoles: Vec::new(), clock }
    }

    /// The machine's clock.
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Time passes while no gateway runs.
    pub fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }

    pub fn log(&self) -> Arc<Log> {
        Log::new(Arc::new(self.journal.clone()), Arc::new(self.history.clone()))
    }

    pub fn lose_what_is_not_durable(&self) {
        self.journal.lose_what_is_not_durable();
    }

    pub fn seal(&self) {
        seal_all(&self.log()).unwrap();
    }

    /// Seals the first `count` records, as when the gateway was at it a while ago.
    pub fn seal_some(&self, count: usize) {
        use crate::{History, Journal};
        let records = self.journal.records();
        self.history.seal(&records[..count]).unwrap();
        self.journal.truncate(records[count - 1].lsn).unwrap();
    }

    /// What must hold after any life: nothing saved too early, nothing decided twice.
    pub fn check(&self) {
        assert_eq!(self.history.broken(), Vec::<String>::new());
        let mut decided = std::collections::BTreeSet::new();
        for record in self.records() {
            if let RecordBody::Decided(d) = record.body
                && d.binding != crate::OWN_BINDING
            {
                assert!(
                    decided.insert((d.binding.clone(), d.frame)),
                    "{} decided twice on frame {}",
                    d.binding,
                    d.frame
                );
            }
        }
    }

    pub fn records(&self) -> Vec<Record> {
        let mut records = self.history.records();
        records.extend(self.journal.records());
        records
    }

    /// Every state of a condition that is on record, in order.
    pub fn told(&self, key: &str) -> Vec<ConditionState> {
        let transitions = self.records().into_iter().filter_map(|record| match record.body {
            RecordBody::Decided(decided) => Some(decided.transitions),
            _ => None,
        });
        let of_key = transitions.flatten().filter(|state| state.key.as_str() == key);
        of_key.map(|state| ConditionState::decode(key, &state.state).unwrap()).collect()
    }

    pub async fn replay(&self) -> ReplayReport {
        self.try_replay().await.unwrap()
    }

    pub async fn try_replay(&self) -> Result<ReplayReport, ReplayError> {
        self.try_replay_of(&plan(Mode::Live)).await
    }

    pub async fn try_replay_of(&self, plan: &BindingPlan) -> Result<ReplayReport, ReplayError> {
        replay(&self.log(), &PlainFactory, plan).await
    }
}

/// The plain detector on three signals.
pub fn plan(mode: Mode) -> BindingPlan {
    let signal = |i: u32| SignalInfo { id: SignalId(i), name: format!("s/{i}").into(), ..SignalInfo::default() };
    let spec = BindingSpec {
        name: "plain".into(),
        plugin: "plain".into(),
        signals: (0..3).map(signal).collect(),
        config: "{}".into(),
        places: Default::default(),
        model: None,
        seed: 0,
        alarms: BTreeMap::new(),
        quota: Quota::default(),
    };
    let areas = vec!["area".into(); 3];
    let kept_as = spec.name.clone();
    BindingPlan {
        spec,
        mode,
        areas,
        area: "area".into(),
        sources: vec!["s".into()],
        budget: None,
        kept_as,
        learns_back: Duration::ZERO,
        beside: None,
        maintenance: Vec::new(),
    }
}

/// Hands the test's arrivals on.
struct Script(Arc<str>, mpsc::UnboundedReceiver<Arrival>, Arc<Mutex<Known>>);

/// What a source was told of the time before it ran.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// Of each of its signals.
    pub last: [Option<Last>; 3],
    /// Of those that have none.
    pub all_until: Option<Instant>,
    /// What it has yet to get.
    pub awaited: Vec<Awaited>,
}

#[async_trait]
impl Source for Script {
    fn name(&self) -> Arc<str> {
        self.0.clone()
    }

    fn recorded(&mut self, last: &LastTimes, _: &[Gap]) {
        let ids = [0, 1, 2].map(SignalId);
        *self.2.lock() = Known {
            last: ids.map(|id| last.get(id)),
            all_until: last.all_until(&self.0, ids.into_iter()),
            awaited: last.awaited(&self.0).to_vec(),
        };
    }

    async fn run(mut self: Box<Self>, inlet: Inlet, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Some(arrival) = self.1.recv() => drop(inlet.push(arrival).await),
            }
        }
    }
}

/// Remembers what was shown, and checks that it was durable before; and how much of it before it was told that this is all.
struct Screen(Mutex<Vec<ConditionView>>, MemoryJournal, Mutex<Vec<PlainEvent>>, OnceLock<usize>);

impl Surface for Screen {
    fn publish(&self, changes: Vec<ConditionView>) {
        let durable = self.1.durable_states();
        for view in changes.iter().filter(|view| view.notify) {
            let stored = durable.get(view.def.key.as_str()).map_or(0, |state| state.transitions);
            assert!(stored >= view.state.transitions, "{} was shown before it was durable", view.def.key);
        }
        self.0.lock().extend(changes);
    }

    fn tell(&self, events: Vec<PlainEvent>) {
        let durable = self.1.durable_events();
        assert!(events.iter().all(|event| durable.contains(&event.event_id)), "told before it was durable: {events:?}");
        self.2.lock().extend(events);
    }

    fn complete(&self) {
        self.3.get_or_init(|| self.0.lock().len());
    }
}

/// One life of the gateway.
pub struct Rig {
    pub log: Arc<Log>,
    pub stats: Arc<Stats>,
    pub figures: Arc<AlarmFigures>,
    pub latest: Arc<Latest>,
    clock: Arc<ManualClock>,
    script: mpsc::UnboundedSender<Arrival>,
    screen: Arc<Screen>,
    commands: Commands,
    changes: Changes,
    known: Arc<Mutex<Known>>,
    stop: CancellationToken,
    task: JoinHandle<Result<(), GatewayError>>,
}

impl Rig {
    pub async fn start(site: &Site) -> Self {
        Self::start_in(site, Mode::Live).await
    }

    pub async fn start_in(site: &Site, mode: Mode) -> Self {
        Self::start_with(site, vec![plan(mode)]).await
    }

    pub async fn start_with(site: &Site, bindings: Vec<BindingPlan>) -> Self {
        let log = site.log();
        let stats = Arc::new(Stats::default());
        let figures = AlarmFigures::new("own", site.clock.now()).with_consoles(site.consoles.clone());
        let figures = Arc::new(figures);
        let (script, receiver) = mpsc::unbounded_channel();
        let screen = Arc::new(Screen(Mutex::default(), site.journal.clone(), Mutex::default(), OnceLock::new()));
        let (way, requests) = commands();
        let (changes, requested) = changes();
        let known = Arc::<Mutex<Known>>::default();
        let ids = [0, 1, 2].map(SignalId).to_vec();
        let signals_of = SignalsOf::new(BTreeMap::from([("s".into(), ids)]));
        let gateway = Gateway {
            clock: site.clock.clone(),
            log: log.clone(),
            factory: Arc::new(PlainFactory),
            sources: vec![Box::new(Script("s".into(), receiver, known.clone()))],
            surfaces: vec![screen.clone()],
            bindings: bindings.into_iter().map(Arc::new).collect(),
            site: crate::Site { mode_signal: site.mode_signal, signals_of, ..crate::Site::default() },
            own_area: "own".into(),
            latest: Arc::default(),
            stats: stats.clone(),
            figures: figures.clone(),
            commands: requests,
            imports: tokio::sync::mpsc::channel(1).1,
            commit_interval: Duration::from_millis(100),
            keep: Duration::from_secs(1 << 30),
            keep_bytes: None,
            keep_summaries: None,
            disk: site.disk.clone(),
            disk_warning_bytes: None,
            ends: site.ends.clone(),
            changes: requested,
        };
        let latest = gateway.latest.clone();
        let stop = CancellationToken::new();
        let task = tokio::spawn(gateway.run(stop.clone()));
        let clock = site.clock.clone();
        let rig =
            Self { log, stats, figures, latest, clock, script, screen, commands: way, changes, known, stop, task };
        rig.until(|views| views.iter().any(|view| view.def.key.as_str() == "plain/high/s/0")).await;
        rig.wait_ms(300).await;
        rig
    }

    /// Changes something, and waits until it was changed.
    pub async fn change(&self, change: Change) {
        self.changes.make(change).await.unwrap();
        self.wait_ms(300).await;
    }

    /// Reads the values from here on through a new source, in place of the one of that name.
    pub async fn change_source(&mut self, name: &str, signals: Vec<SignalId>) {
        let (script, receiver) = mpsc::unbounded_channel();
        self.script = script;
        let script = Script(name.into(), receiver, self.known.clone());
        self.change(Change::Source(Box::new(script), signals)).await;
    }

    /// What its source was told of the time before it ran.
    pub fn known(&self) -> Known {
        self.known.lock().clone()
    }

    /// Time passes second by second, as where nothing comes.
    pub async fn pass_s(&self, s: u64) {
        for _ in 0..s {
            self.wait_ms(1_000).await;
        }
    }

    pub async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }

    /// As SIGKILL: every task ends where it stands.
    pub fn kill(self) {
        self.task.abort();
    }

    pub async fn wait_ms(&self, ms: u64) {
        self.clock.advance(Duration::from_millis(ms));
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    pub fn step_clock(&self, s: i64) {
        self.clock.set(Instant::from_s(self.clock.now().ns() / 1_000_000_000 + s));
    }

    pub fn hand_in(&self, arrival: Arrival) {
        self.script.send(arrival).unwrap();
    }

    pub async fn value(&self, signal: u32, value: f64) {
        self.values(&[(signal, value)]).await;
    }

    /// Several in one arrival.
    pub async fn values(&self, values: &[(u32, f64)]) {
        let mut rows = Rows::default();
        for (signal, value) in values {
            rows.push(SignalId(*signal), self.clock.now(), *value, StatusCode::GOOD, Quality::NONE, 0);
        }
        self.hand_in(Arrival::Rows(rows));
        self.wait_ms(11).await;
    }

    /// Several of a minute ago, as a source fetches them from its server's history.
    pub async fn late(&self, values: &[(u32, f64)]) {
        let mut rows = Rows::default();
        let at = self.clock.now().minus(Duration::from_secs(60));
        for (signal, value) in values {
            rows.push(SignalId(*signal), at, *value, StatusCode::GOOD, Quality::LATE, 0);
        }
        self.hand_in(Arrival::Late(rows));
        self.wait_ms(11).await;
    }

    /// An event, or any other text, with these marks.
    pub async fn text(&self, signal: u32, text: &str, quality: Quality) {
        let mut rows = Rows::default();
        rows.push(SignalId(signal), self.clock.now(), f64::NAN, StatusCode::GOOD, quality, 0);
        rows.set_text(text.into());
        self.hand_in(if quality.has(Quality::LATE) { Arrival::Late(rows) } else { Arrival::Rows(rows) });
        self.wait_ms(11).await;
    }

    pub async fn source(&self, state: SourceState) {
        self.hand_in(Arrival::State { source: "s".into(), state, reason: "test".into() });
        self.wait_ms(11).await;
    }

    /// The source comes up, and is yet to tell which of its signals are watched.
    pub async fn comes_up(&self) {
        self.awaits(false, Vec::new(), Vec::new()).await;
        self.source(SourceState::Up).await;
    }

    pub async fn awaits(&self, is_known: bool, awaited: Vec<Awaited>, settled: Vec<AwaitedKey>) {
        self.hand_in(Arrival::Awaited { source: "s".into(), is_known, awaited, settled });
        self.wait_ms(11).await;
    }

    pub async fn gap(&self, signal: u32, cause: GapCause) {
        let (since, until) = (self.clock.now(), self.clock.now().plus(Duration::from_secs(1)));
        self.hand_in(Arrival::Gaps(vec![Gap { signal: Some(SignalId(signal)), since, until, cause }]));
        self.wait_ms(11).await;
    }

    pub async fn command(&self, key: &ConditionKey, kind: CommandKind, event_id: &[u8]) -> Result<(), RefusedCommand> {
        let (event_id, at) = (event_id.to_vec(), self.clock.now());
        let comment = Some(("en".to_owned(), "seen".to_owned()));
        self.commands.give(AlarmCommand { key: key.clone(), kind, event_id, comment, user: "op".into(), at }).await
    }

    /// Waits, for at most some simulated minutes, until the screen shows what is asked.
    async fn until(&self, holds: impl Fn(&[ConditionView]) -> bool) {
        for _ in 0..6_000 {
            if holds(&self.screen.0.lock()) {
                return;
            }
            self.wait_ms(10).await;
        }
        panic!("never shown; the log ends at {}", self.log.tail());
    }

    fn last(views: &[ConditionView], key: &str) -> Option<ConditionView> {
        views.iter().rev().find(|view| view.def.key.as_str() == key).cloned()
    }

    async fn shown(&self, key: &str, active: bool) -> ConditionView {
        self.until(|views| Self::last(views, key).is_some_and(|view| view.state.active.value == active)).await;
        Self::last(&self.screen.0.lock(), key).unwrap()
    }

    pub async fn shown_active(&self, key: &str) -> ConditionView {
        self.shown(key, true).await
    }

    pub async fn shown_normal(&self, key: &str) -> ConditionView {
        self.shown(key, false).await
    }

    /// What was shown last of a condition.
    pub fn last_of(&self, key: &str) -> ConditionView {
        Self::last(&self.screen.0.lock(), key).unwrap()
    }

    /// How a condition was shown when the screen was told that what stood before the start is all there; `None` before that,
    /// or if it was not shown by then.
    pub fn shown_at_the_beginning(&self, key: &str) -> Option<ConditionView> {
        Self::last(&self.screen.0.lock()[..*self.screen.3.get()?], key)
    }

    /// Whether a condition was not shown in this life.
    pub fn never_shown(&self, key: &str) -> bool {
        Self::last(&self.screen.0.lock(), key).is_none()
    }

    pub fn state_of(&self, key: &str) -> ConditionState {
        (*self.last_of(key).state).clone()
    }

    pub fn state(&self, key: &ConditionKey) -> ConditionState {
        self.state_of(key.as_str())
    }

    /// Some alarm that waits for acknowledgement.
    pub fn unacknowledged(&self) -> Option<ConditionView> {
        let views = self.screen.0.lock();
        let latest: BTreeMap<_, _> = views.iter().map(|view| (view.def.key.clone(), view)).collect();
        latest.into_values().find(|view| !view.state.acked.value).cloned()
    }

    /// How often the detector's conditions have become alarms, as they are shown now.
    pub fn alarms_raised(&self) -> usize {
        let views = self.screen.0.lock();
        let ours = views.iter().filter(|view| view.def.key.binding() == "plain");
        let last: BTreeMap<_, _> = ours.map(|view| (view.def.key.clone(), view.state.activations)).collect();
        last.values().map(|activations| usize::try_from(*activations).unwrap()).sum()
    }

    /// Every event of an alarm that was shown.
    pub fn told(&self) -> Vec<ConditionView> {
        self.screen.0.lock().iter().filter(|view| view.notify).cloned().collect()
    }

    /// How many alarms the detector had.
    pub fn alarms_counted(&self) -> u32 {
        self.figures.detector("plain", self.clock.now()).alarms
    }

    /// Every finding that was told and is no alarm.
    pub fn plain_events(&self) -> Vec<PlainEvent> {
        self.screen.2.lock().clone()
    }

    /// Every event that was announced.
    pub fn events(&self) -> Vec<(ConditionKey, EventId)> {
        let views = self.screen.0.lock();
        views.iter().filter(|v| v.notify).map(|v| (v.def.key.clone(), v.told().event_id(&v.def.key))).collect()
    }
}
