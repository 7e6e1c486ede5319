//! What is written is read back bit for bit, and what is bad is told with its number.

mod page_checksums;

use std::fs::File;
use std::io::Write;
use std::sync::Arc;

use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int32Type, Int64Type};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use proptest::prelude::*;
use watchfire_model::{Instant, Locale, Quality, StatusCode};

use crate::{BadLine, ExchangeError, Format, Line, Reader, Writer};

fn line(signal: &str, time: i64, value: f64) -> Line {
    Line {
        signal: signal.into(),
        time: Instant::from_ns(time),
        server_time: Instant::from_ns(time),
        value,
        exact: None,
        text: None,
        status: StatusCode::GOOD,
        quality: Quality::NONE,
    }
}

/// Everything odd that a sample may be.
fn odd() -> Vec<Line> {
    let values =
        [0.1 + 0.2, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 5e-324, f64::MAX, 9_007_199_254_740_993.0];
    let mut lines: Vec<Line> =
        (0_i64..).zip(values).map(|(at, value)| line("press/oil", at * 1_000_003, value)).collect();
    for (bits, value) in [(i64::MIN, -9.2e18), (i64::MAX, 9.2e18), (-1, u64::MAX as f64), (-5, -5.0), (3, f64::NAN)] {
        lines.push(Line { exact: Some(bits), quality: Quality::ROUNDED, ..line("press/count", 9, value) });
    }
    for text in ["", "a, \"b\"\nc\r\n", "Größe \u{1f525}", " spaced "] {
        lines.push(Line { text: Some(text.to_owned()), ..line("a \"b\", c/d", -7, f64::NAN) });
    }
    let locale = Locale::parse("zh-Hant-TW").map(Locale::bits);
    lines.push(Line { exact: locale, text: Some("幫浦".to_owned()), ..line("press/state", 9, f64::NAN) });
    lines.push(Line {
        server_time: Instant::MAX,
        status: StatusCode(0x8031_0000),
        quality: Quality(!Quality::GAP.0),
        ..line("press/oil", i64::MIN, 1.0)
    });
    lines.push(Line {
        server_time: Instant::from_s(3600),
        status: StatusCode::BAD_DATA_LOST,
        quality: Quality::GAP,
        ..line("press/oil", 0, f64::NAN)
    });
    lines
}

fn written(lines: &[Line], format: Format) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut writer = Writer::new(file.reopen().unwrap(), format).unwrap();
    lines.iter().for_each(|line| writer.write(line).unwrap());
    writer.finish().unwrap();
    file
}

fn read(file: File, format: Format) -> Vec<Result<Line, BadLine>> {
    let mut reader = Reader::new(file, format).unwrap();
    let mut lines = Vec::new();
    while let Some(line) = reader.line().unwrap() {
        lines.push(line);
    }
    lines
}

fn round_trip(lines: &[Line], format: Format) {
    let read = read(written(lines, format).reopen().unwrap(), format);
    assert_eq!(read.len(), lines.len());
    for (read, line) in read.into_iter().zip(lines) {
        let read = read.unwrap();
        assert!(read.is_same(line), "{read:?} is not {line:?}");
    }
}

#[test]
fn whatever_a_sample_is_it_comes_back_bit_for_bit() {
    for format in [Format::Csv, Format::Parquet] {
        round_trip(&odd(), format);
        round_trip(&[], format);
    }
}

#[test]
fn more_than_one_row_group_comes_back() {
    let lines: Vec<Line> = (0..300_000).map(|n| line("a/b", n * 250_000_000, n as f64 / 8.0)).collect();
    round_trip(&lines, Format::Parquet);
}

#[test]
fn a_gap_with_a_value_or_without_an_end_is_no_line() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let text = "signal,source_time,server_time,value,status,quality\n\
                a/b,2026-03-01T12:00:00Z,2026-03-01T13:00:00Z,NaN,0x809D0000,gap\n\
                a/b,2026-03-01T12:00:00Z,2026-03-01T13:00:00Z,5,0x809D0000,gap+late\n\
                a/b,2026-03-01T12:00:00Z,2026-03-01T12:00:00Z,NaN,0x809D0000,gap\n\
                a/b,2026-03-01T12:00:00Z,,NaN,0x809D0000,gap\n";
    file.write_all(text.as_bytes()).unwrap();
    let csv = read(file.reopen().unwrap(), Format::Csv);
    let good = csv.first().unwrap().clone().unwrap();
    assert_eq!((good.quality, good.skew_ns()), (Quality::GAP, 3_600_000_000_000));
    let reason = |line: &Result<Line, BadLine>| line.as_ref().unwrap_err().reason.clone();
    assert!(reason(&csv[1]).contains("values are missing, but it has one"), "{csv:?}");
    assert!(csv[2..].iter().all(|line| reason(line).contains("does not lie after 2026-03-01T12:00:00Z")), "{csv:?}");
    let lines = [Line { value: 5.0, ..good.clone() }, Line { server_time: good.time, ..good.clone() }, good];
    let parquet = read(written(&lines, Format::Parquet).reopen().unwrap(), Format::Parquet);
    assert_eq!(parquet.iter().map(Result::is_ok).collect::<Vec<_>>(), [false, false, true]);
}

