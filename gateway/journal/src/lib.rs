//! The journal: append-only records in files, made durable in groups, read back exactly as they were written.
//!
//! Layout of a data folder's `wal/<first place>.wal`: a head (magic, version, first place), then records, each
//! `length | CRC-32 | kind | place | synced | payload`, little endian. An end that was never durable and does not fit is what
//! a kill or a power cut leaves, and is cut off at the next start; anything else that does not fit is damage, and is told,
//! never skipped. `<data>/wal.mark` says up to where it was durable. Knows nothing of what records mean.

mod codec;
mod columns;
mod file;
mod folder_lock;
mod journal;
mod mark;
mod open;
mod packed;
mod reserve;
mod scan;
#[cfg(test)]
mod tests;
mod verify;

pub use folder_lock::FolderLock;
pub use journal::FileJournal;
pub use reserve::DataDisk;
pub use verify::Verified;
