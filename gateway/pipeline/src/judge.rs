//! A detector and the gateway's half of it: scores become events, repeated levels are dropped. What live detection and
//! replay share, so that both decide the same; everything in it that lasts can be saved.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use watchfire_calibration::{Gate, GateEvent, GateSettings};
use watchfire_model::{
    Batch, BatchGap, ConditionSpec, Frame, GapCause, GateSet, Instant, Level, Lsn, Outcome, Phase, Progress, Quality,
    SignalInfo, SourceState, Verdict,
};

use crate::binding::{Indexes, cut};
use crate::gates::{self, gate_of};
use crate::marks::{Trace, Traced};
use crate::observed::parted;
use crate::settings::{fitting_types, known_conditions};
use crate::{BindingSpec, Checkpoint, CreateError, Detector, DetectorFactory, DetectorFault, DetectorIdentity};

/// A condition instance of a binding: condition index, instance number.
type Place = (u16, u32);

/// The version of the gateway's half as it is saved.
const HOST_VERSION: u8 = 1;
/// The same of a detector that learns, with [`Learning`] behind it.
const LEARNING_VERSION: u8 = 2;

/// The gateway's half of a detector's state.
#[derive(Debug, Default, Serialize, Deserialize)]
struct HostHalf {
    gates: BTreeMap<Place, Gate>,
    levels: BTreeMap<Place, Level>,
    /// The verdicts behind every level that is not normal.
    standing: BTreeMap<Place, Verdict>,
    phase: Option<Phase>,
    last_call: Instant,
    /// The last batch's time.
    last_now: Instant,
    /// Whether frames were left out since the last batch; the next one tells the plugin.
    skipped: bool,
    /// Sources of the binding that are lost.
    down: BTreeSet<String>,
    /// Whether the last of them has come back since the gates were last looked at.
    resumed: bool,
}

/// What the gateway keeps of a detector that learns.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Learning {
    /// Up to this frame it learns from the log; what comes after it is judged.
    taught: Lsn,
    /// Conditions that were last told to be active, even if nothing is known of them now.
    active: BTreeSet<Place>,
}

/// A detector with the gateway's half.
pub struct Judge {
    detector: Box<dyn Detector>,
    gates: Vec<Option<GateSettings>>,
    host: HostHalf,
    learning: Learning,
    /// Which of its signals are streams of events that it hears as such; empty where it hears none.
    streams: Vec<bool>,
    /// Whether this instance was told to learn nothing.
    frozen: bool,
    /// Whether its levels were restored: then it knows all that it ever told.
    knows_levels: bool,
    /// Where the scores of some events are kept, for whoever asks for them.
    trace: Option<Trace>,
}

/// What a judge says of a batch.
#[derive(Debug, Default, PartialEq)]
pub struct Judgement {
    /// Levels that changed, those that the gateway decided from scores among them.
    pub verdicts: Vec<Verdict>,
    /// Progress, when the detector reported it.
    pub progress: Option<Progress>,
    /// The phase, when it changed.
    pub phase: Option<Phase>,
    /// Samples that were judged.
    pub samples: usize,
}

impl Judge {
    /// Makes a binding's detector, fresh.
    ///
    /// # Errors
    /// As [`DetectorFactory::create`]; also when a condition with ordinal scores has no configured threshold.
    pub async fn create(factory: &dyn DetectorFactory, spec: &BindingSpec) -> Result<Self, CreateError> {
        let detector = factory.create(spec).await?;
        known_conditions(spec, detector.conditions())?;
        fitting_types(spec, detector.conditions())?;
        let gates = detector.conditions().iter().map(|condition| gate_of(spec, condition));
        let gates = gates.collect::<Result<Vec<_>, _>>()?;
        let (host, learning) = (HostHalf::default(), Learning::default());
        let mut streams: Vec<bool> = spec.signals.iter().map(|signal| signal.events).collect();
        if !detector.observes() || !streams.contains(&true) {
            streams.clear();
        }
        Ok(Self { detector, gates, host, learning, streams, frozen: false, knows_levels: false, trace: None })
    }

    /// What the detector is.
    #[must_use]
    pub fn identity(&self) -> &DetectorIdentity {
        self.detector.identity()
    }

    /// What it can find.
    #[must_use]
    pub fn conditions(&self) -> &[ConditionSpec] {
        self.detector.conditions()
    }

    /// The phase it last reported.
    #[must_use]
    pub fn phase(&self) -> Option<Phase> {
        self.host.phase
    }

    /// Whether a saved state is of this plugin with this configuration.
    #[must_use]
    pub fn fits(&self, checkpoint: &Checkpoint) -> bool {
        let identity = self.identity();
        checkpoint.plugin == identity.id && checkpoint.config_hash == identity.config_hash
    }

