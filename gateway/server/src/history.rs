//! HistoryRead of watched signals (OPC 10000-11 §6.5): what is asked is checked here, on what `trend` reads. Reading
//! blocks, so it happens off the runtime, one node after the other.

use std::sync::Arc;
use std::time::Duration;

use opcua::server::ContinuationPoint;
use opcua::server::node_manager::HistoryNode;
use opcua::types::{
    DataValue, DateTime, HistoryData, HistoryModifiedData, NodeId, NumericRange, ReadAtTimeDetails,
    ReadProcessedDetails, ReadRawModifiedDetails, StatusCode, TimestampsToReturn, Variant,
};
use tokio::sync::Semaphore;
use watchfire_aggregates::{Aggregate, Configuration, Intervals, Processed, Rules, Value as Computed};
use watchfire_model::{Instant, Kind, Sample, SignalId};
use watchfire_pipeline::{CursorError, Recorded, Traced};
use watchfire_ua::{instant_from_date_time, sample_to_data_value, status_to_ua};

use crate::asking::{Asker, Waiting, WhileWaiting};
use crate::part::keep_timestamps;
use crate::trend::{self, Lost, Place, Raw, Series, Values};

/// Values that one answer holds for one node; the client asks on for more.
pub(crate) const VALUES_MAX: u32 = 10_000;
/// Values that one answer holds for all its nodes: many trends at once must still fit into a message.
const ANSWER_VALUES_MAX: u32 = 100_000;

/// Bytes of text that an answer has room for, for each value that it may hold: a text may have a megabyte.
const VALUE_BYTES: usize = 800;

/// How many values an answer holds for each of so many nodes.
pub(crate) fn values_max(nodes: usize) -> u32 {
    let nodes = u32::try_from(nodes).unwrap_or(u32::MAX).max(1);
    (ANSWER_VALUES_MAX / nodes).clamp(1, VALUES_MAX)
}

/// Where a raw read goes on.
#[derive(Clone, Copy, Debug)]
struct Rest(Raw);

/// Where a processed read goes on.
#[derive(Clone, Copy, Debug)]
struct RestOfSeries(Series);

/// What one node's read needs to know.
pub(crate) struct Asked {
    pub signal: SignalId,
    pub kind: Kind,
    pub timestamps: TimestampsToReturn,
    /// Values that one answer may hold for this node.
    pub values_max: u32,
    /// Whether its source is lost now.
    pub lost: Option<Lost>,
    /// Whose answer it is.
    pub asker: Asker,
}

/// Reads at a time: the threads on which they block also make the log durable.
pub(crate) const READS_AT_ONCE: usize = 4;
static TURNS: Semaphore = Semaphore::const_new(READS_AT_ONCE);

/// Nodes of a request whose signals are prepared together.
const TOGETHER: usize = 64;

/// The signals of a request's nodes: what is not sealed yet of some of them is found in one pass.
pub(crate) struct Ahead(pub(crate) Vec<Option<SignalId>>);

impl Ahead {
    /// Prepares the nodes that come next, where others were prepared before this one. It takes its turn as any read of
    /// whoever asks.
    pub(crate) async fn prepare(&self, recorded: &Arc<dyn Recorded>, asker: &Asker, at: usize) {
        let next = self.0.chunks(TOGETHER).nth(at / TOGETHER).filter(|_| at.is_multiple_of(TOGETHER));
        let signals: Vec<SignalId> = next.unwrap_or_default().iter().copied().flatten().collect();
        if signals.len() > 1 {
            let recorded = recorded.clone();
            if let Err(status) = while_waiting(asker, move |_| recorded.prepare(&signals)).await {
                // Whoever reads one of them is told so too.
                tracing::debug!(%status, "what is not sealed yet could not be read ahead");
            }
        }
    }
}

/// Reads raw values for a node, or tells why not.
pub(crate) async fn raw(
    recorded: &Arc<dyn Recorded>,
    asked: &Asked,
    details: &ReadRawModifiedDetails,
    node: &mut HistoryNode,
) -> StatusCode {
    if let Err(status) = plain(node, asked.timestamps) {
        return status;
    }
    let raw = match node.continuation_point() {
        None => match begin(details) {
            Ok(raw) => raw,
            Err(status) => return status,
        },
        Some(point) => match point.get::<Rest>() {
            Some(rest) => rest.0,
            None => return StatusCode::BadContinuationPointInvalid,
        },
    };
    if details.is_read_modified {
        // Nothing is ever modified: what was received stays as it was.
        node.set_result(HistoryModifiedData { data_values: Some(Vec::new()), modification_infos: Some(Vec::new()) });
        return StatusCode::GoodNoData;
    }
    let most = match details.num_values_per_node {
        0 => asked.values_max,
        most => most.min(asked.values_max),
    };
    let most = usize::try_from(most).unwrap_or(1);
    let bytes_max = asked.values_max as usize * VALUE_BYTES;
    let Values { samples, next } =
        match asked.read(recorded, raw.span(), move |trace| raw.read(trace, most, bytes_max)).await {
            Ok(values) => values,
            Err(status) => return status,
        };
    let status = if samples.is_empty() { StatusCode::GoodNoData } else { StatusCode::Good };
    node.set_result(HistoryData { data_values: Some(samples.iter().map(|sample| asked.value(sample)).collect()) });
    let rest = next.map(|place| ContinuationPoint::new(Box::new(Rest(Raw { place, ..raw }))));
    node.set_next_continuation_point(rest);
    status
}

