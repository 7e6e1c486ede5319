//! Who we are towards other OPC UA applications: one identity for the gateway's client and its server.

use opcua::crypto::X509Data;

/// An application's name and URI, as its certificate states them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    /// The name shown to people.
    pub name: String,
    /// The application URI; the certificate must hold the same (OPC 10000-6 §6.2.2).
    pub uri: String,
}

impl Application {
    /// The application `name` on this machine, its URI made of the host's name: `urn:HOST:NAME`.
    #[must_use]
    pub fn on_this_host(name: &str) -> Self {
        let host = X509Data::computer_hostnames().into_iter().next().unwrap_or_else(|| "localhost".to_owned());
        Self { name: name.to_owned(), uri: format!("urn:{host}:{}", name.to_lowercase().replace(' ', "-")) }
    }

    /// The gateway itself.
    #[must_use]
    pub fn gateway() -> Self {
        Self::on_this_host("Watchfire")
    }
}
