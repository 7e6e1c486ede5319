//! Where conditions are found: in their area, at the signal or the source that they are about, in their group. Each keeps
//! its place among all, and is moved when it is defined in another way than before.

use std::sync::Arc;

use super::{Condition, Place, Space};

impl Space {
    /// Gives a new condition its place in the tree.
    pub(super) fn place(&mut self, condition: Arc<Condition>) {
        // Each takes more than a byte, so that there are never so many.
        let Ok(place) = Place::try_from(self.conditions.len()) else { return };
        if let Some(area) = self.areas.get_mut(&condition.area) {
            area.conditions.push(place);
        }
        self.put_at(place, &condition);
        self.places.insert(condition.def.key.clone(), place);
        self.conditions.push(condition);
    }

    /// Puts a condition at what it is about.
    fn put_at(&mut self, place: Place, condition: &Condition) {
        let (path, name) = (&condition.area, &condition.def.source_name);
        if let Some(signal) = condition.signal.as_ref().and_then(|signal| self.signals.get_mut(&signal.id)) {
            // Most have one.
            signal.conditions.reserve_exact(1);
            signal.conditions.push(place);
            return;
        }
        let source = self.sources.entry(name.clone()).or_default();
        source.conditions.push(place);
        if !source.areas.contains(path) {
            source.areas.push(path.clone());
            if let Some(area) = self.areas.get_mut(path) {
                area.sources.push(name.clone());
            }
        }
    }

    /// Hands a condition that is defined anew over to what it is about now: while its detector was away nobody may have
    /// known its signal.
    pub(super) fn hand_over(&mut self, before: &Condition, after: &Condition) {
        let signal = |condition: &Condition| condition.signal.as_ref().map(|signal| signal.id);
        let is_same = match (signal(before), signal(after)) {
            (None, None) => before.def.source_name == after.def.source_name,
            (was, is) => was == is,
        };
        let Some(place) = self.places.get(&after.def.key).copied().filter(|_| !is_same) else { return };
        match signal(before).and_then(|signal| self.signals.get_mut(&signal)) {
            Some(signal) => signal.conditions.retain(|other| *other != place),
            None => self.leave_source(place, &before.def.source_name),
        }
        self.put_at(place, after);
    }

    /// Takes a condition from a source, which is there no more without any.
    fn leave_source(&mut self, place: Place, name: &Arc<str>) {
        let Some(source) = self.sources.get_mut(name) else { return };
        source.conditions.retain(|other| *other != place);
        if !source.conditions.is_empty() {
            return;
        }
        for path in self.sources.remove(name).into_iter().flat_map(|source| source.areas) {
            if let Some(area) = self.areas.get_mut(&path) {
                area.sources.retain(|other| other != name);
            }
        }
    }

    /// Moves a condition that is defined anew to another area, and with it what it is about.
    pub(super) fn relocate(&mut self, before: &Condition, after: &Condition) {
        let Some(place) = self.places.get(&after.def.key).copied() else { return };
        if let Some(area) = self.areas.get_mut(&before.area) {
            area.conditions.retain(|other| *other != place);
        }
        if let Some(area) = self.areas.get_mut(&after.area) {
            area.conditions.push(place);
        }
        let name = &after.def.source_name;
        let Some(source) = self.sources.get_mut(name).filter(|_| after.signal.is_none()) else { return };
        if !source.areas.contains(&after.area) {
            source.areas.push(after.area.clone());
            if let Some(area) = self.areas.get_mut(&after.area) {
                area.sources.push(name.clone());
            }
        }
        let conditions = &self.conditions;
        let at = |place: &Place| usize::try_from(*place).ok().and_then(|place| conditions.get(place));
        if source.conditions.iter().filter_map(at).all(|other| other.area != before.area) {
            source.areas.retain(|area| *area != before.area);
            if let Some(area) = self.areas.get_mut(&before.area) {
                area.sources.retain(|other| other != name);
            }
        }
    }

    /// Keeps who is in which group: a condition that is defined anew may be in another one.
    pub(super) fn group(&mut self, before: Option<&Condition>, after: &Condition) {
        let (was, is) = (before.and_then(|before| before.group()), after.group());
        if was == is {
            return;
        }
        let Some(place) = self.places.get(&after.def.key).copied() else { return };
        if let Some(members) = was.and_then(|was| self.groups.get_mut(was)) {
            members.retain(|member| *member != place);
        }
        if let Some(is) = is {
            self.groups.entry(is.clone()).or_default().push(place);
        }
        self.groups.retain(|_, members| !members.is_empty());
        if !self.groups.is_empty() && self.groups_in.is_none() {
            self.groups_in = Some(self.area(""));
        }
    }
}
