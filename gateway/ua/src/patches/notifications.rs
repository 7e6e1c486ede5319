//! What a client is sent: a server of this process, a client of this process, and a port of the loopback between them.

use super::client::connect;
use super::select::{Told, compare, condition_id, filter, value_of};
use opcua::client::{Session, SubscriptionCallbacks};
use opcua::nodes::Event;
use opcua::server::{ServerBuilder, ServerHandle};
use opcua::types::{
    AttributeId, ExtensionObject, FilterOperator, MonitoredItemCreateRequest, MonitoredItemModifyRequest,
    MonitoringMode, MonitoringParameters, NodeId, ObjectId, ObjectTypeId, ReadValueId, SimpleAttributeOperand,
    StatusCode, TimestampsToReturn, UAString, Variant,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

const QUEUE_SIZE_MAX: usize = 500;
const WAIT_MAX: Duration = Duration::from_secs(30);

/// What the client of a rig receives.
#[derive(Debug, PartialEq)]
enum Received {
    Event(Vec<Variant>),
    Data(Option<StatusCode>),
}

/// A server, a client with one subscription, and what it receives.
struct Rig {
    server: ServerHandle,
    session: Arc<Session>,
    subscription: u32,
    received: UnboundedReceiver<Received>,
    _pki: tempfile::TempDir,
}

impl Rig {
    async fn new() -> Self {
        let pki = tempfile::tempdir().expect("a folder for certificates");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port of the loopback");
        let port = listener.local_addr().expect("a bound port").port();
        let mut builder = ServerBuilder::new_anonymous("patches")
            .application_uri("urn:patches:server")
            .product_uri("urn:patches")
            .pki_dir(pki.path().join("server"))
            .host("127.0.0.1")
            .port(port);
        builder.limits_mut().subscriptions.max_event_item_queue_size = QUEUE_SIZE_MAX;
        builder.limits_mut().subscriptions.max_queued_notifications = 2 * QUEUE_SIZE_MAX;
        let (server, handle) = builder.build().expect("a server");
        tokio::spawn(server.run_with(listener));

        let (session, _) = connect(port, pki.path(), WAIT_MAX).await;

        let (events, received) = unbounded_channel();
        let data = events.clone();
        let callbacks = SubscriptionCallbacks::new(
            |_| {},
            move |value, _| drop(data.send(Received::Data(value.status))),
            move |fields, _| drop(events.send(Received::Event(fields.unwrap_or_default()))),
        );
        // Publishing is off until `publish`, so that a test decides what is queued by then.
        let subscription = session
            .create_subscription(Duration::from_millis(20), 10_000, 3_000, 0, 0, false, callbacks)
            .await
            .expect("a subscription");
        Self { server: handle, session, subscription, received, _pki: pki }
    }

    /// Monitors the events of the Server object; returns the item and the status of each select clause.
    async fn monitor(&self, asked: MonitoringParameters) -> (u32, u32, Vec<StatusCode>) {
        let item = ReadValueId {
            node_id: ObjectId::Server.into(),
            attribute_id: AttributeId::EventNotifier as u32,
            ..Default::default()
        };
        let request = MonitoredItemCreateRequest::new(item, MonitoringMode::Reporting, asked);
        let created = self
            .session
            .create_monitored_items(self.subscription, TimestampsToReturn::Both, vec![request])
            .await
            .expect("the service")
            .remove(0)
            .result;
        assert_eq!(created.status_code, StatusCode::Good);
        let statuses = created.filter_result.inner_as::<opcua::types::EventFilterResult>();
        let statuses = statuses.and_then(|result| result.select_clause_results.clone()).unwrap_or_default();
        (created.monitored_item_id, created.revised_queue_size, statuses)
    }

    /// Tells all of `count` events at once: message `0`, `1`, and so on.
    fn tell(&self, count: usize) {
        let events: Vec<Told> = (0..count).map(|number| Told::alarm(&number.to_string())).collect();
        let source = NodeId::from(ObjectId::Server);
        self.server.subscriptions().notify_events(events.iter().map(|event| (event as &dyn Event, &source)));
    }

    /// Tells of a condition that is to be kept in a list, by its severity.
    fn tell_of(&self, message: &str, severity: u16, retain: bool) {
        let (event, source) = (Told::retained(message, severity, retain), NodeId::from(ObjectId::Server));
        self.server.subscriptions().notify_events(std::iter::once((&event as &dyn Event, &source)));
    }

    async fn publish(&self) {
        let done = self.session.set_publishing_mode(&[self.subscription], true).await.expect("the service");
        assert_eq!(done, vec![StatusCode::Good]);
    }

    async fn next(&mut self) -> Received {
        let next = tokio::time::timeout(WAIT_MAX, self.received.recv()).await;
        next.expect("a notification in time").expect("a live subscription")
    }

    /// The first field of each of the next `count` notifications; `!` for an overflow event, `refresh` where one is
    /// asked for, `data` for a value.
    async fn messages(&mut self, count: usize) -> Vec<String> {
        let [overflow, refresh] = [ObjectTypeId::EventQueueOverflowEventType, ObjectTypeId::RefreshRequiredEventType]
            .map(|kind| Variant::from(NodeId::from(kind)));
        let mut messages = Vec::new();
        while messages.len() < count {
            messages.push(match self.next().await {
                Received::Event(fields) if fields.get(1) == Some(&overflow) => "!".to_owned(),
                Received::Event(fields) if fields.get(1) == Some(&refresh) => "refresh".to_owned(),
                Received::Event(fields) => fields[0].to_string(),
                Received::Data(_) => "data".to_owned(),
            });
        }
        messages
    }
}

fn asked(queue_size: u32, discard_oldest: bool, clauses: Vec<SimpleAttributeOperand>) -> MonitoringParameters {
    MonitoringParameters {
        client_handle: 1,
        sampling_interval: 0.0,
        filter: ExtensionObject::from_message(filter(clauses, None)),
        queue_size,
        discard_oldest,
    }
}

fn message_and_type() -> Vec<SimpleAttributeOperand> {
    vec![value_of(ObjectTypeId::BaseEventType, "Message"), value_of(ObjectTypeId::BaseEventType, "EventType")]
}

fn numbered(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

#[tokio::test]
async fn a_server_without_subscriptions_sleeps() {
    let pki = tempfile::tempdir().expect("a folder for certificates");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port of the loopback");
    let (server, _handle) = ServerBuilder::new_anonymous("patches")
        .application_uri("urn:patches:server")
        .product_uri("urn:patches")
        .pki_dir(pki.path())
        .subscription_poll_interval_ms(1)
        .build()
        .expect("a server");
    tokio::spawn(server.run_with(listener));
    let metrics = tokio::runtime::Handle::current().metrics();
    let woken = async |for_ms| {
        let before = metrics.worker_park_count(0);
        tokio::time::sleep(Duration::from_millis(for_ms)).await;
        metrics.worker_park_count(0) - before
    };
    woken(500).await;
    let idle = woken(1000).await;
    assert!(idle < 50, "it woke up {idle} times in a second with nothing to look at");
}

#[tokio::test]
async fn a_burst_reaches_an_item_that_asks_for_the_default_or_the_minimal_queue() {
    for queue_size in [0, 1] {
        let mut rig = Rig::new().await;
        let (_, revised, _) = rig.monitor(asked(queue_size, true, message_and_type())).await;
        assert_eq!(revised as usize, QUEUE_SIZE_MAX, "queue size {queue_size} asked for");
        rig.tell(50);
        rig.publish().await;
        // Nothing else comes before or among them: an event item has no initial data value.
        assert_eq!(rig.messages(50).await, numbered(0..50), "queue size {queue_size} asked for");
    }
}

#[tokio::test]
async fn a_modified_event_item_keeps_its_queue() {
    let mut rig = Rig::new().await;
    let (item, _, _) = rig.monitor(asked(100, true, message_and_type())).await;
    let request = MonitoredItemModifyRequest {
        monitored_item_id: item,
        requested_parameters: asked(0, true, message_and_type()),
    };
    let done = rig.session.modify_monitored_items(rig.subscription, TimestampsToReturn::Both, &[request]).await;
    assert_eq!(done.expect("the service")[0].revised_queue_size as usize, QUEUE_SIZE_MAX);
    rig.tell(3);
    rig.publish().await;
    assert_eq!(rig.messages(3).await, numbered(0..3));
}

#[tokio::test]
async fn an_overflow_event_stands_where_events_are_missing_and_is_told_again_for_the_next_loss() {
    for (discard_oldest, expected) in [(true, ["!", "7", "8", "9"]), (false, ["0", "1", "9", "!"])] {
        let mut rig = Rig::new().await;
        let _ = rig.monitor(asked(3, discard_oldest, message_and_type())).await;
        rig.tell(10);
        rig.publish().await;
        assert_eq!(rig.messages(4).await, expected, "discard oldest: {discard_oldest}");
        rig.tell(3);
        assert_eq!(rig.messages(3).await, numbered(0..3), "a queue just full loses nothing");
        rig.tell(10);
        assert_eq!(rig.messages(4).await, expected, "discard oldest: {discard_oldest}");
    }
}

#[tokio::test]
async fn lost_events_of_conditions_ask_for_a_refresh_behind_what_is_left() {
    for (discard_oldest, expected) in
        [(true, ["!", "7", "8", "9", "refresh"]), (false, ["0", "1", "9", "!", "refresh"])]
    {
        let mut rig = Rig::new().await;
        let _ = rig.monitor(asked(3, discard_oldest, message_and_type())).await;
        for _ in 0..2 {
            (0..10).for_each(|number| rig.tell_of(&number.to_string(), 700, true));
            rig.publish().await;
            assert_eq!(rig.messages(5).await, expected, "discard oldest: {discard_oldest}");
        }
        (0..3).for_each(|number| rig.tell_of(&number.to_string(), 700, true));
        assert_eq!(rig.messages(3).await, numbered(0..3), "a queue just full loses nothing");
    }
}

#[tokio::test]
async fn a_queue_that_shrinks_discards_from_the_end_the_client_chose_and_tells_so() {
    for (discard_oldest, kept) in [(true, ["!", "3", "4", "5"]), (false, ["0", "1", "2", "!"])] {
        let mut rig = Rig::new().await;
        let (item, _, _) = rig.monitor(asked(10, discard_oldest, message_and_type())).await;
        rig.tell(6);
        let request = MonitoredItemModifyRequest {
            monitored_item_id: item,
            requested_parameters: asked(3, discard_oldest, message_and_type()),
        };
        let done = rig.session.modify_monitored_items(rig.subscription, TimestampsToReturn::Both, &[request]).await;
        assert_eq!(done.expect("the service")[0].status_code, StatusCode::Good);
        rig.publish().await;
        assert_eq!(rig.messages(4).await, kept, "discard oldest: {discard_oldest}");
    }
}

#[tokio::test]
async fn what_no_longer_passes_a_where_clause_is_told_once_more_and_not_to_be_kept() {
    let mut rig = Rig::new().await;
    let severe = compare(FilterOperator::GreaterThan, "Severity", &[500_u16.into()]);
    let clauses =
        vec![value_of(ObjectTypeId::BaseEventType, "Message"), value_of(ObjectTypeId::ConditionType, "Retain")];
    let filter = ExtensionObject::from_message(filter(clauses.clone(), Some(severe)));
    rig.monitor(MonitoringParameters { filter, ..asked(0, true, clauses) }).await;
    for (message, severity, retain) in [
        ("low at first", 300, true),
        ("high", 700, true),
        ("higher", 800, true),
        ("low again", 300, true),
        ("still low", 200, true),
        ("high again", 700, true),
        ("over", 700, false),
        ("low after all", 300, false),
    ] {
        rig.tell_of(message, severity, retain);
    }
    rig.publish().await;
    let expected = [("high", true), ("higher", true), ("low again", false), ("high again", true), ("over", false)];
    for (message, retain) in expected {
        assert_eq!(rig.next().await, Received::Event(vec![UAString::from(message).into(), retain.into()]));
    }
    rig.tell_of("the end", 900, true);
    assert_eq!(rig.messages(1).await, ["the end"], "nothing came between");
}

/// The fields that HMIs select, asked of the type that declares them and of a subtype, against the full namespace.
#[tokio::test]
async fn every_field_that_hmis_select_is_accepted_and_an_unknown_one_keeps_its_place() {
    const OF_CONDITIONS: &str = "EventId EventType SourceNode SourceName Time ReceiveTime Message Severity \
        ConditionClassId ConditionClassName ConditionName BranchId Retain EnabledState EnabledState/Id Quality \
        LastSeverity Comment ClientUserId";
    const OF_ALARMS: &str = "AckedState/Id ConfirmedState/Id ActiveState ActiveState/Id SuppressedOrShelved \
        ShelvingState/CurrentState SuppressedState/Id";
    let mut clauses = vec![value_of(ObjectTypeId::ConditionType, "NoSuchField")];
    clauses.extend(OF_CONDITIONS.split_whitespace().map(|path| value_of(ObjectTypeId::ConditionType, path)));
    let all = OF_CONDITIONS.split_whitespace().chain(OF_ALARMS.split_whitespace());
    clauses.extend(all.map(|path| value_of(ObjectTypeId::OffNormalAlarmType, path)));
    clauses.push(condition_id(None));

    let mut rig = Rig::new().await;
    let (_, _, statuses) = rig.monitor(asked(0, true, clauses.clone())).await;
    assert_eq!(statuses.len(), clauses.len());
    let refused: Vec<_> = statuses.iter().zip(&clauses).filter(|(status, _)| status.is_bad()).collect();
    assert_eq!(refused, vec![(&StatusCode::BadNodeIdUnknown, &clauses[0])]);

    rig.tell(1);
    rig.publish().await;
    let Received::Event(fields) = rig.next().await else { panic!("a data value on an event item") };
    assert_eq!(fields.len(), clauses.len());
    assert_eq!(fields.first(), Some(&Variant::Empty));
    let message = clauses.iter().position(|clause| *clause == value_of(ObjectTypeId::ConditionType, "Message"));
    assert_eq!(fields.get(message.expect("asked for")), Some(&UAString::from("0").into()));
    assert_eq!(fields.last(), Some(&NodeId::new(1, "press/overheating").into()));
}
