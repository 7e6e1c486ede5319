//! The value at a given time: ReadAtTime of OPC 10000-11 §6.5.5.

use watchfire_model::{Instant, StatusCode};

use crate::aggregate::Bounds;
use crate::configuration::Rules;
use crate::link::Link;
use crate::point::{Known, Point, Processed, Value};
use crate::status::BAD_NO_DATA;

/// The value at `time`: the point that is there, whatever its status, or what lies between its neighbours.
///
/// `points` are in the order of their times and hold what [`Bounds`] asks for on both sides: the last point before and
/// the first after, and with interpolated bounds also the nearest that are not bad (two before, for extrapolation).
/// With simple bounds nothing is known after the last point. After a point that is BadDataLost there is nothing to
/// interpolate: it says that what came next was not received, so the answer is that status and no value.
#[must_use]
pub fn interpolate_at<'a>(
    points: impl IntoIterator<Item = &'a Point>,
    time: Instant,
    bounds: Bounds,
    rules: &Rules,
) -> Processed {
    let mut link = Link::default();
    let mut is_lost = false;
    for point in points {
        if point.time == time {
            return at_point(point);
        }
        let known = Known::new(*point, rules, true);
        if point.time < time {
            is_lost = point.status.is_data_lost();
        }
        if bounds == Bounds::Interpolated && known.is_bad() {
            link.skipped = link.skipped.or(link.left.map(|_| point.time));
        } else if point.time < time {
            link = Link { earlier: link.left, left: Some(known), right: None, skipped: None };
        } else {
            link.right = Some(known);
            break;
        }
    }
    if is_lost {
        return Processed { time, value: None, status: StatusCode::BAD_DATA_LOST };
    }
    let bound = link.bound(time, bounds, rules);
    let value = (bound.status != BAD_NO_DATA).then_some(Value::Source(bound.value, bound.exact));
    Processed { time, value, status: bound.status }
}

fn at_point(point: &Point) -> Processed {
    let value = (!point.status.is_bad()).then_some(Value::Source(point.value, point.exact));
    Processed { time: point.time, value, status: point.status }
}
