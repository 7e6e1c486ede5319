//! The ports: what the pipeline asks of the rooms around it. Implemented by `source`, `journal`, `history` and
//! `sandbox`, which never see each other.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;
use watchfire_model::{
    AlarmSettings, AlarmState, Batch, ConditionSpec, Event, Gap, Instant, Limits, Lsn, Outcome, Record, RecordBody,
    Rows, SignalId, SignalInfo, Summary, Unit, Verdict,
};

use crate::{GapBegins, Inlet, LastTimes};

/// What can go wrong in a store, by what the caller has to do.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// No room on the disk: keep what is in memory, make room, try again.
    #[error("no room left on the disk while {doing}")]
    Full {
        /// What was being done.
        doing: String,
    },
    /// The operating system refused: what is written may not be durable, so the gateway must stop.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done, with the path.
        doing: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Another process holds it.
    #[error("{0}")]
    InUse(String),
    /// A clock says what cannot be: nothing was changed; go on, and tell a person.
    #[error("{0}")]
    Implausible(String),
    /// Stored bytes are not what was written.
    #[error("{what} is damaged: {detail}")]
    Damaged {
        /// Which file or key.
        what: String,
        /// What does not fit, and the way out.
        detail: String,
    },
}

/// A record in a journal's own form, still without a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded(pub Vec<u8>);

/// The journal: append-only records. One owner calls it; each call is short (a write into the page cache).
pub trait Journal: RecordReader {
    /// Encodes a record, as long as it takes: before any lock is held.
    ///
    /// # Errors
    /// When it cannot be.
    fn encode(&self, body: &RecordBody) -> Result<Encoded, PortError>;

    /// Appends an encoded record and gives it the next place. Not durable until synced.
    ///
    /// # Errors
    /// [`PortError::Full`] leaves the journal as it was; any other is final.
    fn append_encoded(&self, encoded: &Encoded) -> Result<Lsn, PortError>;

    /// Encodes and appends a record.
    ///
    /// # Errors
    /// As [`Journal::encode`] and [`Journal::append_encoded`].
    fn append(&self, body: &RecordBody) -> Result<Lsn, PortError> {
        self.append_encoded(&self.encode(body)?)
    }

    /// The other half: makes what was appended durable while appends go on.
    fn syncer(&self) -> Box<dyn JournalSync>;

    /// The last place given; 0 for an empty journal.
    fn tail(&self) -> Lsn;

    /// Removes whole files whose records are all at or below `sealed`.
    ///
    /// # Errors
    /// When a file cannot be removed.
    fn truncate(&self, sealed: Lsn) -> Result<(), PortError>;
}

/// Makes appended records durable.
pub trait JournalSync: Send {
    /// One `fdatasync`; returns the last place that is now durable.
    ///
    /// # Errors
    /// Final: after a failed sync nothing is known of what reached the disk.
    fn sync(&mut self) -> Result<Lsn, PortError>;
}

/// Reads records back in order, exactly as they were written.
pub trait RecordReader: Send + Sync {
    /// Records from `from` on (inclusive), at least one if there is any, about `rows_max` rows at the most.
    /// Empty when `from` lies beyond the last one.
    ///
    /// # Errors
    /// [`PortError::Damaged`] names the file or key.
    fn read(&self, from: Lsn, rows_max: usize) -> Result<Vec<Record>, PortError>;
}

/// Knows what runs out by itself and has to be renewed by a person, such as certificates.
pub trait Ends: Send + Sync {
    /// What ends soon, or has ended, each with the way out, for people; `None`: nothing. The text changes only when what
    /// it says does. Blocks.
    fn soon(&self, now: Instant) -> Option<String>;
}

/// How much room a disk has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Free for us, bytes.
    pub free_bytes: u64,
    /// In all, bytes.
    pub total_bytes: u64,
    /// What is held in reserve, or would be, bytes; not free as long as it is.
    pub reserve_bytes: u64,
}

/// The disk under the stores. Room is held in reserve there, and given free when the disk is full: so that alarms can
/// still be recorded, and a database that was stopped can be opened anew. Every call blocks.
pub trait Disk: Send + Sync {
    /// How much room it has.
    ///
    /// # Errors
    /// When the system does not say.
    fn room(&self) -> Result<Room, PortError>;

    /// Holds room in reserve; nothing happens where it is held.
    ///
    /// # Errors
    /// [`PortError::Full`] when there is not so much; nothing is held then.
    fn hold(&self) -> Result<(), PortError>;

