//! Replay: the log is read again with fresh detectors, and what they say is compared with what was recorded.
//! The same log with the same plugin must give the same verdicts bit for bit.

use std::collections::BTreeMap;
use std::sync::Arc;

use watchfire_calibration::{MarkedAlarm, propose};
use watchfire_model::{Control, Lsn, Record, RecordBody, Verdict};

use crate::binding::begun_with;
use crate::marks::{MarkedCondition, Marks, Traced};
use crate::recorded::Recorded;
use crate::settings::settings_of;
use crate::{BindingPlan, Checkpoint, CreateError, CursorError, DetectorFactory, DetectorFault, Judge, Log, PortError};

/// Rows read at once.
const READ_ROWS_MAX: usize = 1 << 16;

/// A frame on which replay and record differ.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The frame.
    pub frame: Lsn,
    /// What was recorded.
    pub recorded: Vec<Verdict>,
    /// What replay says.
    pub replayed: Vec<Verdict>,
}

/// What a replay of one binding gave.
#[derive(Clone, Debug, Default)]
pub struct ReplayReport {
    /// The binding.
    pub binding: String,
    /// Frames judged.
    pub frames: u64,
    /// Samples judged.
    pub samples: u64,
    /// Verdicts recorded live in the frames judged.
    pub recorded: usize,
    /// Verdicts that replay gave.
    pub replayed: usize,
    /// Frames skipped as recorded.
    pub skipped: usize,
    /// BLAKE3 over the replayed verdicts and their frames: equal for equal replays.
    pub digest: String,
    /// BLAKE3 over all that the detector has learned at the end, and the gateway's half of it.
    pub state: String,
    /// Whether that was the same in the checkpoint, where its place was come by; `None` when there is none to compare.
    pub same_state: Option<bool>,
    /// Where the two differ; empty when replay equals live.
    pub differences: Vec<Difference>,
    /// What people said of its alarms whose scores became events by a threshold, and what another would have done. Nothing
    /// where replay does not equal live: then the scores are not those that alarms came of.
    pub marked: Vec<MarkedCondition>,
}

/// Why a replay cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The binding never ran with this plugin and configuration.
    #[error("detector `{0}` has never run with this configuration on this data: nothing to compare")]
    NeverRan(String),
    /// What it saw first is no longer kept: it would be replayed from another beginning than it had.
    #[error(
        "detector `{binding}` cannot be replayed: what it saw first is no longer kept, the oldest record is {oldest}; it \
         can be again once it has begun anew, as after a change of its configuration"
    )]
    NotKept {
        /// The binding.
        binding: String,
        /// The oldest record there is.
        oldest: Lsn,
    },
    /// Its version went on from the state of the one before, which is not there any more.
    #[error("detector `{0}` cannot be replayed: the state that its version went on from is not kept")]
    BegunIsGone(String),
    /// The detector cannot be made.
    #[error("detector `{binding}`: {error}")]
    Create {
        /// The binding.
        binding: String,
        /// Why not.
        error: CreateError,
    },
    /// It failed where it had not failed live.
    #[error("detector `{binding}` failed at frame {frame}: {fault}")]
    Fault {
        /// The binding.
        binding: String,
        /// The frame.
        frame: Lsn,
        /// How.
        fault: DetectorFault,
    },
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] CursorError),
    /// A store failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// Replays a binding over everything since it last started fresh. Reads from whichever store holds the records, so a
