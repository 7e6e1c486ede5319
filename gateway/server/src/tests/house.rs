//! A running server with an annunciator of its own.

use std::fs;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use opcua::sync::Mutex;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use watchfire_alarms::{
    AlarmType, ConditionClass, ConditionDef, ConditionState, Engine, Evidence, Finding, Transition,
};
use watchfire_config::{AccessConfig, LockoutConfig, Role, Roles, Security, ServerConfig, Texts, UserConfig};
use watchfire_model::{
    Clock, ConditionKey, Instant, Kind, Level, Lsn, ManualClock, Quality, Rows, Scope, Severity, SignalId, StatusCode,
    SystemClock,
};
use watchfire_pipeline::{AlarmFigures, Commands, FirstToEnd, Latest, OperatorConsole, Surface, commands};
use watchfire_ua::{Application, Kinds, Pki};

use super::history::EverySecond;
use crate::DetectorNode;
use crate::publisher::Publisher;
use crate::shared::Shared;
use crate::{Editor, Server, ServerError, ServerOptions, SignalNode};

/// When the clock of these tests stands still.
pub(super) const NOON: Instant = Instant::from_s(1_700_000_000);

/// Argon2id of `oil`, cheap on purpose.
pub(super) fn oil_hash() -> String {
    use argon2::password_hash::{PasswordHasher, SaltString};
    let cheap = argon2::Params::new(8, 1, 1, None).unwrap();
    let argon = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, cheap);
    argon.hash_password(b"oil", &SaltString::from_b64("c29tZXNhbHQ").unwrap()).unwrap().to_string()
}

/// A server configuration on any free port, plain and open to all.
pub(super) fn open() -> ServerConfig {
    ServerConfig {
        host: "127.0.0.1".into(),
        port: 0,
        security: vec![Security::None],
        anonymous: Some(Roles::of(&[Role::Supervisor])),
        users: Vec::new(),
        access: AccessConfig::default(),
        lockout: LockoutConfig::default(),
        locale: None,
    }
}

/// Someone with the password `oil`.
pub(super) fn user(name: &str, roles: &[Role]) -> UserConfig {
    UserConfig {
        name: name.into(),
        password_hash: Some(oil_hash()),
        certificate: None,
        roles: Roles::of(roles),
        locale: None,
    }
}

/// Anonymous may look; `ann` looks, `bob` operates, `sue` supervises, `max` sees to security and nothing else.
pub(super) fn guarded() -> ServerConfig {
    ServerConfig {
        anonymous: Some(Roles::of(&[Role::Observer])),
        users: vec![
            user("ann", &[Role::Observer]),
            user("bob", &[Role::Operator]),
            user("sue", &[Role::Supervisor]),
            user("max", &[Role::SecurityAdmin]),
        ],
        ..open()
    }
}

/// The server and what stands behind it.
pub(super) struct House {
    pub engine: Arc<Mutex<Engine>>,
    pub surface: Arc<dyn Surface>,
    pub recorded: Arc<EverySecond>,
    pub figures: Arc<AlarmFigures>,
    pub latest: Arc<Latest>,
    pub first_to_end: Arc<FirstToEnd>,
    pub editor: Editor,
    /// The server's, where messages are not secured.
    pub clock: Arc<ManualClock>,
    pub url: String,
    pub pki: Pki,
    stop: CancellationToken,
    serving: JoinHandle<Result<(), ServerError>>,
    annunciating: JoinHandle<()>,
    _folder: TempDir,
}

/// One certificate for all tests: making one takes a second.
fn own_pki(folder: &TempDir) -> Pki {
    static OWN: OnceLock<(Vec<u8>, Vec<u8>)> = OnceLock::new();
    let (certificate, key) = OWN.get_or_init(|| {
        let made = TempDir::new().unwrap();
        let pki = Pki::new(made.path());
        pki.ensure_own(&application()).unwrap();
        (fs::read(pki.own_certificate_path()).unwrap(), fs::read(made.path().join(Pki::own_key())).unwrap())
    });
    let pki = Pki::new(folder.path());
    fs::create_dir_all(folder.path().join("own")).unwrap();
    fs::write(pki.own_certificate_path(), certificate).unwrap();
    fs::write(folder.path().join(Pki::own_key()), key).unwrap();
    pki
}

fn application() -> Application {
    Application { name: "Watchfire".into(), uri: "urn:test:watchfire".into() }
}

pub(super) fn signal(id: u32, name: &str, area: &str, kind: Kind) -> SignalNode {
    SignalNode {
        id: SignalId(id),
        name: name.into(),
        area: area.into(),
        kind,
        unit: Some("bar".into()),
        range: (kind == Kind::Real).then_some((0.0, 10.0)),
        description: format!("what {name} measures").into(),
    }
}

