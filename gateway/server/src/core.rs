//! The standard's own nodes, as the stack serves them, with the Condition methods answered by us: a call is handed to
//! whoever owns the method's node, and instances share the methods of their type.

use std::sync::Arc;

use async_trait::async_trait;
use opcua::nodes::DefaultTypeTree;
use opcua::server::CreateMonitoredItem;
use opcua::server::diagnostics::NamespaceMetadata;
use opcua::server::node_manager::memory::{CoreNodeManagerBuilder, InMemoryNodeManagerBuilder};
use opcua::server::node_manager::{
    BrowseNode, BrowsePathItem, DynNodeManager, ExternalReferenceRequest, HistoryNode, MethodCall, MonitoredItemRef,
    MonitoredItemUpdateRef, NodeManager, NodeManagerBuilder, NodeManagersRef, ParsedReadValueId, ReadNode,
    RequestContext, ServerContext, WriteNode, get_node_metadata,
};
use opcua::types::{
    AttributeId, DataValue, DiagnosticBits, ExpandedNodeId, MonitoringMode, NodeId, ObjectId, ReadEventDetails,
    ReadValueId, StatusCode, TimestampsToReturn, VariableId, Variant,
};

use watchfire_config::Operation;

use crate::asking::Asker;
use crate::enabled;
use crate::history::VALUES_MAX;
use crate::manager;
use crate::methods;
use crate::nodes::NOTIFIER;
use crate::part;
use crate::past::{self, EVENTS_MAX};
use crate::profiles;
use crate::seats::SEATS;
use crate::shared::Shared;

/// Makes the node manager.
pub(crate) struct CoreBuilder(pub Arc<Shared>);

impl NodeManagerBuilder for CoreBuilder {
    fn build(self: Box<Self>, context: ServerContext) -> Arc<DynNodeManager> {
        let managers = context.node_managers.clone();
        let inner = Box::new(InMemoryNodeManagerBuilder::new(CoreNodeManagerBuilder)).build(context);
        Arc::new(Core { inner, managers, shared: self.0 })
    }
}

/// What we can do that the stack does not know of (OPC 10000-5 §6.3.2, OPC 10000-11 §5.4).
fn capability(shared: &Shared, wanted: &ParsedReadValueId) -> Option<Variant> {
    let id = &wanted.node_id;
    if wanted.attribute_id == AttributeId::EventNotifier && *id == ObjectId::Server {
        return Some(NOTIFIER.bits().into());
    }
    if wanted.attribute_id != AttributeId::Value {
        return None;
    }
    if *id == VariableId::Server_Auditing
        || *id == VariableId::HistoryServerCapabilities_AccessHistoryDataCapability
        || *id == VariableId::HistoryServerCapabilities_AccessHistoryEventsCapability
        || *id == VariableId::HistoryServerCapabilities_ServerTimestampSupported
    {
        Some(true.into())
    } else if *id == VariableId::Server_ServerCapabilities_ServerProfileArray {
        let of_users = profiles::of_users(shared.users.ways_in());
        Some(shared.profiles.iter().cloned().chain(of_users).collect::<Vec<_>>().into())
    } else if *id == VariableId::Server_ServerCapabilities_LocaleIdArray {
        Some(shared.tongues.locale_ids().into())
    } else if *id == VariableId::Server_ServerCapabilities_MaxSessions {
        // Those that have no user yet are none that anybody can count on.
        u32::try_from(SEATS).ok().map(Variant::from)
    } else if *id == VariableId::HistoryServerCapabilities_MaxReturnDataValues {
        Some(VALUES_MAX.into())
    } else if *id == VariableId::HistoryServerCapabilities_MaxReturnEventValues {
        Some(EVENTS_MAX.into())
    } else {
        None
    }
}

/// The same as it is asked for.
fn answer(shared: &Shared, wanted: &ParsedReadValueId, timestamps: TimestampsToReturn) -> Option<DataValue> {
    let value = DataValue::new_now(capability(shared, wanted)?);
    Some(part::keep_timestamps(part::part_of(value, wanted), timestamps))
}

struct Core {
    inner: Arc<DynNodeManager>,
    managers: NodeManagersRef,
    shared: Arc<Shared>,
}

#[async_trait]
impl NodeManager for Core {
    fn owns_node(&self, id: &NodeId) -> bool {
        self.inner.owns_node(id)
    }

