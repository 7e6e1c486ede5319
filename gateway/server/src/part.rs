//! What is asked for of a value: a part of it, its encoding, its timestamps, and how often it is looked at.

use std::time::Duration;

use opcua::nodes::index_range;
use opcua::server::node_manager::ParsedReadValueId;
use opcua::types::{DataEncoding, DataValue, NumericRange, StatusCode, TimestampsToReturn};

use crate::followers::SAMPLING;
use crate::limits::SAMPLING_MAX_MS;

/// How often a value is looked at that is asked for at this interval, milliseconds; `None`: each one is wanted. Where it
/// was left to the subscription, the stack has put its publishing interval there.
pub(crate) fn pace(asked_ms: f64) -> Option<Duration> {
    let asked = Duration::try_from_secs_f64(asked_ms.min(SAMPLING_MAX_MS) / 1000.0).unwrap_or(SAMPLING);
    (asked_ms != 0.0).then(|| asked.max(SAMPLING))
}

/// An interval as OPC UA has it, in milliseconds.
pub(crate) fn ms(interval: Duration) -> f64 {
    interval.as_secs_f64() * 1_000.0
}

/// The part of a value that an index range means, if it can be encoded as it is asked for.
pub(crate) fn part_of(mut value: DataValue, wanted: &ParsedReadValueId) -> DataValue {
    if !matches!(wanted.data_encoding, DataEncoding::Binary) {
        return bad(StatusCode::BadDataEncodingInvalid);
    }
    if !matches!(wanted.index_range, NumericRange::None)
        && let Some(whole) = value.value.take()
    {
        match index_range(&whole, &wanted.index_range) {
            Ok(part) => value.value = Some(part),
            Err(status) => return bad(status),
        }
    }
    value
}

pub(crate) fn keep_timestamps(mut value: DataValue, wanted: TimestampsToReturn) -> DataValue {
    if !matches!(wanted, TimestampsToReturn::Source | TimestampsToReturn::Both) {
        (value.source_timestamp, value.source_picoseconds) = (None, None);
    }
    if !matches!(wanted, TimestampsToReturn::Server | TimestampsToReturn::Both) {
        (value.server_timestamp, value.server_picoseconds) = (None, None);
    }
    value
}

/// No value, but why there is none.
pub(crate) fn bad(status: StatusCode) -> DataValue {
    DataValue { status: Some(status), ..DataValue::default() }
}