fn options(
    config: ServerConfig,
    pki: &Pki,
    commands: Commands,
    latest: Arc<Latest>,
    recorded: Arc<EverySecond>,
    figures: Arc<AlarmFigures>,
    clock: Arc<ManualClock>,
) -> ServerOptions {
    // Certificates are made in real time, and are judged by it.
    let secured = config.security != [Security::None];
    let clock: Arc<dyn Clock> = if secured { Arc::new(SystemClock) } else { clock };
    let has_language = config.locale.is_some() || config.users.iter().any(|user| user.locale.is_some());
    ServerOptions {
        config,
        pki_dir: pki.dir().to_owned(),
        application: application(),
        areas: vec!["Hall/Empty".into()],
        default_area: "Gateway".into(),
        detectors: vec![DetectorNode {
            name: "hot".into(),
            plugin: "hot-oil".into(),
            digest: "sha256:00".into(),
            signer: "acme".into(),
            model: "sha256:11".into(),
            ..DetectorNode::default()
        }],
        signals: vec![
            signal(1, "press/oil", "Hall/Press", Kind::Real),
            signal(2, "press/door", "Hall/Press", Kind::Boolean),
        ],
        consoles: consoles(),
        texts: if has_language { texts() } else { Texts::default() },
        latest,
        first_to_end: Arc::default(),
        kinds: Kinds::default(),
        figures,
        recorded,
        commands,
        clock,
    }
}

fn no_figures() -> Arc<AlarmFigures> {
    Arc::new(AlarmFigures::new("Gateway", NOON).with_consoles(consoles()))
}

/// Some of what is told, in German.
fn texts() -> Texts {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("texts.csv");
    let table = "text;de\nActive;Aktiv\nAcknowledged;Quittiert\nUnacknowledged;Nicht quittiert\nUnshelved;Nicht zurückgestellt\n\
                 too high;zu hoch\n{1} = {2}, expected at most {3};{1} = {2}, erwartet höchstens {3}\n\
                 stop the press;die Presse anhalten\nwhat press/oil measures;was press/oil misst\npress/oil;Presse/Öl\n";
    fs::write(&file, table).unwrap();
    Texts::load(&file).unwrap()
}

/// One operator sees to the press, another to what nothing is in.
fn consoles() -> Vec<OperatorConsole> {
    let console = |name: &str, title: &str, area: &str| OperatorConsole {
        name: name.into(),
        title: title.into(),
        areas: vec![area.into()],
    };
    vec![console("east", "Control room east", "Hall/Press"), console("west", "", "Hall/Empty")]
}

fn count(figures: &AlarmFigures, transitions: &[Transition]) {
    transitions.iter().for_each(|told| figures.told(&told.def, &told.state, told.told().receive_time));
}

impl House {
    pub(super) async fn open() -> Self {
        Self::with(open()).await
    }

    pub(super) async fn with(config: ServerConfig) -> Self {
        Self::start(config, |_| {}).await
    }

    /// A server whose queue has room for a few states only.
    pub(super) async fn with_room(room: usize) -> (Arc<Publisher>, Self) {
        let publisher = Arc::new(Publisher::with_room(room));
        let small = publisher.clone();
        let mut house = Self::start(open(), move |server| server.publisher = small).await;
        house.surface = publisher.clone();
        (publisher, house)
    }

    /// A server that waits only so long for clients that do not read what a refresh brings, and what it knows.
    pub(super) async fn with_patience(config: ServerConfig, patience: Duration) -> (Arc<Shared>, Self) {
        let mut shared = None;
        let house = Self::start(config, |server| {
            server.teller.shared.refreshing.be_impatient(patience);
            shared = Some(server.teller.shared.clone());
        });
        let house = house.await;
        (shared.unwrap(), house)
    }

    /// Tries to make a server, and drops it.
    pub(super) fn try_build(config: ServerConfig) -> Result<(), ServerError> {
        let folder = TempDir::new().unwrap();
        let clock = Arc::new(ManualClock::at(NOON));
        let (commands, _) = commands();
        let options = options(config, &own_pki(&folder), commands, Arc::default(), Arc::default(), no_figures(), clock);
        Server::build(options).map(drop)
    }

    /// Runs a server whose audit events are told by this, until it ends by itself.
    pub(super) async fn with_auditing(auditing: impl Future<Output = ()> + Send + 'static) -> Result<(), ServerError> {
        let mut house = Self::start(open(), |server| server.auditing = Box::pin(auditing)).await;
        (&mut house.serving).await.unwrap()
    }

    async fn start(config: ServerConfig, change: impl FnOnce(&mut Server)) -> Self {
        let house = Self::incomplete(config, |server| {
            change(server);
            server.publisher.complete();
        });
        house.await
    }