/// Reads an aggregate for a node, or tells why not (OPC 10000-13).
pub(crate) async fn processed(
    recorded: &Arc<dyn Recorded>,
    asked: &Asked,
    details: &ReadProcessedDetails,
    aggregate: &NodeId,
    node: &mut HistoryNode,
) -> StatusCode {
    if let Err(status) = plain(node, asked.timestamps) {
        return status;
    }
    let series = match node.continuation_point() {
        None => match asked.series(details, aggregate) {
            Ok(series) => series,
            Err(status) => return status,
        },
        Some(point) => match point.get::<RestOfSeries>() {
            Some(rest) => rest.0,
            None => return StatusCode::BadContinuationPointInvalid,
        },
    };
    let most = asked.values_max.into();
    let series = Series { lost_until: asked.lost.map(|lost| lost.now), ..series };
    let span = series.intervals.span(0..series.intervals.count());
    let (values, next) = match asked.read(recorded, span, move |trace| series.read(trace, most)).await {
        Ok(values) => values,
        Err(status) => return status,
    };
    node.set_result(HistoryData { data_values: Some(values.iter().map(|value| asked.computed(value)).collect()) });
    let rest = next.map(|next| ContinuationPoint::new(Box::new(RestOfSeries(Series { next, ..series }))));
    node.set_next_continuation_point(rest);
    StatusCode::Good
}

/// Reads values at given times for a node, or tells why not.
pub(crate) async fn at_times(
    recorded: &Arc<dyn Recorded>,
    asked: &Asked,
    details: &ReadAtTimeDetails,
    node: &mut HistoryNode,
) -> StatusCode {
    if let Err(status) = plain(node, asked.timestamps) {
        return status;
    }
    let times: Option<Vec<Instant>> =
        details.req_times.iter().flatten().map(|time| instant_from_date_time(time, None)).collect();
    let Some(times) = times.filter(|times| !times.is_empty()) else { return StatusCode::BadInvalidArgument };
    // Such a read is answered at once: it has no continuation points.
    if times.len() > asked.values_max as usize {
        return StatusCode::BadTooManyOperations;
    }
    if asked.kind.is_text() {
        return StatusCode::BadHistoryOperationUnsupported;
    }
    let (simple, rules) = (details.use_simple_bounds, asked.rules(Configuration::default()));
    let span = times.iter().copied().min().zip(times.iter().copied().max());
    match asked.read(recorded, span, move |trace| trend::at_times(trace, &times, simple, &rules)).await {
        Ok(values) => {
            let values = values.iter().map(|value| asked.computed(value)).collect();
            node.set_result(HistoryData { data_values: Some(values) });
            StatusCode::Good
        }
        Err(status) => status,
    }
}

impl Asked {
    /// Reads what was recorded of the node's signal, which blocks, for as long as somebody waits for it. Its gaps are found
    /// at once for a span that is known.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        recorded: &Arc<dyn Recorded>,
        span: Option<(Instant, Instant)>,
        read: impl FnOnce(&dyn Traced) -> Result<T, CursorError> + Send + 'static,
    ) -> Result<T, StatusCode> {
        let (recorded, signal, lost) = (recorded.clone(), self.signal, self.lost);
        let read = move |waiting: &Waiting| {
            if let Some((from, to)) = span {
                recorded.prepare_gaps(signal, from, to)?;
            }
            let trace = recorded.trace(signal)?;
            let trace = WhileWaiting(&*trace, waiting);
            match lost {
                Some(lost) => read(&trend::with_loss(trace, signal, lost)?),
                None => read(&trace),
            }
        };
        while_waiting(&self.asker, read).await
    }

    fn rules(&self, configuration: Configuration) -> Rules {
        Rules { configuration, stepped: self.kind != Kind::Real }
    }

    fn series(&self, details: &ReadProcessedDetails, aggregate: &NodeId) -> Result<Series, StatusCode> {
        let known = (aggregate.namespace == 0).then(|| aggregate.as_u32()).flatten();
        let aggregate = known.and_then(Aggregate::from_node_id).ok_or(StatusCode::BadAggregateNotSupported)?;
        if self.kind.is_text() {
            return Err(StatusCode::BadAggregateInvalidInputs);
        }
        let wanted = &details.aggregate_configuration;
        let configuration = if wanted.use_server_capabilities_defaults {
            Configuration::default()
        } else {
            Configuration {
                treat_uncertain_as_bad: wanted.treat_uncertain_as_bad,
                percent_data_bad: wanted.percent_data_bad,
                percent_data_good: wanted.percent_data_good,
                use_sloped_extrapolation: wanted.use_sloped_extrapolation,
            }
        };
        configuration.check().map_err(|_| StatusCode::BadAggregateConfigurationRejected)?;
        let given = |time: &DateTime| instant_from_date_time(time, None).ok_or(StatusCode::BadHistoryOperationInvalid);
        let (start, end) = (given(&details.start_time)?, given(&details.end_time)?);
        let interval = Duration::try_from_secs_f64(details.processing_interval / 1000.0);
        let interval = interval.map_err(|_| StatusCode::BadInvalidArgument)?;
        let intervals = Intervals::new(start, end, interval).map_err(|_| StatusCode::BadInvalidArgument)?;
        Ok(Series { aggregate, rules: self.rules(configuration), intervals, next: 0, lost_until: None })
    }

    /// A computed value in the type of what it is.
    fn computed(&self, processed: &Processed) -> DataValue {
        let Processed { time, status, value } = *processed;
        let nothing = Sample { time, server_time: time, value: f64::NAN, exact: None, text: None, status };
        let mut computed = match value {
            Some(Computed::Source(value, exact)) => self.value(&Sample { value, exact, ..nothing }),
            _ => self.value(&nothing),
        };
        computed.value = match value {
            None => None,
            Some(Computed::Source(..)) => computed.value,
            Some(Computed::Double(value)) => Some(value.into()),
            Some(Computed::Count(count)) => Some(i32::try_from(count).unwrap_or(i32::MAX).into()),
            Some(Computed::Status(status)) => Some(Variant::StatusCode(status_to_ua(status))),
        };
        computed
    }

    fn value(&self, sample: &Sample) -> DataValue {
        keep_timestamps(sample_to_data_value(sample, self.kind), self.timestamps)
    }
}

