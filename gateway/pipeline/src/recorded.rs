//! What the log has of one detector, as far as the version that runs now said it: beside its detector at first, if it
//! came by an upgrade, and as the detector since it took over. What another version said meanwhile is another's.

use std::collections::{BTreeMap, BTreeSet};

use watchfire_model::{Control, DetectorOrigin, GateSet, Lsn, Record, RecordBody, UpgradeStep, Verdict};

use crate::BindingPlan;

/// What was recorded of a binding.
pub(crate) struct Recorded<'p> {
    name: &'p str,
    kept_as: &'p str,
    config_hash: &'p str,
    /// The name under which the state of the version that runs at this point of the log is kept.
    runs: String,
    /// That of the version that runs from its next start on, and its digest.
    next: Option<(String, String)>,
    /// Whether it has just taken the place of another.
    came: bool,
    /// The record after which it began.
    pub start: Option<Lsn>,
    /// Up to here it learned from what was on record before.
    pub taught: Lsn,
    /// Whether it began from nothing in what is kept, with this configuration or another.
    pub began: bool,
    /// Whether it began with the state of another version.
    pub goes_on: bool,
    /// Frames that it left out.
    pub skips: BTreeSet<Lsn>,
    /// Records that were no longer kept when the detector came to them: from, and where it went on.
    pub holes: BTreeMap<Lsn, Lsn>,
    /// Where each life of the detector began, in the order of the log, and whether its verdicts were recorded.
    lives: Vec<(Lsn, bool)>,
    /// What it said, by frame.
    pub verdicts: BTreeMap<Lsn, Vec<Verdict>>,
    /// By what its scores became events, from the frames after these on.
    pub gates: BTreeMap<Lsn, Vec<GateSet>>,
    /// After which frame its last life reads, and where that began.
    life: (Lsn, Lsn),
}

impl<'p> Recorded<'p> {
    pub(crate) fn of(plan: &'p BindingPlan, config_hash: &'p str) -> Self {
        Self {
            name: &plan.spec.name,
            kept_as: &plan.kept_as,
            config_hash,
            runs: plan.spec.name.clone(),
            next: None,
            came: false,
            start: None,
            taught: Lsn(0),
            began: false,
            goes_on: false,
            skips: BTreeSet::new(),
            holes: BTreeMap::new(),
            lives: Vec::new(),
            verdicts: BTreeMap::new(),
            gates: BTreeMap::new(),
            life: (Lsn(0), Lsn(0)),
        }
    }

    /// Whether what is on record of a binding is of the version that is replayed.
    fn is_ours(&self, binding: &str) -> bool {
        if binding == self.name { self.runs == self.kept_as } else { binding == self.kept_as }
    }

    pub(crate) fn note(&mut self, record: &Record) {
        match &record.body {
            RecordBody::Control(Control::Upgraded { binding, step, digest, kept_as, .. })
                if binding == self.name && *step != UpgradeStep::Began =>
            {
                self.next = Some((kept_as.clone(), digest.clone()));
            }
            RecordBody::Control(Control::DetectorStarted {
                binding, digest, config_hash, origin, recorded, ..
            }) => {
                if binding == self.name
                    && let Some((kept_as, _)) = self.next.take_if(|(_, next)| next == digest)
                {
                    self.came = self.runs != kept_as;
                    self.runs = kept_as;
                }
                if self.is_ours(binding) {
                    self.life(record.lsn, *origin, config_hash, *recorded);
                }
            }
            RecordBody::Control(Control::Gated { binding, gates }) if self.is_ours(binding) => self.gated(gates),
            RecordBody::Control(Control::DetectorSkipped { binding, from, to }) if self.is_ours(binding) => {
                self.holes.insert(*from, *to);
            }
            RecordBody::Control(Control::DetectorFault { binding, frame, skip: true, .. }) if self.is_ours(binding) => {
                self.skips.insert(*frame);
            }
            RecordBody::Decided(decided) if self.is_ours(&decided.binding) => {
                self.verdicts.insert(decided.frame, decided.verdicts.clone());
            }
            _ => {}
        }
    }

    /// What its last life goes by. What the one before had said after the frame from which this one reads, it said by
    /// other thresholds, if they are others.
    fn gated(&mut self, gates: &[GateSet]) {
        let (after, place) = self.life;
        let is_other = self.gates.last_key_value().is_some_and(|(_, before)| before != gates);
        if is_other && let Some((_, recorded)) = self.lives.pop() {
            self.lives.push((after, false));
            self.lives.push((place, recorded));
        }
        if is_other || self.gates.is_empty() {
            self.gates.insert(after, gates.to_vec());
        }
    }

    fn life(&mut self, place: Lsn, origin: DetectorOrigin, config_hash: &str, recorded: bool) {
        let after = origin.after();
        self.life = (after, place);
        let ours = (config_hash == self.config_hash).then_some(after);
        let begins_beside = self.kept_as != self.name && self.start.is_none() && !self.began;
        match origin {
            DetectorOrigin::Fresh(_) | DetectorOrigin::Taught { .. } => {
                self.taught = if let DetectorOrigin::Taught { upto, .. } = origin { upto } else { Lsn(0) };
                (self.start, self.began, self.goes_on) = (ours, true, false);
                self.skips.clear();
                self.holes.clear();
                self.lives.clear();
                self.verdicts.clear();
                self.gates.clear();
            }
            DetectorOrigin::Checkpoint(_) if begins_beside => (self.start, self.goes_on) = (ours, true),
            DetectorOrigin::Checkpoint(_) => {}
        }
        if std::mem::take(&mut self.came) {
            // What it judges again up to here, another has told.
            self.lives.push((after, false));
            self.lives.push((place, recorded));
        } else {
            self.lives.push((after, recorded));
        }
    }

    /// Whether what was said of a frame was recorded: a detector that only learns leaves nothing to compare.
    pub(crate) fn compares(&self, frame: Lsn) -> bool {
        self.lives.iter().rev().find(|(after, _)| *after < frame).is_none_or(|(_, recorded)| *recorded)
    }
}
