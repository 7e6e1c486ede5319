//! `[server.lockout]`: how log-ins that fail are slowed down.

use std::time::Duration;

use crate::section::Section;

/// How log-ins that fail are slowed down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockoutConfig {
    /// So many may fail for a user name before it is locked. 0: none ever is. Default 5.
    pub after: u64,
    /// So many may fail from an address before it is locked, whatever the names. 0: none ever is. Default 20.
    pub after_from_address: u64,
    /// How long the first lock lasts; each failure after it doubles it. Default 10 s.
    pub first: Duration,
    /// How long a lock lasts at most, and after how long without a failure what failed is forgotten. Default 15 min.
    pub longest: Duration,
}

impl Default for LockoutConfig {
    fn default() -> Self {
        Self { after: 5, after_from_address: 20, first: Duration::from_secs(10), longest: Duration::from_secs(900) }
    }
}

impl LockoutConfig {
    pub(crate) fn read(section: Section<'_>) -> Self {
        let default = Self::default();
        let after = section.integer_or("after", 0..=1000, default.after);
        let after_from_address = section.integer_or("after_from_address", 0..=10_000, default.after_from_address);
        let first = Duration::from_secs(section.integer_or("first_s", 1..=3600, default.first.as_secs()));
        let longest = Duration::from_secs(section.integer_or("longest_s", 1..=86_400, default.longest.as_secs()));
        if first > longest {
            let message =
                format_args!("`first_s` ({}) is more than `longest_s` ({})", first.as_secs(), longest.as_secs());
            section.wrong(section.at, message);
        }
        section.close();
        Self { after, after_from_address, first, longest }
    }
}
