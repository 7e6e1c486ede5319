//! The NodeIds of our namespace: strings that never change for as long as a thing keeps its name.
//!
//! | node | string |
//! |---|---|
//! | condition instance | its key, `detector/condition/signal` |
//! | area, signal, source of conditions | `area:Press/Oil`, `signal:press/oil`, `source:press` |
//! | detector, and the folder of all | `detector:hot`, `detectors` |
//! | operator console, and the folder of all | `console:east`, `consoles` |
//! | group of alarms, and the folder of all | `group:cooling`, `groups` |
//! | suppression group, and the folder of all | `suppression:source/press`, `suppressions` |
//! | anything below one of these | `OWNER#PATH`, such as `hot/high/press/oil#ActiveState/Id` |
//! | methods of ours | `method:RemoveFromServiceFor` |
//! | our event type, and the type of an area's or a console's figures | `StatisticalAlarmType`, `AreaAlarmMetricsType` |
//!
//! The types of instrument health have the numbers that the standard gives them, in the namespace for devices.
//!
//! A key has a `/` before any `:` or `#` (the name of a detector allows neither), so none can be taken for another.

use opcua::types::{Identifier, LocalizedText, NodeId, QualifiedName};

use crate::device_types::DEVICES;

/// The URI of our namespace.
pub(crate) const NAMESPACE_URI: &str = "urn:watchfire:alarms";
/// Its index: after the standard's and the application's own. Fixed, because HMIs are configured with it.
pub(crate) const NAMESPACE: u16 = 2;
/// Between an owner and the path of what is below it.
pub(crate) const BELOW: char = '#';
/// The type of learned findings.
pub(crate) const STATISTICAL_TYPE: &str = "StatisticalAlarmType";
/// The type of an area's or a console's figures.
pub(crate) const METRICS_TYPE: &str = "AreaAlarmMetricsType";

pub(crate) const AREA: &str = "area:";
pub(crate) const SIGNAL: &str = "signal:";
pub(crate) const SOURCE: &str = "source:";
pub(crate) const DETECTOR: &str = "detector:";
pub(crate) const METHOD: &str = "method:";
pub(crate) const CONSOLE: &str = "console:";
/// The folder of all operator consoles.
pub(crate) const CONSOLES: &str = "consoles";
/// The object with the figures of an area's alarms, below it.
pub(crate) const METRICS: &str = "Metrics";
/// The folder of all detectors.
pub(crate) const DETECTORS: &str = "detectors";
pub(crate) const GROUP: &str = "group:";
/// The folder of all groups of alarms.
pub(crate) const GROUPS: &str = "groups";
pub(crate) const SUPPRESSION: &str = "suppression:";
/// The folder of all suppression groups.
pub(crate) const SUPPRESSIONS: &str = "suppressions";

/// Locale of all texts that are not given by people.
pub(crate) const LOCALE: &str = "en";

pub(crate) fn own(text: &str) -> NodeId {
    NodeId::new(NAMESPACE, text)
}

pub(crate) fn below(owner: &str, path: &str) -> NodeId {
    NodeId::new(NAMESPACE, format!("{owner}{BELOW}{path}"))
}

/// Whether a node is one of those that are served here: of our namespace, or of the one for devices.
pub(crate) fn is_ours(id: &NodeId) -> bool {
    id.namespace == NAMESPACE || id.namespace == DEVICES
}

/// The string of a NodeId of our namespace.
pub(crate) fn own_text(id: &NodeId) -> Option<&str> {
    match &id.identifier {
        Identifier::String(text) if id.namespace == NAMESPACE => Some(text.as_ref()),
        _ => None,
    }
}

/// A browse name, of our namespace or of the standard's.
pub(crate) fn browse_name(own: bool, name: &str) -> QualifiedName {
    QualifiedName::new(if own { NAMESPACE } else { 0 }, name)
}

pub(crate) fn text(text: &str) -> LocalizedText {
    LocalizedText::new(LOCALE, text)
}
