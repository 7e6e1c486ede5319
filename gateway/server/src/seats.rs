//! Who gets a session when they become few: what is left is for those who have few themselves, and the last for users
//! that log in. So whoever opens a hundred sessions, by accident or not, locks out nobody else. And who gives way then: a
//! session that nobody uses any more, before anybody is refused.
//!
//! A client that does not log in is known by its address and, where messages are secured, by its certificate.

use std::time::Duration;

use opcua::server::authenticator::{IdleSession, SessionHolder};

/// Sessions that the server has at a time.
pub(crate) const SEATS: usize = 100;
/// The same with those that have no user yet: whose they are, and who gives way, is known once they have one.
pub(crate) const SESSIONS_MAX: usize = SEATS + 20;
/// While no more than these are free, another is for those who have few.
const FOR_MANY: usize = 25;
/// Who has fewer has few.
const FEW: usize = 10;
/// While no more than these are free, another is for those who log in.
const FOR_USERS: usize = 10;
/// A session in which nothing was asked for so long, and that has no subscription, is one that nobody uses.
const UNUSED_AFTER: Duration = Duration::from_secs(60);

/// Whether there is a session for one more.
pub(crate) fn admits(asks: &SessionHolder, others: &[SessionHolder]) -> bool {
    let free = SEATS.saturating_sub(others.len());
    let has = others.iter().filter(|other| asks.is_same(other)).count();
    free > FOR_MANY || (free > 0 && has < FEW && (free > FOR_USERS || !asks.user.is_anonymous()))
}

/// Which session gives way to one more that is not admitted, of those that are `idle`, the longest first: one of the same
/// client, otherwise of whoever it is if the client has few. One of a user gives way to users alone.
pub(crate) fn gives_way(asks: &SessionHolder, others: &[SessionHolder], idle: &[IdleSession]) -> Option<usize> {
    let unused = |session: &IdleSession| session.idle >= UNUSED_AFTER;
    let own = idle.iter().position(|session| unused(session) && asks.is_same(&session.holder));
    let has = others.iter().filter(|other| asks.is_same(other)).count();
    if own.is_some() || has >= FEW {
        return own;
    }
    let below = |holder: &SessionHolder| !asks.user.is_anonymous() || holder.user.is_anonymous();
    idle.iter().position(|session| unused(session) && below(&session.holder))
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use opcua::crypto::Thumbprint;
    use opcua::server::authenticator::UserToken;
    use opcua::server::{ANONYMOUS_USER_TOKEN_ID, authenticator};

    use super::*;

    fn holder(user: &str, host: u8) -> authenticator::SessionHolder {
        let address = Some(IpAddr::V4(Ipv4Addr::new(10, 0, 0, host)));
        SessionHolder { user: UserToken(user.to_owned()), address, certificate: None }
    }

    fn nobody(host: u8) -> SessionHolder {
        holder(ANONYMOUS_USER_TOKEN_ID, host)
    }

    /// How many one gets beside those who are there.
    fn gets(one: &SessionHolder, there: &mut Vec<SessionHolder>) -> usize {
        let before = there.len();
        while admits(one, there) {
            there.push(one.clone());
        }
        there.len() - before
    }

    #[test]
    fn what_is_left_is_for_those_who_have_few_and_the_last_for_users() {
        let mut there = Vec::new();
        assert_eq!(gets(&nobody(1), &mut there), 75);
        assert_eq!(gets(&nobody(2), &mut there), 10, "another address");
        assert_eq!(gets(&nobody(3), &mut there), 5);
        assert_eq!(gets(&nobody(4), &mut there), 0, "the last are for users");
        assert_eq!(gets(&holder("bob", 1), &mut there), 10, "from the address that has most, too");
        assert_eq!(gets(&holder("ann", 5), &mut there), 0, "all are gone");
        assert_eq!(there.len(), SEATS);
    }

    /// Sessions that have been idle for so many seconds.
    fn idle(all: &[(&SessionHolder, u64)]) -> Vec<IdleSession> {
        let one = |(holder, idle_s): &(&SessionHolder, u64)| IdleSession {
            holder: (*holder).clone(),
            idle: Duration::from_secs(*idle_s),
        };
        all.iter().map(one).collect()
    }

    #[test]
    fn who_gives_way_has_not_used_it_for_longest_and_is_no_better_than_who_asks() {
        type Case<'a> = (&'a SessionHolder, &'a [&'a SessionHolder], &'a [(&'a SessionHolder, u64)], Option<usize>);
        let (bob, ann) = (holder("bob", 1), holder("ann", 2));
        let (here, there) = (nobody(1), nobody(2));
        let cases: [Case<'_>; 9] = [
            (&bob, &[], &[(&ann, 200), (&here, 100)], Some(0)),
            (&bob, &[], &[(&ann, 200), (&bob, 61), (&bob, 60)], Some(1)),
            (&bob, &[], &[(&ann, 59), (&here, 1)], None),
            (&here, &[], &[(&ann, 200), (&there, 100)], Some(1)),
            (&here, &[], &[(&ann, 200), (&bob, 100)], None),
            // Who has many has none of another's.
            (&bob, &[&bob; FEW], &[(&ann, 200), (&here, 100)], None),
            (&bob, &[&bob; FEW], &[(&ann, 200), (&bob, 100)], Some(1)),
            (&bob, &[&bob; FEW - 1], &[(&ann, 200), (&here, 100)], Some(0)),
            (&bob, &[], &[], None),
        ];
        for (asks, others, of, expected) in cases {
            let others: Vec<SessionHolder> = others.iter().map(|other| (*other).clone()).collect();
            assert_eq!(gives_way(asks, &others, &idle(of)), expected, "{asks:?} of {of:?}");
        }
    }

    #[test]
    fn a_user_is_one_from_wherever_and_an_application_is_its_certificate() {
        let mut there = Vec::new();
        assert_eq!(gets(&holder("bob", 1), &mut there), 75);
        assert_eq!(gets(&holder("bob", 2), &mut there), 0);
        let shown = |byte: u8| Some(Thumbprint::new(&[byte; 20]));
        let with = |byte| SessionHolder { certificate: shown(byte), ..nobody(3) };
        assert_eq!((gets(&with(1), &mut there), gets(&with(2), &mut there)), (10, 5));
    }
}
