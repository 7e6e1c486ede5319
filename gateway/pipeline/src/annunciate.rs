//! The annunciator: sole owner of how alarms stand. Findings and commands go through the engine, then into the log,
//! and only when they are durable to whoever waits for them: the surfaces, or the operator who acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use watchfire_alarms::{Belief, ConditionDef, ConditionState, Engine, Transition};
use watchfire_model::{
    Clock, CommandKind, ConditionKey, Decided, Instant, Level, Lsn, PlainEvent, RecordBody, Verdict,
};

use crate::beginning::{self, Beginning};
use crate::budget::{self, Budgets};
use crate::late::late_binding;
use crate::maintenance::Reminders;
use crate::mode::Mode;
use crate::notices::{Change, Gone, Notice, NoticeReceiver};
use crate::over;
use crate::publish::{Unpublished, publish};
use crate::stand_in;
use crate::told::{states, together};
use crate::{AlarmFigures, BindingPlan, CommandRequest, Log, OWN_BINDING, OwnConditions, PortError, Stats, Surface};

/// Transitions in one record of the gateway's own: a lost source may concern tens of thousands.
const TRANSITIONS_MAX: usize = 1000;
/// Transitions that may wait to become durable.
const UNPUBLISHED_MAX: usize = 1 << 16;
/// How long a deadline of an alarm is slept towards at most: a clock that steps is noticed after as long.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How exactly deadlines are kept.
const LOOK_SOONEST: Duration = Duration::from_millis(50);

/// What is so now.
#[derive(Debug, Default)]
struct Current {
    /// What was configured at the start.
    plans: Vec<Arc<BindingPlan>>,
    /// The bindings whose detectors have seen all there is, so that what they found last is how things stand.
    bindings: BTreeSet<String>,
    /// The mode of operation.
    mode: Mode,
}

impl Current {
    fn is(&self, binding: &str) -> bool {
        binding == OWN_BINDING || self.bindings.contains(binding)
    }
}

/// The annunciator's parts.
pub struct Annunciator {
    /// How alarms stand.
    pub engine: Engine,
    /// The last frame decided on, by binding.
    pub decided: BTreeMap<String, Lsn>,
    /// Where decisions go.
    pub log: Arc<Log>,
    /// Wall time, for conditions that appear.
    pub clock: Arc<dyn Clock>,
    /// Counts.
    pub stats: Arc<Stats>,
    /// How the alarms are doing.
    pub figures: Arc<AlarmFigures>,
    /// Who shows alarms.
    pub surfaces: Vec<Arc<dyn Surface>>,
}

impl Annunciator {
    /// Runs until nobody can send notices any more; commands are answered until then. Everything decided is durable
    /// and published when it returns, provided the log still commits.
    ///
    /// # Errors
    /// When the log fails.
    pub async fn run(
        mut self,
        mut notices: NoticeReceiver,
        mut commands: mpsc::Receiver<CommandRequest>,
    ) -> Result<(), PortError> {
        let (unpublished, queue) = mpsc::channel(UNPUBLISHED_MAX);
        let publisher = publish(queue, self.log.clone(), self.surfaces.clone(), self.stats.clone());
        let publisher = AbortOnDropHandle::new(tokio::spawn(publisher));
        let _at_last = AbortOnDropHandle::new(tokio::spawn(beginning::at_last(self.surfaces.clone())));
        let mut commands_open = true;
        let (mut current, mut budgets) = (Current::default(), Budgets::default());
        let (mut reminders, mut beginning) = (Reminders::default(), Beginning::default());
        let mut fruitless = false;
        loop {
            let due = self.due(fruitless);
            let ready = tokio::select! {
                notice = notices.receiver.recv() => match notice {
                    Some(notice) => {
                        if let Notice::Gone { what: Gone::Detector(binding), .. } = &notice {
                            reminders.forget(binding);
                        }
                        beginning.heed(&notice, &self.engine);
                        self.notice(&notices.own, &mut current, notice).await?
                    }
                    None => break,
                },
                () = tokio::time::sleep(due.unwrap_or_default()), if due.is_some() => {
                    let ready = self.expire(&current).await?;
                    fruitless = ready.is_none();
                    ready
                }
                request = commands.recv(), if commands_open => match request {
                    Some(request) => self.command(request).await?,
                    None => { commands_open = false; None }
                },
            };
            if let Some(ready) = ready {
                fruitless = false;
                self.log.hurry();
                let (cause, now) = (self.log.tail(), self.clock.now());
                let mut follows = budgets.spend(&mut self.engine, &notices.own, &ready.views, cause, now);
                follows.extend(reminders.settle(&mut self.engine, &notices.own, &ready.views, cause, now));
                if unpublished.send(ready).await.is_err() {
                    break;
                }
                if let Some(ready) = self.decide_own(cause, now, follows).await?
                    && unpublished.send(ready).await.is_err()
                {
                    break;
                }
            }
            if beginning.is_over() && unpublished.send(Unpublished::last_of_the_beginning()).await.is_err() {
                break;
            }
        }
        drop(unpublished);
        if publisher.await.is_err() {
            tracing::error!("the task that publishes alarms has failed");
        }
        Ok(())
    }

