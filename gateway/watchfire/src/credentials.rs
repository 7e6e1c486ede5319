//! What `watchfire check` says of all that a start needs beside the configuration itself: whether sources can be logged in to
//! as is configured, whether users' certificates are some, and whether HMIs can connect where they are to. Nothing that is
//! secret is told. What holds on another machine or in another environment is no reason to refuse.

use std::net::TcpListener;

use watchfire_config::{Config, SecretError, ServerConfig, open_to_others};
use watchfire_server::unusable_certificates;
use watchfire_source::{SourceError, check_login};

/// What was found, a sentence each.
#[derive(Debug, Default)]
pub struct Found {
    /// What a start of the gateway, or of a source, would fail by.
    pub refused: Vec<String>,
    /// What is worth a look.
    pub noted: Vec<String>,
}

/// Looks at what a configuration names. Blocks on files.
pub fn look(config: &Config) -> Found {
    let mut found = Found::default();
    let users = unusable_certificates(&config.server);
    found.refused.extend(users.iter().map(|error| format!("but the gateway would not start: {error}")));
    found.noted.extend(host_of_others(&config.server));
    for source in &config.sources {
        let name = &source.name;
        match check_login(source) {
            Ok(()) => {}
            // It is the environment of whoever starts the gateway that counts, not this one.
            Err(SourceError::Password(error @ SecretError::Environment(_))) => {
                found.noted.push(format!("source `{name}`, as far as this environment goes: {error}"));
            }
            Err(error) => found.refused.push(format!("but source `{name}` could not be read: {error}")),
        }
        for (key, file) in source.secret_files() {
            let told = |why: String| format!("source `{name}`: `{}` (`{key}`) {why}", file.display());
            found.noted.extend(open_to_others(file).map(told));
        }
    }
    found
}

/// That the server's address is none of this machine's, where it is so: the gateway's machine may be another one. Whether its
/// port is free is not asked: the gateway that runs has it.
fn host_of_others(server: &ServerConfig) -> Option<String> {
    let error = TcpListener::bind((server.host.as_str(), 0)).err()?;
    Some(format!(
        "as far as this machine goes: the gateway would not start, since `host` \"{}\" in `[server]` is none of its addresses \
         ({error}); `0.0.0.0` is every one",
        server.host
    ))
}
