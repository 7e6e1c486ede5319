//! What is taken of a server's answers, and what becomes of gaps.

use super::unreached::{UNREACHED, UNREACHED_ALL_MAX, UNREACHED_MAX};
use super::*;
use opcua::types::{DataValue, ExtensionObject, HistoryEventFieldList, Variant};
use watchfire_config::EventsConfig;
use watchfire_model::{GapCause, Quality};

mod refusals;
mod restarts;
mod standins;

const NOW: Instant = Instant::from_s(1_000);

fn source() -> Arc<str> {
    "plant".into()
}

fn backfill(gaps: &[(u32, i64, i64)]) -> Backfill {
    let mut backfill = Backfill::default();
    backfill.connected(1_000);
    for (id, since, until) in gaps {
        let (since, until) = (Instant::from_s(*since), Instant::from_s(*until));
        let gap = Gap { signal: Some(SignalId(*id)), since, until, cause: GapCause::SourceLost };
        backfill.add(*id as usize, &gap, None, Duration::ZERO);
    }
    backfill
}

fn ask(backfill: &mut Backfill) {
    if backfill.asked.is_empty() {
        backfill.choose(&|_| Some(NodeId::new(1, 1)));
    }
}

fn answer(seconds: &[i64], more: &str) -> HistoryReadResult {
    let of_itself = |second: &i64| (*second, f64::from(i32::try_from(*second).unwrap()));
    answer_with(&seconds.iter().map(of_itself).collect::<Vec<_>>(), more)
}

/// Seconds with values.
fn answer_with(values: &[(i64, f64)], more: &str) -> HistoryReadResult {
    let value = |(second, value): &(i64, f64)| DataValue {
        value: Some(Variant::Double(*value)),
        source_timestamp: Some(date_time_from_instant(Instant::from_s(*second)).0),
        ..DataValue::default()
    };
    let data = HistoryData { data_values: Some(values.iter().map(value).collect()) };
    HistoryReadResult {
        continuation_point: if more.is_empty() { ByteString::null() } else { ByteString::from(more.as_bytes()) },
        history_data: ExtensionObject::from_message(data),
        ..HistoryReadResult::default()
    }
}

/// Signal and second of each late row, and what became of gaps: signal, values, good.
type Taken = (Vec<(u32, i64)>, Vec<(u32, u32, bool)>);

fn take(backfill: &mut Backfill, page: Page) -> Taken {
    let mut taken = Taken::default();
    for arrival in backfill.take(page, &mut HashMap::new(), &source(), NOW).unwrap() {
        match arrival {
            Arrival::Late(rows) => {
                rows.check().unwrap();
                assert!(rows.quality.iter().all(|quality| quality.has(Quality::LATE)));
                let second = |time: &Instant| time.ns() / 1_000_000_000;
                taken.0.extend(rows.signal.iter().zip(&rows.time).map(|(id, time)| (id.0, second(time))));
            }
            Arrival::Filled { fills, .. } => {
                taken.1.extend(fills.iter().map(|fill| (fill.signal.0, fill.values, fill.status.is_good())));
            }
            other => panic!("{other:?}"),
        }
    }
    taken
}

#[test]
fn only_what_lies_within_a_gap_is_taken_and_each_value_once() {
    let mut backfill = backfill(&[(7, 10, 20), (8, 11, 20)]);
    ask(&mut backfill);
    assert_eq!(backfill.range, (Instant::from_s(10), Instant::from_s(20)), "one request for both");
    let first = take(&mut backfill, Ok(vec![answer(&[9, 10, 11, 12], "more"), answer(&[10, 11, 12, 20], "")]));
    assert_eq!(first, (vec![(7, 11), (7, 12), (8, 12)], vec![]));
    ask(&mut backfill);
    let second = take(&mut backfill, Ok(vec![answer(&[12, 13, 19, 20], "")]));
    assert_eq!(second, (vec![(7, 13), (7, 19)], vec![(8, 1, true), (7, 4, true)]));
    assert!(backfill.due().is_none());
}

