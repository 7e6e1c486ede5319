//! Occurrences that are left behind (OPC 10000-9 §4.4, §5.5.2, Annex B.1.3).

use watchfire_model::{AlarmCommand, CommandKind, Instant, Level, Lsn};

use super::bench::Bench;
use crate::{RefusedCommand, Suppression};

/// An alarm that came twice while nobody looked: the EventIds of the first and of the second time.
fn twice(confirm: bool) -> (Bench, [u8; 16], [u8; 16]) {
    let mut bench = Bench::new(confirm);
    bench.find(Level::High);
    let first = bench.event();
    bench.find(Level::Normal);
    bench.find(Level::High);
    let second = bench.event();
    (bench, first, second)
}

#[test]
fn an_occurrence_that_nobody_acknowledged_is_kept_as_a_branch() {
    let (bench, first, second) = twice(false);
    let [branch, main] = &bench.told[..] else { panic!("{:?}", bench.told) };
    let (branch, state) = (branch.branch.as_ref().unwrap(), &main.state);
    assert!(branch.retain && !branch.active.value && !branch.acked.value && branch.branch.is_some());
    assert!(state.active.value && state.branch.is_none() && main.branch.is_none());
    assert_ne!(branch.event_id(&bench.key), state.event_id(&bench.key));
    assert_ne!(first, second);
    assert_eq!(state.branches.len(), 1);
}

#[test]
fn acknowledging_one_occurrence_leaves_the_other() {
    let (mut bench, first, second) = twice(false);
    bench.give(CommandKind::Acknowledge, &first, Some("the first")).unwrap();
    let ended = bench.told[0].branch.clone().unwrap();
    assert!(ended.acked.value && !ended.retain && ended.comment.value.text == "the first");
    assert_eq!(bench.told.len(), 1, "the condition itself is as it was");
    assert!(!bench.state().acked.value && bench.state().branches.is_empty());
    assert_eq!(bench.give(CommandKind::Acknowledge, &first, None), Err(RefusedCommand::AlreadyAcked));
    assert_eq!(bench.give(CommandKind::Mark(true), &first, None), Err(RefusedCommand::EventIdUnknown));
    assert_eq!(bench.give(CommandKind::Acknowledge, &[7; 16], None), Err(RefusedCommand::EventIdUnknown));
    bench.restart();
    assert_eq!(bench.give(CommandKind::Acknowledge, &first, None), Err(RefusedCommand::AlreadyAcked), "as before");
    assert!(bench.give(CommandKind::Acknowledge, &second, None).is_ok());
}

/// A confirmation by somebody else.
fn late(bench: &Bench, event: &[u8]) -> AlarmCommand {
    let (key, kind, event_id) = (bench.key.clone(), CommandKind::Confirm, event.to_vec());
    AlarmCommand { key, kind, event_id, comment: None, user: "bob".into(), at: Instant::from_s(bench.s) }
}

#[test]
fn a_branch_keeps_its_condition_in_the_list_until_it_is_dealt_with() {
    let (mut bench, first, second) = twice(true);
    bench.give(CommandKind::Acknowledge, &second, None).unwrap();
    let second = bench.event();
    bench.give(CommandKind::Confirm, &second, None).unwrap();
    assert!(bench.find(Level::Normal).unwrap().state.retain, "the first occurrence is left");
    bench.restart();
    bench.give(CommandKind::Acknowledge, &first, None).unwrap();
    assert!(bench.told[0].branch.as_ref().unwrap().retain, "not confirmed");
    assert_eq!(bench.give(CommandKind::Acknowledge, &first, None), Err(RefusedCommand::AlreadyAcked));
    bench.give(CommandKind::Confirm, &first, None).unwrap();
    assert_eq!(bench.engine.command(&late(&bench, &first), Lsn(1)), Err(RefusedCommand::AlreadyConfirmed));
    let [branch, main] = &bench.told[..] else { panic!("{:?}", bench.told) };
    assert!(!branch.branch.as_ref().unwrap().retain, "the branch ends,");
    assert!(main.notify && main.branch.is_none() && !main.state.retain, "and with it its condition leaves the list");
}

#[test]
fn disabling_takes_branches_off_the_list_and_enabling_puts_them_back() {
    let (mut bench, ..) = twice(false);
    bench.ask(CommandKind::Disable).unwrap();
    assert!(bench.told.iter().all(|told| told.branch.as_ref().map_or(!told.state.retain, |branch| !branch.retain)));
    bench.find(Level::Normal);
    bench.ask(CommandKind::Enable).unwrap();
    let kept = bench.told.iter().filter_map(|told| told.branch.as_ref()).filter(|branch| branch.retain).count();
    assert_eq!((kept, bench.state().retain), (1, true));
}

