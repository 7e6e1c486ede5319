//! Who gets a session when they become few: what is left is for those who have few themselves, and the last for users
//! that log in. So whoever opens a hundred sessions, by accident or not, locks out nobody else.
//!
//! A client that does not log in is known by its address and, where messages are secured, by its certificate.

use opcua::server::authenticator::SessionHolder;

/// Sessions that the server has at a time.
pub(crate) const SEATS: usize = 100;
/// While no more than these are free, another is for those who have few.
const FOR_MANY: usize = 25;
/// Who has fewer has few.
const FEW: usize = 10;
/// While no more than these are free, another is for those who log in.
const FOR_USERS: usize = 10;

/// Whether there is a session for one more.
pub(crate) fn admits(asks: &SessionHolder, others: &[SessionHolder]) -> bool {
    let free = SEATS.saturating_sub(others.len());
    let has = others.iter().filter(|other| asks.is_same(other)).count();
    free > FOR_MANY || (free > 0 && has < FEW && (free > FOR_USERS || !asks.user.is_anonymous()))
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
