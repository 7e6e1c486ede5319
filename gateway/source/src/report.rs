//! Tells the gateway and the log when the connection changes, and only then.

use std::sync::Arc;

use watchfire_model::SourceState;
use watchfire_pipeline::{Arrival, Inlet};

/// What was last told of a source.
#[derive(Debug)]
pub(crate) struct Reporter {
    source: Arc<str>,
    last: Option<(SourceState, String)>,
}

impl Reporter {
    pub(crate) const fn new(source: Arc<str>) -> Self {
        Self { source, last: None }
    }

    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    pub(crate) fn shared_source(&self) -> Arc<str> {
        self.source.clone()
    }

    pub(crate) fn is_up(&self) -> bool {
        self.last.as_ref().is_some_and(|(state, _)| *state == SourceState::Up)
    }

    /// Tells a state and why. The same state with the same reason is told once. Returns whether it was told.
    pub(crate) async fn report(&mut self, inlet: &Inlet, state: SourceState, reason: String) -> bool {
        let now = (state, reason);
        if self.last.as_ref() == Some(&now) {
            return false;
        }
        let arrival = Arrival::State { source: self.source.clone(), state, reason: now.1.clone() };
        self.last = Some(now);
        inlet.push(arrival).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use watchfire_pipeline::inlet;

    #[tokio::test]
    async fn a_state_is_told_once_for_each_reason() {
        let (inlet, mut arrivals) = inlet();
        let mut reporter = Reporter::new("press".into());
        for (state, reason) in [
            (SourceState::Down, "no answer"),
            (SourceState::Down, "no answer"),
            (SourceState::Down, "refused"),
            (SourceState::Up, "connected"),
            (SourceState::Up, "connected"),
        ] {
            reporter.report(&inlet, state, reason.to_owned()).await;
        }
        let mut told = Vec::new();
        while let Some(Arrival::State { source, state, reason }) = arrivals.try_recv() {
            assert_eq!(&*source, "press");
            told.push((state, reason));
        }
        let expected =
            [(SourceState::Down, "no answer"), (SourceState::Down, "refused"), (SourceState::Up, "connected")];
        assert_eq!(told, expected.map(|(state, reason)| (state, reason.to_owned())));
        assert!(reporter.is_up());
    }
}