    /// How long nothing changes by time alone; `None` for ever. What was due and did not come waits for a detector.
    fn due(&self, fruitless: bool) -> Option<Duration> {
        let soonest = if fruitless { LOOK_EVERY } else { LOOK_SOONEST };
        let left = self.engine.next_due()?.since_ns(self.clock.now());
        Some(Duration::from_nanos(u64::try_from(left).unwrap_or_default()).clamp(soonest, LOOK_EVERY))
    }

    /// Does what time has brought.
    async fn expire(&mut self, current: &Current) -> Result<Option<Unpublished>, PortError> {
        let (cause, now) = (self.log.tail(), self.clock.now());
        let transitions = self.engine.expire(cause, now, |binding| current.is(binding));
        self.decide_own(cause, now, transitions).await
    }

    async fn notice(
        &mut self,
        own: &OwnConditions,
        current: &mut Current,
        notice: Notice,
    ) -> Result<Option<Unpublished>, PortError> {
        match notice {
            Notice::Define(defs) => self.defined(own, current, defs).await,
            Notice::Configured { plans, sources } => {
                let once = stand_in::once(&self.log, &self.engine, None).await;
                let (gone, defs) = stand_in::left_over(&self.engine, own, &plans, &sources, &once);
                current.plans = plans;
                let defined = self.define(defs);
                let (cause, now) = (self.log.tail(), self.clock.now());
                let mut ended = Vec::new();
                for what in gone {
                    ended.extend(over::gone(&mut self.engine, own, cause, now, &what));
                }
                let ended = self.decide_own(cause, now, ended).await?;
                Ok(defined.and(ended))
            }
            Notice::StandIn { plan, mut defs } => {
                let name = &plan.spec.name;
                if self.engine.conditions_of(name).next().is_some() {
                    return Ok(None);
                }
                let known = defs.iter().map(|def| def.key.clone()).collect();
                let once = stand_in::once(&self.log, &self.engine, Some(name)).await;
                defs.extend(stand_in::left_of(&self.engine, own, name, &known, &current.plans, &once));
                own.rest_on(name, &defs, &plan.sources);
                self.defined(own, current, defs).await
            }
            Notice::Settled(answer) => {
                if answer.send(self.log.tail()).is_err() {
                    tracing::debug!("a detector that asked has ended");
                }
                Ok(None)
            }
            Notice::Found { binding, frame, now, verdicts, findings, events } => {
                if self.decided.get(&*binding).is_some_and(|last| frame <= *last) {
                    return Ok(None);
                }
                // A detector that catches up brings its own time: what was over before this frame comes first.
                let mut transitions = self.engine.expire_binding(&binding, frame, now);
                for (key, mut finding) in findings {
                    own.believe(&key, &mut finding);
                    transitions.extend(self.engine.apply(&key, frame, finding, now));
                }
                transitions.extend(self.engine.hand_on(frame, now));
                self.decide(binding.to_string(), frame, verdicts, transitions, events).await
            }
            Notice::FoundLate { binding, frame, verdicts, mut events } => {
                let binding = late_binding(&binding);
                if self.decided.get(&binding).is_some_and(|last| frame <= *last) {
                    return Ok(None);
                }
                let told = |event: &PlainEvent| self.engine.state(&event.key).is_none_or(|state| state.enabled.value);
                events.retain(told);
                self.decide(binding, frame, verdicts, Vec::new(), events).await
            }
            Notice::Own { cause, now, key, finding, change } => {
                let mut transitions = self.engine.apply(&key, cause, finding, now);
                let held = match change {
                    None => Vec::new(),
                    Some(Change::Source(source, down)) => own.source(&source, down),
                    Some(Change::Detector(binding, failed)) => {
                        if failed {
                            current.bindings.remove(&binding);
                        }
                        own.detector(&binding, failed)
                    }
                };
                for held in held {
                    let belief = Belief { quality: held.quality, supported: held.supported };
                    transitions.extend(self.engine.believe(&held.key, cause, belief, now));
                }
                self.decide_own(cause, now, transitions).await
            }
            Notice::Standing { cause, now, binding, findings } => {
                let mut transitions = Vec::new();
                for (key, mut finding) in findings {
                    own.believe(&key, &mut finding);
                    let found = self.engine.state(&key).map(ConditionState::found);
                    if finding.level == Level::Unknown || found != Some(finding.level) {
                        transitions.extend(self.engine.apply(&key, cause, finding, now));
                    }
                }
                transitions.extend(self.engine.expire_binding(&binding, cause, now));
                current.bindings.insert(binding);
                self.decide_own(cause, now, transitions).await
            }
            Notice::Over { cause, now, binding, except, why, current: is_current } => {
                let once = stand_in::once(&self.log, &self.engine, Some(&*binding)).await;
                let left = stand_in::left_of(&self.engine, own, &binding, &except, &current.plans, &once);
                let left = self.define(left);
                let transitions = over::end(&mut self.engine, own, cause, now, (&binding, &except, why));
                if is_current {
                    current.bindings.insert(binding);
                }
                let over = self.decide_own(cause, now, transitions).await?;
                Ok(left.and(over))
            }
            Notice::Mode { cause, now, mode } => {
                let transitions = current.mode.change(&mut self.engine, mode, cause, now);
                self.decide_own(cause, now, transitions).await
            }
            Notice::Gone { cause, now, what } => {
                let transitions = over::gone(&mut self.engine, own, cause, now, &what);
                if let Gone::Detector(binding) = what {
                    // Nobody takes back what is held back by a delay.
                    current.bindings.insert(binding);
                }
                self.decide_own(cause, now, transitions).await
            }
        }
    }

