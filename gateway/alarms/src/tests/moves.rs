//! Which way a condition went last, and that a restart knows it.

use watchfire_model::{CommandKind, Level};

use super::bench::Bench;
use crate::{Shelving, Stamped};

#[test]
fn which_way_its_shelving_went_is_known_also_after_a_restart() {
    let mut bench = Bench::new(false);
    assert_eq!(bench.state().moves, None, "it never went anywhere");
    bench.ask(CommandKind::TimedShelve(60_000)).unwrap();
    let before = |bench: &Bench| bench.state().moves.as_ref().and_then(|moves| moves.shelved_before);
    assert_eq!(before(&bench), Some(Shelving::Unshelved));
    bench.ask(CommandKind::OneShotShelve).unwrap();
    assert!(matches!(before(&bench), Some(Shelving::Timed { .. })));
    bench.restart();
    assert!(matches!(before(&bench), Some(Shelving::Timed { .. })));
    bench.ask(CommandKind::Unshelve).unwrap();
    assert_eq!(before(&bench), Some(Shelving::OneShot { until: None }));
}

#[test]
fn from_which_limit_it_came_is_known_while_it_is_beyond_another() {
    let mut bench = Bench::new(false);
    for (level, came_from) in [
        (Level::High, None),
        (Level::HighHigh, Some(Level::High)),
        (Level::High, Some(Level::HighHigh)),
        (Level::Normal, None),
        (Level::LowLow, None),
        (Level::Low, Some(Level::LowLow)),
        (Level::Active, None),
    ] {
        let state = bench.find(level).unwrap().state;
        let before = state.moves.as_ref().and_then(|moves| moves.limit_before.clone());
        assert_eq!(before, came_from.map(|from| Stamped::new(from, state.time)), "{level:?}");
        bench.restart();
        assert_eq!(bench.state().moves, state.moves);
    }
}

#[test]
fn each_limit_has_its_own_time() {
    let mut bench = Bench::new(false);
    let high = bench.find(Level::High).unwrap().state.time;
    let since = |bench: &Bench, level| bench.state().moves.as_ref().and_then(|moves| moves.since(level));
    assert_eq!((since(&bench, Level::High), since(&bench, Level::HighHigh)), (Some(high), None));
    let higher = bench.find(Level::HighHigh).unwrap().state.time;
    assert_eq!((since(&bench, Level::High), since(&bench, Level::HighHigh)), (Some(high), Some(higher)));
    let over = bench.find(Level::Normal).unwrap().state.time;
    assert_eq!((since(&bench, Level::High), since(&bench, Level::HighHigh)), (Some(over), Some(over)));
    assert_eq!((since(&bench, Level::Low), since(&bench, Level::Active)), (None, None));
}
