//! Random lives of a condition: no transition outside the table of OPC 10000-9 §5.7 and §5.8, no EventId twice,
//! nothing acknowledged by accident, snapshot then restore is identity.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use watchfire_model::{CommandKind, ConditionKey, Instant, Level, Lsn, StatusCode};

use super::bench::{Bench, def};
use crate::{ConditionDef, ConditionState, Engine, Group, Rules, Shelving, Suppression, Transition};

/// Something that happens to a condition.
#[derive(Clone, Debug)]
enum Step {
    Find(Level),
    Quality(bool),
    /// A command with the EventId of the event so many before the last.
    Give(CommandKind, usize, bool),
    Suppress(bool),
    Pass(i64),
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    use CommandKind::{
        Acknowledge, AddComment, Confirm, Disable, Enable, Mark, OneShotShelve, PlaceInService, PlanRemovalFromService,
        RemoveFromService, RemoveFromServiceFor, Reset, Silence, Suppress, TimedShelve, Unshelve, Unsuppress,
    };
    let level = prop::sample::select(vec![Level::Normal, Level::High, Level::HighHigh, Level::Low, Level::Unknown]);
    let others = vec![
        AddComment,
        Enable,
        Disable,
        TimedShelve(5_000),
        OneShotShelve,
        Unshelve,
        Suppress,
        Unsuppress,
        RemoveFromService,
        RemoveFromServiceFor(5_000),
        Mark(true),
        Mark(false),
        PlanRemovalFromService { from: Instant::from_s(60), ms: 5_000 },
        PlaceInService,
        Silence,
        Reset,
    ];
    let kind = prop_oneof![Just(Acknowledge), Just(Confirm), prop::sample::select(others)];
    let step = prop_oneof![
        6 => level.prop_map(Step::Find),
        1 => any::<bool>().prop_map(Step::Quality),
        6 => (kind, 0..6_usize, any::<bool>()).prop_map(|(kind, back, comment)| Step::Give(kind, back, comment)),
        1 => any::<bool>().prop_map(Step::Suppress),
        2 => (1..30_i64).prop_map(Step::Pass),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 0..80)
}

fn rules() -> impl Strategy<Value = Rules> {
    let time = || prop::option::weighted(0.3, (1..20_u64).prop_map(Duration::from_secs));
    (time(), time(), time(), time(), any::<[bool; 3]>()).prop_map(
        |(on_delay, off_delay, re_alarm, max_shelve, [latch, damp, grouped])| Rules {
            on_delay,
            off_delay,
            re_alarm,
            max_shelve,
            latch,
            damp,
            group: grouped.then(|| Group { name: "group".into(), first_only: true }),
            ..Rules::default()
        },
    )
}

/// Occurrences that somebody was told of and that wait for somebody.
fn open(state: &ConditionState, def: &ConditionDef) -> usize {
    let open = |state: &ConditionState| !state.acked.value || (def.confirm && !state.confirmed.value);
    let waits = |state: &ConditionState| open(state) && !state.event_ids.is_empty();
    usize::from(waits(state)) + state.branches.iter().filter(|branch| waits(branch)).count()
}

/// What each event must say of itself.
fn check_event(transition: &Transition, def: &ConditionDef) {
    let state = transition.told();
    let (active, waits) = (state.active.value, !state.acked.value || (def.confirm && !state.confirmed.value));
    let left = match &transition.branch {
        Some(branch) => {
            assert!(branch.branch.is_some() && branch.branches.is_empty() && !active, "a branch is the past");
            waits
        }
        None => active || waits || state.latched.value || !state.branches.is_empty(),
    };
    assert_eq!(state.retain, state.enabled.value && left);
    assert_eq!(state.event_ids.last(), Some(&state.event_id));
    let aside =
        state.suppressed.value.any() || state.out_of_service.value || state.shelving.value != Shelving::Unshelved;
    assert_eq!(state.is_aside(), aside);
}

