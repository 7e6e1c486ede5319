//! `watchfire run` and `watchfire check`.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tokio_util::sync::CancellationToken;
use watchfire_config::Config;
use watchfire_model::{Clock, SystemClock};
use watchfire_pipeline::{AlarmFigures, BindingPlan, FirstToEnd, Gateway, Latest, Stats, Surface, changes, commands};
use watchfire_server::Server;

use crate::assemble::{Assembly, Shown};
use crate::certificate_ends::{CertificateEnds, LiveEnds};
use crate::cli::{Check, ConfigFile};
use crate::control::Control;
use crate::data::Data;
use crate::exchange;
use crate::live::{Live, by_name};
use crate::prints::Prints;
use crate::provenance::Plugins;
use crate::shelf::LivePlugins;
use crate::surveys::Surveys;
use crate::upgrades::plans_of;
use crate::{counts, credentials, doctor, query, terminal, trial};

/// How long the OPC UA server may take to say goodbye to its clients at the end of the program.
const SERVER_STOP_MAX: Duration = Duration::from_millis(300);

/// Runs the gateway until a signal ends it.
///
/// # Errors
/// When the configuration is refused, or the gateway cannot start or go on.
pub fn run(options: &ConfigFile) -> Result<ExitCode> {
    let config = Config::load(&options.config)?;
    let runtime = runtime()?;
    let ended = runtime.block_on(async {
        let stop = CancellationToken::new();
        terminal::stop_on_signal(&stop)?;
        gateway(config, Some(options.config.clone()), Arc::default(), Vec::new(), stop).await
    });
    // Whatever still blocks a thread, such as a disk that hangs, must not keep the program from ending.
    runtime.shutdown_timeout(Duration::from_millis(200));
    ended.map(|()| ExitCode::SUCCESS)
}

/// Checks a configuration, whether its detectors would start, and whether its sources and users could log in; exit code 1
/// when something of that would fail.
///
/// # Errors
/// Everything that is wrong with it.
pub fn check(options: &Check) -> Result<ExitCode> {
    let config = Config::load(&options.config.config)?;
    let signals: usize = config.sources.iter().map(|source| source.signals.len()).sum();
    let selects: usize = config.sources.iter().map(|source| source.selects.len()).sum();
    let count = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let selected = if selects == 0 { String::new() } else { format!(" and {}", count(selects, "selection")) };
    println!(
        "{} is good: {} with {}{selected}, {}",
        options.config.config.display(),
        count(config.sources.len(), "source"),
        count(signals, "signal"),
        count(config.detectors.len(), "detector")
    );
    let (conditions, refused) = trial::tried(&config)?;
    let idle = trial::idle_maintenance(&config, &conditions, SystemClock.now());
    let no_console = trial::without_console(&config, &conditions);
    let said = [trial::odd_units(&config), trial::no_alarms(&conditions), idle, no_console].concat();
    let found = credentials::look(&config);
    let refused = [found.refused, refused].concat();
    said.iter().chain(&found.noted).chain(&refused).for_each(|line| println!("{line}"));
    let online = if options.online { doctor::online(&config)? } else { ExitCode::SUCCESS };
    Ok(if refused.is_empty() { online } else { ExitCode::FAILURE })
}

/// The program's runtime.
///
/// # Errors
/// When the system gives no threads.
pub fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the program's threads")
}

/// Runs a configured gateway until `stop`, showing alarms on its own server and on `more` surfaces. What the
/// configuration leaves to the servers is asked of them first; when they are found to have something else later, or
/// somebody changes `file` and says so, what differs is changed while the rest goes on.
///
/// # Errors
/// When it cannot start or go on.
pub async fn gateway(
    config: Config,
    file: Option<PathBuf>,
    stats: Arc<Stats>,
    more: Vec<Arc<dyn Surface>>,
    stop: CancellationToken,
) -> Result<()> {
    let folder = config.gateway.data.clone();
    let data = Arc::new(open(&folder).await?);
    let door = query::open(&folder);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let way_in = exchange::WayIn::default();
    let (control, mut orders) = Control::new();
    if file.is_some() {
        terminal::reload_on_signal(control.clone())?;
    }
    let stores = data.stores.clone();
    let told = stats.clone();
    let running = async {
        let mut surveys = tokio::select! {
            surveys = Surveys::begin(config, &folder, data.pki(), clock.clone()) => surveys,
            () = stop.cancelled() => return Ok(()),
        };
        let Some(now) = surveys.config() else { return Ok(()) };
        let (mut live, running) = assembled(now, file, data, &clock, stats, more, stop.clone(), &way_in).await?;
        let mut running = pin!(running);
        loop {
            let order = tokio::select! {
                ended = &mut running => return ended,
                () = surveys.changed() => None,
                Some(order) = orders.recv() => Some(order),
            };
            let carried_out = async {
                match order {
                    Some(order) => live.carry_out(order, &mut surveys).await,
                    None => live.surveyed(&mut surveys).await,
                }
            };
            tokio::select! {
                ended = &mut running => return ended,
                () = carried_out => {}
            }
        }
    };
    tokio::select! {
        ended = running => ended,
        () = query::answer(door, stores, way_in.clone(), control) => Ok(()),
        () = counts::tell(told) => Ok(()),
    }
}

