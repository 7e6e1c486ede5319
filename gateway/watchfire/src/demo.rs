//! `watchfire demo`: a simulated plant behind an OPC UA server, the gateway on it, and a view of what it catches.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use tokio_util::sync::CancellationToken;
use watchfire_config::{Config, EndpointUrl};
use watchfire_pipeline::Stats;
use watchfire_plant::{Plant, PlantOptions};

use crate::cli::Demo;
use crate::view::View;
use crate::{run, terminal};

/// The demo's configuration, the same file that is shown as an example.
const CONFIG: &str = include_str!("../../../config/demo.toml");

/// Runs the demo.
///
/// # Errors
/// When a port is taken, or a part of it cannot start or go on.
pub fn demo(options: &Demo) -> Result<ExitCode> {
    let folder = Folder::new(options.data.as_deref())?;
    let config = configure(options, &folder.path)?;
    let runtime = run::runtime()?;
    let ended = runtime.block_on(async {
        let stop = CancellationToken::new();
        terminal::stop_on_signal(&stop)?;
        if let Some(lasting) = options.lasting {
            let stop = stop.clone();
            tokio::spawn(async move {
                tokio::time::sleep(lasting).await;
                stop.cancel();
            });
        }
        let plant_options = PlantOptions { port: options.plant_port, ..PlantOptions::default() };
        // It outlives the gateway, which would raise an alarm for its end.
        let plant_stop = CancellationToken::new();
        let plant =
            Plant::start(plant_options, plant_stop.clone()).await.context("the simulated plant cannot start")?;
        let stats = Arc::new(Stats::default());
        let view = Arc::new(View::new(&config, options.plant_port, stats.clone()));
        let viewing = tokio::spawn(view.clone().show(stop.child_token()));
        let ended = run::gateway(config, None, stats, vec![view.clone()], stop.clone()).await;
        stop.cancel();
        plant_stop.cancel();
        drop(plant);
        drop(viewing.await);
        view.conclude();
        ended
    });
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    ended.map(|()| ExitCode::SUCCESS)
}

fn configure(options: &Demo, data: &Path) -> Result<Config> {
    let mut config = Config::parse(CONFIG, "demo.toml", data)?;
    config.gateway.data = data.to_owned();
    config.server.port = options.port;
    for source in &mut config.sources {
        source.url = EndpointUrl::parse(&format!("opc.tcp://localhost:{}", options.plant_port))?;
    }
    Ok(config)
}

/// Where the demo keeps its data: a given folder, or one of its own that is removed at the end.
struct Folder {
    path: PathBuf,
    own: bool,
}

impl Folder {
    fn new(given: Option<&Path>) -> Result<Self> {
        let own = given.is_none();
        let path = given.map_or_else(
            || std::env::temp_dir().join(format!("watchfire-demo-{}", std::process::id())),
            Path::to_owned,
        );
        std::fs::create_dir_all(&path).with_context(|| format!("cannot make the folder `{}`", path.display()))?;
        Ok(Self { path, own })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.own
            && let Err(error) = std::fs::remove_dir_all(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "the demo's folder could not be removed");
        }
    }
}