    /// A server that was not told yet that it knows all that stood before.
    #[expect(clippy::unused_async, reason = "a server is made on a runtime")]
    pub(super) async fn incomplete(config: ServerConfig, change: impl FnOnce(&mut Server)) -> Self {
        let folder = TempDir::new().unwrap();
        let pki = own_pki(&folder);
        let (commands, mut requests) = commands();
        let latest = Arc::new(Latest::default());
        let recorded = Arc::new(EverySecond::default());
        let (figures, clock) = (no_figures(), Arc::new(ManualClock::at(NOON)));
        let options = options(config, &pki, commands, latest.clone(), recorded.clone(), figures.clone(), clock.clone());
        let first_to_end = options.first_to_end.clone();
        let (mut server, surface) = Server::build(options).unwrap();
        change(&mut server);
        let url = format!("opc.tcp://{}/", server.address());
        let editor = server.editor();
        let stop = CancellationToken::new();
        let serving = tokio::spawn(server.run(stop.clone()));
        let engine = Arc::new(Mutex::new(Engine::default()));
        let (annunciator, shown, log, counts) = (engine.clone(), surface.clone(), recorded.clone(), figures.clone());
        let annunciating = tokio::spawn(async move {
            loop {
                let request = tokio::select! {
                    change = counts.asked() => {
                        counts.kept_up_to(change);
                        continue;
                    }
                    request = requests.recv() => request,
                };
                let Some(request) = request else { break };
                let answer = annunciator.lock().command(&request.command, Lsn(1)).map(|transitions| {
                    log.record(&transitions);
                    count(&counts, &transitions);
                    shown.publish(transitions);
                });
                let _gone = request.reply.send(answer);
            }
        });
        Self {
            engine,
            surface,
            recorded,
            figures,
            latest,
            first_to_end,
            editor,
            clock,
            url,
            pki,
            stop,
            serving,
            annunciating,
            _folder: folder,
        }
    }

    /// Makes a condition known; no event is sent.
    pub(super) fn define(&self, def: ConditionDef) {
        let transition = self.engine.lock().define(Arc::new(def), NOON);
        self.figures.defined(&transition.def, &transition.state);
        self.surface.publish(vec![transition]);
    }

    /// Applies a finding and publishes what follows.
    pub(super) fn find(&self, key: &ConditionKey, level: Level, message: &str, evidence: Vec<Evidence>) {
        self.find_at(key, level, message, evidence, NOON);
    }

    /// The same at a time.
    pub(super) fn find_at(
        &self,
        key: &ConditionKey,
        level: Level,
        message: &str,
        evidence: Vec<Evidence>,
        at: Instant,
    ) {
        let finding = Finding {
            level,
            message: message.into(),
            score: level.is_active().then_some(4.5),
            evidence,
            at,
            quality: StatusCode::GOOD,
        };
        let transitions = self.engine.lock().apply(key, Lsn(7), finding, at);
        self.recorded.record(&transitions);
        count(&self.figures, &transitions);
        self.surface.publish(transitions);
    }

    pub(super) fn raise(&self, key: &ConditionKey) {
        self.find(key, Level::High, "too high", vec![oil_evidence()]);
    }

    pub(super) fn state(&self, key: &ConditionKey) -> ConditionState {
        self.engine.lock().state(key).unwrap().clone()
    }

    pub(super) fn see(&self, signal: u32, value: f64, status: StatusCode) {
        let mut rows = Rows::default();
        rows.push(SignalId(signal), NOON, value, status, Quality::NONE, 0);
        self.latest.update(&rows);
    }

    /// Stops taking commands.
    pub(super) async fn close_annunciator(&self) {
        self.annunciating.abort();
        while !self.annunciating.is_finished() {
            tokio::task::yield_now().await;
        }
    }

    /// Stops it; the server must end by itself and without an error.
    pub(super) async fn close(self) {
        self.stop.cancel();
        self.serving.await.unwrap().unwrap();
    }
}

pub(super) fn oil_evidence() -> Evidence {
    Evidence { signal: "press/oil".into(), observed: 9.25, low: None, high: Some(8.0), share: 1.0 }
}

pub(super) fn key(text: &str) -> ConditionKey {
    ConditionKey::parse(text).unwrap()
}

/// A limit alarm of the oil pressure.
pub(crate) fn oil_high() -> ConditionDef {
    ConditionDef {
        key: key("hot/high/press/oil"),
        area: "Hall/Press".into(),
        source_name: "press/oil".into(),
        signal: Some(SignalId(1)),
        scope: Scope::Signal,
        alarm_type: AlarmType::ExclusiveLevel,
        class: ConditionClass::Process,
        severity: Severity::clamped(700),
        text: "the oil pressure is outside its limits".into(),
        response: "stop the press".into(),
        confirm: true,
        detector: "limit 0.1.0".into(),
        rules: Arc::default(),
    }
}

/// A learned finding about the whole press.
pub(super) fn odd() -> ConditionDef {
    ConditionDef {
        key: key("watch/odd"),
        source_name: "watch".into(),
        signal: None,
        scope: Scope::Binding,
        alarm_type: AlarmType::Statistical,
        class: ConditionClass::Statistical,
        severity: Severity::clamped(400),
        text: "the press is not as it was".into(),
        confirm: false,
        ..oil_high()
    }
}
