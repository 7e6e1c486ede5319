//! Which events a state tells that is on record: a state is written for changes that nobody is told of, too, and what it
//! tells cannot be seen from it alone. Behind the state's own bytes, where whoever reads only the state passes it over.

use crate::state::BRANCHES_MAX;
use crate::{ConditionState, DecodeError};

/// The events that a state on record tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tells {
    /// That of the condition itself; of the branch, where it is the state of one.
    pub main: bool,
    /// Of the branches that the state holds, by place.
    branches: u8,
}

// Each of them has a bit.
const _: () = assert!(BRANCHES_MAX <= u8::BITS as usize);

impl Tells {
    /// Those of the condition itself, and of the branches of which `of` says so.
    #[must_use]
    pub fn of(main: bool, state: &ConditionState, of: impl Fn(&ConditionState) -> bool) -> Self {
        let bits = state.branches.iter().zip(0..u8::BITS).filter(|(branch, _)| of(branch));
        Self { main, branches: bits.fold(0, |all, (_, at)| all | 1 << at) }
    }

    /// The states that are told, in their order: a branch before the condition that it is of.
    pub fn events(self, state: &ConditionState) -> impl Iterator<Item = &ConditionState> {
        let branches = state.branches.iter().zip(0..u8::BITS).filter(move |(_, at)| self.branches & (1 << at) != 0);
        branches.map(|(branch, _)| branch).chain(self.main.then_some(state))
    }
}

impl ConditionState {
    /// The state as bytes for the log, with the events that it tells: one or two bytes more.
    #[must_use]
    pub fn encode_telling(&self, tells: Tells) -> Vec<u8> {
        let mut bytes = self.encode();
        bytes.push(u8::from(tells.main) | if tells.branches == 0 { 0 } else { 2 });
        if tells.branches != 0 {
            bytes.push(tells.branches);
        }
        bytes
    }

    /// Reads a state back, and the events that it tells; `None` where that was not written, as by earlier versions.
    ///
    /// # Errors
    /// As [`ConditionState::decode`].
    pub fn decode_telling(key: &str, bytes: &[u8]) -> Result<(Self, Option<Tells>), DecodeError> {
        let (state, rest) = Self::decode_first(key, bytes)?;
        let tells = match rest {
            [main @ (0 | 1)] => Some(Tells { main: *main == 1, branches: 0 }),
            [main @ (2 | 3), branches] => Some(Tells { main: *main == 3, branches: *branches }),
            _ => None,
        };
        Ok((state, tells))
    }
}
