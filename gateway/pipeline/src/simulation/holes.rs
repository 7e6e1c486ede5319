//! Where values are missing, as whoever reads a signal's history sees it.

use std::sync::Arc;

use watchfire_model::{
    Control, Fill, Frame, Gap, GapCause, Instant, Locale, Quality, RecordBody, Rows, SignalId, StatusCode,
};

use super::rig::Site;
use crate::holes::looked;
use crate::{Journal, Log, Recorded, SignalsOf, gaps, not_yet_recorded, push_gap, record_late, recover, seal_all};

fn at(s: i64) -> Instant {
    Instant::from_s(s)
}

fn values(times: &[i64], quality: Quality) -> RecordBody {
    let mut rows = Rows::default();
    times.iter().for_each(|s| rows.push(SignalId(0), at(*s), 1.0, StatusCode::GOOD, quality, 0));
    RecordBody::Data(Frame { rows, ..Frame::default() })
}

fn lost(signal: Option<u32>, since: i64, until: i64, cause: GapCause) -> Gap {
    Gap { signal: signal.map(SignalId), since: at(since), until: at(until), cause }
}

fn told(gaps: Vec<Gap>) -> RecordBody {
    RecordBody::Data(Frame { gaps, ..Frame::default() })
}

fn filled(since: i64, until: i64, values: u32, status: StatusCode) -> RecordBody {
    let fill = Fill { signal: SignalId(0), since: at(since), until: at(until), values, status };
    RecordBody::Control(Control::Filled { source: "plant".to_owned(), fills: vec![fill] })
}

/// All that is read of a signal: times, and of a gap when it ends.
fn read(log: &Arc<Log>, signal: u32) -> Vec<(i64, Option<i64>)> {
    let trace = log.trace(SignalId(signal)).unwrap();
    let (mut found, mut next) = (Vec::new(), Some(Instant::MIN));
    while let Some(from) = next {
        let page = trace.page(from, Instant::MAX).unwrap();
        let rows = &page.rows;
        rows.check().unwrap();
        for row in 0..rows.len() {
            let s = |ns: i64| ns / 1_000_000_000;
            let time = rows.time[row].ns();
            let is_gap = rows.quality[row].has(Quality::GAP);
            assert_eq!(is_gap, rows.status[row] == StatusCode::BAD_DATA_LOST && rows.value[row].is_nan());
            found.push((s(time), is_gap.then(|| s(time + rows.skew_ns_at(row)))));
        }
        next = page.rest;
    }
    found
}

#[tokio::test]
async fn a_gap_that_nothing_filled_is_shown_and_one_that_was_filled_is_not() {
    const REFUSED: StatusCode = StatusCode(0x8071_0000);
    let bodies = [
        values(&[10], Quality::NONE),
        told(vec![lost(Some(0), 10, 20, GapCause::SourceLost)]),
        values(&[20, 30, 40], Quality::NONE),
        // Of many signals at once, and one that is of a detector and not of what is recorded.
        told((0..40).map(|signal| lost(Some(signal), 40, 50, GapCause::Overflow)).collect()),
        told(vec![lost(Some(0), 41, 49, GapCause::Skipped)]),
        values(&[50, 60, 90], Quality::NONE),
        told(vec![lost(Some(0), 60, 90, GapCause::SourceLost), lost(Some(0), 100, 110, GapCause::NotRecorded)]),
        // The first is whole now; of another one the source's history had no more.
        filled(10, 20, 0, StatusCode::GOOD),
        values(&[65, 70], Quality::LATE),
        filled(60, 90, 2, REFUSED),
        told(vec![lost(None, 200_000, 200_010, GapCause::NotRecorded), lost(Some(0), 100, 110, GapCause::SourceLost)]),
    ];
    for sealed in [0, 2, 5, 8, 11] {
        let site = Site::new();
        bodies.iter().for_each(|body| assert!(site.journal.append(body).is_ok()));
        site.journal.syncer().sync().unwrap();
        let log = site.log();
        if sealed > 0 {
            site.seal_some(sealed);
        }
        let mut expected = vec![
            (10, None),
            (20, None),
            (30, None),
            (40, None),
            (40, Some(50)),
            (50, None),
            (60, None),
            (65, None),
            (70, None),
            (70, Some(90)),
            (90, None),
            (100, Some(110)),
            (200_000, Some(200_010)),
        ];
        assert_eq!(read(&log, 0), expected, "{sealed} sealed");
        assert_eq!(read(&log, 0), expected, "and again");
        assert_eq!(read(&log, 39), [(40, Some(50)), (200_000, Some(200_010))]);
        assert_eq!(read(&log, 9_999), [(200_000, Some(200_010))]);
        // What is appended while the gateway runs is known at once, and what was sealed meanwhile as well.
        let more = log.put(told(vec![lost(Some(0), 300_000, 300_001, GapCause::SourceLost)])).await.unwrap();
        expected.push((300_000, Some(300_001)));
        assert_eq!(read(&log, 0), expected);
        log.put(filled(40, 50, 3, StatusCode::GOOD)).await.unwrap();
        expected.retain(|(_, until)| *until != Some(50));
        assert_eq!(read(&log, 0), expected);
        log.sync().unwrap();
        seal_all(&log).unwrap();
        assert!(log.history().sealed() > more.lsn);
        assert_eq!(read(&log, 0), expected);
    }
}

