//! Everything about one condition, and the figures of an area or an operator console, read from their variables.

use opcua::types::{BrowseDescription, BrowseDescriptionResultMask, BrowseDirection, NodeId, ReferenceTypeId, Variant};
use watchfire_ua::instant_from_date_time;

use crate::alarm::hexadecimal;
use crate::{Console, ConsoleError};

/// What is shown of a condition, in this order; what it does not have is left out.
const CONDITION: [&str; 33] = [
    "SourceName",
    "Message",
    "Severity",
    "LastSeverity",
    "ActiveState",
    "AckedState",
    "ConfirmedState",
    "Retain",
    "Time",
    "ReceiveTime",
    "EventId",
    "EnabledState",
    "ShelvingState/CurrentState",
    "ShelvingState/UnshelveTime",
    "MaxTimeShelved",
    "SuppressedState",
    "SuppressedBy",
    "OutOfServiceState",
    "OutOfServiceFrom",
    "OutOfServiceUntil",
    "SilenceState",
    "LatchedState",
    "Chattering",
    "Quality",
    "Comment",
    "ClientUserId",
    "MarkedAs",
    "Score",
    "Cause",
    "Consequence",
    "Response",
    "RespondWithin",
    "Detector",
];
/// And of an area or a console.
const AREA: [&str; 23] = [
    "AlarmCount",
    "StartTime",
    "CurrentAlarmRate",
    "AverageAlarmRate",
    "MaximumAlarmRate",
    "AlarmsInHour",
    "AlarmsInDay",
    "AlarmsIn30Days",
    "FloodShareDay",
    "TopTenShareDay",
    "LowShare30Days",
    "MediumShare30Days",
    "HighShare30Days",
    "Stale",
    "Chattering",
    "FleetingInDay",
    "MaximumActiveState",
    "MaximumUnAck",
    "MaximumReAlarmCount",
    "MarkedTrue30Days",
    "MarkedFalse30Days",
    "UnauthorizedSuppressions",
    "UnauthorizedChanges",
];
/// And of a detector.
const DETECTOR: [&str; 3] = ["AlarmsIn30Days", "MarkedTrue30Days", "MarkedFalse30Days"];

/// Those that are times, in milliseconds.
const LASTING: [&str; 5] =
    ["ShelvingState/UnshelveTime", "MaxTimeShelved", "RespondWithin", "MaximumActiveState", "MaximumUnAck"];

impl Console {
    /// What there is to know of a condition: names and values.
    ///
    /// # Errors
    /// When there is no such condition, or the connection ends.
    pub async fn show(&self, condition: &str) -> Result<Vec<(&'static str, String)>, ConsoleError> {
        self.shown(&CONDITION, &format!("{condition}#"), &format!("condition `{condition}`")).await
    }

    /// The figures of an area's alarms (OPC 10000-9 §9.2, ISA-18.2 §16).
    ///
    /// # Errors
    /// When there is no such area, or the connection ends.
    pub async fn figures(&self, area: &str) -> Result<Vec<(&'static str, String)>, ConsoleError> {
        self.shown(&AREA, &format!("area:{area}#Metrics/"), &format!("area `{area}`")).await
    }

    /// The same of the alarms that an operator console looks after.
    ///
    /// # Errors
    /// When there is no such console, or the connection ends.
    pub async fn figures_of_console(&self, console: &str) -> Result<Vec<(&'static str, String)>, ConsoleError> {
        self.shown(&AREA, &format!("console:{console}#"), &format!("console `{console}`")).await
    }

    /// How far the alarms of a detector could be trusted.
    ///
    /// # Errors
    /// When there is no such detector, or the connection ends.
    pub async fn trusted(&self, detector: &str) -> Result<Vec<(&'static str, String)>, ConsoleError> {
        self.shown(&DETECTOR, &format!("detector:{detector}#"), &format!("detector `{detector}`")).await
    }

    async fn shown(
        &self,
        names: &[&'static str],
        prefix: &str,
        what: &str,
    ) -> Result<Vec<(&'static str, String)>, ConsoleError> {
        let nodes = names.iter().map(|name| self.own(&format!("{prefix}{name}"))).collect();
        let values = self.values(nodes).await?;
        let pairs = names.iter().zip(values).filter_map(|(name, value)| Some((*name, told(name, &value.value?)?)));
        let shown: Vec<_> = pairs.collect();
        if shown.is_empty() { Err(ConsoleError::Unknown(what.to_owned())) } else { Ok(shown) }
    }

    /// The areas at the top, by name.
    ///
    /// # Errors
    /// When the connection ends.
    pub async fn areas(&self) -> Result<Vec<String>, ConsoleError> {
        self.names_below(opcua::types::ObjectId::ObjectsFolder.into(), "area:").await
    }

    /// The operator consoles, by name.
    ///
    /// # Errors
    /// When the connection ends.
    pub async fn consoles(&self) -> Result<Vec<String>, ConsoleError> {
        self.names_below(self.own("consoles"), "console:").await
    }

    /// The detectors, by name.
    ///
    /// # Errors
    /// When the connection ends.
    pub async fn detectors(&self) -> Result<Vec<String>, ConsoleError> {
        self.names_below(self.own("detectors"), "detector:").await
    }

    async fn names_below(&self, node_id: NodeId, prefix: &str) -> Result<Vec<String>, ConsoleError> {
        let objects = BrowseDescription {
            node_id,
            browse_direction: BrowseDirection::Forward,
            reference_type_id: ReferenceTypeId::HierarchicalReferences.into(),
            include_subtypes: true,
            node_class_mask: 0,
            result_mask: BrowseDescriptionResultMask::all().bits(),
        };
        let found = self.session.browse(&[objects], 0, None).await;
        let found = found.map_err(|error| ConsoleError::Lost {
            doing: format!("looking for each `{prefix}`"),
            status: error.status(),
        })?;
        let references = found.into_iter().flat_map(|result| result.references.unwrap_or_default());
        let without = |name: String| name.strip_prefix(prefix).map(str::to_owned);
        let mut names: Vec<String> =
            references.filter_map(|reference| self.name_of(&reference.node_id.node_id).and_then(without)).collect();
        names.sort();
        names.dedup();
        Ok(names)
    }
}

fn told(name: &str, value: &Variant) -> Option<String> {
    match value {
        Variant::Double(ms) if LASTING.contains(&name) => Some(format!("{} s", ms / 1000.0)),
        value => plain(value),
    }
}

/// A value for people; `None` for one that says nothing.
fn plain(value: &Variant) -> Option<String> {
    let text = match value {
        Variant::Empty => return None,
        Variant::LocalizedText(text) => text.text.as_ref().to_owned(),
        Variant::String(text) => text.as_ref().to_owned(),
        Variant::ByteString(bytes) => hexadecimal(bytes.as_ref()),
        Variant::DateTime(time) if time.is_null() => return None,
        Variant::DateTime(time) => instant_from_date_time(time, None).map_or_else(String::new, |at| at.to_string()),
        Variant::Boolean(is) => if *is { "yes" } else { "no" }.to_owned(),
        Variant::StatusCode(status) => status.to_string(),
        Variant::Double(number) => format!("{number}"),
        other => other.to_string(),
    };
    (!text.is_empty()).then_some(text)
}
