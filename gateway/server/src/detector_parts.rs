//! What hangs below a detector: whose code it runs (IEC 62443-4-2 SAR 2.4), set when the server is made and when what
//! runs is changed; and how far its alarms could be trusted.

use std::sync::Arc;

use opcua::types::{DataTypeId, UAString, Variant};

use crate::nodes::Values;

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
    /// The sources of the signals that it watches, each once.
    pub sources: Vec<Arc<str>>,
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
    Alarms,
    MarkedTrue,
    MarkedFalse,
}

impl DetectorPart {
    pub(crate) const ALL: [Self; 9] = [
        Self::Plugin,
        Self::Version,
        Self::Digest,
        Self::Signer,
        Self::Licence,
        Self::Model,
        Self::Alarms,
        Self::MarkedTrue,
        Self::MarkedFalse,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Plugin => "Plugin",
            Self::Version => "Version",
            Self::Digest => "Digest",
            Self::Signer => "Signer",
            Self::Licence => "Licence",
            Self::Model => "Model",
            Self::Alarms => "AlarmsIn30Days",
            Self::MarkedTrue => "MarkedTrue30Days",
            Self::MarkedFalse => "MarkedFalse30Days",
        }
    }

    pub(crate) const fn data_type(self) -> DataTypeId {
        if self.moves() { DataTypeId::UInt32 } else { DataTypeId::String }
    }

    /// Whether it is a count, which changes as alarms come and days go.
    pub(crate) const fn moves(self) -> bool {
        matches!(self, Self::Alarms | Self::MarkedTrue | Self::MarkedFalse)
    }

    /// Its value; null for what is not known.
    pub(crate) fn value(self, detector: &DetectorNode, values: &Values<'_>) -> Variant {
        let trusted = || values.figures.detector(&detector.name, values.now);
        let text = match self {
            Self::Alarms => return trusted().alarms.into(),
            Self::MarkedTrue => return trusted().genuine.into(),
            Self::MarkedFalse => return trusted().mistaken.into(),
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
            Self::Alarms => "Alarms of the last 30 days, by UTC days.",
            Self::MarkedTrue => "How many of them somebody marked as true.",
            Self::MarkedFalse => "How many somebody marked as false.",
            Self::Model => "SHA-256 of the model that it judges by. Null where it has none.",
        }
    }
}
