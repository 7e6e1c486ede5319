//! An HMI: a client with the few calls that the tests need.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use opcua::client::{ClientBuilder, DataChangeCallback, EventCallback, IdentityToken, Session};
use opcua::types::{
    AttributeId, BrowseDescription, BrowseDescriptionResultMask, BrowseDirection, BrowsePath, ContentFilter, DataValue,
    EventFilter, ExtensionObject, MessageSecurityMode, MonitoredItemCreateRequest, MonitoringMode,
    MonitoringParameters, NodeId, ObjectId, ObjectTypeId, QualifiedName, ReadValueId, ReferenceDescription,
    ReferenceTypeId, RelativePath, RelativePathElement, SimpleAttributeOperand, StatusCode, TimestampsToReturn,
    Variant, WriteValue,
};
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;

use crate::names::{NAMESPACE, own, own_text};

/// Longer than anything takes: a test that waits so long has failed.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct Hmi {
    pub session: Arc<Session>,
    running: JoinHandle<StatusCode>,
    _folder: TempDir,
}

/// What is asked for to be told of events.
pub(super) fn event_item(
    notifier: NodeId,
    fields: &[&'static str],
    where_clause: ContentFilter,
    queue_size: u32,
) -> MonitoredItemCreateRequest {
    let select_clauses = Some(fields.iter().map(|field| clause(field)).collect());
    MonitoredItemCreateRequest {
        item_to_monitor: ReadValueId {
            node_id: notifier,
            attribute_id: AttributeId::EventNotifier as u32,
            ..ReadValueId::default()
        },
        monitoring_mode: MonitoringMode::Reporting,
        requested_parameters: MonitoringParameters {
            sampling_interval: 0.0,
            filter: ExtensionObject::from_message(EventFilter { select_clauses, where_clause }),
            queue_size,
            discard_oldest: true,
            ..MonitoringParameters::default()
        },
    }
}

/// Events of one item, as the selected fields.
pub(super) struct Events {
    pub subscription: u32,
    pub item: u32,
    pub clause_results: Vec<StatusCode>,
    fields: Vec<&'static str>,
    pub received: UnboundedReceiver<Vec<Variant>>,
}

/// The fields of one event.
pub(super) struct Seen(Vec<(&'static str, Variant)>);

impl Hmi {
    pub(super) async fn connect(url: &str) -> Self {
        Self::log_in(url, IdentityToken::Anonymous).await.unwrap()
    }

    pub(super) async fn log_in(url: &str, who: IdentityToken) -> Result<Self, StatusCode> {
        Self::log_in_speaking(url, who, &[]).await
    }

    /// With a wish for languages, best first.
    pub(super) async fn log_in_speaking(url: &str, who: IdentityToken, locales: &[&str]) -> Result<Self, StatusCode> {
        Self::log_in_with(url, who, MessageSecurityMode::None, TempDir::new().unwrap(), locales)
            .await
            .map_err(|(status, _)| status)
    }

    /// Logs in with the certificate in `folder`, which is made there if messages are secured and it has none.
    pub(super) async fn log_in_with(
        url: &str,
        who: IdentityToken,
        mode: MessageSecurityMode,
        folder: TempDir,
        locales: &[&str],
    ) -> Result<Self, (StatusCode, TempDir)> {
        let client = ClientBuilder::new()
            .max_array_length(100_000)
            .max_message_size(16 << 20)
            .max_chunk_count(512)
            .application_name("hmi")
            .application_uri("urn:test:hmi")
            .pki_dir(folder.path())
            .create_sample_keypair(mode != MessageSecurityMode::None)
            .trust_server_certs(true)
            .session_retry_limit(0)
            .preferred_locales(locales.iter().map(|locale| (*locale).to_owned()).collect())
            .client()
            .unwrap();
        let endpoints = client.get_server_endpoints_from_url(url).await.unwrap();
        // The endpoint says how passwords are to be encrypted.
        let mut endpoint = endpoints.into_iter().find(|endpoint| endpoint.security_mode == mode).unwrap();
        // It goes the way on which it has asked.
        endpoint.endpoint_url = url.into();
        let (session, events) = client
            .session_builder()
            .user_identity_token(who)
            .connect_to_endpoint_directly(endpoint)
            .unwrap()
            .build(client.certificate_store().clone())
            .unwrap();
        let mut running = events.spawn();
        let refused = tokio::select! {
            ended = &mut running => Some(ended.unwrap()),
            _ = session.wait_for_connection() => None,
            () = tokio::time::sleep(PATIENCE) => panic!("neither in nor out"),
        };
        match refused {
            None => Ok(Self { session, running, _folder: folder }),
            Some(status) => Err((status, folder)),
        }
    }

    pub(super) async fn close(self) {
        self.session.disconnect().await.unwrap();
        self.running.await.unwrap();
    }

    pub(super) async fn read(&self, id: NodeId) -> DataValue {
        self.attribute(id, AttributeId::Value).await
    }

    pub(super) async fn attribute(&self, id: NodeId, attribute: AttributeId) -> DataValue {
        let wanted = ReadValueId { node_id: id, attribute_id: attribute as u32, ..ReadValueId::default() };
        self.session.read(&[wanted], TimestampsToReturn::Both, 0.0).await.unwrap().remove(0)
    }

    /// The value of a node of ours.
    pub(super) async fn value(&self, id: &str) -> Variant {
        self.read(own(id)).await.value.unwrap_or_default()
    }

    /// References of a node, as many at a time as `page` says (0: as many as there are).
    pub(super) async fn browse(
        &self,
        id: NodeId,
        kind: ReferenceTypeId,
        direction: BrowseDirection,
        page: u32,
    ) -> Vec<ReferenceDescription> {
        let wanted = BrowseDescription {
            node_id: id,
            browse_direction: direction,
            reference_type_id: kind.into(),
            include_subtypes: true,
            node_class_mask: 0,
            result_mask: BrowseDescriptionResultMask::all().bits(),
        };
        let mut answer = self.session.browse(&[wanted], page, None).await.unwrap().remove(0);
        assert!(answer.status_code.is_good(), "{}", answer.status_code);
        let mut all = answer.references.take().unwrap_or_default();
        while !answer.continuation_point.is_null() {
            assert!(page == 0 || all.len() % page as usize == 0, "a page is full before the next begins");
            answer = self.session.browse_next(false, &[answer.continuation_point]).await.unwrap().remove(0);
            all.extend(answer.references.take().unwrap_or_default());
        }
        all
    }

    /// Subscribes to the events of a notifier.
    pub(super) async fn subscribe(&self, notifier: NodeId, fields: &[&'static str], filter: ContentFilter) -> Events {
        self.subscribe_with(notifier, fields, filter, 0, true).await
    }

    /// Subscribes with a queue of this size, and with publishing switched off if it is not to begin yet.
    pub(super) async fn subscribe_with(
        &self,
        notifier: NodeId,
        fields: &[&'static str],
        filter: ContentFilter,
        queue_size: u32,
        publishing: bool,
    ) -> Events {
        let (sender, received) = unbounded_channel();
        let callback = EventCallback::new(move |fields, _| drop(sender.send(fields.unwrap_or_default())));
        let every = Duration::from_millis(20);
        let subscription =
            self.session.create_subscription(every, 1000, 100, 0, 0, publishing, callback).await.unwrap();
        let (item, clause_results) = self.monitor_events(subscription, notifier, fields, filter, queue_size).await;
        Events { subscription, item, clause_results, fields: fields.to_vec(), received }
    }

    pub(super) async fn monitor_events(
        &self,
        subscription: u32,
        notifier: NodeId,
        fields: &[&'static str],
        filter: ContentFilter,
        queue_size: u32,
    ) -> (u32, Vec<StatusCode>) {
        let request = event_item(notifier, fields, filter, queue_size);
        let created =
            self.session.create_monitored_items(subscription, TimestampsToReturn::Both, vec![request]).await.unwrap();
        let result = &created[0].result;
        assert!(result.status_code.is_good(), "{}", result.status_code);
        let answer = result.filter_result.inner_as::<opcua::types::EventFilterResult>();
        let clauses = answer.and_then(|answer| answer.select_clause_results.clone()).unwrap_or_default();
        (result.monitored_item_id, clauses)
    }

    /// Watches values; each change with the string of its node.
    pub(super) async fn watch(&self, ids: &[NodeId]) -> Changes {
        self.watch_items(ids.iter().map(|id| MonitoredItemCreateRequest::from(id.clone())).collect()).await
    }

    /// Watches a part of a value, as it says.
    pub(super) async fn watch_item(&self, item_to_monitor: ReadValueId) -> Changes {
        self.watch_items(vec![MonitoredItemCreateRequest {
            item_to_monitor: item_to_monitor.clone(),
            ..MonitoredItemCreateRequest::from(item_to_monitor.node_id)
        }])
        .await
    }

    async fn watch_items(&self, mut items: Vec<MonitoredItemCreateRequest>) -> Changes {
        let (sender, received) = unbounded_channel();
        let callback = DataChangeCallback::new(move |value, item| {
            let name = own_text(&item.item_to_monitor().node_id).unwrap_or_default().to_owned();
            drop(sender.send((name, value)));
        });
        let every = Duration::from_millis(20);
        let subscription = self.session.create_subscription(every, 1000, 100, 0, 0, true, callback).await.unwrap();
        for item in &mut items {
            item.requested_parameters.queue_size = 10;
        }
        let created = self.session.create_monitored_items(subscription, TimestampsToReturn::Both, items).await.unwrap();
        for item in created {
            assert!(item.result.status_code.is_good(), "{}", item.result.status_code);
        }
        Changes { subscription, received }
    }

    /// Writes a value; its status.
    pub(super) async fn write(&self, id: NodeId, value: impl Into<Variant>) -> StatusCode {
        let value = WriteValue {
            node_id: id,
            attribute_id: AttributeId::Value as u32,
            value: DataValue::value_only(value),
            ..WriteValue::default()
        };
        self.session.write(&[value]).await.unwrap()[0]
    }

    /// Where a browse path of our names (or, after a `.`, of the standard's) leads from a node.
    pub(super) async fn follow(&self, from: NodeId, names: &[&str], inverse: bool) -> Vec<NodeId> {
        let element = |name: &&str| RelativePathElement {
            reference_type_id: ReferenceTypeId::HierarchicalReferences.into(),
            is_inverse: inverse,
            include_subtypes: true,
            target_name: match name.strip_prefix('.') {
                Some(standard) => QualifiedName::new(0, standard),
                None => QualifiedName::new(NAMESPACE, *name),
            },
        };
        let path = BrowsePath {
            starting_node: from,
            relative_path: RelativePath { elements: Some(names.iter().map(element).collect()) },
        };
        let answer = self.session.translate_browse_paths_to_node_ids(&[path]).await.unwrap().remove(0);
        answer.targets.unwrap_or_default().into_iter().map(|target| target.target_id.node_id).collect()
    }

    /// Calls a method; its status.
    pub(super) async fn call(&self, object: NodeId, method: impl Into<NodeId>, arguments: Vec<Variant>) -> StatusCode {
        self.session.call_one((object, method.into(), Some(arguments))).await.unwrap().status_code
    }
}

/// A select clause: `ConditionId`, a path of the standard's names (after an `@` asked of AlarmConditionType, after a `*` of
/// StatisticalAlarmType), or one of our names after a `+`.
pub(super) fn clause(field: &str) -> SimpleAttributeOperand {
    let (path, attribute) = match field {
        "ConditionId" => (Vec::new(), AttributeId::NodeId),
        _ => {
            let name = |name: &str| match name.strip_prefix('+') {
                Some(ours) => QualifiedName::new(NAMESPACE, ours),
                None => QualifiedName::new(0, name),
            };
            (field.trim_start_matches(['@', '*']).split('/').map(name).collect(), AttributeId::Value)
        }
    };
    let kind = match field {
        "ConditionId" => ObjectTypeId::ConditionType.into(),
        _ if field.starts_with('@') => ObjectTypeId::AlarmConditionType.into(),
        _ if field.starts_with('*') => own("StatisticalAlarmType"),
        _ => ObjectTypeId::BaseEventType.into(),
    };
    SimpleAttributeOperand {
        type_definition_id: kind,
        browse_path: Some(path),
        attribute_id: attribute as u32,
        ..SimpleAttributeOperand::default()
    }
}

pub(super) fn server() -> NodeId {
    ObjectId::Server.into()
}

/// Changes of values.
pub(super) struct Changes {
    pub subscription: u32,
    received: UnboundedReceiver<(String, DataValue)>,
}

impl Changes {
    pub(super) async fn next(&mut self) -> (String, DataValue) {
        tokio::time::timeout(PATIENCE, self.received.recv()).await.expect("no value came").unwrap()
    }

    /// The next values, one of each node, by node; what was there before is told once each.
    pub(super) async fn round(&mut self, count: usize) -> BTreeMap<String, DataValue> {
        let mut round = BTreeMap::new();
        while round.len() < count {
            let (name, value) = self.next().await;
            assert!(round.insert(name.clone(), value).is_none(), "{name} is told twice");
        }
        round
    }
}

impl Events {
    /// The next event.
    pub(super) async fn next(&mut self) -> Seen {
        let fields = tokio::time::timeout(PATIENCE, self.received.recv()).await.expect("no event came").unwrap();
        assert_eq!(fields.len(), self.fields.len(), "every select clause keeps its place");
        Seen(self.fields.iter().copied().zip(fields).collect())
    }

    /// No event is waiting; ask for it after another client's or another item's event came.
    pub(super) fn is_empty(&mut self) -> bool {
        self.received.try_recv().is_err()
    }
}

impl Seen {
    pub(super) fn get(&self, field: &str) -> &Variant {
        &self.0.iter().find(|(name, _)| *name == field).unwrap().1
    }

    pub(super) fn text(&self, field: &str) -> String {
        match self.get(field) {
            Variant::LocalizedText(text) => text.text.as_ref().to_owned(),
            Variant::String(text) => text.as_ref().to_owned(),
            other => format!("{other}"),
        }
    }
}
