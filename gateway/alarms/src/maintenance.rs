//! Out of service for a stated time. When the time is over the alarm does not come back by itself: whether the work is
//! done a clock cannot know, and returning to service is a person's step (ISA-18.2, maintenance: out of service). It is
//! overdue, and whoever owns the engine reminds somebody.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use watchfire_model::{CommandKind, Instant};

use crate::condition::{Changed, Condition};
use crate::{Comment, RefusedCommand, Stamped};

/// The longest time that can be stated, and how far ahead it may be planned: what is out of service for longer is no
/// maintenance.
const SERVICE_MAX: Duration = Duration::from_secs(366 * 86_400);

/// What is shown as the user of what a definition states; in states that were written before, it stands for that.
const THE_CONFIGURATION: &str = "the configuration";

/// How long a condition is out of service, and when it will be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Maintenance {
    /// When its time out of service is over; `None` where none was stated.
    pub until: Option<Instant>,
    /// Whether that has passed and nobody has put it back: somebody is to be reminded.
    pub overdue: bool,
    /// A time that is yet to come.
    pub planned: Option<Box<Planned>>,
}

/// A time out of service that is yet to come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// When it begins.
    pub from: Instant,
    /// When it is over.
    pub until: Instant,
    /// Who has planned it.
    pub by: Planner,
    /// Why; becomes the condition's comment when it begins.
    pub comment: Option<Comment>,
}

/// Who has planned a time out of service; written as a name, which is empty for what is nobody's. A person of the name that
/// the definition's plans were once written with has a NUL before theirs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Planner {
    /// The condition's definition states it.
    Definition,
    /// A person, by name.
    Person(String),
}

impl Planner {
    /// The name under which it is shown.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Definition => THE_CONFIGURATION,
            Self::Person(name) => name,
        }
    }
}

impl From<String> for Planner {
    fn from(name: String) -> Self {
        match name.strip_prefix('\0') {
            Some(person) => Self::Person(person.to_owned()),
            None if name.is_empty() || name == THE_CONFIGURATION => Self::Definition,
            None => Self::Person(name),
        }
    }
}

impl From<Planner> for String {
    fn from(planner: Planner) -> Self {
        match planner {
            Planner::Definition => Self::new(),
            Planner::Person(name) if name == THE_CONFIGURATION => format!("\0{name}"),
            Planner::Person(name) => name,
        }
    }
}

impl Maintenance {
    /// When time changes it next.
    pub(crate) fn due(&self, out_of_service: bool) -> Option<Instant> {
        let over = self.until.filter(|_| out_of_service && !self.overdue);
        [over, self.planned.as_ref().map(|planned| planned.from)].into_iter().flatten().min()
    }
}

/// Whether a time out of service can be stated.
///
/// # Errors
/// When it is none, begins in the past or lasts for ever.
pub(crate) fn check(kind: CommandKind, now: Instant) -> Result<(), RefusedCommand> {
    let (from, ms) = match kind {
        CommandKind::RemoveFromServiceFor(ms) => (now, ms),
        CommandKind::PlanRemovalFromService { from, ms } => (from, ms),
        _ => return Ok(()),
    };
    let fits = ms > 0 && Duration::from_millis(ms) <= SERVICE_MAX && from >= now && from <= now.plus(SERVICE_MAX);
    if fits { Ok(()) } else { Err(RefusedCommand::ServiceTimeOutOfRange) }
}

impl Condition {
    /// Takes it out of service; one that is out already gets another time.
    pub(crate) fn take_out(&mut self, until: Option<Instant>, at: Instant) {
        let state = self.state_mut();
        if until.is_some() || !state.out_of_service.value {
            (state.maintenance.until, state.maintenance.overdue) = (until, false);
        }
        state.out_of_service.set(true, at);
    }

    /// Plans it, in place of what was planned before.
    pub(crate) fn plan(&mut self, from: Instant, until: Instant, user: &str, comment: Option<&(String, String)>) {
        let comment = comment.map(|(locale, text)| Comment { locale: locale.clone(), text: text.clone() });
        let by = Planner::Person(user.to_owned());
        self.state_mut().maintenance.planned = Some(Box::new(Planned { from, until, by, comment }));
    }

    /// Puts it back into service; what was planned is off, but for what its definition states for later.
    pub(crate) fn put_back(&mut self, at: Instant) {
        let state = self.state_mut();
        let was_out = state.out_of_service.value;
        state.out_of_service.set(false, at);
        let before = std::mem::take(&mut state.maintenance);
        // Whoever puts back one that is in service takes back what comes next.
        let off = before.planned.filter(|_| !was_out).map_or(at, |planned| planned.from);
        self.plan_settled(off.max(at));
    }

    /// Plans the next time out of service that its definition states, after this; what a person has planned counts before
    /// it. Answers whether that changes what is planned.
    pub(crate) fn plan_settled(&mut self, after: Instant) -> bool {
        let planned = self.state.maintenance.planned.as_deref();
        if planned.is_some_and(|planned| planned.by != Planner::Definition) {
            return false;
        }
        let next = self.def.rules.maintenance.iter().filter(|next| next.from > after).min_by_key(|next| next.from);
        let next = next.map(|next| {
            let comment = Some(&next.comment).filter(|text| !text.is_empty());
            let comment = comment.map(|text| Comment { locale: String::new(), text: text.clone() });
            Box::new(Planned { from: next.from, until: next.from.plus(next.lasts), by: Planner::Definition, comment })
        });
        // One that has begun meanwhile is for time to begin.
        let begun = planned.is_some_and(|planned| planned.from <= after);
        if begun || planned == next.as_deref() {
            return false;
        }
        self.state_mut().maintenance.planned = next;
        true
    }

    /// A planned time begins, a stated one is over. A planned time that was over before the gateway could begin it is
    /// left out.
    pub(crate) fn expire_maintenance(&mut self, now: Instant, changed: &mut Changed) {
        let begins = |planned: &mut Box<Planned>| planned.from <= now;
        if self.state.maintenance.planned.as_ref().is_some_and(|planned| planned.from <= now)
            && let Some(planned) = self.state_mut().maintenance.planned.take_if(begins)
        {
            changed.quiet = true;
            if planned.until > now {
                self.take_out(Some(planned.until), now);
                let state = self.state_mut();
                planned.by.name().clone_into(&mut state.user);
                if let Some(comment) = planned.comment {
                    state.comment = Stamped::new(comment, now);
                }
                changed.main = true;
            }
            self.plan_settled(now);
        }
        let over = self.state.maintenance.until.is_some_and(|until| until <= now);
        if over && self.state.out_of_service.value && !self.state.maintenance.overdue {
            self.state_mut().maintenance.overdue = true;
            changed.quiet = true;
        }
    }
}
