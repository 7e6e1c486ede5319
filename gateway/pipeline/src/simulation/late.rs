//! What a source's own history gives of a time in which nobody listened is judged as well: an event of its time, once, and
//! no alarm.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use watchfire_model::{
    AlarmSettings, CommandKind, ConditionKey, Control, Fill, Gap, GapCause, Instant, PlainEvent, Quality, RecordBody,
    Rows, SignalId, SourceState, StatusCode,
};

use super::rig::{Rig, Site, plan};
use crate::{Arrival, BindingPlan, Checkpoint, History, Mode, PastEvent, PastWanted, past};

const HIGH: &str = "plain/high/s/0";
const ODD: &str = "plain/odd/s/0";
const SIGNAL: SignalId = SignalId(0);

/// Values of a time that was missed, by the seconds after it began.
const MISSED: [(u64, f64); 5] = [(5, 2.0), (10, 50.0), (20, 1.0), (30, 60.0), (42, 3.0)];

fn after(since: Instant, s: u64) -> Instant {
    since.plus(Duration::from_secs(s))
}

/// A minute without the source, from which it comes back; when that began.
async fn outage(rig: &Rig, site: &Site) -> Instant {
    rig.value(0, 1.0).await;
    let since = site.now();
    rig.wait_ms(1_000).await;
    rig.source(SourceState::Down).await;
    rig.wait_ms(59_000).await;
    rig.source(SourceState::Up).await;
    since
}

/// The word that values are missing since then.
fn notice(rig: &Rig, since: Instant, cause: GapCause) -> Gap {
    let gap = Gap { signal: Some(SIGNAL), since, until: after(since, 60), cause };
    rig.hand_in(Arrival::Gaps(vec![gap]));
    gap
}

/// What the source's history has of it.
fn fill(rig: &Rig, gap: Gap, missed: &[(u64, f64)]) {
    let mut rows = Rows::default();
    for (s, value) in missed {
        rows.push(SIGNAL, after(gap.since, *s), *value, StatusCode::GOOD, Quality::LATE, 0);
    }
    let values = u32::try_from(rows.len()).unwrap();
    rig.hand_in(Arrival::Late(rows));
    let fill = Fill { signal: SIGNAL, since: gap.since, until: gap.until, values, status: StatusCode::GOOD };
    rig.hand_in(Arrival::Filled { source: "s".into(), fills: vec![fill] });
}

/// What is on record of findings that came late.
fn on_record(site: &Site) -> Vec<PlainEvent> {
    let mut found = Vec::new();
    let all = PastWanted { from: Instant::MIN, to: Instant::MAX, backwards: false, begin: None };
    past(&site.log(), &all, &|| true, &mut |past| {
        found.extend(if let PastEvent::Plain(event) = past.event { Some(event) } else { None });
        true
    })
    .unwrap();
    found.retain(|event| event.key.as_str() == HIGH);
    found
}

/// The plain detector, one of whose conditions must last for so long.
fn lasting(condition: &str, s: u64) -> BindingPlan {
    let mut slow = plan(Mode::Live);
    let settings = AlarmSettings { on_delay: Some(Duration::from_secs(s)), ..AlarmSettings::default() };
    slow.spec.alarms.insert(condition.into(), settings);
    slow
}

fn times(events: &[PlainEvent]) -> Vec<Instant> {
    times_of(HIGH, events)
}

fn times_of(key: &str, events: &[PlainEvent]) -> Vec<Instant> {
    events.iter().filter(|event| event.key.as_str() == key).map(|event| event.at).collect()
}

/// The state that is kept from before what is missing.
fn kept(site: &Site) -> Option<Checkpoint> {
    site.history.load_checkpoint("plain/before").unwrap().filter(|state| state.frame.0 > 0)
}

