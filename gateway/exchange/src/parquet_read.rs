//! Reading Parquet: our own files and those of others that have the columns.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::sync::Arc;

use parquet::basic::{ConvertedType, LogicalType, TimeUnit, Type};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, DataType};
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use watchfire_model::{Instant, Locale, Quality, StatusCode};

use crate::line::is_name;
use crate::parquet_sum::verify;
use crate::{BadLine, ExchangeError, Line};

/// Rows decoded at once.
const STEP: usize = 1 << 14;
const NEEDED: [&str; 3] = ["signal", "source_time", "value"];

/// Reads Parquet.
pub struct Reader {
    file: SerializedFileReader<File>,
    places: HashMap<String, usize>,
    group: usize,
    open: Option<Group>,
    ready: VecDeque<Result<Line, BadLine>>,
    number: u64,
    names: HashMap<String, Arc<str>>,
}

/// A column that is being read.
enum Column {
    Int32(ColumnReaderImpl<parquet::data_type::Int32Type>),
    Int64(ColumnReaderImpl<parquet::data_type::Int64Type>, i64),
    Float(ColumnReaderImpl<parquet::data_type::FloatType>),
    Double(ColumnReaderImpl<parquet::data_type::DoubleType>),
    Text(ColumnReaderImpl<parquet::data_type::ByteArrayType>),
}

/// The columns of a row group and how many rows are left.
struct Group {
    columns: HashMap<String, (Column, i16)>,
    left: usize,
}

/// Some rows of a column.
enum Values {
    Int(Vec<Option<i64>>),
    Number(Vec<Option<f64>>),
    Text(Vec<Option<ByteArray>>),
}

impl Reader {
    /// Reads the schema, and all of the file: of ours for its checksum, of one of another make to see that it can be read
    /// to its end and that its pages are those whose checksums it has, so that nothing is taken of what is damaged
    /// further on. Costs as much as reading it does; holds a few thousand values at a time.
    pub fn new(file: File) -> Result<Self, ExchangeError> {
        let mut whole = file.try_clone()?;
        let file = SerializedFileReader::new(file)?;
        let is_whole = verify(&mut whole)?;
        let schema = file.metadata().file_metadata().schema_descr_ptr();
        let columns = schema.columns().iter().enumerate();
        let places: HashMap<String, usize> = columns.map(|(at, column)| (column.path().string(), at)).collect();
        for needed in NEEDED {
            if !places.contains_key(needed) {
                let there = schema.columns().iter().map(|column| column.path().string()).collect::<Vec<_>>().join(", ");
                return Err(ExchangeError::Form(format!("there is no column `{needed}`, but {there}")));
            }
        }
        let reader =
            Self { file, places, group: 0, open: None, ready: VecDeque::new(), number: 0, names: HashMap::new() };
        if !is_whole {
            (0..reader.file.num_row_groups()).try_for_each(|number| reader.begin(number)?.read_to_end())?;
        }
        Ok(reader)
    }

    /// The next sample, or why its row is none.
    pub fn line(&mut self) -> Result<Option<Result<Line, BadLine>>, ExchangeError> {
        while self.ready.is_empty() {
            if self.open.as_ref().is_none_or(|group| group.left == 0) {
                if self.group >= self.file.num_row_groups() {
                    return Ok(None);
                }
                self.open = Some(self.begin(self.group)?);
                self.group += 1;
            }
            self.step()?;
        }
        Ok(self.ready.pop_front())
    }

    fn begin(&self, number: usize) -> Result<Group, ExchangeError> {
        let group = self.file.get_row_group(number)?;
        let mut columns = HashMap::new();
        for (name, at) in &self.places {
            if let Some(column) = column(&*group, *at, name).map_err(|error| error.in_column(name))? {
                let levels = group.metadata().column(*at).column_descr().max_def_level();
                columns.insert(name.clone(), (column, levels));
            }
        }
        let left = usize::try_from(group.metadata().num_rows())
            .map_err(|_| ExchangeError::Form("a row group has fewer than no rows".to_owned()))?;
        Ok(Group { columns, left })
    }