#[test]
fn bad_lines_are_told_with_their_number_and_the_others_are_read() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let text = "\u{feff}value,signal,source_time,status,text\r\n\
                1.5,a/b,2026-03-01T12:00:00Z,,\r\n\
                \r\n\
                x,a/b,2026-03-01,,\n\
                2,a/b,yesterday,,\n\
                2,,2026-03-01,,\n\
                2,level,2026-03-01,,\n\
                ,a/b,2026-03-01,,\n\
                ,a/b,2026-03-01,,\"two\nlines\"\n\
                2,a/b,2026-03-01,bad,\n\
                2,a/b,2026-03-01,2150891520,\"x\"y\n\
                3,a/b,2026-03-01,0x80000000,\n\
                4,a/b,2026-03-01,,\"open\n";
    file.write_all(text.as_bytes()).unwrap();
    let read = read(file.reopen().unwrap(), Format::Csv);
    let bad: Vec<(u64, String)> =
        read.iter().filter_map(|line| line.clone().err()).map(|bad| (bad.number, bad.reason)).collect();
    let numbers: Vec<u64> = bad.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, [4, 5, 6, 7, 8, 11, 12, 14], "{bad:?}");
    for ((_, reason), word) in
        bad.iter().zip(["`x`", "yesterday", "`signal`", "`level`", "no `text`", "`bad`", "`y`", "quote"])
    {
        assert!(reason.contains(word), "{reason}");
    }
    let good: Vec<Line> = read.into_iter().filter_map(Result::ok).collect();
    assert_eq!(good.len(), 3);
    assert_eq!((good[0].value, good[0].time), (1.5, Instant::parse("2026-03-01T12:00:00Z").unwrap()));
    assert_eq!((good[1].text.as_deref(), good[2].status), (Some("two\nlines"), StatusCode(0x8000_0000)));
}

const CUT: &str = "line 3: the file ends within it; it was cut short";

#[test]
fn a_line_with_a_decimal_comma_and_one_that_was_cut_short_are_not_taken_for_other_values() {
    let told = |text: &str| {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let lines = read(file.reopen().unwrap(), Format::Csv);
        let reasons =
            lines.into_iter().map(|line| line.map_or_else(|bad| bad.to_string(), |line| line.value.to_string()));
        reasons.collect::<Vec<_>>()
    };
    let comma = "line 2: it has 4 fields, but there are 3 columns; numbers have a decimal point, and a text with a comma stands \
                 in quotes";
    assert_eq!(told("signal,source_time,value\na/b,2026-03-01,5,6\na/b,2026-03-02,5.6"), [comma, "5.6"]);
    // A spreadsheet pads every line with commas to the widest of its sheet.
    let padded = "signal,source_time,value,,\na/b,2026-03-01,5,,\n,,,,\na/b,2026-03-02,5,6,\na/b,2026-03-03,5.6, ,,,\n";
    assert_eq!(told(padded), ["5", &comma.replace("line 2", "line 4"), "5.6"]);
    assert_eq!(told("signal,source_time,value,,\na/b,2026-03-01,5.6"), [CUT.replace("line 3", "line 2")]);
    // The rest of 54.23 is gone, and with it what it was worth.
    let head = "signal,source_time,value,status";
    let cut = CUT;
    assert_eq!(told(&format!("{head}\na/b,2026-03-01,54.23\na/b,2026-03-02,54.2")), ["54.23", cut]);
    assert_eq!(told(&format!("{head}\na/b,2026-03-01,54.23,\na/b,2026-03-02,54.2,0x80000000")), ["54.23", "54.2"]);
}