    /// Gives the reserve free.
    ///
    /// # Errors
    /// When the system refuses.
    fn release(&self) -> Result<(), PortError>;
}

/// A detector's saved state.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// The binding's name.
    pub binding: String,
    /// The plugin's id (not its version: learning survives an upgrade).
    pub plugin: String,
    /// The state's version.
    pub state_version: u32,
    /// Hash of configuration and signal list.
    pub config_hash: String,
    /// The last frame it has seen.
    pub frame: Lsn,
    /// The plugin's own bytes; empty when it keeps no state.
    pub bytes: Vec<u8>,
    /// The state of the gateway's own half (score gates, learning progress).
    pub host: Vec<u8>,
}

/// Which sealed samples are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The signal.
    pub signal: SignalId,
    /// From this time on.
    pub from: Instant,
    /// Up to, and without, this time.
    pub to: Instant,
    /// From records up to this place: one that [`History::sealed`] has answered.
    pub upto: Lsn,
    /// No more once what was found holds so many bytes in memory.
    pub bytes_max: usize,
}

/// Some of what was wanted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// Samples, sorted by time, then by place in the log.
    pub rows: Rows,
    /// From which time on there may be more; all before it are in this page or an earlier one.
    pub rest: Option<Instant>,
}

/// Some of the gaps on record.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gaps {
    /// Gaps, in the order of the log, each with the place of the frame that tells of it.
    pub gaps: Vec<(Lsn, Gap)>,
    /// From which place on there may be more.
    pub rest: Option<Lsn>,
}

/// A run of records that can be read again and again, and is the same each time.
pub trait RecordRun {
    /// All of them, from the first on.
    fn records(&self) -> Box<dyn Iterator<Item = Result<Record, PortError>> + '_>;
}

/// Records in memory.
struct AtHand<'r>(&'r [Record]);

impl RecordRun for AtHand<'_> {
    fn records(&self) -> Box<dyn Iterator<Item = Result<Record, PortError>> + '_> {
        Box::new(self.0.iter().cloned().map(Ok))
    }
}

/// A stretch of time of which all samples of a signal that are sealed are known without reading them.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// When it begins.
    pub from: Instant,
    /// What its samples come to; `None` where there are none.
    pub summary: Option<Summary>,
}

/// Some of the stretches that were asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summaries {
    /// Those that are known, by time. Of the others only samples tell.
    pub told: Vec<Told>,
    /// From which time on there may be more.
    pub rest: Option<Instant>,
}

/// The store of record. Every call blocks: call it off the runtime.
pub trait History: RecordReader {
    /// The ids of signals by name, given durably where they are new.
    ///
    /// # Errors
    /// When the store fails.
    fn signal_ids(&self, names: &[String]) -> Result<Vec<SignalId>, PortError>;

    /// Every signal that was ever given an id.
    ///
    /// # Errors
    /// When the store fails.
    fn known_signals(&self) -> Result<BTreeMap<String, SignalId>, PortError>;

    /// The last record that is sealed; 0 for none.
    fn sealed(&self) -> Lsn;

    /// Takes over the records after [`History::sealed`], without holes; durable and readable when it returns.
    /// Applying the same records again changes nothing. Reads them several times rather than keep them.
    ///
    /// # Errors
    /// When the store fails, or what gives the records; then nothing of it counts as sealed.
    fn seal_run(&self, run: &dyn RecordRun) -> Result<(), PortError>;

    /// The same with records that are at hand; costs some copies of them.
    ///
    /// # Errors
    /// When the store fails; then nothing of it counts as sealed.
    fn seal(&self, records: &[Record]) -> Result<(), PortError> {
        self.seal_run(&AtHand(records))
    }

    /// The last sealed frame that is kept.
    ///
    /// # Errors
    /// When the store fails.
    fn last_frame(&self) -> Result<Option<Lsn>, PortError>;

    /// The earliest of the sealed samples that are wanted, as many as their bytes allow and those of the last one's
    /// time; one at least if there is any.
    ///
    /// # Errors
    /// When the store fails.
    fn range(&self, wanted: &Wanted) -> Result<Page, PortError>;