    /// These conditions exist, perhaps in another way than before.
    async fn defined(
        &mut self,
        own: &OwnConditions,
        current: &Current,
        mut defs: Vec<Arc<ConditionDef>>,
    ) -> Result<Option<Unpublished>, PortError> {
        let bindings: BTreeSet<String> = defs.iter().map(|def| def.key.binding().to_owned()).collect();
        let told = |key: &ConditionKey| self.engine.recovered(key).is_some();
        let is_over_budget = |binding: &&String| told(&OwnConditions::budget_key(binding));
        let budgets: Vec<_> = bindings.iter().filter(is_over_budget).map(|binding| own.budget_def(binding)).collect();
        let reminds = |binding: &&String| told(&OwnConditions::maintenance_key(binding));
        let reminders: Vec<&String> = bindings.iter().filter(reminds).collect();
        defs.extend(budgets);
        let newly_counted = budget::newly_counted(&self.engine, &defs);
        let mut keys: Vec<ConditionKey> = defs.iter().map(|def| def.key.clone()).collect();
        let mut defined = self.define(defs);
        // What they remind of has to be known by then.
        let reminders: Vec<_> = reminders.iter().map(|binding| own.maintenance_def(binding, &self.engine)).collect();
        keys.extend(reminders.iter().map(|def| def.key.clone()));
        defined.views.extend(self.define(reminders).views);
        let (cause, now) = (self.log.tail(), self.clock.now());
        let mut settled: Vec<_> = keys.iter().flat_map(|key| self.engine.settle(key, cause, now)).collect();
        settled.extend(budget::settle(&mut self.engine, &bindings, &newly_counted, cause, now));
        settled.extend(current.mode.settle(&mut self.engine, &keys, cause, now));
        let settled = self.decide_own(cause, now, settled).await?;
        Ok(defined.and(settled))
    }

