//! What can go wrong with a file.

/// A file that cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// Not a file of its form, or without what is needed.
    #[error("{0}")]
    Form(String),
}

impl From<parquet::errors::ParquetError> for ExchangeError {
    fn from(error: parquet::errors::ParquetError) -> Self {
        Self::Form(format!("this is no Parquet file that can be read: {error}"))
    }
}

/// A line that holds no sample.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {number}: {reason}")]
pub struct BadLine {
    /// Its number in a CSV file, the head being the first; of its row in a Parquet file, from 1 on.
    pub number: u64,
    /// What is wrong, with the value.
    pub reason: String,
}
