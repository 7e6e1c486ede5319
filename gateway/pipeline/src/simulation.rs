//! Simulation: the whole gateway over stores in memory, a plain detector and paused time, driven by one seed. Outages,
//! poison, kills and commands are scripted; what must hold after any of them is checked here.

mod awaited;
mod away;
mod changes;
mod events;
mod figures;
mod holes;
mod kills;
mod late;
mod learners;
mod marks;
mod memory;
mod modes;
mod once_defined;
mod past;
mod plain;
mod plain_events;
pub(crate) mod rig;
mod sealing;
mod stand_ins;
mod stored;
mod upgrades;

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use watchfire_alarms::RefusedCommand;
use watchfire_model::{
    CommandKind, Control, GapCause, Instant, Level, Lsn, Record, RecordBody, SignalId, SourceState, StatusCode,
};

use crate::Mode;

use rig::{Rig, Site};

/// How many seeds a test runs; each is a different life of the gateway.
const SEEDS: u64 = 12;

#[tokio::test(start_paused = true)]
async fn a_value_becomes_an_alarm_that_is_durable_before_it_is_shown() {
    let site = Site::new();
    let rig = Rig::start(&site).await;
    rig.value(0, 50.0).await;
    let shown = rig.shown_active("plain/high/s/0").await;
    assert!(shown.state.retain && !shown.state.acked.value);
    let durable = site.journal.durable_states();
    assert_eq!(durable.get("plain/high/s/0"), Some(&*shown.state));
    rig.stop().await;
}

