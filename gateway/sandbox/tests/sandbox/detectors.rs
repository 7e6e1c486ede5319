//! The bundled detectors as components: what they say, and that their state carries all they know.

use watchfire_model::{Level, Verdict};
use watchfire_pipeline::{CreateError, DetectorFault};

use crate::setup::{batch, binding, create, refusal, sandbox};

fn levels(verdicts: &[Verdict]) -> Vec<(u32, Level)> {
    verdicts.iter().map(|verdict| (verdict.instance, verdict.level)).collect()
}

#[tokio::test]
async fn limit_tells_levels_with_their_reasons() {
    let mut limit = create("limit", r#"{"high":10,"high_high":20,"deadband":1}"#, 2).await;
    assert_eq!(limit.identity().id, "limit");
    assert_eq!(limit.conditions()[0].alarm_type, "ExclusiveLevelAlarmType");
    let limits = limit.identity().limits["limit"];
    assert_eq!((limits.high_high, limits.high, limits.low), (Some(20.0), Some(10.0), None));
    let said = limit.process(&batch(1, &[5.0, 9.0])).await.unwrap();
    assert_eq!(levels(&said.verdicts), [(0, Level::Normal), (1, Level::Normal)]);
    let said = limit.process(&batch(2, &[5.0, 12.5])).await.unwrap();
    assert_eq!(levels(&said.verdicts), [(1, Level::High)]);
    assert_eq!(said.verdicts[0].why, "12.5 is above the high limit of 10");
    assert_eq!(said.verdicts[0].evidence[0].high, Some(10.0));
    let said = limit.process(&batch(3, &[f64::NAN, 9.5])).await.unwrap();
    assert_eq!(levels(&said.verdicts), [(0, Level::Unknown)]);
    let said = limit.process(&batch(4, &[5.0, 8.0])).await.unwrap();
    assert_eq!(levels(&said.verdicts), [(0, Level::Normal), (1, Level::Normal)]);
}

#[tokio::test]
async fn a_restored_limit_tells_again_what_is_not_normal() {
    let config = r#"{"high":10,"rate_per_s":2}"#;
    let mut first = create("limit", config, 3).await;
    first.process(&batch(1, &[5.0, 5.0, 15.0])).await.unwrap();
    first.process(&batch(2, &[5.0, f64::NAN, 15.0])).await.unwrap();
    let state = first.save().await.unwrap().unwrap();

    let mut second = create("limit", config, 3).await;
    second.load(first.identity().state_version, &state).await.unwrap();
    assert_eq!(second.save().await.unwrap().unwrap(), state);
    let said = second.process(&batch(3, &[])).await.unwrap();
    assert_eq!(levels(&said.verdicts), [(1, Level::Unknown), (1, Level::Unknown), (2, Level::High)]);

    let mut third = create("limit", config, 2).await;
    let fault = third.load(first.identity().state_version, &state).await.unwrap_err();
    assert!(matches!(&fault, DetectorFault::Refused(why) if why.contains("of 3 signals")), "{fault}");
    assert!(third.process(&batch(3, &[])).await.is_err(), "after a fault nothing more is answered");
}

#[tokio::test]
async fn a_refused_configuration_is_named_with_its_key() {
    for (config, expected) in [
        (
            "{}",
            "plugin `limit` refuses its configuration: give at least one of `high_high`, `high`, `low`, `low_low`, `rate_per_s`",
        ),
        (r#"{"high":"hot"}"#, "plugin `limit` refuses its configuration: `high`: must be a number, not \"hot\""),
        (r#"{"high":1,"low":2}"#, "plugin `limit` refuses its configuration: `high`: 1 is not above `low`"),
        (
            r#"{"higth":1}"#,
            "plugin `limit` refuses its configuration: `higth`: unknown key; known here: `deadband`, `high`",
        ),
    ] {
        let error = refusal(&sandbox(), &binding("limit", config, 1)).await;
        let CreateError::Refused(said) = &error else { panic!("{error}") };
        assert!(said.starts_with(expected), "{config}: {said}");
    }
}

#[tokio::test]
async fn what_a_state_depends_on_is_in_the_configuration_hash() {
    let of = async |config: &str, count| create("limit", config, count).await.identity().config_hash.clone();
    let one = of(r#"{"high":1}"#, 1).await;
    assert_eq!(one, of(r#"{"high":1}"#, 1).await);
    assert_ne!(one, of(r#"{"high":2}"#, 1).await);
    assert_ne!(one, of(r#"{"high":1}"#, 2).await);
}
