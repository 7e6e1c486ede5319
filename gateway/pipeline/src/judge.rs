//! A detector and the gateway's half of it: scores become events, repeated levels are dropped. What live detection and
//! replay share, so that both decide the same; everything in it that lasts can be saved.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use watchfire_calibration::{Gate, GateEvent, GateSettings};
use watchfire_model::{
    Batch, BatchGap, ConditionSpec, Decides, GapCause, Instant, Level, Lsn, Outcome, Phase, Progress, Scale,
    SourceState, Verdict,
};

use crate::settings::{fitting_types, known_conditions, settings_of};
use crate::{BindingSpec, Checkpoint, CreateError, Detector, DetectorFactory, DetectorFault, DetectorIdentity};

/// A condition instance of a binding: condition index, instance number.
type Place = (u16, u32);

/// The version of the gateway's half as it is saved.
const HOST_VERSION: u8 = 1;

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

/// A detector with the gateway's half.
pub struct Judge {
    detector: Box<dyn Detector>,
    gates: Vec<Option<GateSettings>>,
    host: HostHalf,
    /// Whether its levels were restored: then it knows all that it ever told.
    knows_levels: bool,
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
        Ok(Self { detector, gates, host: HostHalf::default(), knows_levels: false })
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
        let host = match checkpoint.host.split_first() {
            None => Ok(HostHalf::default()),
            Some((&HOST_VERSION, bytes)) => postcard::from_bytes(bytes).map_err(|error| error.to_string()),
            Some((version, _)) => Err(format!("it has version {version}, this program's is {HOST_VERSION}")),
        };
        self.knows_levels = host.is_ok() && !checkpoint.host.is_empty();
        let host = host.unwrap_or_else(|error| {
            tracing::warn!(
                detector = checkpoint.binding,
                error,
                "levels and gates are unknown; what was learned is kept"
            );
            HostHalf::default()
        });
        if !checkpoint.bytes.is_empty()
            && let Err(fault) = self.detector.load(checkpoint.state_version, &checkpoint.bytes).await
        {
            tracing::warn!(detector = checkpoint.binding, %fault, "the plugin cannot use its saved state; it learns anew");
            return false;
        }
        self.host = host;
        true
    }

    /// The whole state after `frame`.
    ///
    /// # Errors
    /// When the plugin fails to save; the instance is finished then.
    pub async fn save(&mut self, binding: &str, frame: Lsn) -> Result<Checkpoint, DetectorFault> {
        let bytes = self.detector.save().await?.unwrap_or_default();
        let host = postcard::to_extend(&self.host, vec![HOST_VERSION]);
        let host = host.map_err(|error| DetectorFault::Contract(error.to_string()))?;
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

    /// Whether what it does not list as standing does not stand: it knows all that it ever told, and can judge.
    pub(crate) fn knows_what_stands(&self) -> bool {
        self.knows_levels && self.host.phase != Some(Phase::Learning)
    }

    async fn judge_whole(&mut self, batch: &Batch) -> Result<Judgement, DetectorFault> {
        let due = self.identity().tick.is_some_and(|tick| batch.now >= self.host.last_call.plus(tick));
        let mut judgement = Judgement::default();
        if !batch.is_empty() || due {
            self.host.last_call = batch.now;
            let outcome = self.detector.process(batch).await?;
            self.take(batch, outcome, &mut judgement).await?;
        }
        if self.host.down.is_empty() {
            self.settle(batch.now, &mut judgement);
        }
        Ok(judgement)
    }

    async fn take(&mut self, batch: &Batch, outcome: Outcome, judgement: &mut Judgement) -> Result<(), DetectorFault> {
        if let Some(progress) = outcome.progress {
            judgement.phase = (self.host.phase != Some(progress.phase)).then_some(progress.phase);
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
            if let Some(GateEvent::Began(score)) = gate.offer(&settings, batch.now, *score) {
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

/// The gate of a condition: `None` when the plugin decides itself.
fn gate_of(spec: &BindingSpec, condition: &ConditionSpec) -> Result<Option<GateSettings>, CreateError> {
    if condition.decides == Decides::Plugin {
        return Ok(None);
    }
    let configured = settings_of(spec, &condition.id);
    let default = GateSettings::default();
    let threshold = match (configured.threshold, condition.scale) {
        (Some(threshold), _) => threshold,
        (None, Scale::NegLog10P) => default.threshold,
        (None, Scale::Ordinal) => {
            let text = format!(
                "detector `{}`: condition `{}` has scores without a scale; set `threshold` under `[detector.alarm.{}]`",
                spec.name, condition.id, condition.id
            );
            return Err(CreateError::Refused(text));
        }
    };
    Ok(Some(GateSettings { threshold, hold_off: configured.hold_off.unwrap_or(default.hold_off), ..default }))
}
