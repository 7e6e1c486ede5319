//! Version 0.1 of the contract, which components built before 1.0 have: its calls and answers as those of the newest.
//! What is handed over is the same in both and of the newest's own types; what comes back is turned into those.

use wasmtime::component::{Instance as Raw, InstancePre};
use wasmtime::{Result, Store};

use crate::bindings::{self as newest, out, wit};
use crate::guest::{Has, functions, there};
use crate::quota::HostState;

mod bindings {
    //! Generated.

    wasmtime::component::bindgen!({
        path: "../../wit/0.1.0",
        world: "full",
        imports: { default: trappable },
        exports: { default: async },
        ownership: Borrowing { duplicate_if_necessary: true },
        with: { "watchfire:detector/types": crate::bindings::wit },
    });
}

use bindings::exports::watchfire::detector::{detector as old, events_in, learner, state};
pub(crate) use bindings::watchfire::detector::log;

impl log::Host for HostState {
    fn write(&mut self, level: u8, message: String) -> Result<()> {
        newest::log::Host::write(self, level, message)
    }
}

functions!(old, state, learner, events_in);

impl Guest {
    pub(crate) async fn describe(&self, store: &mut Store<HostState>) -> Result<out::Description> {
        let said = self.detector.call_describe(store).await?;
        Ok(out::Description {
            id: said.id,
            version: said.version,
            title: said.title,
            state_version: said.state_version,
            config_schema: said.config_schema,
            conditions: said.conditions.into_iter().map(condition).collect(),
            slots: said.slots.into_iter().map(slot).collect(),
            tick_ns: said.tick_ns,
            warm_up_samples: said.warm_up_samples,
        })
    }

    pub(crate) async fn init(
        &self,
        store: &mut Store<HostState>,
        setup: out::Setup<'_>,
    ) -> Result<Result<Vec<out::Condition>, wit::Refusal>> {
        let out::Setup { config, signals, seed, model } = setup;
        let answer = self.detector.call_init(store, old::Setup { config, signals, seed, model }).await?;
        Ok(answer.map(|conditions| conditions.into_iter().map(condition).collect()))
    }

    pub(crate) async fn process(
        &self,
        store: &mut Store<HostState>,
        batch: wit::Batch<'_>,
    ) -> Result<Result<out::Outcome, wit::Refusal>> {
        Ok(self.detector.call_process(store, batch).await?.map(outcome))
    }

    pub(crate) async fn explain(
        &self,
        store: &mut Store<HostState>,
        condition: u16,
        instance: u32,
    ) -> Result<Option<out::Verdict>> {
        Ok(self.detector.call_explain(store, condition, instance).await?.map(verdict))
    }

    pub(crate) async fn observe(
        &self,
        store: &mut Store<HostState>,
        frame: u64,
        now: i64,
        events: &[newest::events_in::Event<'_>],
    ) -> Result<Result<out::Outcome, wit::Refusal>> {
        let events: Vec<_> = events.iter().map(event).collect();
        Ok(there(&self.events_in)?.call_observe(store, frame, now, &events).await?.map(outcome))
    }
}

fn event<'a>(event: &newest::events_in::Event<'a>) -> events_in::Event<'a> {
    let newest::events_in::Event { time, source, event_type, severity, user, message, fields } = *event;
    events_in::Event { time, source, event_type, severity, user, message, fields }
}

fn condition(said: old::Condition) -> out::Condition {
    out::Condition {
        id: said.id,
        scope: match said.scope {
            old::Scope::Signal => out::Scope::Signal,
            old::Scope::Group => out::Scope::Group,
            old::Scope::Binding => out::Scope::Binding,
        },
        decides: match said.decides {
            old::Decides::Plugin => out::Decides::Plugin,
            old::Decides::Host => out::Decides::Host,
        },
        scale: match said.scale {
            old::Scale::NegLog10P => out::Scale::NegLog10P,
            old::Scale::Ordinal => out::Scale::Ordinal,
        },
        alarm_type: said.alarm_type,
        severity: said.severity,
        text: said.text,
        response: said.response,
    }
}

fn slot(said: old::Slot) -> out::Slot {
    out::Slot { role: said.role, kinds: said.kinds, least: said.least, most: said.most }
}

fn outcome(said: old::Outcome) -> out::Outcome {
    let old::Scores { condition, instance, at, score } = said.scores;
    out::Outcome {
        scores: out::Scores { condition, instance, at, score },
        verdicts: said.verdicts.into_iter().map(verdict).collect(),
        progress: said.progress.map(progress),
    }
}

fn verdict(said: old::Verdict) -> out::Verdict {
    out::Verdict {
        condition: said.condition,
        instance: said.instance,
        at: said.at,
        level: match said.level {
            old::Level::Normal => out::Level::Normal,
            old::Level::LowLow => out::Level::LowLow,
            old::Level::Low => out::Level::Low,
            old::Level::High => out::Level::High,
            old::Level::HighHigh => out::Level::HighHigh,
            old::Level::Active => out::Level::Active,
            old::Level::Unknown => out::Level::Unknown,
        },
        score: said.score,
        why: said.why,
        evidence: said.evidence.into_iter().map(finding).collect(),
    }
}

fn finding(said: old::Finding) -> out::Finding {
    let old::Finding { signal, observed, low, high, share } = said;
    out::Finding { signal, observed, low, high, share }
}

fn progress(said: old::Progress) -> out::Progress {
    let phase = match said.phase {
        old::Phase::Learning => out::Phase::Learning,
        old::Phase::Ready => out::Phase::Ready,
        old::Phase::Relearn => out::Phase::Relearn,
    };
    out::Progress { phase, have: said.have, need: said.need, note: said.note }
}
