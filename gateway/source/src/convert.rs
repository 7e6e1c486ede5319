//! Notifications to rows and gaps. Knows no connection; the cost of a row is two table look-ups and its conversion.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use opcua::types::{DataChangeNotification, DataValue, EventNotificationList, Variant};
use tokio::time::Instant as Timer;
use watchfire_config::ElementPath;
use watchfire_model::{Awaited, Gap, GapCause, Instant, Kind, Quality, SignalId, StatusCode};
use watchfire_pipeline::Last;
use watchfire_ua::{
    Kinds, Layouts, has_overflow, instant_from_date_time, is_out_of_reach, push_data_value, status_from_ua,
};

use crate::element::{element, opened, with_members};
use crate::events::{EventReader, Told};
use crate::ledger::{Ledger, Moment, Seen};
use crate::order::order;
use crate::received::Received;

/// Clocks are set by less than this each day.
const BACK_NS: i64 = 1_000_000_000;

/// Turns notifications into rows. Lives as long as its source: what it knows of each signal outlasts connections.
pub(crate) struct Converter {
    ledger: Ledger,
    /// When it was made.
    begun: Timer,
    /// That of the message that is being read: the timer is asked once for each.
    moment: Option<Moment>,
    kinds: Kinds,
    /// The signals whose values a carrier's are, each with its part, by the carrier's place.
    parts: HashMap<usize, Vec<Part>>,
    /// Those whose values are events, by their places.
    streams: HashMap<usize, EventReader>,
    /// What the server's structures are made of, where one is a signal's value.
    structures: Option<Arc<Layouts>>,
    /// By how much the server's clock is behind ours at least, as far as it tells.
    behind: Duration,
}

/// A signal that is a part of a node's value.
pub(crate) struct Part {
    /// Its place.
    pub at: usize,
    /// Its way into the value; empty for all of it.
    pub element: Option<Box<ElementPath>>,
}

/// The client handle of the signal at a place; 0 is not used, since servers and libraries give it a meaning.
pub(crate) fn client_handle(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX).saturating_add(1)
}

impl Converter {
    pub(crate) fn new(signals: Vec<SignalId>, kinds: Kinds) -> Self {
        Self {
            ledger: Ledger::new(signals.into_iter()),
            begun: Timer::now(),
            moment: None,
            kinds,
            parts: HashMap::new(),
            streams: HashMap::new(),
            structures: None,
            behind: Duration::ZERO,
        }
    }

    /// What was recorded before the start; see [`Ledger::recorded`].
    pub(crate) fn recorded(
        &mut self,
        last_of: impl Fn(SignalId) -> Option<Last>,
        all_until: Instant,
        since: Option<Instant>,
    ) {
        self.ledger.recorded(last_of, all_until, since);
    }

    /// See [`Ledger::by_our_clock`].
    pub(crate) fn by_our_clock(&mut self, is_so: impl Fn(SignalId) -> bool) {
        self.ledger.by_our_clock(is_so);
    }

    /// See [`Ledger::go_on`].
    pub(crate) fn go_on(&mut self, awaited: &[Awaited], has_come: impl Fn(SignalId) -> bool) {
        self.ledger.go_on(awaited, has_come);
    }

    /// See [`Ledger::awaited`].
    pub(crate) fn awaited(&self) -> Vec<Awaited> {
        self.ledger.awaited()
    }

    /// By how much the server's clock is behind ours at least.
    pub(crate) const fn set_behind(&mut self, behind: Duration) {
        self.behind = behind;
    }

    fn moment(&mut self, wall: Instant) -> Moment {
        match self.moment {
            Some(moment) if moment.wall == wall => moment,
            _ => *self.moment.insert(Moment { wall, steady: Some(self.begun.elapsed()) }),
        }
    }

    /// Values of these signals may be missing from now on.
    pub(crate) fn owe(&mut self, places: impl IntoIterator<Item = usize>, cause: GapCause) {
        for at in places {
            self.ledger.owe(at, cause);
        }
    }

    /// When something was heard last.
    pub(crate) const fn heard_last(&self) -> Option<Moment> {
        self.ledger.heard_last()
    }

