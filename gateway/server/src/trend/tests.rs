//! Raw reads, page by page and in either direction, and where values are missing.

use super::*;
use proptest::prelude::*;
use watchfire_model::{Quality, SignalId};

/// Rows in pages of a few.
struct Recorded(Vec<(i64, f64)>);

impl Traced for Recorded {
    fn page(&self, from: Instant, to: Instant) -> Result<Page, CursorError> {
        let mut page = Page::default();
        for (s, value) in &self.0 {
            let time = Instant::from_s(*s);
            if !(from..to).contains(&time) {
                continue;
            }
            if page.rows.len() >= 3 && page.rows.time.last() != Some(&time) {
                page.rest = Some(time);
                break;
            }
            page.rows.push(SignalId(0), time, *value, StatusCode::GOOD, Quality::NONE, 0);
        }
        Ok(page)
    }
}

fn recorded() -> Recorded {
    Recorded(vec![(10, 1.0), (20, 2.0), (20, 2.5), (30, 3.0), (40, 4.0), (50, 5.0), (60, 6.0)])
}

/// All values of a read, some at a time; a bound that was not found is NaN.
fn all(trace: &dyn Traced, start: i64, end: i64, bounds: bool, most: usize) -> Vec<f64> {
    let (start, end) = (Instant::from_s(start), Instant::from_s(end));
    let mut read = Raw { start, end, bounds, place: Place::Begin };
    let mut found = Vec::new();
    loop {
        let values = read.read(trace, most, usize::MAX).unwrap();
        assert!(values.samples.len() <= most);
        found.extend(values.samples.iter().map(|sample| sample.value));
        let Some(next) = values.next else { return found };
        assert!(!values.samples.is_empty(), "each answer goes on");
        read.place = next;
    }
}

#[test]
fn raw_values_are_read_from_one_time_to_another() {
    for (what, start, end, bounds, expected) in [
        ("the end is excluded", 20, 40, false, vec![2.0, 2.5, 3.0]),
        ("backwards it is too", 40, 20, false, vec![4.0, 3.0]),
        ("one time alone", 20, 20, false, vec![2.0, 2.5]),
        ("bounds that are values", 20, 40, true, vec![2.0, 2.5, 3.0, 4.0]),
        ("bounds next to the ends", 25, 45, true, vec![2.5, 3.0, 4.0, 5.0]),
        ("backwards as well", 45, 25, true, vec![5.0, 4.0, 3.0, 2.5]),
        ("no values between bounds", 41, 42, true, vec![4.0, 5.0]),
        ("nothing at all", 41, 42, false, vec![]),
    ] {
        for most in 1..9 {
            assert_eq!(all(&recorded(), start, end, bounds, most), expected, "{what}, {most} at a time");
        }
    }
}

/// Where values are missing from these times on, until a second later.
fn marked(times: &'static [i64]) -> impl Traced {
    let marks = |_: &_, from: Instant, to: Instant| {
        let mut marks = Rows::default();
        for time in times.iter().map(|s| Instant::from_s(*s)).filter(|time| (from..to).contains(time)) {
            watchfire_pipeline::push_gap(&mut marks, SignalId(0), time, time.plus(Duration::from_secs(1)));
        }
        Ok(marks)
    };
    watchfire_pipeline::Marked { trace: recorded(), marks }
}

/// A text each second, of ten bytes.
struct Texts;

impl Traced for Texts {
    fn page(&self, from: Instant, to: Instant) -> Result<Page, CursorError> {
        let mut page = Page::default();
        for time in (0..20).map(Instant::from_s).filter(|time| (from..to).contains(time)) {
            page.rows.push(SignalId(0), time, f64::NAN, StatusCode::GOOD, Quality::NONE, 0);
            page.rows.set_text("0123456789".to_owned());
        }
        Ok(page)
    }
}

#[test]
fn an_answer_ends_where_its_texts_are_long_and_the_next_one_goes_on() {
    let (low, high) = (Instant::from_s(-1), Instant::from_s(20));
    for (start, end) in [(low, high), (high, low)] {
        let mut read = Raw { start, end, bounds: false, place: Place::Begin };
        let (mut answers, mut seen) = (Vec::new(), 0);
        loop {
            let values = read.read(&Texts, 9, 35).unwrap();
            seen += values.samples.len();
            answers.push(values.samples.len());
            let Some(next) = values.next else { break };
            read.place = next;
        }
        assert_eq!((answers, seen), (vec![4; 5], 20));
    }
}

