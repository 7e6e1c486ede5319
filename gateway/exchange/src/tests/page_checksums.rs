//! Files of other makers whose pages have checksums: a damaged page is found before anything of the file is read. The
//! library writes no such checksums, so they are put into what it wrote.

use std::io::Write;
use std::ops::Range;
use std::sync::Arc;

use parquet::column::writer::ColumnCloseResult;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;

use super::{Row, of_another_make, read};
use crate::{Format, Reader};

/// CRC-32 as gzip has it, which is what the pages have.
fn crc_32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| if sum & 1 == 1 { (sum >> 1) ^ 0xEDB8_8320 } else { sum >> 1 })
    })
}

/// A number of Thrift's compact protocol and how many bytes it takes.
fn varint(bytes: &[u8]) -> (u64, usize) {
    let length = bytes.iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
    (bytes[..length].iter().rev().fold(0, |number, byte| (number << 7) | u64::from(byte & 0x7f)), length)
}

/// The end of a field of a head, of a type that can be skipped by reading on.
fn end_of_field(bytes: &[u8], kind: u8, at: usize) -> usize {
    match kind {
        1 | 2 => at,
        4..=6 => at + varint(&bytes[at..]).1,
        8 => {
            let (length, own) = varint(&bytes[at..]);
            at + own + usize::try_from(length).unwrap()
        }
        12 => end_of_struct(bytes, at),
        other => panic!("no page's head has type {other}"),
    }
}

fn end_of_struct(bytes: &[u8], mut at: usize) -> usize {
    while bytes[at] != 0 {
        assert!(bytes[at] >> 4 != 0, "a page's head has no field that is far from the one before");
        at = end_of_field(bytes, bytes[at] & 0xf, at + 1);
    }
    at + 1
}

/// A column chunk with a checksum in each head of a page, and how much longer its first page became.
fn with_checksums(chunk: &[u8]) -> (Vec<u8>, usize) {
    let (mut out, mut at, mut first) = (Vec::new(), 0, None);
    while at < chunk.len() {
        // Type of page, bytes when decompressed, bytes.
        let mut fields = at;
        for _ in 0..3 {
            assert_eq!(chunk[fields], 0x15, "three numbers come first");
            fields = end_of_field(chunk, 5, fields + 1);
        }
        let head = end_of_struct(chunk, fields);
        let (_, own) = varint(&chunk[at + 1..]);
        let (_, own_2) = varint(&chunk[at + 2 + own..]);
        let bytes = usize::try_from(varint(&chunk[at + 3 + own + own_2..]).0 / 2).unwrap();
        let page = &chunk[head..head + bytes];
        out.extend_from_slice(&chunk[at..fields]);
        let signed = crc_32(page).cast_signed();
        let mut zigzag = ((signed << 1) ^ (signed >> 31)).cast_unsigned();
        out.push(0x15);
        while zigzag > 0x7f {
            out.push(0x80 | (zigzag & 0x7f) as u8);
            zigzag >>= 7;
        }
        out.push(zigzag as u8);
        // The next field is one nearer to the one before it.
        out.push(chunk[fields] - 0x10);
        out.extend_from_slice(&chunk[fields + 1..head]);
        out.extend_from_slice(page);
        at = head + bytes;
        first.get_or_insert(out.len() - at);
    }
    (out, first.unwrap())
}

/// A file with two row groups whose pages have checksums; where the pages of each of its columns lie.
fn checked(rows: &[Row]) -> (tempfile::NamedTempFile, Vec<(String, Range<usize>)>) {
    let plain = of_another_make(rows);
    let bytes = std::fs::read(plain.path()).unwrap();
    let from = SerializedFileReader::new(plain.reopen().unwrap()).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    let schema = from.metadata().file_metadata().schema_descr().root_schema_ptr();
    let mut writer = SerializedFileWriter::new(file.reopen().unwrap(), schema, Arc::default()).unwrap();
    let mut pages = Vec::new();
    for _ in 0..2 {
        let mut group = writer.next_row_group().unwrap();
        for column in from.metadata().row_group(0).columns() {
            let (start, length) = column.byte_range();
            let (start, length) = (usize::try_from(start).unwrap(), usize::try_from(length).unwrap());
            let (chunk, first) = with_checksums(&bytes[start..start + length]);
            let mut alone = tempfile::tempfile().unwrap();
            alone.write_all(&chunk).unwrap();
            let dictionary = column.dictionary_page_offset();
            let metadata = column.clone().into_builder();
            let data_page = dictionary
                .map_or(0, |dictionary| column.data_page_offset() - dictionary + i64::try_from(first).unwrap());
            let metadata = metadata
                .set_total_compressed_size(i64::try_from(chunk.len()).unwrap())
                .set_dictionary_page_offset(dictionary.map(|_| 0))
                .set_data_page_offset(data_page)
                .set_column_index_offset(None)
                .set_column_index_length(None)
                .set_offset_index_offset(None)
                .set_offset_index_length(None)
                .build()
                .unwrap();
            let close = ColumnCloseResult {
                bytes_written: chunk.len() as u64,
                rows_written: rows.len() as u64,
                metadata,
                bloom_filter: None,
                column_index: None,
                offset_index: None,
            };
            group.append_column(&alone, close).unwrap();
        }
        group.close().unwrap();
    }
    writer.close().unwrap();
    let bytes = std::fs::read(file.path()).unwrap();
    let from = SerializedFileReader::new(file.reopen().unwrap()).unwrap();
    for column in from.metadata().row_groups().iter().flat_map(|group| group.columns()) {
        let (start, length) = column.byte_range();
        let (start, length) = (usize::try_from(start).unwrap(), usize::try_from(length).unwrap());
        pages.extend(pages_of(&bytes[..start + length], start).map(|page| (column.column_path().string(), page)));
    }
    (file, pages)
}

/// Where the pages lie, whose heads have a checksum.
fn pages_of(bytes: &[u8], mut at: usize) -> impl Iterator<Item = Range<usize>> {
    std::iter::from_fn(move || {
        (at < bytes.len()).then(|| {
            let third = (0..2).fold(at, |at, _| end_of_field(bytes, 5, at + 1));
            let length = usize::try_from(varint(&bytes[third + 1..]).0 / 2).unwrap();
            let begin = end_of_struct(bytes, at);
            at = begin + length;
            begin..at
        })
    })
}

#[test]
fn a_bit_flipped_in_any_page_with_a_checksum_is_refused_with_its_column_before_anything_is_read() {
    let rows: Vec<Row> = (0..40).map(|n| (Some("a/b"), Some(n), Some(n as f64 / 8.0), Some(1))).collect();
    let (file, pages) = checked(&rows);
    let whole = read(file.reopen().unwrap(), Format::Parquet);
    assert_eq!(whole.len(), 80);
    assert!(whole.iter().all(Result::is_ok), "what is whole is read");
    let bytes = std::fs::read(file.path()).unwrap();
    for name in ["signal", "source_time", "value", "quality"] {
        assert!(pages.iter().filter(|(column, _)| column == name).count() >= 2, "{name}: {pages:?}");
    }
    for (column, page) in &pages {
        for at in page.clone() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            std::fs::write(file.path(), flipped).unwrap();
            let Err(refused) = Reader::new(file.reopen().unwrap(), Format::Parquet) else {
                panic!("byte {at} of `{column}` is believed")
            };
            let told = refused.to_string();
            assert!(told.contains(&format!("`{column}`")) && told.contains("checksum"), "byte {at}: {told}");
        }
    }
}
