//! A gateway that falls behind makes the server queue; what the server drops is a gap, and nothing else is lost.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use watchfire_model::{GapCause, Quality, SourceState};
use watchfire_pipeline::Arrival;
use watchfire_plant::load::{LoadOptions, LoadServer};

use super::harness::{config, quick, signal, start_source};

const SIGNALS: u32 = 4_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_inlet_holds_publishing_back_and_loses_nothing_unsaid() {
    let stop = CancellationToken::new();
    let options = LoadOptions { host: "127.0.0.1".to_owned(), port: 0, signals: SIGNALS, rate_hz: 20.0 };
    let server = LoadServer::start(options, stop.clone()).await.unwrap();
    let mut watched: Vec<_> =
        (0..SIGNALS).map(|number| signal(&format!("s{number}"), &LoadServer::node(number))).collect();
    for signal in &mut watched {
        signal.queue_size = 5;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut source = start_source(config(server.url(), watched), dir.path().join("pki"), quick());
    source.until_values(SIGNALS).await;

    // Nobody takes anything until the server has made far more than the inlet holds.
    let begin = server.changes();
    while server.changes() - begin < 400_000 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // The source has not been lost meanwhile, and each signal whose values were dropped says so.
    let mut flooded = 0;
    let (mut rows_seen, mut marked, mut gaps_seen) = (0, 0, 0);
    while flooded < 400_000 {
        match source.next().await {
            Arrival::Rows(rows) => {
                flooded += rows.len();
                rows_seen += rows.len();
                marked += rows.quality.iter().filter(|quality| quality.has(Quality::OVERFLOW)).count();
            }
            Arrival::Gaps(gaps) => {
                assert!(gaps.iter().all(|gap| gap.cause == GapCause::Overflow && gap.since < gap.until));
                gaps_seen += gaps.len();
            }
            Arrival::State { state, reason, .. } => assert_eq!(state, SourceState::Up, "{reason}"),
            Arrival::Signal { .. } => panic!("every signal can be watched"),
        }
    }
    assert!(rows_seen >= 400_000);
    assert!(marked >= 1_000 && gaps_seen >= 1_000, "{marked} marked rows, {gaps_seen} gaps");
    source.stop().await;
    stop.cancel();
}
