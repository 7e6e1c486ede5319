//! Servers that stand in for each other, of which only some keep a history.

use super::*;

fn gap_of(id: u32) -> Gap {
    let (since, until) = (Instant::from_s(0), Instant::from_s(100));
    Gap { signal: Some(SignalId(id)), since, until, cause: GapCause::SourceLost }
}

fn fills(backfill: &mut Backfill) -> Vec<(u32, bool)> {
    let told = backfill.finished(&source());
    let fills = told.iter().flat_map(|arrival| match arrival {
        Arrival::Filled { fills, .. } => fills.clone(),
        other => panic!("{other:?}"),
    });
    fills.map(|fill| (fill.signal.0, fill.status.is_good())).collect()
}

/// Servers that were asked which there are, and the first of them being read.
fn of(count: usize) -> (StandIns, Backfill) {
    let standins = StandIns::new(count);
    standins.learn(count);
    let mut backfill = backfill(&[]);
    backfill.read_from(standins.clone());
    (standins, backfill)
}

/// Another server is read, of whose nodes nothing is known yet.
fn fails_over(backfill: &mut Backfill, standins: &StandIns, to: usize) {
    backfill.lost();
    backfill.read_from(standins.at(to));
    backfill.begin_session();
    backfill.connected(1_000);
    backfill.wake();
    backfill.choose(&|_| None);
    assert!(backfill.asked.is_empty());
}

#[test]
fn what_a_server_keeps_no_history_of_is_asked_of_the_one_that_stands_in_for_it() {
    let (standins, mut backfill) = of(2);
    let config = |name: &str| crate::tests::harness::signal(name, "i=1");
    let roster = Roster::new(source(), (0..2).map(|id| (SignalId(id), config("a"))).collect());
    // One from before the start, and one that is noticed at the first server.
    backfill.take_up(&[gap_of(0)], &roster);
    backfill.known(0, false);
    backfill.known(1, false);
    backfill.leave_to_others(1, &gap_of(1), None);
    assert!(backfill.due().is_none());
    assert_eq!(fills(&mut backfill), [], "it is not closed: the other server may have it");
    fails_over(&mut backfill, &standins, 1);
    backfill.known(0, true);
    backfill.known(1, false);
    ask(&mut backfill);
    assert_eq!(
        take(&mut backfill, Ok(vec![answer(&[50, 100], "")])),
        (vec![(0, 50)], vec![(1, 0, false), (0, 1, true)])
    );
    assert_eq!(backfill.left_to_others, 0, "of the other signal nobody has any");
}

#[test]
fn what_a_server_refuses_for_good_is_asked_of_the_one_that_stands_in_for_it_from_where_it_ended() {
    let (standins, mut backfill) = of(2);
    backfill.add(0, &gap_of(0), None, Duration::ZERO);
    ask(&mut backfill);
    take(&mut backfill, Ok(vec![answer(&[10, 20], "more")]));
    let refused = || HistoryReadResult { status_code: StatusCode::BadHistoryOperationUnsupported, ..answer(&[], "") };
    assert_eq!(take(&mut backfill, Ok(vec![refused()])), (vec![], vec![]));
    assert_eq!(backfill.release.drain(..).count(), 1, "it need not go on");
    assert!(backfill.due().is_none());
    fails_over(&mut backfill, &standins, 1);
    assert_eq!(backfill.left_to_others, 1);
    backfill.known(0, true);
    ask(&mut backfill);
    assert_eq!(take(&mut backfill, Ok(vec![answer(&[20, 30, 100], "")])), (vec![(0, 30)], vec![(0, 3, true)]));
    // And one that neither has is closed.
    backfill.add(0, &gap_of(0), None, Duration::ZERO);
    ask(&mut backfill);
    assert_eq!(take(&mut backfill, Ok(vec![refused()])), (vec![], vec![]));
    fails_over(&mut backfill, &standins, 0);
    backfill.known(0, true);
    ask(&mut backfill);
    assert_eq!(take(&mut backfill, Ok(vec![refused()])), (vec![], vec![(0, 0, false)]));
    assert_eq!(backfill.left_to_others, 0);
}