/// log that is sealed gives the same as one that is not.
///
/// # Errors
/// [`ReplayError`].
pub async fn replay(
    log: &Arc<Log>,
    factory: &dyn DetectorFactory,
    plan: &BindingPlan,
) -> Result<ReplayReport, ReplayError> {
    let name = &plan.spec.name;
    let not_made = |error| ReplayError::Create { binding: name.clone(), error };
    let mut judge = Judge::create(factory, &plan.spec).await.map_err(not_made)?;
    let config_hash = judge.identity().config_hash.clone();
    let mut recorded = Recorded::of(plan, &config_hash);
    let mut marks = Marks::of(name);
    let holes = each(log, Lsn(1), async |record| {
        recorded.note(record);
        marks.note(record);
        Ok(())
    })
    .await?;
    let oldest = holes.first().filter(|(from, _)| *from == Lsn(1)).map(|(_, oldest)| *oldest);
    let checkpoint = log.history().load_checkpoint(&plan.kept_as)?;
    let ran = || checkpoint.as_ref().is_some_and(|saved| saved.config_hash == config_hash);
    let start = match (recorded.start, oldest) {
        (Some(start), None) => start,
        (Some(start), Some(oldest)) if oldest <= start.next() => start,
        (Some(_), Some(oldest)) => return Err(ReplayError::NotKept { binding: name.clone(), oldest }),
        (None, Some(oldest)) if !recorded.began && ran() => {
            return Err(ReplayError::NotKept { binding: name.clone(), oldest });
        }
        (None, _) => return Err(ReplayError::NeverRan(name.clone())),
    };
    if recorded.goes_on {
        let begun = log.history().load_checkpoint(&begun_with(&plan.kept_as))?.filter(|begun| begun.frame == start);
        let restored = match &begun {
            Some(begun) => judge.restore(begun).await,
            None => false,
        };
        if !restored {
            return Err(ReplayError::BegunIsGone(name.clone()));
        }
    }
    judge.teach(recorded.taught);
    judge.trace(marks.frames());
    let learned = checkpoint.filter(|saved| saved.config_hash == config_hash && saved.frame > start);
    let checkpoint = learned.as_ref().map_or(start, |saved| saved.frame);
    let end = recorded.verdicts.last_key_value().map_or(checkpoint, |(last, _)| checkpoint.max(*last));

    // What the detector saw and is gone since cannot be compared; what it passed over itself can.
    let passed = |from: Lsn, to: Lsn| recorded.holes.iter().any(|(begin, end)| *begin <= from && to <= *end);
    let gone = holes.iter().filter(|(from, to)| *from > start.next() && *to <= end);
    if let Some((_, oldest)) = gone.into_iter().find(|(from, to)| !passed(*from, *to)) {
        return Err(ReplayError::NotKept { binding: name.clone(), oldest: *oldest });
    }

    let mut report = ReplayReport { binding: name.clone(), ..ReplayReport::default() };
    let mut hasher = blake3::Hasher::new();
    let indexes = plan.indexes();
    each(log, start.next(), async |record| {
        if record.lsn > end {
            return Ok(());
        }
        if record.lsn > checkpoint && report.same_state.is_none() {
            report.same_state = same_state(&mut judge, learned.as_ref()).await?;
        }
        while let Some(gates) = recorded.gates.first_entry()
            && *gates.key() < record.lsn
        {
            judge.set_gates(&gates.remove());
        }
        while let Some(hole) = recorded.holes.first_entry()
            && *hole.key() <= record.lsn
        {
            judge.skip();
            if record.lsn < *hole.get() {
                return Ok(());
            }
            hole.remove();
        }
        if let RecordBody::Control(Control::Source { source, state, .. }) = &record.body
            && plan.sources.iter().any(|own| **own == **source)
        {
            judge.source(source, *state);
        }
        let fault = |fault| ReplayError::Fault { binding: name.clone(), frame: record.lsn, fault };
        if let RecordBody::Control(Control::Forgot { binding, signal, .. }) = &record.body
            && plan.is_named(binding)
            && !recorded.skips.contains(&record.lsn)
        {
            let index = signal.map(|signal| indexes.of(signal));
            if index != Some(None) {
                judge.forget(index.flatten()).await.map_err(fault)?;
            }
        }
        let RecordBody::Data(frame) = &record.body else { return Ok(()) };
        if recorded.skips.contains(&record.lsn) {
            judge.skip();
            report.skipped += 1;
            return Ok(());
        }
        let judged = judge.take(record.lsn, frame, &indexes).await.map_err(fault)?;
        let replayed = judged.verdicts;
        report.frames += 1;
        report.samples += judged.samples as u64;
        if recorded.compares(record.lsn) {
            report.compare(record.lsn, recorded.verdicts.get(&record.lsn), replayed, &mut hasher);
        }
        Ok(())
    })
    .await?;
    report.digest = hasher.finalize().to_hex().to_string();
    if report.same_state.is_none() {
        report.same_state = same_state(&mut judge, learned.as_ref()).await?;
    }
    let last = saved(&mut judge, name, end).await?;
    report.state = blake3::Hasher::new().update(&last.bytes).update(&last.host).finalize().to_hex().to_string();
    if report.is_same() {
        report.marked = marked(plan, &mut judge, &marks);
    }
    Ok(report)
}

