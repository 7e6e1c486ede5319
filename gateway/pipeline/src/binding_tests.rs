//! What a condition becomes by its detector's word and the configuration's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use watchfire_alarms::{AlarmType, ConditionDef};
use watchfire_model::{
    AlarmSettings, ConditionSpec, Decides, DeviceHealth, Instant, Kind, Maintained, PlannedMaintenance, Scale, Scope,
    Severity, SignalId, SignalInfo,
};

use crate::binding::alarm_type;
use crate::simulation::rig::plan;
use crate::{BindingPlan, BindingSpec, DetectorIdentity, Mode, Quota};

#[test]
fn the_configuration_says_whether_limits_exclude_each_other() {
    use AlarmType::{ExclusiveLevel, NonExclusiveDeviation, NonExclusiveLevel, Statistical};
    for (told, exclusive, expected) in [
        ("ExclusiveLevelAlarmType", None, ExclusiveLevel),
        ("ExclusiveLevelAlarmType", Some(false), NonExclusiveLevel),
        ("NonExclusiveLevelAlarmType", None, NonExclusiveLevel),
        ("NonExclusiveLevelAlarmType", Some(true), ExclusiveLevel),
        ("ExclusiveDeviationAlarmType", Some(false), NonExclusiveDeviation),
        ("StatisticalAlarmType", Some(false), Statistical),
        ("no such type", None, Statistical),
    ] {
        let condition = ConditionSpec { alarm_type: told.into(), ..limit_condition() };
        let settings = AlarmSettings { exclusive, ..AlarmSettings::default() };
        assert_eq!(alarm_type(&condition, &settings), expected, "{told} {exclusive:?}");
    }
}

#[test]
fn a_condition_tells_of_an_instrument_by_its_detectors_word_or_by_the_configurations() {
    use AlarmType::{DeviceCheckFunction, DeviceFailure, DeviceMaintenanceRequired, DeviceOffSpec};
    for (told, set, expected) in [
        ("failure", None, DeviceFailure),
        ("check-function", None, DeviceCheckFunction),
        ("OffSpecAlarmType", None, DeviceOffSpec),
        ("maintenance-required", None, DeviceMaintenanceRequired),
        ("OffNormalAlarmType", Some(DeviceHealth::OffSpec), DeviceOffSpec),
        ("failure", Some(DeviceHealth::MaintenanceRequired), DeviceMaintenanceRequired),
    ] {
        let condition = ConditionSpec { alarm_type: told.into(), ..limit_condition() };
        let settings = AlarmSettings { instrument: set, ..AlarmSettings::default() };
        assert_eq!(alarm_type(&condition, &settings), expected, "{told} {set:?}");
    }
}

#[test]
fn an_alarm_is_held_against_the_signal_of_its_group_that_has_the_role() {
    let signal = |id: u32, name: &str, role: &str, group: u32| SignalInfo {
        id: SignalId(id),
        name: name.into(),
        kind: Kind::Real,
        unit: None,
        range: None,
        sampling_ns: None,
        role: role.into(),
        group,
        events: false,
    };
    let signals = vec![
        signal(1, "p/oil", "value", 1),
        signal(2, "p/oil_set", "setpoint", 1),
        signal(3, "p/fan", "value", 2),
        signal(4, "p/fan_set", "setpoint", 2),
        signal(5, "p/belt", "value", 3),
    ];
    let plan = BindingPlan {
        areas: vec!["p".into(); signals.len()],
        spec: BindingSpec {
            name: "away".into(),
            plugin: "own".into(),
            signals,
            config: "{}".into(),
            places: BTreeMap::new(),
            model: None,
            seed: 0,
            alarms: BTreeMap::new(),
            quota: Quota::default(),
        },
        mode: Mode::Live,
        area: "p".into(),
        sources: Vec::new(),
        budget: None,
        kept_as: "away".into(),
        learns_back: Duration::ZERO,
        beside: None,
        maintenance: Vec::new(),
    };
    let against = |scope: Scope, alarm_type: &str| {
        let condition = ConditionSpec { scope, alarm_type: alarm_type.into(), ..limit_condition() };
        let defs = plan.definitions(&[condition], &identity());
        let held = |def: &Arc<ConditionDef>| def.rules.against.as_deref().unwrap_or("-").to_owned();
        defs.iter().map(held).collect::<Vec<_>>()
    };
    let deviation = "ExclusiveDeviationAlarmType";
    assert_eq!(against(Scope::Signal, deviation), ["p/oil_set", "-", "p/fan_set", "-", "-"]);
    assert_eq!(against(Scope::Group, deviation), ["p/oil_set", "p/fan_set", "-"]);
    assert_eq!(against(Scope::Binding, deviation), ["p/oil_set"]);
    assert_eq!(against(Scope::Group, "DiscrepancyAlarmType"), ["-", "-", "-"], "no signal is a target");
    assert_eq!(against(Scope::Binding, "ExclusiveLevelAlarmType"), ["-"]);
}

