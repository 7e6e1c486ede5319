//! Why the plant cannot start.

/// What keeps a simulated server from starting.
#[derive(Debug, thiserror::Error)]
pub enum PlantError {
    /// The address is taken or not ours.
    #[error("the plant cannot listen on {address}: {cause}; stop what uses the port, or choose another one")]
    Listen {
        /// Host and port.
        address: String,
        /// The system's reason.
        cause: std::io::Error,
    },
    /// The OPC UA server refuses its settings.
    #[error("the plant's OPC UA server cannot be made: {0}")]
    Server(String),
    /// Its certificates cannot be made or read.
    #[error(transparent)]
    Certificates(#[from] watchfire_ua::UaError),
}
