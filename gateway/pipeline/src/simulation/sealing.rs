//! What was recorded reaches the store of record, whatever ends the one who puts it there.

use super::rig::{Rig, Site};

const SEALING: &str = "gateway/sealing";

#[tokio::test(start_paused = true)]
async fn a_panic_while_sealing_is_an_alarm_until_sealing_goes_on_and_nothing_is_lost() {
    let site = Site::new();
    let rig = Rig::start(&site).await;
    rig.value(0, 50.0).await;
    rig.shown_active("plain/high/s/0").await;
    site.history.panic_at_seals(3);
    let looks = site.history.looks_for_the_old();
    rig.pass_s(601).await;
    let told = rig.shown_active(SEALING).await.state.message.clone();
    assert_eq!(told, "sealing was ended by a defect: an odd value; it is tried again");
    assert_eq!((site.history.seals_begun(), site.history.seals()), (1, 0));
    assert_eq!(site.history.looks_for_the_old(), looks + 1, "what is too old goes all the same");
    // Ten seconds later, and twenty after that, and forty.
    for (s, begun) in [(5, 1), (6, 2), (12, 2), (8, 3), (30, 3)] {
        rig.pass_s(s).await;
        assert_eq!((site.history.seals_begun(), site.history.seals()), (begun, 0), "after {s} s more");
    }
    rig.value(1, 50.0).await;
    rig.shown_active("plain/high/s/1").await;
    let before = site.journal.records();
    assert_eq!(before.first().map(|record| record.lsn.0), Some(1), "the journal keeps all of it");
    rig.shown_normal(SEALING).await;
    assert_eq!((site.history.seals_begun(), site.history.seals()), (4, 1));
    assert_eq!(site.records()[..before.len()], before);
    let active: Vec<bool> = site.told(SEALING).iter().map(|state| state.active.value).collect();
    assert_eq!(active, [true, false], "it was told once");
    rig.pass_s(601).await;
    assert_eq!(site.history.seals(), 2, "and goes on as ever");
    rig.stop().await;
    site.check();
}

#[tokio::test(start_paused = true)]
async fn an_alarm_of_sealing_stands_after_a_start_until_something_was_sealed() {
    let site = Site::new();
    let rig = Rig::start(&site).await;
    site.history.panic_at_seals(usize::MAX);
    rig.pass_s(601).await;
    rig.shown_active(SEALING).await;
    rig.stop().await;
    let rig = Rig::start(&site).await;
    rig.pass_s(5).await;
    assert!(rig.state_of(SEALING).active.value);
    site.history.panic_at_seals(0);
    rig.pass_s(601).await;
    rig.shown_normal(SEALING).await;
    rig.stop().await;
}
