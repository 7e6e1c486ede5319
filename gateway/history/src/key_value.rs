//! What the store of record asks of a database of keys and values. `store` answers with sled, tests also with redb:
//! both must answer the same.

use std::path::Path;

use watchfire_pipeline::PortError;

/// The longest value.
pub const VALUE_BYTES_MAX: usize = 6_000;
/// The longest key.
pub const KEY_BYTES_MAX: usize = 1_024;

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// A change.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Sets a key.
    Put(Vec<u8>, Vec<u8>),
    /// Removes a key.
    Remove(Vec<u8>),
}

/// Changes of which a kill leaves all or none, up to 500 of them.
pub type Group = Vec<Change>;

/// A database: keys in their order, changed by groups, durable when committed. Any number may read while one writes.
pub trait KeyValue {
    /// Where its files lie, for messages.
    fn folder(&self) -> &Path;

    /// The value of a key.
    ///
    /// # Errors
    /// When the database fails.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, PortError>;

    /// The last pair whose key is at or before `key`.
    ///
    /// # Errors
    /// When the database fails.
    fn at_or_before(&self, key: &[u8]) -> Result<Option<Pair>, PortError>;

    /// The first pair whose key is at or after `key`.
    ///
    /// # Errors
    /// When the database fails.
    fn at_or_after(&self, key: &[u8]) -> Result<Option<Pair>, PortError>;

    /// Pairs whose keys lie in `first..=last`, in order, `most` of them; none where `last` lies before `first`.
    ///
    /// # Errors
    /// When the database fails.
    fn range(&self, first: &[u8], last: &[u8], most: usize) -> Result<Vec<Pair>, PortError>;

    /// Applies groups of changes in their order. Not durable until [`KeyValue::commit`].
    ///
    /// # Errors
    /// When a key or a value is too long, then nothing is changed; when the database fails.
    fn write(&self, groups: Vec<Group>) -> Result<(), PortError>;

    /// Adds pairs whose keys are new, in the order of their keys, with as little to write as the database can. No group: a
    /// kill leaves any of them, also keys without what belongs to them. Not durable until [`KeyValue::commit`].
    ///
    /// # Errors
    /// When a key or a value is too long, then nothing is changed; when the database fails.
    fn lay(&self, pairs: Vec<Pair>) -> Result<(), PortError>;

    /// Makes everything written so far durable, also against a power cut.
    ///
    /// # Errors
    /// When the database fails.
    fn commit(&self) -> Result<(), PortError>;
}
