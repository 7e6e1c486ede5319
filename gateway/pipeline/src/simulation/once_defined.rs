//! What conditions were that are configured no longer is kept for as long as there is room.

use std::sync::Arc;
use std::time::Duration;

use watchfire_alarms::{AlarmType, ConditionClass, ConditionDef, Group, Rules};
use watchfire_model::{AlarmSettings, ConditionKey, Limits, Scope, Severity, SignalId};

use super::rig::{Rig, Site, plan};
use crate::{BindingPlan, History, Mode, Recorded, defined};

/// A detector whose alarms were rationalised.
fn settled(name: &str, signals: usize) -> BindingPlan {
    let mut of = plan(Mode::Live);
    (of.spec.name, of.kept_as) = (name.into(), name.into());
    of.spec.signals.truncate(signals);
    of.areas = vec!["hall/press".into(); signals];
    let settings = AlarmSettings {
        severity: Some(812),
        response: Some("stop it".into()),
        cause: Some("a leak".into()),
        class: Some(watchfire_model::AlarmClass::Safety),
        ..AlarmSettings::default()
    };
    of.spec.alarms.insert("high".into(), settings);
    of
}

fn one(binding: &str, instance: &str) -> ConditionDef {
    ConditionDef {
        key: ConditionKey::new(binding, "high", instance),
        area: "hall".into(),
        source_name: instance.into(),
        signal: None,
        scope: Scope::Signal,
        alarm_type: AlarmType::NonExclusiveDeviation,
        class: ConditionClass::Testing,
        severity: Severity::clamped(7),
        text: "too high".into(),
        response: "look".into(),
        confirm: true,
        detector: "of mine 1.2".into(),
        rules: Arc::new(Rules {
            on_delay: Some(Duration::from_millis(1)),
            off_delay: Some(Duration::from_secs(2)),
            re_alarm: Some(Duration::from_secs(3)),
            max_shelve: Some(Duration::from_secs(4)),
            latch: true,
            group: Some(Group { name: "pumps".into(), first_only: true }),
            cause: "a leak".into(),
            consequence: "a flood".into(),
            respond_within: Some(Duration::from_secs(5)),
            against: Some("s/setpoint".into()),
            normal: Some(1.5),
            expected_time: Some(Duration::from_secs(6)),
            sub_classes: vec![ConditionClass::HighlyManaged],
            limits: Limits { high_high: Some(9.0), high: Some(8.0), low: None, low_low: Some(-1.0) },
            ..Rules::default()
        }),
    }
}

fn names(site: &Site, binding: &str) -> Vec<String> {
    site.log().once_defined(binding).iter().map(|def| def.key.as_str().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn what_an_alarm_was_outlives_its_detector_and_its_signal() {
    let site = Site::new();
    Rig::start_with(&site, vec![settled("plain", 3), settled("other", 3)]).await.stop().await;
    // One signal is watched no longer, and one detector is gone.
    Rig::start_with(&site, vec![settled("plain", 2)]).await.stop().await;
    let log = site.log();
    for name in ["plain/high/s/0", "plain/high/s/2", "other/high/s/2"] {
        let key = ConditionKey::parse(name).unwrap();
        let found: Vec<_> = log.once_defined(key.binding()).into_iter().filter(|def| def.key == key).collect();
        let [def] = &found[..] else { panic!("{name}: {found:?}") };
        assert_eq!((&*def.area, &*def.source_name, def.scope), ("hall/press", key.instance(), Scope::Signal), "{name}");
        assert_eq!((&*def.response, &*def.rules.cause, def.severity.get()), ("stop it", "a leak", 812), "{name}");
        assert_eq!(def.class, ConditionClass::Safety, "{name}");
        assert!(def.alarm_type != AlarmType::Alarm && def.detector.starts_with("plain 1.0.0"), "{def:?}");
    }
    assert!(log.once_defined("nobody").is_empty());
}

#[test]
fn a_condition_comes_back_from_the_store_as_it_was_defined() {
    let site = Site::new();
    let def = one("a", "s/0");
    defined::keep(&site.log(), "a", &[Arc::new(ConditionDef { signal: Some(SignalId(4)), ..def.clone() })]).unwrap();
    assert_eq!(site.log().once_defined("a"), [def], "but for the number of its signal, which may be another's by then");
    // The version, and the places of the type and the class in their lists, which are on disks.
    let kept = site.history.note("defined/a").unwrap().unwrap();
    assert_eq!(kept[..6], [1, 1, 5, 7, 1, 4]);
}

#[test]
fn of_what_was_defined_once_the_oldest_is_forgotten_first() {
    let site = Site::new();
    let keep = |binding: &str, instances: &[&str]| {
        let defs: Vec<_> = instances.iter().map(|instance| Arc::new(one(binding, instance))).collect();
        defined::keep(&site.log(), binding, &defs).unwrap();
    };
    for instance in ["s/0", "s/1", "s/2", "s/3", "s/4"] {
        keep("a", &[instance]);
    }
    assert_eq!(names(&site, "a"), ["a/high/s/4", "a/high/s/3", "a/high/s/2", "a/high/s/1"]);
    keep("a", &["s/3"]);
    assert_eq!(names(&site, "a"), ["a/high/s/3", "a/high/s/4", "a/high/s/2", "a/high/s/1"], "it is back");
    for binding in ["b", "c", "d", "e"] {
        keep(binding, &["s/0"]);
    }
    assert!(names(&site, "a").is_empty(), "there is room for four detectors");
    assert_eq!(names(&site, "b"), ["b/high/s/0"]);
}

#[test]
fn what_cannot_be_read_is_as_if_it_were_not_there() {
    let site = Site::new();
    for bytes in [&[][..], &[0], &[1], &[1, 200, 200], &[2, 0, 0]] {
        site.history.set_note("defined/a", bytes).unwrap();
        assert!(names(&site, "a").is_empty(), "{bytes:?}");
    }
    defined::keep(&site.log(), "a", &[Arc::new(one("a", "s/0"))]).unwrap();
    assert_eq!(names(&site, "a"), ["a/high/s/0"]);
}
