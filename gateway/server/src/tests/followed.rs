//! Whoever watches a signal and asks for no sampling gets each of its values, whatever comes between two messages; others
//! get the latest one, as before.

use std::time::Duration;

use opcua::client::DataChangeCallback;
use opcua::types::{
    DataChangeFilter, DataChangeTrigger, DataValue, ExtensionObject, MonitoredItemCreateRequest,
    MonitoredItemModifyRequest, MonitoringMode, StatusCode, TimestampsToReturn, Variant,
};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use watchfire_model::{Instant, Quality, Rows, SignalId};

use super::client::Hmi;
use super::house::{House, NOON};
use crate::names::own;

const OIL: &str = "signal:press/oil";
const PATIENCE: Duration = Duration::from_secs(60);

/// Watches the signal; equal values are changes too.
struct Watcher {
    subscription: u32,
    item: u32,
    received: UnboundedReceiver<DataValue>,
}

fn wanted(sampling_ms: f64, queue_size: u32) -> MonitoredItemCreateRequest {
    let mut item = MonitoredItemCreateRequest::from(own(OIL));
    let trigger = DataChangeTrigger::StatusValueTimestamp;
    item.requested_parameters.filter =
        ExtensionObject::from_message(DataChangeFilter { trigger, ..DataChangeFilter::default() });
    (item.requested_parameters.sampling_interval, item.requested_parameters.queue_size) = (sampling_ms, queue_size);
    item.requested_parameters.discard_oldest = true;
    // The only one of its subscription; it keeps it when it is modified.
    item.requested_parameters.client_handle = 1;
    item
}

impl Watcher {
    /// With a publishing interval that begins once all are given.
    async fn begin(hmi: &Hmi, sampling_ms: f64, queue_size: u32) -> Self {
        let (sender, received) = unbounded_channel();
        let callback = DataChangeCallback::new(move |value, _| drop(sender.send(value)));
        let every = Duration::from_millis(20);
        let subscription = hmi.session.create_subscription(every, 1000, 100, 0, 0, false, callback).await.unwrap();
        let items = vec![wanted(sampling_ms, queue_size)];
        let created = hmi.session.create_monitored_items(subscription, TimestampsToReturn::Both, items).await.unwrap();
        let result = &created[0].result;
        assert!(result.status_code.is_good(), "{}", result.status_code);
        Self { subscription, item: result.monitored_item_id, received }
    }

    async fn publish(&self, hmi: &Hmi) {
        hmi.session.set_publishing_mode(&[self.subscription], true).await.unwrap();
    }

    async fn next(&mut self) -> DataValue {
        tokio::time::timeout(PATIENCE, self.received.recv()).await.expect("no value came").unwrap()
    }

    /// The next values: seconds after noon of the source's time, value, status.
    async fn take(&mut self, count: usize) -> Vec<(i64, f64, u32)> {
        let mut taken = Vec::new();
        while taken.len() < count {
            let value = self.next().await;
            let (Some(Variant::Double(number)), Some(time)) = (value.value, value.source_timestamp) else {
                panic!("{:?}", value.status)
            };
            let second = time.as_chrono().timestamp() - NOON.ns() / 1_000_000_000;
            taken.push((second, number, value.status.unwrap_or(StatusCode::Good).bits()));
        }
        taken
    }
}

/// Gives values of these seconds after noon, all at once.
fn give(house: &House, seconds: std::ops::Range<i64>) {
    let mut rows = Rows::default();
    for second in seconds {
        let at = NOON.plus(Duration::from_secs(second.unsigned_abs()));
        let at = if second < 0 { Instant::from_ns(NOON.ns() + second * 1_000_000_000) } else { at };
        rows.push(SignalId(1), at, value(second), watchfire_model::StatusCode::GOOD, Quality::NONE, 0);
    }
    house.latest.update(&rows);
}

/// Two seconds have one value.
fn value(second: i64) -> f64 {
    (second.div_euclid(2)) as f64
}

fn good(seconds: std::ops::Range<i64>) -> Vec<(i64, f64, u32)> {
    seconds.map(|second| (second, value(second), 0)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_value_is_sent_in_order_with_its_time_to_whoever_asks_for_no_sampling() {
    let house = House::open().await;
    let hmi = Hmi::connect(&house.url).await;
    give(&house, 0..1);
    let mut each = Watcher::begin(&hmi, 0.0, 1_000).await;
    // What others watch of the node does not reach it.
    let mut latest = Watcher::begin(&hmi, 100.0, 1_000).await;
    give(&house, 1..201);
    each.publish(&hmi).await;
    assert_eq!(each.take(201).await, good(0..201));
    latest.publish(&hmi).await;
    let newest = (200, value(200), 0);
    while latest.take(1).await != [newest] {}
    // A clock that is set back takes nothing away.
    give(&house, -3_600..-3_590);
    assert_eq!(each.take(10).await, good(-3_600..-3_590));
    while latest.take(1).await != good(-3_591..-3_590) {}
    give(&house, 300..310);
    assert_eq!(each.take(10).await, good(300..310));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_into_the_queue_is_told_where_it_is_missing() {
    let house = House::open().await;
    let hmi = Hmi::connect(&house.url).await;
    give(&house, 0..1);
    let mut few = Watcher::begin(&hmi, 0.0, 5).await;
    let mut one = Watcher::begin(&hmi, 0.0, 1).await;
    // It comes last to them all.
    let mut all = Watcher::begin(&hmi, 0.0, 1_000).await;
    all.publish(&hmi).await;
    give(&house, 1..101);
    assert_eq!(all.take(101).await, good(0..101));
    let mut expected = good(96..101);
    expected[0].2 = 0x80;
    few.publish(&hmi).await;
    assert_eq!(few.take(5).await, expected);
    one.publish(&hmi).await;
    assert_eq!(one.take(1).await, good(100..101));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_that_changes_its_interval_or_is_enabled_again_is_told_how_the_signal_stands() {
    let house = House::open().await;
    let hmi = Hmi::connect(&house.url).await;
    give(&house, 0..1);
    let mut item = Watcher::begin(&hmi, 100.0, 1_000).await;
    item.publish(&hmi).await;
    assert_eq!(item.take(1).await, good(0..1));
    let asked = MonitoredItemModifyRequest {
        monitored_item_id: item.item,
        requested_parameters: wanted(0.0, 1_000).requested_parameters,
    };
    let done = hmi.session.modify_monitored_items(item.subscription, TimestampsToReturn::Both, &[asked]).await.unwrap();
    assert!(done[0].status_code.is_good(), "{}", done[0].status_code);
    give(&house, 1..50);
    assert_eq!(item.take(49).await, good(1..50));
    let mode = async |mode| {
        let done = hmi.session.set_monitoring_mode(item.subscription, mode, &[item.item]).await.unwrap();
        assert_eq!(done, [StatusCode::Good]);
    };
    mode(MonitoringMode::Disabled).await;
    give(&house, 50..60);
    // What was given meanwhile has been passed over once another item has it.
    let mut other = Watcher::begin(&hmi, 0.0, 1_000).await;
    other.publish(&hmi).await;
    give(&house, 60..61);
    assert_eq!(other.take(2).await, good(59..61));
    mode(MonitoringMode::Reporting).await;
    give(&house, 61..64);
    assert_eq!(item.take(4).await, good(60..64));
    hmi.session.delete_monitored_items(item.subscription, &[item.item]).await.unwrap();
    give(&house, 64..65);
    assert_eq!(other.take(4).await, good(61..65));
    assert!(item.received.try_recv().is_err());
    house.close().await;
}
