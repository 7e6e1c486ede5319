//! `watchfire run` and `watchfire check`.

use std::path::Path;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tokio_util::sync::CancellationToken;
use watchfire_config::Config;
use watchfire_model::{Clock, SystemClock};
use watchfire_pipeline::{Gateway, Latest, Stats, Surface, commands};

use crate::assemble::Assembly;
use crate::certificate_ends::CertificateEnds;
use crate::cli::{Check, ConfigFile};
use crate::data::Data;
use crate::exchange;
use crate::provenance::Plugins;
use crate::surveys::Surveys;
use crate::{counts, doctor, query, terminal, trial};

/// How long the OPC UA server may take to say goodbye to its clients at the end of the program.
const SERVER_STOP_MAX: Duration = Duration::from_millis(300);
/// The same before the gateway starts again within itself: its address must be free by then.
const SERVER_RESTART_MAX: Duration = Duration::from_secs(5);

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
        gateway(config, Arc::default(), Vec::new(), stop).await
    });
    // Whatever still blocks a thread, such as a disk that hangs, must not keep the program from ending.
    runtime.shutdown_timeout(Duration::from_millis(200));
    ended.map(|()| ExitCode::SUCCESS)
}

/// Checks a configuration, and whether its detectors would start; exit code 1 when one would not.
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
    let refused = trial::refused(&config)?;
    refused.iter().for_each(|refused| println!("{refused}"));
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
/// configuration leaves to the servers is asked of them first; when they are found to have something else later, the
/// gateway stops and starts again within itself.
///
/// # Errors
/// When it cannot start or go on.
pub async fn gateway(
    config: Config,
    stats: Arc<Stats>,
    more: Vec<Arc<dyn Surface>>,
    stop: CancellationToken,
) -> Result<()> {
    let folder = config.gateway.data.clone();
    let data = open(&folder).await?;
    let door = query::open(&folder);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let way_in = exchange::WayIn::default();
    let rounds = async {
        let mut surveys = tokio::select! {
            surveys = Surveys::begin(config, &folder, data.pki(), clock.clone()) => surveys,
            () = stop.cancelled() => return Ok(()),
        };
        loop {
            let Some(now) = surveys.config() else { return Ok(()) };
            let round = stop.child_token();
            let shown_by = more.clone();
            let mut running =
                pin!(assembled(now, &data, &clock, stats.clone(), shown_by, round.clone(), (&stop, &way_in)));
            tokio::select! {
                ended = &mut running => return ended,
                () = surveys.changed() => round.cancel(),
            }
            running.await?;
            if stop.is_cancelled() {
                return Ok(());
            }
            tracing::info!("starting again with what the servers have now");
        }
    };
    tokio::select! {
        ended = rounds => ended,
        () = query::answer(door, data.stores.clone(), way_in.clone()) => Ok(()),
        () = counts::tell(stats.clone()) => Ok(()),
    }
}

/// Runs the gateway with all its signals known, until `stop`; `end` is the end of the program.
async fn assembled(
    config: Config,
    data: &Data,
    clock: &Arc<dyn Clock>,
    stats: Arc<Stats>,
    more: Vec<Arc<dyn Surface>>,
    stop: CancellationToken,
    (end, way_in): (&CancellationToken, &exchange::WayIn),
) -> Result<()> {
    let server = &config.server;
    let url = format!("opc.tcp://{}:{}", server.host, server.port);
    let mut plugins = Plugins::of(&config, clock);
    let looked = tokio::task::spawn_blocking(move || (plugins.begin(), plugins)).await;
    let (detectors, plugins) = looked.context("looking at the plugins failed")?;
    let assembly = Assembly::new(config, data)?;
    let (given, requests) = commands();
    let imports = way_in.begin();
    let latest = Arc::new(Latest::default());
    let (server, surface) = assembly.server(data, &latest, given, clock, detectors)?;
    let surfaces = std::iter::once(surface).chain(more).collect();
    let settings = assembly.config().gateway.clone();
    let ends = Arc::new(CertificateEnds::new(assembly.config(), data.pki()));
    let gateway = Gateway {
        clock: clock.clone(),
        log: data.log.clone(),
        factory: Assembly::sandbox(data, plugins)?,
        surfaces,
        bindings: assembly.bindings(),
        site: assembly.site(),
        keep: assembly.keep(),
        // Last: what was configured of the signals is theirs from now on.
        sources: assembly.into_sources(data, clock),
        own_area: settings.name.clone(),
        latest,
        stats,
        commands: requests,
        imports,
        commit_interval: settings.commit_interval,
        keep_bytes: settings.retention_gb.map(|gb| gb << 30),
        disk: Arc::new(data.disk()),
        ends,
    };
    tracing::info!(
        name = settings.name,
        data = %settings.data.display(),
        url,
        "watchfire runs"
    );
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
    let goodbye = if end.is_cancelled() { SERVER_STOP_MAX } else { SERVER_RESTART_MAX };
    match tokio::time::timeout(goodbye, &mut serve).await {
        Ok(Ok(served)) => ended.and(served),
        _ => ended,
    }
}

async fn open(folder: &Path) -> Result<Data> {
    let folder = folder.to_owned();
    tokio::task::spawn_blocking(move || Data::open(&folder)).await.context("opening the data folder failed")?
}
