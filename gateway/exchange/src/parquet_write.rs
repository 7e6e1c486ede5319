//! Writing Parquet.

use std::io::Write;
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int32Type, Int64Type};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

use crate::parquet_sum::{CREATED_BY, KEY, Summing, unknown};
use crate::{ExchangeError, Line};

/// The columns. `int64` and `uint64` hold whole numbers that a double cannot, one or the other.
pub const SCHEMA: &str = "message samples {
    required binary signal (STRING);
    required int64 source_time (TIMESTAMP(NANOS,true));
    required int64 server_time (TIMESTAMP(NANOS,true));
    required double value;
    optional int64 int64;
    optional int64 uint64 (INTEGER(64,false));
    optional binary text (STRING);
    required int32 status (INTEGER(32,false));
    required int32 quality (INTEGER(8,false));
    optional binary locale (STRING);
}";
/// Samples in one row group: some megabytes in memory.
const GROUP_ROWS: usize = 1 << 17;
/// Bytes of text in one row group.
const GROUP_TEXT_BYTES: usize = 32 << 20;

/// Writes Parquet, compressed by Snappy, with a checksum of the whole file.
pub struct Writer<W: Write + Send> {
    file: SerializedFileWriter<Summing<W>>,
    waiting: Vec<Line>,
    text_bytes: usize,
}

impl<W: Write + Send> Writer<W> {
    /// Begins a file.
    pub fn new(out: W) -> Result<Self, ExchangeError> {
        let schema = Arc::new(parse_message_type(SCHEMA)?);
        let program = format!("{CREATED_BY} {}", env!("CARGO_PKG_VERSION"));
        let properties =
            WriterProperties::builder().set_compression(Compression::SNAPPY).set_created_by(program).build();
        let file = SerializedFileWriter::new(Summing::new(out), schema, Arc::new(properties))?;
        Ok(Self { file, waiting: Vec::new(), text_bytes: 0 })
    }

    /// Appends a sample.
    pub fn write(&mut self, line: &Line) -> Result<(), ExchangeError> {
        self.text_bytes += line.text.as_ref().map_or(0, String::len);
        self.waiting.push(line.clone());
        if self.waiting.len() >= GROUP_ROWS || self.text_bytes >= GROUP_TEXT_BYTES { self.group() } else { Ok(()) }
    }

    /// Ends the file.
    pub fn finish(mut self) -> Result<(), ExchangeError> {
        if !self.waiting.is_empty() {
            self.group()?;
        }
        self.file.append_key_value_metadata(KeyValue::new(KEY.to_owned(), unknown()));
        self.file.flush()?;
        self.file.inner_mut().begin_metadata();
        self.file.into_inner()?.finish()
    }

    fn group(&mut self) -> Result<(), ExchangeError> {
        let lines = std::mem::take(&mut self.waiting);
        self.text_bytes = 0;
        let text = |text: &str| ByteArray::from(text.as_bytes().to_vec());
        let whole = |line: &Line| line.exact.zip(line.whole());
        let signed = |line: &Line| whole(line).filter(|(_, whole)| i64::try_from(*whole).is_ok()).map(|(bits, _)| bits);
        let unsigned =
            |line: &Line| whole(line).filter(|(_, whole)| i64::try_from(*whole).is_err()).map(|(bits, _)| bits);
        let mut group = self.file.next_row_group()?;
        each::<ByteArrayType, _>(&mut group, &lines, |line| text(&line.signal))?;
        each::<Int64Type, _>(&mut group, &lines, |line| line.time.ns())?;
        each::<Int64Type, _>(&mut group, &lines, |line| line.server_time.ns())?;
        each::<DoubleType, _>(&mut group, &lines, |line| line.value)?;
        some::<Int64Type, _>(&mut group, &lines, signed)?;
        some::<Int64Type, _>(&mut group, &lines, unsigned)?;
        some::<ByteArrayType, _>(&mut group, &lines, |line| line.text.as_deref().map(text))?;
        each::<Int32Type, _>(&mut group, &lines, |line| line.status.0.cast_signed())?;
        each::<Int32Type, _>(&mut group, &lines, |line| i32::from(line.quality.0))?;
        some::<ByteArrayType, _>(&mut group, &lines, |line| line.locale().map(|locale| text(&locale.to_string())))?;
        group.close()?;
        Ok(())
    }
}

fn each<T: DataType, W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    lines: &[Line],
    value: impl Fn(&Line) -> T::T,
) -> Result<(), ExchangeError> {
    let values: Vec<T::T> = lines.iter().map(value).collect();
    column::<T, W>(group, &values, None)
}

fn some<T: DataType, W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    lines: &[Line],
    value: impl Fn(&Line) -> Option<T::T>,
) -> Result<(), ExchangeError> {
    let (mut values, mut levels) = (Vec::new(), Vec::with_capacity(lines.len()));
    for line in lines {
        let value = value(line);
        levels.push(i16::from(value.is_some()));
        values.extend(value);
    }
    column::<T, W>(group, &values, Some(&levels))
}

fn column<T: DataType, W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    values: &[T::T],
    levels: Option<&[i16]>,
) -> Result<(), ExchangeError> {
    let Some(mut column) = group.next_column()? else { return Ok(()) };
    column.typed::<T>().write_batch(values, levels, None)?;
    column.close()?;
    Ok(())
}
