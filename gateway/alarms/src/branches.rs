//! Occurrences that were left behind, as far as they follow their condition: what is put aside is the condition with all of
//! its occurrences (OPC 10000-9 §5.5.3: methods that put aside are called on the condition), so a branch is put aside for
//! as long as its condition is. What its group makes of it is of the occurrence that stands alone.

use crate::condition::{Changed, Condition};
use crate::{ConditionState, Suppression};

impl Condition {
    /// Whether a branch is put aside otherwise than its condition.
    pub(crate) fn leaves_branches_aside(&self) -> bool {
        self.state.branches.iter().any(|branch| !branch.is_aside_as(&self.state))
    }

    /// Puts branches aside with their condition, or no longer, and has each that this changes told; of one that is disabled
    /// nothing is.
    pub(crate) fn put_branches_aside(&mut self, changed: &mut Changed) {
        if !self.leaves_branches_aside() {
            return;
        }
        let state = self.state_mut();
        let mut branches = std::mem::take(&mut state.branches);
        for (place, branch) in branches.iter_mut().enumerate() {
            if !branch.is_aside_as(state) {
                branch.put_aside_as(state);
                if state.enabled.value {
                    changed.branch(place);
                }
            }
        }
        state.branches = branches;
    }
}

impl ConditionState {
    fn is_aside_as(&self, condition: &Self) -> bool {
        self.suppressed.value == condition.suppressed.value.with(Suppression::GROUP, false)
            && self.shelving.value == condition.shelving.value
            && self.out_of_service.value == condition.out_of_service.value
            && self.maintenance.until == condition.maintenance.until
    }

    fn put_aside_as(&mut self, condition: &Self) {
        let (suppressed, out) = (&condition.suppressed, &condition.out_of_service);
        self.suppressed.set(suppressed.value.with(Suppression::GROUP, false), suppressed.since);
        self.out_of_service.set(out.value, out.since);
        self.maintenance.clone_from(&condition.maintenance);
        if self.shelving.value != condition.shelving.value {
            self.shelving.clone_from(&condition.shelving);
            let before = condition.moves.as_ref().and_then(|moves| moves.shelved_before);
            self.moves.get_or_insert_default().shelved_before = before;
        }
    }
}
