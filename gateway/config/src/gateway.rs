//! `[gateway]`: what concerns the whole.

use std::path::PathBuf;
use std::time::Duration;

/// The gateway's own settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayConfig {
    /// Its name, shown to HMIs and part of its certificate. Default `watchfire`.
    pub name: String,
    /// The folder of its data, resolved against the configuration file's folder. Default `data`.
    pub data: PathBuf,
    /// How often written data is made durable, 10 ms to 1 s. Default 100 ms.
    pub commit_interval: Duration,
    /// How long history is kept, in whole days. Default 90.
    pub retention_days: u32,
    /// Full name of the signal that holds the plant's operating mode, one of the configured signals.
    pub mode_signal: Option<String>,
    /// The site's time zone: seconds east of UTC. Default 0.
    pub utc_offset_s: i32,
}
