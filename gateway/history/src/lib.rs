//! The store of record, in sled: seal, range, replay, checkpoints.
