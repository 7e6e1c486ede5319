//! OPC UA values to rows, and samples back to OPC UA values.
//!
//! A scalar is a number or a text, with its locale where it has one; a whole array, structure or byte string is the text
//! of its JSON.

use opcua::types::{DataValue, LocalizedText, StatusCode as UaStatusCode, UAString, Variant};
use watchfire_model::{Instant, Kind, Locale, Quality, Rows, Sample, SignalId};

use crate::json::{TEXT_BYTES_MAX, value_json};
use crate::kinds::kind_of_value;
use crate::status::{has_overflow, status_from_ua, status_to_ua};
use crate::time::{date_time_from_instant, instant_from_date_time};

/// Byte strings longer than this are kept by their length alone: their base64 would be longer than a text may be.
const BYTES_MAX: usize = TEXT_BYTES_MAX / 4 * 3;

/// A value as the columns hold it.
struct Cell {
    number: f64,
    exact: Option<i64>,
    text: Option<String>,
}

impl Cell {
    const fn number(number: f64) -> Self {
        Self { number, exact: None, text: None }
    }

    const fn text(text: String) -> Self {
        Self { number: f64::NAN, exact: None, text: Some(text) }
    }

    const fn nothing() -> Self {
        Self { number: f64::NAN, exact: None, text: None }
    }
}

/// Appends a received value as a row and returns its kind (`None` for null). Without a source time stamp the server's
/// stands in, without either `received` does; both get the mark `SERVER_TIME`. About 30 ns for a number.
pub fn push_data_value(rows: &mut Rows, signal: SignalId, data: DataValue, received: Instant) -> Option<Kind> {
    let status = status_from_ua(data.status.unwrap_or(UaStatusCode::Good));
    let source = data.source_timestamp.and_then(|time| instant_from_date_time(&time, data.source_picoseconds));
    // Many servers give one time twice.
    let same = data.server_timestamp == data.source_timestamp && data.server_picoseconds == data.source_picoseconds;
    let server = if same { source } else { server_time(&data) };
    let mut quality = Quality::NONE;
    let (time, skew_ns) = match (source, server) {
        (Some(source), Some(server)) => (source, server.since_ns(source)),
        (Some(source), None) => (source, 0),
        (None, server) => {
            quality |= Quality::SERVER_TIME;
            (server.unwrap_or(received), 0)
        }
    };
    if has_overflow(status) {
        quality |= Quality::OVERFLOW;
    }
    let value = data.value.unwrap_or_default();
    let kind = kind_of_value(&value);
    let cell = cell_of(value);
    if cell.exact.is_some() && cell.text.is_none() {
        quality |= Quality::ROUNDED;
    }
    rows.push(signal, time, cell.number, status, quality, skew_ns);
    if let Some(bits) = cell.exact {
        rows.set_exact(bits);
    }
    if let Some(text) = cell.text {
        rows.set_text(text);
    }
    kind
}

fn server_time(data: &DataValue) -> Option<Instant> {
    data.server_timestamp.and_then(|time| instant_from_date_time(&time, data.server_picoseconds))
}

fn cell_of(value: Variant) -> Cell {
    match value {
        Variant::Empty => Cell::nothing(),
        Variant::Boolean(v) => Cell::number(f64::from(u8::from(v))),
        Variant::SByte(v) => Cell::number(f64::from(v)),
        Variant::Byte(v) => Cell::number(f64::from(v)),
        Variant::Int16(v) => Cell::number(f64::from(v)),
        Variant::UInt16(v) => Cell::number(f64::from(v)),
        Variant::Int32(v) => Cell::number(f64::from(v)),
        Variant::UInt32(v) => Cell::number(f64::from(v)),
        Variant::Int64(v) => signed(v),
        Variant::UInt64(v) => unsigned(v),
        Variant::Float(v) => Cell::number(f64::from(v)),
        Variant::Double(v) => Cell::number(v),
        Variant::StatusCode(v) => Cell::number(f64::from(v.bits())),
        Variant::DateTime(v) => instant_from_date_time(&v, None).map_or(Cell::nothing(), |time| Cell {
            number: as_f64(time.ns()),
            exact: Some(time.ns()),
            text: None,
        }),
        Variant::String(v) => string(v),
        Variant::LocalizedText(v) => {
            let locale = Locale::parse(v.locale.as_ref()).map(Locale::bits);
            let cell = string(v.text);
            Cell { exact: cell.text.as_ref().and(locale), ..cell }
        }
        Variant::QualifiedName(v) => string(v.name),
        Variant::Guid(v) => Cell::text(v.to_string()),
        Variant::NodeId(v) => Cell::text(v.to_string()),
        Variant::ExpandedNodeId(v) => Cell::text(v.to_string()),
        Variant::Variant(inner) => cell_of(*inner),
        Variant::ByteString(v) if v.is_null() => Cell::nothing(),
        Variant::ByteString(v) if v.as_ref().len() > BYTES_MAX => {
            Cell::text(format!("byte string of {} bytes", v.as_ref().len()))
        }
        Variant::ByteString(v) => Cell::text(v.as_base64()),
        Variant::Array(v) => {
            let count = v.values.len();
            Cell::text(value_json(Variant::Array(v)).unwrap_or_else(|| format!("array of {count}")))
        }
        Variant::XmlElement(v) => bounded(v.to_string()),
        Variant::ExtensionObject(_) => Cell::text("structure".to_owned()),
        Variant::DataValue(v) => v.value.map_or_else(Cell::nothing, cell_of),
        Variant::DiagnosticInfo(_) => Cell::text("diagnostic information".to_owned()),
    }
}

