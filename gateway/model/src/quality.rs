//! How far a value can be trusted: OPC UA's StatusCode, and our own marks beside it.

use std::ops::{BitOr, BitOrAssign};

use serde::{Deserialize, Serialize};

/// An OPC UA StatusCode (OPC 10000-4 §7.39). The two top bits say good, uncertain or bad.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StatusCode(pub u32);

impl StatusCode {
    /// Good.
    pub const GOOD: Self = Self(0);
    /// Uncertain, without more to say.
    pub const UNCERTAIN: Self = Self(0x4000_0000);
    /// UncertainLastUsableValue: whatever wrote the value has stopped doing so.
    pub const UNCERTAIN_LAST_USABLE: Self = Self(0x4090_0000);
    /// BadNoCommunication: the source cannot be reached.
    pub const BAD_NO_COMMUNICATION: Self = Self(0x8031_0000);
    /// BadWaitingForInitialData: no value has come yet.
    pub const BAD_WAITING_FOR_INITIAL_DATA: Self = Self(0x8032_0000);
    /// BadNoData: nothing was recorded then.
    pub const BAD_NO_DATA: Self = Self(0x809B_0000);
    /// BadDataLost: data is missing, since its collection was interrupted (OPC 10000-11 §6.3.1).
    pub const BAD_DATA_LOST: Self = Self(0x809D_0000);
    /// BadBoundNotFound: there is no value next to the end of an interval.
    pub const BAD_BOUND_NOT_FOUND: Self = Self(0x80D7_0000);
    /// BadNodeIdUnknown: the node does not exist on the server.
    pub const BAD_NODE_ID_UNKNOWN: Self = Self(0x8034_0000);

    /// Whether the severity bits say good.
    #[must_use]
    pub const fn is_good(self) -> bool {
        self.0 >> 30 == 0
    }

    /// Whether it says that data is missing, whatever its info bits.
    #[must_use]
    pub const fn is_data_lost(self) -> bool {
        self.0 >> 16 == Self::BAD_DATA_LOST.0 >> 16
    }

    /// Whether the severity bits say bad.
    #[must_use]
    pub const fn is_bad(self) -> bool {
        self.0 >> 31 == 1
    }
}

/// Marks of the gateway's own on a row; a set of bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Quality(pub u8);

impl Quality {
    /// Nothing to remark.
    pub const NONE: Self = Self(0);
    /// Came after its time: backfilled. Reaches learning only.
    pub const LATE: Self = Self(1);
    /// The server's queue overflowed before this value: values are missing.
    pub const OVERFLOW: Self = Self(2);
    /// The value column cannot hold the number exactly; the exact column does.
    pub const ROUNDED: Self = Self(4);
    /// The server gave no source time stamp: the time is the server's.
    pub const SERVER_TIME: Self = Self(8);
    /// A detector has found this signal's data to be junk.
    pub const DISTRUSTED: Self = Self(16);
    /// What a node showed when it began to be watched anew, no newer than what was known: it may have been received
    /// before. Readers of history leave out one that they have met.
    pub const INITIAL: Self = Self(32);
    /// No value but where a gap begins, as readers of history are shown it: the server's time is when something is known
    /// again. No row of the log has it.
    pub const GAP: Self = Self(64);

    /// Whether every mark of `marks` is set.
    #[must_use]
    pub const fn has(self, marks: Self) -> bool {
        self.0 & marks.0 == marks.0
    }
}

impl BitOr for Quality {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Quality {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}
