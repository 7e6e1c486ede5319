//! Append-only frames with group commit and recovery.