/// A Parquet file of another make, in which everything may be missing: signal, milliseconds, value, quality.
type Row = (Option<&'static str>, Option<i64>, Option<f64>, Option<i32>);

fn of_another_make(rows: &[Row]) -> tempfile::NamedTempFile {
    made_with("(TIMESTAMP(MILLIS,true))", rows)
}

/// The same, with times of this type.
fn made_with(stamp: &str, rows: &[Row]) -> tempfile::NamedTempFile {
    let schema = format!(
        "message others {{
            optional binary signal (STRING);
            optional int64 source_time {stamp};
            optional double value;
            optional int32 quality;
        }}"
    );
    fn column<T: DataType>(group: &mut SerializedRowGroupWriter<'_, File>, values: Vec<Option<T::T>>) {
        let levels: Vec<i16> = values.iter().map(|value| i16::from(value.is_some())).collect();
        let values: Vec<T::T> = values.into_iter().flatten().collect();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<T>().write_batch(&values, Some(&levels), None).unwrap();
        column.close().unwrap();
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    let schema = Arc::new(parse_message_type(&schema).unwrap());
    let mut writer = SerializedFileWriter::new(file.reopen().unwrap(), schema, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    column::<ByteArrayType>(&mut group, rows.iter().map(|row| row.0.map(ByteArray::from)).collect());
    column::<Int64Type>(&mut group, rows.iter().map(|row| row.1).collect());
    column::<DoubleType>(&mut group, rows.iter().map(|row| row.2).collect());
    column::<Int32Type>(&mut group, rows.iter().map(|row| row.3).collect());
    group.close().unwrap();
    writer.close().unwrap();
    file
}

#[test]
fn bad_rows_of_parquet_are_told_with_their_number_and_the_others_are_read() {
    let file = of_another_make(&[
        (Some("a/b"), Some(1), Some(1.5), None),
        (None, Some(2), Some(2.0), None),
        (Some("level"), Some(3), Some(2.0), None),
        (Some("a/b"), None, Some(2.0), None),
        (Some("a/b"), Some(i64::MAX), Some(2.0), None),
        (Some("a/b"), Some(4), None, None),
        (Some("a/b"), Some(5), Some(2.0), Some(300)),
        (Some("a/b"), Some(6), Some(2.5), Some(1)),
    ]);
    let read = read(file.reopen().unwrap(), Format::Parquet);
    let bad: Vec<BadLine> = read.iter().filter_map(|line| line.clone().err()).collect();
    assert_eq!(bad.iter().map(|bad| bad.number).collect::<Vec<_>>(), [2, 3, 4, 5, 6, 7], "{bad:?}");
    let words = ["`signal`", "`level`", "`source_time`", "1678", "`value`", "`300`"];
    assert!(bad.iter().zip(words).all(|(bad, word)| bad.reason.contains(word)), "{bad:?}");
    let good: Vec<(i64, f64)> = read.into_iter().flatten().map(|line| (line.time.ns(), line.value)).collect();
    assert_eq!(good, [(1_000_000, 1.5), (6_000_000, 2.5)]);
}

#[test]
fn times_of_parquet_have_the_unit_that_their_column_names_in_either_way_or_are_refused() {
    let rows = [(Some("a/b"), Some(1_000), Some(1.5), None)];
    for (stamp, ns) in [
        ("(TIMESTAMP_MILLIS)", 1_000_000_000),
        ("(TIMESTAMP_MICROS)", 1_000_000),
        ("(TIMESTAMP(MICROS,true))", 1_000_000),
        ("(TIMESTAMP(NANOS,true))", 1_000),
    ] {
        let read = read(made_with(stamp, &rows).reopen().unwrap(), Format::Parquet);
        assert_eq!(read.into_iter().map(|line| line.unwrap().time.ns()).collect::<Vec<_>>(), [ns], "{stamp}");
    }
    let none = made_with("", &rows);
    let refused = Reader::new(none.reopen().unwrap(), Format::Parquet).map(drop).unwrap_err().to_string();
    assert!(refused.contains("`source_time`") && refused.contains("TIMESTAMP"), "{refused}");
}

#[test]
fn a_parquet_file_of_ours_with_any_bit_flipped_is_refused_in_words() {
    let file = written(&odd(), Format::Parquet);
    let bytes = std::fs::read(file.path()).unwrap();
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        std::fs::write(file.path(), flipped).unwrap();
        let Err(refused) = Reader::new(file.reopen().unwrap(), Format::Parquet) else {
            panic!("byte {at} is believed")
        };
        assert!(refused.to_string().contains("Parquet file"), "byte {at}: {refused}");
    }
    // What the metadata alone would not show.
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 4] ^= 1;
    std::fs::write(file.path(), flipped).unwrap();
    let refused = Reader::new(file.reopen().unwrap(), Format::Parquet).map(drop).unwrap_err().to_string();
    assert!(refused.contains("is damaged: its checksum is"), "{refused}");
}

