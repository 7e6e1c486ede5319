//! Suppression by the mode of operation (ISA-18.2 §12, designed suppression): what says nothing worth an alarm while the
//! plant starts, is cleaned or stands still. Which mode it is, the plant says.

use std::sync::Arc;

use watchfire_alarms::{ConditionDef, ConditionState, Engine, Suppression, Transition};
use watchfire_model::{ConditionKey, Instant, Lsn};

/// The mode of operation, once it is known.
#[derive(Debug, Default)]
pub(crate) struct Mode(Option<u32>);

impl Mode {
    /// Another mode: suppresses what says nothing in it, and takes back what was suppressed in the one before. What a person
    /// has lifted stays so until the mode is another.
    pub(crate) fn change(&mut self, engine: &mut Engine, mode: u32, cause: Lsn, now: Instant) -> Vec<Transition> {
        let is_another = self.0.replace(mode).is_some_and(|before| before != mode);
        let concerned = |(def, state): &(&Arc<ConditionDef>, &ConditionState)| {
            self.differs(def, state).is_some() || (is_another && state.has_lifted(Suppression::MODE))
        };
        let keys: Vec<ConditionKey> = engine.conditions().filter(concerned).map(|(def, _)| def.key.clone()).collect();
        let mut all = Vec::new();
        if is_another {
            for key in &keys {
                if engine.state(key).is_some_and(|state| state.has_lifted(Suppression::MODE)) {
                    all.extend(engine.suppress(key, Suppression::MODE, false, cause, now));
                }
            }
        }
        all.extend(self.settle(engine, &keys, cause, now));
        all
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
        let held = state.suppressed.value.has(Suppression::MODE) || state.has_lifted(Suppression::MODE);
        (held != holds).then_some(holds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OwnConditions;
    use watchfire_alarms::Rules;
    use watchfire_model::{AlarmCommand, CommandKind};

    #[test]
    fn what_a_person_has_lifted_stays_so_until_the_mode_is_another() {
        let (mut engine, mut mode, at) = (Engine::default(), Mode::default(), Instant::from_s(1));
        let key = ConditionKey::new("plain", "high", "");
        let rules = Arc::new(Rules { suppress_in_modes: vec![2, 3], ..Rules::default() });
        let plain = OwnConditions::new("area").detector_def("plain");
        let def = Arc::new(ConditionDef { key: key.clone(), rules, ..(*plain).clone() });
        engine.define(def, at);
        let aside = |engine: &Engine| engine.state(&key).unwrap().is_aside();
        mode.change(&mut engine, 3, Lsn(1), at);
        assert!(aside(&engine));
        let (kind, event_id) = (CommandKind::Unsuppress, Vec::new());
        let command = AlarmCommand { key: key.clone(), kind, event_id, comment: None, user: "bob".into(), at };
        engine.command(&command, Lsn(2)).unwrap();
        assert!(mode.settle(&mut engine, std::slice::from_ref(&key), Lsn(3), at).is_empty(), "a reload");
        assert!(mode.change(&mut engine, 3, Lsn(4), at).is_empty());
        // A restart does not know which mode it was.
        let mut begun = Mode::default();
        assert!(begun.change(&mut engine, 3, Lsn(5), at).is_empty() && !aside(&engine));
        mode.change(&mut engine, 2, Lsn(6), at);
        assert!(aside(&engine), "another mode that is as quiet suppresses anew");
        engine.command(&command, Lsn(7)).unwrap();
        mode.change(&mut engine, 1, Lsn(8), at);
        assert!(!aside(&engine));
        mode.change(&mut engine, 3, Lsn(9), at);
        assert!(aside(&engine), "and so does the same one when it comes again");
    }
}