    /// Restores a saved state. False when it cannot be used; then make a fresh judge.
    pub async fn restore(&mut self, checkpoint: &Checkpoint) -> bool {
        let read = |error: postcard::Error| error.to_string();
        let halves = match checkpoint.host.split_first() {
            None => Ok((HostHalf::default(), None)),
            Some((&HOST_VERSION, bytes)) => postcard::from_bytes(bytes).map(|host| (host, None)).map_err(read),
            Some((&LEARNING_VERSION, bytes)) => {
                postcard::from_bytes(bytes).map(|(host, learning)| (host, Some(learning))).map_err(read)
            }
            Some((version, _)) => Err(format!("it has version {version}, this program's is {LEARNING_VERSION}")),
        };
        self.knows_levels = halves.is_ok() && !checkpoint.host.is_empty();
        let (host, learning): (HostHalf, Option<Learning>) = halves.unwrap_or_else(|error| {
            tracing::warn!(
                detector = checkpoint.binding,
                error,
                "levels and gates are unknown; what was learned is kept"
            );
            Default::default()
        });
        // One that was only taught knows nothing of levels yet.
        self.knows_levels &= host.last_now != Instant::default();
        if !checkpoint.bytes.is_empty()
            && let Err(fault) = self.detector.load(checkpoint.state_version, &checkpoint.bytes).await
        {
            tracing::warn!(detector = checkpoint.binding, %fault, "the plugin cannot use its saved state; it learns anew");
            return false;
        }
        self.learning = learning.unwrap_or_else(|| {
            let standing = host.standing.iter().filter(|(_, verdict)| verdict.level != Level::Unknown);
            Learning { active: standing.map(|(place, _)| *place).collect(), ..Learning::default() }
        });
        self.host = host;
        true
    }

    /// By what its scores become events, for the log.
    pub(crate) fn gates_set(&self) -> Vec<GateSet> {
        gates::sets_of(self.conditions(), &self.gates)
    }

    /// Goes on with what was set then.
    pub(crate) fn set_gates(&mut self, set: &[GateSet]) {
        gates::take_up(self.detector.conditions(), &mut self.gates, set);
    }

    /// By what the scores of a condition become events; `None` where its plugin decides.
    pub(crate) fn gate_settings(&self, condition: u16) -> Option<GateSettings> {
        self.gate(condition)
    }

    /// Keeps the scores of events from here on that begin with these frames.
    pub(crate) fn trace(&mut self, frames: BTreeSet<Lsn>) {
        self.trace = Some(Trace::of(frames));
    }

    /// The events whose scores were kept.
    pub(crate) fn traced(&mut self) -> Vec<Traced> {
        self.trace.take().map(Trace::into_events).unwrap_or_default()
    }

    /// Whether an event of a condition is going on.
    pub(crate) fn is_going_on(&self, condition: u16) -> bool {
        self.host.gates.range((condition, 0)..=(condition, u32::MAX)).any(|(_, gate)| gate.is_open())
    }

    /// Whether its detector can learn from what is past.
    #[must_use]
    pub fn learns(&self) -> bool {
        self.detector.learns()
    }

    /// Has a fresh detector learn from the frames up to this one before it judges any.
    pub(crate) fn teach(&mut self, upto: Lsn) {
        self.learning.taught = upto.max(self.learning.taught);
    }

    /// The gateway's half as it is saved. As before there were learners, where there is none.
    pub(crate) fn host(&self) -> Result<Vec<u8>, DetectorFault> {
        let host = if self.detector.learns() {
            postcard::to_extend(&(&self.host, &self.learning), vec![LEARNING_VERSION])
        } else {
            postcard::to_extend(&self.host, vec![HOST_VERSION])
        };
        host.map_err(|error| DetectorFault::Contract(error.to_string()))
    }

    /// The whole state after `frame`.
    ///
    /// # Errors
    /// When the plugin fails to save; the instance is finished then.
    pub async fn save(&mut self, binding: &str, frame: Lsn) -> Result<Checkpoint, DetectorFault> {
        let bytes = self.detector.save().await?.unwrap_or_default();
        let host = self.host()?;
        let identity = self.identity();
        Ok(Checkpoint {
            binding: binding.to_owned(),
            plugin: identity.id.clone(),
            state_version: identity.state_version,
            config_hash: identity.config_hash.clone(),
            frame,
            bytes,
            host,
        })
    }