#[test]
fn however_often_it_comes_branches_are_few_and_nothing_is_forgotten() {
    let mut bench = Bench::new(false);
    let mut events = Vec::new();
    for _ in 0..20 {
        bench.find(Level::High);
        events.push(bench.event());
        bench.find(Level::Normal);
    }
    assert_eq!(bench.state().branches.len(), 8);
    for event in events {
        match bench.give(CommandKind::Acknowledge, &event, None) {
            Ok(_) | Err(RefusedCommand::EventIdUnknown | RefusedCommand::AlreadyAcked) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(!bench.state().retain);
}

#[test]
fn disabling_and_enabling_leaves_the_occurrence_that_stands_what_it_is() {
    let mut bench = Bench::new(false);
    bench.find(Level::High);
    let seen = bench.event();
    bench.ask(CommandKind::Disable).unwrap();
    bench.ask(CommandKind::Enable).unwrap();
    assert!(bench.state().branches.is_empty() && !bench.state().acked.value);
    assert!(bench.give(CommandKind::Acknowledge, &seen, None).is_ok());
}

#[test]
fn what_comes_and_goes_while_it_is_disabled_was_no_alarm() {
    let mut bench = Bench::new(false);
    bench.ask(CommandKind::Disable).unwrap();
    bench.find(Level::High);
    bench.find(Level::Normal);
    assert!(!bench.ask(CommandKind::Enable).unwrap().state.retain);
    // One that nobody had acknowledged before is another than the one that stands afterwards.
    bench.find(Level::High);
    let before = bench.event();
    bench.ask(CommandKind::Disable).unwrap();
    bench.find(Level::Normal);
    bench.find(Level::High);
    bench.ask(CommandKind::Enable).unwrap();
    assert_eq!(bench.state().branches.len(), 1);
    bench.give(CommandKind::Acknowledge, &before, None).unwrap();
    assert!(!bench.state().acked.value);
}

/// How the branches stood that the last call told of: whether each is put aside.
fn branches_told(bench: &Bench) -> Vec<bool> {
    let branches = bench.told.iter().filter(|told| told.notify).filter_map(|told| told.branch.as_ref());
    branches.map(|branch| branch.is_aside()).collect()
}

#[test]
fn an_occurrence_left_behind_is_put_aside_with_its_condition_and_comes_back_with_it() {
    use CommandKind::{OneShotShelve, PlaceInService, RemoveFromService, Suppress, TimedShelve, Unshelve, Unsuppress};
    for (aside, back) in [
        (Suppress, Unsuppress),
        (RemoveFromService, PlaceInService),
        (TimedShelve(60_000), Unshelve),
        (OneShotShelve, Unshelve),
    ] {
        let (mut bench, ..) = twice(false);
        bench.ask(aside).unwrap();
        assert_eq!(branches_told(&bench), [true], "{aside:?}");
        assert!(bench.told[0].branch.as_ref().unwrap().retain && bench.state().branches[0].is_aside());
        bench.restart();
        bench.ask(back).unwrap();
        assert_eq!(branches_told(&bench), [false], "{back:?}");
        assert!(!bench.state().branches[0].is_aside());
        bench.ask(CommandKind::Silence).unwrap();
        assert_eq!(branches_told(&bench), [], "nothing of it is of the branch");
    }
}

#[test]
fn what_was_suppressed_when_it_was_left_behind_is_seen_again_with_its_condition() {
    let mut bench = Bench::new(false);
    let mode = |bench: &mut Bench, holds| {
        let at = Instant::from_s(bench.s);
        bench.told = bench.engine.suppress(&bench.key.clone(), Suppression::MODE, holds, Lsn(1), at);
    };
    bench.find(Level::High);
    mode(&mut bench, true);
    bench.find(Level::Normal);
    bench.find(Level::High);
    assert!(bench.state().branches[0].is_aside());
    mode(&mut bench, false);
    assert_eq!(branches_told(&bench), [false]);
    assert!(!bench.state().is_aside() && !bench.state().branches[0].is_aside());
    // Also by time, and without an event while it is disabled.
    bench.ask(CommandKind::TimedShelve(10_000)).unwrap();
    bench.pass(10);
    assert_eq!(branches_told(&bench), [false]);
    bench.ask(CommandKind::Disable).unwrap();
    mode(&mut bench, true);
    assert!(branches_told(&bench).is_empty() && bench.state().branches[0].is_aside());
}
