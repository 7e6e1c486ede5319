//! A gateway that falls behind makes the server queue; what the server drops is a gap, and nothing is lost unsaid.

use tokio_util::sync::CancellationToken;
use watchfire_model::{GapCause, Instant, Quality, Rows, SignalId, SourceState, StatusCode};
use watchfire_pipeline::Arrival;
use watchfire_plant::load::{LoadOptions, LoadServer};

use super::harness::{config, quick, signal, start_source};

const SIGNALS: u32 = 50;
/// More than half of what the inlet holds.
const BLOCK: usize = 280_000;

fn block() -> Rows {
    let mut rows = Rows::default();
    for _ in 0..BLOCK {
        rows.push(SignalId(u32::MAX), Instant::default(), 0.0, StatusCode::GOOD, Quality::NONE, 0);
    }
    rows
}

#[tokio::test]
async fn a_full_inlet_holds_publishing_back_and_nothing_is_lost_unsaid() {
    let stop = CancellationToken::new();
    let options = LoadOptions { host: "127.0.0.1".to_owned(), port: 0, signals: SIGNALS, rate_hz: 50.0 };
    let server = LoadServer::start(options, stop.clone()).await.unwrap();
    let mut watched: Vec<_> =
        (0..SIGNALS).map(|number| signal(&format!("s{number}"), &LoadServer::node(number))).collect();
    for signal in &mut watched {
        signal.queue_size = 5;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut source = start_source(config(server.url(), watched.clone()), dir.path().join("pki"), quick());
    let mut witness = start_source(config(server.url(), watched), dir.path().join("witness"), quick());
    source.until_values(SIGNALS).await;

    // The gateway takes nothing for more than three keep-alives, while the server goes on: the witness sees it.
    source.inlet.try_push(Arrival::Rows(block())).unwrap();
    assert!(!source.inlet.has_room());
    let held_until = tokio::time::Instant::now() + quick().keep_alive * 4;
    while tokio::time::Instant::now() < held_until {
        witness.until_values(SIGNALS).await;
    }

    let (mut marked, mut gaps_seen, mut passed_block) = (0, 0, false);
    while marked < SIGNALS || gaps_seen < SIGNALS {
        match source.next().await {
            Arrival::Rows(rows) if rows.len() == BLOCK => passed_block = true,
            Arrival::Rows(rows) if passed_block => {
                marked += u32::try_from(rows.quality.iter().filter(|q| q.has(Quality::OVERFLOW)).count()).unwrap();
            }
            // What a busy machine let overflow before the gateway fell behind is not counted.
            Arrival::Rows(_) | Arrival::Gaps(_) if !passed_block => {}
            Arrival::Gaps(gaps) => {
                assert!(gaps.iter().all(|gap| gap.cause == GapCause::Overflow && gap.since < gap.until));
                gaps_seen += u32::try_from(gaps.len()).unwrap();
            }
            Arrival::State { state, reason, .. } => assert_eq!(state, SourceState::Up, "{reason}"),
            other => panic!("every signal can be watched, and none was lost: {other:?}"),
        }
    }
    source.stop().await;
    witness.stop().await;
    stop.cancel();
    server.stopped().await;
}
