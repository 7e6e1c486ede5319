//! While it is disabled nothing is told of a condition (OPC 10000-9 §5.5.2), and it loses nothing by it.

use watchfire_model::{CommandKind, Instant, Level, Lsn, StatusCode};

use super::bench::{Bench, seconds};
use crate::{Belief, Rules, Transition};

const LOST: Belief = Belief { quality: StatusCode::UNCERTAIN_LAST_USABLE, supported: false };
const FOUND: Belief = Belief { quality: StatusCode::GOOD, supported: true };

fn believe(bench: &mut Bench, belief: Belief) -> Vec<Transition> {
    bench.s += 1;
    bench.engine.believe(&bench.key, Lsn(1), belief, Instant::from_s(bench.s))
}

#[test]
fn one_whose_source_comes_back_while_it_is_disabled_stands_again_when_it_is_enabled() {
    let mut bench = Bench::new(false);
    bench.find(Level::High);
    assert!(believe(&mut bench, LOST)[0].state.is_aside());
    bench.ask(CommandKind::Disable).unwrap();
    assert!(believe(&mut bench, FOUND).iter().all(|told| !told.notify));
    let enabled = bench.ask(CommandKind::Enable).unwrap().state;
    assert!(!enabled.is_aside() && enabled.quality.value.is_good() && enabled.active.value);
}

#[test]
fn one_whose_source_is_lost_while_it_is_disabled_is_below_that_alarm_when_it_is_enabled() {
    let mut bench = Bench::new(false);
    bench.find(Level::High);
    bench.ask(CommandKind::Disable).unwrap();
    assert!(believe(&mut bench, LOST).iter().all(|told| !told.notify));
    let enabled = bench.ask(CommandKind::Enable).unwrap().state;
    assert!(enabled.is_aside() && enabled.quality.value == StatusCode::UNCERTAIN_LAST_USABLE);
}

#[test]
fn what_time_brings_while_it_is_disabled_is_on_record_without_an_event() {
    let mut bench = Bench::ruled(Rules { re_alarm: seconds(10), ..Rules::default() });
    bench.find(Level::High);
    bench.ask(CommandKind::TimedShelve(10_000)).unwrap();
    bench.ask(CommandKind::PlanRemovalFromService { from: Instant::from_s(30), ms: 20_000 }).unwrap();
    bench.ask(CommandKind::Disable).unwrap();
    let event = bench.event();
    let back = bench.pass(15).unwrap();
    assert!(!back.notify && !back.state.is_aside(), "its shelving is over");
    let begun = bench.pass(15).unwrap();
    assert!(!begun.notify && begun.state.out_of_service.value, "a plan begins");
    let over = bench.pass(30).unwrap();
    assert!(!over.notify && over.state.maintenance.overdue);
    assert_eq!(bench.event(), event);
    assert!(bench.ask(CommandKind::Enable).unwrap().state.out_of_service.value);
}

#[test]
fn more_of_the_same_is_no_event_while_it_is_disabled() {
    let mut bench = Bench::new(false);
    bench.find(Level::High);
    let finding = crate::Finding {
        level: Level::Active,
        message: "more".to_owned(),
        score: None,
        evidence: vec![],
        at: Instant::from_s(9),
        quality: StatusCode::GOOD,
    };
    bench.ask(CommandKind::Disable).unwrap();
    let told = bench.engine.renew(&bench.key.clone(), Lsn(9), finding, Instant::from_s(9));
    assert!(told.iter().all(|told| !told.notify) && bench.state().message == "more");
}