#[test]
fn a_gap_that_is_imported_is_on_record_once_and_nobodys_to_fill() {
    let site = Site::new();
    let log = site.log();
    let mut rows = Rows::default();
    rows.push(SignalId(0), at(5), 1.0, StatusCode::GOOD, Quality::LATE, 0);
    push_gap(&mut rows, SignalId(0), at(5), at(9));
    push_gap(&mut rows, SignalId(0), at(20), at(30));
    assert_eq!(not_yet_recorded(&log, &rows).unwrap().len(), 3);
    record_late(&log, rows.clone(), at(100), 0).unwrap();
    let expected = [(5, None), (5, Some(9)), (20, Some(30))];
    assert_eq!(read(&log, 0), expected);
    // Also one of which more is known to be missing.
    push_gap(&mut rows, SignalId(0), at(22), at(30));
    assert!(not_yet_recorded(&log, &rows).unwrap().is_empty());
    let open = recover(&log, &SignalsOf::default()).unwrap().open;
    assert!(open.is_empty(), "no source is asked for {open:?}");
}

#[test]
fn a_text_is_imported_once_though_the_file_does_not_say_in_which_language_it_is() {
    let (site, german) = (Site::new(), Locale::parse("de").map(Locale::bits).unwrap());
    let log = site.log();
    let text = |locale: Option<i64>| {
        let mut rows = Rows::default();
        rows.push(SignalId(0), at(5), f64::NAN, StatusCode::GOOD, Quality::LATE, 0);
        locale.into_iter().for_each(|bits| rows.set_exact(bits));
        rows.set_text("Pumpe".to_owned());
        rows
    };
    record_late(&log, text(Some(german)), at(100), 0).unwrap();
    assert!(not_yet_recorded(&log, &text(None)).unwrap().is_empty());
    let whole = |bits: i64| {
        let mut rows = Rows::default();
        rows.push(SignalId(1), at(5), 9e18, StatusCode::GOOD, Quality::LATE, 0);
        rows.set_exact(bits);
        rows
    };
    record_late(&log, whole(9_000_000_000_000_000_001), at(100), 0).unwrap();
    assert_eq!(not_yet_recorded(&log, &whole(9_000_000_000_000_000_002)).unwrap().len(), 1, "a number is another one");
}

/// How many answers were looked up, and how many unsealed records were read, for what is done.
fn looked(what: impl FnOnce()) -> (usize, usize) {
    let counts = || (looked::UP.get(), looked::THROUGH.get());
    let before = counts();
    what();
    (counts().0 - before.0, counts().1 - before.1)
}

#[tokio::test]
async fn what_is_lost_of_one_signal_leaves_what_was_found_of_others_and_of_other_days() {
    let site = Site::new();
    site.journal.append(&told(vec![lost(Some(0), 10, 20, GapCause::SourceLost)])).unwrap();
    let log = site.log();
    let first_day = |signal: u32| looked(|| log.prepare_gaps(SignalId(signal), at(0), at(100)).unwrap()).0;
    assert_eq!([first_day(0), first_day(1), first_day(500)], [1, 0, 1]);
    // Of another signal, of another day, and what became of it.
    for body in [
        told(vec![lost(Some(500), 10, 20, GapCause::Overflow)]),
        told(vec![lost(Some(0), 300_000, 300_001, GapCause::Overflow)]),
        filled(300_000, 300_001, 1, StatusCode::GOOD),
    ] {
        log.put(body).await.unwrap();
        assert_eq!(first_day(0), 0);
    }
    assert_eq!([first_day(500), first_day(500)], [1, 0]);
    log.put(told(vec![lost(Some(63), 50, 60, GapCause::Overflow)])).await.unwrap();
    assert_eq!([first_day(0), first_day(500)], [1, 0]);
    log.put(told(vec![lost(None, 50, 60, GapCause::NotRecorded)])).await.unwrap();
    assert_eq!([first_day(0), first_day(500)], [1, 1]);
    let first_of_others = looked(|| log.prepare_gaps(SignalId(5_000), at(0), at(100)).unwrap());
    assert_eq!(first_of_others, (1, 0), "no record is read again, as long as what they tell is kept");
}

