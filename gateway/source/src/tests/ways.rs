//! Other ways to a server: those that stand in for it, and servers that open the connection themselves.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use opcua::types::RedundancySupport;
use parking_lot::Mutex;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use watchfire_config::{EndpointUrl, PasswordFrom, Reach, SignalConfig, SourceConfig};
use watchfire_model::{GapCause, SignalId, SourceState, SystemClock};
use watchfire_plant::PlantOptions;

use crate::{Finding, diagnose};

use super::harness::{Gathered, config, free_port, healthy, of_plant, quick, start_plant, start_source};
use super::proxy::Proxy;

const SIGNALS: [&str; 2] = ["pump/flow", "tank/level"];

fn url(text: &str) -> EndpointUrl {
    EndpointUrl::parse(text).unwrap()
}

fn with(first: &str, reach: Reach) -> SourceConfig {
    SourceConfig { reach, ..config(first, of_plant(&SIGNALS)) }
}

#[tokio::test]
async fn another_server_stands_in_for_one_that_is_lost_or_not_well() {
    let (first, second) = (start_plant(healthy(0)).await, start_plant(healthy(0)).await);
    let dir = tempfile::tempdir().unwrap();
    let reach = Reach { redundant: vec![url("opc.tcp://127.0.0.1:1"), url(&second.url)], listen: None };
    let mut source = start_source(with(&first.url, reach), dir.path().join("pki"), quick());
    assert!(source.until_state(SourceState::Up).await.contains(&first.url));
    source.until_values(2).await;
    // Not well: the other one is asked, and read from then on.
    first.plant.set_service_level(100);
    assert!(source.until_down_with("is not well").await.contains(&second.url));
    assert!(source.until_state(SourceState::Up).await.contains(&second.url));
    let gaps = source.until_values(2).await;
    assert!(gaps.iter().all(|gap| gap.cause == GapCause::SourceLost), "{gaps:?}");
    for signal in (0..2).map(SignalId) {
        let of_it: Vec<_> = gaps.iter().filter(|gap| gap.signal == Some(signal)).collect();
        // One; or, where the second server stamps a little earlier than the first did, as if a clock had been set back, one
        // before what it gives and one behind what the first gave.
        let is_one_outage = match of_it[..] {
            [_] => true,
            [before, behind] => before.until < behind.since,
            _ => false,
        };
        assert!(is_one_outage, "{gaps:?}");
    }
    // Both are bad now, this one less so: it stays.
    second.plant.set_service_level(150);
    source.until_values(2).await;
    // And when it is lost, the other one is better than nothing.
    second.kill();
    assert!(source.until_state(SourceState::Up).await.contains(&first.url));
    source.until_values(2).await;
    source.stop().await;
}

/// One server behind two lines is what mirrored ones are to whoever reads them.
#[tokio::test]
async fn at_a_mirrored_server_subscriptions_go_on_and_nothing_is_missed() {
    const SIGNALS: [&str; 3] = ["pump/flow", "tank/level", "motor/bearing_temp"];
    let user = Some(("reader".to_owned(), "right".to_owned()));
    let plant = start_plant(PlantOptions { user, ..healthy(0) }).await;
    plant.plant.set_redundancy(RedundancySupport::HotAndMirrored);
    let (one, other) = (Proxy::start(plant.port).await, Proxy::start(plant.port).await);
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("password"), "right").unwrap();
    // The server queues what comes until the other line is tried.
    let signals = of_plant(&SIGNALS).into_iter().map(|signal| SignalConfig { queue_size: 500, ..signal });
    let signals: Vec<_> = signals.collect();
    let as_reader = |first: &str, redundant: Vec<EndpointUrl>| SourceConfig {
        user: Some("reader".to_owned()),
        password_from: Some(PasswordFrom::File(dir.path().join("password"))),
        reach: Reach { redundant, listen: None },
        ..config(first, signals.clone())
    };
    let set = as_reader(&one.url(), vec![url(&other.url())]);
    let mut source = start_source(set, dir.path().join("pki"), quick());
    let mut witness = start_source(as_reader(&plant.url, Vec::new()), dir.path().join("witness"), quick());
    let (mut here, mut there) = (Gathered::default(), Gathered::default());
    let all = |count: usize| move |seen: &Gathered| (0..3).all(|id| seen.count(SignalId(id)) >= count);
    source.gather(&mut here, all(2)).await;
    witness.gather(&mut there, all(1)).await;
    let mut there = Gathered::default();
    one.cut();
    let ups = |seen: &Gathered| seen.states.iter().filter(|state| **state == SourceState::Up).count();
    source.gather(&mut here, |seen| ups(seen) == 2).await;
    witness.gather(&mut there, all(3)).await;
    source.gather(&mut here, |seen| seen.is_as_far_as(&there)).await;
    here.has_all_of(&there);
    assert!(here.gaps.is_empty(), "{:?}", here.gaps);
    source.stop().await;
    witness.stop().await;
}

