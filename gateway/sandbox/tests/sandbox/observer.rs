//! Guests that hear of servers' events, and one that floods.

use watchfire_model::{Event, Instant, Level, Lsn};
use watchfire_pipeline::DetectorFault;

use crate::setup::{batch, create};

fn event(user: Option<&str>, message: &str) -> Event {
    let fields = vec![("SourceName".into(), "pump".into())];
    Event { time: 5, source: 1, user: user.map(str::to_owned), message: message.into(), fields, ..Event::default() }
}

#[tokio::test]
async fn an_observer_hears_events_and_judges_them_as_it_judges_values() {
    let mut it = create("apprentice", r#"{"known":["anna"]}"#, 2).await;
    assert!(it.observes());
    let now = Instant::from_s(3);
    let said = it.observe(Lsn(3), now, &[event(Some("anna"), "looked"), event(None, "stopped")]).await.unwrap();
    assert_eq!(said.verdicts.iter().map(|v| v.level).collect::<Vec<_>>(), [Level::Normal]);
    let said = it.observe(Lsn(4), now, &[event(Some("bob"), "wrote 7")]).await.unwrap();
    let verdict = &said.verdicts[0];
    assert_eq!((verdict.condition, verdict.instance, verdict.at.ns()), (1, 1, 5));
    assert_eq!((verdict.level, verdict.why.as_str()), (Level::Active, "`bob`: wrote 7"));
    assert!(it.observe(Lsn(5), now, &[]).await.unwrap().verdicts.is_empty());
}

#[tokio::test]
async fn one_without_the_interface_is_not_asked_and_one_that_floods_ends_alone() {
    let now = Instant::from_s(3);
    let mut limit = create("limit", r#"{"high":10}"#, 2).await;
    assert!(!limit.observes());
    assert!(matches!(limit.observe(Lsn(3), now, &[event(None, "")]).await, Err(DetectorFault::Refused(_))));
    let mut other = create("faulty", "{}", 2).await;
    let mut floods = create("faulty", r#"{"fault":"observe-flood"}"#, 2).await;
    let fault = floods.observe(Lsn(3), now, &[event(None, "")]).await.unwrap_err();
    assert!(matches!(&fault, DetectorFault::Quota(why) if why.contains("`result_kb`")), "{fault}");
    assert!(floods.process(&batch(4, &[1.0])).await.is_err(), "a failed instance is finished");
    // More than its memory holds is handed over to nobody.
    let huge = vec![event(None, &"x".repeat(1 << 20)); 100];
    let fault = other.observe(Lsn(5), now, &huge).await.unwrap_err();
    assert!(matches!(&fault, DetectorFault::Quota(why) if why.contains("`memory_mb`")), "{fault}");
}
