//! What was recorded of a signal with summaries in place of samples wherever they do, in the order of time.

use std::collections::VecDeque;
use std::time::Duration;

use watchfire_model::{Instant, Rows, SignalId, Summary, Unit};

use crate::{CursorError, Log, Page, Summaries, Traced, trace};

/// What comes next of a signal.
#[derive(Debug)]
pub enum Stretch<'s> {
    /// Samples.
    Rows(&'s Rows),
    /// What stands for all samples of a unit.
    Summary(&'s Summary),
    /// A unit that a summary was not wanted for, but whose samples are no longer kept.
    Lost(&'s Summary),
}

/// Gives what was recorded of a signal in `from..to`, as summaries of `unit` where there are and `takes` wants them, else
/// as samples, until `take` answers that it has enough. Blocks.
///
/// # Errors
/// When a store fails.
pub fn walk(
    trace: &dyn Traced,
    unit: Option<Unit>,
    (from, to): (Instant, Instant),
    takes: &dyn Fn(&Summary) -> bool,
    take: &mut dyn FnMut(Stretch<'_>) -> bool,
) -> Result<(), CursorError> {
    // Up to here all is given; of what follows these are the summaries that are not wanted.
    let (mut at, mut unwanted) = (from, VecDeque::new());
    let (mut next, unit) = (unit.map(|_| from), unit.unwrap_or(Unit::Hour));
    while let Some(begin) = next {
        let Summaries { told, rest } = trace.summaries(unit, begin, to)?;
        for told in told {
            let end = told.from.plus(unit.length());
            match told.summary {
                None if at == told.from => at = end,
                None => {}
                Some(summary) if takes(&summary) => {
                    if at < told.from && !samples(trace, (at, told.from), std::mem::take(&mut unwanted), take)? {
                        return Ok(());
                    }
                    if !take(Stretch::Summary(&summary)) {
                        return Ok(());
                    }
                    at = end;
                }
                Some(summary) => unwanted.push_back(summary),
            }
        }
        next = rest;
    }
    if at < to {
        samples(trace, (at, to), unwanted, take)?;
    }
    Ok(())
}

/// Gives samples, and what is lost of them; whether more are wanted.
fn samples(
    trace: &dyn Traced,
    (from, to): (Instant, Instant),
    mut unwanted: VecDeque<Summary>,
    take: &mut dyn FnMut(Stretch<'_>) -> bool,
) -> Result<bool, CursorError> {
    let (mut next, mut is_seen) = (Some(from), false);
    while let Some(from) = next {
        let Page { rows, rest } = trace.page(from, to)?;
        let before = |time: Instant| rows.time.partition_point(|other| *other < time);
        let mut given = 0;
        while let Some(summary) = unwanted.pop_front_if(|summary| rest.is_none_or(|rest| summary.last.time < rest)) {
            let begin = before(summary.first.time);
            is_seen |= begin < before(summary.last.time.plus(Duration::from_nanos(1)));
            if !is_seen {
                let mut some = Rows::default();
                some.extend_from(&rows, given..begin);
                given = begin.max(given);
                if !take(Stretch::Rows(&some)) || !take(Stretch::Lost(&summary)) {
                    return Ok(false);
                }
            }
            is_seen = false;
        }
        is_seen |= unwanted.front().is_some_and(|summary| before(summary.first.time) < rows.len());
        let more = if given == 0 {
            take(Stretch::Rows(&rows))
        } else {
            let mut some = Rows::default();
            some.extend_from(&rows, given..rows.len());
            take(Stretch::Rows(&some))
        };
        if !more {
            return Ok(false);
        }
        next = rest;
    }
    Ok(true)
}

/// What the samples of a signal in `from..to` come to by intervals of a length, which begin at whole multiples of it, UTC;
/// those without samples are left out. Given in their order, until `take` wants no more. Where samples are no longer
/// kept, intervals of whole hours, and of whole minutes where a signal is fast, are told all the same. Blocks.
///
/// # Errors
/// When a store fails.
pub fn summed(
    log: &Log,
    signal: SignalId,
    span: (Instant, Instant),
    every: Duration,
    take: &mut dyn FnMut(Instant, Summary) -> bool,
) -> Result<(), CursorError> {
    let trace = trace(log, signal, Instant::MIN, Instant::MAX)?;
    let every_ns = i64::try_from(every.as_nanos()).unwrap_or(i64::MAX).max(1);
    let begin_of = |at: Instant| Instant::from_ns(at.ns().div_euclid(every_ns).saturating_mul(every_ns));
    let unit = [Unit::Hour, Unit::Minute].into_iter().find(|unit| every_ns % unit.length_ns() == 0);
    let (mut open, mut wants_more): (Option<(Instant, Summary)>, bool) = (None, true);
    let mut add = |more: Summary| {
        let begin = begin_of(more.first.time);
        match &mut open {
            Some((at, summary)) if *at == begin => summary.append(&more),
            open => {
                if let Some((at, summary)) = open.replace((begin, more)) {
                    wants_more = take(at, summary);
                }
            }
        }
        wants_more
    };
    walk(&trace, unit, span, &|_| true, &mut |stretch| match stretch {
        Stretch::Rows(rows) => {
            let mut row = 0;
            while let Some(time) = rows.time.get(row) {
                let after = begin_of(*time).plus(every);
                let end = rows.time.partition_point(|time| *time < after).max(row + 1);
                let Some(mut summary) = Summary::of(rows, row) else { return true };
                (row + 1..end).for_each(|row| summary.add(rows, row));
                if !add(summary) {
                    return false;
                }
                row = end;
            }
            true
        }
        Stretch::Summary(summary) | Stretch::Lost(summary) => add(summary.clone()),
    })?;
    if let Some((at, summary)) = open.filter(|_| wants_more) {
        take(at, summary);
    }
    Ok(())
}
