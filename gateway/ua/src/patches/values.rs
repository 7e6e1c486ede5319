//! Values as a client is sent them: with the times that their source gave, and with an overflow where one was.

use super::client::connect;
use opcua::client::{DataChangeCallback, Session};
use opcua::server::{ServerBuilder, ServerHandle};
use opcua::types::{
    AttributeId, DataValue, DateTime, MonitoredItemCreateRequest, NodeId, StatusCode, TimestampsToReturn, VariableId,
    Variant,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

const WAIT_MAX: Duration = Duration::from_secs(60);

/// A server, and a client that monitors one of its variables.
struct Rig {
    server: ServerHandle,
    _session: Arc<Session>,
    received: UnboundedReceiver<DataValue>,
    _pki: tempfile::TempDir,
}

impl Rig {
    async fn new(sampling_interval: f64, queue_size: u32, discard_oldest: bool) -> Self {
        let pki = tempfile::tempdir().expect("a folder for certificates");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port of the loopback");
        let port = listener.local_addr().expect("a bound port").port();
        let builder = ServerBuilder::new_anonymous("patches")
            .application_uri("urn:patches:server")
            .product_uri("urn:patches")
            .pki_dir(pki.path().join("server"))
            .host("127.0.0.1")
            .port(port);
        let (server, handle) = builder.build().expect("a server");
        tokio::spawn(server.run_with(listener));
        let (session, _) = connect(port, pki.path(), WAIT_MAX).await;
        let (sender, received) = unbounded_channel();
        let callback = DataChangeCallback::new(move |value, _| drop(sender.send(value)));
        let every = Duration::from_millis(100);
        let subscription =
            session.create_subscription(every, 10_000, 3_000, 0, 0, true, callback).await.expect("a subscription");
        let mut item = MonitoredItemCreateRequest::from(watched());
        item.requested_parameters.sampling_interval = sampling_interval;
        (item.requested_parameters.queue_size, item.requested_parameters.discard_oldest) = (queue_size, discard_oldest);
        let created = session.create_monitored_items(subscription, TimestampsToReturn::Both, vec![item]).await;
        assert_eq!(created.expect("the service")[0].result.status_code, StatusCode::Good);
        let mut rig = Self { server: handle, _session: session, received, _pki: pki };
        // What it had before.
        rig.next().await;
        rig
    }

    /// Values of these milliseconds after a moment, which they are as well.
    fn tell(&self, moment: DateTime, after_ms: &[i32]) {
        let node = watched();
        let mut notifier = self.server.subscriptions().data_notifier();
        for ms in after_ms {
            notifier.notify(&node, AttributeId::Value, DataValue::new_at(*ms, later(moment, *ms)));
        }
    }

    async fn next(&mut self) -> DataValue {
        tokio::time::timeout(WAIT_MAX, self.received.recv()).await.expect("a value in time").expect("a subscription")
    }
}

/// Nothing changes by itself.
fn watched() -> NodeId {
    VariableId::Server_ServerCapabilities_MaxArrayLength.into()
}

fn later(moment: DateTime, ms: i32) -> DateTime {
    (moment.as_chrono() + chrono::TimeDelta::milliseconds(ms.into())).into()
}

fn number(value: &DataValue) -> i32 {
    let Some(Variant::Int32(number)) = value.value else { panic!("{value:?}") };
    number
}

#[tokio::test]
async fn a_value_that_waits_for_its_sampling_interval_keeps_its_time() {
    // Some messages go out before the next sample is due, and nothing else changes.
    let mut rig = Rig::new(500.0, 100, true).await;
    let moment = DateTime::now();
    rig.tell(moment, &[0]);
    assert_eq!(number(&rig.next().await), 0);
    rig.tell(moment, &[50]);
    let delayed = rig.next().await;
    assert_eq!((number(&delayed), delayed.source_timestamp), (50, Some(later(moment, 50))));
    // The source's clock is set back by an hour.
    for ms in [-3_600_000, -3_599_900] {
        rig.tell(moment, &[ms]);
        let value = rig.next().await;
        assert_eq!((number(&value), value.source_timestamp), (ms, Some(later(moment, ms))));
    }
}

#[tokio::test]
async fn an_overflow_is_marked_next_to_what_is_missing_and_not_in_a_queue_of_one() {
    let overflow = StatusCode::Good.set_overflow(true);
    for (queue_size, discard_oldest, expected) in [
        (3, true, vec![(7, overflow), (8, StatusCode::Good), (9, StatusCode::Good)]),
        (3, false, vec![(0, StatusCode::Good), (1, StatusCode::Good), (9, overflow)]),
        (1, true, vec![(9, StatusCode::Good)]),
        (1, false, vec![(9, StatusCode::Good)]),
    ] {
        let mut rig = Rig::new(0.0, queue_size, discard_oldest).await;
        // All at once: no message goes out between them.
        rig.tell(DateTime::now(), &(0..10).map(|second| second * 1_000).collect::<Vec<_>>());
        for wanted in expected {
            let value = rig.next().await;
            assert_eq!(
                (number(&value) / 1_000, value.status.unwrap_or(StatusCode::Good)),
                wanted,
                "{queue_size} {discard_oldest}"
            );
        }
    }
}
