//! Recorded values, as an HMI draws them.

use opcua::client::HistoryReadAction;
use opcua::sync::Mutex;
use opcua::types::{
    AggregateConfiguration, AttributeId, ByteString, DataValue, DateTime, HistoryData, HistoryModifiedData,
    HistoryReadResult, HistoryReadValueId, NodeId, NumericRange, ObjectId, ReadAtTimeDetails, ReadProcessedDetails,
    ReadRawModifiedDetails, ReferenceTypeId, StatusCode, TimestampsToReturn, VariableId, Variant,
};
use std::time::Duration;
use watchfire_alarms::{ConditionDef, Transition};
use watchfire_model::{Instant, Lsn, PlainEvent, Quality, Rows, SignalId};
use watchfire_pipeline::{CursorError, Page, Past, PastEvent, PastPlace, PastWanted, Recorded, Traced};
use watchfire_ua::date_time_from_instant;

use super::client::Hmi;
use super::house::{House, NOON};
use crate::history::VALUES_MAX;
use crate::names::own;

/// What a test recorded: a value a second from noon on, and what became of alarms.
pub(super) struct EverySecond {
    signal: SignalId,
    values: u32,
    past: Mutex<Vec<Past>>,
    /// What conditions were that are there no more.
    pub(super) once: Mutex<Vec<ConditionDef>>,
    /// Between which times gaps were asked for ahead.
    prepared: Mutex<Vec<(Instant, Instant)>>,
}

impl Default for EverySecond {
    fn default() -> Self {
        let (past, once, prepared) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { signal: SignalId(1), values: 25_000, past, once, prepared }
    }
}

impl EverySecond {
    /// Records what events told, one a record.
    pub(super) fn record(&self, transitions: &[Transition]) {
        for told in transitions.iter().filter(|transition| transition.notify) {
            self.put(PastEvent::Alarm(told.def.key.clone(), Box::new((**told.told()).clone())));
        }
    }

    /// Records a finding that is no alarm.
    pub(super) fn record_plain(&self, event: PlainEvent) {
        self.put(PastEvent::Plain(event));
    }

    fn put(&self, event: PastEvent) {
        let mut past = self.past.lock();
        let place = PastPlace { lsn: Lsn(past.len() as u64 + 1), at: 0 };
        past.push(Past { place, event });
    }
}

impl Recorded for EverySecond {
    fn prepare_gaps(&self, _: SignalId, from: Instant, to: Instant) -> Result<(), CursorError> {
        self.prepared.lock().push((from, to));
        Ok(())
    }

    fn trace(&self, signal: SignalId) -> Result<Box<dyn Traced + '_>, CursorError> {
        Ok(Box::new(Found(if signal == self.signal { self.values } else { 0 })))
    }

    fn past(
        &self,
        wanted: &PastWanted,
        _: &dyn Fn() -> bool,
        take: &mut dyn FnMut(Past) -> bool,
    ) -> Result<(), CursorError> {
        let mut all = self.past.lock().clone();
        if wanted.backwards {
            all.reverse();
        }
        let begin = wanted.begin.map_or(0, |begin| all.iter().position(|past| past.place == begin).unwrap());
        let within = |past: &Past| (wanted.from..wanted.to).contains(&past.event.time());
        let _all_or_enough = all.into_iter().skip(begin).filter(within).all(take);
        Ok(())
    }

    fn once_defined(&self, binding: &str) -> Vec<ConditionDef> {
        self.once.lock().iter().filter(|def| def.key.binding() == binding).cloned().collect()
    }
}

struct Found(u32);

impl Traced for Found {
    fn page(&self, from: Instant, to: Instant) -> Result<Page, CursorError> {
        let mut rows = Rows::default();
        for number in 0..self.0 {
            let time = after_noon(number.into());
            if (from..to).contains(&time) {
                let status = watchfire_model::StatusCode::GOOD;
                rows.push(SignalId(1), time, f64::from(number), status, Quality::NONE, 1_000_000);
            }
        }
        Ok(Page { rows, rest: None })
    }
}

fn after_noon(s: u64) -> Instant {
    NOON.plus(Duration::from_secs(s))
}

fn ua(time: Instant) -> DateTime {
    date_time_from_instant(time).0
}

fn raw(start: DateTime, end: DateTime, most: u32) -> ReadRawModifiedDetails {
    ReadRawModifiedDetails {
        start_time: start,
        end_time: end,
        num_values_per_node: most,
        ..ReadRawModifiedDetails::default()
    }
}

