//! In which order requests, their answers and values come. No server is asked.

use std::path::Path;
use std::time::Duration;

use futures::FutureExt;
use opcua::client::{ClientBuilder, SessionBuilder};
use opcua::sync::RwLock;
use opcua::types::{DataChangeNotification, DataValue, MonitoredItemNotification, Variant};
use watchfire_model::{Instant, Quality, SignalId};
use watchfire_ua::{Pki, date_time_from_instant};

use super::*;
use crate::convert::client_handle;
use crate::items::Behind;
use crate::received::Received;
use crate::sequence::Sequence;
use crate::tests::harness::signal;
use crate::watched::Found;
use watchfire_pipeline::Last;

/// A set-up whose session is not connected.
fn setup() -> Setup {
    let client = ClientBuilder::new().application_name("setup").application_uri("urn:setup").into_config();
    let store = Arc::new(RwLock::new(Pki::new(Path::new("nowhere")).store(false, Vec::new())));
    let url = "opc.tcp://127.0.0.1:4840";
    let session = SessionBuilder::new(&client).connect_to_endpoint_directly(url).and_then(|to| to.build(store));
    Setup::new(session.unwrap().0, Timing::default(), Profile::Standard, Kinds::default(), url.to_owned())
}

fn subscription() -> Subscription {
    Subscription {
        id: 1,
        interval: signal("a", "i=1").publishing_interval,
        keep_alive: Duration::from_secs(5),
        sequence: Sequence::new(),
        heard: Timer::now(),
        items: Vec::new(),
        streams: Vec::new(),
        items_max: 10,
        behind: Behind::default(),
        in_doubt: false,
        making: None,
        slowest: Duration::ZERO,
        terms: Terms::default(),
        is_plausible: true,
        has_spoken: false,
    }
}

fn roster() -> Roster {
    let signals = (0..2).map(|id| (SignalId(id), signal(&format!("s{id}"), "i=1")));
    Roster::new("plant".into(), signals.collect())
}

#[test]
fn a_value_that_comes_before_its_item_is_known_to_be_made_is_the_one_that_stood() {
    let (mut setup, roster) = (setup(), roster());
    let mut converter = Converter::new(roster.ids(), Kinds::default());
    // The first was recorded; of the other it is only known that nothing came lately.
    converter.recorded(|id| (id == SignalId(0)).then_some(Last::Value(Instant::from_s(50))), Instant::from_s(40), None);
    let wanted = |at| Wanted::new(Found { at, node: NodeId::new(0, 1) }, roster.get(at).unwrap());
    setup.chunk = 2;
    setup.pending.extend([wanted(0), wanted(1)]);
    setup.go_on(&mut [subscription()], &mut converter);
    assert!(setup.is_working(), "the items are asked for");
    let value = |(at, second)| MonitoredItemNotification {
        client_handle: client_handle(at),
        value: DataValue {
            value: Some(Variant::Double(1.0)),
            source_timestamp: Some(date_time_from_instant(Instant::from_s(second)).0),
            ..DataValue::default()
        },
    };
    let monitored_items = Some([(0, 50), (1, 7)].map(value).into());
    let mut received = Received::default();
    converter.data_change(
        DataChangeNotification { monitored_items, diagnostic_infos: None },
        Instant::from_s(90),
        &mut received,
    );
    assert!(received.rows.quality.iter().all(|quality| quality.has(Quality::INITIAL)), "{:?}", received.rows);
    assert_eq!((received.rows.len(), received.gaps), (2, vec![]));
}

#[test]
fn what_is_to_be_examined_waits_for_the_answer_that_is_under_way() {
    let (mut setup, roster) = (setup(), roster());
    let mut converter = Converter::new(roster.ids(), Kinds::default());
    setup.told = true;
    setup.job = Some(async { Job::Refreshed(StatusCode::Good) }.boxed());
    setup.examine(roster.some(&[0]));
    setup.examine(roster.some(&[1]));
    assert!(matches!(setup.job().now_or_never(), Some(Job::Refreshed(_))), "it is not thrown away");
    assert!(!setup.is_done(), "nor is what has to be examined");
    setup.go_on(&mut [], &mut converter);
    assert!(setup.is_working() && setup.sought.is_empty());
}

#[test]
fn without_a_further_subscription_all_that_an_item_was_to_carry_is_refused() {
    let (mut setup, roster) = (setup(), roster());
    let mut converter = Converter::new(roster.ids(), Kinds::default());
    converter.carry_first(Part { at: 0, element: None });
    converter.carry(0, Part { at: 1, element: None });
    setup.pending.push_back(Wanted::new(Found { at: 0, node: NodeId::new(0, 1) }, roster.get(0).unwrap()));
    let status = StatusCode::BadTooManySubscriptions;
    let refused = setup.refuse_pending(status, &converter);
    assert_eq!(
        refused.iter().map(|refused| (refused.at, refused.status)).collect::<Vec<_>>(),
        [(0, status), (1, status)]
    );
    assert!(setup.pending.is_empty());
}
