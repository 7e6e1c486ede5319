//! Servers that cannot answer now, or take less than they say.

use super::*;

/// A historian that goes on with few nodes at once, and forgets no place where it would until it is told to.
struct Historian {
    points_max: usize,
    points: HashMap<Vec<u8>, i64>,
    given: u64,
    asked_most: usize,
}

impl Historian {
    fn answer(&mut self, backfill: &mut Backfill) -> Page {
        for (_, point) in backfill.release.drain(..) {
            self.points.remove(point.as_ref());
        }
        self.asked_most = self.asked_most.max(backfill.asked.len());
        let (from, to) = backfill.range;
        let second = |time: Instant| time.ns() / 1_000_000_000;
        let mut results = Vec::new();
        for hole in &backfill.asked {
            let begin = if hole.more.is_null_or_empty() {
                second(from)
            } else {
                self.points.remove(hole.more.as_ref()).unwrap()
            };
            let end = (begin + i64::from(backfill.values_max)).min(second(to) + 1);
            let mut result = answer(&(begin..end).collect::<Vec<_>>(), "");
            if end <= second(to) && self.points.len() >= self.points_max {
                result = refusal(StatusCode::BadNoContinuationPoints);
            } else if end <= second(to) {
                self.given += 1;
                let point = format!("p{}", self.given).into_bytes();
                self.points.insert(point.clone(), end);
                result.continuation_point = ByteString::from(point);
            }
            results.push(result);
        }
        Ok(results)
    }
}

fn refusal(status: StatusCode) -> HistoryReadResult {
    HistoryReadResult { status_code: status, ..answer(&[], "") }
}

#[test]
fn a_historian_that_goes_on_with_few_nodes_at_once_is_asked_for_few_and_tells_all() {
    let gaps: Vec<_> = (0..100).map(|id| (id, 0, 2_500)).collect();
    let mut backfill = backfill(&gaps);
    let mut historian = Historian { points_max: 10, points: HashMap::new(), given: 0, asked_most: 0 };
    let (mut fills, mut requests) = (Vec::new(), 0);
    while backfill.due().is_some() {
        ask(&mut backfill);
        let page = historian.answer(&mut backfill);
        fills.extend(take(&mut backfill, page).1);
        requests += 1;
        assert!(requests < 1_000, "{fills:?}");
    }
    fills.sort_unstable();
    assert_eq!(fills, (0..100).map(|id| (id, 2_499, true)).collect::<Vec<_>>());
    assert_eq!((historian.asked_most, backfill.nodes_max, backfill.put_off.len()), (100, 10, 0));
    assert!(historian.points.is_empty() && requests < 60, "{requests}");
}

