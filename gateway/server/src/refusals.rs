//! What was refused, as lines of the log: each by itself, unless one user is refused more often than anybody can read;
//! then how often. So a flood of misuse fills no disk, and hides nothing of what others were refused. It knows nothing of
//! audit events, which say the same to those who may see them.

use std::collections::BTreeMap;
use std::time::Duration;

use opcua::sync::Mutex;
use opcua::types::{NodeId, StatusCode};
use tokio::time::Instant;

/// Lines of one user that may come at once.
const AT_ONCE: u32 = 50;
/// After so long there is room for one more.
const ONE_MORE: Duration = Duration::from_secs(2);
/// Characters of a text that anybody could make long.
const TEXT_MAX: usize = 500;
/// Users that are counted by themselves: those of the configuration, and whatever has no user yet as one.
const USERS_MAX: usize = 1024;

/// What was refused.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refused<'a> {
    /// Who asked; empty where nobody has logged in yet.
    pub user: &'a str,
    /// What was asked, in words.
    pub what: &'a str,
    pub node: &'a NodeId,
    pub status: StatusCode,
}

/// How many lines there would have been.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LeftOut {
    pub user: String,
    pub lines: u64,
}

/// What has been logged of whom.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<BTreeMap<String, Logged>>);

#[derive(Debug)]
struct Logged {
    /// When all room would be there again.
    whole: Instant,
    left_out: u64,
}

impl Refusals {
    /// Logs a refusal, or counts it.
    pub(crate) fn log(&self, refused: &Refused<'_>, now: Instant) {
        if !self.has_room(refused.user, now) {
            return;
        }
        let Refused { user, status, .. } = *refused;
        let short = |text: &str| text.chars().take(TEXT_MAX).collect::<String>();
        let (what, node) = (short(refused.what), short(&refused.node.to_string()));
        if status == StatusCode::BadUserAccessDenied || user.is_empty() {
            tracing::warn!(user, what, node, %status, "a request was refused");
        } else {
            tracing::info!(user, what, node, %status, "a request was refused");
        }
    }

    /// Whether there is room for a line of this user; counts it where there is none.
    fn has_room(&self, user: &str, now: Instant) -> bool {
        let mut all = self.0.lock();
        let known = all.contains_key(user) || all.len() < USERS_MAX;
        let logged = all
            .entry(if known { user.to_owned() } else { String::new() })
            .or_insert_with(|| Logged { whole: now, left_out: 0 });
        let whole = logged.whole.max(now) + ONE_MORE;
        let fits = whole.duration_since(now) <= ONE_MORE * AT_ONCE;
        if fits {
            logged.whole = whole;
        } else {
            logged.left_out = logged.left_out.saturating_add(1);
        }
        fits
    }

    /// What was counted and not logged since this was last asked.
    pub(crate) fn left_out(&self) -> Vec<LeftOut> {
        let mut all = self.0.lock();
        let found = all.iter_mut().filter(|(_, logged)| logged.left_out > 0);
        found
            .map(|(user, logged)| LeftOut { user: user.clone(), lines: std::mem::take(&mut logged.left_out) })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(refusals: &Refusals, user: &str, tries: u32, now: Instant) -> usize {
        (0..tries).filter(|_| refusals.has_room(user, now)).count()
    }

    #[tokio::test]
    async fn a_flood_of_one_user_is_counted_and_hides_nobody_elses() {
        let (refusals, begin) = (Refusals::default(), Instant::now());
        assert_eq!(lines(&refusals, "bob", 10_000, begin), AT_ONCE as usize);
        assert_eq!(lines(&refusals, "ann", 3, begin), 3);
        assert_eq!(refusals.left_out(), [LeftOut { user: "bob".into(), lines: 10_000 - u64::from(AT_ONCE) }]);
        assert_eq!(refusals.left_out(), []);
        assert_eq!(lines(&refusals, "bob", 10, begin + ONE_MORE * 3), 3, "room comes back");
        let hour = Duration::from_secs(3600);
        assert_eq!(lines(&refusals, "bob", 10_000, begin + hour), AT_ONCE as usize, "and not more than there was");
    }

    #[tokio::test]
    async fn names_that_anybody_invents_take_no_memory() {
        let (refusals, begin) = (Refusals::default(), Instant::now());
        for number in 0..10 * USERS_MAX {
            lines(&refusals, &number.to_string(), 1, begin);
        }
        assert!(refusals.0.lock().len() <= USERS_MAX + 1);
    }
}
