//! A plugin's functions in the terms of the contract's newest version, whichever it was built against: one module a
//! version has its calls and answers. Knows no bounds and believes no answer.

use wasmtime::component::{Instance as Raw, InstancePre};
use wasmtime::{Result, Store};

use crate::bindings::{events_in, out, wit};
use crate::quota::HostState;
use crate::{v0_1, v1};

/// The newest version, and with it every one that a plugin may have been built against.
pub(crate) const VERSION: &str = "1.0.0";
/// The oldest.
pub(crate) const OLDEST: &str = "0.1.0";

/// What a component exports beside its detector.
#[derive(Clone, Copy)]
pub(crate) struct Has {
    pub state: bool,
    pub learner: bool,
    pub events_in: bool,
}

/// Which version's module answers for a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaks {
    V0_1,
    V1,
}

impl Speaks {
    /// By an exported interface's version: below 1.0 the second number is what must agree, from then on the first, and no
    /// component may ask for more than there is.
    pub(crate) fn of(version: &str) -> Option<Self> {
        let mut numbers = version.split('.').map(|number| number.parse::<u32>());
        match (numbers.next(), numbers.next(), numbers.next(), numbers.next()) {
            (Some(Ok(0)), Some(Ok(1)), Some(Ok(_)), None) => Some(Self::V0_1),
            (Some(Ok(1)), Some(Ok(0)), Some(Ok(_)), None) => Some(Self::V1),
            _ => None,
        }
    }
}

/// Where a component's functions are, found once for all its instances.
pub(crate) enum Indices {
    V0_1(v0_1::Indices),
    V1(v1::Indices),
}

/// An instance's functions.
pub(crate) enum Guest {
    V0_1(v0_1::Guest),
    V1(v1::Guest),
}

impl Indices {
    pub(crate) fn new(pre: &InstancePre<HostState>, speaks: Speaks, has: Has) -> Result<Self> {
        Ok(match speaks {
            Speaks::V0_1 => Self::V0_1(v0_1::Indices::new(pre, has)?),
            Speaks::V1 => Self::V1(v1::Indices::new(pre, has)?),
        })
    }

    pub(crate) fn load(&self, store: &mut Store<HostState>, raw: &Raw) -> Result<Guest> {
        Ok(match self {
            Self::V0_1(indices) => Guest::V0_1(indices.load(store, raw)?),
            Self::V1(indices) => Guest::V1(indices.load(store, raw)?),
        })
    }
}

/// The same call in every version.
macro_rules! each {
    ($self:ident, $guest:ident => $call:expr) => {
        match $self {
            Self::V0_1($guest) => $call,
            Self::V1($guest) => $call,
        }
    };
}

impl Guest {
    pub(crate) fn has(&self) -> Has {
        each!(self, guest => guest.has())
    }

    pub(crate) async fn describe(&self, store: &mut Store<HostState>) -> Result<out::Description> {
        each!(self, guest => guest.describe(store).await)
    }

    pub(crate) async fn init(
        &self,
        store: &mut Store<HostState>,
        setup: out::Setup<'_>,
    ) -> Result<Result<Vec<out::Condition>, wit::Refusal>> {
        each!(self, guest => guest.init(store, setup).await)
    }

    #[inline]
    pub(crate) async fn process(
        &self,
        store: &mut Store<HostState>,
        batch: wit::Batch<'_>,
    ) -> Result<Result<out::Outcome, wit::Refusal>> {
        each!(self, guest => guest.process(store, batch).await)
    }

    pub(crate) async fn explain(
        &self,
        store: &mut Store<HostState>,
        condition: u16,
        instance: u32,
    ) -> Result<Option<out::Verdict>> {
        each!(self, guest => guest.explain(store, condition, instance).await)
    }

    pub(crate) async fn save(&self, store: &mut Store<HostState>) -> Result<Vec<u8>> {
        each!(self, guest => guest.save(store).await)
    }

    pub(crate) async fn load(
        &self,
        store: &mut Store<HostState>,
        state_version: u32,
        bytes: &[u8],
    ) -> Result<Result<(), wit::Refusal>> {
        each!(self, guest => guest.load(store, state_version, bytes).await)
    }

    pub(crate) async fn learn(
        &self,
        store: &mut Store<HostState>,
        batch: wit::Batch<'_>,
    ) -> Result<Result<(), wit::Refusal>> {
        each!(self, guest => guest.learn(store, batch).await)
    }

    pub(crate) async fn freeze(&self, store: &mut Store<HostState>, on: bool) -> Result<()> {
        each!(self, guest => guest.freeze(store, on).await)
    }