#[tokio::test(start_paused = true)]
async fn what_stood_while_nobody_listened_is_an_event_of_its_time_and_no_alarm() {
    let site = Site::new();
    let rig = Rig::start(&site).await;
    let since = outage(&rig, &site).await;
    let gap = notice(&rig, since, GapCause::SourceLost);
    rig.wait_ms(20).await;
    rig.value(0, 4.0).await;
    fill(&rig, gap, &MISSED);
    rig.wait_ms(5_000).await;
    let told = rig.plain_events();
    assert_eq!(times(&told), [after(since, 10), after(since, 30)]);
    let first = told.iter().find(|event| event.key.as_str() == HIGH).unwrap();
    assert!(first.message.starts_with("found later, in values that were fetched for this time: 50"), "{first:?}");
    assert!(first.receive_time > after(since, 60), "it is known when it was found");
    assert_eq!(rig.state_of(HIGH).activations, 0, "it was no alarm");
    rig.stop().await;
    assert_eq!(times(&on_record(&site)), times(&told));
    site.check();
    assert!(site.replay().await.is_same());

    let rig = Rig::start(&site).await;
    rig.wait_ms(90_000).await;
    assert_eq!(times(&rig.plain_events()), [], "it is told once");
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_still_holds_is_an_alarm_as_well_and_what_held_before_is_no_news() {
    let site = Site::new();
    let rig = Rig::start(&site).await;
    rig.value(0, 70.0).await;
    rig.shown_active(HIGH).await;
    let since = site.now();
    rig.source(SourceState::Down).await;
    rig.wait_ms(60_000).await;
    rig.source(SourceState::Up).await;
    let gap = notice(&rig, since, GapCause::SourceLost);
    rig.value(0, 80.0).await;
    fill(&rig, gap, &[(5, 75.0), (20, 1.0), (30, 60.0)]);
    rig.wait_ms(5_000).await;
    assert_eq!(times(&rig.plain_events()), [after(since, 30)], "what stood before began before");
    assert!(rig.state_of(HIGH).active.value);
    rig.stop().await;
    site.check();
}

#[tokio::test(start_paused = true)]
async fn what_did_not_last_or_is_disabled_is_not_told() {
    let slow = lasting("high", 11);
    for (disabled, expected) in [(false, vec![30]), (true, vec![])] {
        let site = Site::new();
        let rig = Rig::start_with(&site, vec![slow.clone()]).await;
        if disabled {
            rig.command(&ConditionKey::parse(HIGH).unwrap(), CommandKind::Disable, &[]).await.unwrap();
        }
        let since = outage(&rig, &site).await;
        let gap = notice(&rig, since, GapCause::SourceLost);
        fill(&rig, gap, &MISSED);
        rig.wait_ms(5_000).await;
        let expected: Vec<_> = expected.into_iter().map(|s| after(since, s)).collect();
        assert_eq!(times(&rig.plain_events()), expected, "disabled: {disabled}");
        rig.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_time_in_the_far_future_keeps_nothing_else_from_being_judged() {
    let site = Site::new();
    let rig = Rig::start(&site).await;
    let since = outage(&rig, &site).await;
    let gap = notice(&rig, since, GapCause::SourceLost);
    let far = after(since, 70 * 365 * 86_400);
    let (signal, mut rows) = (SignalId(1), Rows::default());
    rows.push(signal, far, 1.0, StatusCode::GOOD, Quality::NONE, 0);
    rig.hand_in(Arrival::Gaps(vec![Gap { signal: Some(signal), until: far, ..gap }]));
    rig.hand_in(Arrival::Rows(rows));
    rig.wait_ms(20).await;
    rig.value(0, 4.0).await;
    let fill_of_it = Fill { signal, since, until: far, values: 0, status: StatusCode::GOOD };
    rig.hand_in(Arrival::Filled { source: "s".into(), fills: vec![fill_of_it] });
    fill(&rig, gap, &MISSED);
    rig.wait_ms(5_000).await;
    assert_eq!(times(&rig.plain_events()), [after(since, 10), after(since, 30)]);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_nobody_can_fill_is_not_waited_for_without_end() {
    let site = Site::new();
    let rig = Rig::start(&site).await;
    let since = outage(&rig, &site).await;
    let gap = notice(&rig, since, GapCause::SourceLost);
    rig.hand_in(Arrival::Gaps(vec![Gap { signal: Some(SignalId(1)), ..gap }]));
    rig.wait_ms(20).await;
    fill(&rig, gap, &MISSED);
    rig.wait_ms(60_000).await;
    assert_eq!(times(&rig.plain_events()), [], "the other may come yet");
    rig.wait_ms(900_000).await;
    assert_eq!(times(&rig.plain_events()), [after(since, 10), after(since, 30)]);
    rig.stop().await;
    site.check();
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_because_the_gateway_did_not_run_is_judged_too() {
    let site = Site::new();
    let rig = Rig::start(&site).await;
    // So long that it has saved its state.
    rig.wait_ms(120_000).await;
    rig.value(0, 1.0).await;
    let since = site.now();
    rig.wait_ms(200).await;
    rig.kill();
    tokio::time::sleep(Duration::from_millis(10)).await;
    site.lose_what_is_not_durable();
    let rig = Rig::start(&site).await;
    rig.wait_ms(5_000).await;
    let gap = notice(&rig, since, GapCause::NotRecorded);
    rig.wait_ms(20).await;
    fill(&rig, gap, &MISSED);
    rig.wait_ms(5_000).await;
    assert_eq!(times(&rig.plain_events()), [after(since, 10), after(since, 30)]);
    rig.stop().await;
    site.check();
    assert!(site.replay().await.is_same());
}

#[tokio::test(start_paused = true)]
async fn after_a_kill_at_any_moment_it_is_told_once_and_on_record_once() {
    let mut random = SmallRng::seed_from_u64(3);
    for round in 0..40 {
        let site = Site::new();
        let rig = Rig::start(&site).await;
        let since = outage(&rig, &site).await;
        let gap = notice(&rig, since, GapCause::SourceLost);
        rig.wait_ms(random.random_range(0..300)).await;
        fill(&rig, gap, &MISSED);
        rig.wait_ms(random.random_range(0..2_500)).await;
        let mut told = times(&rig.plain_events());
        rig.kill();
        tokio::time::sleep(Duration::from_millis(10)).await;
        site.lose_what_is_not_durable();
        if random.random_bool(0.3) {
            site.seal();
        }
        let records = site.records();
        let noticed =
            records.iter().any(|record| matches!(&record.body, RecordBody::Data(frame) if !frame.gaps.is_empty()));
        let filled = records.iter().any(|record| matches!(record.body, RecordBody::Control(Control::Filled { .. })));
        let rig = Rig::start(&site).await;
        // The source tells again what is not on record, and asks again for what it does not know to be filled.
        if !noticed {
            notice(&rig, since, GapCause::NotRecorded);
        }
        if !filled {
            fill(&rig, gap, &MISSED);
        }
        rig.wait_ms(5_000).await;
        told.extend(times(&rig.plain_events()));
        rig.stop().await;
        let expected = [after(since, 10), after(since, 30)];
        assert_eq!(times(&on_record(&site)), expected, "round {round}");
        assert!(told.is_empty() || told == expected, "round {round}: {told:?}");
        site.check();
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_found_live_is_not_found_again() {
    let site = Site::new();
    let rig = Rig::start(&site).await;
    let since = outage(&rig, &site).await;
    // Of another signal came everything.
    rig.values(&[(1, 50.0)]).await;
    rig.wait_ms(2_000).await;
    rig.values(&[(1, 1.0)]).await;
    let gap = notice(&rig, since, GapCause::SourceLost);
    let other = Gap { signal: Some(SIGNAL), since: after(since, 70), until: after(since, 80), ..gap };
    rig.hand_in(Arrival::Gaps(vec![other]));
    rig.wait_ms(20).await;
    fill(&rig, gap, &MISSED);
    // Between two times in which values were missing.
    rig.value(0, 70.0).await;
    rig.value(0, 1.0).await;
    fill(&rig, other, &[(5, 80.0)]);
    rig.wait_ms(5_000).await;
    let told = rig.plain_events();
    assert_eq!(times(&told), [10, 30, 75].map(|s| after(since, s)));
    assert!(told.iter().all(|event| event.key.as_str().ends_with("/s/0")), "{told:?}");
    assert_eq!(rig.state_of("plain/high/s/1").activations, 1);
    rig.stop().await;
    site.check();
}

#[tokio::test(start_paused = true)]
async fn a_loss_after_which_nothing_was_missing_leaves_nothing_to_go_on_from() {
    let site = Site::new();
    let rig = Rig::start(&site).await;
    rig.value(0, 1.0).await;
    rig.source(SourceState::Down).await;
    rig.wait_ms(100_000).await;
    assert!(kept(&site).is_some(), "as long as it lasts");
    rig.source(SourceState::Up).await;
    rig.wait_ms(30_000).await;
    assert!(kept(&site).is_some(), "it may be told yet");
    rig.wait_ms(40_000).await;
    assert_eq!(kept(&site), None);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_loss_of_which_more_is_told_is_judged_from_before_its_beginning() {
    let site = Site::new();
    let rig = Rig::start(&site).await;
    rig.value(0, 1.0).await;
    let since = site.now();
    rig.source(SourceState::Down).await;
    rig.wait_ms(1_000).await;
    let first = kept(&site).unwrap();
    rig.wait_ms(30_000).await;
    // No answer at first, then refused.
    rig.source(SourceState::Down).await;
    rig.wait_ms(29_000).await;
    assert_eq!(kept(&site).unwrap().frame, first.frame);
    rig.source(SourceState::Up).await;
    let gap = notice(&rig, since, GapCause::SourceLost);
    rig.wait_ms(20).await;
    fill(&rig, gap, &MISSED);
    rig.wait_ms(5_000).await;
    assert_eq!(times(&rig.plain_events()), [10, 30].map(|s| after(since, s)));
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_outage_that_begins_while_another_is_filled_is_judged_as_well() {
    let site = Site::new();
    let rig = Rig::start(&site).await;
    let since = outage(&rig, &site).await;
    let gap = notice(&rig, since, GapCause::SourceLost);
    rig.wait_ms(20).await;
    rig.value(0, 1.0).await;
    fill(&rig, gap, &MISSED);
    rig.wait_ms(100).await;
    let again = outage(&rig, &site).await;
    let second = notice(&rig, again, GapCause::SourceLost);
    rig.wait_ms(20).await;
    fill(&rig, second, &[(7, 90.0), (9, 1.0)]);
    rig.wait_ms(5_000).await;
    assert_eq!(times(&rig.plain_events()), [after(since, 10), after(since, 30), after(again, 7)]);
    assert!(kept(&site).is_some(), "what is told of it a moment later is judged, too");
    rig.wait_ms(61_000).await;
    assert_eq!(kept(&site), None);
    rig.stop().await;
    site.check();
}

#[tokio::test(start_paused = true)]
async fn what_was_told_is_not_told_again_where_its_state_outlived_a_kill() {
    let site = Site::new();
    let rig = Rig::start(&site).await;
    let since = outage(&rig, &site).await;
    let state = kept(&site).unwrap();
    let gap = notice(&rig, since, GapCause::SourceLost);
    rig.wait_ms(20).await;
    fill(&rig, gap, &MISSED);
    rig.wait_ms(120_000).await;
    assert_eq!(times(&rig.plain_events()).len(), 2);
    let off = site.now();
    rig.stop().await;
    site.history.save_checkpoint(&state).unwrap();
    let rig = Rig::start(&site).await;
    rig.wait_ms(2_000).await;
    let gap = notice(&rig, off, GapCause::NotRecorded);
    rig.wait_ms(20).await;
    fill(&rig, gap, &[(5, 77.0), (6, 2.0)]);
    rig.wait_ms(5_000).await;
    assert_eq!(times(&rig.plain_events()), [after(off, 5)]);
    rig.stop().await;
    assert_eq!(times(&on_record(&site)), [after(since, 10), after(since, 30), after(off, 5)]);
}

#[tokio::test(start_paused = true)]
async fn time_goes_on_where_nothing_came_as_it_did_live() {
    let slow = lasting("odd", 30);
    for (plan, missed, expected) in [
        (plan(Mode::Live), vec![(10, 50.0), (11, 1.0), (25, 50.0), (26, 1.0)], vec![10, 25]),
        // Some ten seconds after its last score it is over, whenever the next value comes.
        (slow, vec![(10, 50.0), (58, 1.0)], vec![]),
    ] {
        let site = Site::new();
        let rig = Rig::start_with(&site, vec![plan]).await;
        let since = outage(&rig, &site).await;
        let gap = notice(&rig, since, GapCause::SourceLost);
        rig.wait_ms(20).await;
        fill(&rig, gap, &missed);
        rig.wait_ms(5_000).await;
        let expected: Vec<_> = expected.into_iter().map(|s| after(since, s)).collect();
        assert_eq!(times_of(ODD, &rig.plain_events()), expected);
        rig.stop().await;
    }
}

/// A minute without a source whose clock is off, of which its history has this; when that began, by its clock.
async fn outage_by_another_clock(rig: &Rig, site: &Site, off_s: i64, missed: &[(u64, f64)]) -> Instant {
    let source = |at: Instant| Instant::from_ns(at.ns() + off_s * 1_000_000_000);
    let value = |value: f64| {
        let mut rows = Rows::default();
        rows.push(SIGNAL, source(site.now()), value, StatusCode::GOOD, Quality::NONE, 0);
        rig.hand_in(Arrival::Rows(rows));
    };
    value(1.0);
    rig.wait_ms(100).await;
    let since = source(site.now());
    rig.source(SourceState::Down).await;
    rig.wait_ms(60_000).await;
    rig.source(SourceState::Up).await;
    let gap = notice(rig, since, GapCause::SourceLost);
    rig.wait_ms(20).await;
    value(2.0);
    rig.wait_ms(20).await;
    fill(rig, gap, missed);
    rig.wait_ms(5_000).await;
    since
}

#[tokio::test(start_paused = true)]
async fn a_source_whose_clock_is_hours_off_is_judged_by_its_own_times() {
    for off_s in [-7200_i64, 7200] {
        let site = Site::new();
        let rig = Rig::start(&site).await;
        let missed = [(10, 50.0), (11, 1.0), (25, 50.0), (26, 1.0)];
        let since = outage_by_another_clock(&rig, &site, off_s, &missed).await;
        assert_eq!(times_of(ODD, &rig.plain_events()), [10, 25].map(|s| after(since, s)), "{off_s} s");
        rig.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_cannot_be_made_yet_is_tried_again() {
    let mut late: BindingPlan = plan(Mode::Live);
    late.spec.plugin = "late again".into();
    let site = Site::new();
    let rig = Rig::start_with(&site, vec![late]).await;
    let since = outage(&rig, &site).await;
    let gap = notice(&rig, since, GapCause::SourceLost);
    rig.wait_ms(20).await;
    super::plain::LATE_AGAIN.store(2, std::sync::atomic::Ordering::SeqCst);
    fill(&rig, gap, &MISSED);
    rig.wait_ms(100_000).await;
    assert_eq!(times(&rig.plain_events()), []);
    rig.wait_ms(100_000).await;
    assert_eq!(times(&rig.plain_events()), [10, 30].map(|s| after(since, s)));
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_kept_right_after_an_alarm_outlives_a_kill() {
    let site = Site::new();
    let rig = Rig::start(&site).await;
    // So long that it has saved its state.
    rig.wait_ms(120_000).await;
    rig.value(1, 50.0).await;
    rig.shown_active("plain/high/s/1").await;
    let since = site.now();
    rig.source(SourceState::Down).await;
    rig.wait_ms(2_000).await;
    let state = kept(&site).unwrap();
    rig.kill();
    tokio::time::sleep(Duration::from_millis(10)).await;
    site.lose_what_is_not_durable();
    let rig = Rig::start(&site).await;
    rig.wait_ms(2_000).await;
    assert_eq!(kept(&site).map(|kept| kept.frame), Some(state.frame));
    rig.source(SourceState::Up).await;
    let gap = notice(&rig, since, GapCause::NotRecorded);
    rig.wait_ms(20).await;
    fill(&rig, gap, &MISSED);
    rig.wait_ms(5_000).await;
    assert_eq!(times(&rig.plain_events()), [10, 30].map(|s| after(since, s)));
    rig.stop().await;
    site.check();
}

#[tokio::test(start_paused = true)]
async fn where_no_source_is_reached_after_a_start_the_time_before_is_judged_with_its_delays() {
    let slow = lasting("high", 8);
    let site = Site::new();
    let rig = Rig::start_with(&site, vec![slow.clone()]).await;
    rig.source(SourceState::Up).await;
    rig.wait_ms(120_000).await;
    rig.value(0, 1.0).await;
    let since = site.now();
    rig.stop().await;
    site.pass(Duration::from_secs(60));
    let rig = Rig::start_with(&site, vec![slow]).await;
    rig.source(SourceState::Down).await;
    // Longer than until its state is saved.
    rig.wait_ms(120_000).await;
    rig.source(SourceState::Up).await;
    let gap = notice(&rig, since, GapCause::NotRecorded);
    rig.wait_ms(20).await;
    fill(&rig, gap, &MISSED);
    rig.wait_ms(5_000).await;
    assert_eq!(times(&rig.plain_events()), [10, 30].map(|s| after(since, s)), "each lasted ten seconds and more");
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn delays_are_those_of_a_source_whose_clock_is_minutes_behind() {
    let slow = lasting("high", 11);
    let site = Site::new();
    let rig = Rig::start_with(&site, vec![slow]).await;
    let since = outage_by_another_clock(&rig, &site, -120, &MISSED).await;
    assert_eq!(times(&rig.plain_events()), [after(since, 30)], "the one that lasted for twelve seconds");
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn queues_that_go_on_to_overflow_keep_no_outage_from_being_judged() {
    let site = Site::new();
    let rig = Rig::start(&site).await;
    let since = outage(&rig, &site).await;
    let gap = notice(&rig, since, GapCause::SourceLost);
    rig.wait_ms(20).await;
    fill(&rig, gap, &MISSED);
    for _ in 0..40 {
        let at = site.now();
        let overflow = Gap { signal: Some(SignalId(1)), since: at, until: after(at, 1), cause: GapCause::Overflow };
        rig.hand_in(Arrival::Gaps(vec![overflow]));
        rig.wait_ms(60_000).await;
    }
    assert_eq!(times(&rig.plain_events()), [10, 30].map(|s| after(since, s)));
    rig.stop().await;
}
