//! One gap that is to be filled: how far it is, and which values of an answer belong into it.

use std::hash::{DefaultHasher, Hash, Hasher};

use opcua::types::{ByteString, HistoryData, HistoryEventFieldList};
use watchfire_config::ElementPath;
use watchfire_model::{Gap, Instant, Quality, Rows, SignalId, StatusCode};
use watchfire_ua::{Layouts, is_out_of_reach, push_data_value};

use super::{PAGE_VALUES_MIN, PAGES_MAX};
use crate::element::{element, opened, with_members};
use crate::events::EventReader;

/// Of so many values of one time it is known which were taken.
const AT_ONCE_MAX: usize = 1_000;

/// A gap to be filled.
#[derive(Clone, Debug)]
pub(super) struct Hole {
    pub at: usize,
    pub signal: SignalId,
    /// Which part of the node's value the signal is.
    pub element: Option<Box<ElementPath>>,
    pub since: Instant,
    pub until: Instant,
    /// Up to here it is filled.
    pub filled: Instant,
    /// Digests of what was taken at that time: where an answer ends between values of one time, the next one begins with
    /// the others, and one that is asked for anew with all of them.
    at_filled: Vec<u64>,
    pub values: u32,
    pub empty_pages: u8,
    /// Answers that have come.
    pub pages: u32,
    /// Whether an answer had the value that ended the gap, or a later one: then it had all before it.
    pub proved: bool,
    /// How often it has been asked for to its end.
    pub passes: usize,
    /// Where the server goes on.
    pub more: ByteString,
    /// Its number, if it is no gap but a time in which the signal was out of reach of its server.
    pub unreached: Option<u64>,
    /// How often it was refused for now since a value of it has come, and how many had come then.
    pub refusals: u16,
    pub values_at_refusal: u32,
    /// The servers, of those that stand in for each other, that have nothing of it: a bit each, by their places.
    pub without: u64,
    /// Why one of them that keeps a history does not tell it.
    pub refused: Option<opcua::types::StatusCode>,
}

impl Hole {
    /// Nothing of it is filled yet.
    pub(super) fn new(at: usize, signal: SignalId, element: Option<Box<ElementPath>>, gap: &Gap) -> Self {
        Self {
            at,
            signal,
            element,
            since: gap.since,
            until: gap.until,
            filled: gap.since,
            at_filled: Vec::new(),
            values: 0,
            empty_pages: 0,
            pages: 0,
            proved: false,
            passes: 0,
            more: ByteString::null(),
            unreached: None,
            refusals: 0,
            values_at_refusal: 0,
            without: 0,
            refused: None,
        }
    }

    /// Whether it is left to another server than one that was asked.
    pub(super) const fn is_left(&self) -> bool {
        self.without != 0 && self.unreached.is_none()
    }

    /// The same as a time in which the signal was out of reach of its server.
    pub(super) fn unreached(self, number: u64) -> Self {
        Self { unreached: Some(number), ..self }
    }

    /// Takes an answer's events, those that were not seen before.
    pub(super) fn take_events(
        &mut self,
        events: Vec<HistoryEventFieldList>,
        reader: &mut EventReader,
        rows: &mut Rows,
        now: Instant,
    ) {
        let before = self.values;
        for event in events {
            let taken = reader.take_late(event.event_fields.unwrap_or_default(), (self.since, self.until), now, rows);
            let Some((time, is_new)) = taken else { continue };
            self.proved |= time >= self.until;
            self.filled = self.filled.max(time.min(self.until));
            self.values = self.values.saturating_add(u32::from(is_new));
        }
        self.empty_pages = if self.values == before { self.empty_pages + 1 } else { 0 };
    }

    /// Takes an answer's values; returns how many did not fit.
    pub(super) fn take(
        &mut self,
        data: Option<Box<HistoryData>>,
        structures: Option<&Layouts>,
        rows: &mut Rows,
        now: Instant,
    ) -> u64 {
        let (begin, mut dropped) = (self.filled, 0);
        let before = self.values;
        let values = data.and_then(|data| data.data_values).unwrap_or_default();
        // Of a long time out of reach whole answers may tell of nothing else: they lead on all the same.
        let leads_on = self.unreached.is_some() && !values.is_empty();
        for value in values {
            let at = rows.len();
            let value = opened(value, structures);
            let value = match &self.element {
                Some(path) => element(&value, path.steps()),
                None => value,
            };
            push_data_value(rows, self.signal, with_members(value), now);
            let time = rows.time.get(at).copied().unwrap_or(now);
            let is_new = begin < time || self.is_new_at(begin, time, rows, at);
            // That there was none has been told when it was so.
            let is_none = self.unreached.is_some() && rows.status.get(at).is_some_and(|status| is_no_value(*status));
            if is_new && !is_none && self.filled <= time && time < self.until {
                if self.filled < time {
                    self.at_filled.clear();
                }
                if self.at_filled.len() < AT_ONCE_MAX {
                    self.at_filled.push(digest(rows, at));
                }
                (self.filled, self.values) = (time, self.values.saturating_add(1));
                if let Some(quality) = rows.quality.get_mut(at) {
                    *quality |= Quality::LATE;
                }
            } else {
                self.proved |= time >= self.until;
                drop(rows.split_off(at));
                // Others in the same request may have earlier or later bounds than this one.
                let is_left_out = time == begin && self.at_filled.len() >= AT_ONCE_MAX;
                dropped += u64::from(!is_none && ((begin < time && time < self.filled) || is_left_out));
            }
        }
        self.empty_pages = if self.values == before && !leads_on { self.empty_pages + 1 } else { 0 };
        dropped
    }

    /// Whether its server has answered too often for what has come.
    pub(super) const fn is_endless(&self) -> bool {
        self.pages > PAGES_MAX.saturating_add(self.values / PAGE_VALUES_MIN)
    }

    /// Whether a row, the last, has a value that was not taken of the time up to which all is: that of the gap's begin
    /// was received before.
    fn is_new_at(&self, filled: Instant, time: Instant, rows: &Rows, row: usize) -> bool {
        let is_there = time == filled && self.since < filled && self.filled == filled;
        is_there && self.at_filled.len() < AT_ONCE_MAX && !self.at_filled.contains(&digest(rows, row))
    }
}

fn is_no_value(status: StatusCode) -> bool {
    is_out_of_reach(status) || status == StatusCode::BAD_WAITING_FOR_INITIAL_DATA
}

/// Tells values of one time apart.
fn digest(rows: &Rows, row: usize) -> u64 {
    let mut hasher = DefaultHasher::new();
    rows.value.get(row).map(|value| value.to_bits()).hash(&mut hasher);
    rows.status.get(row).map(|status| status.0).hash(&mut hasher);
    (rows.exact_at(row), rows.text_at(row)).hash(&mut hasher);
    hasher.finish()
}
