//! The part of a value that an index range means (OPC 10000-4 §7.27), and what becomes of sampling after a panic.

use super::kept::Bare;
use super::sessions::{Login, connect, header, serve_and_look};
use opcua::core::ResponseMessage;
use opcua::nodes::index_range;
use opcua::server::node_manager::SyncSampler;
use opcua::server::{MonitoredItemHandle, ServerBuilder};
use opcua::types::{
    Array, AttributeId, ByteString, DataChangeNotification, DataValue, MonitoredItemCreateRequest, MonitoringMode,
    NodeId, NumericRange, PublishRequest, StatusCode, VariableId, Variant, VariantScalarTypeId,
};
use std::iter;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

fn text(text: &str) -> Variant {
    Variant::from(text)
}

fn texts(texts: &[&str]) -> Variant {
    Variant::from(texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
}

/// Two rows of three numbers each: 0 to 5.
fn rows() -> Variant {
    let numbers: Vec<Variant> = (0..6).map(Variant::Int32).collect();
    Array::new_multi(VariantScalarTypeId::Int32, numbers, vec![2_u32, 3]).expect("two rows of three").into()
}

fn numbers(numbers: &[i32], dimensions: &[u32]) -> Variant {
    let numbers: Vec<Variant> = numbers.iter().map(|number| Variant::Int32(*number)).collect();
    let array = match dimensions {
        [] => Array::new(VariantScalarTypeId::Int32, numbers),
        dimensions => Array::new_multi(VariantScalarTypeId::Int32, numbers, dimensions.to_vec()),
    };
    array.expect("an array").into()
}

#[test]
fn an_index_range_means_characters_elements_and_dimensions() {
    let null = Variant::String(opcua::types::UAString::null());
    let with_null = |first: &str| {
        let elements = vec![text(first), null.clone()];
        Variant::from(Array::new(VariantScalarTypeId::String, elements).expect("texts"))
    };
    let bytes = |bytes: &[u8]| Variant::from(ByteString::from(bytes.to_vec()));
    for (value, range, part) in [
        (text("Öldruck"), "0", Some(text("Ö"))),
        (text("Öldruck"), "1:2", Some(text("ld"))),
        (text("Öldruck"), "5:4000000000", Some(text("ck"))),
        (text("Öldruck"), "7", None),
        (text("水位"), "1", Some(text("位"))),
        (text(""), "0", None),
        (null.clone(), "0", None),
        (text("oil"), "0,1", None),
        (bytes(&[1, 2, 3]), "1:9", Some(bytes(&[2, 3]))),
        (bytes(&[]), "0", None),
        (Variant::Int32(1), "0", None),
        (numbers(&[7, 8, 9], &[]), "1", Some(numbers(&[8], &[]))),
        (numbers(&[7, 8, 9], &[]), "1:5", Some(numbers(&[8, 9], &[]))),
        (numbers(&[7, 8, 9], &[]), "3", None),
        (numbers(&[7, 8, 9], &[]), "0:1,0", None),
        (numbers(&[], &[]), "0", None),
        (rows(), "0", None),
        (rows(), "1,1:2", Some(numbers(&[4, 5], &[1, 2]))),
        (rows(), "0:1,2", Some(numbers(&[2, 5], &[2, 1]))),
        (rows(), "2,0", None),
        (texts(&["oil", "水位"]), "1", Some(texts(&["水位"]))),
        (texts(&["oil", "水位"]), "0:1,1", Some(texts(&["i", "位"]))),
        (texts(&["oil", "水位"]), "0:1,2:9", Some(with_null("l"))),
        (texts(&["oil"]), "0,0,0", None),
    ] {
        let parsed: NumericRange = range.parse().expect("a range");
        assert_eq!(index_range(&value, &parsed), part.ok_or(StatusCode::BadIndexRangeNoData), "{range} of {value:?}");
    }
}

#[tokio::test]
async fn of_a_value_that_waits_for_its_sample_the_part_is_taken_once() {
    let (url, pki, handle) = serve_and_look(Arc::default()).await;
    let client = connect(&url, &pki.path().join("client")).await.expect("there is room");
    let bare = Bare::open(&client, &url, Login::Nobody).await;
    let subscription = bare.subscribe().await;
    let node = NodeId::from(VariableId::Server_ServerStatus_BuildInfo_ProductName);
    let mut item = MonitoredItemCreateRequest::from(node.clone());
    item.item_to_monitor.index_range = "1:2".parse().expect("a range");
    item.requested_parameters.sampling_interval = 500.0;
    item.requested_parameters.queue_size = 10;
    bare.create(subscription, item).await.expect("an item");
    for told in ["first", "second"] {
        let value = DataValue::new_now(text(told));
        handle.subscriptions().notify_data_change(iter::once((value, &node, AttributeId::Value)));
    }
    // What is told of the second, rightly or not, whatever is told before it.
    let of_second = [text("ec"), text("c")];
    let next = async {
        loop {
            let publish = PublishRequest { request_header: header(&bare.session), subscription_acknowledgements: None };
            let ResponseMessage::Publish(published) = bare.send(publish).await else { panic!("no message") };
            let data = published.notification_message.notification_data.unwrap_or_default();
            let lists = data.iter().filter_map(|data| data.inner_as::<DataChangeNotification>());
            let items = lists.flat_map(|list| list.monitored_items.iter().flatten());
            let value = items.filter_map(|item| item.value.value.clone()).find(|value| of_second.contains(value));
            if let Some(value) = value {
                return value;
            }
        }
    };
    let next = tokio::time::timeout(Duration::from_secs(60), next).await.expect("it is sampled");
    assert_eq!(next, text("ec"));
}

#[tokio::test]
async fn sampling_goes_on_after_a_panic() {
    let pki = tempfile::tempdir().expect("a folder for certificates");
    let (_server, handle) = ServerBuilder::new_anonymous("patches")
        .application_uri("urn:patches:server")
        .product_uri("urn:patches")
        .pki_dir(pki.path().join("server"))
        .build()
        .expect("a server");
    let sampled = Arc::new(AtomicUsize::new(0));
    let (sampler, counted) = (SyncSampler::new(), sampled.clone());
    let sample = move || {
        assert!(counted.fetch_add(1, Ordering::Relaxed) > 0, "as if it were a defect");
        Some(DataValue::new_now(1_i32))
    };
    let handle_of_item = MonitoredItemHandle { subscription_id: 1, monitored_item_id: 1 };
    let every = Duration::from_millis(10);
    let node = NodeId::new(1, "sampled");
    sampler.add_sampler(node, AttributeId::Value, sample, MonitoringMode::Reporting, handle_of_item, every);
    sampler.run(every, handle.subscriptions().clone());
    let again = async {
        while sampled.load(Ordering::Relaxed) < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), again).await.expect("it is sampled again");
}