fn free_address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], free_port()))
}

#[tokio::test]
async fn a_server_that_opens_the_connection_is_read_and_nobody_else() {
    let plant = start_plant(healthy(0)).await;
    let dir = tempfile::tempdir().unwrap();
    let address = free_address();
    let reach = Reach { redundant: Vec::new(), listen: Some(address) };
    // The address of the URL is only its name: nothing is ever sent there.
    let mut source = start_source(with(&format!("{}/", plant.url), reach), dir.path().join("pki"), quick());
    // Nonsense, another protocol, a length without end, half a greeting and silence, a stranger.
    let said: [&[u8]; 4] = [b"GET / HTTP/1.1\r\n\r\n", b"RHEF\xff\xff\xff\xff", b"RHEF\x40\0\0\0abc", b""];
    let mut open = Vec::new();
    for bytes in said {
        let mut stream = loop {
            match TcpStream::connect(address).await {
                Ok(stream) => break stream,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        stream.write_all(bytes).await.unwrap();
        open.push(stream);
    }
    let stranger = start_plant(healthy(0)).await;
    stranger.plant.connect_to(address);
    plant.plant.connect_to(address);
    source.until_state(SourceState::Up).await;
    source.until_values(2).await;
    let port = plant.kill();
    source.until_state(SourceState::Down).await;
    let plant = start_plant(healthy(port)).await;
    plant.plant.connect_to(address);
    source.until_values(2).await;
    source.stop().await;
}

/// What the doctor says, a line each; and ends.
async fn diagnosed(config: &SourceConfig) -> Vec<String> {
    let said = Mutex::new(Vec::new());
    let dir = tempfile::tempdir().unwrap();
    let tell = |finding: Finding| said.lock().push(format!("{:?} {} {}", finding.verdict, finding.step, finding.text));
    diagnose(config, dir.path().join("pki"), Arc::new(SystemClock), tell).await;
    said.into_inner()
}

/// Those lines that begin so.
fn lines<'l>(said: &'l [String], begin: &str) -> Vec<&'l str> {
    said.iter().map(String::as_str).filter(|line| line.starts_with(begin)).collect()
}

#[tokio::test]
async fn the_doctor_looks_at_every_server_of_a_set() {
    let (first, third) = (start_plant(healthy(0)).await, start_plant(healthy(0)).await);
    third.plant.set_service_level(100);
    let nobody = "opc.tcp://127.0.0.1:1";
    let reach = Reach { redundant: vec![url(nobody), url(&third.url)], listen: None };
    let said = diagnosed(&with(&first.url, reach)).await;
    assert_eq!(
        lines(&said, "Ok server"),
        [
            format!("Ok server 1 of 3: `{}`", url(&first.url)),
            format!("Ok server 2 of 3: `{}`", url(nobody)),
            format!("Ok server 3 of 3: `{}`", url(&third.url)),
        ]
    );
    assert_eq!(lines(&said, "Ok subscription").len(), 2, "each that answers is tried: {said:#?}");
    let failed = lines(&said, "Fail");
    assert!(matches!(failed[..], [line] if line.starts_with("Fail address") && line.contains(nobody)), "{said:#?}");
    assert_eq!(lines(&said, "Ok redundancy its ServiceLevel is 255").len(), 1, "{said:#?}");
    assert_eq!(lines(&said, "Warn redundancy its ServiceLevel is 100").len(), 1, "{said:#?}");
}

#[tokio::test]
async fn the_doctor_waits_for_a_server_that_opens_the_connection() {
    let plant = start_plant(healthy(0)).await;
    let address = free_address();
    let config = with(&plant.url, Reach { redundant: Vec::new(), listen: Some(address) });
    plant.plant.connect_to(address);
    let said = diagnosed(&config).await;
    let came = lines(&said, "Ok address");
    assert!(matches!(came[..], [line] if line.contains("came to") && line.contains("reverse connect")), "{said:#?}");
    assert_eq!((lines(&said, "Ok subscription").len(), lines(&said, "Fail").len()), (1, 0), "{said:#?}");
}

#[tokio::test]
async fn the_doctor_says_that_somebody_else_has_the_address() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let said = diagnosed(&with("opc.tcp://plc:4840", Reach { redundant: Vec::new(), listen: Some(address) })).await;
    assert!(
        matches!(&said[..], [line] if line.starts_with("Fail address cannot listen at") && line.contains("stop it")),
        "{said:?}"
    );
}
