//! `opc.tcp` URLs.

use std::fmt;

/// Where an OPC UA server is: `opc.tcp://host[:port][/path]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EndpointUrl {
    /// A host name or address; an IPv6 address without its brackets.
    pub host: String,
    /// The port; 4840 when left out.
    pub port: u16,
    /// The path with its leading `/`, or empty.
    pub path: String,
}

/// Why a text is no such URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}; a URL reads `opc.tcp://host:4840/path`")]
pub struct EndpointError(String);

impl EndpointUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// Says which part does not fit.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let wrong = |what: &str| EndpointError(format!("`{text}` {what}"));
        let rest = text.strip_prefix("opc.tcp://").ok_or_else(|| wrong("does not begin with `opc.tcp://`"))?;
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(wrong("has blanks"));
        }
        if rest.contains('@') {
            // Not repeated: it may hold a password, and this goes to logs.
            return Err(EndpointError("there is a user in the URL: give `user` and `password_file` instead".into()));
        }
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let (host, port) = match authority.strip_prefix('[') {
            Some(bracketed) => {
                let (host, port) = bracketed.split_once(']').ok_or_else(|| wrong("has no `]`"))?;
                if host.parse::<std::net::Ipv6Addr>().is_err() {
                    return Err(wrong("has no IPv6 address in its brackets"));
                }
                (host, if port.is_empty() { None } else { Some(port.strip_prefix(':').unwrap_or("")) })
            }
            None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
        };
        if host.is_empty() {
            return Err(wrong("has no host"));
        }
        let port = match port {
            None => 4840,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => match digits.parse() {
                Ok(port) if port > 0 => port,
                _ => return Err(wrong("has no port from 1 to 65535")),
            },
            Some(_) => return Err(wrong("has no port from 1 to 65535")),
        };
        Ok(Self { host: host.to_owned(), port, path: path.to_owned() })
    }
}

impl fmt::Display for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, path } = self;
        if host.contains(':') {
            write!(f, "opc.tcp://[{host}]:{port}{path}")
        } else {
            write!(f, "opc.tcp://{host}:{port}{path}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_and_written_with_their_port() {
        for (text, written) in [
            ("opc.tcp://press:4841", "opc.tcp://press:4841"),
            ("opc.tcp://press", "opc.tcp://press:4840"),
            ("opc.tcp://10.0.0.1/a/b", "opc.tcp://10.0.0.1:4840/a/b"),
            ("opc.tcp://[::1]:4841/x:y", "opc.tcp://[::1]:4841/x:y"),
        ] {
            assert_eq!(EndpointUrl::parse(text).unwrap().to_string(), written);
        }
    }

    #[test]
    fn what_is_no_url_is_refused_with_its_reason() {
        for (text, reason) in [
            ("http://press", "does not begin with `opc.tcp://`"),
            ("", "does not begin with `opc.tcp://`"),
            ("opc.tcp://", "has no host"),
            ("opc.tcp://:4840", "has no host"),
            ("opc.tcp://press:0", "has no port from 1 to 65535"),
            ("opc.tcp://press:", "has no port from 1 to 65535"),
            ("opc.tcp://press:70000", "has no port from 1 to 65535"),
            ("opc.tcp://press:+1", "has no port from 1 to 65535"),
            ("opc.tcp://fe80::1", "has no port from 1 to 65535"),
            ("opc.tcp://[::1", "has no `]`"),
            ("opc.tcp://[x]", "has no IPv6 address in its brackets"),
            ("opc.tcp://[::1]x", "has no port from 1 to 65535"),
            ("opc.tcp://a b", "has blanks"),
        ] {
            let error = EndpointUrl::parse(text).unwrap_err().to_string();
            assert_eq!(error, format!("`{text}` {reason}; a URL reads `opc.tcp://host:4840/path`"));
        }
    }

    #[test]
    fn a_password_in_a_url_is_not_repeated() {
        let error = EndpointUrl::parse("opc.tcp://me:hunter2@press").unwrap_err().to_string();
        assert!(error.starts_with("there is a user in the URL") && !error.contains("hunter2"), "{error}");
    }
}
