//! `watchfire run` and `watchfire check`.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use tokio_util::sync::CancellationToken;
use watchfire_config::Config;
use watchfire_model::{Clock, SystemClock};
use watchfire_pipeline::{Gateway, Latest, Stats, Surface, commands};

use crate::assemble::Assembly;
use crate::cli::ConfigFile;
use crate::data::Data;
use crate::{counts, query, terminal};

/// Runs the gateway until a signal ends it.
///
/// # Errors
/// When the configuration is refused, or the gateway cannot start or go on.
pub fn run(options: &ConfigFile) -> Result<ExitCode> {
    let config = Config::load(&options.config)?;
    let runtime = runtime()?;
    runtime.block_on(async {
        let stop = CancellationToken::new();
        terminal::stop_on_signal(&stop)?;
        gateway(&config, Arc::default(), Vec::new(), stop).await
    })?;
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    Ok(ExitCode::SUCCESS)
}

/// Checks a configuration.
///
/// # Errors
/// Everything that is wrong with it.
pub fn check(options: &ConfigFile) -> Result<ExitCode> {
    let config = Config::load(&options.config)?;
    let signals: usize = config.sources.iter().map(|source| source.signals.len()).sum();
    println!(
        "{} is good: {} sources with {signals} signals, {} detectors",
        options.config.display(),
        config.sources.len(),
        config.detectors.len()
    );
    Ok(ExitCode::SUCCESS)
}

/// The program's runtime.
///
/// # Errors
/// When the system gives no threads.
pub fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the program's threads")
}

/// Runs a configured gateway until `stop`, showing alarms on its own server and on `more` surfaces.
///
/// # Errors
/// When it cannot start or go on.
pub async fn gateway(
    config: &Config,
    stats: Arc<Stats>,
    more: Vec<Arc<dyn Surface>>,
    stop: CancellationToken,
) -> Result<()> {
    let folder = config.gateway.data.clone();
    let data = open(&folder).await?;
    let door = query::open(&folder);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let assembly = Assembly::new(config, &data)?;
    let (way_in, requests) = commands();
    let latest = Arc::new(Latest::default());
    let (server, surface) = assembly.server(&data, &latest, way_in, &clock)?;
    let surfaces = std::iter::once(surface).chain(more).collect();
    let gateway = Gateway {
        clock: clock.clone(),
        log: data.log.clone(),
        factory: Assembly::sandbox(&data)?,
        sources: assembly.sources(&data, &clock),
        surfaces,
        bindings: assembly.bindings(),
        site: assembly.site(),
        own_area: config.gateway.name.clone(),
        latest,
        stats: stats.clone(),
        commands: requests,
        commit_interval: config.gateway.commit_interval,
        keep: assembly.keep(),
    };
    tracing::info!(
        name = config.gateway.name,
        data = %folder.display(),
        url = format!("opc.tcp://{}:{}", config.server.host, config.server.port),
        "watchfire runs"
    );
    let server_stop = stop.child_token();
    let serving = tokio::spawn(server.run(server_stop.clone()));
    let answering = query::answer(door, data.log.clone());
    let ended = tokio::select! {
        ended = gateway.run(stop.clone()) => ended.map_err(anyhow::Error::from),
        () = answering => Ok(()),
        () = counts::tell(stats) => Ok(()),
    };
    server_stop.cancel();
    let served = tokio::time::timeout(std::time::Duration::from_millis(300), serving).await;
    if let Ok(Ok(Err(error))) = served { ended.and(Err(error).context("the OPC UA server failed")) } else { ended }
}

async fn open(folder: &Path) -> Result<Data> {
    let folder = folder.to_owned();
    tokio::task::spawn_blocking(move || Data::open(&folder)).await.context("opening the data folder failed")?
}
