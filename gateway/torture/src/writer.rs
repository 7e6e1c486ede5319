//! The process that is killed: writes records as quickly as it can, seals them all the time, and says on standard output
//! what is durable: `r` and the last record, `c` and a checkpoint's record. What a record holds follows from its place.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio_util::sync::CancellationToken;
use watchfire_history::SledHistory;
use watchfire_journal::{FileJournal, FolderLock};
use watchfire_model::{
    AlarmCommand, AlarmState, CommandKind, ConditionKey, Control, Decided, Frame, Gap, GapCause, Instant, Lsn, Quality,
    RecordBody, Rows, SignalId, SourceState, StatusCode,
};
use watchfire_pipeline::{Checkpoint, History, Log, PortError, seal_all};

/// Where the time of records begins.
const START_S: i64 = 1_800_000_000;
/// How far apart they are: some thousand a day, so that days end.
const APART_S: i64 = 20;
/// Conditions that change.
pub const CONDITIONS: u64 = 5;
/// How long what is written may wait to be durable.
const COMMIT: Duration = Duration::from_millis(10);

/// What the record at a place holds.
pub fn body(lsn: u64) -> RecordBody {
    let mut random = SmallRng::seed_from_u64(lsn);
    let now = Instant::from_s(START_S + APART_S * i64::try_from(lsn).unwrap());
    match lsn % 10 {
        0 => RecordBody::Decided(Decided {
            binding: "hot".to_owned(),
            frame: Lsn(lsn),
            verdicts: Vec::new(),
            transitions: vec![state(lsn)],
            events: Vec::new(),
        }),
        5 => {
            let command = AlarmCommand {
                key: state(lsn).key,
                kind: CommandKind::Acknowledge,
                event_id: lsn.to_le_bytes().to_vec(),
                comment: Some(("en".to_owned(), "seen ".repeat(random.random_range(0..2000)))),
                user: "operator".to_owned(),
                at: now,
            };
            RecordBody::Commanded { command, transitions: vec![state(lsn)] }
        }
        7 => {
            let (source, reason) = ("press".to_owned(), format!("the {lsn}th time"));
            RecordBody::Control(Control::Source { source, state: SourceState::Down, reason })
        }
        _ => RecordBody::Data(frame(now, &mut random)),
    }
}

fn frame(now: Instant, random: &mut SmallRng) -> Frame {
    let mut rows = Rows::default();
    for _ in 0..random.random_range(0..200) {
        let signal = SignalId(random.random_range(1..60));
        let time = now.minus(Duration::from_millis(random.random_range(0..500_000)));
        let value = if random.random_bool(0.01) { f64::NAN } else { f64::from(random.random_range(0..5000)) / 10.0 };
        let status = StatusCode(if random.random_bool(0.02) { 0x8031_0000 } else { 0 });
        rows.push(signal, time, value, status, Quality::NONE, 0);
        match random.random_range(0..300) {
            0 => rows.set_text("text".repeat(random.random_range(0..3000))),
            1 => rows.set_exact(i64::MAX),
            _ => {}
        }
    }
    let gap = Gap { signal: None, since: now, until: now, cause: GapCause::Overflow };
    let gaps = if random.random_bool(0.05) { vec![gap] } else { Vec::new() };
    Frame { now, rows, gaps, ..Frame::default() }
}

/// The state to which the record at a place brings its condition.
pub fn state(lsn: u64) -> AlarmState {
    let key = ConditionKey::new("hot", "high", &format!("press/{}", lsn / 5 % CONDITIONS));
    AlarmState { key, state: lsn.to_le_bytes().repeat(usize::try_from(1 + lsn % 1500).unwrap()) }
}

/// The checkpoint that is saved after a record.
pub fn checkpoint(lsn: u64) -> Checkpoint {
    Checkpoint {
        binding: "hot".to_owned(),
        plugin: "limit".to_owned(),
        state_version: 1,
        config_hash: String::new(),
        frame: Lsn(lsn),
        bytes: lsn.to_le_bytes().repeat(usize::try_from(lsn % 5000).unwrap()),
        host: vec![7; 20],
    }
}

/// Slots so small that their days have several.
const SLOT_BYTES: u64 = 1 << 20;

/// The log of a data folder, opened as the gateway does. A journal that does not go on where the sealed records end is a
/// loss.
pub fn open(folder: &Path) -> (Arc<Log>, Arc<FileJournal>, Arc<SledHistory>) {
    let history = Arc::new(SledHistory::open(folder).unwrap().with_slots_of(SLOT_BYTES));
    let journal = Arc::new(FileJournal::open_after(folder, history.sealed()).unwrap());
    assert!(journal.first() <= history.sealed().next(), "the journal begins at {} too late", journal.first());
    (Log::new(journal.clone(), history.clone()), journal, history)
}

fn tell(what: &str, lsn: u64) {
    let mut out = std::io::stdout().lock();
    // Whoever listens has gone only when it is about to be killed.
    let _ = writeln!(out, "{what} {lsn}").and_then(|()| out.flush());
}

/// Writes until it is killed.
pub fn write(folder: &Path) {
    let _lock = FolderLock::take(folder).unwrap();
    let (log, ..) = open(folder);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let committing = tokio::spawn(log.clone().commit(COMMIT, CancellationToken::new()));
        let sealed = log.clone();
        let sealing = tokio::task::spawn_blocking(move || {
            loop {
                // A full disk is waited out.
                if unless_full(seal_all(&sealed)) {
                    // Every hour is past.
                    unless_full(sealed.history().summarise(Instant::MAX).map(drop));
                    let frame = sealed.history().sealed().0;
                    if unless_full(sealed.history().save_checkpoint(&checkpoint(frame))) {
                        tell("c", frame);
                    }
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let told = log.clone();
        let telling = tokio::spawn(async move {
            let mut last = told.durable_tail();
            while told.durable(last.next()).await {
                last = told.durable_tail();
                tell("r", last.0);
            }
        });
        let writing = async {
            loop {
                let lsn = log.tail().0 + 1;
                let record = log.put(body(lsn)).await.unwrap();
                assert_eq!(record.lsn.0, lsn);
                if lsn.is_multiple_of(5) {
                    // What an operator does, and what an alarm does, is durable at once.
                    log.hurry();
                    log.durable(record.lsn).await;
                }
            }
        };
        tokio::select! {
            ended = committing => panic!("committing ended: {ended:?}"),
            ended = sealing => panic!("sealing ended: {ended:?}"),
            ended = telling => panic!("telling ended: {ended:?}"),
            () = writing => {}
        }
    });
}

fn unless_full(done: Result<(), PortError>) -> bool {
    let is_full = matches!(done, Err(PortError::Full { .. }));
    if !is_full {
        done.unwrap();
    }
    !is_full
}
