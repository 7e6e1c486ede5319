//! Items that are enabled, also again; what part of a value they get, how often it is looked at, and what is said of that.

use std::time::Duration;

use opcua::client::{DataChangeCallback, IdentityToken};
use opcua::types::{
    ByteString, DataValue, MonitoredItemCreateRequest, MonitoredItemModifyRequest, MonitoringMode,
    MonitoringParameters, NodeId, QualifiedName, ReadValueId, StatusCode, TimestampsToReturn, VariableId, Variant,
};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::client::Hmi;
use super::house::{House, guarded, key, oil_high};
use crate::names::own;

const OIL: &str = "hot/high/press/oil";
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a subscription publishes.
const PUBLISHED_MS: f64 = 20.0;

/// One item in a subscription of its own.
struct Item {
    subscription: u32,
    id: u32,
    revised_ms: f64,
    received: UnboundedReceiver<DataValue>,
}

impl Item {
    async fn create(hmi: &Hmi, item: MonitoredItemCreateRequest) -> Self {
        let (sender, received) = unbounded_channel();
        let callback = DataChangeCallback::new(move |value, _| drop(sender.send(value)));
        let every = Duration::from_secs_f64(PUBLISHED_MS / 1_000.0);
        let subscription = hmi.session.create_subscription(every, 1000, 100, 0, 0, true, callback).await.unwrap();
        let asked = hmi.session.create_monitored_items(subscription, TimestampsToReturn::Neither, vec![item]);
        let result = asked.await.unwrap().remove(0).result;
        assert!(result.status_code.is_good(), "{}", result.status_code);
        let revised_ms = result.revised_sampling_interval;
        Self { subscription, id: result.monitored_item_id, revised_ms, received }
    }

    async fn set_mode(&self, hmi: &Hmi, mode: MonitoringMode) {
        let done = hmi.session.set_monitoring_mode(self.subscription, mode, &[self.id]).await.unwrap();
        assert_eq!(done, [StatusCode::Good]);
    }

    async fn next(&mut self) -> Option<Variant> {
        tokio::time::timeout(PATIENCE, self.received.recv()).await.expect("no value came").unwrap().value
    }
}

fn of(id: NodeId, mode: MonitoringMode) -> MonitoredItemCreateRequest {
    MonitoredItemCreateRequest { monitoring_mode: mode, ..MonitoredItemCreateRequest::from(id) }
}

