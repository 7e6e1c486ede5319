//! Two people at once, each told in a language of their own, and whoever has none in the gateway's own words.

use opcua::client::services::{ActivateSession, Publish, Read};
use opcua::client::{IdentityToken, UARequest};
use opcua::types::{
    AttributeId, ByteString, ContentFilter, DateTime, EventFilter, EventNotificationList, LocalizedText, MethodId,
    NodeId, ObjectTypeId, ReadEventDetails, StatusCode, UAString, VariableId, Variant,
};
use watchfire_config::{Role, ServerConfig, UserConfig};
use watchfire_model::Level;

use super::client::{Hmi, PATIENCE, clause, server};
use super::house::{House, guarded, key, oil_evidence, oil_high, user};
use super::past::{fields, read};
use crate::names::own;

const OIL: &str = "hot/high/press/oil";
const FIELDS: [&str; 4] = ["Message", "ActiveState", "AckedState", "ShelvingState/CurrentState"];

/// Ann is told in German, though she says Austrian; Bob in no language of his own.
fn config(others: Option<&str>) -> ServerConfig {
    let ann = UserConfig { locale: Some("de-AT".into()), ..user("ann", &[Role::Operator]) };
    ServerConfig { users: vec![ann, user("bob", &[Role::Operator])], locale: others.map(Into::into), ..guarded() }
}

async fn log_in(house: &House, name: &str) -> Hmi {
    let who = IdentityToken::UserName(name.into(), "oil".to_owned().into());
    Hmi::log_in(&house.url, who).await.unwrap()
}

fn said(locale: &str, text: &str) -> Variant {
    LocalizedText::new(locale, text).into()
}

/// What each is told of an alarm that has just been raised.
const GERMAN: [(&str, &str); 4] = [
    ("de", "zu hoch (press/oil = 9.25, erwartet höchstens 8)"),
    ("de", "Aktiv"),
    ("de", "Nicht quittiert"),
    ("de", "Nicht zurückgestellt"),
];
const OWN: [(&str, &str); 4] = [
    ("en", "too high (press/oil = 9.25, expected at most 8)"),
    ("en", "Active"),
    ("en", "Unacknowledged"),
    ("en", "Unshelved"),
];

async fn refresh(hmi: &Hmi, subscription: u32) {
    let kind = NodeId::from(ObjectTypeId::ConditionType);
    let refreshed = hmi.call(kind, MethodId::ConditionType_ConditionRefresh, vec![subscription.into()]).await;
    assert_eq!(refreshed, StatusCode::Good);
}

#[tokio::test]
async fn two_sessions_are_told_of_the_same_alarm_each_in_its_own_language() {
    let house = House::with(config(None)).await;
    house.define(oil_high());
    let (ann, bob) = (log_in(&house, "ann").await, log_in(&house, "bob").await);
    let area = own("area:Hall");
    let mut heard = Vec::new();
    for (hmi, expected) in [(&ann, GERMAN), (&bob, OWN)] {
        for notifier in [server(), area.clone()] {
            let events = hmi.subscribe(notifier, &FIELDS, ContentFilter::default()).await;
            heard.push((hmi, events, expected));
        }
    }
    house.find(&key(OIL), Level::High, "too high", vec![oil_evidence()]);
    for (_, events, expected) in &mut heard {
        let event = events.next().await;
        for (field, (locale, text)) in FIELDS.into_iter().zip(*expected) {
            assert_eq!(*event.get(field), said(locale, text), "{field}");
        }
    }
    // A refresh tells the same, in the language of whoever asks.
    for (hmi, events, expected) in &mut heard {
        refresh(hmi, events.subscription).await;
        let mut told = Vec::new();
        while told.len() < 3 {
            told.push(events.next().await.get("ActiveState").clone());
        }
        let (locale, text) = expected[1];
        assert_eq!(told[1], said(locale, text), "between the markers");
    }
    for (hmi, expected) in [(&ann, GERMAN), (&bob, OWN)] {
        for (field, (locale, text)) in FIELDS.into_iter().zip(expected) {
            assert_eq!(hmi.value(&format!("{OIL}#{field}")).await, said(locale, text), "{field}");
        }
    }
    assert_eq!(ann.value(&format!("{OIL}#Response")).await, "die Presse anhalten".into());
    assert_eq!(bob.value(&format!("{OIL}#Response")).await, "stop the press".into());
    assert_eq!(ann.value(&format!("{OIL}#Values/Response")).await, "die Presse anhalten".into());
    // What nobody has translated stays as it is, with its locale.
    assert_eq!(ann.value(&format!("{OIL}#EnabledState")).await, said("en", "Enabled"));
    let text = ann.attribute(own(OIL), AttributeId::Description).await.value;
    assert_eq!(text, Some(said("en", "the oil pressure is outside its limits")));
    assert_eq!(ann.value(&format!("{OIL}#ConditionName")).await, "hot/high".into());
    // Descriptions are translated, and names are not, wherever they are read.
    let signal = || own("signal:press/oil");
    let described = ann.attribute(signal(), AttributeId::Description).await.value;
    assert_eq!(described, Some(said("de", "was press/oil misst")));
    let named = ann.attribute(signal(), AttributeId::DisplayName).await.value;
    assert_eq!(named, bob.attribute(signal(), AttributeId::DisplayName).await.value);
    assert_eq!(named, Some(said("en", "press/oil")));
    ann.close().await;
    bob.close().await;
    house.close().await;
}

