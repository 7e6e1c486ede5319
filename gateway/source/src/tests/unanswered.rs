//! Requests to make items that the server answers late or never: whatever it made, no value comes twice.

use std::time::Duration;

use watchfire_config::{PasswordFrom, SourceConfig};
use watchfire_model::{SignalId, SourceState, StatusCode};
use watchfire_plant::PlantOptions;

use super::harness::{Gathered, config, healthy, of_plant, quick, start_plant, start_source};
use super::proxy::Proxy;
use crate::Timing;

const SIGNALS: [&str; 3] = ["pump/flow", "tank/level", "motor/bearing_temp"];
/// CreateMonitoredItemsResponse (OPC 10000-6 §5.2.2.15, NodeIds.csv).
const CREATED: u16 = 754;
/// Longer than an answer for one item, shorter than one for two.
const FOR_ONE: usize = 100;

/// BadUnexpectedError, with which many servers tell of an exception of theirs.
const FAULT: StatusCode = StatusCode(0x8001_0000);

/// So many values of each signal.
fn values(count: usize) -> impl Fn(&Gathered) -> bool {
    move |seen| (0..3).all(|id| seen.count(SignalId(id)) >= count)
}

#[track_caller]
fn assert_none_twice(seen: &Gathered) {
    for (id, times) in &seen.times {
        assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "signal {id}: {times:?}");
    }
}

#[tokio::test]
async fn a_line_that_is_cut_while_items_are_made_doubles_no_value() {
    // An anonymous client is not given its subscriptions back.
    let user = Some(("reader".to_owned(), "right".to_owned()));
    let plant = start_plant(PlantOptions { user, ..healthy(0) }).await;
    let proxy = Proxy::start(plant.port).await;
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("password"), "right").unwrap();
    let config = SourceConfig {
        user: Some("reader".to_owned()),
        password_from: Some(PasswordFrom::File(dir.path().join("password"))),
        ..config(&proxy.url(), of_plant(&SIGNALS))
    };
    proxy.without(CREATED, 0);
    let timing = Timing { request: Duration::from_secs(60), ..quick() };
    let mut source = start_source(config, dir.path().join("pki"), timing);
    proxy.swallowed(1).await;
    proxy.cut();
    source.until_state(SourceState::Down).await;
    proxy.open();
    let mut seen = Gathered::default();
    source.gather(&mut seen, values(5)).await;
    assert_none_twice(&seen);
    source.stop().await;
}

#[tokio::test]
async fn a_server_that_answers_in_time_for_few_items_alone_is_asked_for_few() {
    let plant = start_plant(healthy(0)).await;
    let proxy = Proxy::start(plant.port).await;
    let dir = tempfile::tempdir().unwrap();
    proxy.without(CREATED, FOR_ONE);
    let mut source = start_source(config(&proxy.url(), of_plant(&SIGNALS)), dir.path().join("pki"), quick());
    let mut seen = Gathered::default();
    source.gather(&mut seen, values(5)).await;
    proxy.swallowed(1).await;
    assert_none_twice(&seen);
    assert!(!seen.states.contains(&SourceState::Down), "the connection stays: {:?}", seen.states);
    source.stop().await;
}

#[tokio::test]
async fn one_of_many_nodes_for_which_a_server_faults_is_refused_by_name_and_leaves_no_gap_on_the_others() {
    let plant = start_plant(healthy(0)).await;
    let proxy = Proxy::start(plant.port).await;
    let dir = tempfile::tempdir().unwrap();
    proxy.faults_for(SIGNALS[1]);
    let mut source = start_source(config(&proxy.url(), of_plant(&SIGNALS)), dir.path().join("pki"), quick());
    let mut seen = Gathered::default();
    let others = |seen: &Gathered, count| [0, 2].iter().all(|id| seen.count(SignalId(*id)) >= count);
    source.gather(&mut seen, |seen| !seen.refused.is_empty() && others(seen, 20)).await;
    assert!(seen.refused.iter().all(|told| *told == (SignalId(1), FAULT)), "{:?}", seen.refused);
    assert!(seen.gaps.is_empty(), "nor while it is tried again: {:?}", seen.gaps);
    assert_none_twice(&seen);
    source.stop().await;
}

#[tokio::test]
async fn signals_for_which_a_server_never_answers_are_refused_by_name() {
    let plant = start_plant(healthy(0)).await;
    let proxy = Proxy::start(plant.port).await;
    let dir = tempfile::tempdir().unwrap();
    proxy.without(CREATED, 0);
    let mut source = start_source(config(&proxy.url(), of_plant(&SIGNALS)), dir.path().join("pki"), quick());
    let mut refused = std::collections::BTreeSet::new();
    while refused.len() < 3 {
        let (signal, status) = source.until_refused().await;
        assert_eq!(status.0, 0x800A_0000, "BadTimeout");
        refused.insert(signal);
    }
    source.stop().await;
}
