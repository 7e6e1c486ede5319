//! Out of service for a stated time: when it is over somebody is reminded, and nothing comes back by itself.

use std::sync::Arc;
use std::time::Duration;

use watchfire_model::{AlarmCommand, CommandKind, Instant, Level, Lsn, Maintained, PlannedMaintenance, StatusCode};

use super::bench::{Bench, def, seconds};
use crate::{Comment, ConditionDef, Finding, Planned, Planner, RefusedCommand, Rules};

const HOUR_MS: u64 = 3_600_000;

#[test]
fn what_is_out_of_service_for_a_stated_time_is_overdue_after_it_and_stays_out() {
    let mut bench = Bench::new(false);
    bench.find(Level::High);
    let out = bench.give(CommandKind::RemoveFromServiceFor(HOUR_MS), &[], Some("pump is being changed")).unwrap();
    assert!(out.notify && out.state.is_aside() && out.state.maintenance.until == Some(Instant::from_s(2 + 3600)));
    assert_eq!(out.state.comment.value.text, "pump is being changed");
    bench.restart();
    assert!(bench.pass(3599).is_none(), "it goes on over a restart");
    let over = bench.pass(1).unwrap();
    assert!(!over.notify, "the condition itself has not changed for anybody");
    assert!(over.state.maintenance.overdue && over.state.out_of_service.value && over.state.is_aside());
    bench.restart();
    assert!(bench.state().maintenance.overdue && bench.pass(3600).is_none(), "it is overdue once");
    let back = bench.ask(CommandKind::PlaceInService).unwrap();
    assert!(!back.state.is_aside() && !back.state.maintenance.overdue && back.state.maintenance.until.is_none());
}

#[test]
fn another_time_takes_the_place_of_the_one_before_and_a_plain_removal_does_not() {
    let mut bench = Bench::new(false);
    bench.ask(CommandKind::RemoveFromServiceFor(10_000)).unwrap();
    bench.ask(CommandKind::RemoveFromService).unwrap();
    assert_eq!(bench.state().maintenance.until, Some(Instant::from_s(11)), "nobody asked to forget it");
    assert!(bench.pass(20).unwrap().state.maintenance.overdue);
    let longer = bench.ask(CommandKind::RemoveFromServiceFor(10_000)).unwrap();
    assert!(!longer.state.maintenance.overdue && longer.state.maintenance.until == Some(Instant::from_s(23 + 10)));
    bench.ask(CommandKind::PlaceInService).unwrap();
    bench.ask(CommandKind::RemoveFromService).unwrap();
    assert_eq!((bench.state().maintenance.until, bench.engine.next_due()), (None, None), "without a stated time");
}

#[test]
fn a_planned_time_begins_by_itself_with_what_was_said_when_it_was_planned() {
    let mut bench = Bench::new(false);
    let plan = CommandKind::PlanRemovalFromService { from: Instant::from_s(100), ms: 50_000 };
    let planned = bench.give(plan, &[], Some("inspection")).unwrap();
    assert!(planned.notify && !planned.state.out_of_service.value && planned.state.comment.value.text.is_empty());
    bench.find(Level::High);
    bench.restart();
    assert!(bench.pass(97).is_none());
    let begun = bench.pass(1).unwrap();
    assert!(begun.notify && begun.state.out_of_service.value && begun.state.is_aside());
    assert_eq!((begun.state.comment.value.text.as_str(), begun.state.user.as_str()), ("inspection", "anna"));
    assert!(bench.pass(49).is_none());
    assert!(bench.pass(1).unwrap().state.maintenance.overdue);
}

#[test]
fn a_plan_is_off_when_it_is_put_into_service_or_when_its_time_has_passed() {
    let mut bench = Bench::new(false);
    let plan = CommandKind::PlanRemovalFromService { from: Instant::from_s(100), ms: 50_000 };
    bench.ask(plan).unwrap();
    assert!(bench.ask(CommandKind::PlaceInService).unwrap().state.maintenance.planned.is_none());
    assert_eq!(bench.engine.next_due(), None);
    bench.ask(plan).unwrap();
    let late = bench.pass(200).unwrap();
    assert!(!late.notify && !late.state.out_of_service.value && late.state.maintenance.planned.is_none());
}

#[test]
fn a_time_that_cannot_be_kept_is_refused() {
    let mut bench = Bench::new(false);
    let year = 366 * 24 * HOUR_MS;
    let plan = |s: i64, ms| CommandKind::PlanRemovalFromService { from: Instant::from_s(s), ms };
    for kind in [
        CommandKind::RemoveFromServiceFor(0),
        CommandKind::RemoveFromServiceFor(year + 1),
        CommandKind::RemoveFromServiceFor(u64::MAX),
        plan(0, 1000),
        plan(100, 0),
        plan(i64::MAX / 1_000_000_000, 1000),
    ] {
        assert_eq!(bench.ask(kind), Err(RefusedCommand::ServiceTimeOutOfRange), "{kind:?}");
    }
    assert!(bench.ask(CommandKind::RemoveFromServiceFor(year)).is_ok());
}

