//! Who may do what on our OPC UA server: the well-known roles (OPC 10000-18 §4.2), and `[server.access]`, which says for
//! each operation which of them may.

use crate::section::Section;

/// A well-known role (OPC 10000-18 §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Everybody has it.
    Anonymous,
    /// Whoever has logged in has it.
    AuthenticatedUser,
    /// Looks.
    Observer,
    /// Runs the plant.
    Operator,
    /// Sets the plant up.
    Engineer,
    /// Is responsible for the plant.
    Supervisor,
    /// Sets the gateway up, but for its security.
    ConfigureAdmin,
    /// Sets the gateway's security up, and sees who did what.
    SecurityAdmin,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 8] = [
        Self::Anonymous,
        Self::AuthenticatedUser,
        Self::Observer,
        Self::Operator,
        Self::Engineer,
        Self::Supervisor,
        Self::ConfigureAdmin,
        Self::SecurityAdmin,
    ];

    /// The role as a configuration names it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::AuthenticatedUser => "authenticated_user",
            Self::Observer => "observer",
            Self::Operator => "operator",
            Self::Engineer => "engineer",
            Self::Supervisor => "supervisor",
            Self::ConfigureAdmin => "configure_admin",
            Self::SecurityAdmin => "security_admin",
        }
    }
}

/// Words for roles in lists of `[server.access]`.
pub(crate) const ROLES: [(&str, Role); 8] = [
    (Role::Anonymous.word(), Role::Anonymous),
    (Role::AuthenticatedUser.word(), Role::AuthenticatedUser),
    (Role::Observer.word(), Role::Observer),
    (Role::Operator.word(), Role::Operator),
    (Role::Engineer.word(), Role::Engineer),
    (Role::Supervisor.word(), Role::Supervisor),
    (Role::ConfigureAdmin.word(), Role::ConfigureAdmin),
    (Role::SecurityAdmin.word(), Role::SecurityAdmin),
];

/// A set of roles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Roles(u8);

impl Roles {
    /// The set of these.
    #[must_use]
    pub const fn of(roles: &[Role]) -> Self {
        let (mut bits, mut rest) = (0, roles);
        while let [first, more @ ..] = rest {
            bits |= 1 << *first as u8;
            rest = more;
        }
        Self(bits)
    }

    /// The roles of both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the two have a role in common.
    #[must_use]
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Its roles, in the order of [`Role::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Role> {
        Role::ALL.into_iter().filter(move |role| self.meets(Self::of(&[*role])))
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        roles.into_iter().fold(Self::default(), |all, role| all.and(Self::of(&[role])))
    }
}

/// What a client may be allowed to do beyond looking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// Acknowledge an alarm, by its method or by the plain variable.
    Acknowledge,
    /// Confirm one.
    Confirm,
    /// Add a comment to one.
    Comment,
    /// Say whether one was true or false.
    Mark,
    /// Shelve and unshelve one.
    Shelve,
    /// Silence one.
    Silence,
    /// Reset one that latches.
    Reset,
    /// Suppress one, and end that.
    Suppress,
    /// Take one out of service, and put it back.
    Service,
    /// Enable and disable a condition.
    Enable,
    /// Read what was recorded.
    ReadHistory,
    /// Read the server's diagnostics: its sessions and subscriptions.
    Diagnostics,
    /// See the audit events: who logged in, who was refused, who did what.
    Audit,
}

/// Which roles may do what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessConfig {
    table: [Roles; Operation::ALL.len()],
}

use Role::{ConfigureAdmin, Engineer, Observer, Operator, SecurityAdmin, Supervisor};

/// Who runs the alarms.
const RUN: Roles = Roles::of(&[Operator, Engineer, Supervisor]);
/// Who decides about alarms.
const DECIDE: Roles = Roles::of(&[Engineer, Supervisor]);
/// Everybody who was given a role.
const LOOK: Roles = Roles::of(&[Observer, Operator, Engineer, Supervisor]);
/// Whoever works on the plant or the gateway.
const WORK: Roles = Roles::of(&[Operator, Engineer, Supervisor, ConfigureAdmin, SecurityAdmin]);

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 13] = [
        Self::Acknowledge,
        Self::Confirm,
        Self::Comment,
        Self::Mark,
        Self::Shelve,
        Self::Silence,
        Self::Reset,
        Self::Suppress,
        Self::Service,
        Self::Enable,
        Self::ReadHistory,
        Self::Diagnostics,
        Self::Audit,
    ];

    /// The operation's key in `[server.access]`.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Acknowledge => "acknowledge",
            Self::Confirm => "confirm",
            Self::Comment => "comment",
            Self::Mark => "mark",
            Self::Shelve => "shelve",
            Self::Silence => "silence",
            Self::Reset => "reset",
            Self::Suppress => "suppress",
            Self::Service => "service",
            Self::Enable => "enable",
            Self::ReadHistory => "read_history",
            Self::Diagnostics => "diagnostics",
            Self::Audit => "audit",
        }
    }

    /// Who may, where nothing else is said.
    #[must_use]
    pub const fn default_roles(self) -> Roles {
        match self {
            Self::Acknowledge | Self::Confirm | Self::Comment | Self::Mark | Self::Shelve | Self::Silence => RUN,
            Self::Reset | Self::Suppress | Self::Service | Self::Enable => DECIDE,
            Self::ReadHistory => LOOK,
            Self::Diagnostics => WORK,
            Self::Audit => Roles::of(&[SecurityAdmin]),
        }
    }
}

impl Default for AccessConfig {
    fn default() -> Self {
        Self { table: Operation::ALL.map(Operation::default_roles) }
    }
}

impl AccessConfig {
    /// Who may do something.
    #[must_use]
    pub fn roles(&self, operation: Operation) -> Roles {
        self.table.get(operation as usize).copied().unwrap_or_default()
    }

    /// Whether one who has these roles may.
    #[must_use]
    pub fn may(&self, roles: Roles, operation: Operation) -> bool {
        self.roles(operation).meets(roles)
    }

    pub(crate) fn read(section: Section<'_>) -> Self {
        let one = |operation: Operation| {
            let default: Vec<Role> = operation.default_roles().iter().collect();
            section.some_or(operation.key(), &default, &ROLES).into_iter().collect()
        };
        let table = Operation::ALL.map(one);
        section.close();
        Self { table }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_and_roles_stand_where_their_number_says() {
        assert!(Operation::ALL.iter().enumerate().all(|(at, operation)| *operation as usize == at));
        assert!(Role::ALL.iter().enumerate().all(|(at, role)| *role as usize == at));
        assert!(ROLES.iter().zip(Role::ALL).all(|((_, role), known)| *role == known));
    }

    #[test]
    fn a_set_has_what_was_put_into_it() {
        let set = Roles::of(&[Operator, SecurityAdmin]);
        assert_eq!(set.iter().collect::<Vec<_>>(), [Operator, SecurityAdmin]);
        assert!(set.meets(RUN) && !set.meets(DECIDE) && !Roles::default().meets(set));
        assert_eq!(set.iter().collect::<Roles>(), set);
    }
}
