//! Ingest: cuts what sources hand in into frames and puts them in the log. A frame's `now` is the only clock that a
//! detector ever sees.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant as Timer;
use watchfire_model::{Clock, Control, Frame, Gap, Instant, Quality, RecordBody, Rows, SignalId, StatusCode};

use crate::{Arrival, ArrivalReceiver, Latest, Log, Notices, PortError, SignalsOf, Stats, take_gaps};

/// A frame is cut at the latest so long after its first row.
const CUT_AFTER: Duration = Duration::from_millis(10);
/// No frame has more rows.
const CUT_ROWS: usize = 4096;
/// No frame holds more bytes by far: texts may be long.
const CUT_BYTES: usize = 8 << 20;
/// How far the machine's clock may lie behind the log's time before somebody is told.
const BEHIND_MAX: Duration = Duration::from_secs(60);
/// An empty frame is cut after so long without any, so that time goes on for detectors while nothing comes.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// What ingest needs to know of the site.
#[derive(Clone, Debug, Default)]
pub struct Site {
    /// Offset of the site's time zone from UTC, seconds.
    pub utc_offset_s: i32,
    /// The signal whose value is the operating mode.
    pub mode_signal: Option<SignalId>,
    /// The signals of each source, by the source's name.
    pub signals_of: SignalsOf,
}

/// The ingest task's parts.
pub struct Ingest {
    /// Where arrivals come from.
    pub arrivals: ArrivalReceiver,
    /// Where frames go.
    pub log: Arc<Log>,
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// Shown to people.
    pub latest: Arc<Latest>,
    /// Counts.
    pub stats: Arc<Stats>,
    /// Told of sources that come and go.
    pub notices: Notices,
    /// The site.
    pub site: Site,
    /// The `now` of the last frame before the start: time never runs backwards in the log.
    pub last_now: Instant,
    /// The mode of that frame, which holds until the mode's signal says another.
    pub last_mode: u32,
}

/// Receive times that never run backwards: when the machine's clock is set back, they go on at the pace of the timer
/// until the clock has caught up.
struct Monotone {
    now: Instant,
    at: Timer,
    /// Whether somebody was told that the machine's clock lies behind; at first it may have been told in an earlier
    /// life.
    told: Option<bool>,
    /// When a frame was cut last.
    cut_at: Timer,
    /// Whether the mode of operation is known: its signal has said it since the start.
    knows_mode: bool,
    /// The mode that was told last.
    mode: Option<u32>,
}

impl Monotone {
    fn next(&mut self, wall: Instant) -> Instant {
        let timer = Timer::now();
        let paced = self.now.plus(timer.saturating_duration_since(self.at));
        self.now = if wall >= self.now { wall } else { paced };
        self.at = timer;
        self.now
    }

    /// What to tell of the machine's clock, when that has changed: how far it lies behind, or that it no longer does.
    fn news(&mut self, wall: Instant) -> Option<Option<String>> {
        let behind = Duration::from_nanos(u64::try_from(self.now.since_ns(wall)).unwrap_or(0));
        let told = if self.told == Some(true) { !behind.is_zero() } else { behind > BEHIND_MAX };
        if self.told.replace(told) == Some(told) {
            return None;
        }
        let reason =
            format!("the machine's clock lies {} s behind what was recorded before: it was set back", behind.as_secs());
        Some(told.then_some(reason))
    }
}

impl Ingest {
    /// Runs until every source has let go of the inlet, then cuts what is left.
    ///
    /// # Errors
    /// When the log cannot take a frame for a reason other than a full disk. A full disk is waited out: the inlet
    /// fills, the sources hold back, and what their servers cannot queue becomes gaps.
    pub async fn run(mut self) -> Result<(), PortError> {
        let mut monotone = Monotone {
            now: self.last_now,
            at: Timer::now(),
            told: None,
            cut_at: Timer::now(),
            knows_mode: false,
            mode: None,
        };
        let mut frame = Frame { mode: self.site.mode_signal.map_or(0, |_| self.last_mode), ..Frame::default() };
        let mut cut_at = Timer::now() + HEARTBEAT;
        let mut waiting = false;
        loop {
            let arrival = tokio::select! {
                biased;
                () = tokio::time::sleep_until(cut_at) => {
                    self.cut(&mut frame, &mut monotone).await?;
                    (waiting, cut_at) = (false, Timer::now() + HEARTBEAT);
                    continue;
                }
                arrival = self.arrivals.recv() => arrival,
            };
            let Some(arrival) = arrival else { break };
            self.take(arrival, &mut frame, &mut monotone).await?;
            let full = frame.rows.len() >= rows_max(&frame.rows);
            while let most = rows_max(&frame.rows)
                && frame.rows.len() >= most
            {
                let rest = frame.rows.split_off(most);
                self.cut(&mut frame, &mut monotone).await?;
                frame.rows = rest;
            }
            // What is left of a large notification follows it, with the same commit and the same waking of detectors.
            if full && !is_empty(&frame) && self.arrivals.is_empty() {
                self.cut(&mut frame, &mut monotone).await?;
            }
            if is_empty(&frame) {
                (waiting, cut_at) = (false, monotone.cut_at + HEARTBEAT);
            } else if !waiting {
                (waiting, cut_at) = (true, Timer::now() + CUT_AFTER);
            }
        }
        if is_empty(&frame) { Ok(()) } else { self.cut(&mut frame, &mut monotone).await }
    }

