//! From scores to events: thresholds, hold-off, hysteresis.