/// Far more often than one that fails would be made again.
#[tokio::test(start_paused = true)]
async fn a_detector_that_cannot_be_made_yet_is_tried_until_it_can_be() {
    let site = Site::new();
    plain::LATE.store(20, Ordering::SeqCst);
    let mut late = rig::plan(Mode::Live);
    (late.spec.name, late.spec.plugin, late.kept_as) = ("late".into(), "late".into(), "late".into());
    let rig = Rig::start_with(&site, vec![rig::plan(Mode::Live), late]).await;
    rig.value(0, 50.0).await;
    let told = rig.shown_active("gateway/detector/late").await.state.message.clone();
    assert!(told.contains("plugin `late` cannot be read; it is tried again, at least once a minute"), "{told}");
    rig.wait_ms(20 * 60_000).await;
    rig.shown_active("late/high/s/0").await;
    rig.shown_normal("gateway/detector/late").await;
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_ends_soon_is_an_alarm_that_says_so_until_it_was_renewed() {
    let site = Site::new();
    let rig = Rig::start(&site).await;
    let say = |text: Option<&str>| *site.ends.0.lock() = text.map(str::to_owned);
    say(Some("one ends on Monday"));
    rig.shown_active("gateway/certificates").await;
    assert_eq!(rig.state_of("gateway/certificates").message, "one ends on Monday");
    let event = rig.state_of("gateway/certificates").transitions;
    rig.wait_ms(60_000).await;
    assert_eq!(rig.state_of("gateway/certificates").transitions, event, "it is told once");
    say(Some("one ends on Monday; another on Tuesday"));
    rig.wait_ms(60_000).await;
    assert_eq!(rig.state_of("gateway/certificates").message, "one ends on Monday; another on Tuesday");
    rig.stop().await;

    // Renewed while the gateway was not running.
    say(None);
    let rig = Rig::start(&site).await;
    rig.shown_normal("gateway/certificates").await;
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_raises_an_alarm_takes_commands_and_loses_nothing_that_waits() {
    let site = Site::new();
    let rig = Rig::start(&site).await;
    rig.value(0, 50.0).await;
    let shown = rig.shown_active("plain/high/s/0").await;
    site.journal.leave_room(Some(40));
    rig.shown_active("gateway/disk").await;
    let low = rig.state_of("gateway/disk").message;
    assert!(low.contains("runs out"), "{low}");
    // Time goes on in the log once a second, until nothing fits any more.
    rig.wait_ms(60_000).await;
    let full = rig.state_of("gateway/disk").message;
    assert!(full.contains("is full"), "{full}");
    let frames = |site: &Site| {
        let is_frame = |record: &Record| matches!(record.body, RecordBody::Data(_));
        site.records().into_iter().filter(is_frame).count()
    };
    let before = frames(&site);
    for n in 0..20 {
        rig.value(1, f64::from(n)).await;
    }
    // What was in reserve is for what must be recorded all the same.
    let (key, event) = (shown.def.key.clone(), rig.state(&shown.def.key).event_id(&shown.def.key));
    rig.command(&key, CommandKind::Acknowledge, event.bytes()).await.unwrap();
    assert!(site.journal.durable_states()[key.as_str()].acked.value);
    rig.wait_ms(60_000).await;
    assert_eq!(frames(&site), before, "samples wait");

    site.journal.leave_room(Some(100_000));
    let over = rig.shown_normal("gateway/disk").await;
    assert!(over.state.message.contains("there is room"), "{}", over.state.message);
    rig.wait_ms(1_000).await;
    let mut values: Vec<f64> = Vec::new();
    let mut nows = Vec::new();
    for record in site.records() {
        if let RecordBody::Data(frame) = record.body {
            nows.push(frame.now);
            values.extend(frame.rows.value.iter().zip(&frame.rows.signal).filter(|(_, id)| id.0 == 1).map(|(v, _)| *v));
        }
    }
    assert_eq!(values, (0..20).map(f64::from).collect::<Vec<_>>());
    assert!(nows.is_sorted());
    rig.stop().await;
    site.check();
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_seals_nothing_lets_the_old_go_and_is_made_up_for_at_once() {
    const HOUR_MS: u64 = 3_600_000;
    let site = Site::new();
    let rig = Rig::start(&site).await;
    rig.value(0, 1.0).await;
    rig.wait_ms(HOUR_MS).await;
    site.journal.leave_room(Some(0));
    rig.shown_active("gateway/disk").await;
    rig.wait_ms(60_000).await;
    let (seals, looks) = (site.history.seals(), site.history.looks_for_the_old());
    assert!(seals > 0 && looks > 0);
    rig.wait_ms(3 * HOUR_MS).await;
    assert_eq!(site.history.seals(), seals);
    assert!(site.history.looks_for_the_old() >= looks + 2);
    site.journal.leave_room(Some(100_000));
    rig.wait_ms(5_000).await;
    assert!(site.history.seals() > seals, "what was held up is sealed as soon as there is room");
    rig.stop().await;
    site.check();
}

#[tokio::test(start_paused = true)]
async fn replay_equals_live_from_the_journal_and_from_sealed_records() {
    for seed in 0..SEEDS {
        let site = Site::new();
        let rig = Rig::start(&site).await;
        let mut random = SmallRng::seed_from_u64(seed);
        for _ in 0..200 {
            rig.value(random.random_range(0..3), random.random_range(0.0..14.0)).await;
            rig.wait_ms(random.random_range(0..40)).await;
        }
        rig.stop().await;
        let from_journal = site.replay().await;
        assert!(from_journal.recorded > 10, "seed {seed}: too little happened");
        assert_eq!(from_journal.differences, vec![], "seed {seed}");
        site.seal();
        let from_sealed = site.replay().await;
        assert_eq!((from_sealed.digest, from_sealed.differences), (from_journal.digest, vec![]), "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_killed_gateway_forgets_nothing_it_answered_for_and_repeats_nothing() {
    for seed in 0..SEEDS {
        let site = Site::new();
        let mut random = SmallRng::seed_from_u64(seed);
        let mut acknowledged = BTreeSet::new();
        let mut seen_events = BTreeSet::new();
        for life in 0..4 {
            let rig = Rig::start(&site).await;
            for _ in 0..60 {
                rig.value(random.random_range(0..3), random.random_range(0.0..14.0)).await;
                rig.wait_ms(random.random_range(0..30)).await;
                if random.random_bool(0.02) {
                    rig.wait_ms(61_000).await;
                }
                if random.random_bool(0.2)
                    && let Some(view) = rig.unacknowledged()
                {
                    let event = view.state.event_id(&view.def.key);
                    if rig.command(&view.def.key, CommandKind::Acknowledge, event.bytes()).await == Ok(()) {
                        acknowledged.insert((view.def.key.clone(), view.state.activations));
                    }
                }
            }
            for (key, event) in rig.events() {
                assert!(seen_events.insert((key.clone(), event)), "seed {seed}, life {life}: {key} told twice");
            }
            if random.random_bool(0.7) {
                rig.kill();
                site.lose_what_is_not_durable();
            } else {
                rig.stop().await;
            }
            site.check();
        }
        let rig = Rig::start(&site).await;
        rig.wait_ms(500).await;
        for (key, activation) in acknowledged {
            let state = rig.state(&key);
            assert!(
                state.activations > activation || state.acked.value,
                "seed {seed}: {key} was acknowledged and is not"
            );
        }
        rig.stop().await;
        assert_eq!(site.replay().await.differences, vec![], "seed {seed}: replay differs from live after kills");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cursor_sees_every_record_once_however_far_behind_it_starts() {
    let site = Site::new();
    let rig = Rig::start(&site).await;
    for i in 0..300 {
        rig.value(i % 3, f64::from(i)).await;
    }
    rig.wait_ms(50).await;
    site.seal_some(100);
    let mut cursor = rig.log.cursor(Lsn(1));
    let mut next = Lsn(1);
    while next <= rig.log.tail() {
        assert_eq!(cursor.next().await.unwrap().lsn, next);
        next = next.next();
    }
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_poisoned_frame_is_skipped_on_record_and_nothing_else_is_lost() {
    let site = Site::new();
    let rig = Rig::start(&site).await;
    rig.value(0, 50.0).await;
    rig.shown_active("plain/high/s/0").await;
    rig.value(1, plain::POISON).await;
    rig.shown_active("gateway/detector/plain").await;
    rig.value(2, 50.0).await;
    let after = rig.shown_active("plain/high/s/2").await;
    assert!(after.state.message.ends_with("and 1 skips"), "the plugin learns of it: {}", after.state.message);
    rig.shown_normal("gateway/detector/plain").await;
    assert_eq!(rig.state_of("plain/high/s/0").level, Level::High, "a fault never clears an alarm");
    rig.stop().await;
    let report = site.replay().await;
    assert_eq!((report.differences, report.skipped), (vec![], 1));
    let ended = site.told("gateway/detector/plain").into_iter().filter(|state| !state.active.value).count();
    assert_eq!(ended, 1, "it failed again while it caught up, so it did not run in between");
}

#[tokio::test(start_paused = true)]
async fn a_detector_that_always_fails_is_given_up_visibly_while_values_go_on() {
    let site = Site::new();
    let rig = Rig::start(&site).await;
    for _ in 0..40 {
        rig.value(1, plain::POISON).await;
        rig.wait_ms(400).await;
    }
    let health = rig.state_of("gateway/detector/plain");
    assert!(health.active.value && health.message.contains("given up"), "{}", health.message);
    let frames = |rig: &Rig| rig.log.tail();
    let before = frames(&rig);
    rig.value(0, 1.0).await;
    rig.wait_ms(50).await;
    assert!(frames(&rig) > before);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_source_makes_its_alarms_uncertain_and_clears_none() {
    let site = Site::new();
    let rig = Rig::start(&site).await;
    rig.value(0, 50.0).await;
    rig.shown_active("plain/high/s/0").await;
    rig.source(SourceState::Down).await;
    let lost = rig.shown_active("gateway/source/s").await;
    assert_eq!(lost.state.message, "test");
    rig.wait_ms(20).await;
    let held = rig.state_of("plain/high/s/0");
    assert!(held.active.value && held.quality.value == StatusCode::UNCERTAIN_LAST_USABLE);
    rig.gap(0, GapCause::SourceLost).await;
    rig.source(SourceState::Up).await;
    rig.shown_normal("gateway/source/s").await;
    rig.wait_ms(20).await;
    assert_eq!(rig.state_of("plain/high/s/0").quality.value, StatusCode::GOOD);
    rig.stop().await;
    let gaps = site.records().iter().filter(|r| matches!(&r.body, RecordBody::Data(f) if !f.gaps.is_empty())).count();
    assert_eq!(gaps, 1);
}

#[tokio::test(start_paused = true)]
async fn an_event_made_of_scores_does_not_end_while_its_source_is_lost() {
    let site = Site::new();
    let rig = Rig::start(&site).await;
    rig.value(0, 15.0).await;
    rig.shown_active("plain/odd/s/0").await;
    rig.source(SourceState::Down).await;
    rig.wait_ms(30_000).await;
    assert!(rig.state_of("plain/odd/s/0").active.value, "nothing is known while the source is lost");
    rig.source(SourceState::Up).await;
    rig.wait_ms(5_000).await;
    assert!(rig.state_of("plain/odd/s/0").active.value, "the time without it does not count");
    rig.shown_normal("plain/odd/s/0").await;
    rig.stop().await;
    assert_eq!(site.replay().await.differences, vec![]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_command_says_why_and_leaves_no_record() {
    let site = Site::new();
    let rig = Rig::start(&site).await;
    rig.value(0, 50.0).await;
    let view = rig.shown_active("plain/high/s/0").await;
    let key = &view.def.key;
    let before = rig.log.tail();
    let refused = rig.command(key, CommandKind::Acknowledge, &[1, 2, 3]).await;
    assert_eq!(refused, Err(RefusedCommand::EventIdUnknown));
    assert_eq!(rig.log.tail(), before);
    assert_eq!(rig.command(key, CommandKind::Acknowledge, view.state.event_id(&view.def.key).bytes()).await, Ok(()));
    let again = rig.command(key, CommandKind::Acknowledge, view.state.event_id(&view.def.key).bytes()).await;
    assert_eq!(again, Err(RefusedCommand::AlreadyAcked));
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn time_in_the_log_never_runs_backwards() {
    let site = Site::new();
    let rig = Rig::start(&site).await;
    for step in [0, 3600, -7200, 10, -3600] {
        rig.step_clock(step);
        rig.value(0, 1.0).await;
        rig.wait_ms(30).await;
    }
    rig.stop().await;
    assert!(!site.told("gateway/clock").is_empty(), "a clock that was set back is an alarm");
    let frames =
        site.records().into_iter().filter_map(|r| if let RecordBody::Data(f) = r.body { Some(f.now) } else { None });
    assert!(frames.collect::<Vec<_>>().is_sorted_by(|a, b| a < b));
}

#[tokio::test(start_paused = true)]
async fn clocks_that_are_set_by_an_hour_lose_nothing_and_double_nothing() {
    for (seed, steps) in [(1, [3600, -3600, -3600, 3600]), (2, [-3600, 3600, 3600, -3600])] {
        let site = Site::new();
        let mut random = SmallRng::seed_from_u64(seed);
        let mut given: Vec<(Instant, f64)> = Vec::new();
        let mut rig = Rig::start(&site).await;
        for (round, step) in steps.into_iter().enumerate() {
            // The server's clock is the gateway's, or stands as it was.
            for n in 0..40 {
                let value = f64::from(n) + 100.0 * round as f64;
                given.push((site.now(), value));
                rig.value(1, value).await;
                rig.wait_ms(random.random_range(0..400)).await;
            }
            rig.step_clock(step);
            if random.random_bool(0.5) {
                rig.wait_ms(3_000).await;
                rig.kill();
                site.lose_what_is_not_durable();
                rig = Rig::start(&site).await;
            }
        }
        rig.wait_ms(3_000).await;
        rig.stop().await;
        assert!(!site.told("gateway/clock").is_empty(), "a clock that was set back is an alarm");
        let is_frame = |record: Record| if let RecordBody::Data(frame) = record.body { Some(frame.now) } else { None };
        assert!(site.records().into_iter().filter_map(is_frame).collect::<Vec<_>>().is_sorted());

        // By time, whatever the order in which they came; those of one time in that order.
        given.sort_by_key(|(time, _)| *time);
        let (first, last) = (given[0].0, given[given.len() - 1].0);
        for sealed in [false, true] {
            if sealed {
                site.seal();
            }
            let log = site.log();
            for (from, to) in [(0, 1000), (0, 500), (300, 700), (500, 1000), (999, 1001)] {
                let at = |share: i64| Instant::from_ns(first.ns() + last.since_ns(first) / 1000 * share + share / 1000);
                let within = given.iter().filter(|(time, _)| (at(from)..at(to)).contains(time)).copied();
                let mut found = Vec::new();
                for page in crate::samples(&log, SignalId(1), at(from), at(to)).unwrap() {
                    let rows = page.unwrap();
                    found.extend(rows.time.iter().copied().zip(rows.value.iter().copied()));
                }
                assert_eq!(found, within.collect::<Vec<_>>(), "seed {seed}, sealed: {sealed}, {from} to {to}");
            }
        }
        assert_eq!(site.replay().await.differences, vec![]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_was_mended_while_the_gateway_stood_still_is_no_alarm_any_more() {
    let site = Site::new();
    let rig = Rig::start(&site).await;
    rig.value(0, 1.0).await;
    rig.step_clock(-7200);
    rig.value(0, 2.0).await;
    rig.shown_active("gateway/clock").await;
    rig.step_clock(7200);
    rig.kill();
    let rig = Rig::start(&site).await;
    rig.shown_normal("gateway/clock").await;
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_detector_that_goes_live_raises_what_stands_and_one_that_leaves_clears_its_alarms() {
    let site = Site::new();
    let rig = Rig::start_in(&site, Mode::Shadow).await;
    rig.value(0, 50.0).await;
    rig.wait_ms(500).await;
    assert!(!rig.state_of("plain/high/s/0").active.value, "in shadow nothing is announced");
    rig.stop().await;
    for kill in [false, true] {
        let rig = Rig::start_in(&site, Mode::Live).await;
        let raised = rig.shown_active("plain/high/s/0").await;
        assert!(raised.state.message.starts_with("50 after"), "with its reason: {}", raised.state.message);
        rig.wait_ms(500).await;
        if kill {
            rig.kill();
            site.lose_what_is_not_durable();
        } else {
            rig.stop().await;
        }
        assert_eq!(site.replay().await.differences, vec![]);
    }
    // Even if it knows nothing any more of what it told, as with another configuration.
    site.history.forget_checkpoints();
    let rig = Rig::start_in(&site, Mode::Shadow).await;
    let left = rig.shown_normal("plain/high/s/0").await;
    assert!(left.state.retain, "it still waits for acknowledgement: {}", left.state.message);
    rig.stop().await;
    site.check();
}

#[tokio::test(start_paused = true)]
async fn an_alarm_that_is_cleared_by_leaving_live_stays_uncertain_while_its_source_is_lost() {
    let site = Site::new();
    let rig = Rig::start(&site).await;
    rig.value(0, 50.0).await;
    rig.shown_active("plain/high/s/0").await;
    rig.source(SourceState::Down).await;
    rig.shown_active("gateway/source/s").await;
    rig.stop().await;
    let rig = Rig::start_in(&site, Mode::Shadow).await;
    let left = rig.shown_normal("plain/high/s/0").await;
    assert_eq!(left.state.quality.value, StatusCode::UNCERTAIN_LAST_USABLE);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_detector_said_while_it_only_learned_is_not_compared() {
    let site = Site::new();
    let rig = Rig::start_in(&site, Mode::Learning).await;
    rig.value(0, 50.0).await;
    rig.wait_ms(500).await;
    rig.stop().await;
    let rig = Rig::start_in(&site, Mode::Live).await;
    rig.shown_active("plain/high/s/0").await;
    rig.value(1, 50.0).await;
    rig.shown_active("plain/high/s/1").await;
    rig.stop().await;
    let report = site.replay().await;
    assert_eq!((report.differences, report.recorded > 0), (vec![], true));
}

#[tokio::test(start_paused = true)]
async fn a_detector_that_finds_its_place_gone_goes_on_on_record() {
    let site = Site::new();
    let rig = Rig::start(&site).await;
    rig.value(0, 1.0).await;
    rig.wait_ms(500).await;
    rig.kill();
    site.lose_what_is_not_durable();
    site.seal();
    site.history.forget();
    let rig = Rig::start(&site).await;
    rig.value(0, 50.0).await;
    let shown = rig.shown_active("plain/high/s/0").await;
    assert!(shown.state.message.ends_with("and 1 skips"), "{}", shown.state.message);
    rig.stop().await;
    let skipped = |record: &Record| matches!(&record.body, RecordBody::Control(Control::DetectorSkipped { .. }));
    assert_eq!(site.records().iter().filter(|record| skipped(record)).count(), 1);
}
