//! Each rule by example: acknowledgement, refusals, disabling, quality.

use watchfire_model::{AlarmCommand, CommandKind, ConditionKey, Instant, Level, Lsn, StatusCode};

use super::bench::Bench;
use crate::{Belief, Finding, RefusedCommand};

#[test]
fn an_alarm_lives_from_active_to_gone() {
    let mut bench = Bench::new(true);
    let active = bench.find(Level::High).unwrap().state;
    assert!(active.retain && active.active.value && !active.acked.value);
    let again = active.message.clone();
    assert!(bench.find_because(Level::High, again).is_none(), "the same again is no transition");
    assert!(bench.find(Level::High).unwrap().notify, "another reason is");
    let event = bench.event();
    let acked = bench.give(CommandKind::Acknowledge, &event, Some("on my way")).unwrap().state;
    assert!(acked.acked.value && !acked.confirmed.value);
    assert_eq!((acked.comment.value.text.as_str(), acked.user.as_str()), ("on my way", "anna"));
    let gone = bench.find(Level::Normal).unwrap().state;
    assert!(gone.retain, "not yet confirmed");
    let event = bench.event();
    let confirmed = bench.give(CommandKind::Confirm, &event, None).unwrap().state;
    assert!(!confirmed.retain, "one last event takes it off the list");
    assert_eq!(confirmed.comment.value.text, "on my way", "no comment leaves the comment");
}

#[test]
fn without_confirmation_an_acknowledged_alarm_that_is_over_leaves_the_list() {
    let mut bench = Bench::new(false);
    bench.find(Level::Low);
    assert!(bench.find(Level::Normal).unwrap().state.retain, "not yet acknowledged");
    let event = bench.event();
    assert!(!bench.give(CommandKind::Acknowledge, &event, None).unwrap().state.retain);
}

#[test]
fn earlier_events_of_an_occurrence_can_be_acknowledged_but_not_those_of_the_one_before() {
    let mut bench = Bench::new(false);
    bench.find(Level::High);
    let first = bench.event();
    bench.find(Level::HighHigh);
    assert!(bench.give(CommandKind::Acknowledge, &first, None).is_ok());
    bench.find(Level::Normal);
    bench.find(Level::High);
    assert_eq!(bench.give(CommandKind::Acknowledge, &first, None), Err(RefusedCommand::EventIdUnknown));
    assert!(!bench.state().acked.value);
}

/// What is asked, with which comment.
type Asked<'a> = (CommandKind, Option<&'a str>);

#[test]
fn every_refusal_has_its_reason_and_changes_nothing() {
    use CommandKind::{Acknowledge, AddComment, Confirm, Disable, Enable};
    let long = "x".repeat(5000);
    let acked: &[Asked<'_>] = &[(Acknowledge, None)];
    let disabled: &[Asked<'_>] = &[(Disable, None)];
    let cases: &[(&[Asked<'_>], CommandKind, Option<&str>, RefusedCommand)] = &[
        (acked, Acknowledge, None, RefusedCommand::AlreadyAcked),
        (&[], Confirm, None, RefusedCommand::AlreadyConfirmed),
        (&[], Enable, None, RefusedCommand::AlreadyEnabled),
        (disabled, Disable, None, RefusedCommand::AlreadyDisabled),
        (disabled, Acknowledge, None, RefusedCommand::Disabled),
        (&[], AddComment, None, RefusedCommand::CommentMissing),
        (&[], AddComment, Some(&long), RefusedCommand::CommentTooLong),
    ];
    for (before, kind, comment, refused) in cases {
        let mut bench = Bench::new(true);
        bench.find(Level::High);
        for (kind, comment) in *before {
            let event = bench.event();
            bench.give(*kind, &event, *comment).unwrap();
        }
        let (event, state) = (bench.event(), bench.state().clone());
        assert_eq!(bench.give(*kind, &event, *comment), Err(*refused), "{kind:?}");
        assert_eq!(*bench.state(), state, "{kind:?}");
    }
    let mut bench = Bench::new(false);
    bench.key = ConditionKey::new("no", "such", "");
    assert_eq!(bench.give(Enable, &[], None), Err(RefusedCommand::UnknownCondition));
}

#[test]
fn a_disabled_condition_says_nothing_and_remembers() {
    let mut bench = Bench::new(false);
    bench.give(CommandKind::Disable, &[], None).unwrap();
    let kept = bench.find(Level::High).unwrap();
    assert!(!kept.notify && !kept.state.retain);
    let enabled = bench.give(CommandKind::Enable, &[], None).unwrap().state;
    assert!(enabled.active.value && !enabled.acked.value && enabled.retain);
}

#[test]
fn what_a_detector_cannot_tell_clears_nothing() {
    let mut bench = Bench::new(false);
    bench.find(Level::High);
    bench.s += 1;
    let at = Instant::from_s(bench.s);
    let quality = StatusCode::UNCERTAIN;
    let finding = Finding { level: Level::Unknown, message: "?".into(), score: None, evidence: vec![], at, quality };
    let unsure = bench.engine.apply(&bench.key, Lsn(9), finding, at).pop().unwrap().state;
    assert!(unsure.active.value && unsure.level == Level::High);
    assert_eq!((unsure.quality.value, unsure.message.as_str()), (StatusCode::UNCERTAIN, "High at 1"));
}

#[test]
fn an_inactive_condition_that_cannot_be_judged_shows_it_without_an_event() {
    let mut bench = Bench::new(false);
    let quality = StatusCode::UNCERTAIN;
    let belief = Belief { quality, supported: true };
    let unsure = bench.engine.believe(&bench.key, Lsn(1), belief, Instant::from_s(1)).pop().unwrap();
    assert!(!unsure.notify && unsure.state.quality.value == quality);
    assert!(bench.find(Level::High).unwrap().notify);
    let unsure = bench.engine.believe(&bench.key, Lsn(2), belief, Instant::from_s(9)).pop().unwrap();
    assert!(unsure.notify, "a listed one tells");
}

#[test]
fn the_event_of_a_command_is_of_its_place_in_the_log() {
    let event_of = |cause: u64| {
        let mut bench = Bench::new(false);
        let (key, at) = (bench.key.clone(), Instant::from_s(1));
        let command = AlarmCommand {
            key,
            kind: CommandKind::Suppress,
            event_id: Vec::new(),
            comment: None,
            user: "anna".into(),
            at,
        };
        bench.engine.command(&command, Lsn(cause)).unwrap();
        bench.event()
    };
    assert_eq!(event_of(7), event_of(7));
    assert_ne!(event_of(7), event_of(8), "the same number again, after a state was lost, is another event");
}

#[test]
fn two_gateways_fed_the_same_log_agree_on_every_event_id() {
    let life = |_: u8| {
        let mut bench = Bench::new(true);
        bench.find(Level::High);
        let event = bench.event();
        bench.give(CommandKind::Acknowledge, &event, Some("x")).unwrap();
        bench.find(Level::Normal);
        bench.state().clone()
    };
    assert_eq!(life(1), life(2));
}
