//! The alarm engine: conditions, transitions, acknowledgement. Pure.