#[test]
fn values_of_one_time_are_taken_though_an_answer_ends_between_them() {
    let mut backfill = backfill(&[(7, 0, 100)]);
    ask(&mut backfill);
    let first = [(0, 8.0), (1, 1.0), (2, 1.0), (2, 2.0)];
    assert_eq!(take(&mut backfill, Ok(vec![answer_with(&first, "more")])).0, [(7, 1), (7, 2), (7, 2)]);
    ask(&mut backfill);
    let second = [(2, 3.0), (2, 4.0)];
    assert_eq!(take(&mut backfill, Ok(vec![answer_with(&second, "more")])).0, [(7, 2), (7, 2)]);
    ask(&mut backfill);
    backfill.lost();
    ask(&mut backfill);
    assert_eq!(backfill.range.0, Instant::from_s(2));
    // All of that time once more, with one that was not there before.
    let all = [(2, 1.0), (2, 2.0), (2, 3.0), (2, 5.0), (2, 4.0), (3, 4.0), (100, 0.0)];
    assert_eq!(take(&mut backfill, Ok(vec![answer_with(&all, "")])), (vec![(7, 2), (7, 3)], vec![(7, 7, true)]));
}

#[test]
fn of_very_many_values_of_one_time_none_is_taken_twice() {
    let mut backfill = backfill(&[(7, 0, 100)]);
    let page: Vec<_> = (0..1_200).map(|n| (2, f64::from(n))).collect();
    for wanted in [1_200, 0] {
        ask(&mut backfill);
        assert_eq!(take(&mut backfill, Ok(vec![answer_with(&page, "more")])).0.len(), wanted);
    }
    assert_eq!(backfill.dropped, 1_200, "and the log says so");
}

#[test]
fn gaps_of_other_times_are_asked_for_by_themselves() {
    let mut backfill = backfill(&[(1, 0, 500), (2, 400, 500), (3, 1, 500)]);
    ask(&mut backfill);
    assert_eq!(backfill.asked.iter().map(|hole| hole.signal.0).collect::<Vec<_>>(), [1, 3]);
    take(&mut backfill, Ok(vec![answer(&[500], ""), answer(&[500], "")]));
    ask(&mut backfill);
    assert_eq!(backfill.range, (Instant::from_s(400), Instant::from_s(500)));
}

#[test]
fn a_server_that_cuts_its_answers_short_without_a_word_is_asked_on() {
    let mut backfill = backfill(&[(7, 0, 100)]);
    backfill.values_max = 3;
    ask(&mut backfill);
    assert_eq!(take(&mut backfill, Ok(vec![answer(&[1, 2, 3], "")])).1, vec![]);
    ask(&mut backfill);
    assert_eq!(backfill.range.0, Instant::from_s(3));
    assert_eq!(take(&mut backfill, Ok(vec![answer(&[3, 100], "")])), (vec![], vec![(7, 3, true)]));
}

#[test]
fn a_server_that_always_says_there_is_more_is_left_after_a_while() {
    let mut backfill = backfill(&[(7, 0, 100)]);
    for page in 0.. {
        ask(&mut backfill);
        let (rows, fills) = take(&mut backfill, Ok(vec![answer(&[5], "more")]));
        assert_eq!(rows.len(), usize::from(page == 0), "the same value again is none");
        if !fills.is_empty() {
            assert_eq!((fills, page < 10), (vec![(7, 1, false)], true));
            break;
        }
    }
}

#[test]
fn a_server_that_tells_one_value_more_in_each_of_its_answers_is_left_after_a_while() {
    let mut backfill = backfill(&[(7, 0, 1_000_000)]);
    let mut second = 0;
    let fills = loop {
        ask(&mut backfill);
        second += 1;
        let (_, fills) = take(&mut backfill, Ok(vec![answer(&[second], "more")]));
        if !fills.is_empty() {
            break fills;
        }
    };
    assert_eq!((fills[0].2, (1_000..1_200).contains(&second)), (false, true), "after {second} answers");
}

#[test]
fn what_a_server_refuses_is_asked_for_in_smaller_pieces_and_then_left() {
    let mut backfill = backfill(&[(1, 0, 100), (2, 0, 100)]);
    let mut asked = Vec::new();
    loop {
        ask(&mut backfill);
        asked.push((backfill.asked.len(), backfill.values_max));
        let (_, fills) = take(&mut backfill, Err(StatusCode::BadResponseTooLarge));
        if let Some(fill) = fills.first() {
            assert_eq!(*fill, (1, 0, false));
            break;
        }
    }
    assert_eq!(asked, [(2, 1000), (1, 1000), (1, 250), (1, 62), (1, 15), (1, 3)]);
    backfill.connected(1_000);
    ask(&mut backfill);
    let none = HistoryReadResult { status_code: StatusCode::BadHistoryOperationUnsupported, ..answer(&[], "") };
    assert_eq!(take(&mut backfill, Ok(vec![none])).1, vec![(2, 0, false)]);
}

