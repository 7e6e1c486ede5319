//! What conditions were that are configured no longer, for the history of events: their types, classes, areas and texts, as
//! their detectors and the configuration had them last. Kept for each detector when it begins, with what it had before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use watchfire_alarms::{AlarmType, ConditionClass, ConditionDef, Group, Rules};
use watchfire_model::{ConditionKey, Limits, Scope, Severity};

use crate::{Log, OWN_BINDING, OwnConditions, PortError};

/// The version of what is kept, its first byte.
const VERSION: u8 = 1;
/// Conditions of one detector that are configured no longer; those that went first are forgotten first.
const GONE_MOST: usize = if cfg!(test) { 3 } else { 10_000 };
/// What is kept of one detector.
const BYTES_MOST: usize = 8 << 20;
/// Detectors of which anything is kept; the one that began longest ago is forgotten first.
const DETECTORS_MOST: usize = if cfg!(test) { 4 } else { 1_000 };
/// The note that has their names.
const NAMES: &str = "defined";

/// Whoever changes the list of names; detectors begin beside each other.
static LISTING: Mutex<()> = Mutex::new(());

/// What conditions have in common.
#[derive(Serialize, Deserialize)]
struct Common {
    alarm_type: AlarmType,
    class: ConditionClass,
    sub_classes: Vec<ConditionClass>,
    scope: Scope,
    severity: u16,
    text: String,
    response: String,
    confirm: bool,
    detector: String,
    /// Of an area, as often as it has conditions.
    area: String,
    latch: bool,
    /// On, off, until it is one anew, shelved at the most, until somebody must have done something, until it is reached.
    times: [Option<Duration>; 6],
    /// Its name, and whether those that follow the first are suppressed.
    group: Option<(String, bool)>,
    cause: String,
    consequence: String,
    normal: Option<f64>,
    limits: [Option<f64>; 4],
}

#[derive(Serialize, Deserialize)]
struct One {
    condition: String,
    instance: String,
    /// Where it is not its instance.
    source_name: Option<String>,
    against: Option<String>,
    common: u32,
}

#[derive(Default, Serialize, Deserialize)]
struct Kept {
    commons: Vec<Common>,
    /// What is defined first, then what was before; what went last comes first.
    all: Vec<One>,
}

fn note_of(binding: &str) -> String {
    format!("{NAMES}/{binding}")
}

/// Keeps what the conditions of a detector are, for the time when they are configured no longer. Some reads where nothing has
/// changed; blocks.
///
/// # Errors
/// When the store fails.
pub(crate) fn keep(log: &Log, binding: &str, defined: &[Arc<ConditionDef>]) -> Result<(), PortError> {
    let note = note_of(binding);
    let kept = log.history().note(&note)?.unwrap_or_default();
    let keys: BTreeSet<&ConditionKey> = defined.iter().map(|def| &def.key).collect();
    let mut before = read(binding, &kept, |key| !keys.contains(key));
    before.truncate(GONE_MOST);
    let mut all: Vec<&ConditionDef> = defined.iter().map(|def| &**def).chain(&before).collect();
    let mut bytes = written(&all);
    while bytes.len() > BYTES_MOST {
        all.truncate(all.len() / 2);
        bytes = written(&all);
    }
    if bytes == kept {
        return Ok(());
    }
    enlist(log, binding)?;
    log.history().set_note(&note, &bytes)
}

/// Has the name of a detector in the list, and forgets what is kept of those for which it has no place any more.
fn enlist(log: &Log, binding: &str) -> Result<(), PortError> {
    let _alone = LISTING.lock();
    let kept = log.history().note(NAMES)?.unwrap_or_default();
    let mut names: Vec<String> = match kept.split_first() {
        Some((&VERSION, body)) => postcard::from_bytes(body).unwrap_or_default(),
        _ => Vec::new(),
    };
    names.retain(|name| name != binding);
    names.push(binding.to_owned());
    let too_many = names.len().saturating_sub(DETECTORS_MOST);
    for name in names.drain(..too_many) {
        log.history().set_note(&note_of(&name), &[])?;
    }
    log.history().set_note(NAMES, &postcard::to_extend(&names, vec![VERSION]).unwrap_or_default())
}

/// What the conditions of a detector are, and were as long as they were defined, as far as that is kept; none where it cannot
/// be read. Of which signals they are is in their names. Blocks.
pub(crate) fn once(log: &Log, binding: &str) -> Vec<ConditionDef> {
    match log.history().note(&note_of(binding)) {
        Ok(kept) => read(binding, &kept.unwrap_or_default(), |_| true),
        Err(error) => {
            tracing::error!(detector = binding, %error, "what its conditions were cannot be read");
            Vec::new()
        }
    }
}