    pub(crate) async fn forget(&self, store: &mut Store<HostState>, signal: Option<u32>) -> Result<()> {
        each!(self, guest => guest.forget(store, signal).await)
    }

    pub(crate) async fn model(&self, store: &mut Store<HostState>) -> Result<Vec<u8>> {
        each!(self, guest => guest.model(store).await)
    }

    pub(crate) async fn observe(
        &self,
        store: &mut Store<HostState>,
        frame: u64,
        now: i64,
        events: &[events_in::Event<'_>],
    ) -> Result<Result<out::Outcome, wit::Refusal>> {
        each!(self, guest => guest.observe(store, frame, now, events).await)
    }
}

/// What a version's module has by the names of its bindings alone: where functions are, and the calls that hand over and
/// answer what all versions have in common. The other calls it writes itself.
macro_rules! functions {
    ($detector:ident, $state:ident, $learner:ident, $events_in:ident) => {
        /// Where a component's functions are.
        pub(crate) struct Indices {
            detector: $detector::GuestIndices,
            state: Option<$state::GuestIndices>,
            learner: Option<$learner::GuestIndices>,
            events_in: Option<$events_in::GuestIndices>,
        }

        /// An instance's functions.
        pub(crate) struct Guest {
            detector: $detector::Guest,
            state: Option<$state::Guest>,
            learner: Option<$learner::Guest>,
            events_in: Option<$events_in::Guest>,
        }

        impl Indices {
            pub(crate) fn new(pre: &InstancePre<HostState>, has: Has) -> Result<Self> {
                Ok(Self {
                    detector: $detector::GuestIndices::new(pre)?,
                    state: has.state.then(|| $state::GuestIndices::new(pre)).transpose()?,
                    learner: has.learner.then(|| $learner::GuestIndices::new(pre)).transpose()?,
                    events_in: has.events_in.then(|| $events_in::GuestIndices::new(pre)).transpose()?,
                })
            }

            pub(crate) fn load(&self, store: &mut Store<HostState>, raw: &Raw) -> Result<Guest> {
                Ok(Guest {
                    detector: self.detector.load(&mut *store, raw)?,
                    state: self.state.as_ref().map(|found| found.load(&mut *store, raw)).transpose()?,
                    learner: self.learner.as_ref().map(|found| found.load(&mut *store, raw)).transpose()?,
                    events_in: self.events_in.as_ref().map(|found| found.load(&mut *store, raw)).transpose()?,
                })
            }
        }

        impl Guest {
            pub(crate) const fn has(&self) -> Has {
                let (state, learner) = (self.state.is_some(), self.learner.is_some());
                Has { state, learner, events_in: self.events_in.is_some() }
            }

            pub(crate) async fn save(&self, store: &mut Store<HostState>) -> Result<Vec<u8>> {
                there(&self.state)?.call_save(store).await
            }

            pub(crate) async fn load(
                &self,
                store: &mut Store<HostState>,
                state_version: u32,
                bytes: &[u8],
            ) -> Result<Result<(), wit::Refusal>> {
                there(&self.state)?.call_load(store, state_version, bytes).await
            }

            pub(crate) async fn learn(
                &self,
                store: &mut Store<HostState>,
                batch: wit::Batch<'_>,
            ) -> Result<Result<(), wit::Refusal>> {
                there(&self.learner)?.call_learn(store, batch).await
            }

            pub(crate) async fn freeze(&self, store: &mut Store<HostState>, on: bool) -> Result<()> {
                there(&self.learner)?.call_freeze(store, on).await
            }

            pub(crate) async fn forget(&self, store: &mut Store<HostState>, signal: Option<u32>) -> Result<()> {
                there(&self.learner)?.call_forget(store, signal).await
            }

            pub(crate) async fn model(&self, store: &mut Store<HostState>) -> Result<Vec<u8>> {
                there(&self.learner)?.call_model(store).await
            }
        }
    };
}
pub(crate) use functions;

/// An interface that is asked only where it was found.
pub(crate) fn there<T>(found: &Option<T>) -> Result<&T> {
    found.as_ref().ok_or_else(|| wasmtime::Error::msg("it does not export that interface"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_has_its_module_and_no_other_is_taken() {
        for (version, speaks) in [
            (OLDEST, Some(Speaks::V0_1)),
            ("0.1.7", Some(Speaks::V0_1)),
            (VERSION, Some(Speaks::V1)),
            ("1.0.3", Some(Speaks::V1)),
            ("0.2.0", None),
            ("1.1.0", None),
            ("2.0.0", None),
            ("1.0", None),
            ("1.0.0.0", None),
            ("1.0.0-draft", None),
            ("", None),
        ] {
            assert_eq!(Speaks::of(version), speaks, "{version}");
        }
    }
}
