//! `process`, the call that comes with every frame, as the component model lays it out: columns stay where the host has
//! put them, and what is answered stays where the detector has put it until the next frame, so that no call is needed to
//! free it. All other calls are generated. For [`crate::export!`] alone.

use std::mem::MaybeUninit;

use crate::glue::{self, Cell};
use crate::{Batch, Cause, Detector, Gap, Outcome, Refusal};

/// A list: where it is, and of how many.
#[repr(C)]
struct List<T>(*const T, usize);

/// An option: whether there is something, and what.
#[repr(C)]
struct Maybe<T>(bool, MaybeUninit<T>);

/// The contract's `batch`.
#[repr(C)]
pub struct Columns {
    frame: u64,
    now: i64,
    utc_offset_s: i32,
    mode: u32,
    signal: List<u32>,
    time: List<i64>,
    value: List<f64>,
    status: List<u32>,
    quality: List<u8>,
    skew_ns: List<i64>,
    exact: List<Exact>,
    text: List<Text>,
    gaps: List<Missing>,
}

#[repr(C)]
struct Exact(u32, i64);

#[repr(C)]
struct Text(u32, List<u8>);

/// The contract's `gap`.
#[repr(C)]
struct Missing {
    of_one: bool,
    signal: u32,
    since: i64,
    until: i64,
    cause: u8,
}

/// The contract's `result<outcome, refusal>`, where it is an outcome.
#[repr(C)]
struct Answer {
    refused: bool,
    said: Said,
}

/// The contract's `outcome`.
#[repr(C)]
struct Said {
    condition: List<u16>,
    instance: List<u32>,
    at: List<i64>,
    score: List<f64>,
    verdicts: List<Verdict>,
    progress: Maybe<Progress>,
}

/// The same, where it is a refusal.
#[repr(C, align(8))]
struct Refused {
    refused: bool,
    refusal: Told,
}

/// The contract's `refusal`.
#[repr(C, align(8))]
struct Told {
    blame: u8,
    key: Maybe<List<u8>>,
    message: List<u8>,
}

/// The contract's `progress`.
#[repr(C)]
struct Progress {
    phase: u8,
    have: u64,
    need: u64,
    note: List<u8>,
}

/// The contract's `verdict`.
#[repr(C)]
struct Verdict {
    condition: u16,
    instance: u32,
    at: i64,
    level: u8,
    score: Maybe<f64>,
    why: List<u8>,
    evidence: List<Finding>,
}

/// The contract's `finding`.
#[repr(C)]
struct Finding {
    signal: u32,
    observed: f64,
    low: Maybe<f64>,
    high: Maybe<f64>,
    share: f64,
}

// What the component model asks for, in a memory of 32 bits.
const _: () = {
    assert!(size_of::<Columns>() == 96 && size_of::<Missing>() == 32);
    assert!(size_of::<Exact>() == 16 && size_of::<Text>() == 12);
    assert!(size_of::<Answer>() == 88 && size_of::<Verdict>() == 56 && size_of::<Finding>() == 56);
    assert!(size_of::<Said>() == 80 && size_of::<Refused>() == 32 && size_of::<Told>() == 24);
};

/// What was answered last, and all that it points to.
#[derive(Default)]
pub struct Answered {
    answer: Option<Answer>,
    outcome: Outcome,
    verdicts: Vec<Verdict>,
    evidence: Vec<Vec<Finding>>,
}

/// Judges a batch; what it points to stays until the next.
///
/// # Safety
/// For the host alone: it must hand over what the contract says, where `cabi_realloc` has given it room.
#[doc(hidden)]
pub unsafe fn process<D: Detector>(cell: &Cell<D>, batch: *mut Columns) -> *const u8 {
    // SAFETY: as above.
    let batch = unsafe { taken(*Box::from_raw(batch)) };
    let mut running = cell.borrow_mut();
    let Some(running) = running.as_mut() else { return refused(glue::not_started()) };
    match running.detector.process(&batch) {
        Ok(outcome) => running.answered.with(outcome),
        Err(refusal) => refused(refusal),
    }
}