    /// The sealed gaps that frames from `from` to `upto` tell of, of the signals from one to another or of all, with
    /// those of every signal, and that touch the time between two instants: the first of them, one at least if there is
    /// any. Costs by the buckets that may have such gaps, not by samples.
    ///
    /// # Errors
    /// When the store fails.
    fn gaps(
        &self,
        from: Lsn,
        upto: Lsn,
        signals: Option<(SignalId, SignalId)>,
        between: (Instant, Instant),
    ) -> Result<Gaps, PortError>;

    /// The sealed records from `from` to `upto` that tell what became of some gaps
    /// ([`watchfire_model::Control::Filled`]), or of any, and perhaps others: the first `most` of them. Costs a read of
    /// those records, and little for others.
    ///
    /// # Errors
    /// When the store fails.
    fn filled(&self, from: Lsn, upto: Lsn, of: Option<&GapBegins>, most: usize) -> Result<Vec<Record>, PortError>;

    /// The sealed records from `from` to `upto` that hold no samples, the first `most` of them or a few less, but one if
    /// there is any. Costs by those records.
    ///
    /// # Errors
    /// When the store fails.
    fn decisions(&self, from: Lsn, upto: Lsn, most: usize) -> Result<Vec<Record>, PortError>;

    /// The last sealed state of each condition.
    ///
    /// # Errors
    /// When the store fails.
    fn alarm_states(&self) -> Result<Vec<AlarmState>, PortError>;

    /// The last sealed frame that each binding decided on.
    ///
    /// # Errors
    /// When the store fails.
    fn decided(&self) -> Result<BTreeMap<String, Lsn>, PortError>;

    /// Saves a checkpoint durably, in place of the binding's earlier one.
    ///
    /// # Errors
    /// When the store fails; the earlier one then stays.
    fn save_checkpoint(&self, checkpoint: &Checkpoint) -> Result<(), PortError>;

    /// The binding's checkpoint, whole or not at all. Waits for no writer.
    ///
    /// # Errors
    /// When the store fails.
    fn load_checkpoint(&self, binding: &str) -> Result<Option<Checkpoint>, PortError>;

    /// Drops what is older than `before`, by whole time slots, the oldest alone: call it again for more. So a clock that
    /// is wrong for a while costs little.
    ///
    /// # Errors
    /// [`PortError::Implausible`] when everything is that old which was sealed when this was last called, or when the
    /// store was opened; when the store fails.
    fn retain(&self, before: Instant) -> Result<(), PortError>;

    /// Drops the oldest time slot when the sealed samples take more room than `bytes_max`; answers whether it did: call it
    /// again for more. The newest slot stays. Costs a look at the files.
    ///
    /// # Errors
    /// When the store fails.
    fn retain_within(&self, bytes_max: u64) -> Result<bool, PortError>;

    /// What was found damaged since the store was opened and is gone on without, one sentence each: nobody is to learn
    /// of it from the absence of samples alone.
    fn given_up(&self) -> Vec<String> {
        Vec::new()
    }

    /// Summarises what is sealed of hours that are past, by minutes and hours: some of what there is to do, a second's work
    /// at the most. Answers whether there is more. Samples that come later for such an hour have it summarised anew, and a
    /// kill at any time leaves what can be done again.
    ///
    /// # Errors
    /// When the store fails; summaries that are damaged are no error, but made anew.
    fn summarise(&self, now: Instant) -> Result<bool, PortError> {
        let _ = now;
        Ok(false)
    }

    /// The stretches of a signal that are told and lie in `from..to` as a whole, some of them. Costs by stretches, not by
    /// samples.
    ///
    /// # Errors
    /// When the store fails; summaries that are damaged are not told.
    fn summaries(&self, signal: SignalId, unit: Unit, from: Instant, to: Instant) -> Result<Summaries, PortError> {
        let _ = (signal, unit, from, to);
        Ok(Summaries::default())
    }

    /// Drops summaries of months that ended before `before`, the oldest month alone: call it again for more.
    ///
    /// # Errors
    /// When the store fails.
    fn retain_summaries(&self, before: Instant) -> Result<(), PortError> {
        let _ = before;
        Ok(())
    }

    /// A small durable value of the program's own, such as the last time of receipt.
    ///
    /// # Errors
    /// When the store fails.
    fn note(&self, name: &str) -> Result<Option<Vec<u8>>, PortError>;

    /// Sets a small durable value.
    ///
    /// # Errors
    /// When the store fails.
    fn set_note(&self, name: &str, value: &[u8]) -> Result<(), PortError>;
}

