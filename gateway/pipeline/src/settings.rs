//! What the configuration says of a detector's conditions, and whether it says it of conditions that there are.

use std::collections::BTreeSet;

use watchfire_alarms::AlarmType;
use watchfire_model::{AlarmSettings, ConditionSpec, Scope};

use crate::{BindingSpec, CreateError};

/// Refuses settings for a condition that the plugin does not have: they would be for nothing, unseen.
pub(crate) fn known_conditions(spec: &BindingSpec, conditions: &[ConditionSpec]) -> Result<(), CreateError> {
    let named: BTreeSet<&str> = spec.signals.iter().map(|signal| &*signal.name).collect();
    let groups: BTreeSet<String> = spec.signals.iter().map(|signal| signal.group.to_string()).collect();
    let known = |id: &str| match id.split_once('/') {
        None => id == "*" || conditions.iter().any(|condition| condition.id == id),
        Some((id, instance)) => match conditions.iter().find(|condition| condition.id == id).map(|one| one.scope) {
            None | Some(Scope::Binding) => false,
            Some(scope) => {
                // A server may have given up one of its signals: that is no reason not to watch the others.
                if !(if scope == Scope::Signal { named.contains(instance) } else { groups.contains(instance) }) {
                    tracing::warn!(
                        detector = spec.name,
                        condition = id,
                        instance,
                        "settings for what it does not watch"
                    );
                }
                true
            }
        },
    };
    let Some(unknown) = spec.alarms.keys().find(|id| !known(id)) else { return Ok(()) };
    let ids: Vec<_> = conditions.iter().map(|condition| format!("`{}`", condition.id)).collect();
    let text = format!(
        "plugin `{}` has no condition `{unknown}`, for which `[detector.alarm.{}]` is set; with this configuration it has {}{}",
        spec.plugin,
        if unknown.contains('/') { format!("\"{unknown}\"") } else { unknown.clone() },
        ids.join(", "),
        if unknown.contains('/') { ", each for the signals or groups that it watches" } else { "" }
    );
    Err(CreateError::Refused(text))
}

/// A key that is of some types of alarms alone.
struct OfTypes {
    key: &'static str,
    /// What these are, for people.
    of: &'static str,
    is_set: fn(&AlarmSettings) -> bool,
    fits: fn(AlarmType) -> bool,
}

const OF_TYPES: [OfTypes; 3] = [
    OfTypes {
        key: "exclusive",
        of: "limit alarms",
        is_set: |settings| settings.exclusive.is_some(),
        fits: |told| told.is_exclusive() || told.is_non_exclusive(),
    },
    OfTypes {
        key: "normal",
        of: "what is off normal",
        is_set: |settings| settings.normal.is_some(),
        fits: |told| matches!(told, AlarmType::OffNormal | AlarmType::Trip),
    },
    OfTypes {
        key: "expected_time_s",
        of: "discrepancies",
        is_set: |settings| settings.expected_time.is_some(),
        fits: |told| told == AlarmType::Discrepancy,
    },
];

/// Refuses what is set for some types of alarms where a condition is of none of them.
pub(crate) fn fitting_types(spec: &BindingSpec, conditions: &[ConditionSpec]) -> Result<(), CreateError> {
    let named = |id: &str| conditions.iter().find(|condition| Some(&*condition.id) == id.split('/').next());
    for one in &OF_TYPES {
        let set = spec.alarms.iter().filter(|(_, settings)| (one.is_set)(settings));
        let told = |condition: &ConditionSpec| AlarmType::from_browse_name(&condition.alarm_type).unwrap_or_default();
        let wrong = set.filter_map(|(id, _)| Some((id, named(id)?))).find(|(_, found)| !(one.fits)(told(found)));
        if let Some((id, condition)) = wrong {
            let text = format!(
                "`{}` is of {}, and condition `{id}` of plugin `{}` is {}; take it away",
                one.key, one.of, spec.plugin, condition.alarm_type
            );
            return Err(CreateError::Refused(text));
        }
    }
    Ok(())
}

/// What the configuration says of one instance of a condition beyond what it says of the condition.
pub(crate) fn settings_of_one(spec: &BindingSpec, condition: &str, instance: &str) -> Option<AlarmSettings> {
    // Most have none, and there may be very many instances.
    let any = spec.alarms.keys().any(|id| id.contains('/'));
    any.then(|| spec.alarms.get(&format!("{condition}/{instance}")).cloned()).flatten()
}

/// What the configuration says of a condition: its own table over the one for all, `*`.
pub(crate) fn settings_of(spec: &BindingSpec, condition: &str) -> AlarmSettings {
    let of = |name: &str| spec.alarms.get(name).cloned().unwrap_or_default();
    of(condition).or(of("*"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use watchfire_model::{Decides, Scale, Severity};

    use super::*;

    #[test]
    fn what_is_set_for_limits_is_refused_for_what_has_none() {
        let condition = |id: &str, alarm_type: &str| ConditionSpec {
            id: id.into(),
            scope: Scope::Signal,
            decides: Decides::Plugin,
            scale: Scale::Ordinal,
            alarm_type: alarm_type.into(),
            severity: Severity::clamped(500),
            text: "odd".into(),
            response: String::new(),
        };
        let conditions = [condition("limit", "ExclusiveLevelAlarmType"), condition("stuck", "OffNormalAlarmType")];
        let spec = |id: &str| BindingSpec {
            name: "hot".into(),
            plugin: "own".into(),
            signals: Vec::new(),
            config: "{}".into(),
            places: BTreeMap::new(),
            model: None,
            seed: 0,
            alarms: [(id.to_owned(), AlarmSettings { exclusive: Some(false), ..AlarmSettings::default() })].into(),
            quota: crate::Quota::default(),
        };
        for id in ["limit", "limit/press/oil", "*"] {
            assert!(fitting_types(&spec(id), &conditions).is_ok(), "{id}");
        }
        for id in ["stuck", "stuck/press/oil"] {
            let refused = fitting_types(&spec(id), &conditions).unwrap_err().to_string();
            let expected = format!(
                "`exclusive` is of limit alarms, and condition `{id}` of plugin `own` is \
                 OffNormalAlarmType; take it away"
            );
            assert_eq!(refused, expected);
        }
        let normal = AlarmSettings { normal: Some(0.0), ..AlarmSettings::default() };
        let time = AlarmSettings { expected_time: Some(Duration::from_secs(3)), ..AlarmSettings::default() };
        for (settings, id, fits) in
            [(&normal, "stuck", true), (&normal, "limit", false), (&time, "stuck", false), (&time, "*", true)]
        {
            let spec = BindingSpec { alarms: [(id.to_owned(), settings.clone())].into(), ..spec("limit") };
            assert_eq!(fitting_types(&spec, &conditions).is_ok(), fits, "{id} {settings:?}");
        }
    }
}