/// SAFETY: it must come from the host.
unsafe fn taken(columns: Columns) -> Batch {
    // SAFETY: each list is where the host was given as many bytes, and is taken once; its texts are UTF-8.
    unsafe {
        let text = |Text(row, text): Text| (row, String::from_utf8_unchecked(text.taken()));
        Batch {
            frame: columns.frame,
            now: columns.now,
            utc_offset_s: columns.utc_offset_s,
            mode: columns.mode,
            signal: columns.signal.taken(),
            time: columns.time.taken(),
            value: columns.value.taken(),
            status: columns.status.taken(),
            quality: columns.quality.taken(),
            skew_ns: columns.skew_ns.taken(),
            exact: columns.exact.taken().into_iter().map(|Exact(row, bits)| (row, bits)).collect(),
            text: columns.text.taken().into_iter().map(text).collect(),
            gaps: columns.gaps.taken().into_iter().map(gap).collect(),
        }
    }
}

fn gap(gap: Missing) -> Gap {
    let cause = match gap.cause {
        0 => Cause::SourceLost,
        1 => Cause::Overflow,
        2 => Cause::Skipped,
        _ => Cause::NotRecorded,
    };
    Gap { signal: gap.of_one.then_some(gap.signal), since: gap.since, until: gap.until, cause }
}

/// A refusal ends the instance: what it points to is never freed.
fn refused(refusal: Refusal) -> *const u8 {
    let Refusal { blame, key, message } = refusal;
    let kept = |text: String| List::of(text.leak().as_bytes());
    let refusal = Told { blame: blame as u8, key: Maybe::of(key.map(kept)), message: kept(message) };
    (&raw const *Box::leak(Box::new(Refused { refused: true, refusal }))).cast()
}

impl Answered {
    fn with(&mut self, outcome: Outcome) -> *const u8 {
        // What was there is freed here: the host has read it long since.
        self.outcome = outcome;
        self.verdicts.clear();
        self.evidence.clear();
        let Outcome { scores, verdicts, progress } = &self.outcome;
        self.evidence.extend(verdicts.iter().map(|verdict| verdict.evidence.iter().map(finding).collect()));
        let lowered = verdicts.iter().zip(&self.evidence).map(|(told, evidence)| verdict(told, evidence));
        self.verdicts.extend(lowered);
        let progress = progress.as_ref().map(|progress| Progress {
            phase: progress.phase as u8,
            have: progress.have,
            need: progress.need,
            note: List::of(progress.note.as_bytes()),
        });
        let said = Said {
            condition: List::of(&scores.condition),
            instance: List::of(&scores.instance),
            at: List::of(&scores.at),
            score: List::of(&scores.score),
            verdicts: List::of(&self.verdicts),
            progress: Maybe::of(progress),
        };
        (&raw const *self.answer.insert(Answer { refused: false, said })).cast()
    }
}

fn verdict(told: &crate::Verdict, evidence: &[Finding]) -> Verdict {
    Verdict {
        condition: told.condition,
        instance: told.instance,
        at: told.at,
        level: told.level as u8,
        score: Maybe::of(told.score),
        why: List::of(told.why.as_bytes()),
        evidence: List::of(evidence),
    }
}

fn finding(finding: &crate::Finding) -> Finding {
    Finding {
        signal: finding.signal,
        observed: finding.observed,
        low: Maybe::of(finding.low),
        high: Maybe::of(finding.high),
        share: finding.share,
    }
}

impl<T> List<T> {
    fn of(list: &[T]) -> Self {
        Self(list.as_ptr(), list.len())
    }

    /// SAFETY: it must be a list of the host's, and be taken once.
    unsafe fn taken(self) -> Vec<T> {
        // SAFETY: as above; it fills what it was given.
        unsafe { Vec::from_raw_parts(self.0.cast_mut(), self.1, self.1) }
    }
}

impl<T> Maybe<T> {
    fn of(what: Option<T>) -> Self {
        match what {
            Some(is) => Self(true, MaybeUninit::new(is)),
            None => Self(false, MaybeUninit::uninit()),
        }
    }
}
