//! Log-ins that fail, by user name and by address: after some of them the next must wait, longer with each. Bounded in
//! memory, whatever comes. It knows no passwords and no users: a name that nobody has is locked as any other, so that
//! the lock tells nothing.
//!
//! A lock always ends by itself, and what is tried while it lasts does not prolong it. Where a user has once logged in
//! from an address, others' failures under that name do not keep the user out there; the address's own lock does.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hash};
use std::net::IpAddr;
use std::time::Duration;

use opcua::sync::Mutex;
use tokio::time::Instant;
use watchfire_config::LockoutConfig;

/// Names, and addresses, that are remembered at a time.
const KEPT_MAX: usize = 4096;

/// What is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Locked {
    /// The name, for all addresses from which it has not come in yet.
    Name,
    /// The address, for all names.
    Address,
}

/// A lock that has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Begun {
    pub locked: Locked,
    pub wait: Duration,
}

/// The failures of one name or address.
#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u64,
    last: Instant,
}

/// Failures by the hash of a name or an address: what a client sends may be long.
type Table = HashMap<u64, Failures>;

#[derive(Debug, Default)]
struct State {
    names: Table,
    addresses: Table,
    /// Names with an address from which they have logged in, the latest last.
    known: VecDeque<u64>,
}

/// Counts failures and says who must wait.
#[derive(Debug)]
pub(crate) struct Lockout {
    config: LockoutConfig,
    /// Keyed anew at each start, so that nobody can look for names that collide.
    hasher: RandomState,
    state: Mutex<State>,
}

impl Lockout {
    pub(crate) fn new(config: LockoutConfig) -> Self {
        Self { config, hasher: RandomState::new(), state: Mutex::default() }
    }

    /// What keeps a log-in from being looked at now, and for how long.
    pub(crate) fn locked(&self, name: &str, address: Option<IpAddr>, now: Instant) -> Option<Begun> {
        let state = self.state.lock();
        let left = |table: &Table, key: u64, after: u64| {
            let failures = table.get(&key)?;
            let left = (failures.last + self.wait(failures.count, after)).checked_duration_since(now)?;
            (!left.is_zero()).then_some(left)
        };
        if let Some(wait) = address
            .and_then(|address| left(&state.addresses, self.key(network(address)), self.config.after_from_address))
        {
            return Some(Begun { locked: Locked::Address, wait });
        }
        let known = state.known.contains(&self.pair(name, address));
        let wait = left(&state.names, self.key(name), self.config.after).filter(|_| !known)?;
        Some(Begun { locked: Locked::Name, wait })
    }

    /// Counts a failure; the locks that begin with it.
    pub(crate) fn failed(&self, name: &str, address: Option<IpAddr>, now: Instant) -> Vec<Begun> {
        let mut state = self.state.lock();
        let named = self.count(&mut state.names, self.key(name), now);
        let mut begun = vec![Begun { locked: Locked::Name, wait: self.wait(named, self.config.after) }];
        if let Some(address) = address {
            let count = self.count(&mut state.addresses, self.key(network(address)), now);
            begun.push(Begun { locked: Locked::Address, wait: self.wait(count, self.config.after_from_address) });
        }
        begun.retain(|begun| !begun.wait.is_zero());
        begun
    }

    /// Forgets what failed under a name. What failed from the address stays: whoever has one password must not be able
    /// to try others' without end.
    pub(crate) fn succeeded(&self, name: &str, address: Option<IpAddr>) {
        let mut state = self.state.lock();
        state.names.remove(&self.key(name));
        let pair = self.pair(name, address);
        state.known.retain(|known| *known != pair);
        state.known.push_back(pair);
        if state.known.len() > KEPT_MAX {
            state.known.pop_front();
        }
    }

    fn key(&self, of: impl Hash) -> u64 {
        self.hasher.hash_one(of)
    }

    fn pair(&self, name: &str, address: Option<IpAddr>) -> u64 {
        self.key((name, address.map(network)))
    }

    /// How long the next must wait after so many failures.
    fn wait(&self, count: u64, after: u64) -> Duration {
        if after == 0 || count < after {
            return Duration::ZERO;
        }
        let doublings = u32::try_from(count - after).unwrap_or(u32::MAX).min(20);
        self.config.first.saturating_mul(1 << doublings).min(self.config.longest)
    }

