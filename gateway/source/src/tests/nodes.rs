//! What is watched: every kind of value, nodes that are not there, servers with small limits.

use std::time::Duration;

use opcua::types::StatusCode as UaStatusCode;
use tokio_util::sync::CancellationToken;
use watchfire_config::Deadband;
use watchfire_model::{Kind, Quality, SignalId, SourceState, StatusCode};
use watchfire_pipeline::Arrival;
use watchfire_plant::load::{LoadOptions, LoadServer};
use watchfire_plant::{PlantLimits, PlantOptions, signals};

use super::harness::{Gathered, config, healthy, of_plant, quick, signal, start_plant, start_source};

#[tokio::test]
async fn values_arrive_with_their_times_kinds_and_text() {
    let plant = start_plant(healthy(0)).await;
    let names = ["pump/flow", "line/mode", "pump/running", "line/product", "pump/starts"];
    let dir = tempfile::tempdir().unwrap();
    let mut source = start_source(config(&plant.url, of_plant(&names)), dir.path().join("pki"), quick());
    source.until_state(SourceState::Up).await;

    let flow = source
        .until(|arrival| match arrival {
            Arrival::Rows(rows) => {
                let at = rows.signal.iter().rposition(|signal| *signal == SignalId(0))?;
                Some((rows.value[at], rows.time[at], rows.status[at], rows.quality[at]))
            }
            _ => None,
        })
        .await;
    assert!((0.0..=100.0).contains(&flow.0));
    assert_eq!((flow.2, flow.3), (StatusCode::GOOD, Quality::NONE));
    let product = source
        .until(|arrival| match arrival {
            Arrival::Rows(rows) => rows.text.first().cloned(),
            _ => None,
        })
        .await;
    assert!(product.1.starts_with("syrup") || product.1.starts_with("cleaning") || product.1 == "none");
    source.until_values(5).await;
    let kinds: Vec<_> = (0..5).map(|id| source.kinds.get(SignalId(id)).unwrap()).collect();
    assert_eq!(kinds, [Kind::Real, Kind::Enumeration, Kind::Boolean, Kind::Text, Kind::Unsigned]);
    source.stop().await;
}

#[tokio::test]
async fn a_node_that_does_not_exist_is_told_and_holds_up_no_other() {
    let plant = start_plant(healthy(0)).await;
    let mut watched = of_plant(&["pump/flow", "pump/speed"]);
    watched.push(signal("gone", "nsu=urn:watchfire:plant;s=pump/gone"));
    watched.push(signal("elsewhere", "nsu=urn:elsewhere;s=pump/flow"));
    watched.push(signal("folder", "nsu=urn:watchfire:plant;s=pump"));
    let dir = tempfile::tempdir().unwrap();
    let mut source = start_source(config(&plant.url, watched), dir.path().join("pki"), quick());
    let mut refused = Vec::new();
    for _ in 0..3 {
        refused.push(source.until_refused().await);
    }
    refused.sort_by_key(|(signal, _)| *signal);
    let no_value = StatusCode(UaStatusCode::BadAttributeIdInvalid.bits());
    assert_eq!(
        refused,
        [
            (SignalId(2), StatusCode::BAD_NODE_ID_UNKNOWN),
            (SignalId(3), StatusCode::BAD_NODE_ID_UNKNOWN),
            (SignalId(4), no_value)
        ]
    );
    source.until_values(2).await;
    source.stop().await;
}

#[tokio::test]
async fn a_node_that_appears_later_is_watched() {
    let stop = CancellationToken::new();
    let options = LoadOptions { host: "127.0.0.1".to_owned(), port: 0, signals: 1, rate_hz: 20.0 };
    let server = LoadServer::start(options, stop.clone()).await.unwrap();
    let watched = vec![signal("now", &LoadServer::node(0)), signal("later", &LoadServer::node(1))];
    let dir = tempfile::tempdir().unwrap();
    let mut source = start_source(config(server.url(), watched), dir.path().join("pki"), quick());
    assert_eq!(source.until_refused().await, (SignalId(1), StatusCode::BAD_NODE_ID_UNKNOWN));
    source.until_values(1).await;
    server.add_signal(1);
    source.until_values(2).await;
    source.stop().await;
    stop.cancel();
}