#[tokio::test]
async fn values_that_are_watched_and_events_of_the_past_are_told_in_the_language_too() {
    let house = House::with(config(None)).await;
    house.define(oil_high());
    let (ann, bob) = (log_in(&house, "ann").await, log_in(&house, "bob").await);
    let acked = own(&format!("{OIL}#AckedState"));
    let (mut anns, mut bobs) = (ann.watch(std::slice::from_ref(&acked)).await, bob.watch(&[acked]).await);
    assert_eq!(anns.next().await.1.value, Some(said("de", "Quittiert")));
    assert_eq!(bobs.next().await.1.value, Some(said("en", "Acknowledged")));
    house.raise(&key(OIL));
    assert_eq!(anns.next().await.1.value, Some(said("de", "Nicht quittiert")));
    assert_eq!(bobs.next().await.1.value, Some(said("en", "Unacknowledged")));
    let select = vec![clause("Message"), clause("ActiveState")];
    let details = ReadEventDetails {
        num_values_per_node: 9,
        start_time: DateTime::ymd(2000, 1, 1),
        end_time: DateTime::null(),
        filter: EventFilter { select_clauses: Some(select), where_clause: ContentFilter::default() },
    };
    for (hmi, expected) in [(&ann, GERMAN), (&bob, OWN)] {
        let past = fields(&read(hmi, server(), &details, ByteString::null()).await);
        let told: Vec<Variant> = expected.iter().take(2).map(|(locale, text)| said(locale, text)).collect();
        assert_eq!(past, [told]);
    }
    ann.close().await;
    bob.close().await;
    house.close().await;
}

#[tokio::test]
async fn whoever_has_no_language_of_his_own_is_told_in_the_servers() {
    let house = House::with(config(Some("de"))).await;
    house.define(oil_high());
    let (anybody, bob) = (Hmi::connect(&house.url).await, log_in(&house, "bob").await);
    for hmi in [&anybody, &bob] {
        assert_eq!(hmi.value(&format!("{OIL}#ActiveState")).await, said("en", "Inactive"), "that is not translated");
        assert_eq!(hmi.value(&format!("{OIL}#AckedState")).await, said("de", "Quittiert"));
    }
    let locales = anybody.read(VariableId::Server_ServerCapabilities_LocaleIdArray.into()).await.value;
    assert_eq!(locales, Some(vec![opcua::types::UAString::from("en"), "de".into()].into()));
    anybody.close().await;
    bob.close().await;
    house.close().await;
}