    /// The same, and what may be missing is so since an earlier moment; see [`Converter::heard_last`].
    pub(crate) fn owe_from(&mut self, places: impl IntoIterator<Item = usize>, cause: GapCause, since: Option<Moment>) {
        for at in places {
            self.ledger.owe_from(at, cause, since);
        }
    }

    /// An item is being made: the next values of its signals are those that stand.
    pub(crate) fn begin(&mut self, at: usize) {
        for at in self.parts_of(at) {
            self.ledger.begin(at);
        }
    }

    /// The server's structures are made of this.
    pub(crate) fn set_structures(&mut self, structures: Arc<Layouts>) {
        self.structures = Some(structures);
    }

    /// The events of a signal are read so from now on.
    pub(crate) fn set_stream(&mut self, at: usize, mut reader: EventReader) {
        if let Some(before) = self.streams.remove(&at) {
            reader.go_on_from(before);
        }
        self.streams.insert(at, reader);
    }

    /// Those who read events, by the places of their signals.
    pub(crate) const fn streams(&mut self) -> &mut HashMap<usize, EventReader> {
        &mut self.streams
    }

    /// Whether a signal's values are events.
    pub(crate) fn is_stream(&self, at: usize) -> bool {
        self.streams.contains_key(&at)
    }

    /// The events of a signal come from now on; what was missed before is told in gaps.
    pub(crate) fn begin_stream(&mut self, at: usize, now: Instant, overflow: bool) -> Seen {
        if let Some(reader) = self.streams.get_mut(&at) {
            reader.begin(now);
        }
        let moment = self.moment(now);
        self.ledger.value(at, now, moment, overflow)
    }

    /// See [`Ledger::heard`].
    pub(crate) fn heard(&mut self, streams: &[usize], now: Instant) {
        streams.iter().for_each(|at| self.ledger.heard(*at, now));
    }

    /// A signal that is a part of a node's value: its item is to carry the others of the node as well.
    pub(crate) fn carry_first(&mut self, part: Part) {
        self.ledger.set_carrier(part.at);
        self.parts.insert(part.at, vec![part]);
    }

    /// Another part of the value that a carrier's item brings.
    pub(crate) fn carry(&mut self, carrier: usize, part: Part) {
        self.parts.entry(carrier).or_default().push(part);
    }

    /// See [`Ledger::quiet`].
    pub(crate) fn quiet(&mut self, from: usize, count: usize) -> (Vec<usize>, usize) {
        self.ledger.quiet(from, count)
    }

    /// See [`Ledger::is_quiet`].
    pub(crate) fn is_quiet(&self, at: usize) -> bool {
        self.ledger.is_quiet(at)
    }

    /// The signals that an item carries: itself, or its parts.
    pub(crate) fn parts_of(&self, at: usize) -> Vec<usize> {
        self.parts.get(&at).map_or_else(|| vec![at], |parts| parts.iter().map(|part| part.at).collect())
    }

    /// Says of which kind the values of a signal are, as its server declares; `None`: that is left to them.
    pub(crate) fn set_kind(&mut self, at: usize, kind: Option<Kind>) {
        self.ledger.set_open(at, kind.is_none());
        self.ledger.set_number(at, kind.is_some_and(|kind| !kind.is_text()));
    }

    /// Appends a notification's values, in the order in which they were sent if that is one: see [`order`]. Handles that
    /// nobody gave out are skipped.
    pub(crate) fn data_change(&mut self, notification: DataChangeNotification, now: Instant, into: &mut Received) {
        let mut items = notification.monitored_items.unwrap_or_default();
        let Some(order) = order(&items) else {
            items.into_iter().for_each(|item| self.item(item.client_handle, item.value, now, into));
            return;
        };
        for at in order {
            let Some(item) = items.get_mut(at) else { continue };
            self.item(item.client_handle, std::mem::take(&mut item.value), now, into);
        }
    }

