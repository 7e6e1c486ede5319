//! What the user of a session may do, from the roles of the configuration.

use watchfire_config::{AccessConfig, Operation, Roles};
use watchfire_model::CommandKind;

/// The roles of one user, and what they are good for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rights<'a> {
    pub roles: Roles,
    pub access: &'a AccessConfig,
}

impl Rights<'_> {
    /// Whether the user may do something.
    pub(crate) fn may(&self, operation: Operation) -> bool {
        self.access.may(self.roles, operation)
    }
}

/// The right that a command needs.
pub(crate) const fn operation_of(kind: CommandKind) -> Operation {
    match kind {
        CommandKind::Acknowledge => Operation::Acknowledge,
        CommandKind::Confirm => Operation::Confirm,
        CommandKind::AddComment => Operation::Comment,
        CommandKind::Enable | CommandKind::Disable => Operation::Enable,
        CommandKind::TimedShelve(_) | CommandKind::OneShotShelve | CommandKind::Unshelve => Operation::Shelve,
        CommandKind::Suppress | CommandKind::Unsuppress => Operation::Suppress,
        CommandKind::RemoveFromService
        | CommandKind::RemoveFromServiceFor(_)
        | CommandKind::PlanRemovalFromService { .. }
        | CommandKind::PlaceInService => Operation::Service,
        CommandKind::Mark(_) => Operation::Mark,
        CommandKind::Silence => Operation::Silence,
        CommandKind::Reset => Operation::Reset,
    }
}