    fn name(&self) -> &'static str {
        "core"
    }

    fn owns_server_events(&self) -> bool {
        true
    }

    fn handle_new_node(&self, parent: &ExpandedNodeId) -> bool {
        self.inner.handle_new_node(parent)
    }

    fn namespaces_for_user(&self, context: &RequestContext) -> Vec<NamespaceMetadata> {
        self.inner.namespaces_for_user(context)
    }

    async fn init(&self, types: &mut DefaultTypeTree, context: ServerContext) {
        self.inner.init(types, context).await;
    }

    async fn resolve_external_references(&self, context: &RequestContext, items: &mut [&mut ExternalReferenceRequest]) {
        self.inner.resolve_external_references(context, items).await;
    }

    async fn read(
        &self,
        context: &RequestContext,
        max_age: f64,
        timestamps: TimestampsToReturn,
        nodes: &mut [&mut ReadNode],
    ) -> Result<(), StatusCode> {
        self.inner.read(context, max_age, timestamps, nodes).await?;
        for node in nodes {
            if let Some(value) = answer(&self.shared, node.node(), timestamps) {
                node.set_result(value);
            }
        }
        Ok(())
    }

    async fn write(&self, context: &RequestContext, nodes: &mut [&mut WriteNode]) -> Result<(), StatusCode> {
        let mut written = self.inner.write(context, nodes).await;
        if written == Err(StatusCode::BadServiceUnsupported) {
            // It knows no writing at all: there is nothing that can be written, or no such node.
            let asked: Vec<NodeId> = nodes.iter().map(|node| node.value().node_id.clone()).collect();
            let found = get_node_metadata(context, &self.managers, &asked).await;
            for (node, found) in nodes.iter_mut().zip(found) {
                let is_there = found.is_some();
                node.set_status(if is_there { StatusCode::BadNotWritable } else { StatusCode::BadNodeIdUnknown });
            }
            written = Ok(());
        }
        for node in nodes {
            let status = written.err().unwrap_or_else(|| node.status());
            let said = node.value().value.value.clone();
            manager::tell_write(&self.shared, context, node.value(), said, status);
        }
        written
    }

    async fn browse(&self, context: &RequestContext, nodes: &mut [BrowseNode]) -> Result<(), StatusCode> {
        self.inner.browse(context, nodes).await?;
        // It answers Good for what is not there.
        let asked: Vec<NodeId> = nodes.iter().map(|node| node.node_id().clone()).collect();
        let found = get_node_metadata(context, &self.managers, &asked).await;
        for (node, _) in nodes.iter_mut().zip(found).filter(|(_, found)| found.is_none()) {
            node.set_status(StatusCode::BadNodeIdUnknown);
        }
        Ok(())
    }

    async fn translate_browse_paths_to_node_ids(
        &self,
        context: &RequestContext,
        nodes: &mut [&mut BrowsePathItem],
    ) -> Result<(), StatusCode> {
        self.inner.translate_browse_paths_to_node_ids(context, nodes).await
    }

    async fn create_monitored_items(
        &self,
        context: &RequestContext,
        items: &mut [&mut CreateMonitoredItem],
    ) -> Result<(), StatusCode> {
        self.inner.create_monitored_items(context, items).await?;
        for item in items.iter_mut().filter(|item| item.status_code().is_good()) {
            let wanted = item.item_to_monitor();
            if wanted.attribute_id == AttributeId::Value
                && let Some(value) = capability(&self.shared, wanted)
            {
                item.set_initial_value(DataValue::new_now(value));
                continue;
            }
            if wanted.attribute_id == AttributeId::EventNotifier && wanted.node_id == ObjectId::Server {
                self.shared.audit.add_item(item.handle(), context.session_id);
                self.shared.watch.add_server(item.handle(), context.session_id);
                self.shared.tongues.subscribed(item.handle().subscription_id, context);
            }
        }
        Ok(())
    }

    async fn modify_monitored_items(&self, context: &RequestContext, items: &[&MonitoredItemUpdateRef]) {
        self.inner.modify_monitored_items(context, items).await;
    }

    async fn set_monitoring_mode(&self, context: &RequestContext, mode: MonitoringMode, items: &[&MonitoredItemRef]) {
        self.inner.set_monitoring_mode(context, mode, items).await;
        let enabled = enabled::without_value(context, items);
        if enabled.is_empty() {
            return;
        }
        let wanted = |item: &&MonitoredItemRef| ReadValueId {
            node_id: item.node_id().clone(),
            attribute_id: item.attribute() as u32,
            ..ReadValueId::default()
        };
        let mut nodes: Vec<ReadNode> =
            enabled.iter().map(|item| ReadNode::new(wanted(item), DiagnosticBits::empty())).collect();
        let mut asked: Vec<&mut ReadNode> = nodes.iter_mut().collect();
        if self.read(context, 0.0, TimestampsToReturn::Both, &mut asked).await.is_ok() {
            let values = enabled.iter().zip(&nodes).map(|(item, node)| (item.handle(), node.result().clone()));
            enabled::tell(context, values.collect());
        }
    }

    async fn delete_monitored_items(&self, context: &RequestContext, items: &[&MonitoredItemRef]) {
        for item in items {
            self.shared.audit.remove_item(item.handle());
            self.shared.watch.remove_server(item.handle());
        }
        self.inner.delete_monitored_items(context, items).await;
    }

    async fn history_read_events(
        &self,
        context: &RequestContext,
        details: &ReadEventDetails,
        nodes: &mut [&mut HistoryNode],
        _: TimestampsToReturn,
    ) -> Result<(), StatusCode> {
        for node in nodes {
            let status = if *node.node_id() != ObjectId::Server {
                StatusCode::BadHistoryOperationUnsupported
            } else if self.shared.users.may(&context.token, Operation::ReadHistory) {
                let speech = self.shared.tongues.of(context);
                let at = past::At { notifier: None, speech };
                past::events(&self.shared, context.type_tree.clone(), at, &Asker::of(context), details, node).await
            } else {
                StatusCode::BadUserAccessDenied
            };
            manager::tell_denied(&self.shared, context, node.node_id(), status);
            node.set_status(status);
        }
        Ok(())
    }

    async fn call(&self, context: &RequestContext, methods: &mut [&mut MethodCall]) -> Result<(), StatusCode> {
        let mut others = methods::answer_all(&self.shared, &self.managers, context, methods).await;
        if others.is_empty() {
            return Ok(());
        }
        let called = self.inner.call(context, &mut others).await;
        methods::tell_refused(&self.shared, context, others.iter().map(|method| &**method));
        called
    }
}
