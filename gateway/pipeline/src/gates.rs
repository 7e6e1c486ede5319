//! By what the scores of a detector's conditions become events: as it is configured, and as it is on record.

use std::time::Duration;

use watchfire_calibration::GateSettings;
use watchfire_model::{ConditionSpec, Decides, GateSet, Scale};

use crate::settings::settings_of;
use crate::{BindingSpec, CreateError};

/// The gate of a condition: `None` when the plugin decides itself.
pub(crate) fn gate_of(spec: &BindingSpec, condition: &ConditionSpec) -> Result<Option<GateSettings>, CreateError> {
    if condition.decides == Decides::Plugin {
        return Ok(None);
    }
    let configured = settings_of(spec, &condition.id);
    let default = GateSettings::default();
    let threshold = match (configured.threshold, condition.scale) {
        (Some(threshold), _) => threshold,
        (None, Scale::NegLog10P) => default.threshold,
        (None, Scale::Ordinal) => {
            let text = format!(
                "condition `{}` of plugin `{}` has scores without a scale; set `threshold` under `[detector.alarm.{}]`",
                condition.id, spec.plugin, condition.id
            );
            return Err(CreateError::Refused(text));
        }
    };
    Ok(Some(GateSettings { threshold, hold_off: configured.hold_off.unwrap_or(default.hold_off), ..default }))
}

/// The same of all conditions, for the log.
pub(crate) fn sets_of(conditions: &[ConditionSpec], gates: &[Option<GateSettings>]) -> Vec<GateSet> {
    let gates = conditions.iter().zip(gates).filter_map(|(condition, gate)| Some((condition, gate.as_ref()?)));
    let set = |(condition, gate): (&ConditionSpec, &GateSettings)| GateSet {
        condition: condition.id.clone(),
        threshold: gate.threshold,
        hold_off_ns: u64::try_from(gate.hold_off.as_nanos()).unwrap_or(u64::MAX),
    };
    gates.map(set).collect()
}

/// What is on record, in place of what is configured.
pub(crate) fn take_up(conditions: &[ConditionSpec], gates: &mut [Option<GateSettings>], set: &[GateSet]) {
    for (condition, gate) in conditions.iter().zip(gates) {
        if let (Some(gate), Some(set)) = (gate, set.iter().find(|set| set.condition == condition.id)) {
            gate.threshold = set.threshold;
            gate.hold_off = Duration::from_nanos(set.hold_off_ns);
        }
    }
}