/// The gateway with all its signals known: what can be changed of it, and its run until `stop`.
#[expect(clippy::too_many_arguments, reason = "it is where all parts come together")]
async fn assembled(
    config: Config,
    file: Option<PathBuf>,
    data: Arc<Data>,
    clock: &Arc<dyn Clock>,
    stats: Arc<Stats>,
    more: Vec<Arc<dyn Surface>>,
    stop: CancellationToken,
    way_in: &exchange::WayIn,
) -> Result<(Live, impl Future<Output = Result<()>>)> {
    let url = format!("opc.tcp://{}:{}", config.server.host, config.server.port);
    let mut plugins = Plugins::of(&config, clock);
    let looked = tokio::task::spawn_blocking(move || (plugins.begin(), plugins)).await;
    let (detectors, plugins) = looked.context("looking at the plugins failed")?;
    let plugins = LivePlugins::new(plugins);
    let assembly = Assembly::new(config, &data)?;
    let configured = assembly.bindings();
    let now = plugins.now();
    let moved = |plan: &Arc<BindingPlan>| plans_of(plan, now.upgrade(&plan.spec.name));
    let bindings: Vec<_> = configured.iter().flat_map(moved).collect();
    let prints = Prints { sources: assembly.prints(), ..Prints::of_detectors(&bindings, &detectors) };
    let (given, requests) = commands();
    let (changes, requested) = changes();
    let imports = way_in.begin();
    let latest = Arc::new(Latest::default());
    let figures = AlarmFigures::new(&assembly.config().gateway.name, clock.now());
    let figures = Arc::new(figures.with_consoles(assembly.consoles()));
    let first_to_end = Arc::new(FirstToEnd::default());
    let shown = Shown { latest: latest.clone(), figures: figures.clone(), first_to_end: first_to_end.clone() };
    let plans = by_name(configured);
    let (server, surface) = assembly.server(&data, shown, given, clock, (&detectors, &plans))?;
    let surfaces = std::iter::once(surface).chain(more).collect();
    let settings = assembly.config().gateway.clone();
    let factory = Assembly::sandbox(&data, Arc::new(plugins.clone()))?;
    let ends = Arc::new(LiveEnds::new(CertificateEnds::new(assembly.config(), data.pki()), first_to_end.clone()));
    let live = Live {
        file,
        clock: clock.clone(),
        since: clock.now(),
        stats: stats.clone(),
        latest: latest.clone(),
        figures: figures.clone(),
        first_to_end,
        changes,
        plugins,
        editor: server.editor(),
        kinds: assembly.kinds().clone(),
        factory: factory.clone(),
        ends: ends.clone(),
        gateway: settings.clone(),
        server: assembly.config().server.clone(),
        consoles: assembly.config().consoles.clone(),
        texts: assembly.config().texts.clone(),
        prints,
        plans,
        found: detectors,
        data: data.clone(),
    };
    let gateway = Gateway {
        clock: clock.clone(),
        log: data.log.clone(),
        factory,
        surfaces,
        bindings,
        site: assembly.site(),
        keep: assembly.keep(),
        // Last: what was configured of the signals is theirs from now on.
        sources: assembly.into_sources(&data, clock),
        own_area: settings.name.clone(),
        latest,
        stats,
        figures,
        commands: requests,
        imports,
        commit_interval: settings.commit_interval,
        keep_bytes: settings.retention_gb.map(|gb| gb << 30),
        keep_summaries: Assembly::keep_summaries(&settings),
        disk: Arc::new(data.disk()),
        disk_warning_bytes: settings.disk_warning_mb.map(|mb| mb << 20),
        ends,
        changes: requested,
    };
    tracing::info!(
        name = settings.name,
        data = %settings.data.display(),
        url,
        "watchfire runs"
    );
    Ok((live, served(gateway, server, stop)))
}

/// Runs the gateway and its server until `stop`.
async fn served(gateway: Gateway, server: Server, stop: CancellationToken) -> Result<()> {
    let server_stop = stop.child_token();
    let serving = tokio::spawn(server.run(server_stop.clone()));
    // A gateway whose alarms nobody can see must not look as if it worked: it ends, and is started again by whatever
    // supervises it.
    let gateway_stop = stop.child_token();
    let running = gateway.run(gateway_stop.clone());
    let (unseen, serve_stop) = (gateway_stop.clone(), server_stop.clone());
    let serve = async move {
        let served = serving.await;
        if !serve_stop.is_cancelled() {
            tracing::error!(
                "the OPC UA server has ended by itself: the gateway stops, since nobody would see its alarms"
            );
            unseen.cancel();
        }
        match served {
            Ok(Ok(())) if serve_stop.is_cancelled() => Ok(()),
            Ok(Ok(())) => Err(anyhow!("the OPC UA server ended by itself")),
            Ok(Err(error)) => Err(anyhow::Error::from(error).context("the OPC UA server failed")),
            Err(panic) => Err(anyhow::Error::from(panic).context("the OPC UA server failed")),
        }
    };
    let mut serve = tokio::spawn(serve);
    let ended = running.await.map_err(anyhow::Error::from);
    server_stop.cancel();
    match tokio::time::timeout(SERVER_STOP_MAX, &mut serve).await {
        Ok(Ok(served)) => ended.and(served),
        _ => ended,
    }
}

async fn open(folder: &Path) -> Result<Data> {
    let folder = folder.to_owned();
    tokio::task::spawn_blocking(move || Data::open_to_go_on(&folder)).await.context("opening the data folder failed")?
}