    async fn take(&mut self, arrival: Arrival, frame: &mut Frame, monotone: &mut Monotone) -> Result<(), PortError> {
        match arrival {
            Arrival::Rows(mut rows) => {
                monotone.knows_mode |= self.mode(&rows, frame);
                self.latest.update(&rows);
                self.stats.values.fetch_add(rows.len() as u64, Ordering::Relaxed);
                frame.rows.append(&mut rows);
            }
            Arrival::Late(mut rows) => {
                // What is imported may tell of gaps, too.
                frame.gaps.append(&mut take_gaps(&mut rows));
                self.stats.late.fetch_add(rows.len() as u64, Ordering::Relaxed);
                frame.rows.append(&mut rows);
            }
            Arrival::Gaps(gaps) => self.gaps(gaps, frame),
            Arrival::Resumed(signals) => self.latest.resume(&signals),
            Arrival::Filled { source, fills } => {
                // What was fetched stands before the word that it was.
                if !is_empty(frame) {
                    self.cut(frame, monotone).await?;
                }
                self.log.put(RecordBody::Control(Control::Filled { source: source.to_string(), fills })).await?;
            }
            Arrival::Awaited { source, is_known, awaited, settled } => {
                // The values with which it is settled stand before the word that it is.
                if !is_empty(frame) {
                    self.cut(frame, monotone).await?;
                }
                let source = source.to_string();
                self.log.put(RecordBody::Control(Control::Awaited { source, is_known, awaited, settled })).await?;
            }
            Arrival::Terms { source, terms } => {
                self.stats.terms.lock().insert(source, terms);
            }
            Arrival::Settled(answer) => {
                if !is_empty(frame) {
                    self.cut(frame, monotone).await?;
                }
                // Whoever asked may have gone.
                let _ = answer.send(());
            }
            Arrival::Signal { signal, status, at } => {
                self.latest.mark(&[signal], status, at);
                // Its time is ours.
                frame.rows.push(signal, at, f64::NAN, status, Quality::SERVER_TIME, 0);
            }
            Arrival::State { source, state, reason } => {
                // What was received before the change stands before it in the log.
                if !is_empty(frame) {
                    self.cut(frame, monotone).await?;
                }
                let now = monotone.next(self.clock.now());
                if state == watchfire_model::SourceState::Down {
                    let lost = |signals: &[SignalId]| self.latest.mark(signals, StatusCode::BAD_NO_COMMUNICATION, now);
                    self.site.signals_of.with(&source, lost);
                }
                let control = Control::Source { source: source.to_string(), state, reason: reason.clone() };
                let record = self.log.put(RecordBody::Control(control)).await?;
                self.notices.source(record.lsn, now, &source, state, reason).await;
            }
        }
        Ok(())
    }

    /// Takes over the mode of operation, and says whether rows have told it.
    fn mode(&self, rows: &Rows, frame: &mut Frame) -> bool {
        let Some(mode) = self.site.mode_signal else { return false };
        let columns = rows.signal.iter().zip(&rows.value).zip(&rows.status);
        let last =
            columns.rev().find(|((signal, value), status)| **signal == mode && status.is_good() && **value >= 0.0);
        if let Some(((_, value), _)) = last {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "saturates, and is not negative"
            )]
            {
                frame.mode = *value as u32;
            }
        }
        last.is_some()
    }

    fn gaps(&self, gaps: Vec<Gap>, frame: &mut Frame) {
        self.stats.gaps.fetch_add(gaps.len() as u64, Ordering::Relaxed);
        frame.gaps.extend(gaps);
    }

    async fn cut(&mut self, frame: &mut Frame, monotone: &mut Monotone) -> Result<(), PortError> {
        let mode = frame.mode;
        let mut full = std::mem::replace(frame, Frame { mode, ..Frame::default() });
        monotone.cut_at = Timer::now();
        let wall = self.clock.now();
        full.now = monotone.next(wall);
        full.utc_offset_s = self.site.utc_offset_s;
        self.stats.frames.fetch_add(1, Ordering::Relaxed);
        let now = full.now;
        if monotone.knows_mode && monotone.mode.replace(mode) != Some(mode) {
            self.latest.set_mode(mode);
            self.notices.mode(self.log.tail(), now, mode).await;
        }
        let record = self.log.put(RecordBody::Data(full)).await?;
        if let Some(behind) = monotone.news(wall) {
            if let Some(behind) = &behind {
                tracing::warn!(behind, "times of receipt run ahead of the machine's clock until it has caught up");
            }
            self.notices.clock(record.lsn, now, behind).await;
        }
        Ok(())
    }
}

/// How many rows of these a frame may have: fewer when they bear long texts.
fn rows_max(rows: &Rows) -> usize {
    let bytes = if rows.text.is_empty() { 0 } else { rows.weight() };
    if bytes < CUT_BYTES { CUT_ROWS } else { (rows.len() * (CUT_BYTES / 1024) / (bytes / 1024)).clamp(1, CUT_ROWS) }
}

fn is_empty(frame: &Frame) -> bool {
    frame.rows.is_empty() && frame.gaps.is_empty()
}