    fn item(&mut self, handle: u32, value: DataValue, now: Instant, into: &mut Received) {
        let at = (handle as usize).wrapping_sub(1);
        if !self.ledger.is_carrier(at) {
            self.value(at, value, now, into);
            return;
        }
        let parts = self.parts.remove(&at).unwrap_or_default();
        let whole = opened(value, self.structures.as_deref());
        for part in &parts {
            let value = match &part.element {
                Some(path) => element(&whole, path.steps()),
                None => whole.clone(),
            };
            self.value(part.at, value, now, into);
        }
        self.parts.insert(at, parts);
    }

    /// Appends a notification's events.
    pub(crate) fn events(&mut self, notification: EventNotificationList, now: Instant, into: &mut Received) {
        for event in notification.events.into_iter().flatten() {
            let at = (event.client_handle as usize).wrapping_sub(1);
            let Some(reader) = self.streams.get_mut(&at) else {
                into.strangers += 1;
                continue;
            };
            let seen = match reader.take(event.event_fields.unwrap_or_default(), now, &mut into.rows) {
                Told::Event => self.begin_stream(at, now, false),
                Told::Overflow => self.begin_stream(at, now, true),
                Told::RefreshRequired => {
                    into.refresh = true;
                    continue;
                }
                Told::Nothing => continue,
            };
            for gap in seen.gaps() {
                into.gaps.push(gap);
                into.places.push(at);
            }
        }
    }