impl OwnConditions {
    /// What a condition of the gateway's own is that is there no more, as far as its name alone says it: that a source was
    /// lost, that a detector failed or told too much.
    #[must_use]
    pub fn once(&self, key: &ConditionKey) -> Option<Arc<ConditionDef>> {
        let about = key.instance();
        if key.binding() != OWN_BINDING || about.is_empty() {
            None
        } else if *key == Self::source_key(about) {
            Some(self.source_def(about))
        } else if *key == Self::detector_key(about) {
            Some(self.detector_def(about))
        } else if *key == Self::budget_key(about) {
            Some(self.budget_def(about))
        } else {
            None
        }
    }
}

fn written(all: &[&ConditionDef]) -> Vec<u8> {
    let mut kept = Kept::default();
    let mut places: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
    for def in all {
        let common = common_of(def);
        let bytes = postcard::to_allocvec(&common).unwrap_or_default();
        let next = u32::try_from(places.len()).unwrap_or(u32::MAX);
        let place = *places.entry(bytes).or_insert(next);
        if place == next {
            kept.commons.push(common);
        }
        kept.all.push(One {
            condition: def.key.condition().to_owned(),
            instance: def.key.instance().to_owned(),
            source_name: (*def.source_name != *def.key.instance()).then(|| def.source_name.to_string()),
            against: def.rules.against.as_ref().map(ToString::to_string),
            common: place,
        });
    }
    postcard::to_extend(&kept, vec![VERSION]).unwrap_or_default()
}

fn common_of(def: &ConditionDef) -> Common {
    let ConditionDef { area, alarm_type, class, scope, severity, text, response, confirm, detector, rules, .. } = def;
    let Limits { high_high, high, low, low_low } = rules.limits;
    Common {
        alarm_type: *alarm_type,
        class: *class,
        sub_classes: rules.sub_classes.clone(),
        scope: *scope,
        severity: severity.get(),
        text: text.to_string(),
        response: response.to_string(),
        confirm: *confirm,
        detector: detector.to_string(),
        area: area.to_string(),
        latch: rules.latch,
        times: [
            rules.on_delay,
            rules.off_delay,
            rules.re_alarm,
            rules.max_shelve,
            rules.respond_within,
            rules.expected_time,
        ],
        group: rules.group.as_ref().map(|group| (group.name.to_string(), group.first_only)),
        cause: rules.cause.clone(),
        consequence: rules.consequence.clone(),
        normal: rules.normal,
        limits: [high_high, high, low, low_low],
    }
}

fn read(binding: &str, kept: &[u8], wanted: impl Fn(&ConditionKey) -> bool) -> Vec<ConditionDef> {
    let Some((&VERSION, body)) = kept.split_first() else { return Vec::new() };
    let Ok(Kept { commons, all }) = postcard::from_bytes::<Kept>(body) else { return Vec::new() };
    let commons: Vec<ConditionDef> = commons.into_iter().map(|common| general(binding, common)).collect();
    let one = |one: One| {
        let general = commons.get(usize::try_from(one.common).ok()?)?;
        let key = Some(ConditionKey::new(binding, &one.condition, &one.instance)).filter(&wanted)?;
        let mut def =
            ConditionDef { key, source_name: one.source_name.unwrap_or(one.instance).into(), ..general.clone() };
        if let Some(against) = one.against {
            Arc::make_mut(&mut def.rules).against = Some(against.into());
        }
        Some(def)
    };
    all.into_iter().filter_map(one).collect()
}

/// What conditions have in common, as one of no name.
fn general(binding: &str, common: Common) -> ConditionDef {
    let [on_delay, off_delay, re_alarm, max_shelve, respond_within, expected_time] = common.times;
    let [high_high, high, low, low_low] = common.limits;
    let rules = Rules {
        on_delay,
        off_delay,
        re_alarm,
        max_shelve,
        latch: common.latch,
        group: common.group.map(|(name, first_only)| Group { name: name.into(), first_only }),
        cause: common.cause,
        consequence: common.consequence,
        respond_within,
        normal: common.normal,
        expected_time,
        sub_classes: common.sub_classes,
        limits: Limits { high_high, high, low, low_low },
        ..Rules::default()
    };
    ConditionDef {
        key: ConditionKey::new(binding, "", ""),
        area: common.area.into(),
        source_name: "".into(),
        signal: None,
        scope: common.scope,
        alarm_type: common.alarm_type,
        class: common.class,
        severity: Severity::clamped(common.severity),
        text: common.text.into(),
        response: common.response.into(),
        confirm: common.confirm,
        detector: common.detector.into(),
        rules: Arc::new(rules),
    }
}
