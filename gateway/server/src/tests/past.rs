//! Events of the past, as an HMI lists them.

use std::sync::Arc;
use std::time::Duration;

use opcua::client::{HistoryReadAction, IdentityToken};
use opcua::types::{
    AttributeId, ByteString, ContentFilter, ContentFilterBuilder, DateTime, EventFilter, HistoryEvent,
    HistoryReadResult, HistoryReadValueId, NodeId, ObjectId, ObjectTypeId, Operand, ReadEventDetails, StatusCode,
    TimestampsToReturn, VariableId, Variant,
};
use watchfire_alarms::{ConditionClass, ConditionDef, Engine, Finding};
use watchfire_model::{Instant, Level, Lsn, Scope};
use watchfire_ua::date_time_from_instant;

use super::client::{Hmi, clause, server};
use super::house::{House, NOON, guarded, key, oil_evidence, oil_high};
use crate::names::own;
use crate::past::EVENTS_MAX;

const FIELDS: [&str; 6] = ["EventId", "Time", "Message", "ActiveState/Id", "ConditionId", "NoSuchField"];
const OIL: &str = "hot/high/press/oil";

fn after_noon(s: u64) -> Instant {
    NOON.plus(Duration::from_secs(s))
}

fn details(start: Option<u64>, end: Option<u64>, most: u32, filter: ContentFilter) -> ReadEventDetails {
    let time = |s: Option<u64>| s.map_or_else(DateTime::null, |s| date_time_from_instant(after_noon(s)).0);
    let select = FIELDS.iter().map(|field| clause(field)).collect();
    ReadEventDetails {
        num_values_per_node: most,
        start_time: time(start),
        end_time: time(end),
        filter: EventFilter { select_clauses: Some(select), where_clause: filter },
    }
}

pub(super) async fn read(hmi: &Hmi, node: NodeId, details: &ReadEventDetails, point: ByteString) -> HistoryReadResult {
    let wanted = HistoryReadValueId { node_id: node, continuation_point: point, ..HistoryReadValueId::default() };
    let action = HistoryReadAction::ReadEventDetails(details.clone());
    hmi.session.history_read(action, TimestampsToReturn::Both, false, &[wanted]).await.unwrap().remove(0)
}

pub(super) fn fields(result: &HistoryReadResult) -> Vec<Vec<Variant>> {
    let events = result.history_data.inner_as::<HistoryEvent>().and_then(|history| history.events.clone());
    events.unwrap_or_default().into_iter().map(|event| event.event_fields.unwrap_or_default()).collect()
}

fn ids(result: &HistoryReadResult) -> Vec<Variant> {
    fields(result).into_iter().map(|event| event[0].clone()).collect()
}

/// Worse and better each second, ten times; the EventIds.
async fn ten_events(house: &House) -> Vec<Variant> {
    house.define(oil_high());
    let hmi = Hmi::connect(&house.url).await;
    let mut live = hmi.subscribe(server(), &FIELDS, ContentFilter::default()).await;
    let mut told = Vec::new();
    for s in 0..10 {
        let level = if s % 2 == 0 { Level::High } else { Level::HighHigh };
        house.find_at(&key(OIL), level, &format!("event {s}"), vec![oil_evidence()], after_noon(s));
        told.push(live.next().await.get("EventId").clone());
    }
    hmi.close().await;
    told
}