#[test]
fn a_gap_is_closed_once_it_is_known_that_nobody_stands_in_for_its_server() {
    let standins = StandIns::new(1);
    let mut backfill = backfill(&[]);
    backfill.read_from(standins.clone());
    let roster = Roster::new(source(), vec![(SignalId(0), crate::tests::harness::signal("a", "i=1"))]);
    backfill.take_up(&[gap_of(0)], &roster);
    backfill.known(0, false);
    backfill.leave_to_others(0, &gap_of(0), None);
    backfill.end_what_nobody_has();
    assert_eq!(fills(&mut backfill), [], "it may name others");
    standins.learn(1);
    backfill.end_what_nobody_has();
    assert_eq!(fills(&mut backfill), [(0, false), (0, false)]);
    backfill.leave_to_others(0, &gap_of(0), None);
    assert_eq!((fills(&mut backfill), backfill.left_to_others), (vec![], 0), "as before: it stays on record");
}

#[test]
fn where_no_server_keeps_a_history_little_waits_for_another_one() {
    let (_, mut backfill) = of(2);
    let most = elsewhere::LEFT_MAX;
    for id in 0..u32::try_from(most).unwrap() + 7 {
        backfill.leave_to_others(0, &gap_of(id), None);
    }
    assert_eq!((backfill.left_to_others, backfill.left_on_record), (most, 7));
    assert_eq!(backfill.unknown[&0].len(), most);
    let closed: Vec<_> = (0..7).map(|more| (u32::try_from(most).unwrap() + more, false)).collect();
    assert_eq!(fills(&mut backfill), closed, "what is open does not grow without end");
    backfill.known(0, false);
    assert_eq!((backfill.left_to_others, backfill.left_on_record), (most, 7), "to be told so again adds none");
}

#[test]
fn over_restarts_no_more_gaps_stay_open_than_wait_for_another_server() {
    let most = u32::try_from(elsewhere::LEFT_MAX).unwrap();
    let roster = || Roster::new(source(), vec![(SignalId(0), crate::tests::harness::signal("a", "i=1"))]);
    let open: Vec<Gap> = (0..i64::from(most) + 50)
        .map(|turn| Gap { since: Instant::from_s(turn * 10), until: Instant::from_s(turn * 10 + 5), ..gap_of(0) })
        .collect();
    let (_, mut backfill) = of(2);
    backfill.take_up(&open, &roster());
    backfill.known(0, false);
    assert_eq!((backfill.left_to_others, fills(&mut backfill).len()), (elsewhere::LEFT_MAX, 50));
    assert_eq!(backfill.left_on_record, 50);
}

#[test]
fn why_a_server_does_not_tell_its_history_is_on_record_though_the_last_one_keeps_none() {
    let (standins, mut backfill) = of(2);
    backfill.add(0, &gap_of(0), None, Duration::ZERO);
    ask(&mut backfill);
    let denied = || HistoryReadResult { status_code: StatusCode::BadUserAccessDenied, ..answer(&[], "") };
    assert_eq!(take(&mut backfill, Ok(vec![denied()])), (vec![], vec![]));
    fails_over(&mut backfill, &standins, 1);
    backfill.known(0, false);
    match backfill.finished(&source()).as_slice() {
        [Arrival::Filled { fills, .. }] => {
            let denied = status_from_ua(StatusCode::BadUserAccessDenied);
            assert_eq!(fills.iter().map(|fill| fill.status).collect::<Vec<_>>(), [denied]);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_time_out_of_reach_that_nobody_keeps_a_history_of_does_not_wait_for_ever() {
    let standins = StandIns::new(1);
    let mut backfill = backfill(&[]);
    backfill.read_from(standins.clone());
    unreached(&mut backfill, 0, 0, 100);
    let hole = backfill.unreached.pop_first().unwrap().1;
    backfill.set_aside(hole);
    backfill.known(0, false);
    assert_eq!(backfill.unknown.len(), 1, "its server may name others");
    standins.learn(1);
    backfill.end_what_nobody_has();
    assert!(backfill.unknown.is_empty() && backfill.unreached_of.is_empty());
    assert_eq!(fills(&mut backfill), [], "it is no gap");
}