    /// Records transitions of the gateway's own finding, and what follows from them in groups, in records of bounded size.
    async fn decide_own(
        &mut self,
        cause: Lsn,
        now: Instant,
        mut transitions: Vec<Transition>,
    ) -> Result<Option<Unpublished>, PortError> {
        transitions.extend(self.engine.hand_on(cause, now));
        let mut ready: Option<Unpublished> = None;
        while !transitions.is_empty() {
            let rest = transitions.split_off(together(&transitions, TRANSITIONS_MAX));
            let some = std::mem::replace(&mut transitions, rest);
            let Some(more) = self.decide(OWN_BINDING.to_owned(), cause, Vec::new(), some, Vec::new()).await? else {
                continue;
            };
            match &mut ready {
                Some(ready) => {
                    ready.lsn = more.lsn;
                    ready.views.extend(more.views);
                }
                None => ready = Some(more),
            }
            tokio::task::yield_now().await;
        }
        Ok(ready)
    }

    fn define(&mut self, defs: Vec<Arc<ConditionDef>>) -> Unpublished {
        let now = self.clock.now();
        let views: Vec<Transition> = defs.into_iter().map(|def| self.engine.define(def, now)).collect();
        views.iter().for_each(|view| self.figures.defined(&view.def, &view.state));
        Unpublished { views, ..Unpublished::default() }
    }

    async fn decide(
        &mut self,
        binding: String,
        frame: Lsn,
        verdicts: Vec<Verdict>,
        transitions: Vec<Transition>,
        events: Vec<PlainEvent>,
    ) -> Result<Option<Unpublished>, PortError> {
        if verdicts.is_empty() && transitions.is_empty() && events.is_empty() {
            return Ok(None);
        }
        self.decided.insert(binding.clone(), frame);
        let told = events.clone();
        let decided = Decided { binding, frame, verdicts, transitions: states(&transitions), events: told };
        let record = self.log.put(RecordBody::Decided(decided)).await?;
        self.count(&transitions, record.lsn);
        Ok(Some(Unpublished { lsn: record.lsn, views: transitions, events, ..Unpublished::default() }))
    }

    async fn command(&mut self, request: CommandRequest) -> Result<Option<Unpublished>, PortError> {
        let CommandRequest { command, reply } = request;
        let cause = self.log.tail();
        let transitions = match self.engine.command(&command, cause) {
            Ok(mut transitions) => {
                if command.kind == CommandKind::Unsuppress {
                    transitions.extend(budget::lift(&mut self.engine, &command.key, cause, command.at));
                }
                transitions.extend(self.engine.hand_on(cause, command.at));
                transitions
            }
            Err(refused) => {
                // Whoever gave it says so, and bounds how often.
                tracing::debug!(condition = %command.key, user = command.user, kind = ?command.kind, %refused, "command refused");
                if reply.send(Err(refused)).is_err() {
                    tracing::debug!("whoever gave the command no longer waits");
                }
                return Ok(None);
            }
        };
        tracing::info!(condition = %command.key, user = command.user, kind = ?command.kind, "command");
        let body = RecordBody::Commanded { command, transitions: states(&transitions) };
        let record = self.log.put(body).await?;
        self.count(&transitions, record.lsn);
        Ok(Some(Unpublished { lsn: record.lsn, views: transitions, answer: Some(reply), ..Unpublished::default() }))
    }

    fn count(&self, transitions: &[Transition], recorded: Lsn) {
        let told = |told: &Transition| self.figures.told(&told.def, &told.state, told.told().receive_time);
        transitions.iter().for_each(told);
        self.figures.counted(recorded);
    }
}