#[tokio::test(start_paused = true)]
async fn a_historian_that_hangs_for_a_while_loses_no_gap_and_is_asked_for_much_again() {
    let mut backfill = backfill(&[(1, 0, 100), (2, 0, 100), (3, 0, 100)]);
    let mut timeouts = 0;
    let mut fills = Vec::new();
    while let Some(due) = backfill.due() {
        tokio::time::sleep_until(due).await;
        backfill.wake();
        ask(&mut backfill);
        timeouts += 1;
        // Half an hour, at six seconds each.
        let page = if timeouts <= 300 {
            tokio::time::advance(Duration::from_secs(6)).await;
            Err(StatusCode::BadTimeout)
        } else {
            Ok(backfill.asked.iter().map(|_| answer(&[50, 100], "")).collect())
        };
        fills.extend(take(&mut backfill, page).1);
    }
    fills.sort_unstable();
    assert_eq!(fills, [(1, 1, true), (2, 1, true), (3, 1, true)]);
    (0..8).for_each(|_| backfill.answered());
    assert_eq!((backfill.nodes_max, backfill.values_max), (GAPS_AT_ONCE, VALUES_PER_NODE));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_answered_now_is_asked_for_later_and_later_and_left_after_a_day() {
    let mut backfill = backfill(&[(1, 0, 100)]);
    let begin = Timer::now();
    let mut waits = Vec::new();
    let fills = loop {
        let due = backfill.due().unwrap();
        waits.push((due - Timer::now()).as_secs());
        tokio::time::sleep_until(due).await;
        backfill.wake();
        ask(&mut backfill);
        let fills = take(&mut backfill, Ok(vec![refusal(StatusCode::BadResourceUnavailable)])).1;
        if !fills.is_empty() {
            break fills;
        }
    };
    assert_eq!(fills, [(1, 0, false)]);
    assert_eq!(waits[..9], [0, 5, 10, 20, 40, 80, 160, 320, 600]);
    assert!(waits[9..].iter().all(|wait| *wait == 600));
    let hours = begin.elapsed().as_secs() / 3_600;
    assert!((20..28).contains(&hours), "{hours}");
    assert!(backfill.due().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_gap_of_which_a_server_forgets_where_it_was_is_gone_on_with_from_there() {
    let mut backfill = backfill(&[(1, 0, 100)]);
    let mut taken = Vec::new();
    for page in [answer(&[1, 2], "a"), refusal(StatusCode::BadContinuationPointInvalid), answer(&[2, 3], "b")] {
        ask(&mut backfill);
        taken.extend(take(&mut backfill, Ok(vec![page])).0);
    }
    ask(&mut backfill);
    assert_eq!(backfill.asked[0].more.as_ref(), b"b");
    assert_eq!(take(&mut backfill, Ok(vec![refusal(StatusCode::BadContinuationPointInvalid)])), (vec![], vec![]));
    ask(&mut backfill);
    assert_eq!(backfill.range.0, Instant::from_s(3), "at once, since values have come");
    // Now none have, and it is given time.
    assert_eq!(take(&mut backfill, Ok(vec![refusal(StatusCode::BadContinuationPointInvalid)])).1, []);
    assert!(backfill.due().unwrap() > Timer::now());
    tokio::time::sleep_until(backfill.due().unwrap()).await;
    backfill.wake();
    ask(&mut backfill);
    let last = take(&mut backfill, Ok(vec![answer(&[3, 4, 100], "")]));
    taken.extend(last.0);
    assert_eq!((taken, last.1), (vec![(1, 1), (1, 2), (1, 3), (1, 4)], vec![(1, 4, true)]));
}

#[test]
fn a_server_is_told_where_it_need_not_go_on() {
    let mut backfill = backfill(&[(7, 0, 100)]);
    ask(&mut backfill);
    take(&mut backfill, Ok(vec![answer(&[5], "more")]));
    backfill.lost();
    let released = |backfill: &mut Backfill| -> Vec<Vec<u8>> {
        backfill.release.drain(..).map(|(_, point)| point.as_ref().to_vec()).collect()
    };
    assert_eq!(released(&mut backfill), [b"more"], "the session may live on");
    loop {
        ask(&mut backfill);
        if !take(&mut backfill, Ok(vec![answer(&[5], "again")])).1.is_empty() {
            break;
        }
    }
    assert!(backfill.due().is_some(), "it is told");
    assert_eq!(released(&mut backfill), [b"again"]);
    assert!(backfill.due().is_none());
    // The answer to that is none to anything else.
    backfill.is_releasing = true;
    assert_eq!(take(&mut backfill, Err(StatusCode::BadContinuationPointInvalid)), (vec![], vec![]));
}

#[test]
fn no_gap_is_asked_for_until_its_node_is_known_on_the_connection() {
    let mut backfill = backfill(&[(1, 0, 100), (2, 0, 100), (3, 0, 100)]);
    backfill.begin_session();
    backfill.connected(1_000);
    backfill.choose(&|at| (at == 3).then(|| NodeId::new(1, 1)));
    let asked = |backfill: &Backfill| backfill.asked.iter().map(|hole| hole.signal.0).collect::<Vec<_>>();
    assert_eq!(asked(&backfill), [3], "the others' nodes are those of another connection");
    take(&mut backfill, Ok(vec![answer(&[100], "")]));
    assert!(backfill.due().is_none());
    backfill.known(1, true);
    backfill.known(2, false);
    ask(&mut backfill);
    assert_eq!(asked(&backfill), [1], "and of the third there is no history here");
}