    fn step(&mut self) -> Result<(), ExchangeError> {
        let Some(group) = &mut self.open else { return Ok(()) };
        let rows = group.left.min(STEP);
        group.left -= rows;
        let mut read = HashMap::new();
        for (name, (column, levels)) in &mut group.columns {
            let values = column.read(rows, *levels).map_err(|error| error.in_column(name))?;
            read.insert(name.clone(), values);
        }
        for row in 0..rows {
            self.number += 1;
            let number = self.number;
            let line = line(&read, row, &mut self.names);
            self.ready.push_back(line.map_err(|reason| BadLine { number, reason }));
        }
        Ok(())
    }
}

impl Group {
    /// Reads each column and keeps nothing.
    fn read_to_end(mut self) -> Result<(), ExchangeError> {
        for (name, (column, levels)) in &mut self.columns {
            let mut left = self.left;
            while left > 0 {
                let rows = left.min(STEP);
                column.read(rows, *levels).map_err(|error| error.in_column(name))?;
                left -= rows;
            }
        }
        Ok(())
    }
}

/// The reader of a column that is ours; others are left alone.
fn column(group: &dyn RowGroupReader, at: usize, name: &str) -> Result<Option<Column>, ExchangeError> {
    let wanted = match name {
        "signal" | "text" | "locale" => &[Type::BYTE_ARRAY][..],
        "source_time" | "server_time" | "int64" | "uint64" => &[Type::INT64],
        "value" => &[Type::DOUBLE, Type::FLOAT, Type::INT64, Type::INT32],
        "status" | "quality" => &[Type::INT32, Type::INT64],
        _ => return Ok(None),
    };
    let descr = group.metadata().column(at).column_descr_ptr();
    let physical = descr.physical_type();
    if !wanted.contains(&physical) || descr.max_rep_level() > 0 {
        return Err(ExchangeError::Form(format!("column `{name}` is {physical}, but {wanted:?} is needed")));
    }
    // Older writers name the unit by the converted type alone.
    let unit_ns = match (descr.logical_type_ref(), descr.converted_type()) {
        (Some(LogicalType::Timestamp(stamp)), _) => match stamp.unit {
            TimeUnit::MILLIS => 1_000_000,
            TimeUnit::MICROS => 1_000,
            TimeUnit::NANOS => 1,
        },
        (_, ConvertedType::TIMESTAMP_MILLIS) => 1_000_000,
        (_, ConvertedType::TIMESTAMP_MICROS) => 1_000,
        _ if name.ends_with("_time") => {
            let why = "is a number that does not say what it counts: it must be a TIMESTAMP, of any unit";
            return Err(ExchangeError::Form(format!("column `{name}` {why}")));
        }
        _ => 1,
    };
    Ok(match group.get_column_reader(at)? {
        ColumnReader::Int32ColumnReader(reader) => Some(Column::Int32(reader)),
        ColumnReader::Int64ColumnReader(reader) => Some(Column::Int64(reader, unit_ns)),
        ColumnReader::FloatColumnReader(reader) => Some(Column::Float(reader)),
        ColumnReader::DoubleColumnReader(reader) => Some(Column::Double(reader)),
        ColumnReader::ByteArrayColumnReader(reader) => Some(Column::Text(reader)),
        _ => None,
    })
}

impl Column {
    fn read(&mut self, rows: usize, levels: i16) -> Result<Values, ExchangeError> {
        Ok(match self {
            Self::Int32(reader) => Values::Int(map(read(reader, rows, levels)?, i64::from)),
            Self::Int64(reader, unit_ns) => {
                let read = read(reader, rows, levels)?;
                // What does not fit counts as missing, and is told.
                Values::Int(read.into_iter().map(|value| value?.checked_mul(*unit_ns)).collect())
            }
            Self::Float(reader) => Values::Number(map(read(reader, rows, levels)?, f64::from)),
            Self::Double(reader) => Values::Number(read(reader, rows, levels)?),
            Self::Text(reader) => Values::Text(read(reader, rows, levels)?),
        })
    }
}