    fn value(&mut self, at: usize, value: DataValue, now: Instant, into: &mut Received) {
        let Some((signal, open)) = self.ledger.signal(at) else {
            into.strangers += 1;
            return;
        };
        // Its server has no value yet, as after its start: what comes next is the one that ends a gap, and the time that
        // this bears, if any, is that of the server's start. Where there was a value, there is none any more.
        let has_none =
            value.status.is_some_and(|status| status_from_ua(status) == StatusCode::BAD_WAITING_FOR_INITIAL_DATA);
        if has_none && self.ledger.awaits(at) {
            return;
        }
        // What is known by our clock alone is held against the source's. A server that says when a value was set, and not
        // when it was sampled, is never ahead; whether it is behind no value tells. Its CurrentTime does, though its values
        // may be of other clocks: none of those is further behind than the value is old.
        if self.ledger.is_by_our_clock(at) {
            let stamped = value.server_timestamp.and_then(|time| instant_from_date_time(&time, None));
            let ahead_ns = stamped.map(|stamped| stamped.since_ns(now)).filter(|ahead_ns| *ahead_ns >= 0);
            let given = value.source_timestamp.and_then(|time| instant_from_date_time(&time, None)).or(stamped);
            let age_ns = given.map_or(0, |given| now.since_ns(given)).max(0);
            let behind_ns = i64::try_from(self.behind.as_nanos()).unwrap_or(i64::MAX).min(age_ns);
            self.ledger.shift(at, ahead_ns.unwrap_or(-behind_ns));
        }
        // Its DataType is that of its elements.
        let is_array = matches!(value.value, Some(Variant::Array(_)));
        let value = with_members(opened(value, self.structures.as_deref()));
        let kind = push_data_value(&mut into.rows, signal, value, now);
        if open && let Some(kind) = kind {
            self.kinds.set(signal, kind);
            self.ledger.set_open(at, false);
        } else if is_array && self.kinds.get(signal) != Some(Kind::Text) {
            self.kinds.set(signal, Kind::Text);
        }
        if has_none {
            return;
        }
        let moment = self.moment(now);
        let rows = &into.rows;
        let (Some(time), Some(status), Some(quality)) = (rows.time.last(), rows.status.last(), rows.quality.last())
        else {
            return;
        };
        if kind.is_some_and(Kind::is_text) && !is_array && !status.is_bad() && self.ledger.is_number(at) {
            into.no_numbers.note(at);
        }
        let known = self.ledger.known(at);
        let seen = self.ledger.value(at, *time, moment, has_overflow(*status));
        // After a loss, or of a value that stood, the one before may be another clock's.
        if known.since_ns(*time) > BACK_NS && seen == Seen::default() && !quality.has(Quality::SERVER_TIME) {
            into.backwards.note(at);
        }
        let is_away = is_out_of_reach(*status);
        if let Some((since, until)) = self.ledger.reach(at, is_away, known, *time, seen.gap.is_some()) {
            let gap = Gap { signal: Some(signal), since, until, cause: GapCause::SourceLost };
            into.unreached.push((at, gap));
        }
        for gap in seen.gaps() {
            into.gaps.push(gap);
            into.places.push(at);
        }
        if seen.stood
            && let Some(quality) = into.rows.quality.last_mut()
        {
            *quality |= Quality::INITIAL;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::received::Odd;
    use opcua::types::{DataValue, DateTime, MonitoredItemNotification, StatusCode, Variant};

    fn item(at: usize, second: u16, status: u32) -> MonitoredItemNotification {
        let value = DataValue {
            value: Some(Variant::Int32(5)),
            status: Some(StatusCode::from(status)),
            source_timestamp: Some(DateTime::ymd_hms(2026, 1, 1, 0, 0, second)),
            ..Default::default()
        };
        MonitoredItemNotification { client_handle: client_handle(at), value }
    }

    fn receive(converter: &mut Converter, items: Vec<MonitoredItemNotification>) -> Received {
        let notification = DataChangeNotification { monitored_items: Some(items), diagnostic_infos: None };
        let mut received = Received::default();
        converter.data_change(notification, Instant::default(), &mut received);
        received
    }

    #[test]
    fn that_there_is_no_value_yet_is_no_value_and_that_there_is_none_any_more_is_one() {
        const WAITING: u32 = 0x8032_0000;
        let mut converter = Converter::new(vec![SignalId(40)], Kinds::default());
        assert!(receive(&mut converter, vec![item(0, 1, WAITING)]).rows.is_empty(), "its server has just started");
        receive(&mut converter, vec![item(0, 2, 0)]);
        let none = receive(&mut converter, vec![item(0, 3, WAITING)]);
        assert_eq!((none.rows.len(), none.gaps.len()), (1, 0), "what it shows is no value any more");
        converter.owe(0..1, GapCause::SourceLost);
        let after_a_loss = receive(&mut converter, vec![item(0, 9, WAITING)]);
        assert!(after_a_loss.rows.is_empty() && after_a_loss.gaps.is_empty(), "the gap goes on");
        let ended = receive(&mut converter, vec![item(0, 12, 0)]);
        assert_eq!((ended.rows.len(), ended.gaps.len()), (1, 1));
    }

    #[test]
    fn a_value_that_did_not_change_while_a_server_is_ahead_leaves_no_gap_after_a_start() {
        // By our clock it is ten minutes past midnight, and by the server's an hour later.
        let now = instant_from_date_time(&DateTime::ymd_hms(2026, 1, 1, 0, 10, 0), None).unwrap();
        let value = |minute| DataValue {
            value: Some(Variant::Int32(5)),
            source_timestamp: Some(DateTime::ymd_hms(2026, 1, 1, 0, minute, 0)),
            server_timestamp: Some(DateTime::ymd_hms(2026, 1, 1, 1, 10, 0)),
            ..Default::default()
        };
        for (is_ours, minute, wanted) in [(true, 30, 0), (false, 30, 1)] {
            let mut converter = Converter::new(vec![SignalId(40)], Kinds::default());
            // The gateway ended at midnight.
            let end = now.minus(Duration::from_secs(600));
            converter.recorded(|_| None, end.minus(Duration::from_secs(60)), Some(end));
            converter.by_our_clock(|_| is_ours);
            converter.begin(0);
            let mut received = Received::default();
            converter.value(0, value(minute), now, &mut received);
            assert_eq!(received.gaps.len(), wanted, "{is_ours}, {minute}");
        }
    }

    #[test]
    fn a_value_that_came_while_the_gateway_was_off_leaves_its_gap_though_its_server_is_behind() {
        // By our clock it is half past midnight, by the server's an hour before.
        let now = instant_from_date_time(&DateTime::ymd_hms(2026, 1, 1, 0, 30, 0), None).unwrap();
        let hour = Duration::from_secs(3_600);
        for (behind, minute, is_missed) in [(hour, 25, true), (hour, 15, false), (Duration::ZERO, 25, false)] {
            let mut converter = Converter::new(vec![SignalId(40)], Kinds::default());
            // The gateway ended at twenty past, which was twenty past eleven there.
            let end = now.minus(Duration::from_secs(600));
            converter.recorded(|_| None, end.minus(Duration::from_secs(60)), Some(end));
            converter.by_our_clock(|_| true);
            converter.set_behind(behind);
            converter.begin(0);
            let mut received = Received::default();
            let time = DateTime::ymd_hms(2025, 12, 31, 23, minute, 0);
            let value = DataValue {
                value: Some(Variant::Int32(5)),
                source_timestamp: Some(time),
                server_timestamp: Some(time),
                ..Default::default()
            };
            converter.value(0, value, now, &mut received);
            assert_eq!(received.gaps.len(), usize::from(is_missed), "{behind:?}, {minute}");
            let since = end.minus(Duration::from_secs(3_660));
            assert!(received.gaps.iter().all(|gap| gap.since == since), "{:?}", received.gaps);
            assert_eq!(received.rows.quality[0].has(Quality::INITIAL), !is_missed);
        }
    }

    #[test]
    fn values_whose_clock_is_right_leave_a_short_gap_though_their_servers_own_is_years_behind() {
        let now = instant_from_date_time(&DateTime::ymd_hms(2026, 1, 1, 0, 30, 0), None).unwrap();
        let years = Duration::from_secs(26 * 365 * 86_400);
        for source_timestamp in [Some(DateTime::ymd_hms(2026, 1, 1, 0, 29, 50)), None] {
            let mut converter = Converter::new(vec![SignalId(40)], Kinds::default());
            let end = now.minus(Duration::from_secs(600));
            converter.recorded(|_| None, end.minus(Duration::from_secs(60)), Some(end));
            converter.by_our_clock(|_| true);
            converter.set_behind(years);
            converter.begin(0);
            let mut received = Received::default();
            let value = DataValue { value: Some(Variant::Int32(5)), source_timestamp, ..Default::default() };
            converter.value(0, value, now, &mut received);
            let age = if source_timestamp.is_some() { 10 } else { 0 };
            let since = end.minus(Duration::from_secs(60 + age));
            assert_eq!(received.gaps.iter().map(|gap| gap.since).collect::<Vec<_>>(), [since], "{age}");
        }
    }

    #[test]
    fn rows_bear_their_signals_and_gaps_their_causes() {
        let kinds = Kinds::default();
        let mut converter = Converter::new(vec![SignalId(40), SignalId(41)], kinds.clone());
        converter.set_kind(1, Some(Kind::Signed));
        let first = receive(&mut converter, vec![item(0, 1, 0), item(1, 1, 0), item(2, 1, 0)]);
        assert_eq!(first.rows.signal, vec![SignalId(40), SignalId(41)], "the third handle is nobody's");
        assert!(first.gaps.is_empty() && first.strangers == 1);
        assert_eq!((kinds.get(SignalId(40)), kinds.get(SignalId(41))), (Some(Kind::Signed), None));

        let overflow = receive(&mut converter, vec![item(1, 3, 0x480)]);
        assert_eq!(overflow.rows.quality, vec![Quality::OVERFLOW]);
        assert_eq!(overflow.gaps.len(), 1);
        assert_eq!((overflow.gaps[0].signal, overflow.gaps[0].cause), (Some(SignalId(41)), GapCause::Overflow));

        converter.owe([0], GapCause::SourceLost);
        let none_yet = receive(&mut converter, vec![item(0, 7, 0x8032_0000)]);
        assert!(none_yet.rows.is_empty() && none_yet.gaps.is_empty());
        let after = receive(&mut converter, vec![item(0, 9, 0), item(1, 9, 0)]);
        assert_eq!(after.gaps.iter().map(|gap| gap.signal).collect::<Vec<_>>(), vec![Some(SignalId(40))]);
    }

    #[test]
    fn times_that_go_back_and_texts_in_place_of_numbers_are_counted() {
        let mut converter = Converter::new(vec![SignalId(40), SignalId(41)], Kinds::default());
        converter.set_kind(0, Some(Kind::Signed));
        let text = |at, second| {
            let mut text = item(at, second, 0);
            text.value.value = Some(Variant::from("not a number"));
            text
        };
        let honest =
            receive(&mut converter, vec![item(0, 1, 0), item(0, 2, 0), item(0, 1, 0), text(1, 1), item(1, 4, 0)]);
        assert_eq!((honest.backwards, honest.no_numbers), (Odd::default(), Odd::default()), "a second, and any type");
        let lies = receive(&mut converter, vec![item(1, 2, 0), text(0, 5), item(0, 4, 0), item(0, 2, 0)]);
        assert_eq!(lies.backwards, Odd { count: 2, first: Some(1) });
        assert_eq!(lies.no_numbers, Odd { count: 1, first: Some(0) });
        assert_eq!(lies.rows.len(), 4, "each is on record");
        converter.owe([0], GapCause::SourceLost);
        let after_a_loss = receive(&mut converter, vec![item(0, 1, 0)]);
        assert_eq!(after_a_loss.backwards, Odd::default(), "that is told as gaps");
    }

    #[test]
    fn a_clock_set_back_while_a_stream_of_events_is_lost_leaves_what_was_before_and_after_it() {
        let mut converter = Converter::new(vec![SignalId(40)], Kinds::default());
        let second = |s: i64| Instant::from_s(1_000_000 + s);
        assert_eq!(converter.begin_stream(0, second(3600), false).gaps().count(), 0, "it begins");
        converter.owe([0], GapCause::SourceLost);
        let gaps: Vec<Gap> = converter.begin_stream(0, second(0), false).gaps().collect();
        assert!(gaps.iter().any(|gap| gap.since < second(0) && gap.until == second(0)), "{gaps:?}");
        assert!(gaps.iter().any(|gap| gap.since == second(3600) && second(3600) < gap.until), "{gaps:?}");
    }

    #[test]
    fn what_is_a_gap_is_no_part_of_the_time_out_of_reach() {
        const AWAY: u32 = 0x8031_0000;
        // Seconds with statuses, or at which the connection is lost; and the gaps and the times out of reach.
        type Told = &'static [(u16, Option<u32>)];
        type Spans = &'static [(u16, u16)];
        let cases: [(&str, Told, Spans, Spans); 5] = [
            ("lost, then away", &[(1, Some(0)), (2, None), (5, Some(AWAY)), (9, Some(0))], &[(1, 5)], &[(5, 9)]),
            ("away, then lost", &[(1, Some(0)), (3, Some(AWAY)), (4, None), (9, Some(0))], &[(3, 9)], &[(1, 3)]),
            (
                "lost while away",
                &[(1, Some(0)), (3, Some(AWAY)), (4, None), (6, Some(AWAY)), (9, Some(0))],
                &[(3, 6)],
                &[(1, 3), (6, 9)],
            ),
            ("overflow", &[(1, Some(0)), (5, Some(AWAY | 0x480)), (9, Some(0))], &[(1, 5)], &[(5, 9)]),
            ("away alone", &[(1, Some(0)), (3, Some(AWAY)), (4, Some(AWAY)), (9, Some(0))], &[], &[(1, 9)]),
        ];
        let second = |s: u16| instant_from_date_time(&DateTime::ymd_hms(2026, 1, 1, 0, 0, s), None).unwrap();
        for (case, steps, gaps, unreached) in cases {
            let mut converter = Converter::new(vec![SignalId(40)], Kinds::default());
            let (mut gaps_seen, mut unreached_seen) = (Vec::new(), Vec::new());
            for (at, status) in steps {
                let Some(status) = status else {
                    converter.owe([0], GapCause::SourceLost);
                    continue;
                };
                let received = receive(&mut converter, vec![item(0, *at, *status)]);
                gaps_seen.extend(received.gaps.iter().map(|gap| (gap.since, gap.until)));
                unreached_seen.extend(received.unreached.iter().map(|(_, gap)| (gap.since, gap.until)));
            }
            let spans = |of: Spans| of.iter().map(|(from, to)| (second(*from), second(*to))).collect::<Vec<_>>();
            assert_eq!((gaps_seen, unreached_seen), (spans(gaps), spans(unreached)), "{case}");
        }
    }
}