#[test]
fn a_gap_that_a_server_has_no_continuation_point_for_is_asked_for_again_among_fewer() {
    let mut backfill = backfill(&[(1, 0, 100), (2, 0, 100), (3, 0, 100), (4, 0, 100)]);
    ask(&mut backfill);
    let none = || HistoryReadResult { status_code: StatusCode::BadNoContinuationPoints, ..answer(&[], "") };
    let first = take(&mut backfill, Ok(vec![answer(&[1, 2], "more"), none(), none(), none()]));
    assert_eq!(first, (vec![(1, 1), (1, 2)], vec![]));
    ask(&mut backfill);
    assert_eq!(take(&mut backfill, Ok(vec![answer(&[3, 100], "")])), (vec![(1, 3)], vec![(1, 3, true)]));
    ask(&mut backfill);
    assert_eq!(backfill.asked.len(), 1, "as many as it goes on with");
    assert_eq!(take(&mut backfill, Ok(vec![none()])), (vec![], vec![]));
    ask(&mut backfill);
    assert_eq!(backfill.asked.len(), 1, "another one, since that waits");
    assert_eq!(take(&mut backfill, Ok(vec![answer(&[5, 100], "")])), (vec![(3, 5)], vec![(3, 1, true)]));
}

#[test]
fn a_lost_connection_forgets_nothing_and_doubles_nothing() {
    let mut backfill = backfill(&[(7, 0, 100)]);
    ask(&mut backfill);
    take(&mut backfill, Ok(vec![answer(&[1, 2], "more")]));
    ask(&mut backfill);
    assert!(backfill.take(Err(StatusCode::BadConnectionClosed), &mut HashMap::new(), &source(), NOW).is_err());
    backfill.lost();
    ask(&mut backfill);
    assert!(backfill.asked[0].more.is_null_or_empty(), "a continuation point belongs to its session");
    assert_eq!(take(&mut backfill, Ok(vec![answer(&[1, 2, 3, 100], "")])), (vec![(7, 3)], vec![(7, 3, true)]));
}

