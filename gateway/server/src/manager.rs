//! The node manager of our namespace: the services over nodes that are computed. What nodes there are and how they hang
//! together is known in `nodes` and `references`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use opcua::nodes::DefaultTypeTree;
use opcua::server::CreateMonitoredItem;
use opcua::server::diagnostics::NamespaceMetadata;
use opcua::server::node_manager::{
    BrowseNode, BrowsePathItem, ExternalReferenceRequest, HistoryNode, MethodCall, MonitoredItemRef,
    MonitoredItemUpdateRef, NodeManager, NodeManagersRef, NodeMetadata, ParsedReadValueId, ParsedWriteValue, ReadNode,
    RequestContext, ServerContext, SyncSampler, WriteNode,
};
use opcua::types::{
    AttributeId, DataEncoding, DataValue, ExpandedNodeId, IdType, MonitoringMode, NodeClass, NodeId, NumericRange,
    ObjectTypeId, QualifiedName, ReadAtTimeDetails, ReadEventDetails, ReadProcessedDetails, ReadRawModifiedDetails,
    StatusCode, TimestampsToReturn, Variant,
};
use watchfire_config::Operation;
use watchfire_model::{AlarmCommand, CommandKind, SignalId};

use crate::acknowledge_request;
use crate::asking::Asker;
use crate::attempts;
use crate::audit_event::{AuditEvent, Outcome};
use crate::browse;
use crate::device_types::{DEVICES, DEVICES_URI, DeviceType, HEALTH};
use crate::enabled;
use crate::fields;
use crate::followers::{Asked as Watched, SAMPLING};
use crate::history::{self, Asked};
use crate::methods;
use crate::metrics;
use crate::names::{
    METRICS_TYPE, NAMESPACE, NAMESPACE_URI, STATISTICAL_TYPE, below, browse_name, is_ours, own, own_text,
};
use crate::nodes::Node;
use crate::part::{bad, keep_timestamps, ms, pace, part_of};
use crate::past;
use crate::refusals::Refused;
use crate::shared::Shared;
use crate::teller;
use crate::trend::Lost;
use crate::users::name_of;

/// How often what changes by itself is looked at, such as figures of alarms.
const COUNTED: Duration = Duration::from_secs(1);
/// After so long a monitored item that was being created is there.
const SETTLED: Duration = Duration::from_millis(100);

/// Our namespace's nodes.
pub(crate) struct Manager {
    shared: Arc<Shared>,
    managers: NodeManagersRef,
    sampler: SyncSampler,
}

impl Manager {
    pub(crate) fn new(shared: Arc<Shared>, context: &ServerContext) -> Self {
        for uri in [NAMESPACE_URI, DEVICES_URI] {
            context.type_tree.write().namespaces_mut().add_namespace(uri);
        }
        Self { shared, managers: context.node_managers.clone(), sampler: SyncSampler::new() }
    }

    fn find(&self, id: &NodeId) -> Option<Node> {
        Node::of(&self.shared.space.read(), id)
    }

    fn read_one(&self, context: &RequestContext, wanted: &ParsedReadValueId) -> DataValue {
        part_of(self.read_whole(context, wanted), wanted)
    }

    /// Whatever the index range and the encoding are.
    fn read_whole(&self, context: &RequestContext, wanted: &ParsedReadValueId) -> DataValue {
        let space = self.shared.space.read();
        let Some(node) = Node::of(&space, &wanted.node_id) else { return bad(StatusCode::BadNodeIdUnknown) };
        let rights = self.shared.users.rights(&context.token);
        let value = match node.attribute(&space, &self.shared.values(), wanted.attribute_id, &rights) {
            Ok(value) => value,
            Err(status) => return bad(status),
        };
        node.spoken(wanted.attribute_id, value, &self.shared.tongues.of(context))
    }

