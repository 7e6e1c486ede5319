//! Configuration: files, validated values, every error at once.