#[tokio::test(start_paused = true)]
async fn a_history_that_lies_behind_is_asked_again_until_it_has_what_ended_the_gap() {
    let mut backfill = backfill(&[(7, 0, 100)]);
    ask(&mut backfill);
    assert_eq!(take(&mut backfill, Ok(vec![answer(&[1, 2], "")])), (vec![(7, 1), (7, 2)], vec![]));
    let due = backfill.due().unwrap();
    assert_eq!(due - Timer::now(), AGAIN[0]);
    tokio::time::advance(AGAIN[0]).await;
    backfill.wake();
    ask(&mut backfill);
    assert_eq!(backfill.range.0, Instant::from_s(2));
    assert_eq!(take(&mut backfill, Ok(vec![answer(&[2, 3, 100], "")])), (vec![(7, 3)], vec![(7, 3, true)]));
    assert!(backfill.due().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_history_that_never_has_what_ended_the_gap_is_believed_in_the_end() {
    let mut backfill = backfill(&[(7, 0, 100)]);
    for wait in AGAIN {
        ask(&mut backfill);
        assert_eq!(take(&mut backfill, Ok(vec![answer(&[1], "")])).1, vec![]);
        assert_eq!(backfill.due().unwrap() - Timer::now(), wait);
        tokio::time::advance(wait).await;
        backfill.wake();
    }
    ask(&mut backfill);
    assert_eq!(take(&mut backfill, Ok(vec![answer(&[], "")])).1, vec![(7, 1, true)]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_keeps_its_answers_short_without_a_word_is_asked_to_the_end() {
    let mut backfill = backfill(&[(7, 0, 100)]);
    for second in 1..100 {
        ask(&mut backfill);
        // One value more each time, which is more than the times it is asked again.
        assert_eq!(take(&mut backfill, Ok(vec![answer(&[second], "")])), (vec![(7, second)], vec![]));
        tokio::time::advance(backfill.due().unwrap() - Timer::now()).await;
        backfill.wake();
    }
    ask(&mut backfill);
    assert_eq!(take(&mut backfill, Ok(vec![answer(&[100], "")])).1, vec![(7, 99, true)]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_tells_a_little_more_each_time_is_left_after_a_while() {
    let mut backfill = backfill(&[(7, 0, 1_000_000)]);
    for second in 1.. {
        assert!(second < 10_000, "not for ever");
        ask(&mut backfill);
        if !take(&mut backfill, Ok(vec![answer(&[second], "")])).1.is_empty() {
            break;
        }
        tokio::time::advance(backfill.due().unwrap() - Timer::now()).await;
        backfill.wake();
    }
}

#[test]
fn gaps_from_before_a_start_wait_until_it_is_known_whether_there_is_a_history() {
    let config = |name: &str| crate::tests::harness::signal(name, "i=1");
    let roster = Roster::new(source(), vec![(SignalId(7), config("a")), (SignalId(8), config("b"))]);
    let gap = |signal| {
        let (since, until) = (Instant::from_s(10), Instant::from_s(20));
        Gap { signal, since, until, cause: GapCause::SourceLost }
    };
    let mut backfill = backfill(&[]);
    backfill.take_up(&[gap(Some(SignalId(7))), gap(None), gap(Some(SignalId(8))), gap(Some(SignalId(99)))], &roster);
    assert!(backfill.due().is_none(), "nothing is known yet");
    backfill.known(0, false);
    assert!(backfill.due().is_none());
    let unsupported = status_from_ua(StatusCode::BadHistoryOperationUnsupported);
    match backfill.finished(&source()).as_slice() {
        [Arrival::Filled { fills, .. }] => {
            assert_eq!((fills.len(), fills[0].signal, fills[0].status), (1, SignalId(7), unsupported), "it is told");
        }
        other => panic!("{other:?}"),
    }
    assert!(backfill.finished(&source()).is_empty(), "once");
    backfill.known(1, true);
    ask(&mut backfill);
    assert_eq!(take(&mut backfill, Ok(vec![answer(&[10, 15, 20], "")])), (vec![(8, 15)], vec![(8, 1, true)]));
}

/// Reads the events of the signal 7; as it was configured or not.
fn reader(begun: Option<i64>) -> HashMap<usize, EventReader> {
    let events = EventsConfig { severity_min: 1, of_type: None, fields: Vec::new() };
    let mut reader = EventReader::new(SignalId(7), &events, &[]);
    begun.into_iter().for_each(|second| reader.begin(Instant::from_s(second)));
    HashMap::from([(7, reader)])
}

/// An event with its EventId and its second.
fn event(id: u8, second: i64) -> Vec<Variant> {
    let time = Variant::from(date_time_from_instant(Instant::from_s(second)).0);
    let of_type = Variant::from(NodeId::new(2, 5));
    vec![of_type, time.clone(), time, Variant::UInt16(500), Variant::Empty, ByteString::from(vec![id]).into()]
}

fn told(events: &[(u8, i64)], more: &str) -> HistoryReadResult {
    let list = |(id, second): &(u8, i64)| HistoryEventFieldList { event_fields: Some(event(*id, *second)) };
    HistoryReadResult {
        history_data: ExtensionObject::from_message(HistoryEvent { events: Some(events.iter().map(list).collect()) }),
        ..answer(&[], more)
    }
}

#[test]
fn events_that_were_missed_are_taken_once_however_their_clock_is_off() {
    let mut backfill = backfill(&[(7, 100, 200), (8, 100, 200)]);
    backfill.set_filter(7, EventFilter::default());
    let mut streams = reader(Some(10));
    let (source, mut live) = (source(), Rows::default());
    let reader = streams.get_mut(&7).unwrap();
    reader.take(event(1, 80), NOW, &mut live);
    reader.take(event(9, 205), NOW, &mut live);
    ask(&mut backfill);
    assert_eq!(backfill.asked.len(), 1, "a stream is asked for alone");
    let take = |backfill: &mut Backfill, streams: &mut HashMap<usize, EventReader>, page| -> Vec<i64> {
        let arrivals = backfill.take(Ok(vec![page]), streams, &source, NOW).unwrap();
        let late = arrivals.iter().filter_map(|arrival| match arrival {
            Arrival::Late(rows) => Some(rows),
            _ => None,
        });
        late.flat_map(|rows| &rows.time).map(|time| time.ns() / 1_000_000_000).collect()
    };
    // The first came live; the second did not, though its server's clock says so; the fourth comes live as well, later.
    let page = told(&[(1, 80), (2, 90), (3, 150), (4, 230)], "more");
    assert_eq!(take(&mut backfill, &mut streams, page), [90, 150, 230]);
    let page = told(&[(3, 150), (9, 205)], "");
    assert_eq!(take(&mut backfill, &mut streams, page), [0; 0]);
    let mut live = Rows::default();
    streams.get_mut(&7).unwrap().take(event(4, 230), NOW, &mut live);
    assert!(live.quality[0].has(Quality::INITIAL), "what history has told before is one sample with it");
}

#[test]
fn events_from_before_the_start_are_taken_from_between_the_bounds_alone() {
    for (begun, wanted) in [(Some(200), vec![100, 150, 230]), (Some(900), vec![100, 150]), (None, vec![100, 150, 230])]
    {
        let mut backfill = backfill(&[(7, 100, 200)]);
        backfill.set_filter(7, EventFilter::default());
        let mut streams = reader(begun);
        ask(&mut backfill);
        let page = Ok(vec![told(&[(1, 90), (2, 100), (3, 150), (4, 230)], "")]);
        let arrivals = backfill.take(page, &mut streams, &source(), NOW).unwrap();
        let Some(Arrival::Late(rows)) = arrivals.first() else { panic!("{arrivals:?}") };
        let seconds: Vec<i64> = rows.time.iter().map(|time| time.ns() / 1_000_000_000).collect();
        assert_eq!(seconds, wanted, "{begun:?}");
        assert!(rows.quality.iter().all(|quality| quality.has(Quality::LATE)));
    }
}

fn unreached(backfill: &mut Backfill, id: u32, since: i64, until: i64) {
    let (since, until) = (Instant::from_s(since), Instant::from_s(until));
    let gap = Gap { signal: Some(SignalId(id)), since, until, cause: GapCause::SourceLost };
    backfill.add_unreached(id as usize, &gap, None, Duration::from_secs(2));
}

/// An answer with what the server has told already of the time in which it had nothing.
fn with_none_at(second: i64, values: &[i64]) -> HistoryReadResult {
    let value = |of: &i64| DataValue {
        value: Some(Variant::Double(1.0)),
        status: Some(if *of == second { StatusCode::BadNoCommunication } else { StatusCode::Good }),
        source_timestamp: Some(date_time_from_instant(Instant::from_s(*of)).0),
        ..DataValue::default()
    };
    let data = HistoryData { data_values: Some(values.iter().map(value).collect()) };
    HistoryReadResult { history_data: ExtensionObject::from_message(data), ..answer(&[], "") }
}

#[tokio::test(start_paused = true)]
async fn what_a_server_could_not_reach_is_asked_for_later_and_later_and_is_no_gap() {
    let mut backfill = backfill(&[]);
    unreached(&mut backfill, 7, 0, 100);
    // Its own history has it bit by bit, and what was told live when it was so.
    let told = [&[50, 100][..], &[1, 2, 50, 100], &[2, 3, 50, 60, 100], &[60, 100]];
    let wanted: [&[(u32, i64)]; 4] = [&[], &[(7, 1), (7, 2)], &[(7, 3), (7, 60)], &[]];
    let mut asked_at = Vec::new();
    let begin = Timer::now();
    for (told, wanted) in told.into_iter().zip(wanted) {
        assert!(backfill.due().unwrap() > Timer::now());
        tokio::time::sleep_until(backfill.due().unwrap()).await;
        asked_at.push((Timer::now() - begin).as_secs());
        backfill.wake();
        ask(&mut backfill);
        let taken = take(&mut backfill, Ok(vec![with_none_at(50, told)]));
        assert_eq!(taken, (wanted.to_vec(), vec![]), "values alone, and no word of a gap");
    }
    assert_eq!(asked_at, [10, 70, 670, 2470]);
    assert!(backfill.due().is_none() && backfill.unreached_of.is_empty(), "and then no more");
}

#[tokio::test(start_paused = true)]
async fn a_signal_that_is_out_of_reach_again_and_again_costs_no_more_than_a_few_questions() {
    let mut backfill = backfill(&[]);
    for turn in 0..1_000 {
        unreached(&mut backfill, 7, turn * 10, turn * 10 + 5);
    }
    assert_eq!((backfill.unreached.len(), backfill.unreached_count), (UNREACHED_MAX, UNREACHED_MAX), "none is kept");
    let mut questions = Vec::new();
    while let Some(due) = backfill.due() {
        tokio::time::sleep_until(due).await;
        backfill.wake();
        ask(&mut backfill);
        questions.extend(backfill.asked.iter().map(|hole| hole.since));
        let none = (0..backfill.asked.len()).map(|_| answer(&[], "")).collect();
        assert_eq!(take(&mut backfill, Ok(none)), (vec![], vec![]));
    }
    assert_eq!(questions.len(), UNREACHED_MAX * UNREACHED.len());
    let newest = Instant::from_s((1_000 - 8) * 10);
    assert!(questions.iter().all(|since| *since >= newest), "the newest are asked for: {questions:?}");
}

#[test]
fn times_out_of_reach_have_little_room_and_leave_it_to_gaps() {
    let mut backfill = backfill(&[]);
    let many = u32::try_from(UNREACHED_ALL_MAX).unwrap();
    // A line flaps that all signals are behind.
    for turn in 0..3 {
        (0..many / 2).for_each(|id| unreached(&mut backfill, id, turn * 10, turn * 10 + 5));
    }
    assert_eq!((backfill.unreached.len(), backfill.unreached_count), (UNREACHED_ALL_MAX, UNREACHED_ALL_MAX));
    assert_eq!(backfill.unreached_left, u64::from(many / 2));
    let hole = backfill.unreached.first_key_value().unwrap().1.clone();
    backfill.waiting.resize(WAITING_MAX - UNREACHED_ALL_MAX, hole);
    let gap = Gap { signal: Some(SignalId(1)), since: NOW, until: NOW, cause: GapCause::SourceLost };
    for _ in 0..UNREACHED_ALL_MAX {
        backfill.add(1, &gap, None, Duration::ZERO);
    }
    assert_eq!((backfill.given_up, backfill.unreached_count), (0, 0), "gaps go before them");
    assert!(backfill.unreached_of.is_empty());
    unreached(&mut backfill, 1, 0, 5);
    backfill.add(1, &gap, None, Duration::ZERO);
    assert_eq!((backfill.given_up, backfill.unreached_count), (1, 0), "and there is a bound of all");
}

#[tokio::test(start_paused = true)]
async fn a_time_out_of_reach_whose_place_is_taken_while_it_is_asked_for_is_asked_for_no_more() {
    let mut backfill = backfill(&[]);
    unreached(&mut backfill, 7, 0, 5);
    tokio::time::sleep_until(backfill.due().unwrap()).await;
    backfill.wake();
    ask(&mut backfill);
    (1..=8).for_each(|turn| unreached(&mut backfill, 7, turn * 10, turn * 10 + 5));
    assert_eq!(take(&mut backfill, Ok(vec![answer(&[], "")])), (vec![], vec![]));
    assert_eq!((backfill.unreached.len(), backfill.unreached_count), (UNREACHED_MAX, UNREACHED_MAX));
    assert!(backfill.unreached.values().all(|hole| hole.since >= Instant::from_s(10)));
}

#[test]
fn what_was_out_of_reach_is_read_on_through_answers_that_tell_of_nothing_else() {
    let mut backfill = backfill(&[]);
    unreached(&mut backfill, 7, 0, 100);
    let hole = backfill.unreached.pop_first().unwrap().1;
    backfill.waiting.push_back(hole);
    ask(&mut backfill);
    let more = |page| HistoryReadResult { continuation_point: ByteString::from("more".as_bytes()), ..page };
    for second in 1..=2 * i64::from(EMPTY_PAGES_MAX) {
        let page = more(with_none_at(second, &[second]));
        assert_eq!(take(&mut backfill, Ok(vec![page])), (vec![], vec![]));
        assert_eq!(backfill.asked.len(), 1, "it goes on after {second}");
    }
    assert_eq!(take(&mut backfill, Ok(vec![answer(&[50, 100], "more")])), (vec![(7, 50)], vec![]));
    // Without any rows it does not lead on.
    for _ in 0..=EMPTY_PAGES_MAX {
        assert_eq!(backfill.asked.len(), 1);
        take(&mut backfill, Ok(vec![answer(&[], "more")]));
    }
    assert!(backfill.asked.is_empty() && backfill.unreached_of.is_empty());
}

#[test]
fn a_server_that_refuses_what_it_could_not_reach_is_not_asked_again() {
    let mut backfill = backfill(&[]);
    unreached(&mut backfill, 7, 0, 100);
    let hole = backfill.unreached.pop_first().unwrap().1;
    backfill.waiting.push_back(hole);
    ask(&mut backfill);
    let none = HistoryReadResult { status_code: StatusCode::BadHistoryOperationUnsupported, ..answer(&[], "") };
    assert_eq!(take(&mut backfill, Ok(vec![none])), (vec![], vec![]));
    assert!(backfill.due().is_none() && backfill.unreached_of.is_empty());
}