#[tokio::test]
async fn a_small_server_is_asked_in_small_requests_and_several_subscriptions() {
    let limits = PlantLimits { nodes_per_read: 5, items_per_call: 4, items_per_subscription: 10 };
    let plant = start_plant(PlantOptions { limits, ..healthy(0) }).await;
    let names: Vec<&str> = signals().iter().map(|signal| signal.name).collect();
    let dir = tempfile::tempdir().unwrap();
    let mut source = start_source(config(&plant.url, of_plant(&names)), dir.path().join("pki"), quick());
    source.until_values(u32::try_from(names.len()).unwrap()).await;
    source.stop().await;
}

#[tokio::test]
async fn the_doctor_tells_each_limit_of_a_server_with_what_follows_from_it() {
    let limits = PlantLimits { nodes_per_read: 5, items_per_call: 4, items_per_subscription: 10 };
    let plant = start_plant(PlantOptions { limits, ..healthy(0) }).await;
    let names: Vec<&str> = signals().iter().map(|signal| signal.name).collect();
    let dir = tempfile::tempdir().unwrap();
    let findings = std::sync::Mutex::new(Vec::new());
    let config = config(&plant.url, of_plant(&names));
    let tell = |finding| findings.lock().unwrap().push(finding);
    crate::diagnose(&config, dir.path().join("pki"), std::sync::Arc::new(watchfire_model::SystemClock), tell).await;
    let findings = findings.into_inner().unwrap();
    let requests = names.len().div_ceil(4);
    for words in [
        "MaxNodesPerRead is 5: 5 nodes are read in a request",
        &format!(
            "MaxMonitoredItemsPerCall is 4: the {} items that are configured are made in {requests} requests",
            names.len()
        ),
    ] {
        assert!(findings.iter().any(|found| found.step == "limits" && found.text == words), "{words}: {findings:?}");
    }
    assert!(findings.iter().all(|found| found.verdict != crate::Verdict::Fail), "{findings:?}");
}

#[tokio::test]
async fn a_deadband_holds_small_changes_back_and_intervals_have_subscriptions_of_their_own() {
    let plant = start_plant(healthy(0)).await;
    let dir = tempfile::tempdir().unwrap();
    let mut signals = of_plant(&["pump/flow", "motor/bearing_temp", "tank/level"]);
    // One that no change exceeds, one that each does.
    signals[0].deadband = Deadband::Absolute(1e9);
    signals[1].deadband = Deadband::Absolute(1e-12);
    signals[2].publishing_interval = Duration::from_millis(200);
    let mut source = start_source(config(&plant.url, signals), dir.path().join("pki"), quick());
    let mut seen = Gathered::default();
    let enough = |seen: &Gathered| seen.count(SignalId(1)) >= 5 && seen.count(SignalId(2)) >= 2;
    source.gather(&mut seen, enough).await;
    assert_eq!(seen.count(SignalId(0)), 1, "the value that stands, and no more");
    source.stop().await;
}

#[tokio::test]
async fn a_percent_deadband_that_a_server_cannot_do_is_none() {
    let plant = start_plant(healthy(0)).await;
    let dir = tempfile::tempdir().unwrap();
    let mut signals = of_plant(&["pump/flow"]);
    // The plant's nodes have no EURange.
    signals[0].deadband = Deadband::Percent(50.0);
    let mut source = start_source(config(&plant.url, signals), dir.path().join("pki"), quick());
    let mut seen = Gathered::default();
    source.gather(&mut seen, |seen| seen.count(SignalId(0)) >= 3).await;
    source.stop().await;
}