fn identity() -> DetectorIdentity {
    DetectorIdentity {
        id: "own".into(),
        version: "1".into(),
        title: "own".into(),
        digest: "0".repeat(64),
        state_version: 0,
        config_hash: String::new(),
        model: None,
        tick: None,
        warm_up_samples: 0,
        limits: BTreeMap::new(),
    }
}

fn limit_condition() -> ConditionSpec {
    ConditionSpec {
        id: "limit".into(),
        scope: Scope::Signal,
        decides: Decides::Plugin,
        scale: Scale::Ordinal,
        alarm_type: "ExclusiveLevelAlarmType".into(),
        severity: Severity::clamped(500),
        text: "too much".into(),
        response: String::new(),
    }
}

#[test]
fn planned_work_concerns_the_conditions_of_what_is_worked_on() {
    let signal = |id: u32, name: &str| SignalInfo { id: SignalId(id), name: name.into(), ..SignalInfo::default() };
    let concerned = |of: &str, scope: Scope| {
        let mut plan = plan(Mode::Live);
        plan.spec.name = "hot".into();
        plan.spec.signals = vec![signal(1, "press/oil"), signal(2, "fan/speed")];
        plan.areas = vec!["hall/press".into(), "hall/fans".into()];
        (plan.area, plan.sources) = ("hall".into(), vec!["fan".into(), "press".into()]);
        let of = Maintained::parse(of).unwrap();
        let (from, lasts) = (Instant::from_s(1), Duration::from_secs(1));
        plan.maintenance = vec![PlannedMaintenance { of, from, lasts, comment: String::new() }];
        let defs = plan.definitions(&[ConditionSpec { scope, ..limit_condition() }], &identity());
        let concerned = defs.iter().filter(|def| !def.rules.maintenance.is_empty());
        assert!(concerned.clone().next().is_none() || plan.may_concern(&plan.maintenance[0].of));
        concerned.map(|def| def.key.to_string()).collect::<Vec<_>>()
    };
    let (oil, fan) = ("hot/limit/press/oil", "hot/limit/fan/speed");
    for (of, expected) in [
        ("area:hall", vec![oil, fan]),
        ("area:hall/press", vec![oil]),
        ("area:hal", vec![]),
        ("source:fan", vec![fan]),
        ("signal:press/oil", vec![oil]),
        ("signal:press", vec![]),
        ("condition:hot", vec![oil, fan]),
        ("condition:hot/limit/fan/speed", vec![fan]),
        ("condition:hot/lim", vec![]),
    ] {
        assert_eq!(concerned(of, Scope::Signal), expected, "{of}");
    }
    for (of, expected) in [("area:hall", 1), ("area:hall/press", 0), ("source:fan", 0), ("condition:hot/limit", 1)] {
        assert_eq!(concerned(of, Scope::Binding).len(), expected, "{of}");
    }
}
