//! What a plugin writes to the gateway's log: capped in size and in rate, one line each, and never a way to forge
//! another line.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::bindings::log;
use crate::quota::HostState;

/// Bytes of a line that are kept.
const LINE_BYTES_MAX: usize = 1_024;
/// Lines that may come at once.
const BURST: u32 = 20;
/// After so long one more line may come.
const REFILL: Duration = Duration::from_secs(1);

/// How much of a detector's log is still heard.
pub(crate) struct Hearing {
    detector: Arc<str>,
    left: u32,
    refilled: Instant,
    unheard: u64,
}

impl Hearing {
    pub(crate) fn new(detector: Arc<str>) -> Self {
        Self { detector, left: BURST, refilled: Instant::now(), unheard: 0 }
    }

    /// A call begins: what time has passed is looked at here, not for each line.
    pub(crate) fn begin(&mut self) {
        if self.left == BURST {
            return;
        }
        let periods = self.refilled.elapsed().as_millis() / REFILL.as_millis();
        let lines = u32::try_from(periods).unwrap_or(BURST).min(BURST);
        if lines == 0 {
            return;
        }
        self.left = self.left.saturating_add(lines).min(BURST);
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
        if self.left == BURST {
            self.refilled = Instant::now();
        }
        self.left -= 1;
        let (detector, line) = (&*self.detector, one_line(message));
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
    let mut end = text.len().min(LINE_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let kept = text.get(..end).unwrap_or_default();
    kept.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
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
        let mut hearing = Hearing::new("test".into());
        for _ in 0..100 {
            hearing.hear(5, "x");
        }
        assert_eq!((hearing.left, hearing.unheard), (0, 80));
        hearing.begin();
        assert_eq!((hearing.left, hearing.unheard), (0, 80));
        tokio::time::advance(REFILL * 3).await;
        hearing.begin();
        assert_eq!((hearing.left, hearing.unheard), (3, 0));
    }
}
