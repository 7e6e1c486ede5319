//! Whoever watches a signal and asks for no sampling gets each of its values, whatever comes between two messages; others
//! get the latest one, as before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc;
use std::time::Duration;

use opcua::client::DataChangeCallback;
use opcua::server::MonitoredItemHandle;
use opcua::server::node_manager::SyncSampler;
use opcua::types::{
    AttributeId, DataChangeFilter, DataChangeTrigger, DataValue, ExtensionObject, MonitoredItemCreateRequest,
    MonitoredItemModifyRequest, MonitoringMode, QualifiedName, StatusCode, TimestampsToReturn, Variant,
};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use watchfire_model::{Instant, Quality, Rows, SignalId};

use super::client::Hmi;
use super::house::{House, NOON, open};
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

    async fn modify(&self, hmi: &Hmi, sampling_ms: f64) -> f64 {
        let asked = MonitoredItemModifyRequest {
            monitored_item_id: self.item,
            requested_parameters: wanted(sampling_ms, 1_000).requested_parameters,
        };
        let done = hmi.session.modify_monitored_items(self.subscription, TimestampsToReturn::Both, &[asked]).await;
        let done = done.unwrap().remove(0);
        assert!(done.status_code.is_good(), "{}", done.status_code);
        done.revised_sampling_interval
    }

    async fn set_mode(&self, hmi: &Hmi, mode: MonitoringMode) {
        let done = hmi.session.set_monitoring_mode(self.subscription, mode, &[self.item]).await.unwrap();
        assert_eq!(done, [StatusCode::Good]);
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
    assert_eq!(item.modify(&hmi, 0.0).await, 0.0);
    give(&house, 1..50);
    assert_eq!(item.take(49).await, good(1..50));
    item.set_mode(&hmi, MonitoringMode::Disabled).await;
    give(&house, 50..60);
    // What was given meanwhile has been passed over once another item has it.
    let mut other = Watcher::begin(&hmi, 0.0, 1_000).await;
    other.publish(&hmi).await;
    give(&house, 60..61);
    assert_eq!(other.take(2).await, good(59..61));
    item.set_mode(&hmi, MonitoringMode::Reporting).await;
    give(&house, 61..64);
    assert_eq!(item.take(4).await, good(60..64));
    hmi.session.delete_monitored_items(item.subscription, &[item.item]).await.unwrap();
    give(&house, 64..65);
    assert_eq!(other.take(4).await, good(61..65));
    assert!(item.received.try_recv().is_err());
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_interval_is_longer_than_an_hour() {
    let house = House::open().await;
    let hmi = Hmi::connect(&house.url).await;
    give(&house, 0..1);
    let hour = 3_600_000.0;
    let mut patient = Watcher::begin(&hmi, 1e22, 10).await;
    patient.publish(&hmi).await;
    assert_eq!(patient.take(1).await, good(0..1));
    for asked in [f64::MAX, 1e22, 1e25, hour + 1.0] {
        assert_eq!(patient.modify(&hmi, asked).await, hour, "{asked}");
    }
    assert_eq!(patient.modify(&hmi, 1_000.0).await, 1_000.0);
    patient.modify(&hmi, 1e22).await;
    // Longer than it takes until samples are due: whoever tells values has gone on.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut each = Watcher::begin(&hmi, 0.0, 10).await;
    each.publish(&hmi).await;
    assert_eq!(each.take(1).await, good(0..1));
    give(&house, 1..5);
    assert_eq!(each.take(4).await, good(1..5));
    hmi.close().await;
    house.close().await;
}

/// Gives values of these seconds, one by one and so often.
async fn flow(house: &House, seconds: std::ops::Range<i64>, every: Duration) {
    for second in seconds {
        give(house, second..second + 1);
        tokio::time::sleep(every).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_comes_into_being_while_values_flow() {
    let house = House::open().await;
    let hmi = Hmi::connect(&house.url).await;
    let born = async {
        let mut each = Watcher::begin(&hmi, 0.0, 1_000).await;
        each.publish(&hmi).await;
        each.take(20).await
    };
    // For as long as a minute: the item must not wait until no values come.
    let taken = tokio::select! {
        taken = born => taken,
        () = flow(&house, 0..30_000, Duration::from_millis(2)) => panic!("none comes while they flow"),
    };
    let values = taken.windows(2).map(|two| two[1].0 - two[0].0);
    assert!(values.skip(1).all(|step| step == 1), "{taken:?}");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_that_keeps_its_interval_misses_nothing_whatever_else_is_changed() {
    let house = House::open().await;
    let hmi = Hmi::connect(&house.url).await;
    give(&house, 0..1);
    let mut each = Watcher::begin(&hmi, 0.0, 1_000).await;
    each.publish(&hmi).await;
    let change = async {
        for _ in 0..20 {
            each.modify(&hmi, 0.0).await;
            each.set_mode(&hmi, MonitoringMode::Sampling).await;
            each.set_mode(&hmi, MonitoringMode::Reporting).await;
        }
    };
    tokio::join!(change, flow(&house, 1..201, Duration::from_micros(100)));
    assert_eq!(each.take(201).await, good(0..201));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_items_than_are_told_in_one_go_get_each_value_in_order() {
    const ITEMS: u32 = 5_000;
    let house = House::open().await;
    let hmi = Hmi::connect(&house.url).await;
    give(&house, 0..1);
    let (sender, mut received) = unbounded_channel();
    let callback = DataChangeCallback::new(move |value: DataValue, item| drop(sender.send((item.id(), value))));
    let every = Duration::from_millis(20);
    let subscription = hmi.session.create_subscription(every, 1000, 100, 0, 0, false, callback).await.unwrap();
    let items = (0..ITEMS).map(|client_handle| {
        let mut item = wanted(0.0, 10);
        item.requested_parameters.client_handle = client_handle + 1;
        item
    });
    let items = items.collect();
    let created = hmi.session.create_monitored_items(subscription, TimestampsToReturn::Both, items).await.unwrap();
    assert!(created.iter().all(|item| item.result.status_code.is_good()));
    give(&house, 1..4);
    hmi.session.set_publishing_mode(&[subscription], true).await.unwrap();
    let mut told: BTreeMap<u32, Vec<Option<Variant>>> = BTreeMap::new();
    for _ in 0..ITEMS * 4 {
        let (item, value) = tokio::time::timeout(PATIENCE, received.recv()).await.expect("no value came").unwrap();
        assert!(value.status.is_none_or(|status| status.is_good()));
        told.entry(item).or_default().push(value.value);
    }
    let expected: Vec<Option<Variant>> = (0..4).map(|second| Some(value(second).into())).collect();
    assert_eq!(told.len(), ITEMS as usize);
    assert!(told.values().all(|values| *values == expected));
    let ids: Vec<u32> = told.into_keys().collect();
    let deleted = hmi.session.delete_monitored_items(subscription, &ids).await.unwrap();
    assert!(deleted.iter().all(StatusCode::is_good));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_items_than_are_looked_at_in_one_go_get_the_latest_value() {
    const ITEMS: u32 = 6_000;
    let house = House::open().await;
    let hmi = Hmi::connect(&house.url).await;
    give(&house, 0..1);
    let (sender, mut received) = unbounded_channel();
    let callback = DataChangeCallback::new(move |value: DataValue, item| drop(sender.send((item.id(), value.value))));
    let every = Duration::from_millis(20);
    let subscription = hmi.session.create_subscription(every, 1000, 100, 0, 0, false, callback).await.unwrap();
    let items = (0..ITEMS).map(|client_handle| {
        let mut item = wanted(100.0, 1);
        item.requested_parameters.client_handle = client_handle + 1;
        item
    });
    let items = items.collect();
    let created = hmi.session.create_monitored_items(subscription, TimestampsToReturn::Both, items).await.unwrap();
    assert!(created.iter().all(|item| item.result.status_code.is_good()));
    give(&house, 100..101);
    hmi.session.set_publishing_mode(&[subscription], true).await.unwrap();
    let mut told = BTreeSet::new();
    while told.len() < ITEMS as usize {
        let (item, number) = tokio::time::timeout(PATIENCE, received.recv()).await.expect("no value came").unwrap();
        if number == Some(value(100).into()) {
            assert!(told.insert(item), "nobody is told twice");
        }
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_that_is_enabled_again_is_told_what_has_not_changed() {
    let house = House::open().await;
    let hmi = Hmi::connect(&house.url).await;
    give(&house, 0..1);
    for sampling_ms in [0.0, 100.0] {
        let mut item = Watcher::begin(&hmi, sampling_ms, 10).await;
        item.publish(&hmi).await;
        assert_eq!(item.take(1).await, good(0..1));
        item.set_mode(&hmi, MonitoringMode::Disabled).await;
        item.set_mode(&hmi, MonitoringMode::Reporting).await;
        assert_eq!(item.take(1).await, good(0..1), "every {sampling_ms} ms");
    }
    hmi.close().await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_two_changes_of_the_interval_pass_over_is_told_as_missing() {
    let (shared, house) = House::with_patience(open(), PATIENCE).await;
    let hmi = Hmi::connect(&house.url).await;
    give(&house, 0..1);
    let mut each = Watcher::begin(&hmi, 0.0, 10).await;
    each.publish(&hmi).await;
    assert_eq!(each.take(1).await, good(0..1));
    let handle = MonitoredItemHandle { subscription_id: each.subscription, monitored_item_id: each.item };
    let second = Duration::from_secs(1);
    shared.followers.change_at_once(&shared, SignalId(1), handle, &[Some(second), None], || give(&house, 1..6));
    let mut missing = good(5..6);
    missing[0].2 = 0x80;
    assert_eq!(each.take(1).await, missing);
    give(&house, 6..7);
    assert_eq!(each.take(1).await, good(6..7));
    hmi.close().await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encoding_that_there_is_not_is_refused() {
    let house = House::open().await;
    let hmi = Hmi::connect(&house.url).await;
    let watcher = Watcher::begin(&hmi, 0.0, 10).await;
    for (encoding, status) in [
        ("Default XML", StatusCode::BadDataEncodingUnsupported),
        ("Default JSON", StatusCode::BadDataEncodingUnsupported),
        ("Default Smoke", StatusCode::BadDataEncodingInvalid),
    ] {
        for id in [OIL, "area:Hall#ActiveCount"] {
            let mut item = MonitoredItemCreateRequest::from(own(id));
            item.item_to_monitor.data_encoding = QualifiedName::new(0, encoding);
            let created =
                hmi.session.create_monitored_items(watcher.subscription, TimestampsToReturn::Both, vec![item]);
            assert_eq!(created.await.unwrap()[0].result.status_code, status, "{encoding} of {id}");
        }
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_takes_a_sample_keeps_nobody_from_subscribing() {
    let house = House::open().await;
    let hmi = Hmi::connect(&house.url).await;
    let (samples, mut sampled) = unbounded_channel();
    let (subscribed, waits) = mpsc::channel();
    let slow = move || {
        samples.send(()).ok()?;
        // Until somebody has subscribed.
        waits.recv().ok()
    };
    let handle = MonitoredItemHandle { subscription_id: 1, monitored_item_id: 1 };
    let interval = Duration::from_millis(1);
    let sampler = SyncSampler::new();
    sampler.add_sampler(own(OIL), AttributeId::Value, slow, MonitoringMode::Reporting, handle, interval);
    sampler.run(interval, house.editor.subscriptions.clone());
    tokio::time::timeout(PATIENCE, sampled.recv()).await.expect("no sample is taken");
    let callback = DataChangeCallback::new(|_, _| {});
    let subscription = hmi.session.create_subscription(interval, 1000, 100, 0, 0, true, callback);
    let created = tokio::time::timeout(Duration::from_secs(20), subscription).await;
    subscribed.send(DataValue::null()).unwrap();
    drop(subscribed);
    created.expect("nobody can subscribe meanwhile").unwrap();
    house.close().await;
}
