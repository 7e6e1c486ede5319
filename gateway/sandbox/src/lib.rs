//! Loads, limits and runs detector plugins.
