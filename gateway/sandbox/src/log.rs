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

/// That lines are left out is told at once, and how many have followed only after so long, and at the end: a plugin that
/// floods must not do so by way of what is said of it.
const TELL_EVERY: Duration = Duration::from_secs(600);

/// How much of a detector's log is still heard.
pub(crate) struct Hearing {
    detector: Arc<str>,
    /// Lines that may come at once.
    burst: u32,
    /// Bytes of a line that are kept.
    line_bytes_max: usize,
    left: u32,
    refilled: Instant,
    /// Lines that were left out since that was last told.
    unheard: u64,
    told: Option<Instant>,
}

impl Hearing {
    pub(crate) fn new(detector: Arc<str>, burst: u32, line_bytes_max: usize) -> Self {
        Self { detector, burst, line_bytes_max, left: burst, refilled: Instant::now(), unheard: 0, told: None }
    }

    /// A call begins: what time has passed is looked at here, not for each line.
    pub(crate) fn begin(&mut self) {
        if self.told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
            self.tell();
        }
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
    }

    /// Says how many lines were left out, if any were.
    fn tell(&mut self) {
        let lines = std::mem::take(&mut self.unheard);
        if lines > 0 {
            let (detector, most) = (&*self.detector, self.burst);
            tracing::warn!(
                detector,
                lines,
                most,
                "plugin wrote more log lines than it may, and these were left out; `log_lines` in [detector.quota] allows more"
            );
            self.told = Some(Instant::now());
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

impl Drop for Hearing {
    fn drop(&mut self) {
        self.tell();
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
        assert_eq!((hearing.left, hearing.unheard), (0, 0), "told with the next call");
        tokio::time::advance(REFILL * 3).await;
        hearing.begin();
        assert_eq!((hearing.left, hearing.unheard), (3, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn lines_that_are_left_out_are_told_once_with_their_number_and_the_setting_and_the_rest_at_the_end() {
        let told = Told::default();
        let _here = tracing::subscriber::set_default(told.clone());
        for burst in [0, 2] {
            let mut hearing = Hearing::new("hot".into(), burst, 100);
            for second in 0..500 {
                for _ in 0..10 {
                    hearing.hear(5, "x");
                }
                hearing.begin();
                assert_eq!(
                    told.take(),
                    if second == 0 { vec![("hot".to_owned(), 10 - u64::from(burst))] } else { vec![] }
                );
                tokio::time::advance(REFILL).await;
            }
            tokio::time::advance(TELL_EVERY - REFILL * 500).await;
            hearing.begin();
            let heard = if burst == 0 { 0 } else { 498 };
            assert_eq!(told.take(), [("hot".to_owned(), 4990 - heard)], "with a burst of {burst}");
            hearing.left = 0;
            hearing.hear(5, "x");
            hearing.begin();
            assert_eq!(told.take(), []);
            drop(hearing);
            assert_eq!(told.take(), [("hot".to_owned(), 1)], "what was not told yet");
            drop(Hearing::new("hot".into(), burst, 100));
            assert_eq!(told.take(), []);
        }
    }

    /// Detector and number of lines of each warning.
    #[derive(Clone, Default)]
    struct Told(Arc<parking_lot::Mutex<Vec<(String, u64)>>>);

    impl Told {
        fn take(&self) -> Vec<(String, u64)> {
            std::mem::take(&mut self.0.lock())
        }
    }

    impl tracing::Subscriber for Told {
        fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
            *metadata.level() == tracing::Level::WARN
        }

        fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
            tracing::span::Id::from_u64(1)
        }

        fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

        fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

        fn event(&self, event: &tracing::Event<'_>) {
            let mut read = Read::default();
            event.record(&mut read);
            assert!(read.message.contains("`log_lines`"), "{}", read.message);
            self.0.lock().push((read.detector, read.lines));
        }

        fn enter(&self, _: &tracing::span::Id) {}

        fn exit(&self, _: &tracing::span::Id) {}
    }

    #[derive(Default)]
    struct Read {
        detector: String,
        lines: u64,
        message: String,
    }

    impl tracing::field::Visit for Read {
        fn record_str(&mut self, field: &tracing::field::Field, value: &str) {
            if field.name() == "detector" {
                self.detector = value.to_owned();
            }
        }

        fn record_u64(&mut self, field: &tracing::field::Field, value: u64) {
            if field.name() == "lines" {
                self.lines = value;
            }
        }

        fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
            if field.name() == "message" {
                self.message = format!("{value:?}");
            }
        }
    }
}
