//! Suppression by the mode of operation (ISA-18.2 §12, designed suppression): what says nothing worth an alarm while the
//! plant starts, is cleaned or stands still. Which mode it is, the plant says.

use std::sync::Arc;

use watchfire_alarms::{ConditionDef, ConditionState, Engine, Suppression, Transition};
use watchfire_model::{ConditionKey, Instant, Lsn};

/// The mode of operation, once it is known.
#[derive(Debug, Default)]
pub(crate) struct Mode(Option<u32>);

impl Mode {
    /// Another mode: suppresses what says nothing in it, and takes back what was suppressed in the one before.
    pub(crate) fn change(&mut self, engine: &mut Engine, mode: u32, cause: Lsn, now: Instant) -> Vec<Transition> {
        self.0 = Some(mode);
        let concerned = |(def, state): &(&Arc<ConditionDef>, &ConditionState)| self.differs(def, state).is_some();
        let keys: Vec<ConditionKey> = engine.conditions().filter(concerned).map(|(def, _)| def.key.clone()).collect();
        self.settle(engine, &keys, cause, now)
    }

    /// Conditions that have just been defined, perhaps in another way than before.
    pub(crate) fn settle(
        &self,
        engine: &mut Engine,
        keys: &[ConditionKey],
        cause: Lsn,
        now: Instant,
    ) -> Vec<Transition> {
        let mut all = Vec::new();
        for key in keys {
            let holds = engine.condition(key).and_then(|(def, state)| self.differs(def, state));
            if let Some(holds) = holds {
                all.extend(engine.suppress(key, Suppression::MODE, holds, cause, now));
            }
        }
        all
    }

    /// Whether a condition is to be suppressed, where that is not so already. As long as nobody knows the mode, it stays
    /// as it was, unless no mode concerns it any more.
    fn differs(&self, def: &ConditionDef, state: &ConditionState) -> Option<bool> {
        let modes = &def.rules.suppress_in_modes;
        let holds = if modes.is_empty() { false } else { modes.contains(&self.0?) };
        (state.suppressed.value.has(Suppression::MODE) != holds).then_some(holds)
    }
}
