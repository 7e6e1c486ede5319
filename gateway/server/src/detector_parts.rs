//! What hangs below a detector: whose code it runs (IEC 62443-4-2 SAR 2.4). Set when the server is made, and when what
//! runs is changed.

use std::sync::Arc;

use opcua::types::{UAString, Variant};

/// A detector as it is shown to HMIs. What is not known is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DetectorNode {
    /// Its name; its NodeId is `detector:` and this.
    pub name: Arc<str>,
    /// The plugin's name, or its file.
    pub plugin: Arc<str>,
    /// The plugin's version.
    pub version: Arc<str>,
    /// SHA-256 of the component.
    pub digest: Arc<str>,
    /// Who signed it; empty where it is refused.
    pub signer: Arc<str>,
    /// Its licence, an SPDX expression.
    pub licence: Arc<str>,
    /// SHA-256 of its model.
    pub model: Arc<str>,
}

/// A property of a detector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DetectorPart {
    Plugin,
    Version,
    Digest,
    Signer,
    Licence,
    Model,
}

impl DetectorPart {
    pub(crate) const ALL: [Self; 6] =
        [Self::Plugin, Self::Version, Self::Digest, Self::Signer, Self::Licence, Self::Model];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Plugin => "Plugin",
            Self::Version => "Version",
            Self::Digest => "Digest",
            Self::Signer => "Signer",
            Self::Licence => "Licence",
            Self::Model => "Model",
        }
    }

    /// Its value, a String; null for what is not known.
    pub(crate) fn value(self, detector: &DetectorNode) -> Variant {
        let text = match self {
            Self::Plugin => &detector.plugin,
            Self::Version => &detector.version,
            Self::Digest => &detector.digest,
            Self::Signer => &detector.signer,
            Self::Licence => &detector.licence,
            Self::Model => &detector.model,
        };
        Variant::from(if text.is_empty() { UAString::null() } else { UAString::from(&**text) })
    }

    pub(crate) const fn explanation(self) -> &'static str {
        match self {
            Self::Plugin => "The plugin's name, or its file.",
            Self::Version => "The plugin's version.",
            Self::Digest => "SHA-256 of the component that runs.",
            Self::Signer => "Who signed it, as the configuration names the key. Null while the plugin is refused.",
            Self::Licence => "The plugin's licence, an SPDX expression.",
            Self::Model => "SHA-256 of the model that it judges by. Null where it has none.",
        }
    }
}
