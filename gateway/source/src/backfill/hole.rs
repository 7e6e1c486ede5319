//! One gap that is to be filled: how far it is, and which values of an answer belong into it.

use opcua::types::{ByteString, HistoryData, HistoryEventFieldList};
use watchfire_config::ElementPath;
use watchfire_model::{Gap, Instant, Quality, Rows, SignalId};
use watchfire_ua::{Layouts, push_data_value};

use crate::element::{element, opened, with_members};
use crate::events::EventReader;

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
            values: 0,
            empty_pages: 0,
            pages: 0,
            proved: false,
            passes: 0,
            more: ByteString::null(),
        }
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
        for value in data.and_then(|data| data.data_values).into_iter().flatten() {
            let at = rows.len();
            let value = opened(value, structures);
            let value = match &self.element {
                Some(path) => element(&value, path.steps()),
                None => value,
            };
            push_data_value(rows, self.signal, with_members(value), now);
            let time = rows.time.get(at).copied().unwrap_or(now);
            if begin < time && self.filled <= time && time < self.until {
                (self.filled, self.values) = (time, self.values.saturating_add(1));
                if let Some(quality) = rows.quality.get_mut(at) {
                    *quality |= Quality::LATE;
                }
            } else {
                self.proved |= time >= self.until;
                drop(rows.split_off(at));
                // Others in the same request may have earlier or later bounds than this one.
                dropped += u64::from(time < self.filled && begin < time);
            }
        }
        self.empty_pages = if self.values == before { self.empty_pages + 1 } else { 0 };
        dropped
    }
}
