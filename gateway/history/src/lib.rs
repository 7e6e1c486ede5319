//! The store of record, in sled: sealed samples, the last state of every alarm, checkpoints, ids.
//!
//! The only room that names `sled`, pinned to 0.34.7, which is safe under these rules, each kept in one place:
//!
//! 1. `flush` alone is not durable against a power cut: `kv::Database::flush` follows it with an `fdatasync` of our own.
//! 2. A page must never become a blob (blobs are not synced): `kv` refuses values over 6,000 bytes, so larger ones are
//!    cut into parts (`parts`), and watches that the blob folder stays empty.
//! 3. Never a key for each sample: a signal's samples of some minutes are one chunk (`chunk`).
//! 4. Opening a damaged file can panic or give an older state: it is opened under `catch_unwind`, and a mark outside
//!    (`mark`) tells when what is found is older than what was promised.
//!
//! Layout: `<data>/ctl` (ids, states, checkpoints, control records, the list of buckets), `<data>/ts/<UTC day>` (chunks),
//! `<data>/sealed` (the mark). A bucket is a run of records sealed together; chunks carry the record and row of every
//! sample, so that reading a bucket back gives the very same frames. Knows nothing of the journal.

mod bucket;
mod checkpoint;
mod chunk;
mod kv;
mod mark;
mod parts;
mod slots;
mod store;
#[cfg(test)]
mod tests;

pub use store::SledHistory;
