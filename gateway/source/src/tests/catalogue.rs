//! A server with an address space of many sorts: analog items with units, arrays, structures, loops, two things of one
//! name, a folder that is larger than one answer. Its limits are small.

use std::sync::Arc;

use opcua::nodes::{AccessLevel, DataTypeBuilder, VariableBuilder, VariableTypeBuilder};
use opcua::server::ServerBuilder;
use opcua::server::address_space::AddressSpace;
use opcua::server::diagnostics::NamespaceMetadata;
use opcua::server::node_manager::memory::{SimpleNodeManager, simple_node_manager};
use opcua::types::{
    DataTypeId, EUInformation, ExtensionObject, NodeId, ObjectId, QualifiedName, Range, ReferenceTypeId,
    VariableTypeId, Variant,
};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// The namespace of its own nodes, and of one of them a second one.
pub(super) const NAMESPACE: &str = "urn:watchfire:test:catalogue";
/// How many there are in the large folder.
pub(super) const MANY: usize = 2_500;

/// The server, on a runtime of its own that ends with it.
pub(super) struct Catalogue {
    runtime: Option<Runtime>,
    pub(super) url: String,
}

impl Drop for Catalogue {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

pub(super) async fn start_catalogue() -> Catalogue {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let url = runtime.spawn(serve()).await.unwrap();
    Catalogue { runtime: Some(runtime), url }
}

async fn serve() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let metadata = NamespaceMetadata { namespace_uri: NAMESPACE.to_owned(), ..Default::default() };
    let mut builder = ServerBuilder::new_anonymous("catalogue")
        .host("127.0.0.1")
        .port(port)
        .with_node_manager(simple_node_manager(metadata, "catalogue"));
    let limits = builder.limits_mut();
    limits.operational.max_nodes_per_browse = 7;
    limits.operational.max_nodes_per_read = 100;
    limits.operational.max_nodes_per_translate_browse_paths_to_node_ids = 2;
    limits.operational.max_references_per_browse_node = 100;
    limits.max_browse_continuation_points = 2;
    let (server, handle) = builder.build().unwrap();
    let nodes: Arc<SimpleNodeManager> = handle.node_managers().get_of_type::<SimpleNodeManager>().unwrap();
    let namespace = handle.get_namespace_index(NAMESPACE).unwrap();
    fill(&mut nodes.address_space().write(), namespace);
    tokio::spawn(server.run_with(listener));
    format!("opc.tcp://127.0.0.1:{port}")
}

struct Maker<'s> {
    space: &'s mut AddressSpace,
    namespace: u16,
}

impl Maker<'_> {
    fn id(&self, name: &str) -> NodeId {
        NodeId::new(self.namespace, name)
    }

    fn name(&self, path: &str) -> QualifiedName {
        QualifiedName::new(self.namespace, path.rsplit('/').next().unwrap())
    }

    fn folder(&mut self, path: &str, parent: &NodeId) -> NodeId {
        let (id, name) = (self.id(path), self.name(path));
        self.space.add_folder(&id, name.clone(), name.name.as_ref(), parent);
        id
    }

    fn variable(
        &mut self,
        path: &str,
        parent: &NodeId,
        of_type: impl Into<NodeId>,
        value: impl Into<Variant>,
    ) -> NodeId {
        self.variable_with(path, parent, of_type, value, |builder| builder.data_type(DataTypeId::Double))
    }

    fn variable_with(
        &mut self,
        path: &str,
        parent: &NodeId,
        of_type: impl Into<NodeId>,
        value: impl Into<Variant>,
        with: impl FnOnce(VariableBuilder) -> VariableBuilder,
    ) -> NodeId {
        let (id, name) = (self.id(path), self.name(path));
        let builder = VariableBuilder::new(&id, name.clone(), name.name.as_ref())
            .value(value.into())
            .has_type_definition(of_type.into())
            .organized_by(parent.clone());
        with(builder).insert(self.space);
        id
    }

    fn property(&mut self, of: &NodeId, name: &str, value: ExtensionObject) {
        let id = self.id(&format!("{of}#{name}"));
        VariableBuilder::new(&id, name, name)
            .data_type(DataTypeId::Structure)
            .value(Variant::from(value))
            .has_type_definition(VariableTypeId::PropertyType)
            .property_of(of.clone())
            .insert(self.space);
    }

    fn range(&mut self, of: &NodeId, name: &str, low: f64, high: f64) {
        self.property(of, name, ExtensionObject::from_message(Range { low, high }));
    }

    fn unit(&mut self, of: &NodeId, unit_id: i32, shown: &str) {
        let unit = EUInformation { unit_id, display_name: shown.into(), ..EUInformation::default() };
        self.property(of, "EngineeringUnits", ExtensionObject::from_message(unit));
    }
}