#[tokio::test]
async fn each_session_is_told_in_the_first_language_that_it_asks_for_and_there_is() {
    let house = House::with(config(None)).await;
    house.define(oil_high());
    let acked = ("en", "Acknowledged");
    for (user, asked, expected) in [
        (None, &["fr", "de-DE", "en"][..], ("de", "Quittiert")),
        (None, &["en-US", "de"][..], acked),
        (None, &["fr"][..], acked),
        // What is configured for the user goes first.
        (Some("ann"), &["en"][..], ("de", "Quittiert")),
        (Some("bob"), &["de"][..], ("de", "Quittiert")),
    ] {
        let who = match user {
            Some(name) => IdentityToken::UserName(name.to_owned(), "oil".to_owned().into()),
            None => IdentityToken::Anonymous,
        };
        let hmi = Hmi::log_in_speaking(&house.url, who, asked).await.unwrap();
        assert_eq!(hmi.value(&format!("{OIL}#AckedState")).await, said(expected.0, expected.1), "{user:?} {asked:?}");
        hmi.close().await;
    }

    let anybody = IdentityToken::Anonymous;
    let german = Hmi::log_in_speaking(&house.url, anybody, &["de-AT"]).await.unwrap();
    let own_words = Hmi::connect(&house.url).await;
    let mut heard = Vec::new();
    for hmi in [&german, &own_words] {
        heard.push(hmi.subscribe(server(), &FIELDS, ContentFilter::default()).await);
    }
    house.find(&key(OIL), Level::High, "too high", vec![oil_evidence()]);
    for (events, expected) in heard.iter_mut().zip([GERMAN, OWN]) {
        let event = events.next().await;
        for (field, (locale, text)) in FIELDS.into_iter().zip(expected) {
            assert_eq!(*event.get(field), said(locale, text), "{field}");
        }
    }
    german.close().await;
    own_words.close().await;
    house.close().await;
}

/// Activates the session again, with another wish for languages.
async fn ask_for(hmi: &Hmi, locales: &[&str]) {
    let session = &hmi.session;
    let token = Read::new(session).header().authentication_token.clone();
    let (endpoint, handle) = (session.endpoint_info().endpoint.clone(), session.request_handle());
    let again = ActivateSession::new_manual(endpoint, session.session_id(), PATIENCE, token, handle)
        .locale_ids(locales.iter().map(|locale| UAString::from(*locale)).collect());
    again.send(session.channel()).await.unwrap();
}

#[tokio::test]
async fn a_session_that_is_activated_again_is_told_in_the_language_that_it_asks_for_then() {
    let house = House::with(config(None)).await;
    house.define(oil_high());
    let hmi = Hmi::connect(&house.url).await;
    let mut events = hmi.subscribe(server(), &FIELDS, ContentFilter::default()).await;
    let mut values = hmi.watch(&[own(&format!("{OIL}#AckedState"))]).await;
    assert_eq!(values.next().await.1.value, Some(said("en", "Acknowledged")));
    for (at, (level, expected)) in
        [(Level::High, GERMAN), (Level::HighHigh, OWN), (Level::High, GERMAN)].iter().enumerate()
    {
        let (locale, message) = expected[0];
        ask_for(&hmi, &[locale]).await;
        house.find(&key(OIL), *level, "too high", vec![oil_evidence()]);
        assert_eq!(*events.next().await.get("Message"), said(locale, message));
        if at == 0 {
            // What stood is told again, now in German, where it is settled only now that it is watched.
            let told = [values.next().await.1.value, Some(said("de", "Nicht quittiert"))];
            if told[0] == Some(said("de", "Quittiert")) {
                assert_eq!(values.next().await.1.value, told[1]);
            } else {
                assert_eq!(told[0], told[1]);
            }
        }
    }
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn a_subscription_that_is_transferred_is_told_in_the_language_of_its_new_session() {
    let house = House::with(config(None)).await;
    house.define(oil_high());
    let who = || IdentityToken::UserName("bob".into(), "oil".to_owned().into());
    let before = Hmi::log_in_speaking(&house.url, who(), &["de"]).await.unwrap();
    let after = Hmi::log_in_speaking(&house.url, who(), &["en"]).await.unwrap();
    let mut events = before.subscribe(server(), &["Message"], ContentFilter::default()).await;
    house.raise(&key(OIL));
    assert_eq!(*events.next().await.get("Message"), said(GERMAN[0].0, GERMAN[0].1));
    let moved = after.session.transfer_subscriptions(&[events.subscription], false).await.unwrap();
    assert_eq!(moved[0].status_code, StatusCode::Good);
    house.find(&key(OIL), Level::HighHigh, "too high", vec![oil_evidence()]);
    let told = loop {
        let answer = Publish::new(&after.session).send(after.session.channel()).await.unwrap();
        let data = answer.notification_message.notification_data.unwrap_or_default();
        let lists = data.iter().filter_map(|data| data.inner_as::<EventNotificationList>());
        let fields = lists.flat_map(|list| list.events.iter().flatten()).find_map(|event| event.event_fields.clone());
        if let Some(fields) = fields {
            break fields;
        }
    };
    assert_eq!(told, [said(OWN[0].0, OWN[0].1)]);
    after.close().await;
    before.close().await;
    house.close().await;
}
