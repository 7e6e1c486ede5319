//! Servers that lie, or speak nonsense: the source stays up or comes back, says what happened, and takes what is true.

use std::sync::Arc;
use std::time::Duration;

use opcua::nodes::{NodeType, VariableBuilder};
use opcua::server::diagnostics::NamespaceMetadata;
use opcua::server::node_manager::memory::{SimpleNodeManager, simple_node_manager};
use opcua::server::{ANONYMOUS_USER_TOKEN_ID, ServerBuilder, ServerEndpoint, ServerHandle};
use opcua::types::{
    Array, AttributeId, DataTypeId, DataValue, DateTime, ExtensionObject, NodeId, ObjectId, Range,
    StatusCode as UaStatusCode, Variant, VariantScalarTypeId,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use watchfire_model::{Rows, SignalId, SourceState};
use watchfire_pipeline::Arrival;
use watchfire_ua::{Application, Security};

use super::harness::{Gathered, config, healthy, of_plant, quick, signal, start_plant, start_source};
use super::proxy::Proxy;

/// A server whose variable, a Double, can be made to show anything; beside it is another one.
pub(super) struct Liar {
    handle: ServerHandle,
    nodes: Arc<SimpleNodeManager>,
    node: NodeId,
    pub(super) url: String,
    stop: CancellationToken,
}

impl Liar {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let application = Application::on_this_host("liar");
        let tokens = [ANONYMOUS_USER_TOKEN_ID.to_owned()];
        let stop = CancellationToken::new();
        let metadata = NamespaceMetadata { namespace_uri: "urn:liar".to_owned(), ..Default::default() };
        let none = Security::NONE;
        let (server, handle) = ServerBuilder::new()
            .application_name(application.name.clone())
            .application_uri(application.uri.clone())
            .product_uri("urn:liar")
            .host("127.0.0.1")
            .port(port)
            .token(stop.clone())
            .discovery_urls(vec!["/".to_owned()])
            .add_endpoint("none", ServerEndpoint::new("/", none.policy(), none.mode(), &tokens))
            .with_node_manager(simple_node_manager(metadata, "liar"))
            .build()
            .unwrap();
        let nodes: Arc<SimpleNodeManager> = handle.node_managers().get_of_type().unwrap();
        let node = NodeId::new(handle.get_namespace_index("urn:liar").unwrap(), "v");
        tokio::spawn(server.run_with(listener));
        let liar = Self { handle, nodes, node, url: format!("opc.tcp://127.0.0.1:{port}"), stop };
        ["v", "w"].into_iter().for_each(|name| liar.add(name));
        liar
    }

    /// Has another variable from now on.
    pub(super) fn add(&self, name: &str) {
        VariableBuilder::new(&NodeId::new(self.node.namespace, name), name, name)
            .data_type(DataTypeId::Double)
            .value(0.0)
            .organized_by(ObjectId::ObjectsFolder)
            .insert(&mut *self.nodes.address_space().write());
    }

    /// Changes the value without a word to whoever subscribes.
    fn hide(&self, value: f64) {
        if let Some(node) = self.nodes.address_space().write().find_mut(&self.node)
            && let NodeType::Variable(variable) = node
        {
            variable.set_data_value(at(Some(Variant::Double(value)), 0, Some(DateTime::now())));
        }
    }

    /// Gives one of its variables another value, of which subscribers are told.
    pub(super) fn give(&self, name: &str, value: Variant) {
        self.give_at(name, value, DateTime::now());
    }

    /// The same with a time of its own.
    pub(super) fn give_at(&self, name: &str, value: Variant, time: DateTime) {
        let (node, value) = (NodeId::new(self.node.namespace, name), at(Some(value), 0, Some(time)));
        if let Some(NodeType::Variable(variable)) = self.nodes.address_space().write().find_mut(&node) {
            variable.set_data_value(value.clone());
        }
        self.handle.subscriptions().notify_data_change([(value, &node, AttributeId::Value)].into_iter());
    }

    fn show(&self, value: DataValue) {
        self.handle.subscriptions().notify_data_change([(value, &self.node, AttributeId::Value)].into_iter());
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn at(value: Option<Variant>, status: u32, source: Option<DateTime>) -> DataValue {
    DataValue {
        value,
        status: Some(UaStatusCode::from(status)),
        source_timestamp: source,
        server_timestamp: Some(DateTime::now()),
        ..DataValue::default()
    }
}

#[tokio::test]
async fn values_of_wrong_types_and_impossible_times_are_taken_for_what_they_are() {
    let liar = Liar::start().await;
    let dir = tempfile::tempdir().unwrap();
    let signals = vec![signal("v", "nsu=urn:liar;s=v")];
    let mut source = start_source(config(&liar.url, signals), dir.path().join("pki"), quick());
    source.until_values(1).await;

    let now = || Some(DateTime::now());
    let array = Array::new(VariantScalarTypeId::Double, vec![Variant::Double(1.0); 3]).unwrap();
    let lies = vec![
        at(Some(Variant::from("not a number")), 0, now()),
        at(Some(Variant::from("x".repeat(1 << 18))), 0, now()),
        at(Some(Variant::from(array)), 0, now()),
        at(Some(Variant::from(ExtensionObject::from_message(Range { low: 0.0, high: 1.0 }))), 0, now()),
        at(Some(Variant::Double(f64::NAN)), 0, now()),
        at(None, 0, now()),
        at(Some(Variant::Double(1.0)), 0x8123_FFFF, now()),
        at(Some(Variant::Double(2.0)), 0, Some(DateTime::ymd_hms(1601, 1, 1, 0, 0, 1))),
        at(Some(Variant::Double(3.0)), 0, Some(DateTime::ymd_hms(9999, 12, 31, 23, 59, 58))),
        at(Some(Variant::Double(4.0)), 0, None),
        at(Some(Variant::UInt64(u64::MAX)), 0, Some(DateTime::ymd_hms(2020, 1, 1, 0, 0, 0))),
    ];
    let mut seen = Rows::default();
    for lie in lies {
        // One at a time: a server samples the last of those that come together.
        let before = seen.len();
        liar.show(lie);
        source
            .until(|arrival| match arrival {
                Arrival::Rows(mut rows) => {
                    rows.check().unwrap();
                    seen.append(&mut rows);
                    Some(())
                }
                Arrival::Gaps(gaps) => {
                    assert!(gaps.iter().all(|gap| gap.since < gap.until), "{gaps:?}");
                    None
                }
                other => panic!("nothing else is to be told: {other:?}"),
            })
            .await;
        assert_eq!(seen.len(), before + 1, "each is on record");
    }
    assert!(seen.signal.iter().all(|id| *id == SignalId(0)));
    let texts: Vec<_> = (0..4).map(|row| seen.text_at(row).unwrap().len()).collect();
    assert_eq!((texts[0], texts[1]), (12, 1 << 18));
    assert_eq!((seen.text_at(2), seen.text_at(3)), (Some("[1.0,1.0,1.0]"), Some("\"structure Range\"")));
    assert!(seen.value[4].is_nan() && seen.value[5].is_nan());
    assert!(seen.status[6].is_bad());
    assert_eq!(seen.whole_at(10), Some(i128::from(u64::MAX)));
    source.stop().await;
}

/// A message of the server's that says it is two gigabytes long.
const ENDLESS: &[u8] = b"MSGF\xff\xff\xff\x7f\x01\x00\x00\x00\x01\x00\x00\x00";
const NONSENSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nIt works.\r\n\x00\x01\x02";
/// A kind of message that there is not, well within its bounds.
const UNKNOWN: &[u8] = b"XYZF\x10\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00";

#[tokio::test]
async fn half_a_message_nonsense_and_endless_ones_end_a_connection_and_nothing_else() {
    let plant = start_plant(healthy(0)).await;
    let proxy = Proxy::start(plant.port).await;
    let dir = tempfile::tempdir().unwrap();
    let mut source = start_source(config(&proxy.url(), of_plant(&["pump/flow"])), dir.path().join("pki"), quick());
    source.until_values(1).await;
    let lies: [&dyn Fn(); 4] =
        [&|| proxy.half(), &|| proxy.instead(NONSENSE), &|| proxy.instead(ENDLESS), &|| proxy.instead(UNKNOWN)];
    for lie in lies {
        lie();
        let reason = source.until_state(SourceState::Down).await;
        assert!(reason.starts_with("connection lost: ") || reason.contains("cannot reach"), "{reason}");
        proxy.open();
        source.until_state(SourceState::Up).await;
        source.until_values(1).await;
    }
    source.stop().await;
}

#[tokio::test]
async fn a_message_too_large_to_be_sent_is_a_gap_and_no_end() {
    let liar = Liar::start().await;
    let dir = tempfile::tempdir().unwrap();
    let signals = vec![signal("v", "nsu=urn:liar;s=v")];
    let mut source = start_source(config(&liar.url, signals), dir.path().join("pki"), quick());
    source.until_values(1).await;
    // More than this server puts into one message.
    liar.show(at(Some(Variant::from("x".repeat(1 << 20))), 0, Some(DateTime::now())));
    let mut seen = Gathered::default();
    let mut values = tokio::time::interval(Duration::from_millis(200));
    for _ in 0..50 {
        values.tick().await;
        liar.show(at(Some(Variant::Double(42.0)), 0, Some(DateTime::now())));
        source.take_all(&mut seen);
        if !seen.gaps.is_empty() {
            break;
        }
    }
    assert_eq!((seen.gaps.len(), seen.states.len()), (1, 0), "{seen:?}");
    source.stop().await;
}

#[tokio::test]
async fn an_item_that_has_died_is_made_anew() {
    let liar = Liar::start().await;
    let dir = tempfile::tempdir().unwrap();
    let signals = vec![signal("v", "nsu=urn:liar;s=v")];
    let mut source = start_source(config(&liar.url, signals), dir.path().join("pki"), quick());
    source.until_values(1).await;
    let mut seen = Gathered::default();
    let mut changes = tokio::time::interval(Duration::from_millis(100));
    for change in 1..=100 {
        changes.tick().await;
        liar.hide(f64::from(change));
        source.take_all(&mut seen);
        if seen.count(SignalId(0)) > 0 {
            break;
        }
    }
    assert!(seen.count(SignalId(0)) > 0, "what it shows now is reported again");
    assert_eq!((seen.gaps.len(), seen.states.len()), (1, 0), "and what was missed is on record: {seen:?}");
    // One that only does not change is left alone, for as long as eight looks of the watchdog take.
    let before = seen.count(SignalId(0));
    tokio::time::sleep(quick().watchdog * 8).await;
    source.take_all(&mut seen);
    assert_eq!(seen.count(SignalId(0)), before);
    source.stop().await;
}