#[tokio::test]
async fn p11_6_5_2_what_was_told_is_read_back_with_the_fields_and_event_ids_it_had() {
    let house = House::open().await;
    let told = ten_events(&house).await;
    let hmi = Hmi::connect(&house.url).await;
    let all = read(&hmi, server(), &details(Some(0), Some(100), 0, ContentFilter::default()), ByteString::null()).await;
    assert_eq!((all.status_code, ids(&all)), (StatusCode::Good, told.clone()));
    let fourth = &fields(&all)[3];
    assert_eq!(fourth[1], date_time_from_instant(after_noon(3)).0.into());
    assert_eq!((&fourth[3], &fourth[4], &fourth[5]), (&true.into(), &own(OIL).into(), &Variant::Empty));
    let message = fields(&all)[2][2].clone();
    assert!(matches!(message, Variant::LocalizedText(text) if text.text.as_ref().starts_with("event 2")));

    let part = details(Some(2), Some(5), 0, ContentFilter::default());
    assert_eq!(ids(&read(&hmi, server(), &part, ByteString::null()).await), told[2..5]);
    let newest_first = details(Some(5), Some(2), 0, ContentFilter::default());
    let back = read(&hmi, server(), &newest_first, ByteString::null()).await;
    assert_eq!(ids(&back), told[3..6].iter().rev().cloned().collect::<Vec<_>>());
    let last_two = details(None, Some(100), 2, ContentFilter::default());
    let back = read(&hmi, server(), &last_two, ByteString::null()).await;
    assert_eq!(ids(&back), [told[9].clone(), told[8].clone()]);
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn an_area_a_filter_and_a_page_show_their_part() {
    let house = House::open().await;
    let told = ten_events(&house).await;
    let hmi = Hmi::connect(&house.url).await;
    for (area, count) in [("area:Hall", 10), ("area:Hall/Press", 10), ("area:Hall/Empty", 0)] {
        let whole = details(Some(0), Some(100), 0, ContentFilter::default());
        let found = read(&hmi, own(area), &whole, ByteString::null()).await;
        let status = if count == 0 { StatusCode::GoodNoData } else { StatusCode::Good };
        assert_eq!((found.status_code, fields(&found).len()), (status, count), "{area}");
        let notifier = hmi.attribute(own(area), AttributeId::EventNotifier).await.value;
        assert_eq!(notifier, Some(5_u8.into()), "subscribe and read history");
    }
    let late = Operand::literal(Variant::from(date_time_from_instant(after_noon(6)).0));
    let late = ContentFilterBuilder::new().gte(clause("Time"), late).build();
    let found = read(&hmi, server(), &details(Some(0), Some(100), 0, late), ByteString::null()).await;
    assert_eq!(ids(&found), told[6..]);

    let (mut point, mut seen) = (ByteString::null(), Vec::new());
    loop {
        let page = read(&hmi, server(), &details(Some(100), Some(0), 4, ContentFilter::default()), point).await;
        assert!(page.status_code.is_good() && ids(&page).len() <= 4);
        seen.extend(ids(&page));
        point = page.continuation_point;
        if point.is_null_or_empty() {
            break;
        }
    }
    seen.reverse();
    assert_eq!(seen, told[1..], "the start counts, the end does not");
    hmi.close().await;
    house.close().await;
}

/// Has on record what an alarm told before the gateway's last start, of which the server knows nothing; its EventId.
fn told_before(house: &House, name: &str) -> Variant {
    let key = key(name);
    let mut engine = Engine::default();
    engine.define(Arc::new(ConditionDef { key: key.clone(), ..oil_high() }), NOON);
    let quality = watchfire_model::StatusCode::GOOD;
    let (level, message) = (Level::High, format!("{name} was too high"));
    let finding = Finding { level, message, score: None, evidence: Vec::new(), at: after_noon(1), quality };
    let transitions = engine.apply(&key, Lsn(3), finding, after_noon(1));
    house.recorded.record(&transitions);
    ByteString::from(transitions[0].state.event_id(&key).bytes().to_vec()).into()
}

#[tokio::test]
async fn p9_5_9_2_alarms_of_a_detector_that_is_gone_are_read_back_as_far_as_the_log_knows_them() {
    let house = House::open().await;
    let hmi = Hmi::connect(&house.url).await;
    let (base, plain) = (own("area:Gateway"), ObjectTypeId::AlarmConditionType);
    for (name, area, source, source_name, class, kind) in [
        // Its signal is still watched, so that its area is known.
        (
            "old/high/press/oil",
            own("area:Hall/Press"),
            "signal:press/oil",
            "press/oil",
            "BaseConditionClassType",
            plain,
        ),
        ("old/high/gone/oil", base.clone(), "signal:gone/oil", "gone/oil", "BaseConditionClassType", plain),
        ("old/drift/2", base.clone(), "source:old", "old", "BaseConditionClassType", plain),
        ("old/odd", base.clone(), "source:old", "old", "BaseConditionClassType", plain),
        (
            "gateway/detector/old",
            base,
            "source:old",
            "old",
            "SystemConditionClassType",
            ObjectTypeId::SystemDiagnosticAlarmType,
        ),
    ] {
        let told = told_before(&house, name);
        let names = ["EventId", "EventType", "SourceNode", "ConditionName", "ConditionId", "Severity", "Retain"];
        let mut wanted = details(Some(0), Some(100), 0, ContentFilter::default());
        let texts = ["SourceName", "ConditionClassName", "Message", "LimitState/CurrentState"];
        wanted.filter.select_clauses = Some(names.iter().chain(&texts).map(|field| clause(field)).collect());
        let last = |found: &HistoryReadResult| fields(found).pop().unwrap_or_default();
        let event = last(&read(&hmi, server(), &wanted, ByteString::null()).await);
        let condition = key(name);
        let expected: [Variant; 8] = [
            told.clone(),
            NodeId::from(kind).into(),
            own(source).into(),
            format!("{}/{}", condition.binding(), condition.condition()).into(),
            own(name).into(),
            700_u16.into(),
            true.into(),
            source_name.into(),
        ];
        assert_eq!(event[..8], expected, "{name}");
        let text = |text: &str| Variant::from(opcua::types::LocalizedText::new("en", text));
        assert_eq!(event[8..], [text(class), text(&format!("{name} was too high")), Variant::Empty], "{name}");
        assert_eq!(last(&read(&hmi, area.clone(), &wanted, ByteString::null()).await)[0], told, "{name} at {area}");
        let elsewhere = read(&hmi, own("area:Hall/Empty"), &wanted, ByteString::null()).await;
        assert_eq!(elsewhere.status_code, StatusCode::GoodNoData, "{name}");
        assert_eq!(hmi.read(own(name)).await.status(), StatusCode::BadNodeIdUnknown, "it is no condition any more");
    }
    let kind = Variant::from(NodeId::from(ObjectTypeId::AlarmConditionType));
    let of_type = ContentFilterBuilder::new().of_type(Operand::literal(kind)).build();
    let found = read(&hmi, server(), &details(Some(0), Some(100), 0, of_type), ByteString::null()).await;
    assert_eq!(ids(&found).len(), 5, "a filter of alarms lets them through");
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn an_alarm_that_is_configured_no_longer_is_read_back_as_it_was_defined_last() {
    let house = House::open().await;
    let hmi = Hmi::connect(&house.url).await;
    let fields_of = [
        "EventType",
        "SourceNode",
        "SourceName",
        "ConditionClassId",
        "ConditionSubClassName",
        "LimitState/CurrentState/Id",
        "HighLimit",
        "+Response",
        "+Cause",
        "OnDelay",
        "ConfirmedState/Id",
    ];
    for (name, area, source, source_name) in [
        ("old/high/press/oil", Some("area:Hall/Press"), own("signal:press/oil"), "press/oil"),
        // Neither its signal nor its area is there any more.
        ("old/high/gone/oil", None, own("signal:gone/oil"), "gone/oil"),
        ("old/drift/2", Some("area:Hall"), own("source:of two"), "of two"),
    ] {
        told_before(&house, name);
        let rules = watchfire_alarms::Rules {
            on_delay: Some(Duration::from_secs(2)),
            cause: "a leak".into(),
            sub_classes: vec![ConditionClass::Testing],
            limits: watchfire_model::Limits { high: Some(80.0), ..watchfire_model::Limits::default() },
            ..watchfire_alarms::Rules::default()
        };
        house.recorded.once.lock().push(ConditionDef {
            key: key(name),
            area: area.map_or("Elsewhere", |area| area.strip_prefix("area:").unwrap()).into(),
            source_name: source_name.into(),
            signal: None,
            scope: if name.contains("/oil") { Scope::Signal } else { Scope::Group },
            class: ConditionClass::Safety,
            response: "call the fitter".into(),
            rules: Arc::new(rules),
            ..oil_high()
        });
        let mut wanted = details(Some(0), Some(100), 0, ContentFilter::default());
        wanted.filter.select_clauses = Some(fields_of.iter().map(|field| clause(field)).collect());
        let found = fields(&read(&hmi, server(), &wanted, ByteString::null()).await).pop().unwrap();
        let class = opcua::types::LocalizedText::new("en", "TestingConditionClassType");
        let expected: [Variant; 11] = [
            NodeId::from(ObjectTypeId::ExclusiveLevelAlarmType).into(),
            source.into(),
            source_name.into(),
            NodeId::from(ObjectTypeId::SafetyConditionClassType).into(),
            vec![class].into(),
            NodeId::from(ObjectId::ExclusiveLimitStateMachineType_High).into(),
            80.0.into(),
            "call the fitter".into(),
            "a leak".into(),
            2000.0.into(),
            true.into(),
        ];
        assert_eq!(found, expected, "{name}");
        if let Some(area) = area {
            let seen = fields(&read(&hmi, own(area), &wanted, ByteString::null()).await);
            assert_eq!(seen.last(), Some(&found), "{name} at {area}");
        }
        let elsewhere = read(&hmi, own("area:Hall/Empty"), &wanted, ByteString::null()).await;
        assert_eq!(elsewhere.status_code, StatusCode::GoodNoData, "{name}");
        assert_eq!(hmi.read(own(name)).await.status(), StatusCode::BadNodeIdUnknown, "it is no condition any more");
    }
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn what_cannot_be_read_back_is_refused() {
    let house = House::with(guarded()).await;
    let log_in = |name: &str| IdentityToken::UserName(name.into(), "oil".to_owned().into());
    // Who sees to security alone does not read what was recorded.
    let hmi = Hmi::log_in(&house.url, log_in("max")).await.unwrap();
    let whole = details(Some(0), Some(100), 0, ContentFilter::default());
    for node in [server(), own("area:Hall")] {
        assert_eq!(read(&hmi, node, &whole, ByteString::null()).await.status_code, StatusCode::BadUserAccessDenied);
    }
    let bob = Hmi::log_in(&house.url, log_in("bob")).await.unwrap();
    for (node, details, status) in [
        (server(), details(None, Some(1), 0, ContentFilter::default()), StatusCode::BadHistoryOperationInvalid),
        (own("signal:press/oil"), whole.clone(), StatusCode::BadHistoryOperationUnsupported),
        (own("area:Nowhere"), whole, StatusCode::BadNodeIdUnknown),
    ] {
        let refused = read(&bob, node.clone(), &details, ByteString::null()).await;
        assert_eq!(refused.status_code, status, "{node}");
    }
    for (capability, value) in [
        (VariableId::HistoryServerCapabilities_AccessHistoryEventsCapability, true.into()),
        (VariableId::HistoryServerCapabilities_MaxReturnEventValues, EVENTS_MAX.into()),
    ] {
        assert_eq!(bob.read(capability.into()).await.value, Some(value));
    }
    assert_eq!(bob.attribute(server(), AttributeId::EventNotifier).await.value, Some(5_u8.into()));
    hmi.close().await;
    bob.close().await;
    house.close().await;
}