    /// Takes a frame: judges what is of its time, its values and then its events, then has the detector learn from what
    /// came late. One that is still taught learns from all of it.
    ///
    /// # Errors
    /// The instance is finished.
    pub(crate) async fn take(
        &mut self,
        lsn: Lsn,
        frame: &Frame,
        indexes: &Indexes,
    ) -> Result<Judgement, DetectorFault> {
        if lsn <= self.learning.taught {
            self.learn(&Batch::whole(lsn, frame, |id| indexes.of(id))).await?;
            return Ok(Judgement::default());
        }
        if let Some(trace) = &mut self.trace {
            trace.at(lsn);
        }
        let (batch, events) = if self.streams.is_empty() {
            (cut(lsn, frame, indexes), Vec::new())
        } else {
            parted(lsn, frame, indexes, &self.streams)
        };
        let mut judgement = self.judge(&batch).await?;
        if !events.is_empty() {
            self.freeze().await?;
            let outcome = self.detector.observe(lsn, frame.now, &events).await?;
            self.hear(frame.now, outcome, &mut judgement).await?;
        }
        if self.detector.learns() && frame.rows.quality.iter().any(|quality| quality.has(Quality::LATE)) {
            self.learn(&Batch::late(lsn, frame, |id| indexes.of(id))).await?;
        }
        Ok(Judgement { samples: batch.len() + events.len(), ..judgement })
    }

    /// Takes a frame as a gateway's detector does that is taught nothing before: judges its values and then its events, and
    /// learns from what came late.
    ///
    /// # Errors
    /// The instance is finished.
    pub async fn take_frame(
        &mut self,
        lsn: Lsn,
        frame: &Frame,
        signals: &[SignalInfo],
    ) -> Result<Judgement, DetectorFault> {
        self.take(lsn, frame, &Indexes::among(signals)).await
    }

    async fn learn(&mut self, batch: &Batch) -> Result<(), DetectorFault> {
        if batch.is_empty() {
            return Ok(());
        }
        self.freeze().await?;
        self.detector.learn(batch).await
    }

    /// Has the detector forget what it has learned, of a signal or all; one that learns nothing stays as it is.
    ///
    /// # Errors
    /// The instance is finished.
    pub(crate) async fn forget(&mut self, signal: Option<u32>) -> Result<(), DetectorFault> {
        if !self.detector.learns() {
            return Ok(());
        }
        self.freeze().await?;
        self.detector.forget(signal).await
    }

    /// What the detector has learned, for people to review.
    ///
    /// # Errors
    /// The instance is finished.
    pub async fn model(&mut self) -> Result<Vec<u8>, DetectorFault> {
        self.detector.model().await
    }

    /// Says before a call whether the detector may learn from it: not while a condition of its own is active. Each
    /// instance is told anew, since that is no part of its state.
    async fn freeze(&mut self) -> Result<(), DetectorFault> {
        let on = !self.learning.active.is_empty();
        if self.detector.learns() && std::mem::replace(&mut self.frozen, on) != on {
            self.detector.freeze(on).await?;
        }
        Ok(())
    }

    /// Judges a batch; calls the plugin only if there is something in it or its tick is due.
    ///
    /// # Errors
    /// The instance is finished.
    pub async fn judge(&mut self, batch: &Batch) -> Result<Judgement, DetectorFault> {
        let before = std::mem::replace(&mut self.host.last_now, batch.now);
        let since = if before == Instant::default() { batch.now } else { before };
        if std::mem::take(&mut self.host.skipped) {
            let mut told = batch.clone();
            told.gaps.push(BatchGap { signal: None, since, until: batch.now, cause: GapCause::Skipped });
            return self.judge_whole(&told).await;
        }
        self.judge_whole(batch).await
    }

    /// Says that frames before the next batch were left out: one on which the detector fails, or those that were no
    /// longer kept when it came to them. The plugin learns of it as a gap.
    pub fn skip(&mut self) {
        self.host.skipped = true;
    }