/// Waits until a variable of ours has a value.
async fn becomes(hmi: &Hmi, id: &str, value: Variant) {
    let looked = async {
        while hmi.value(id).await != value {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, looked).await.expect("it never is");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_enabled_is_told_how_it_stands() {
    let house = House::open().await;
    house.define(oil_high());
    let hmi = Hmi::connect(&house.url).await;
    let (active, count) = (format!("{OIL}#ActiveState/Id"), "area:Hall#ActiveCount");
    let locales = VariableId::Server_ServerCapabilities_LocaleIdArray;
    becomes(&hmi, &active, false.into()).await;
    let mut items = Vec::new();
    for id in [own(&active), own(count), locales.into()] {
        items.push(Item::create(&hmi, of(id, MonitoringMode::Disabled)).await);
    }
    let known = hmi.read(locales.into()).await.value;
    assert!(known.is_some());
    let before = [Some(false.into()), Some(0_u32.into()), known.clone()];
    let after = [Some(true.into()), Some(1_u32.into()), known];
    for (item, value) in items.iter_mut().zip(&before) {
        item.set_mode(&hmi, MonitoringMode::Reporting).await;
        assert_eq!(item.next().await, *value, "created and not enabled");
        item.set_mode(&hmi, MonitoringMode::Disabled).await;
    }
    house.raise(&key(OIL));
    becomes(&hmi, &active, true.into()).await;
    for (item, value) in items.iter_mut().zip(&after) {
        assert!(item.received.try_recv().is_err(), "who is not enabled is told nothing");
        item.set_mode(&hmi, MonitoringMode::Reporting).await;
        assert_eq!(item.next().await, *value, "changed meanwhile or not");
        // Nothing new.
        item.set_mode(&hmi, MonitoringMode::Sampling).await;
        item.set_mode(&hmi, MonitoringMode::Reporting).await;
        item.set_mode(&hmi, MonitoringMode::Disabled).await;
        item.set_mode(&hmi, MonitoringMode::Reporting).await;
        assert_eq!(item.next().await, *value, "once");
        assert!(item.received.try_recv().is_err());
    }
    hmi.close().await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_by_itself_is_looked_at_again_once_it_is_enabled() {
    let house = House::with(guarded()).await;
    let max = IdentityToken::UserName("max".into(), "oil".to_owned().into());
    let hmi = Hmi::log_in(&house.url, max).await.unwrap();
    let count = VariableId::Server_ServerDiagnostics_ServerDiagnosticsSummary_CurrentSubscriptionCount;
    let mut item = Item::create(&hmi, of(count.into(), MonitoringMode::Disabled)).await;
    item.set_mode(&hmi, MonitoringMode::Reporting).await;
    assert_eq!(item.next().await, Some(1_u32.into()));
    let other = Item::create(&hmi, of(own("area:Hall#ActiveCount"), MonitoringMode::Reporting)).await;
    assert_eq!(item.next().await, Some(2_u32.into()));
    drop(other);
    hmi.close().await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_value_the_part_is_told_that_is_asked_for() {
    let house = House::open().await;
    house.define(oil_high());
    house.raise(&key(OIL));
    let hmi = Hmi::connect(&house.url).await;
    becomes(&hmi, &format!("{OIL}#ActiveState/Id"), true.into()).await;
    let event = house.state(&key(OIL)).event_id(&key(OIL)).bytes().to_vec();
    let profiles = VariableId::Server_ServerCapabilities_ServerProfileArray;
    let Some(Variant::Array(all)) = hmi.read(profiles.into()).await.value else { panic!("no profiles") };
    let second = hmi.read(profiles.into()).await.value.unwrap().range_of(&"1".parse().unwrap()).unwrap();
    assert!(all.values.len() > 2);
    for (id, range, part) in [
        (own(&format!("{OIL}#EventId")), "1:2", ByteString::from(event[1..3].to_vec()).into()),
        (profiles.into(), "1", second.clone()),
    ] {
        let mut item = of(id, MonitoringMode::Reporting);
        item.item_to_monitor.index_range = range.parse().unwrap();
        assert_eq!(Item::create(&hmi, item).await.next().await, Some(part));
    }
    let mut asked = ReadValueId::from(NodeId::from(profiles));
    asked.index_range = "1".parse().unwrap();
    for (timestamps, source, server) in [
        (TimestampsToReturn::Both, true, true),
        (TimestampsToReturn::Source, true, false),
        (TimestampsToReturn::Server, false, true),
        (TimestampsToReturn::Neither, false, false),
    ] {
        let read = hmi.session.read(&[asked.clone()], timestamps, 0.0).await.unwrap().remove(0);
        assert_eq!(read.value, Some(second.clone()));
        assert_eq!((read.source_timestamp.is_some(), read.server_timestamp.is_some()), (source, server));
    }
    asked.index_range = "1000".parse().unwrap();
    let read = hmi.session.read(&[asked.clone()], TimestampsToReturn::Both, 0.0).await.unwrap().remove(0);
    assert_eq!((read.status(), read.value), (StatusCode::BadIndexRangeNoData, None));
    asked.index_range = opcua::types::NumericRange::None;
    asked.data_encoding = QualifiedName::new(0, "Default XML");
    let read = hmi.session.read(&[asked], TimestampsToReturn::Both, 0.0).await.unwrap().remove(0);
    assert!(read.status().is_bad() && read.value.is_none(), "{read:?}");
    hmi.close().await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sampling_interval_that_is_answered_is_the_one_that_is_kept() {
    let house = House::open().await;
    house.define(oil_high());
    let hmi = Hmi::connect(&house.url).await;
    let figure = "area:Hall#Metrics/AlarmCount";
    assert!(hmi.read(own(figure)).await.value.is_some());
    let active = format!("{OIL}#ActiveState/Id");
    for (id, pairs) in [
        // Each value, or every so often.
        ("signal:press/oil", [(0.0, 0.0), (10.0, 100.0), (250.0, 250.0), (1e9, 3_600_000.0), (-1.0, 100.0)]),
        // It is counted.
        (figure, [(0.0, 1_000.0), (10.0, 1_000.0), (2_500.0, 2_500.0), (1e9, 3_600_000.0), (-1.0, 1_000.0)]),
        // Each change is told.
        (active.as_str(), [(0.0, 0.0), (10.0, 10.0), (250.0, 250.0), (1e9, 3_600_000.0), (-7.0, PUBLISHED_MS)]),
    ] {
        for (asked, kept) in pairs {
            let mut request = of(own(id), MonitoringMode::Reporting);
            request.requested_parameters.sampling_interval = asked;
            let item = Item::create(&hmi, request).await;
            assert_eq!(item.revised_ms, kept, "{id} every {asked} ms");
            let modify = MonitoredItemModifyRequest {
                monitored_item_id: item.id,
                requested_parameters: MonitoringParameters {
                    sampling_interval: asked,
                    ..MonitoringParameters::default()
                },
            };
            let done = hmi.session.modify_monitored_items(item.subscription, TimestampsToReturn::Both, &[modify]).await;
            assert_eq!(done.unwrap()[0].revised_sampling_interval, kept, "{id} every {asked} ms from now on");
        }
    }
    hmi.close().await;
    house.close().await;
}
