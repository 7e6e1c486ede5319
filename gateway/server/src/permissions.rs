//! RolePermissions and UserRolePermissions of our nodes (OPC 10000-3 §5.2.9, §5.2.10): what `[server.access]` says of
//! roles, as clients read it. What is done with a node is decided where it is done, by the same table.

use opcua::types::{ExtensionObject, NodeId, ObjectId, PermissionType, RolePermissionType, Variant};
use watchfire_config::{Operation, Role, Roles};

use crate::fields::SHELVING;
use crate::method_table;
use crate::nodes::{AreaPart, Node};
use crate::rights::{Rights, operation_of};

/// What these roles may do with a node, role by role.
pub(crate) fn of(node: &Node, roles: Roles, rights: &Rights<'_>) -> Variant {
    let one = |role: Role| RolePermissionType { role_id: id_of(role), permissions: permissions(node, role, rights) };
    let all: Vec<ExtensionObject> = roles.iter().map(|role| ExtensionObject::from_message(one(role))).collect();
    all.into()
}

/// The well-known role (OPC 10000-18 §4.2).
fn id_of(role: Role) -> NodeId {
    let id = match role {
        Role::Anonymous => ObjectId::WellKnownRole_Anonymous,
        Role::AuthenticatedUser => ObjectId::WellKnownRole_AuthenticatedUser,
        Role::Observer => ObjectId::WellKnownRole_Observer,
        Role::Operator => ObjectId::WellKnownRole_Operator,
        Role::Engineer => ObjectId::WellKnownRole_Engineer,
        Role::Supervisor => ObjectId::WellKnownRole_Supervisor,
        Role::ConfigureAdmin => ObjectId::WellKnownRole_ConfigureAdmin,
        Role::SecurityAdmin => ObjectId::WellKnownRole_SecurityAdmin,
    };
    id.into()
}

fn permissions(node: &Node, role: Role, rights: &Rights<'_>) -> PermissionType {
    let may = |operation| rights.access.may(Roles::of(&[role]), operation);
    // Whoever gets in may look at everything and hear of it.
    let mut all = PermissionType::Browse | PermissionType::ReadRolePermissions | PermissionType::Read;
    if matches!(node, Node::Area(_) | Node::Source(_) | Node::Condition(_) | Node::Type | Node::DeviceType(_)) {
        all |= PermissionType::ReceiveEvents;
    }
    if matches!(node, Node::Area(_) | Node::Source(_) | Node::Signal(_)) && may(Operation::ReadHistory) {
        all |= PermissionType::ReadHistory;
    }
    if node.takes_acknowledgement().is_some() && may(Operation::Acknowledge) {
        all |= PermissionType::Write;
    }
    if operations(node).into_iter().any(may) {
        all |= PermissionType::Call;
    }
    all
}

/// What can be called on a node, or what it is to call it.
fn operations(node: &Node) -> Vec<Operation> {
    let of = |method: &'static method_table::Method| operation_of(method.kind);
    match node {
        Node::Method(method) => vec![of(method)],
        Node::Condition(condition) => {
            method_table::of_instance(&condition.def).chain(method_table::of_shelving()).map(of).collect()
        }
        Node::Field(_, field) if field.path == SHELVING => method_table::of_shelving().map(of).collect(),
        Node::AreaPart(_, AreaPart::Metrics) | Node::Console(_) => vec![Operation::Reset],
        _ => Vec::new(),
    }
}
