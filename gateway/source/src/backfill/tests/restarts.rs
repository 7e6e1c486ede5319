//! Times out of reach over a restart of the gateway.

use super::*;
use watchfire_model::{Awaited, Awaits};

const LAG: Duration = Duration::from_secs(2);

fn roster() -> Roster {
    let config = |name: &str| crate::tests::harness::signal(name, "i=1");
    Roster::new(source(), (0..9).map(|id| (SignalId(id), config("a"))).collect())
}

fn of(signal: u32, since: i64, until: i64) -> Awaited {
    let (since, until) = (Instant::from_s(since), Instant::from_s(until));
    Awaited { signal: SignalId(signal), since, what: Awaits::History { until } }
}

fn awaited(backfill: &Backfill) -> Vec<Awaited> {
    let mut awaited: Vec<_> = backfill.awaited().collect();
    awaited.sort_unstable_by_key(Awaited::key);
    awaited
}

/// After a restart of the gateway.
fn restarted(backfill: &Backfill) -> Backfill {
    let mut restarted = super::backfill(&[]);
    restarted.take_up_unreached(&awaited(backfill), &roster(), LAG);
    restarted
}

#[tokio::test(start_paused = true)]
async fn what_a_server_could_not_reach_is_asked_for_also_after_a_restart_and_nothing_twice() {
    let mut backfill = backfill(&[]);
    unreached(&mut backfill, 7, 0, 100);
    tokio::time::sleep_until(backfill.due().unwrap()).await;
    backfill.wake();
    ask(&mut backfill);
    assert_eq!(take(&mut backfill, Ok(vec![answer(&[1, 2, 100], "")])).0, [(7, 1), (7, 2)]);
    unreached(&mut backfill, 7, 110, 120);
    unreached(&mut backfill, 8, 5, 9);
    assert_eq!(awaited(&backfill), [of(7, 2, 100), of(7, 110, 120), of(8, 5, 9)], "from where it is fetched");
    let mut backfill = restarted(&restarted(&backfill));
    assert!(backfill.due().is_none(), "nothing is known of the nodes yet");
    backfill.known(7, true);
    backfill.known(8, false);
    assert_eq!(awaited(&backfill), [of(7, 2, 100), of(7, 110, 120)], "of the other one there is no history");
    let (mut asked_at, mut rows, begin) = (Vec::new(), Vec::new(), Timer::now());
    while let Some(due) = backfill.due() {
        tokio::time::sleep_until(due).await;
        backfill.wake();
        ask(&mut backfill);
        asked_at.push((Timer::now() - begin).as_secs());
        let page = backfill.asked.iter().map(|_| answer(&[1, 2, 3, 100, 115], "")).collect();
        let taken = take(&mut backfill, Ok(page));
        assert_eq!(taken.1, [], "it is no gap");
        rows.extend(taken.0);
    }
    rows.sort_unstable();
    assert_eq!(rows, [(7, 3), (7, 115)]);
    asked_at.dedup();
    assert_eq!(asked_at, [10, 70, 670, 2470]);
    assert_eq!(awaited(&backfill), []);
}

#[tokio::test(start_paused = true)]
async fn a_time_out_of_reach_that_is_due_while_a_connection_begins_is_asked_for_once_its_node_is_known() {
    let mut backfill = backfill(&[]);
    unreached(&mut backfill, 7, 0, 100);
    for pass in 1..=UNREACHED.len() {
        tokio::time::sleep_until(backfill.due().unwrap()).await;
        backfill.lost();
        backfill.begin_session();
        backfill.connected(1_000);
        backfill.wake();
        backfill.choose(&|_| None);
        assert!(backfill.asked.is_empty() && backfill.due().is_none());
        backfill.known(7, true);
        ask(&mut backfill);
        assert_eq!(backfill.asked.len(), 1, "the {pass}th time");
        assert_eq!(take(&mut backfill, Ok(vec![answer(&[], "")])), (vec![], vec![]));
    }
    assert!(backfill.due().is_none() && backfill.unreached_of.is_empty());
}

#[test]
fn of_too_many_times_out_of_reach_from_before_a_start_no_more_wait_than_else() {
    let mut backfill = backfill(&[]);
    let many: Vec<_> = (0..100).map(|turn| of(7, turn * 10, turn * 10 + 5)).collect();
    backfill.take_up_unreached(&many, &roster(), LAG);
    backfill.take_up_unreached(&[of(99, 0, 5)], &roster(), LAG);
    assert_eq!(awaited(&backfill), many[100 - UNREACHED_MAX..], "the newest, of those that are configured");
    assert_eq!(backfill.unreached_count, UNREACHED_MAX);
    backfill.known(7, true);
    assert_eq!(backfill.unreached.len(), UNREACHED_MAX);
}