/// What may have happened between two states of a condition.
fn check_step(before: &ConditionState, after: &ConditionState, def: &ConditionDef) {
    let began = after.activations > before.activations;
    let anew = after.re_alarms > before.re_alarms;
    if before.acked.value && !after.acked.value {
        assert!((began || anew) && after.active.value, "only an alarm takes an acknowledgement back");
    }
    if before.confirmed.value && !after.confirmed.value {
        assert!(def.confirm && !before.acked.value && after.acked.value, "only acknowledging asks for confirmation");
    }
    if before.latched.value && !after.latched.value {
        assert!(!after.active.value && after.acked.value, "an alarm that nobody dealt with is not reset");
    }
    if after.active.value && !before.active.value && after.enabled.value {
        assert!(began, "an alarm that comes is an occurrence");
    }
    assert!(after.branches.len() <= 8 && after.event_ids.len() <= 32);
}

/// One life; panics where a rule is broken.
fn live(steps: Vec<Step>, def: ConditionDef) {
    let mut bench = Bench::with(def.clone());
    let mut events = vec![bench.state().event_id];
    let mut seen = BTreeSet::new();
    for step in steps {
        let before = bench.state().clone();
        bench.told.clear();
        let mut dealt_with = 0;
        match step {
            Step::Find(level) => drop(bench.find(level)),
            Step::Quality(good) => drop(bench.quality(if good { StatusCode::GOOD } else { StatusCode::UNCERTAIN })),
            Step::Give(kind, back, comment) => {
                let event = *events[events.len().saturating_sub(back + 1)].bytes();
                let done = bench.give(kind, &event, comment.then_some("text")).is_ok();
                let ends = if def.confirm { CommandKind::Confirm } else { CommandKind::Acknowledge };
                dealt_with = usize::from(done && kind == ends);
            }
            Step::Suppress(holds) => {
                bench.s += 1;
                let at = Instant::from_s(bench.s);
                bench.told = bench.engine.suppress(&bench.key.clone(), Suppression::MODE, holds, Lsn(1), at);
            }
            Step::Pass(s) => drop(bench.pass(s)),
            Step::Restart => {
                let due = bench.engine.next_due();
                bench.restart();
                assert_eq!(bench.state(), &before, "snapshot then restore is identity");
                assert_eq!(bench.engine.next_due(), due, "and what time brings next is known");
            }
        }
        let mut last = before.event_id;
        for transition in &bench.told {
            let state = transition.told();
            if transition.notify {
                check_event(transition, &def);
                assert!(seen.insert(state.event_id), "an EventId is never used twice");
                events.push(state.event_id);
                if transition.branch.is_none() {
                    last = state.event_id;
                }
            } else {
                assert_eq!(state.event_id, last, "what is not told bears the EventId of what was");
            }
        }
        let after = bench.state();
        check_step(&before, after, &def);
        if !before.enabled.value && !after.enabled.value {
            assert!(bench.told.iter().all(|told| !told.notify), "no event while it is disabled");
        }
        assert!(!after.suppressed.value.has(Suppression::GROUP), "nothing of its group is above it");
        if bench.told.iter().all(|told| !told.notify) {
            assert_eq!((after.event_id, after.retain), (before.event_id, before.retain));
        }
        let full = before.branches.len() == 8;
        assert!(full || open(after, &def) + dealt_with >= open(&before, &def), "nothing is dealt with by accident");
        let shelved = after.shelving.value.until();
        assert!(shelved.is_none_or(|until| bench.engine.next_due().is_some_and(|due| due <= until)));
    }
}

proptest! {
    #[test]
    fn no_life_leaves_the_table(steps in steps(), confirm in any::<bool>(), rules in rules()) {
        live(steps, def(confirm, rules));
    }

    #[test]
    fn damaged_bytes_are_refused_and_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let mut engine = Engine::default();
        let key = ConditionKey::new("a", "b", "");
        if engine.restore(&key, &bytes).is_err() {
            prop_assert!(engine.state(&key).is_none());
        }
    }
}