fn fill(space: &mut AddressSpace, namespace: u16) {
    let mut make = Maker { space, namespace };
    let (plain, analog) = (VariableTypeId::BaseDataVariableType, VariableTypeId::AnalogItemType);
    let vendor_type = make.id("VendorAnalogType");
    VariableTypeBuilder::new(&vendor_type, make.name("VendorAnalogType"), "VendorAnalogType")
        .subtype_of(analog)
        .insert(make.space);
    let structure = make.id("VendorStructure");
    DataTypeBuilder::new(&structure, "VendorStructure", "VendorStructure")
        .subtype_of(DataTypeId::Structure)
        .insert(make.space);

    let plant = make.folder("Plant", &ObjectId::ObjectsFolder.into());
    for pump in ["Pump 1", "Pump 2", "Spare"] {
        let folder = make.folder(&format!("Plant/{pump}"), &plant);
        let speed = make.variable(&format!("Plant/{pump}/Speed"), &folder, vendor_type.clone(), 1.0);
        make.range(&speed, "EURange", 0.0, 3600.0);
        make.range(&speed, "InstrumentRange", -1.0, 9999.0);
        make.unit(&speed, 5_394_509, "r/min");
        make.variable(&format!("Plant/{pump}/Name"), &folder, plain, "x");
    }
    let tank = make.folder("Plant/Tank", &plant);
    let level = make.variable_with("Plant/Tank/Level", &tank, analog, 2.0, |builder| {
        builder.data_type(DataTypeId::Double).description("How full it is")
    });
    make.range(&level, "InstrumentRange", 0.0, 12.5);
    make.range(&level, "EURange", 5.0, 5.0);
    make.unit(&level, -1, "µS/cm");
    make.variable_with("Plant/Tank/Profile", &tank, analog, vec![1.0, 2.0], |builder| {
        builder.data_type(DataTypeId::Double).value_rank(1)
    });
    make.variable_with("Plant/Tank/Recipe", &tank, plain, Variant::Empty, |builder| builder.data_type(structure));
    make.variable_with("Plant/Tank/Secret", &tank, plain, 1.0, |builder| {
        builder.data_type(DataTypeId::Double).access_level(AccessLevel::empty()).user_access_level(AccessLevel::empty())
    });
    // A loop, and a second way to a pump.
    make.space.insert_reference(&tank, &plant, ReferenceTypeId::Organizes);
    let spare = make.id("Plant/Spare");
    make.space.insert_reference(&tank, &spare, ReferenceTypeId::Organizes);
    // The same name once more below the tank, of another namespace.
    let twin = make.id("twin");
    VariableBuilder::new(&twin, QualifiedName::new(0, "Level"), "Level")
        .data_type(DataTypeId::Double)
        .value(3.0)
        .organized_by(tank)
        .insert(make.space);

    let many = make.folder("Many", &ObjectId::ObjectsFolder.into());
    for number in 0..MANY {
        make.variable(&format!("Many/{number}"), &many, plain, 0.0);
    }
}