    /// The signals of a request for history, node by node.
    fn ahead(
        &self,
        context: &RequestContext,
        nodes: &[&mut HistoryNode],
        timestamps: TimestampsToReturn,
    ) -> history::Ahead {
        let signal =
            |node: &&mut HistoryNode| self.asked(context, node.node_id(), timestamps, 1).ok().map(|asked| asked.signal);
        history::Ahead(nodes.iter().map(signal).collect())
    }

    /// What history is to be read of a node.
    fn asked(
        &self,
        context: &RequestContext,
        id: &NodeId,
        timestamps: TimestampsToReturn,
        values_max: u32,
    ) -> Result<Asked, StatusCode> {
        match self.find(id) {
            Some(_) if !self.shared.users.may(&context.token, Operation::ReadHistory) => {
                Err(StatusCode::BadUserAccessDenied)
            }
            Some(Node::Signal(signal)) => {
                let (asker, kind) = (Asker::of(context), self.shared.values().kind(&signal));
                let lost = self.shared.latest.lost_since(signal.id);
                let lost = lost.map(|(since, has_come)| Lost { since, has_come, now: self.shared.clock.now() });
                Ok(Asked { signal: signal.id, kind, timestamps, values_max, lost, asker })
            }
            Some(_) => Err(StatusCode::BadHistoryOperationUnsupported),
            None => Err(StatusCode::BadNodeIdUnknown),
        }
    }

    /// The signal of a node whose value is watched.
    fn signal(&self, id: &NodeId, attribute: AttributeId) -> Option<SignalId> {
        match self.find(id) {
            Some(Node::Signal(signal)) if attribute == AttributeId::Value => Some(signal.id),
            _ => None,
        }
    }

    /// Registers an item for values, or checks that events can be had.
    fn watch(&self, context: &RequestContext, item: &mut CreateMonitoredItem) {
        let wanted = item.item_to_monitor().clone();
        let Some(node) = self.find(&wanted.node_id) else {
            item.set_status(StatusCode::BadNodeIdUnknown);
            return;
        };
        let name = own_text(&wanted.node_id).unwrap_or_default();
        self.shared.tongues.subscribed(item.handle().subscription_id, context);
        if wanted.attribute_id == AttributeId::EventNotifier {
            if node.is_notifier() {
                self.shared.watch.add_events(name, item.handle(), context.session_id);
                item.set_status(StatusCode::Good);
            } else {
                item.set_status(StatusCode::BadAttributeIdInvalid);
            }
            return;
        }
        match wanted.data_encoding {
            DataEncoding::Binary => {}
            DataEncoding::XML | DataEncoding::JSON => return item.set_status(StatusCode::BadDataEncodingUnsupported),
            DataEncoding::Other(_) => return item.set_status(StatusCode::BadDataEncodingInvalid),
        }
        if wanted.attribute_id == AttributeId::Value {
            if let Node::Signal(signal) = &node {
                item.limit_sampling_interval(ms(SAMPLING), true);
                let asked = Watched {
                    handle: item.handle(),
                    session: context.session_id,
                    interval: pace(item.sampling_interval()),
                    enabled: item.monitoring_mode() != MonitoringMode::Disabled,
                };
                let first = self.shared.followers.add(&self.shared, signal, &asked);
                item.set_initial_value(first);
                item.set_status(StatusCode::Good);
                return;
            }
            if node.moves() {
                let (name, shared) = (name.to_owned(), self.shared.clone());
                let now = move || {
                    let space = shared.space.read();
                    Node::find(&space, &name)?.value(&space, &shared.values())
                };
                let (mode, handle) = (item.monitoring_mode(), item.handle());
                item.limit_sampling_interval(ms(COUNTED), false);
                let interval = pace(item.sampling_interval()).unwrap_or(COUNTED).max(COUNTED);
                self.sampler.add_sampler(wanted.node_id.clone(), AttributeId::Value, now, mode, handle, interval);
            } else {
                self.shared.watch.add_value(name, item.handle());
            }
        }
        // The part that an index range means is taken from it by the item, as from all that follow.
        let value = self.read_whole(context, &wanted);
        // A bad status of the value itself is a value to show; a wrong attribute is not.
        if matches!(value.status, Some(StatusCode::BadAttributeIdInvalid | StatusCode::BadNodeIdUnknown)) {
            self.shared.watch.remove(name, item.handle());
            item.set_status(value.status());
            return;
        }
        item.set_initial_value(value);
        item.set_status(StatusCode::Good);
    }