/// Bounds on what a detector may use. `quota`, since `limit` is a detector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Fuel for one call, for each row and in advance.
    pub fuel_per_row: u64,
    /// Fuel for one call, whatever it holds.
    pub fuel_per_call: u64,
    /// Memory, bytes.
    pub memory_bytes: usize,
    /// CPU time for one call, counted in slices the detector really ran.
    pub call: Duration,
    /// Bytes of what one call returns.
    pub result_bytes: usize,
    /// Bytes of a snapshot.
    pub state_bytes: usize,
    /// Stack, bytes.
    pub stack_bytes: usize,
    /// Tables of functions and references.
    pub tables: usize,
    /// Elements of all its tables together.
    pub table_elements: usize,
    /// Core instances that it consists of, and as many memories.
    pub instances: usize,
    /// Lines of its log that may come at once; one a second after that.
    pub log_lines: u32,
    /// Bytes of such a line.
    pub log_line_bytes: usize,
    /// CPU time for compiling it; by the clock, five times as much.
    pub compile: Duration,
    /// Memory for compiling it, bytes.
    pub compile_bytes: usize,
    /// Machine code that it may become, bytes.
    pub code_bytes: usize,
}

impl Default for Quota {
    fn default() -> Self {
        Self {
            fuel_per_row: 100_000,
            fuel_per_call: 200_000_000,
            memory_bytes: 64 << 20,
            call: Duration::from_secs(2),
            result_bytes: 4 << 20,
            state_bytes: 16 << 20,
            stack_bytes: 1 << 20,
            tables: 128,
            table_elements: 1 << 17,
            instances: 128,
            log_lines: 20,
            log_line_bytes: 1 << 10,
            compile: Duration::from_secs(180),
            compile_bytes: 2 << 30,
            code_bytes: 256 << 20,
        }
    }
}

/// A detector as the configuration binds it.
#[derive(Clone, Debug)]
pub struct BindingSpec {
    /// Its name, unique in the configuration.
    pub name: String,
    /// A bundled plugin's name, or the path of a component.
    pub plugin: String,
    /// The signals, in the order of their indexes.
    pub signals: Vec<SignalInfo>,
    /// The plugin's own configuration, JSON.
    pub config: String,
    /// Where each of its keys was written, as messages say it (`w.toml:17`); by the keys, joined by `.`. Empty where that
    /// is not known.
    pub places: BTreeMap<String, String>,
    /// The model that it judges by, for a plugin that runs one.
    pub model: Option<ModelFile>,
    /// Seed for anything random in the plugin.
    pub seed: u64,
    /// What the configuration says of each condition, by its id.
    pub alarms: BTreeMap<String, AlarmSettings>,
    /// Bounds.
    pub quota: Quota,
}

/// A model in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelFile {
    /// The file.
    pub path: PathBuf,
    /// Its SHA-256, hexadecimal, where the configuration binds it: these bytes and no others.
    pub sha256: Option<String>,
}

/// What a plugin says it is.
#[derive(Clone, Debug, PartialEq)]
pub struct DetectorIdentity {
    /// The plugin's id.
    pub id: String,
    /// Its version.
    pub version: String,
    /// One line.
    pub title: String,
    /// SHA-256 of the component, hexadecimal.
    pub digest: String,
    /// The version of its saved state.
    pub state_version: u32,
    /// SHA-256 of its model, hexadecimal.
    pub model: Option<String>,
    /// Hash of its configuration, signal list and model.
    pub config_hash: String,
    /// How often it wants to be called without rows.
    pub tick: Option<Duration>,
    /// Samples it needs before it can judge.
    pub warm_up_samples: u64,
    /// The limits that its configuration sets, by condition, where its schema says which they are.
    pub limits: BTreeMap<String, Limits>,
}

/// Why a detector cannot be made; each names the plugin and the way out.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The file is not there or not a component of the contract.
    #[error("{0}")]
    Plugin(String),
    /// The plugin refuses its configuration or its signals.
    #[error("{0}")]
    Refused(String),
    /// It cannot be made now, and may be in a while: a file that cannot be read, a compiler that cannot be run, a machine
    /// that is too busy.
    #[error("{0}")]
    NotNow(String),
    /// It failed while it was started.
    #[error(transparent)]
    Fault(#[from] DetectorFault),
}