    /// How every condition instance stands that was ever told: the verdict where it is not normal.
    pub(crate) fn standing(&self) -> impl Iterator<Item = Verdict> + '_ {
        self.host.levels.keys().map(|place| match self.host.standing.get(place) {
            Some(verdict) => verdict.clone(),
            None => normal(place.0, place.1, self.host.last_now),
        })
    }

    /// The time of the last batch, up to which its state knows; `None` of one that was given none.
    pub(crate) fn known_until(&self) -> Option<Instant> {
        Some(self.host.last_now).filter(|now| *now != Instant::default())
    }

    /// Whether what it does not list as standing does not stand: it knows all that it ever told, and can judge.
    pub(crate) fn knows_what_stands(&self) -> bool {
        self.knows_levels && self.host.phase != Some(Phase::Learning)
    }

    async fn judge_whole(&mut self, batch: &Batch) -> Result<Judgement, DetectorFault> {
        let due = self.identity().tick.is_some_and(|tick| batch.now >= self.host.last_call.plus(tick));
        let mut judgement = Judgement::default();
        if !batch.is_empty() || due {
            self.host.last_call = batch.now;
            self.freeze().await?;
            let outcome = self.detector.process(batch).await?;
            self.hear(batch.now, outcome, &mut judgement).await?;
        }
        if self.host.down.is_empty() {
            self.settle(batch.now, &mut judgement);
        }
        Ok(judgement)
    }

    async fn hear(&mut self, now: Instant, outcome: Outcome, judgement: &mut Judgement) -> Result<(), DetectorFault> {
        if let Some(progress) = outcome.progress {
            if self.host.phase != Some(progress.phase) {
                judgement.phase = Some(progress.phase);
            }
            self.host.phase = Some(progress.phase);
            judgement.progress = Some(progress);
        }
        for verdict in outcome.verdicts {
            if self.gate(verdict.condition).is_none() {
                self.level(verdict, judgement);
            }
        }
        if self.host.phase == Some(Phase::Learning) {
            return Ok(());
        }
        let scores = outcome.scores;
        let columns = scores.condition.iter().zip(&scores.instance).zip(&scores.at).zip(&scores.score);
        for (((condition, instance), at), score) in columns {
            let Some(settings) = self.gate(*condition) else { continue };
            let first = !self.host.gates.contains_key(&(*condition, *instance));
            let gate = self.host.gates.entry((*condition, *instance)).or_default();
            let offered = gate.offer(&settings, now, *score);
            if let Some(trace) = &mut self.trace {
                trace.scored((*condition, *instance), now, *score, offered.is_some());
            }
            if let Some(GateEvent::Began(score)) = offered {
                let reasons = self.detector.explain(*condition, *instance).await?;
                let reasons = reasons.unwrap_or_else(|| plain(*condition, *instance, *at));
                let began = Verdict {
                    condition: *condition,
                    instance: *instance,
                    at: *at,
                    level: Level::Active,
                    score: Some(score),
                    ..reasons
                };
                self.level(began, judgement);
            } else if first {
                self.level(normal(*condition, *instance, *at), judgement);
            }
        }
        Ok(())
    }

    /// Keeps a verdict if its level is new for its instance.
    fn level(&mut self, verdict: Verdict, judgement: &mut Judgement) {
        // What was never told counts as unknown: the first "normal" ends an alarm that an earlier configuration left.
        let place = (verdict.condition, verdict.instance);
        if self.host.levels.insert(place, verdict.level) == Some(verdict.level) {
            return;
        }
        match verdict.level {
            Level::Normal => drop(self.learning.active.remove(&place)),
            // It is as it was, as far as anybody knows.
            Level::Unknown => {}
            _ => drop(self.learning.active.insert(place)),
        }
        if verdict.level == Level::Normal {
            self.host.standing.remove(&place);
        } else {
            self.host.standing.insert(place, verdict.clone());
        }
        judgement.verdicts.push(verdict);
    }

    /// Says that one of the binding's sources came or went. While one is lost nothing is known, so no event ends; the
    /// time without it does not count.
    pub fn source(&mut self, source: &str, state: SourceState) {
        match state {
            SourceState::Down => {
                self.host.down.insert(source.to_owned());
            }
            SourceState::Up => {
                self.host.resumed |= self.host.down.remove(source) && self.host.down.is_empty();
            }
        }
    }

    /// Whether one of the binding's sources is lost.
    pub(crate) fn lacks_a_source(&self) -> bool {
        !self.host.down.is_empty()
    }

    fn settle(&mut self, now: Instant, judgement: &mut Judgement) {
        if std::mem::take(&mut self.host.resumed) {
            self.host.gates.values_mut().for_each(|gate| gate.resume(now));
        }
        let mut ended = Vec::new();
        for (place, gate) in self.host.gates.iter_mut().filter(|(_, gate)| gate.is_open()) {
            let settings = self.gates.get(usize::from(place.0)).copied().flatten().unwrap_or_default();
            if gate.settle(&settings, now).is_some() {
                ended.push(*place);
            }
        }
        for (condition, instance) in ended {
            if let Some(trace) = &mut self.trace {
                trace.ended((condition, instance));
            }
            self.level(normal(condition, instance, now), judgement);
        }
    }

    fn gate(&self, condition: u16) -> Option<GateSettings> {
        self.gates.get(usize::from(condition)).copied().flatten()
    }
}

fn normal(condition: u16, instance: u32, at: Instant) -> Verdict {
    let why = "nothing unusual for a while".to_owned();
    Verdict { level: Level::Normal, why, ..plain(condition, instance, at) }
}

fn plain(condition: u16, instance: u32, at: Instant) -> Verdict {
    Verdict { condition, instance, at, level: Level::Active, score: None, why: String::new(), evidence: Vec::new() }
}
