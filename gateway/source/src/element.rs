//! The part of a node's value that a signal is: an element of an array, a member of a structure, or a whole one as its
//! text. Knows no signal.

use opcua::types::{DataValue, StatusCode, Variant};
use watchfire_config::ElementStep;
use watchfire_ua::{Layouts, Structure, Undecodable, is_structure, value_json};

/// A part of a value with the value's status and times. What has no such part is bad: an index beyond the array is
/// BadIndexRangeNoData (OPC 10000-4 §7.27), a member that is not there is BadNoMatch, and one of a structure that does
/// not match its description is BadDecodingError. Costs a copy of the part.
pub(crate) fn element(value: &DataValue, steps: &[ElementStep]) -> DataValue {
    let whole = DataValue { value: None, ..value.clone_times() };
    let Some(found) = &value.value else { return whole };
    match part(found, steps) {
        Ok(part) => DataValue { value: Some(part), ..whole },
        // What is bad as a whole is not said to be bad for another reason.
        Err(_) if whole.status.is_some_and(|status| status.is_bad()) => whole,
        Err(status) => DataValue { status: Some(status), ..whole },
    }
}

/// A value with its structures read, where they are known.
pub(crate) fn opened(mut data: DataValue, structures: Option<&Layouts>) -> DataValue {
    if let Some(structures) = structures
        && data.value.as_ref().is_some_and(is_structure)
    {
        data.value = data.value.map(|value| structures.open(value));
    }
    data
}

/// A structure, or an array of them, as its JSON text with the names of its members; any other value as it is.
pub(crate) fn with_members(mut data: DataValue) -> DataValue {
    let is_structure = match &data.value {
        Some(Variant::ExtensionObject(object)) => !object.is_null(),
        Some(value) => is_structure(value),
        None => false,
    };
    if is_structure {
        let text = data.value.take().and_then(value_json);
        data.value = Some(Variant::String(text.unwrap_or_else(|| "structure".to_owned()).into()));
    }
    data
}

trait CloneTimes {
    fn clone_times(&self) -> Self;
}

impl CloneTimes for DataValue {
    /// Everything but the value, which may be large.
    fn clone_times(&self) -> Self {
        Self {
            value: None,
            status: self.status,
            source_timestamp: self.source_timestamp,
            source_picoseconds: self.source_picoseconds,
            server_timestamp: self.server_timestamp,
            server_picoseconds: self.server_picoseconds,
        }
    }
}

fn part(value: &Variant, steps: &[ElementStep]) -> Result<Variant, StatusCode> {
    let Some((step, rest)) = steps.split_first() else { return Ok(value.clone()) };
    match (step, value) {
        (_, Variant::Variant(inner)) => part(inner, steps),
        (ElementStep::Index(indexes), Variant::Array(array)) => {
            let dimensions = array.dimensions.as_deref().unwrap_or_default();
            let at = place(indexes, dimensions).ok_or(StatusCode::BadIndexRangeNoData)?;
            part(array.values.get(at).ok_or(StatusCode::BadIndexRangeNoData)?, rest)
        }
        (ElementStep::Index(_), _) => Err(StatusCode::BadIndexRangeNoData),
        (ElementStep::Member(name), Variant::ExtensionObject(object)) => {
            if object.inner_is::<Undecodable>() {
                return Err(StatusCode::BadDecodingError);
            }
            let structure = object.inner_as::<Structure>().ok_or(StatusCode::BadNoMatch)?;
            part(structure.member(name).ok_or(StatusCode::BadNoMatch)?, rest)
        }
        (ElementStep::Member(_), _) => Err(StatusCode::BadNoMatch),
    }
}

/// Where an element lies among all, the last dimension running fastest (OPC 10000-6 §5.2.2.16).
fn place(indexes: &[u32], dimensions: &[u32]) -> Option<usize> {
    match indexes {
        [only] if dimensions.len() <= 1 => usize::try_from(*only).ok(),
        _ if indexes.len() == dimensions.len() => {
            let mut place = 0_usize;
            for (index, size) in indexes.iter().zip(dimensions) {
                if index >= size {
                    return None;
                }
                place = place.checked_mul(usize::try_from(*size).ok()?)?.checked_add(usize::try_from(*index).ok()?)?;
            }
            Some(place)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opcua::types::{Array, VariantScalarTypeId};
    use watchfire_config::ElementPath;

    fn steps(text: &str) -> Vec<ElementStep> {
        ElementPath::parse(text).unwrap()[0].1.steps().to_vec()
    }

    fn value(value: Variant) -> DataValue {
        DataValue { value: Some(value), status: Some(StatusCode::Good), ..DataValue::default() }
    }

    fn numbers(count: i32) -> Vec<Variant> {
        (0..count).map(Variant::Int32).collect()
    }

    #[test]
    fn an_element_is_found_by_its_indexes() {
        let line = value(Variant::from(Array::new(VariantScalarTypeId::Int32, numbers(5)).unwrap()));
        assert_eq!(element(&line, &steps("[4]")).value, Some(Variant::Int32(4)));
        let table = value(Variant::from(Array::new_multi(VariantScalarTypeId::Int32, numbers(6), vec![2, 3]).unwrap()));
        assert_eq!(element(&table, &steps("[1,2]")).value, Some(Variant::Int32(5)));
        for (whole, path) in [(&line, "[5]"), (&table, "[2,0]"), (&table, "[0,3]"), (&table, "[1]"), (&line, "[0,0]")] {
            let missing = element(whole, &steps(path));
            assert_eq!((missing.value, missing.status), (None, Some(StatusCode::BadIndexRangeNoData)), "{path}");
        }
        assert_eq!(element(&value(Variant::Int32(1)), &steps("[0]")).status, Some(StatusCode::BadIndexRangeNoData));
        assert_eq!(element(&value(Variant::Int32(1)), &steps("x")).status, Some(StatusCode::BadNoMatch));
    }

    #[test]
    fn a_bad_value_stays_bad_for_its_own_reason() {
        let bad = DataValue { status: Some(StatusCode::BadSensorFailure), ..value(Variant::Int32(1)) };
        assert_eq!(element(&bad, &steps("[0]")).status, Some(StatusCode::BadSensorFailure));
        assert_eq!(element(&DataValue { value: None, ..bad }, &steps("a")).status, Some(StatusCode::BadSensorFailure));
    }
}