/// Two of start, end and count must be given; without a start it is read backwards from the end.
fn begin(details: &ReadRawModifiedDetails) -> Result<Raw, StatusCode> {
    let given = |time: &DateTime| instant_from_date_time(time, None);
    let (start, end) = match (given(&details.start_time), given(&details.end_time)) {
        (Some(start), Some(end)) => (start, end),
        (Some(start), None) if details.num_values_per_node > 0 => (start, Instant::MAX),
        (None, Some(end)) if details.num_values_per_node > 0 => (end, Instant::MIN),
        _ => return Err(StatusCode::BadHistoryOperationInvalid),
    };
    Ok(Raw { start, end, bounds: details.return_bounds, place: Place::Begin })
}

/// Values are scalars in the binary encoding.
fn plain(node: &HistoryNode, timestamps: TimestampsToReturn) -> Result<(), StatusCode> {
    if !matches!(node.index_range(), NumericRange::None) {
        return Err(StatusCode::BadIndexRangeInvalid);
    }
    if !node.data_encoding().is_null() && node.data_encoding().name.as_ref() != "Default Binary" {
        return Err(StatusCode::BadDataEncodingInvalid);
    }
    match timestamps {
        TimestampsToReturn::Source | TimestampsToReturn::Server | TimestampsToReturn::Both => Ok(()),
        _ => Err(StatusCode::BadTimestampsToReturnInvalid),
    }
}

/// Reads for a client what blocks, for as long as it waits.
pub(crate) async fn while_waiting<T: Send + 'static>(
    asker: &Asker,
    read: impl FnOnce(&Waiting) -> Result<T, CursorError> + Send + 'static,
) -> Result<T, StatusCode> {
    // It goes with this call, wherever that is given up.
    let request = Arc::new(());
    let waiting = asker.waits_for(&request);
    let reading = move || {
        if !waiting.is_on() {
            return Ok(None);
        }
        match read(&waiting) {
            Err(_) if !waiting.is_on() => Ok(None),
            read => read.map(Some),
        }
    };
    // The semaphore is never closed.
    let share = asker.share.clone().acquire_owned().await.map_err(|_| StatusCode::BadShutdown)?;
    let reading = move || {
        let _share = share;
        reading()
    };
    off_the_runtime(reading).await?.ok_or(StatusCode::BadSessionClosed)
}

/// Reads for a client what blocks, when it is its turn; what fails is logged, and the client told that it did.
async fn off_the_runtime<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, CursorError> + Send + 'static,
) -> Result<T, StatusCode> {
    // The semaphore is never closed.
    let turn = TURNS.acquire().await.map_err(|_| StatusCode::BadShutdown)?;
    let reading = move || {
        // Its thread is busy until it ends, whoever still waits for it.
        let _turn = turn;
        read()
    };
    match tokio::task::spawn_blocking(reading).await {
        Ok(Ok(read)) => Ok(read),
        Ok(Err(error)) => {
            tracing::error!(%error, "what was recorded cannot be read for a client");
            Err(StatusCode::BadUnexpectedError)
        }
        Err(error) => {
            tracing::error!(%error, "reading for a client was ended");
            Err(StatusCode::BadUnexpectedError)
        }
    }
}