    async fn write_one(
        &self,
        context: &RequestContext,
        id: &NodeId,
        attribute: AttributeId,
        value: Option<Variant>,
    ) -> StatusCode {
        let Some(node) = self.find(id) else { return StatusCode::BadNodeIdUnknown };
        let Some((condition, request)) = node.takes_acknowledgement().filter(|_| attribute == AttributeId::Value)
        else {
            return StatusCode::BadNotWritable;
        };
        let event_id = acknowledge_request::event_id_in(request, value);
        let (key, user, now) = (condition.def.key.clone(), name_of(&context.token), self.shared.clock.now());
        let status = if !self.shared.users.may(&context.token, Operation::Acknowledge) {
            StatusCode::BadUserAccessDenied
        } else if let Some(event_id) = event_id.clone() {
            let (kind, user) = (CommandKind::Acknowledge, user.to_owned());
            let command = AlarmCommand { key: key.clone(), kind, event_id, comment: None, user, at: now };
            methods::give(&self.shared, command).await.map_or_else(|status| status, |()| StatusCode::Good)
        } else {
            StatusCode::BadTypeMismatch
        };
        // As a call of Acknowledge is told (OPC 10000-9 §5.10.1): the write alone does not say what it does.
        let outcome = Outcome { server: &self.shared.audit.server, at: self.shared.clock.now(), status };
        let told = AuditEvent::of_acknowledgement(own(key.as_str()), event_id, user, outcome);
        self.shared.audit.tell(told);
        status
    }
}

/// Logs a history that somebody may not read, since the standard has no audit event for reading; and tells of a filter
/// that nobody could evaluate.
pub(crate) fn tell_denied(shared: &Shared, context: &RequestContext, node: &NodeId, status: StatusCode) {
    if status == StatusCode::BadUserAccessDenied {
        let what = "history read";
        shared.audit.log(&Refused { user: name_of(&context.token), what, node, status });
    }
    if status == StatusCode::BadEventFilterInvalid {
        let outcome = Outcome { server: &shared.audit.server, at: shared.clock.now(), status };
        shared.audit.tell(AuditEvent::of_filter(node, name_of(&context.token), outcome));
    }
}

/// Tells of a value that was written, or that nobody could write.
pub(crate) fn tell_write(
    shared: &Shared,
    context: &RequestContext,
    wanted: &ParsedWriteValue,
    said: Option<Variant>,
    status: StatusCode,
) {
    let outcome = Outcome { server: &shared.audit.server, at: shared.clock.now(), status };
    let user = name_of(&context.token);
    shared.audit.tell(AuditEvent::of_write((wanted.node_id.clone(), wanted.attribute_id), said, user, outcome));
}

#[async_trait]
impl NodeManager for Manager {
    /// Ours, and those of namespaces that nobody has: somebody must say, and put on record, that there is no such node.
    fn owns_node(&self, id: &NodeId) -> bool {
        is_ours(id) || id.namespace > DEVICES
    }

