//! From a value's change at a server to the alarm's event at a client, through a gateway that watches the one and
//! serves the other. Both ends are in this process, so both times are of one clock.
//!
//! Prints the server's URL and waits for a line with the gateway's, by when that must run on it. Then for each change
//! the milliseconds until its event, and whether the event bore the time of the change.

use std::ops::Range;
use std::time::Duration;

use opcua::client::EventCallback;
use opcua::types::{
    AttributeId, EventFilter, ExtensionObject, MonitoredItemCreateRequest, MonitoringMode, MonitoringParameters,
    ObjectId, ObjectTypeId, QualifiedName, ReadValueId, SimpleAttributeOperand, TimestampsToReturn, Variant,
};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::Instant as Timer;
use tokio_util::sync::CancellationToken;
use watchfire_model::Instant;
use watchfire_plant::load::{LoadOptions, LoadServer};
use watchfire_ua::date_time_from_instant;

use crate::Failure;
use crate::client::Client;

/// A condition that never comes ends the benchmark.
const PATIENCE: Duration = Duration::from_secs(20);
/// Beyond and below the limit, which is 100.
const VALUES: [f64; 2] = [200.0, 0.0];

struct Event {
    at: Timer,
    fields: Vec<Variant>,
}

/// Changes the signal `changes` times, each after the event of the one before and a random pause, so that changes
/// fall anywhere in the publishing intervals.
pub async fn latency(publishing_ms: u64, changes: usize, pauses_ms: Range<u64>) -> Result<(), Failure> {
    let stop = CancellationToken::new();
    let options = LoadOptions { host: "127.0.0.1".to_owned(), port: 0, signals: 1, rate_hz: 0.0 };
    let server = LoadServer::start(options, stop.clone()).await?;
    println!("{}", server.url());
    let url = BufReader::new(stdin()).lines().next_line().await?.ok_or("no line with the gateway's URL came")?;
    let client = Client::connect(&url).await?;
    let mut events = subscribe(&client, publishing_ms).await?;
    let mut random = SmallRng::seed_from_u64(changes as u64);
    for value in VALUES.iter().cycle().take(changes) {
        tokio::time::sleep(Duration::from_millis(random.random_range(pauses_ms.clone()))).await;
        let changed_at = Timer::now();
        let time = server.change(0, *value);
        let event = next(&mut events, *value > VALUES[1]).await?;
        let latency_ms = (event.at - changed_at).as_secs_f64() * 1e3;
        println!("{latency_ms:.3} {}", bears(&event, time));
    }
    client.close().await?;
    stop.cancel();
    server.stopped().await;
    Ok(())
}

/// The next event of the limit's condition; others (of the gateway itself) pass.
async fn next(events: &mut UnboundedReceiver<Event>, active: bool) -> Result<Event, Failure> {
    loop {
        let next = tokio::time::timeout(PATIENCE, events.recv()).await.map_err(|_| "no event came")?;
        let event = next.ok_or("the subscription ended")?;
        let source = matches!(event.fields.get(2), Some(Variant::String(name)) if name.as_ref() == "load/signal0");
        if source && event.fields.first() == Some(&Variant::Boolean(active)) {
            return Ok(event);
        }
    }
}

fn bears(event: &Event, time: Instant) -> bool {
    let (time, _) = date_time_from_instant(time);
    matches!(event.fields.get(1), Some(Variant::DateTime(found)) if **found == time)
}

async fn subscribe(client: &Client, publishing_ms: u64) -> Result<UnboundedReceiver<Event>, Failure> {
    let (sender, received) = unbounded_channel();
    let callback = EventCallback::new(move |fields, _| {
        let event = Event { at: Timer::now(), fields: fields.unwrap_or_default() };
        drop(sender.send(event));
    });
    let session = &client.session;
    let every = Duration::from_millis(publishing_ms);
    let subscription = session.create_subscription(every, 1_000, 30, 0, 0, true, callback).await?;
    let select = [&["ActiveState", "Id"][..], &["Time"][..], &["SourceName"][..]].map(clause);
    let filter = EventFilter { select_clauses: Some(select.to_vec()), ..EventFilter::default() };
    let item = MonitoredItemCreateRequest {
        item_to_monitor: ReadValueId {
            node_id: ObjectId::Server.into(),
            attribute_id: AttributeId::EventNotifier as u32,
            ..ReadValueId::default()
        },
        monitoring_mode: MonitoringMode::Reporting,
        requested_parameters: MonitoringParameters {
            filter: ExtensionObject::from_message(filter),
            queue_size: 1_000,
            ..MonitoringParameters::default()
        },
    };
    let made = session.create_monitored_items(subscription, TimestampsToReturn::Both, vec![item]).await?;
    match made.first() {
        Some(made) if made.result.status_code.is_good() => Ok(received),
        _ => Err("the gateway gives no events".into()),
    }
}

fn clause(path: &[&str]) -> SimpleAttributeOperand {
    let of = if path.len() > 1 { ObjectTypeId::AlarmConditionType } else { ObjectTypeId::BaseEventType };
    SimpleAttributeOperand {
        type_definition_id: of.into(),
        browse_path: Some(path.iter().map(|name| QualifiedName::new(0, *name)).collect()),
        attribute_id: AttributeId::Value as u32,
        ..SimpleAttributeOperand::default()
    }
}