/// One history read of a node; `change` may spoil what is asked.
async fn read(
    hmi: &Hmi,
    details: &ReadRawModifiedDetails,
    node: NodeId,
    change: impl FnOnce(&mut HistoryReadValueId),
) -> HistoryReadResult {
    let mut wanted = HistoryReadValueId { node_id: node, ..HistoryReadValueId::default() };
    change(&mut wanted);
    let action = HistoryReadAction::ReadRawModifiedDetails(details.clone());
    hmi.session.history_read(action, TimestampsToReturn::Both, false, &[wanted]).await.unwrap().remove(0)
}

fn values(result: &HistoryReadResult) -> Vec<DataValue> {
    let data = result.history_data.inner_as::<HistoryData>();
    data.and_then(|data| data.data_values.clone()).unwrap_or_default()
}

fn numbers(result: &HistoryReadResult) -> Vec<f64> {
    let number = |value: DataValue| match value.value {
        Some(Variant::Double(number)) => number,
        other => panic!("{other:?} is no number"),
    };
    values(result).into_iter().map(number).collect()
}

#[tokio::test]
async fn recorded_values_are_read_with_their_times_in_either_direction() {
    let house = House::open().await;
    let hmi = Hmi::connect(&house.url).await;
    let oil = || own("signal:press/oil");
    let forwards = read(&hmi, &raw(ua(after_noon(2)), ua(after_noon(5)), 0), oil(), |_| {}).await;
    assert_eq!((forwards.status_code, numbers(&forwards)), (StatusCode::Good, vec![2.0, 3.0, 4.0]));
    let first = values(&forwards).remove(0);
    assert_eq!(first.source_timestamp, Some(ua(after_noon(2))));
    assert_eq!(first.server_timestamp, Some(ua(after_noon(2).plus(Duration::from_millis(1)))));
    let backwards = read(&hmi, &raw(DateTime::null(), ua(after_noon(5)), 2), oil(), |_| {}).await;
    assert_eq!(numbers(&backwards), vec![5.0, 4.0]);
    let nothing = read(&hmi, &raw(ua(after_noon(2)), ua(after_noon(5)), 0), own("signal:press/door"), |_| {}).await;
    assert_eq!((nothing.status_code, values(&nothing).len()), (StatusCode::GoodNoData, 0));
    let modified = ReadRawModifiedDetails { is_read_modified: true, ..raw(ua(NOON), ua(after_noon(5)), 0) };
    let modified = read(&hmi, &modified, oil(), |_| {}).await;
    assert_eq!(modified.status_code, StatusCode::GoodNoData);
    assert!(modified.history_data.inner_as::<HistoryModifiedData>().is_some());
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn more_values_than_an_answer_holds_are_read_on_from_where_it_ended() {
    let house = House::open().await;
    let hmi = Hmi::connect(&house.url).await;
    let details = raw(ua(NOON), ua(after_noon(100_000)), 0);
    let (mut seen, mut point, mut answers) = (Vec::new(), ByteString::null(), 0);
    loop {
        let result = read(&hmi, &details, own("signal:press/oil"), |wanted| wanted.continuation_point = point).await;
        assert_eq!(result.status_code, StatusCode::Good);
        seen.extend(numbers(&result));
        answers += 1;
        point = result.continuation_point;
        if point.is_null_or_empty() {
            break;
        }
    }
    assert_eq!((seen.len(), answers), (25_000, 3), "{VALUES_MAX} an answer");
    // Each of them finds the gaps of all that is asked for, and not of a day or a page.
    assert_eq!(*house.recorded.prepared.lock(), [(NOON, after_noon(100_000)); 3]);
    assert!(seen.iter().zip(0..).all(|(value, number): (&f64, i32)| *value == f64::from(number)));
    hmi.close().await;
    house.close().await;
}

/// One processed read of the oil pressure, all its answers.
async fn aggregate(hmi: &Hmi, aggregate: ObjectId, end_s: u64, interval_s: u64) -> (StatusCode, Vec<DataValue>, u32) {
    let details = ReadProcessedDetails {
        start_time: ua(NOON),
        end_time: ua(after_noon(end_s)),
        processing_interval: interval_s as f64 * 1000.0,
        aggregate_type: Some(vec![aggregate.into()]),
        aggregate_configuration: AggregateConfiguration {
            use_server_capabilities_defaults: true,
            ..AggregateConfiguration::default()
        },
    };
    let (mut found, mut answers) = (Vec::new(), 0);
    let mut wanted = HistoryReadValueId { node_id: own("signal:press/oil"), ..HistoryReadValueId::default() };
    loop {
        let action = HistoryReadAction::ReadProcessedDetails(details.clone());
        let nodes = [wanted.clone()];
        let read = hmi.session.history_read(action, TimestampsToReturn::Both, false, &nodes);
        let result = read.await.unwrap().remove(0);
        found.extend(values(&result));
        answers += 1;
        if result.continuation_point.is_null_or_empty() {
            return (result.status_code, found, answers);
        }
        wanted.continuation_point = result.continuation_point;
    }
}

#[tokio::test]
async fn aggregates_of_recorded_values_are_computed() {
    let house = House::open().await;
    let hmi = Hmi::connect(&house.url).await;
    let (status, averages, _) = aggregate(&hmi, ObjectId::AggregateFunction_Average, 30, 10).await;
    assert_eq!(status, StatusCode::Good);
    let prepared = || std::mem::take(&mut *house.recorded.prepared.lock());
    assert_eq!(prepared(), [(NOON, after_noon(30))], "gaps are found once for all intervals");
    let numbers: Vec<_> = averages.iter().map(|value| value.value.clone().unwrap()).collect();
    assert_eq!(numbers, [4.5, 14.5, 24.5].map(Variant::Double));
    let times: Vec<_> = averages.iter().map(|value| value.source_timestamp.unwrap()).collect();
    assert_eq!(times, [0, 10, 20].map(|s| ua(after_noon(s))));
    let (_, counts, _) = aggregate(&hmi, ObjectId::AggregateFunction_Count, 10, 5).await;
    assert_eq!(counts.into_iter().map(|value| value.value.unwrap()).collect::<Vec<_>>(), [5, 5].map(Variant::Int32));
    prepared();
    let (_, seconds, answers) = aggregate(&hmi, ObjectId::AggregateFunction_Maximum, 20_500, 1).await;
    assert_eq!((seconds.len(), answers), (20_500, 3));
    assert_eq!(prepared(), [(NOON, after_noon(20_500)); 3]);
    let (status, ..) = aggregate(&hmi, ObjectId::AggregateFunction_AnnotationCount, 10, 5).await;
    assert_eq!(status, StatusCode::BadAggregateNotSupported);
    let (status, ..) = aggregate(&hmi, ObjectId::AggregateFunction_Average, 0, 5).await;
    assert_eq!(status, StatusCode::BadInvalidArgument);
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn values_between_recorded_ones_are_read_at_given_times() {
    let house = House::open().await;
    let hmi = Hmi::connect(&house.url).await;
    let between = ua(after_noon(2).plus(Duration::from_millis(250)));
    let details = ReadAtTimeDetails { req_times: Some(vec![ua(after_noon(7)), between]), use_simple_bounds: true };
    let wanted = HistoryReadValueId { node_id: own("signal:press/oil"), ..HistoryReadValueId::default() };
    let action = HistoryReadAction::ReadAtTimeDetails(details);
    let nodes = [wanted];
    let read = hmi.session.history_read(action, TimestampsToReturn::Both, false, &nodes);
    let result = read.await.unwrap().remove(0);
    assert_eq!((result.status_code, numbers(&result)), (StatusCode::Good, vec![7.0, 2.25]));
    let spanned = (after_noon(2).plus(Duration::from_millis(250)), after_noon(7));
    assert_eq!(*house.recorded.prepared.lock(), [spanned], "gaps are found once for all times");
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn more_times_than_an_answer_holds_values_are_refused() {
    let house = House::open().await;
    let hmi = Hmi::connect(&house.url).await;
    let oil = HistoryReadValueId { node_id: own("signal:press/oil"), ..HistoryReadValueId::default() };
    for (times, nodes, expected) in [
        (20, 100, StatusCode::Good),
        (1_001, 100, StatusCode::BadTooManyOperations),
        (10_001, 1, StatusCode::BadTooManyOperations),
    ] {
        let times = (0..times).map(|s| ua(after_noon(s))).collect();
        let details = ReadAtTimeDetails { req_times: Some(times), use_simple_bounds: true };
        let action = HistoryReadAction::ReadAtTimeDetails(details);
        let nodes = vec![oil.clone(); nodes];
        let read = hmi.session.history_read(action, TimestampsToReturn::Both, false, &nodes);
        assert!(read.await.unwrap().iter().all(|result| result.status_code == expected), "{expected}");
    }
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn the_server_says_which_history_it_has_and_which_aggregates_it_computes() {
    let house = House::open().await;
    let hmi = Hmi::connect(&house.url).await;
    let has = hmi.read(VariableId::HistoryServerCapabilities_AccessHistoryDataCapability.into()).await;
    assert_eq!(has.value, Some(Variant::Boolean(true)));
    let most = hmi.read(VariableId::HistoryServerCapabilities_MaxReturnDataValues.into()).await;
    assert_eq!(most.value, Some(Variant::UInt32(VALUES_MAX)));
    let forward = opcua::types::BrowseDirection::Forward;
    for folder in
        [ObjectId::HistoryServerCapabilities_AggregateFunctions, ObjectId::Server_ServerCapabilities_AggregateFunctions]
    {
        let found = hmi.browse(folder.into(), ReferenceTypeId::Organizes, forward, 0).await;
        let found: Vec<_> = found.iter().map(|found| found.browse_name.name.to_string()).collect();
        assert!(found.iter().any(|name| name == "TimeAverage"), "{folder:?}: {found:?}");
    }
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn many_trends_at_once_share_what_an_answer_holds() {
    let house = House::open().await;
    let hmi = Hmi::connect(&house.url).await;
    let action = HistoryReadAction::ReadRawModifiedDetails(raw(ua(NOON), ua(after_noon(25_000)), 0));
    let nodes = vec![HistoryReadValueId { node_id: own("signal:press/oil"), ..HistoryReadValueId::default() }; 40];
    let read = hmi.session.history_read(action, TimestampsToReturn::Both, false, &nodes);
    for result in read.await.unwrap() {
        assert_eq!(values(&result).len(), 2_500);
        assert!(!result.continuation_point.is_null_or_empty());
    }
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_with_its_code() {
    let house = House::open().await;
    let hmi = Hmi::connect(&house.url).await;
    let all = raw(ua(NOON), ua(after_noon(5)), 0);
    let area = read(&hmi, &all, own("area:Hall"), |_| {}).await;
    assert_eq!(area.status_code, StatusCode::BadHistoryOperationUnsupported);
    let unknown = read(&hmi, &all, own("signal:press/nothing"), |_| {}).await;
    assert_eq!(unknown.status_code, StatusCode::BadNodeIdUnknown);
    let oil = || own("signal:press/oil");
    let endless = read(&hmi, &raw(ua(NOON), DateTime::null(), 0), oil(), |_| {}).await;
    assert_eq!(endless.status_code, StatusCode::BadHistoryOperationInvalid);
    let ranged = read(&hmi, &all, oil(), |wanted| wanted.index_range = NumericRange::Index(1)).await;
    assert_eq!(ranged.status_code, StatusCode::BadIndexRangeInvalid);
    let stale = read(&hmi, &all, oil(), |wanted| wanted.continuation_point = ByteString::from(vec![1, 2])).await;
    assert_eq!(stale.status_code, StatusCode::BadContinuationPointInvalid);
    hmi.close().await;
    house.close().await;
}

#[tokio::test]
async fn a_signal_says_that_it_is_recorded_and_how_its_history_is_to_be_read() {
    let house = House::open().await;
    let hmi = Hmi::connect(&house.url).await;
    let historizing = hmi.attribute(own("signal:press/oil"), AttributeId::Historizing).await;
    assert_eq!(historizing.value, Some(Variant::Boolean(true)));
    let access = hmi.attribute(own("signal:press/oil"), AttributeId::UserAccessLevel).await;
    assert_eq!(access.value, Some(Variant::Byte(0b101)), "CurrentRead and HistoryRead");
    let forward = opcua::types::BrowseDirection::Forward;
    let kind = ReferenceTypeId::HasHistoricalConfiguration;
    let found = hmi.browse(own("signal:press/oil"), kind, forward, 0).await;
    let found: Vec<_> = found.iter().map(|found| found.browse_name.name.to_string()).collect();
    assert_eq!(found, vec!["HA Configuration"]);
    for (path, value) in [
        ("signal:press/oil#HA Configuration/Stepped", Variant::Boolean(false)),
        ("signal:press/door#HA Configuration/Stepped", Variant::Boolean(true)),
        ("signal:press/oil#HA Configuration/AggregateConfiguration/PercentDataGood", Variant::Byte(100)),
    ] {
        assert_eq!(hmi.value(path).await, value, "{path}");
    }
    hmi.close().await;
    house.close().await;
}