/// A call that ended a detector's instance.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DetectorFault {
    /// It trapped.
    #[error("trapped: {0}")]
    Trap(String),
    /// It used up its fuel or its time.
    #[error("used up its {0}")]
    Quota(String),
    /// It broke the contract: an index, a length, a text that cannot be.
    #[error("broke the contract: {0}")]
    Contract(String),
    /// It refused the call itself.
    #[error("refused: {0}")]
    Refused(String),
}

/// Makes detectors.
#[async_trait]
pub trait DetectorFactory: Send + Sync {
    /// Loads, checks and initialises a plugin for a binding.
    ///
    /// # Errors
    /// [`CreateError`], each naming the plugin.
    async fn create(&self, binding: &BindingSpec) -> Result<Box<dyn Detector>, CreateError>;

    /// The threads on which its detectors compute, where it has its own: a task that feeds a detector belongs there,
    /// since each call from elsewhere costs a copy of the batch and two wake-ups.
    fn threads(&self) -> Option<tokio::runtime::Handle> {
        None
    }
}

/// A running detector. After a [`DetectorFault`] it must be dropped.
#[async_trait]
pub trait Detector: Send {
    /// What it is.
    fn identity(&self) -> &DetectorIdentity;

    /// What it can find with its configuration; verdicts index this list.
    fn conditions(&self) -> &[ConditionSpec];

    /// Judges a batch. Every index, length and time in the answer has been checked.
    ///
    /// # Errors
    /// The instance is finished.
    async fn process(&mut self, batch: &Batch) -> Result<Outcome, DetectorFault>;

    /// The reasons for a score, asked when the gateway turns a condition active. Changes no state.
    ///
    /// # Errors
    /// The instance is finished.
    async fn explain(&mut self, condition: u16, instance: u32) -> Result<Option<Verdict>, DetectorFault>;

    /// Its state, `None` when it keeps none.
    ///
    /// # Errors
    /// The instance is finished.
    async fn save(&mut self) -> Result<Option<Vec<u8>>, DetectorFault>;

    /// Restores a state.
    ///
    /// # Errors
    /// The instance is finished; make a fresh one.
    async fn load(&mut self, state_version: u32, bytes: &[u8]) -> Result<(), DetectorFault>;

    /// Whether it has a `learner`: only then what follows of learning is called.
    fn learns(&self) -> bool {
        false
    }

    /// Learns from rows that came late, or from history. Nothing of it is judged.
    ///
    /// # Errors
    /// The instance is finished.
    async fn learn(&mut self, batch: &Batch) -> Result<(), DetectorFault> {
        let _ = batch;
        Ok(())
    }

    /// Says that it must learn nothing from now on, from any call, or that it may again. No part of its saved state.
    ///
    /// # Errors
    /// The instance is finished.
    async fn freeze(&mut self, on: bool) -> Result<(), DetectorFault> {
        let _ = on;
        Ok(())
    }

    /// Forgets what it has learned: of a signal, by its index, or all.
    ///
    /// # Errors
    /// The instance is finished.
    async fn forget(&mut self, signal: Option<u32>) -> Result<(), DetectorFault> {
        let _ = signal;
        Ok(())
    }

    /// Whether events reach it as such, by [`Detector::observe`], and not as texts.
    fn observes(&self) -> bool {
        false
    }

    /// Judges the events of a frame, after its batch. The answer has been checked as that of [`Detector::process`].
    ///
    /// # Errors
    /// The instance is finished.
    async fn observe(&mut self, frame: Lsn, now: Instant, events: &[Event]) -> Result<Outcome, DetectorFault> {
        let _ = (frame, now, events);
        Ok(Outcome::default())
    }

    /// What it has learned, for people to review. Changes no state.
    ///
    /// # Errors
    /// The instance is finished.
    async fn model(&mut self) -> Result<Vec<u8>, DetectorFault> {
        Ok(Vec::new())
    }
}

/// An OPC UA server that is read. Connects, subscribes, reconnects for ever; every trouble is told through the inlet.
#[async_trait]
pub trait Source: Send {
    /// The source's name.
    fn name(&self) -> Arc<str>;

    /// Told once, before it runs, what was recorded before the start: what its server has since then is to be fetched,
    /// or a gap. `open`: gaps of any source's signals of whose filling nothing is on record yet.
    fn recorded(&mut self, last: &LastTimes, open: &[Gap]) {
        let _ = (last, open);
    }

    /// Runs until it is told to stop.
    async fn run(self: Box<Self>, inlet: Inlet, stop: CancellationToken);
}