#[test]
fn where_values_are_missing_is_told_once_wherever_an_answer_ends() {
    // After both values of one time, at the edge of a page, and between two values.
    let trace = marked(&[20, 30, 45]);
    let gap = -1.0;
    for (start, end, bounds, expected) in [
        (0, 70, false, vec![1.0, 2.0, 2.5, gap, 3.0, gap, 4.0, gap, 5.0, 6.0]),
        (45, 46, false, vec![gap]),
        (46, 50, false, vec![]),
        // The last thing known before is that nothing is.
        (46, 55, true, vec![gap, 5.0, 6.0]),
        (20, 45, true, vec![2.0, 2.5, gap, 3.0, gap, 4.0, gap]),
    ] {
        for most in 1..9 {
            let told = |value: f64| if value.is_nan() { gap } else { value };
            let found: Vec<f64> = all(&trace, start, end, bounds, most).into_iter().map(told).collect();
            assert_eq!(found, expected, "{start} to {end}, {most} at a time");
            if !bounds {
                let mut back: Vec<f64> = all(&trace, end - 1, start - 1, false, most).into_iter().map(told).collect();
                back.reverse();
                assert_eq!(back, expected, "{end} back to {start}, {most} at a time");
            }
        }
    }
    let read = Raw { start: Instant::from_s(45), end: Instant::from_s(46), bounds: false, place: Place::Begin };
    let told = read.read(&trace, 9, 1).unwrap().samples.remove(0);
    assert_eq!((told.status, told.server_time), (StatusCode::BAD_DATA_LOST, Instant::from_s(46)));
}

#[test]
fn while_a_source_is_lost_nothing_is_known_from_then_on() {
    let (at, times) = (Instant::from_s, [62, 65, 99].map(Instant::from_s));
    for (has_come, since) in [(true, 65), (false, 60)] {
        let lost = Lost { since: at(65), has_come, now: at(120) };
        let trace = with_loss(recorded(), SignalId(0), lost).unwrap();
        let last = Raw { start: at(50), end: at(999), bounds: false, place: Place::Begin }.read(&trace, 99, 1).unwrap();
        let last = last.samples.last().unwrap();
        assert_eq!((last.time, last.status), (at(since), StatusCode::BAD_DATA_LOST));
        let values = at_times(&trace, &times, false, &Rules::default()).unwrap();
        let lost_from = if has_come { 1 } else { 0 };
        assert!(values[lost_from..].iter().all(|value| value.status == StatusCode::BAD_DATA_LOST), "{values:?}");
        assert_eq!(values[..lost_from].iter().filter(|value| value.value.is_some()).count(), lost_from);
        let intervals = Intervals::new(at(20), at(120), Duration::ZERO).unwrap();
        let series = Series {
            aggregate: Aggregate::PercentGood,
            rules: Rules::default(),
            intervals,
            lost_until: Some(at(120)),
            next: 0,
        };
        let percent = series.read(&trace, 9).unwrap().0.remove(0).value.unwrap().number();
        assert!((percent - (since - 20) as f64).abs() < 1e-9, "{percent} of 100 s");
    }
}

#[test]
fn a_bound_that_is_not_there_is_told_at_the_time_it_was_wanted_for() {
    let (start, end) = (Instant::from_s(0), Instant::from_s(99));
    let read = Raw { start, end, bounds: true, place: Place::Begin };
    let values = read.read(&recorded(), 100, usize::MAX).unwrap().samples;
    let (first, last) = (values.first().unwrap(), values.last().unwrap());
    assert_eq!((first.time, first.status), (start, StatusCode::BAD_BOUND_NOT_FOUND));
    assert_eq!((last.time, last.status), (end, StatusCode::BAD_BOUND_NOT_FOUND));
    assert_eq!(values.len(), 9);
}

proptest! {
    #[test]
    fn backwards_is_forwards_turned_round(
        times in proptest::collection::vec(0_i64..200, 0..60), low in -5_i64..205, high in -5_i64..205, most in 1_usize..9,
    ) {
        let mut times = times;
        times.sort_unstable();
        let (low, high) = (low.min(high), low.max(high));
        prop_assume!(low < high);
        let trace = Recorded(times.iter().enumerate().map(|(n, s)| (*s, n as f64)).collect());
        // `low..high` forwards holds what is above `low - 1` second backwards, since times are whole seconds.
        let forwards = all(&trace, low, high, false, most);
        let mut backwards = all(&trace, high - 1, low - 1, false, most);
        backwards.reverse();
        prop_assert_eq!(forwards, backwards);
    }
}