#[test]
fn a_checksum_that_looks_like_what_a_file_holds_is_found() {
    let zeros = "0".repeat(64);
    let lines = [line("a/b", 1, 1.0), Line { text: Some(zeros.clone()), ..line(&format!("a/{zeros}"), 2, f64::NAN) }];
    round_trip(&lines, Format::Parquet);
}

#[test]
fn a_parquet_file_of_others_with_any_bit_flipped_is_read_or_refused_in_words() {
    let file =
        of_another_make(&[(Some("a/b"), Some(1), Some(1.5), Some(1)), (Some("a/b"), Some(6), Some(2.5), Some(1))]);
    let bytes = std::fs::read(file.path()).unwrap();
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        std::fs::write(file.path(), flipped).unwrap();
        let open = file.reopen().unwrap();
        let Ok(mut reader) = Reader::new(open, Format::Parquet) else { continue };
        // Up to its end, or to what cannot be read.
        let mut lines = 0;
        while let Ok(Some(_)) = reader.line() {
            lines += 1;
            assert!(lines < 1_000_000, "byte {at}: it has no end");
        }
    }
}

#[test]
fn files_that_are_none_are_refused_with_what_is_missing() {
    let refused = |text: &str, format| {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let refused = Reader::new(file.reopen().unwrap(), format);
        let Err(ExchangeError::Form(reason)) = refused.map(|_| ()) else { panic!("{text} is read") };
        reason
    };
    for (head, reason) in [
        ("signal,value\n", "there is no column `source_time`; the first line may name signal,source_time"),
        ("", "the file is empty"),
        (
            "signal;source_time;value\n",
            "`signal;source_time;value`; columns have a `,` between them; there are signal,",
        ),
        (
            "signal,source_time,value,Status\n",
            "no such column as `Status`; take it out, or give it the name that is meant",
        ),
        ("signal,source_time,value,value\n", "the column `value` is there twice; take one out"),
        ("PAR1\"\n", "its first line names no columns: a quote is never closed"),
    ] {
        let refused = refused(head, Format::Csv);
        assert!(refused.contains(reason), "{head}: {refused}");
    }
    assert!(refused("signal,source_time,value\n", Format::Parquet).contains("Parquet"));
    let cut = written(&odd(), Format::Parquet);
    let bytes = std::fs::read(cut.path()).unwrap();
    for at in (0..bytes.len()).step_by(97) {
        std::fs::write(cut.path(), &bytes[..at]).unwrap();
        assert!(Reader::new(cut.reopen().unwrap(), Format::Parquet).is_err(), "cut at {at}");
    }
}

#[test]
fn the_locale_of_a_text_is_a_column_of_its_own_and_no_number() {
    let german = Line {
        exact: Locale::parse("de").map(Locale::bits),
        text: Some("Pumpe".to_owned()),
        ..line("press/state", 0, f64::NAN)
    };
    let csv = std::fs::read_to_string(written(&[german], Format::Csv).path()).unwrap();
    assert!(csv.ends_with(",NaN,,\"Pumpe\",0x00000000,,de\n"), "{csv}");
    let of_others = "signal,source_time,value,text,locale\n\
        a/b,2026-03-01T00:00:00Z,,Pumpe,de\na/b,2026-03-01T00:00:00Z,1,,de\na/b,2026-03-01T00:00:00Z,,Pumpe,\n";
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(of_others.as_bytes()).unwrap();
    let mut reader = Reader::new(file.reopen().unwrap(), Format::Csv).unwrap();
    let read = std::iter::from_fn(|| reader.line().unwrap()).map(|line| line.unwrap().locale());
    let locales: Vec<_> = read.map(|locale| locale.map(|locale| locale.to_string())).collect();
    assert_eq!(locales, [Some("de".to_owned()), None, None], "a number has none");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_samples_come_back(samples in prop::collection::vec((any::<i64>(), any::<i64>(), any::<f64>(), any::<Option<String>>(), any::<u32>(), any::<u8>(), any::<Option<i64>>()), 0..40)) {
        let lines: Vec<Line> = samples.into_iter().map(|(time, server_time, value, text, status, quality, exact)| Line {
            signal: Arc::from("a/b"), time: Instant::from_ns(time), server_time: Instant::from_ns(server_time), value,
            exact, text, status: StatusCode(status), quality: Quality(quality & !Quality::GAP.0),
        }).collect();
        for format in [Format::Csv, Format::Parquet] {
            round_trip(&lines, format);
        }
    }
}