fn string(text: UAString) -> Cell {
    text.value().as_ref().map_or_else(Cell::nothing, |text| bounded(text.clone()))
}

/// A text, or what is said of one that is too long to be kept.
fn bounded(text: String) -> Cell {
    if text.len() > TEXT_BYTES_MAX { Cell::text(format!("text of {} bytes", text.len())) } else { Cell::text(text) }
}

#[expect(clippy::cast_precision_loss, reason = "the exact column keeps what the double loses")]
const fn as_f64(value: i64) -> f64 {
    value as f64
}

#[expect(clippy::cast_possible_truncation, reason = "compared in 128 bits, where every double of this size fits")]
fn signed(value: i64) -> Cell {
    let number = as_f64(value);
    let exact = (number as i128 != i128::from(value)).then_some(value);
    Cell { number, exact, text: None }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "the exact column keeps what the double loses"
)]
fn unsigned(value: u64) -> Cell {
    let number = value as f64;
    let exact = (number as i128 != i128::from(value)).then_some(value.cast_signed());
    Cell { number, exact, text: None }
}

/// The OPC UA value of a sample, in the data type of [`crate::data_type_of_kind`]; null where the sample holds none.
#[must_use]
pub fn sample_to_data_value(sample: &Sample, kind: Kind) -> DataValue {
    let (source, source_picoseconds) = date_time_from_instant(sample.time);
    let (server, server_picoseconds) = date_time_from_instant(sample.server_time);
    DataValue {
        value: variant_of(sample, kind),
        status: Some(status_to_ua(sample.status)),
        source_timestamp: Some(source),
        source_picoseconds,
        server_timestamp: Some(server),
        server_picoseconds,
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "casts of a double saturate")]
fn variant_of(sample: &Sample, kind: Kind) -> Option<Variant> {
    if kind == Kind::Text {
        return sample.text.as_deref().map(|text| Variant::String(text.into()));
    }
    if kind == Kind::LocalizedText {
        let locale = sample.locale().map_or_else(UAString::null, |locale| locale.to_string().into());
        let text = sample.text.as_deref()?.into();
        return Some(Variant::LocalizedText(Box::new(LocalizedText { locale, text })));
    }
    let value = sample.value;
    match kind {
        Kind::Signed if !value.is_nan() => Some(Variant::Int64(sample.exact.unwrap_or(value as i64))),
        Kind::Unsigned if !value.is_nan() => {
            Some(Variant::UInt64(sample.exact.map_or(value as u64, i64::cast_unsigned)))
        }
        Kind::Boolean if !value.is_nan() => Some(Variant::Boolean(value != 0.0)),
        Kind::Enumeration if !value.is_nan() => Some(Variant::Int32(value as i32)),
        Kind::Time => {
            let (time, _) = date_time_from_instant(Instant::from_ns(sample.exact?));
            Some(Variant::DateTime(Box::new(time)))
        }
        Kind::Real if !(value.is_nan() && sample.status.is_bad()) => Some(Variant::Double(value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opcua::types::{Array, DateTime, LocalizedText, VariantScalarTypeId, XmlElement};
    use watchfire_model::StatusCode;

    const RECEIVED: Instant = Instant::from_s(1_700_000_000);

    fn row_of(data: DataValue) -> (Rows, Sample) {
        let mut rows = Rows::default();
        push_data_value(&mut rows, SignalId(7), data, RECEIVED);
        rows.check().unwrap();
        let sample = Sample {
            time: rows.time[0],
            server_time: Instant::from_ns(rows.time[0].ns() + rows.skew_ns_at(0)),
            value: rows.value[0],
            exact: rows.exact_at(0),
            text: rows.text_at(0).map(str::to_owned),
            status: rows.status[0],
        };
        (rows, sample)
    }

    fn data_value(value: Variant) -> DataValue {
        DataValue {
            value: Some(value),
            status: Some(UaStatusCode::Good),
            source_timestamp: Some(DateTime::ymd_hms(2026, 3, 1, 12, 0, 0)),
            server_timestamp: Some(DateTime::ymd_hms(2026, 3, 1, 12, 0, 1)),
            ..Default::default()
        }
    }

    #[test]
    fn scalars_keep_their_value_and_come_back() {
        let time = DateTime::from(134_000_000_000_000_001);
        for (value, back) in [
            (Variant::Boolean(true), Variant::Boolean(true)),
            (Variant::SByte(-5), Variant::Int64(-5)),
            (Variant::Byte(5), Variant::UInt64(5)),
            (Variant::Int16(-300), Variant::Int64(-300)),
            (Variant::UInt16(300), Variant::UInt64(300)),
            (Variant::Int32(i32::MIN), Variant::Int64(i64::from(i32::MIN))),
            (Variant::UInt32(u32::MAX), Variant::UInt64(u64::from(u32::MAX))),
            (Variant::Int64(i64::MAX), Variant::Int64(i64::MAX)),
            (Variant::Int64(i64::MIN + 1), Variant::Int64(i64::MIN + 1)),
            (Variant::Int64((1 << 53) + 1), Variant::Int64((1 << 53) + 1)),
            (Variant::UInt64(u64::MAX), Variant::UInt64(u64::MAX)),
            (Variant::UInt64(1 << 63), Variant::UInt64(1 << 63)),
            (Variant::Float(1.5), Variant::Double(1.5)),
            (Variant::Double(-0.0), Variant::Double(-0.0)),
            (Variant::Double(1e300), Variant::Double(1e300)),
            (Variant::DateTime(Box::new(time)), Variant::DateTime(Box::new(time))),
            (Variant::from("on"), Variant::from("on")),
            (Variant::from(LocalizedText::new("de-AT", "Pumpe")), Variant::from(LocalizedText::new("de-AT", "Pumpe"))),
            (Variant::from(LocalizedText::new("", "Pumpe")), Variant::from(LocalizedText::from("Pumpe"))),
            (
                Variant::StatusCode(UaStatusCode::BadTimeout),
                Variant::UInt64(u64::from(UaStatusCode::BadTimeout.bits())),
            ),
            (Variant::Variant(Box::new(Variant::Int32(3))), Variant::Int64(3)),
            (Variant::DataValue(Box::new(data_value(Variant::Int32(4)))), Variant::Int64(4)),
            (Variant::XmlElement(XmlElement::from("<a>5</a>")), Variant::from("<a>5</a>")),
        ] {
            let kind = kind_of_value(&value).unwrap();
            let (rows, sample) = row_of(data_value(value.clone()));
            assert_eq!(sample_to_data_value(&sample, kind).value, Some(back), "{value:?}");
            let is_rounded = sample.exact.is_some() && sample.text.is_none();
            assert_eq!(rows.quality[0].has(Quality::ROUNDED), is_rounded);
        }
    }

    #[test]
    fn a_text_takes_what_it_took_and_one_with_a_locale_twelve_bytes_more_until_it_is_sealed() {
        for value in [Variant::from("Pumpe"), Variant::from(LocalizedText::from("Pumpe"))] {
            assert!(row_of(data_value(value)).0.exact.is_empty());
        }
        let german = row_of(data_value(Variant::from(LocalizedText::new("de", "Pumpe")))).1;
        assert_eq!(
            (german.locale().map(|locale| locale.to_string()).as_deref(), german.text.as_deref()),
            (Some("de"), Some("Pumpe"))
        );
        // Of a node that says to have texts without a language, and one of which nothing but a locale came.
        assert_eq!(sample_to_data_value(&german, Kind::Text).value, Some(Variant::from("Pumpe")));
        let nothing = LocalizedText { locale: "de".into(), text: UAString::null() };
        assert_eq!(row_of(data_value(Variant::from(nothing))).1.exact, None);
    }

    #[test]
    fn whole_numbers_that_a_double_holds_need_no_exact_column() {
        for value in [Variant::Int64(1 << 53), Variant::Int64(-(1 << 53)), Variant::UInt64(1 << 62), Variant::Int64(0)]
        {
            assert_eq!(row_of(data_value(value)).1.exact, None);
        }
    }

    #[test]
    fn times_and_their_skew_are_kept_to_the_nanosecond() {
        let mut data = data_value(Variant::Double(1.0));
        data.source_picoseconds = Some(4200);
        let (rows, sample) = row_of(data.clone());
        assert_eq!(rows.skew_ns_at(0), 1_000_000_000 - 42);
        let back = sample_to_data_value(&sample, Kind::Real);
        assert_eq!((back.source_timestamp, back.source_picoseconds), (data.source_timestamp, Some(4200)));
        assert_eq!((back.server_timestamp, back.server_picoseconds), (data.server_timestamp, None));
    }

    #[test]
    fn a_missing_source_time_is_marked_and_replaced() {
        let mut data = data_value(Variant::Double(1.0));
        data.source_timestamp = None;
        let (rows, _) = row_of(data.clone());
        assert_eq!(rows.quality[0], Quality::SERVER_TIME);
        assert_eq!(Some(rows.time[0]), data.server_timestamp.and_then(|t| instant_from_date_time(&t, None)));
        data.server_timestamp = Some(DateTime::null());
        assert_eq!(row_of(data).0.time[0], RECEIVED);
    }

    #[test]
    fn arrays_and_byte_strings_are_kept_as_long_as_their_text_is_no_longer_than_any_other() {
        let bytes = |count: usize| Variant::ByteString(vec![7_u8; count].into());
        // Seven characters and a comma each.
        let array = |count: usize| Variant::from(vec![12_345.5_f64; count]);
        let text = |value: Variant| row_of(data_value(value)).1.text.unwrap();
        assert_eq!(text(bytes(BYTES_MAX)).len(), TEXT_BYTES_MAX);
        assert_eq!(text(bytes(BYTES_MAX + 1)), "byte string of 786433 bytes");
        let fits = (TEXT_BYTES_MAX - 1) / 8;
        assert_eq!(text(array(fits)).len(), 8 * fits + 1);
        assert_eq!(text(array(fits + 1)), format!("array of {}", fits + 1));
        assert_eq!(text(Variant::from(vec![0_u8 as i32; 600_000])), "array of 600000", "not even looked at");
        assert_eq!(text(Variant::from("x".repeat(TEXT_BYTES_MAX))).len(), TEXT_BYTES_MAX);
        assert_eq!(text(Variant::from("x".repeat(TEXT_BYTES_MAX + 1))), "text of 1048577 bytes");
    }

    #[test]
    fn bad_values_overflow_and_what_is_no_scalar_keep_their_status() {
        let overflow = UaStatusCode::from(0x0000_0480);
        let (rows, _) = row_of(DataValue { status: Some(overflow), ..data_value(Variant::Double(2.0)) });
        assert_eq!((rows.value[0], rows.quality[0]), (2.0, Quality::OVERFLOW));

        let bad = DataValue { value: None, status: Some(UaStatusCode::BadSensorFailure), ..data_value(Variant::Empty) };
        let (rows, sample) = row_of(bad);
        assert!(rows.value[0].is_nan() && rows.status[0].is_bad());
        for kind in [
            Kind::Real,
            Kind::Signed,
            Kind::Unsigned,
            Kind::Boolean,
            Kind::Enumeration,
            Kind::Text,
            Kind::Time,
            Kind::LocalizedText,
        ] {
            assert_eq!(sample_to_data_value(&sample, kind).value, None);
        }

        let array = Array::new(VariantScalarTypeId::Double, vec![Variant::Double(1.0), Variant::Double(2.0)]).unwrap();
        let (rows, _) = row_of(data_value(Variant::Array(Box::new(array))));
        assert!(rows.value[0].is_nan());
        assert_eq!((rows.text_at(0), rows.status[0]), (Some("[1.0,2.0]"), StatusCode::GOOD));
    }
}
