//! EventIds that two gateways fed the same log agree on (OPC 10000-9 §5.14.3).

use std::fmt;

use serde::{Deserialize, Serialize};
use watchfire_model::ConditionKey;

/// The EventId of a transition: 16 bytes, unique for its condition and transition number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EventId([u8; 16]);

impl EventId {
    /// Stands for one that is yet to be derived.
    pub(crate) const NONE: Self = Self([0; 16]);

    /// The id of the `transition`th transition of a condition, caused by what stands at `cause` in the log.
    #[must_use]
    pub fn derive(key: &ConditionKey, transition: u64, cause: u64) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("watchfire event id 1");
        hasher.update(key.as_str().as_bytes());
        hasher.update(&transition.to_le_bytes());
        hasher.update(&cause.to_le_bytes());
        let mut bytes = [0; 16];
        hasher.finalize_xof().fill(&mut bytes);
        Self(bytes)
    }

    /// The bytes, as HMIs see them.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
