//! What a plugin writes to the gateway's log: capped in size and in rate, one line each, and never a way to forge
//! another line.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use watchfire_model::plain;

use crate::bindings::log;
use crate::quota::HostState;

/// Bytes of a line of ours that quotes a plugin.
const LINE_BYTES_MAX: usize = 1_024;
/// After so long one more line may come.
const REFILL: Duration = Duration::from_secs(1);

/// How much of a detector's log is still heard.
pub(crate) struct Hearing {
    detector: Arc<str>,
    /// Lines that may come at once.
    burst: u32,
    /// Bytes of a line that are kept.
    line_bytes_max: usize,
    left: u32,
    refilled: Instant,
    unheard: u64,
}

impl Hearing {
    pub(crate) fn new(detector: Arc<str>, burst: u32, line_bytes_max: usize) -> Self {
        Self { detector, burst, line_bytes_max, left: burst, refilled: Instant::now(), unheard: 0 }
    }

    /// A call begins: what time has passed is looked at here, not for each line.
    pub(crate) fn begin(&mut self) {
        if self.left == self.burst {
            return;
        }
        let periods = self.refilled.elapsed().as_millis() / REFILL.as_millis();
        let lines = u32::try_from(periods).unwrap_or(self.burst).min(self.burst);
        if lines == 0 {
            return;
        }
        self.left = self.left.saturating_add(lines).min(self.burst);
        self.refilled = Instant::now();
        if self.unheard > 0 {
            let (detector, lines) = (&*self.detector, self.unheard);
            tracing::warn!(detector, lines, "plugin wrote more log lines than are kept");
            self.unheard = 0;
        }
    }

    fn hear(&mut self, level: u8, message: &str) {
        if self.left == 0 {
            self.unheard = self.unheard.saturating_add(1);
            return;
        }
        if self.left == self.burst {
            self.refilled = Instant::now();
        }
        self.left -= 1;
        let (detector, line) = (&*self.detector, cut(message, self.line_bytes_max));
        match level {
            1 => tracing::error!(detector, line, "plugin says"),
            2 => tracing::warn!(detector, line, "plugin says"),
            3 => tracing::info!(detector, line, "plugin says"),
            4 => tracing::debug!(detector, line, "plugin says"),
            _ => tracing::trace!(detector, line, "plugin says"),
        }
    }
}

/// At most [`LINE_BYTES_MAX`] bytes of a text, without control characters.
pub(crate) fn one_line(text: &str) -> String {
    cut(text, LINE_BYTES_MAX)
}

fn cut(text: &str, bytes_max: usize) -> String {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    plain(text.get(..end).unwrap_or_default())
}

impl log::Host for HostState {
    fn write(&mut self, level: u8, message: String) -> wasmtime::Result<()> {
        self.hearing.hear(level, &message);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_one_line_of_bounded_size() {
        assert_eq!(one_line("a\nERROR forged\x1b[31m"), "a ERROR forged [31m");
        let long = "ü".repeat(LINE_BYTES_MAX);
        assert_eq!(one_line(&long).len(), LINE_BYTES_MAX);
        assert!(one_line(&format!("a{long}")).len() < LINE_BYTES_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_cut_off_and_counted() {
        let mut hearing = Hearing::new("test".into(), 20, 100);
        for _ in 0..100 {
            hearing.hear(5, "x");
        }
        assert_eq!((hearing.left, hearing.unheard), (0, 80));
        hearing.begin();
        assert_eq!((hearing.left, hearing.unheard), (0, 80));
        tokio::time::advance(REFILL * 3).await;
        hearing.begin();
        assert_eq!((hearing.left, hearing.unheard), (3, 0));
        let mut deaf = Hearing::new("test".into(), 0, 100);
        deaf.hear(1, "x");
        deaf.begin();
        assert_eq!((deaf.left, deaf.unheard), (0, 1));
    }
}