    fn name(&self) -> &'static str {
        "watchfire"
    }

    fn namespaces_for_user(&self, context: &RequestContext) -> Vec<NamespaceMetadata> {
        self.shared.watch.saw_session(context.session_id, &context.subscriptions);
        // Called at each activation: the user may be another than before.
        self.shared.audit.saw_user(context.session_id, &context.token);
        self.shared.tongues.activated(context);
        let ours = NamespaceMetadata {
            namespace_uri: NAMESPACE_URI.to_owned(),
            namespace_index: NAMESPACE,
            is_namespace_subset: Some(false),
            static_node_id_types: Some(vec![IdType::String]),
            ..NamespaceMetadata::default()
        };
        let devices = NamespaceMetadata {
            namespace_uri: DEVICES_URI.to_owned(),
            namespace_index: DEVICES,
            is_namespace_subset: Some(true),
            static_node_id_types: Some(vec![IdType::Numeric]),
            ..NamespaceMetadata::default()
        };
        vec![ours, devices]
    }

    fn subscriptions_transferred(&self, context: &RequestContext, subscription_ids: &[u32]) {
        for id in subscription_ids {
            self.shared.tongues.subscribed(*id, context);
        }
    }

    async fn init(&self, types: &mut DefaultTypeTree, context: ServerContext) {
        let ours = own(STATISTICAL_TYPE);
        types.add_type_node(&ours, &ObjectTypeId::AlarmConditionType.into(), NodeClass::ObjectType);
        // Our own type alone declares them, and every alarm has them: so filters find them from ConditionType downwards.
        // What they are to refuse is a path that no event will ever have (OPC 10000-4 §7.22.3).
        for field in fields::of_events() {
            let (declared, name) = (below(STATISTICAL_TYPE, field.path), browse_name(true, field.name()));
            types.add_type_property(&declared, &ObjectTypeId::ConditionType.into(), &[&name], NodeClass::Variable);
        }
        let metrics = own(METRICS_TYPE);
        types.add_type_node(&metrics, &ObjectTypeId::AlarmMetricsType.into(), NodeClass::ObjectType);
        for figure in metrics::declared() {
            let name: QualifiedName = browse_name(true, figure.name());
            types.add_type_property(&below(METRICS_TYPE, figure.path), &metrics, &[&name], NodeClass::Variable);
        }
        let parent = |device: &DeviceType| {
            if device.is_abstract() { ObjectTypeId::InstrumentDiagnosticAlarmType.into() } else { HEALTH.id() }
        };
        for device in DeviceType::all() {
            types.add_type_node(&device.id(), &parent(device), NodeClass::ObjectType);
        }
        self.sampler.run(SAMPLING, context.subscriptions.clone());
    }

    async fn resolve_external_references(&self, _: &RequestContext, items: &mut [&mut ExternalReferenceRequest]) {
        for item in items {
            if let Some(node) = self.find(item.node_id()) {
                let description = node.description();
                item.set(NodeMetadata {
                    node_id: ExpandedNodeId::new(description.id),
                    type_definition: ExpandedNodeId::new(description.type_definition),
                    browse_name: description.browse_name,
                    display_name: crate::names::text(&description.display),
                    node_class: description.class,
                });
            }
        }
    }

    async fn read(
        &self,
        context: &RequestContext,
        _: f64,
        timestamps: TimestampsToReturn,
        nodes: &mut [&mut ReadNode],
    ) -> Result<(), StatusCode> {
        for node in nodes {
            let value = self.read_one(context, node.node());
            node.set_result(keep_timestamps(value, timestamps));
        }
        Ok(())
    }

    async fn write(&self, context: &RequestContext, nodes: &mut [&mut WriteNode]) -> Result<(), StatusCode> {
        let answers = join_all(nodes.iter().map(|node| {
            let wanted = node.value();
            let value = wanted.value.value.clone();
            let whole = matches!(wanted.index_range, NumericRange::None);
            async move {
                let said = value.clone();
                let status = if whole {
                    self.write_one(context, &wanted.node_id, wanted.attribute_id, value).await
                } else {
                    StatusCode::BadIndexRangeInvalid
                };
                if status.is_bad() {
                    attempts::written(&self.shared, &wanted.node_id);
                }
                tell_write(&self.shared, context, wanted, said, status);
                status
            }
        }))
        .await;
        for (node, answer) in nodes.iter_mut().zip(answers) {
            node.set_status(answer);
        }
        Ok(())
    }

    async fn history_read_raw_modified(
        &self,
        context: &RequestContext,
        details: &ReadRawModifiedDetails,
        nodes: &mut [&mut HistoryNode],
        timestamps: TimestampsToReturn,
    ) -> Result<(), StatusCode> {
        let values_max = history::values_max(nodes.len());
        let (ahead, asker) = (self.ahead(context, nodes, timestamps), Asker::of(context));
        for (at, node) in nodes.iter_mut().enumerate() {
            ahead.prepare(&self.shared.recorded, &asker, at).await;
            let status = match self.asked(context, node.node_id(), timestamps, values_max) {
                Ok(asked) => history::raw(&self.shared.recorded, &asked, details, node).await,
                Err(status) => status,
            };
            tell_denied(&self.shared, context, node.node_id(), status);
            node.set_status(status);
        }
        Ok(())
    }

    async fn history_read_processed(
        &self,
        context: &RequestContext,
        details: &ReadProcessedDetails,
        nodes: &mut [&mut HistoryNode],
        timestamps: TimestampsToReturn,
    ) -> Result<(), StatusCode> {
        // One aggregate for each node of the request, of which only our nodes come here.
        let aggregates = details.aggregate_type.as_deref().unwrap_or_default();
        let one = aggregates.first().filter(|first| aggregates.iter().all(|other| other == *first));
        let matched = aggregates.len() == nodes.len();
        let values_max = history::values_max(nodes.len());
        let (ahead, asker) = (self.ahead(context, nodes, timestamps), Asker::of(context));
        for (at, node) in nodes.iter_mut().enumerate() {
            ahead.prepare(&self.shared.recorded, &asker, at).await;
            let aggregate = if matched { aggregates.get(at) } else { one };
            let status = match (self.asked(context, node.node_id(), timestamps, values_max), aggregate) {
                (Ok(asked), Some(aggregate)) => {
                    history::processed(&self.shared.recorded, &asked, details, aggregate, node).await
                }
                (Ok(_), None) => StatusCode::BadAggregateListMismatch,
                (Err(status), _) => status,
            };
            tell_denied(&self.shared, context, node.node_id(), status);
            node.set_status(status);
        }
        Ok(())
    }

    async fn history_read_at_time(
        &self,
        context: &RequestContext,
        details: &ReadAtTimeDetails,
        nodes: &mut [&mut HistoryNode],
        timestamps: TimestampsToReturn,
    ) -> Result<(), StatusCode> {
        let values_max = history::values_max(nodes.len());
        let (ahead, asker) = (self.ahead(context, nodes, timestamps), Asker::of(context));
        for (at, node) in nodes.iter_mut().enumerate() {
            ahead.prepare(&self.shared.recorded, &asker, at).await;
            let status = match self.asked(context, node.node_id(), timestamps, values_max) {
                Ok(asked) => history::at_times(&self.shared.recorded, &asked, details, node).await,
                Err(status) => status,
            };
            tell_denied(&self.shared, context, node.node_id(), status);
            node.set_status(status);
        }
        Ok(())
    }

    async fn history_read_events(
        &self,
        context: &RequestContext,
        details: &ReadEventDetails,
        nodes: &mut [&mut HistoryNode],
        _: TimestampsToReturn,
    ) -> Result<(), StatusCode> {
        for node in nodes {
            let status = match self.find(node.node_id()) {
                None => StatusCode::BadNodeIdUnknown,
                Some(found) if !found.is_notifier() => StatusCode::BadHistoryOperationUnsupported,
                Some(_) if !self.shared.users.may(&context.token, Operation::ReadHistory) => {
                    StatusCode::BadUserAccessDenied
                }
                Some(_) => {
                    let notifier = own_text(node.node_id()).map(str::to_owned);
                    let asked = past::At { notifier, speech: self.shared.tongues.of(context) };
                    past::events(&self.shared, context.type_tree.clone(), asked, &Asker::of(context), details, node)
                        .await
                }
            };
            tell_denied(&self.shared, context, node.node_id(), status);
            node.set_status(status);
        }
        Ok(())
    }

    async fn browse(&self, context: &RequestContext, nodes: &mut [BrowseNode]) -> Result<(), StatusCode> {
        browse::browse(&self.shared, &self.managers, context, nodes).await;
        Ok(())
    }

    async fn translate_browse_paths_to_node_ids(
        &self,
        context: &RequestContext,
        nodes: &mut [&mut BrowsePathItem],
    ) -> Result<(), StatusCode> {
        let mut looked_at = 0;
        for item in nodes {
            browse::follow(&self.shared, context, item, &mut looked_at);
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    async fn create_monitored_items(
        &self,
        context: &RequestContext,
        items: &mut [&mut CreateMonitoredItem],
    ) -> Result<(), StatusCode> {
        self.shared.watch.saw_session(context.session_id, &context.subscriptions);
        let mut created = Vec::new();
        for item in items {
            self.watch(context, item);
            let wanted = item.item_to_monitor();
            let value = wanted.attribute_id == AttributeId::Value;
            if value && item.status_code().is_good() && self.signal(&wanted.node_id, wanted.attribute_id).is_none() {
                created.push(wanted.node_id.clone());
            }
        }
        // A change between the initial value and the item's birth would reach nobody: say it again. Whoever has it
        // already is not told twice.
        if !created.is_empty() {
            let (shared, subscriptions) = (self.shared.clone(), context.subscriptions.clone());
            self.shared.spawn(async move {
                tokio::time::sleep(SETTLED).await;
                let _in_order = shared.telling.lock();
                teller::tell_values(&shared, &subscriptions, &created);
            });
        }
        Ok(())
    }

    async fn modify_monitored_items(&self, _: &RequestContext, items: &[&MonitoredItemUpdateRef]) {
        for item in items {
            let pace = pace(item.update().revised_sampling_interval);
            match self.signal(item.node_id(), item.attribute()) {
                Some(signal) => self.shared.followers.set_pace(&self.shared, signal, item.handle(), pace),
                None => {
                    let interval = pace.unwrap_or(COUNTED).max(COUNTED);
                    self.sampler.update_sampler(item.node_id(), item.attribute(), item.handle(), interval);
                }
            }
        }
    }

    async fn set_monitoring_mode(&self, context: &RequestContext, mode: MonitoringMode, items: &[&MonitoredItemRef]) {
        for item in items {
            match self.signal(item.node_id(), item.attribute()) {
                Some(signal) => {
                    let enabled = mode != MonitoringMode::Disabled;
                    self.shared.followers.enable(&self.shared, signal, item.handle(), enabled);
                }
                None => self.sampler.set_sampler_mode(item.node_id(), item.attribute(), item.handle(), mode),
            }
        }
        // Signals are told by those who follow them.
        let others = enabled::without_value(context, items).into_iter();
        let others = others.filter(|item| self.signal(item.node_id(), item.attribute()).is_none());
        let now = |item: &MonitoredItemRef| {
            let wanted = ParsedReadValueId {
                node_id: item.node_id().clone(),
                attribute_id: item.attribute(),
                index_range: NumericRange::None,
                data_encoding: DataEncoding::Binary,
            };
            (item.handle(), self.read_whole(context, &wanted))
        };
        enabled::tell(context, others.map(now).collect());
    }

    async fn delete_monitored_items(&self, _: &RequestContext, items: &[&MonitoredItemRef]) {
        for item in items {
            if let Some(signal) = self.signal(item.node_id(), item.attribute()) {
                self.shared.followers.remove(&self.shared, signal, item.handle());
            } else if let Some(name) = own_text(item.node_id()) {
                self.shared.watch.remove(name, item.handle());
            }
            self.sampler.remove_sampler(item.node_id(), item.attribute(), item.handle());
        }
    }

    async fn call(&self, context: &RequestContext, methods: &mut [&mut MethodCall]) -> Result<(), StatusCode> {
        let mut others = methods::answer_all(&self.shared, &self.managers, context, methods).await;
        for method in &mut others {
            method.set_status(StatusCode::BadMethodInvalid);
        }
        methods::tell_refused(&self.shared, context, others.iter().map(|method| &**method));
        Ok(())
    }
}