    fn count(&self, table: &mut Table, key: u64, now: Instant) -> u64 {
        let forgotten = |failures: &Failures| now.duration_since(failures.last) > self.config.longest;
        if !table.contains_key(&key) && table.len() >= KEPT_MAX {
            table.retain(|_, failures| !forgotten(failures));
            // Still full: the one goes that matters least, so that a flood of names cannot wash a locked one out.
            if table.len() >= KEPT_MAX
                && let Some(least) = table.iter().min_by_key(|(_, f)| (f.count, f.last)).map(|(key, _)| *key)
            {
                table.remove(&least);
            }
        }
        let failures = table.entry(key).or_insert(Failures { count: 0, last: now });
        if forgotten(failures) {
            failures.count = 0;
        }
        *failures = Failures { count: failures.count.saturating_add(1), last: now };
        failures.count
    }
}

/// What counts as one address: a machine has a whole network of 64 bits in IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & !u128::from(u64::MAX)).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    const HERE: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)));
    const THERE: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)));

    fn lockout() -> Lockout {
        Lockout::new(LockoutConfig {
            after: 3,
            after_from_address: 6,
            first: Duration::from_secs(10),
            longest: Duration::from_secs(60),
        })
    }

    /// How long `name` must wait.
    fn wait(lockout: &Lockout, name: &str, from: Option<IpAddr>, now: Instant) -> u64 {
        lockout.locked(name, from, now).map_or(0, |begun| begun.wait.as_secs())
    }

    #[test]
    fn each_failure_doubles_the_wait_up_to_the_longest_and_then_all_is_forgotten() {
        let (lockout, mut now) = (lockout(), Instant::now());
        for expected in [0, 0, 10, 20, 40, 60, 60] {
            lockout.failed("bob", None, now);
            assert_eq!(wait(&lockout, "bob", HERE, now), expected);
            assert_eq!(wait(&lockout, "ann", HERE, now), 0, "others are not held up");
            now += Duration::from_secs(expected);
            assert_eq!(wait(&lockout, "bob", HERE, now), 0, "a lock ends by itself");
        }
        now += Duration::from_secs(61);
        assert_eq!(lockout.failed("bob", None, now), [], "it begins anew");
    }

    #[test]
    fn an_address_is_locked_whatever_the_names_and_no_success_forgives_it() {
        let (lockout, now) = (lockout(), Instant::now());
        for at in 0..5 {
            assert_eq!(lockout.failed(&format!("user {at}"), HERE, now), []);
            lockout.succeeded("mallory", HERE);
        }
        let begun = Begun { locked: Locked::Address, wait: Duration::from_secs(10) };
        assert_eq!(lockout.failed("user 5", HERE, now), [begun]);
        assert_eq!(lockout.locked("mallory", HERE, now), Some(begun));
        assert_eq!(lockout.locked("mallory", THERE, now), None);
    }

    #[test]
    fn a_stranger_does_not_keep_a_user_out_where_the_user_has_been() {
        let (lockout, now) = (lockout(), Instant::now());
        lockout.succeeded("bob", HERE);
        for _ in 0..3 {
            lockout.failed("bob", THERE, now);
        }
        assert_eq!((wait(&lockout, "bob", THERE, now), wait(&lockout, "bob", HERE, now)), (10, 0));
        lockout.succeeded("bob", HERE);
        assert_eq!(wait(&lockout, "bob", THERE, now), 0, "who gets in ends the lock of the name");
    }

    #[test]
    fn a_flood_of_names_takes_bounded_room_and_washes_no_locked_one_out() {
        let (lockout, now) = (lockout(), Instant::now());
        for _ in 0..3 {
            lockout.failed("bob", None, now);
        }
        for at in 0..KEPT_MAX * 2 {
            lockout.failed(&at.to_string(), Some(IpAddr::V4(Ipv4Addr::from(u32::try_from(at).unwrap()))), now);
            lockout.succeeded(&at.to_string(), HERE);
            lockout.failed(&at.to_string(), None, now);
        }
        let state = lockout.state.lock();
        assert_eq!((state.names.len(), state.addresses.len(), state.known.len()), (KEPT_MAX, KEPT_MAX, KEPT_MAX));
        drop(state);
        assert_eq!(wait(&lockout, "bob", None, now), 10);
    }

    #[test]
    fn nothing_is_locked_where_that_is_switched_off() {
        let lockout = Lockout::new(LockoutConfig { after: 0, after_from_address: 0, ..LockoutConfig::default() });
        let now = Instant::now();
        for _ in 0..100 {
            assert_eq!(lockout.failed("bob", HERE, now), []);
        }
        assert_eq!(lockout.locked("bob", HERE, now), None);
    }

    #[test]
    fn one_machine_has_one_address() {
        let v6 = |last| IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 1, 0, 0, 0, last));
        assert_eq!(network(v6(1)), network(v6(2)));
        assert_ne!(network(v6(1)), network(IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 2, 0, 0, 0, 1))));
        assert_eq!(network("::ffff:10.0.0.1".parse().unwrap()), HERE.unwrap());
    }
}
