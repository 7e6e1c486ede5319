//! Node ids as people write them, and their namespace found on the server they are meant for.

use std::fmt;
use std::str::FromStr;

use opcua::types::{Identifier, NodeId};

use crate::UaError;

/// A node id as written in a configuration (OPC 10000-6 §5.1.12): `ns=2;s=Name`, `i=2258` or
/// `nsu=urn:maker:namespace;s=Name`. Written with `nsu=` it holds on every server and after every restart; a
/// namespace index need not.
///
/// Or the browse path to it, which is kept as it was written: only the server can be asked for the node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NodeAddress(Place);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Place {
    Id { namespace: Namespace, identifier: Identifier },
    Path(String),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Namespace {
    Index(u16),
    Uri(String),
}

impl NodeAddress {
    /// The null node id, which no server has.
    #[must_use]
    pub const fn null() -> Self {
        Self(Place::Id { namespace: Namespace::Index(0), identifier: Identifier::Numeric(0) })
    }

    /// The address of a node of a server with this NamespaceArray, its namespace by its URI, so that it holds however
    /// namespaces are numbered. By its index where the array does not have it.
    #[must_use]
    pub fn of(node: &NodeId, namespaces: &[String]) -> Self {
        let uri = namespaces.get(usize::from(node.namespace)).filter(|uri| node.namespace > 0 && !uri.is_empty());
        let namespace = uri.map_or(Namespace::Index(node.namespace), |uri| Namespace::Uri(uri.clone()));
        Self(Place::Id { namespace, identifier: node.identifier.clone() })
    }

    /// The browse path, if it is one.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        match &self.0 {
            Place::Path(path) => Some(path),
            Place::Id { .. } => None,
        }
    }

    /// The node id on a server with this NamespaceArray.
    ///
    /// # Errors
    /// When the namespace is not in it; an index beyond it as well. For a browse path: only the server knows.
    pub fn resolve(&self, namespaces: &[String]) -> Result<NodeId, UaError> {
        let (namespace, identifier) = match &self.0 {
            Place::Id { namespace, identifier } => (namespace, identifier),
            Place::Path(path) => return Err(UaError::NodeId { text: path.clone() }),
        };
        let index = match namespace {
            Namespace::Index(index) if usize::from(*index) < namespaces.len() => Some(*index),
            Namespace::Index(_) => None,
            Namespace::Uri(uri) => {
                namespaces.iter().position(|known| known == uri).and_then(|at| u16::try_from(at).ok())
            }
        };
        match index {
            Some(index) => Ok(NodeId::new(index, identifier.clone())),
            None => Err(UaError::Namespace {
                uri: match namespace {
                    Namespace::Index(index) => format!("ns={index}"),
                    Namespace::Uri(uri) => uri.clone(),
                },
                known: namespaces.iter().map(|uri| format!("`{uri}`")).collect::<Vec<_>>().join(", "),
            }),
        }
    }
}

impl FromStr for NodeAddress {
    type Err = UaError;

    fn from_str(text: &str) -> Result<Self, UaError> {
        let wrong = || UaError::NodeId { text: text.to_owned() };
        let (namespace, identifier) = if let Some(rest) = text.strip_prefix("nsu=") {
            let (uri, identifier) = rest.split_once(';').ok_or_else(wrong)?;
            (Namespace::Uri(unescaped(uri)), identifier)
        } else if let Some(rest) = text.strip_prefix("ns=") {
            let (index, identifier) = rest.split_once(';').ok_or_else(wrong)?;
            (Namespace::Index(index.parse().map_err(|_| wrong())?), identifier)
        } else {
            (Namespace::Index(0), text)
        };
        if identifier.len() > 1 && identifier.starts_with('/') {
            return Ok(Self(Place::Path(text.to_owned())));
        }
        let has_form = identifier
            .split_once('=')
            .is_some_and(|(form, value)| matches!(form, "i" | "s" | "g" | "b") && !value.is_empty());
        if !has_form || matches!(&namespace, Namespace::Uri(uri) if uri.is_empty()) {
            return Err(wrong());
        }
        let identifier = Identifier::from_str(identifier).map_err(|()| wrong())?;
        Ok(Self(Place::Id { namespace, identifier }))
    }
}

/// `;` and `%` are written as `%3B` and `%25` within a namespace URI.
fn unescaped(uri: &str) -> String {
    uri.replace("%3B", ";").replace("%3b", ";").replace("%25", "%")
}

impl fmt::Display for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Id { namespace, identifier } => write!(f, "{namespace}{identifier}"),
            Place::Path(path) => f.write_str(path),
        }
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(0) => Ok(()),
            Self::Index(index) => write!(f, "ns={index};"),
            Self::Uri(uri) => write!(f, "nsu={};", uri.replace('%', "%25").replace(';', "%3B")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_ids_are_read_and_written_alike() {
        for text in [
            "i=2258",
            "ns=2;s=Line 1;Pump=A",
            "ns=3;g=72962b91-fa75-4ae6-8d28-b404dc7daf63",
            "ns=3;b=M/RbKBsRVkePCePcx24oRA==",
            "nsu=urn:watchfire:plant;s=pump/flow",
            "nsu=urn:odd%3B%25;i=1",
            "/Plant/Pump/Speed",
            "nsu=urn:plc;/Plant/0:Speed",
        ] {
            assert_eq!(text.parse::<NodeAddress>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_node_id_is_refused() {
        for text in [
            "",
            "pump",
            "ns=2",
            "ns=2;",
            "ns=x;i=1",
            "ns=70000;i=1",
            "i=",
            "i=x",
            "nsu=;i=1",
            "nsu=urn:a",
            "q=1",
            "é=1",
        ] {
            assert!(text.parse::<NodeAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_namespace_is_found_by_its_name_wherever_it_stands() {
        let namespaces = ["http://opcfoundation.org/UA/", "urn:server", "urn:watchfire:plant"].map(String::from);
        let by_uri: NodeAddress = "nsu=urn:watchfire:plant;s=pump/flow".parse().unwrap();
        assert_eq!(by_uri.resolve(&namespaces).unwrap(), NodeId::new(2, "pump/flow"));
        let missing: NodeAddress = "nsu=urn:elsewhere;s=x".parse().unwrap();
        assert!(missing.resolve(&namespaces).unwrap_err().to_string().contains("urn:elsewhere"));
        assert_eq!(NodeAddress::of(&NodeId::new(2, "pump/flow"), &namespaces), by_uri);
        for (node, text) in [(NodeId::new(0, 85), "i=85"), (NodeId::new(9, 1), "ns=9;i=1")] {
            assert_eq!(NodeAddress::of(&node, &namespaces).to_string(), text);
        }
        let path: NodeAddress = "/Plant/Speed".parse().unwrap();
        assert!(path.resolve(&namespaces).is_err() && path.path() == Some("/Plant/Speed"));
        let beyond: NodeAddress = "ns=3;s=x".parse().unwrap();
        assert!(beyond.resolve(&namespaces).is_err());
    }
}
