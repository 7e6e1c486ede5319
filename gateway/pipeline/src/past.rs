//! What was told in the past: the states of alarms that events told of, and findings that are no alarms, whichever store
//! holds them now. What they mean to a client is not known here.

use std::collections::VecDeque;
use std::time::Duration;

use watchfire_alarms::ConditionState;
use watchfire_model::{ConditionKey, Instant, Lsn, PlainEvent, Record, RecordBody};

use crate::late_rows::LONGEST;
use crate::told::{known_at, told_by};
use crate::{CursorError, Log, PortError, place_at};

/// Records that are read at once.
const AT_ONCE: usize = if cfg!(test) { 3 } else { 512 };
/// Places of the log that are looked at together when it is read backwards.
const WINDOW: u64 = if cfg!(test) { 5 } else { 1 << 14 };
/// How far a clock may be ahead of ours when it gives an alarm its time.
const AHEAD: Duration = Duration::from_secs(3600);
/// How long after its time an event may be known: what a source's own history gave is judged up to [`LONGEST`] after it, once
/// it was fetched.
const LATE: Duration = LONGEST.saturating_add(Duration::from_secs(24 * 3600));

/// Where an event stands among all: its record, and its place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PastPlace {
    /// The record that tells of it.
    pub lsn: Lsn,
    /// Which of its events.
    pub at: u32,
}

/// An event, as it was told.
#[derive(Clone, Debug, PartialEq)]
pub struct Past {
    /// Where it stands.
    pub place: PastPlace,
    /// What it told.
    pub event: PastEvent,
}

/// What an event told.
#[derive(Clone, Debug, PartialEq)]
pub enum PastEvent {
    /// Of an alarm: how the condition or a branch of it stood.
    Alarm(ConditionKey, Box<ConditionState>),
    /// Of a finding that is no alarm.
    Plain(PlainEvent),
}

impl PastEvent {
    /// The time at the process.
    #[must_use]
    pub fn time(&self) -> Instant {
        match self {
            Self::Alarm(_, state) => state.time,
            Self::Plain(event) => event.at,
        }
    }
}

/// Which events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PastWanted {
    /// With a time from here on,
    pub from: Instant,
    /// and before this.
    pub to: Instant,
    /// Whether the newest come first.
    pub backwards: bool,
    /// Where to go on: with this one. `None` from the beginning.
    pub begin: Option<PastPlace>,
}

impl PastWanted {
    /// Whether this one is wanted: by its time, and by where it stands.
    fn wants(&self, past: &Past) -> bool {
        let on = self.begin.is_none_or(|begin| if self.backwards { past.place <= begin } else { past.place >= begin });
        on && (self.from..self.to).contains(&past.event.time())
    }
}

/// Events that were told, in the order in which they were recorded or in the opposite one, until `take` wants no more.
/// Blocks; costs by the
/// records that hold no samples between the two times (and an hour before, and up to eight days after), and a scan of what is
/// not sealed. `goes_on` is asked before some of them are read, whether any event was among those before.
///
/// # Errors
/// When a store fails, a state cannot be read, or it does not go on.
pub fn past(
    log: &Log,
    wanted: &PastWanted,
    goes_on: &dyn Fn() -> bool,
    take: &mut dyn FnMut(Past) -> bool,
) -> Result<(), CursorError> {
    let first = place_at(log, wanted.from.minus(AHEAD))?.next();
    if wanted.backwards {
        backwards(log, wanted, first, goes_on, take)
    } else {
        forwards(log, wanted, first, goes_on, take)
    }
}

fn forwards(
    log: &Log,
    wanted: &PastWanted,
    first: Lsn,
    goes_on: &dyn Fn() -> bool,
    take: &mut dyn FnMut(Past) -> bool,
) -> Result<(), CursorError> {
    let mut reader = Reader::while_it_goes_on(log, wanted.begin.map_or(first, |begin| begin.lsn.max(first)), goes_on);
    let end = wanted.to.plus(LATE);
    while let Some(record) = reader.next()? {
        if known_at(&record)?.is_some_and(|at| at > end) {
            break;
        }
        for past in told_by(&record)? {
            if wanted.wants(&past) && !take(past) {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn backwards(
    log: &Log,
    wanted: &PastWanted,
    first: Lsn,
    goes_on: &dyn Fn() -> bool,
    take: &mut dyn FnMut(Past) -> bool,
) -> Result<(), CursorError> {
    let mut last = match wanted.begin {
        Some(begin) => begin.lsn,
        None => last_known_by(log, wanted.to.plus(LATE), goes_on)?,
    };
    while last >= first {
        let begin = Lsn((last.0 + 1).saturating_sub(WINDOW)).max(first);
        let mut reader = Reader::while_it_goes_on(log, begin, goes_on);
        let mut found = Vec::new();
        while let Some(record) = reader.next()?.filter(|record| record.lsn <= last) {
            found.extend(told_by(&record)?);
        }
        for past in found.into_iter().rev() {
            if wanted.wants(&past) && !take(past) {
                return Ok(());
            }
        }
        if begin.0 <= 1 {
            break;
        }
        last = Lsn(begin.0 - 1);
    }
    Ok(())
}

/// The last record before one that was known after `end`.
fn last_known_by(log: &Log, end: Instant, goes_on: &dyn Fn() -> bool) -> Result<Lsn, CursorError> {
    let mut reader = Reader::while_it_goes_on(log, place_at(log, end)?.next(), goes_on);
    while let Some(record) = reader.next()? {
        if known_at(&record)?.is_some_and(|at| at > end) {
            return Ok(Lsn(record.lsn.0.saturating_sub(1)));
        }
    }
    Ok(log.tail())
}

/// Records without samples, in order: those that are sealed, then the others.
pub(crate) struct Reader<'l> {
    log: &'l Log,
    /// The next that is sealed, and the last.
    sealed: (Lsn, Lsn),
    /// The next that is not.
    next: Lsn,
    found: VecDeque<Record>,
    goes_on: &'l dyn Fn() -> bool,
}

impl<'l> Reader<'l> {
    pub(crate) fn new(log: &'l Log, from: Lsn) -> Self {
        Self::while_it_goes_on(log, from, &|| true)
    }

    fn while_it_goes_on(log: &'l Log, from: Lsn, goes_on: &'l dyn Fn() -> bool) -> Self {
        let sealed = log.history().sealed();
        Self { log, sealed: (from, sealed), next: from.max(sealed.next()), found: VecDeque::new(), goes_on }
    }

    pub(crate) fn next(&mut self) -> Result<Option<Record>, CursorError> {
        while self.found.is_empty() {
            if !(self.goes_on)() {
                let source = std::io::Error::other("nobody waits for it any more");
                return Err(PortError::Io { doing: "reading what was told in the past".to_owned(), source }.into());
            }
            let (from, upto) = self.sealed;
            if from > upto {
                let records = self.log.read_kept(&mut self.next)?;
                if records.is_empty() {
                    return Ok(None);
                }
                self.found.extend(records.into_iter().filter(|record| !matches!(record.body, RecordBody::Data(_))));
            } else {
                self.found.extend(self.log.history().decisions(from, upto, AT_ONCE)?);
                self.sealed.0 = self.found.back().map_or(upto, |last| last.lsn).next();
            }
        }
        Ok(self.found.pop_front())
    }
}