#[test]
fn an_alarm_that_tells_of_more_is_one_anew() {
    let mut bench = Bench::ruled(Rules { re_alarm: seconds(100), ..Rules::default() });
    let more = |bench: &mut Bench, message: &str| {
        bench.s += 1;
        let at = Instant::from_s(bench.s);
        let finding = Finding {
            level: Level::Active,
            message: message.to_owned(),
            score: None,
            evidence: vec![],
            at,
            quality: StatusCode::GOOD,
        };
        bench.engine.renew(&bench.key.clone(), Lsn(1), finding, at).pop().unwrap()
    };
    assert!(!more(&mut bench, "one").state.acked.value);
    let event = bench.event();
    bench.give(CommandKind::Acknowledge, &event, None).unwrap();
    let two = more(&mut bench, "two");
    assert!(two.notify && !two.state.acked.value && two.state.active.value && two.state.message == "two");
    assert_eq!(two.state.event_ids.len(), 1, "events of what was acknowledged are of the past");
    let three = more(&mut bench, "three");
    assert!(three.state.branches.is_empty() && three.state.event_ids.len() == 2, "it is one alarm");
    assert_eq!(bench.engine.next_due(), Some(Instant::from_s(bench.s + 100)));
}

/// A definition that states when it is out of service: from and for how many seconds.
fn stated(times: &[(i64, u64)]) -> ConditionDef {
    let planned = |(from, s): &(i64, u64)| PlannedMaintenance {
        of: Maintained::Area("plant".into()),
        from: Instant::from_s(*from),
        lasts: Duration::from_secs(*s),
        comment: format!("the {s} seconds"),
    };
    def(false, Rules { maintenance: times.iter().map(planned).collect(), ..Rules::default() })
}

/// Defines it so, as at a start or a reload.
fn state(bench: &mut Bench, times: &[(i64, u64)]) -> Vec<crate::Transition> {
    let at = Instant::from_s(bench.s);
    bench.engine.define(Arc::new(stated(times)), at);
    bench.engine.settle(&bench.key.clone(), Lsn(1), at)
}

fn next(bench: &Bench) -> Option<i64> {
    bench.state().maintenance.planned.as_ref().map(|planned| planned.from.ns() / 1_000_000_000)
}

#[test]
fn what_the_definition_states_is_planned_and_begins_one_after_the_other() {
    let mut bench = Bench::new(false);
    bench.s = 20;
    let told = state(&mut bench, &[(300, 30), (100, 50), (10, 5)]);
    assert!(told.iter().all(|told| !told.notify) && next(&bench) == Some(100), "what has begun is left out");
    assert!(state(&mut bench, &[(300, 30), (100, 50)]).is_empty(), "it is planned already");
    bench.restart();
    let begun = bench.pass(80).unwrap();
    assert!(begun.notify && begun.state.out_of_service.value && next(&bench) == Some(300));
    assert_eq!(
        (begun.state.user.as_str(), begun.state.comment.value.text.as_str()),
        ("the configuration", "the 50 seconds")
    );
    assert!(bench.pass(50).unwrap().state.maintenance.overdue);
    bench.ask(CommandKind::PlaceInService).unwrap();
    assert_eq!(next(&bench), Some(300), "the next one is still to come");
    bench.ask(CommandKind::PlaceInService).unwrap();
    assert_eq!(next(&bench), None, "it is taken back");
}

#[test]
fn what_the_definition_no_longer_states_is_off_and_a_persons_plan_stays() {
    let mut bench = Bench::new(false);
    state(&mut bench, &[(100, 50)]);
    state(&mut bench, &[(200, 50)]);
    assert_eq!(next(&bench), Some(200));
    state(&mut bench, &[]);
    assert_eq!((next(&bench), bench.engine.next_due()), (None, None));
    let plan = CommandKind::PlanRemovalFromService { from: Instant::from_s(150), ms: 1000 };
    bench.ask(plan).unwrap();
    state(&mut bench, &[(100, 50)]);
    assert_eq!(next(&bench), Some(150));
}

#[test]
fn a_person_is_told_from_the_definition_whatever_their_name_is() {
    let mut bench = Bench::new(false);
    state(&mut bench, &[(100, 50)]);
    let kind = CommandKind::PlanRemovalFromService { from: Instant::from_s(150), ms: 1000 };
    let (key, user, at) = (bench.key.clone(), "the configuration".into(), Instant::from_s(bench.s));
    let command = AlarmCommand { key, kind, event_id: Vec::new(), comment: None, user, at };
    bench.engine.command(&command, Lsn(1)).unwrap();
    state(&mut bench, &[(100, 50)]);
    assert_eq!(next(&bench), Some(150), "a person's plan stays");
}

#[test]
fn what_a_definition_stated_is_read_as_it_was_written_before() {
    let planned = |by| Planned { from: Instant::from_s(1), until: Instant::from_s(2), by, comment: None };
    let before = |user: &str| (Instant::from_s(1), Instant::from_s(2), user.to_owned(), None::<Comment>);
    for (written, by) in [
        ("the configuration", Planner::Definition),
        ("", Planner::Definition),
        ("anna", Planner::Person("anna".to_owned())),
    ] {
        let bytes = postcard::to_extend(&before(written), Vec::new()).unwrap();
        assert_eq!(postcard::from_bytes(&bytes), Ok(planned(by.clone())));
        let bytes = postcard::to_extend(&planned(by.clone()), Vec::new()).unwrap();
        assert_eq!(postcard::from_bytes(&bytes), Ok(planned(by)));
    }
    // Whoever has the name that was written then is still a person.
    let of_that_name = planned(Planner::Person("the configuration".to_owned()));
    let bytes = postcard::to_extend(&of_that_name, Vec::new()).unwrap();
    assert_eq!(postcard::from_bytes(&bytes), Ok(of_that_name));
}