/// What was said of the alarms that came of scores, and what another threshold would have done.
fn marked(plan: &BindingPlan, judge: &mut Judge, marks: &Marks) -> Vec<MarkedCondition> {
    let mut all: BTreeMap<u16, Vec<MarkedAlarm>> = BTreeMap::new();
    let conditions = plan.conditions(judge.conditions());
    for Traced { place: (condition, instance), frame, alarm } in judge.traced() {
        let said = conditions.key_of(condition, instance).and_then(|key| marks.said_of(&key, frame));
        if let Some(genuine) = said {
            all.entry(condition).or_default().push(MarkedAlarm { genuine, ..alarm });
        }
    }
    let told = |(at, alarms): (u16, Vec<MarkedAlarm>)| {
        let (condition, settings) = (judge.conditions().get(usize::from(at))?.id.clone(), judge.gate_settings(at)?);
        let stands = judge.is_going_on(at);
        let on_delay = settings_of(&plan.spec, &condition).on_delay.unwrap_or_default();
        let genuine = alarms.iter().filter(|alarm| alarm.genuine).count();
        let mistaken = alarms.len() - genuine;
        // An attacker could raise an alarm and have its threshold raised above it.
        let proposal = if stands { None } else { propose(&settings, on_delay, &alarms) };
        Some(MarkedCondition { condition, threshold: settings.threshold, genuine, mistaken, proposal, stands })
    };
    all.into_iter().filter_map(told).collect()
}

/// Whether what a detector has learned up to here is what its checkpoint has, bit for bit.
async fn same_state(judge: &mut Judge, learned: Option<&Checkpoint>) -> Result<Option<bool>, ReplayError> {
    let Some(checkpoint) = learned else { return Ok(None) };
    Ok(Some(saved(judge, &checkpoint.binding, checkpoint.frame).await? == *checkpoint))
}

async fn saved(judge: &mut Judge, binding: &str, frame: Lsn) -> Result<Checkpoint, ReplayError> {
    let saved = judge.save(binding, frame).await;
    saved.map_err(|fault| ReplayError::Fault { binding: binding.to_owned(), frame, fault })
}

impl ReplayReport {
    /// Whether replay equals live: every verdict, and what was learned.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.differences.is_empty() && self.same_state != Some(false)
    }

    fn compare(
        &mut self,
        frame: Lsn,
        recorded: Option<&Vec<Verdict>>,
        replayed: Vec<Verdict>,
        hasher: &mut blake3::Hasher,
    ) {
        let empty = Vec::new();
        let recorded = recorded.unwrap_or(&empty);
        self.recorded += recorded.len();
        self.replayed += replayed.len();
        let bytes = |verdicts: &Vec<Verdict>| postcard::to_allocvec(verdicts).unwrap_or_default();
        if !replayed.is_empty() {
            hasher.update(&frame.0.to_le_bytes());
            hasher.update(&bytes(&replayed));
        }
        // Compared as bytes: a NaN equals itself, and −0 is not 0.
        if bytes(recorded) != bytes(&replayed) {
            self.differences.push(Difference { frame, recorded: recorded.clone(), replayed });
        }
    }
}

/// Calls `visit` for each record from `from` on; answers where records are not kept: from which place, and where they
/// go on.
async fn each(
    log: &Arc<Log>,
    from: Lsn,
    mut visit: impl AsyncFnMut(&Record) -> Result<(), ReplayError>,
) -> Result<Vec<(Lsn, Lsn)>, ReplayError> {
    let mut next = from;
    let mut holes = Vec::new();
    loop {
        let stores = log.clone();
        let read = tokio::task::spawn_blocking(move || stores.read(next, READ_ROWS_MAX)).await;
        let records = match read.map_err(CursorError::Ended)? {
            Err(CursorError::Gone { oldest }) => {
                holes.push((next, oldest));
                next = oldest;
                continue;
            }
            records => records?,
        };
        let Some(last) = records.last() else { return Ok(holes) };
        next = last.lsn.next();
        for record in &records {
            visit(record).await?;
        }
    }
}
