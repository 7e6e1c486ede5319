//! Why there is no server.

use watchfire_ua::UaError;

/// Why a server cannot be made or go on.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address cannot be had; another program may have it.
    #[error("cannot listen on `{address}`: {source}; set another `host` or `port` in `[server]`, or stop what uses it")]
    Listen {
        /// Host and port.
        address: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The certificates cannot be used.
    #[error(transparent)]
    Certificate(#[from] UaError),
    /// A user's certificate cannot be had.
    #[error("the certificate `{}` of user `{user}` in `[[server.user]]` cannot be used: {detail}", path.display())]
    UserCertificate {
        /// The user.
        user: String,
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        detail: String,
    },
    /// The settings do not fit together.
    #[error("the OPC UA server cannot be set up: {0}")]
    Settings(String),
    /// The task that tells clients of alarms has failed.
    #[error("alarms are no longer told to clients: {0}; start the gateway again, and report this")]
    Publisher(String),
    /// The task that tells clients of the values of signals has failed.
    #[error("values are no longer told to clients: {0}; start the gateway again, and report this")]
    Followers(String),
    /// The task that tells clients of what people do has failed.
    #[error("audit events are no longer told to clients: {0}; start the gateway again, and report this")]
    Audit(String),
    /// There is no Tokio runtime.
    #[error("an OPC UA server is made on a Tokio runtime; call this from an async function")]
    Runtime,
}
