//! Samples as files that other programs read and write: Parquet and CSV, each given back bit for bit. The one room that
//! names `parquet`.
//!
//! A row is a sample with its signal's name: both time stamps, the number, all 64 bits where a double cannot hold them,
//! text, status and marks. Knows nothing of stores.

mod csv;
mod error;
mod line;
mod parquet_read;
mod parquet_sum;
mod parquet_write;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::panic::{AssertUnwindSafe, catch_unwind};

pub use error::{BadLine, ExchangeError};
pub use line::{Line, marks, marks_of};

/// A form of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Text, one sample a line, with a head.
    Csv,
    /// Apache Parquet.
    Parquet,
}

/// Writes samples to a file.
pub enum Writer {
    /// As CSV.
    Csv(csv::Writer<BufWriter<File>>),
    /// As Parquet.
    Parquet(Box<parquet_write::Writer<File>>),
}

impl Writer {
    /// Begins a file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn new(file: File, format: Format) -> Result<Self, ExchangeError> {
        Ok(match format {
            Format::Csv => Self::Csv(csv::Writer::new(BufWriter::new(file))?),
            Format::Parquet => Self::Parquet(Box::new(parquet_write::Writer::new(file)?)),
        })
    }

    /// Appends a sample.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&mut self, line: &Line) -> Result<(), ExchangeError> {
        match self {
            Self::Csv(writer) => writer.write(line),
            Self::Parquet(writer) => writer.write(line),
        }
    }

    /// Ends the file; without it a Parquet file is none.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn finish(self) -> Result<(), ExchangeError> {
        match self {
            Self::Csv(writer) => writer.finish(),
            Self::Parquet(writer) => writer.finish(),
        }
    }
}

/// Reads samples from a file: each, or what is wrong with its line.
pub enum Reader {
    /// From CSV.
    Csv(csv::Reader<BufReader<File>>),
    /// From Parquet.
    Parquet(Box<parquet_read::Reader>),
}

impl Reader {
    /// Begins to read a file.
    ///
    /// # Errors
    /// When it is none of its form, or lacks a column.
    pub fn new(file: File, format: Format) -> Result<Self, ExchangeError> {
        Ok(match format {
            Format::Csv => Self::Csv(csv::Reader::new(BufReader::new(file))?),
            Format::Parquet => Self::Parquet(Box::new(unhurt(|| parquet_read::Reader::new(file))?)),
        })
    }

    /// The next sample, or why its line is none; `None` at the end.
    ///
    /// # Errors
    /// When the file cannot be read any further.
    pub fn line(&mut self) -> Result<Option<Result<Line, BadLine>>, ExchangeError> {
        match self {
            Self::Csv(reader) => reader.line(),
            Self::Parquet(reader) => unhurt(|| reader.line()),
        }
    }
}

/// Runs `work`, and takes a panic of the library for what it is: a damaged file, of which nothing more can be read.
fn unhurt<T>(work: impl FnOnce() -> Result<T, ExchangeError>) -> Result<T, ExchangeError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(ExchangeError::Form("this Parquet file is damaged, and cannot be read any further".to_owned()))
    })
}
