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

/// How the library says that a page is not the one whose checksum its head has.
const OTHER_PAGE: &str = "CRC checksum mismatch";

impl ExchangeError {
    /// Names the column in which a Parquet file cannot be read.
    pub(crate) fn in_column(self, name: &str) -> Self {
        match self {
            Self::Form(reason) if reason.contains(OTHER_PAGE) => Self::Form(format!(
                "this Parquet file is damaged in column `{name}`: a page does not have its checksum (CRC-32); nothing is taken of it, copy or export it again"
            )),
            Self::Form(reason) if !reason.contains(&format!("column `{name}`")) => {
                Self::Form(format!("column `{name}`: {reason}"))
            }
            other => other,
        }
    }
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
