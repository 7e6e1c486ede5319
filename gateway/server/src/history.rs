//! HistoryRead of watched signals (OPC 10000-11 §6.5): what is asked is checked here, on what `trend` reads. Reading
//! blocks, so it happens off the runtime, one node after the other.

use std::sync::Arc;

use opcua::server::ContinuationPoint;
use opcua::server::node_manager::HistoryNode;
use opcua::types::{
    DataValue, DateTime, HistoryData, HistoryModifiedData, NumericRange, ReadRawModifiedDetails, StatusCode,
    TimestampsToReturn,
};
use watchfire_model::{Instant, Kind, Sample, SignalId};
use watchfire_pipeline::{CursorError, Recorded};
use watchfire_ua::{instant_from_date_time, sample_to_data_value};

use crate::manager::keep_timestamps;
use crate::trend::{Place, Raw, Values};

/// Values that one answer holds for one node; the client asks on for more.
pub(crate) const VALUES_MAX: u32 = 10_000;

/// Where a raw read goes on.
#[derive(Clone, Copy, Debug)]
struct Rest(Raw);

/// What one node's read needs to know.
pub(crate) struct Asked {
    pub signal: SignalId,
    pub kind: Kind,
    pub timestamps: TimestampsToReturn,
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
        0 => VALUES_MAX,
        most => most.min(VALUES_MAX),
    };
    let (recorded, signal) = (recorded.clone(), asked.signal);
    let read = move || raw.read(&*recorded.trace(signal)?, usize::try_from(most).unwrap_or(1));
    let Values { samples, next } = match off_the_runtime(read).await {
        Ok(values) => values,
        Err(status) => return status,
    };
    let status = if samples.is_empty() { StatusCode::GoodNoData } else { StatusCode::Good };
    node.set_result(HistoryData { data_values: Some(samples.iter().map(|sample| asked.value(sample)).collect()) });
    let rest = next.map(|place| ContinuationPoint::new(Box::new(Rest(Raw { place, ..raw }))));
    node.set_next_continuation_point(rest);
    status
}

impl Asked {
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

async fn off_the_runtime<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, CursorError> + Send + 'static,
) -> Result<T, StatusCode> {
    match tokio::task::spawn_blocking(read).await {
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