#[tokio::test]
async fn more_unsealed_gaps_than_are_kept_are_read_once_and_not_for_each_page() {
    let site = Site::new();
    let log = site.log();
    let mut expected = Vec::new();
    for s in 0..40 {
        let gap = lost(Some(0), s * 10, s * 10 + 5, GapCause::Overflow);
        log.put(told(vec![gap; if s == 30 { 9 } else { 1 }])).await.unwrap();
        expected.push((s * 10, Some(s * 10 + 5)));
        if s == 20 {
            assert_eq!(read(&log, 0), expected);
        }
    }
    assert_eq!(read(&log, 0), expected, "those that were heard of, and those that are in the log alone");
    log.put(filled(0, 5, 1, StatusCode::GOOD)).await.unwrap();
    assert_eq!(read(&log, 0), expected[1..]);
    // As many as there are in the log for the first who asks of other signals, and none for the pages that follow.
    assert!(looked(|| log.prepare_gaps(SignalId(99), at(0), at(100)).unwrap()).1 <= 41);
    assert_eq!(looked(|| (0..9).for_each(|s| log.prepare_gaps(SignalId(99), at(s), at(s)).unwrap())), (0, 0));
}

#[tokio::test]
async fn what_was_fetched_of_a_gap_is_read_once_until_more_of_it_comes() {
    const REFUSED: StatusCode = StatusCode(0x8071_0000);
    let site = Site::new();
    let log = site.log();
    let put = async |body| drop(log.put(body).await.unwrap());
    put(values(&[10, 90], Quality::NONE)).await;
    put(told(vec![lost(Some(0), 10, 90, GapCause::SourceLost)])).await;
    put(values(&[20, 30], Quality::LATE)).await;
    put(filled(10, 90, 2, REFUSED)).await;
    let reads = |begin: i64| {
        let before = looked::INTO.get();
        assert!(read(&log, 0).contains(&(begin, Some(90))));
        looked::INTO.get() - before
    };
    assert_eq!([reads(30), reads(30)], [1, 0]);
    // What came after it, another gap's end, and what is sealed.
    put(values(&[91, 100], Quality::NONE)).await;
    put(told(vec![lost(Some(0), 100, 110, GapCause::SourceLost)])).await;
    assert_eq!(reads(30), 0);
    log.sync().unwrap();
    seal_all(&log).unwrap();
    assert_eq!(reads(30), 0);
    // What somebody imported, and what the source had after all.
    put(values(&[40], Quality::LATE)).await;
    assert_eq!([reads(40), reads(40)], [1, 0]);
    put(values(&[50], Quality::LATE)).await;
    put(filled(10, 90, 1, REFUSED)).await;
    assert_eq!([reads(50), reads(50)], [1, 0]);
}

#[tokio::test]
async fn what_became_of_gaps_of_other_days_and_signals_is_not_read_for_whoever_asks_of_one() {
    const DAY: i64 = 86_400;
    let site = Site::new();
    let log = site.log();
    for day in 0..40 {
        let (since, until) = (day * DAY + 10, day * DAY + 20);
        let gaps = [0, 7, 500].map(|signal| lost(Some(signal), since, until, GapCause::SourceLost)).to_vec();
        site.journal.append(&told(gaps)).unwrap();
        for signal in [0, 7, 500] {
            let (since, until, signal) = (at(since), at(until), SignalId(signal));
            let fills = vec![Fill { signal, since, until, values: 1, status: StatusCode::GOOD }];
            site.journal.append(&RecordBody::Control(Control::Filled { source: "plant".to_owned(), fills })).unwrap();
        }
    }
    log.sync().unwrap();
    seal_all(&log).unwrap();
    let read = |what: &dyn Fn()| {
        let before = looked::FILLS.get();
        what();
        looked::FILLS.get() - before
    };
    // Of signals near to it, too.
    assert_eq!(read(&|| log.prepare_gaps(SignalId(0), at(3 * DAY), at(3 * DAY + 9)).unwrap()), 2);
    assert_eq!(read(&|| log.prepare_gaps(SignalId(500), at(9 * DAY), at(11 * DAY)).unwrap()), 3);
    assert_eq!(read(&|| log.prepare_gaps(SignalId(99), at(0), at(40 * DAY)).unwrap()), 0);
    // Whatever was filled long ago.
    assert!(gaps(&log, None, at(0), at(40 * DAY)).unwrap().flatten().flatten().all(|told| told.fill.is_some()));
    assert_eq!(read(&|| log.prepare_gaps(SignalId(64), at(0), at(40 * DAY)).unwrap()), 0, "no gaps, no fills");
}
