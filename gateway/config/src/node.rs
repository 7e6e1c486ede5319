//! The text form of NodeIds (OPC 10000-6 §5.3.1.10), checked without an OPC UA stack.

use std::fmt;

use crate::BrowsePath;

/// A node of a server that is read, as it is written in the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum NodeAddress {
    /// By its NodeId.
    Id {
        /// Its namespace.
        namespace: Namespace,
        /// What it is called there.
        identifier: Identifier,
    },
    /// By the way to it, which is looked up at each connection.
    Path(BrowsePath),
}

/// A namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Namespace {
    /// By index (`ns=2`, or 0 when left out). Servers may change it when they restart.
    Index(u16),
    /// By URI (`nsu=urn:press`), looked up in the server's NamespaceArray at each connection.
    Uri(String),
}

/// A node's name within its namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Identifier {
    /// `i=`.
    Numeric(u32),
    /// `s=`.
    Text(String),
    /// `g=`, as 16 bytes in the order in which they are written.
    Guid([u8; 16]),
    /// `b=`, the base64 text as it was written.
    Opaque(String),
}

/// Why a text is no NodeId.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0}; a node reads `ns=2;s=Name`, `nsu=urn:some:server;s=Name`, `ns=2;i=1001`, `i=2258` or `/Plant/Pump/Speed`"
)]
pub struct NodeAddressError(String);

impl NodeAddress {
    /// Reads a NodeId or a browse path.
    ///
    /// # Errors
    /// Says which part does not fit.
    pub fn parse(text: &str) -> Result<Self, NodeAddressError> {
        if BrowsePath::is_meant(text) {
            return BrowsePath::parse(text).map(Self::Path);
        }
        let (namespace, rest) = namespace(text)?;
        let (kind, value) = rest.split_once('=').ok_or_else(|| wrong(format!("`{rest}` has no identifier")))?;
        let identifier = match kind {
            "i" => Identifier::Numeric(whole(value).ok_or_else(|| wrong(format!("`{value}` is no 32-bit number")))?),
            "s" if !value.is_empty() && value.len() <= 4096 => Identifier::Text(value.to_owned()),
            "s" => return Err(wrong("the text after `s=` must have 1 to 4096 bytes".into())),
            "g" => Identifier::Guid(guid(value).ok_or_else(|| wrong(format!("`{value}` is no GUID")))?),
            "b" if is_base64(value) => Identifier::Opaque(value.to_owned()),
            "b" => return Err(wrong(format!("`{value}` is no base64"))),
            _ => return Err(wrong(format!("`{kind}=` is none of `i=`, `s=`, `g=`, `b=`"))),
        };
        Ok(Self::Id { namespace, identifier })
    }
}

pub(crate) fn wrong(what: String) -> NodeAddressError {
    NodeAddressError(what)
}

pub(crate) fn namespace(text: &str) -> Result<(Namespace, &str), NodeAddressError> {
    if let Some(rest) = text.strip_prefix("ns=") {
        let (index, rest) = rest.split_once(';').ok_or_else(|| wrong("there is no `;` after the namespace".into()))?;
        let index = whole(index).and_then(|index| u16::try_from(index).ok());
        return Ok((
            Namespace::Index(index.ok_or_else(|| wrong("the namespace is no number up to 65535".into()))?),
            rest,
        ));
    }
    if let Some(rest) = text.strip_prefix("nsu=") {
        let (uri, rest) = rest.split_once(';').ok_or_else(|| wrong("there is no `;` after the namespace".into()))?;
        if uri.is_empty() || uri.chars().any(char::is_whitespace) {
            return Err(wrong("the namespace URI is empty or has blanks".into()));
        }
        // Part 6 escapes just these two in a URI.
        return Ok((Namespace::Uri(uri.replace("%3B", ";").replace("%3b", ";").replace("%25", "%")), rest));
    }
    Ok((Namespace::Index(0), text))
}

/// Digits alone: no sign, which `u32::from_str` would allow.
fn whole(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn guid(text: &str) -> Option<[u8; 16]> {
    let lengths = [8, 4, 4, 4, 12];
    let parts: Vec<&str> = text.split('-').collect();
    let shaped = parts.len() == lengths.len() && parts.iter().zip(lengths).all(|(part, length)| part.len() == length);
    let digits = parts.concat();
    if !shaped || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u128::from_str_radix(&digits, 16).ok().map(u128::to_be_bytes)
}

fn is_base64(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    let padded = text.len() - body.len();
    !body.is_empty()
        && padded <= 2
        && text.len().is_multiple_of(4)
        && body.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/')
}

impl fmt::Display for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id { namespace, identifier } => write!(f, "{namespace}{identifier}"),
            Self::Path(path) => write!(f, "{path}"),
        }
    }
}

/// As it stands before an identifier: with its semicolon, and nothing at all for the standard's own.
impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(0) => Ok(()),
            Self::Index(index) => write!(f, "ns={index};"),
            Self::Uri(uri) => write!(f, "nsu={};", uri.replace('%', "%25").replace(';', "%3B")),
        }
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Identifier::Numeric(number) => write!(f, "i={number}"),
            Identifier::Text(text) => write!(f, "s={text}"),
            Identifier::Opaque(text) => write!(f, "b={text}"),
            Identifier::Guid(bytes) => {
                f.write_str("g=")?;
                for (place, byte) in bytes.iter().enumerate() {
                    let dash = if matches!(place, 4 | 6 | 8 | 10) { "-" } else { "" };
                    write!(f, "{dash}{byte:02x}")?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_ids_are_read_and_written_back() {
        for text in [
            "i=2258",
            "ns=2;s=Pump.Speed",
            "ns=2;s=a;b=c",
            "nsu=urn:press;i=7",
            "nsu=http://x/%3By%25;s=a",
            "ns=1;g=72962b91-fa75-4ae6-8d28-b404dc7daf63",
            "ns=65535;b=AQIDBA==",
        ] {
            assert_eq!(NodeAddress::parse(text).unwrap().to_string(), text);
        }
        let escaped = NodeAddress::parse("nsu=a%3Bb%25;s=x").unwrap();
        let namespace = Namespace::Uri("a;b%".into());
        assert_eq!(escaped, NodeAddress::Id { namespace, identifier: Identifier::Text("x".into()) });
        assert!(matches!(NodeAddress::parse("/Plant/Speed").unwrap(), NodeAddress::Path(_)));
    }

    #[test]
    fn what_is_no_node_id_is_refused_with_its_reason() {
        for (text, reason) in [
            ("", "`` has no identifier"),
            ("Pump", "`Pump` has no identifier"),
            ("ns=2;Pump", "`Pump` has no identifier"),
            ("ns=2", "there is no `;` after the namespace"),
            ("ns=70000;i=1", "the namespace is no number up to 65535"),
            ("ns=-1;i=1", "the namespace is no number up to 65535"),
            ("ns=;i=1", "the namespace is no number up to 65535"),
            ("nsu=;i=1", "the namespace URI is empty or has blanks"),
            ("i=+5", "`+5` is no 32-bit number"),
            ("i=4294967296", "`4294967296` is no 32-bit number"),
            ("s=", "the text after `s=` must have 1 to 4096 bytes"),
            ("g=72962b91", "`72962b91` is no GUID"),
            ("b=A", "`A` is no base64"),
            ("x=1", "`x=` is none of `i=`, `s=`, `g=`, `b=`"),
        ] {
            let error = NodeAddress::parse(text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{reason}; a node reads")), "{text}: {error}");
        }
    }
}