fn map<A, B>(values: Vec<Option<A>>, with: impl Fn(A) -> B) -> Vec<Option<B>> {
    values.into_iter().map(|value| value.map(&with)).collect()
}

fn read<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    rows: usize,
    max_level: i16,
) -> Result<Vec<Option<T::T>>, ExchangeError> {
    let (mut values, mut levels) = (Vec::with_capacity(rows), Vec::new());
    let mut done = 0;
    while done < rows {
        let (records, ..) = reader.read_records(rows - done, Some(&mut levels), None, &mut values)?;
        if records == 0 {
            return Err(ExchangeError::Form("a column has fewer rows than it says".to_owned()));
        }
        done += records;
    }
    if max_level == 0 {
        return Ok(values.into_iter().map(Some).collect());
    }
    let mut values = values.into_iter();
    Ok(levels.iter().map(|level| if *level == max_level { values.next() } else { None }).collect())
}

fn line(read: &HashMap<String, Values>, row: usize, names: &mut HashMap<String, Arc<str>>) -> Result<Line, String> {
    let text_of =
        |name: &str| match read.get(name) {
            Some(Values::Text(values)) => values.get(row).cloned().flatten().map(|bytes| {
                str::from_utf8(bytes.data()).map(str::to_owned).map_err(|_| format!("`{name}` is not UTF-8"))
            }),
            _ => None,
        };
    let int = |name: &str| match read.get(name) {
        Some(Values::Int(values)) => values.get(row).copied().flatten(),
        _ => None,
    };
    let signal = text_of("signal").transpose()?.filter(|name| !name.is_empty()).ok_or("`signal` is missing")?;
    let time = int("source_time").ok_or("`source_time` is missing, or beyond the years 1678 to 2262")?;
    let text = text_of("text").transpose()?;
    let (signed, unsigned) = (int("int64"), int("uint64"));
    let value = match read.get("value") {
        Some(Values::Number(values)) => values.get(row).copied().flatten(),
        #[expect(clippy::cast_precision_loss, reason = "all bits are kept beside it")]
        Some(Values::Int(values)) => values.get(row).copied().flatten().map(|value| value as f64),
        _ => None,
    };
    let value = match value {
        Some(value) => value,
        None if text.is_some() => f64::NAN,
        None => return Err("`value` is missing, and there is no `text`".to_owned()),
    };
    let locale = text_of("locale").transpose()?.as_deref().and_then(Locale::parse);
    let exact = signed.or(unsigned).or(text.as_ref().and(locale.map(Locale::bits)));
    let status = int("status").unwrap_or_default();
    // Unsigned numbers of 32 bits come as signed ones.
    let status = u32::try_from(status).or_else(|_| i32::try_from(status).map(i32::cast_unsigned));
    let quality = int("quality").unwrap_or_default();
    let quality = u8::try_from(quality).map_err(|_| format!("`quality` is `{quality}`, which is no set of marks"))?;
    if !is_name(&signal) {
        return Err(format!("`{signal}` is no name of a signal; names read `source/name`"));
    }
    let signal = match names.get(&signal) {
        Some(known) => known.clone(),
        None => {
            let name: Arc<str> = signal.as_str().into();
            names.insert(signal, name.clone());
            name
        }
    };
    Line {
        signal,
        time: Instant::from_ns(time),
        server_time: Instant::from_ns(int("server_time").unwrap_or(time)),
        value,
        exact,
        text,
        status: StatusCode(status.map_err(|_| "`status` is no StatusCode".to_owned())?),
        quality: Quality(quality),
    }
    .sound()
}
