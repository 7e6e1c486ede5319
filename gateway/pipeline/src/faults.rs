//! Faults of the gateway's own work on what is recorded: it panicked, which is a defect that nobody foresaw. Told as an
//! alarm for as long as it lasts; what was to be done is tried again, later and later. Does not know what that is.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinError;
use watchfire_alarms::{AlarmType, ConditionDef};
use watchfire_model::{Clock, ConditionKey};

use crate::{Log, Notices, OWN_BINDING, OwnConditions};

/// The condition's id.
const SEALING: &str = "sealing";
/// What is done to put records into the store of record; whether it can be is known once it was done.
pub(crate) const SEAL: &str = "sealing";
/// Severity: nothing is lost, but the journal grows, so that the disk may fill.
const SEVERITY: u16 = 600;
/// How long it is waited at first before it is tried again; twice as long each time.
const PAUSE: Duration = Duration::from_secs(10);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(600);
/// How often it is looked what there is to tell.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What has failed and is tried again, for whoever tells of it.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// What failed, by what was being done, with the pause before the next try.
    standing: BTreeMap<&'static str, (String, Duration)>,
    /// Whether anything was sealed since the start.
    has_sealed: bool,
}

impl Faults {
    /// Something was ended by a panic. Answers after how long it is to be tried again.
    pub(crate) fn met(&self, doing: &'static str, ended: JoinError) -> Duration {
        let why = ended.try_into_panic().map_or_else(|ended| ended.to_string(), |panic| said(&*panic));
        let mut state = self.0.lock();
        let pause = state.standing.get(doing).map_or(PAUSE, |(_, before)| (*before * 2).min(PAUSE_MAX));
        tracing::error!(doing, why, ?pause, "a defect of the gateway ended this; it is tried again");
        state.standing.insert(doing, (why, pause));
        pause
    }

    /// Something was done to its end.
    pub(crate) fn over(&self, doing: &'static str) {
        let mut state = self.0.lock();
        state.has_sealed |= doing == SEAL;
        if state.standing.remove(doing).is_some() {
            tracing::info!(doing, "this is done again");
        }
    }

    /// What stands, in one sentence, or that nothing does; `None` as long as that is not known.
    fn told(&self) -> Option<Option<String>> {
        let state = self.0.lock();
        let each: Vec<String> =
            state.standing.iter().map(|(doing, (why, _))| format!("{doing} was ended by a defect: {why}")).collect();
        if each.is_empty() {
            // What stood before the start may stand still.
            return state.has_sealed.then_some(None);
        }
        Some(Some(format!("{}; it is tried again", each.join("; "))))
    }
}

/// What a panic said.
fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "it did not say why".to_owned())
}

/// Tells what has changed, for as long as it is polled.
pub(crate) async fn run(log: Arc<Log>, faults: Arc<Faults>, notices: Notices, clock: Arc<dyn Clock>) {
    let mut last: Option<Option<String>> = None;
    loop {
        if let Some(told) = faults.told().filter(|told| last.as_ref() != Some(told)) {
            notices.sealing(log.tail(), clock.now(), told.clone()).await;
            last = Some(told);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

impl OwnConditions {
    /// The key of "the store of record is not kept up".
    #[must_use]
    pub fn sealing_key() -> ConditionKey {
        ConditionKey::new(OWN_BINDING, SEALING, "")
    }

    /// What "the store of record is not kept up" is.
    #[must_use]
    pub fn sealing_def(&self) -> Arc<ConditionDef> {
        self.def(
            Self::sealing_key(),
            SEALING,
            AlarmType::SystemDiagnostic,
            SEVERITY,
            "the store of record is not kept up".to_owned(),
            "report the message with the gateway's log: it is a defect. Nothing is lost, since the journal keeps what was \
             recorded, and it is tried again by itself; see that the disk has room for the journal meanwhile",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ended() -> JoinError {
        tokio::task::spawn_blocking(|| panic!("an odd value")).await.unwrap_err()
    }

    #[tokio::test]
    async fn what_fails_again_and_again_is_tried_later_and_later_and_told_once() {
        let faults = Faults::default();
        faults.over("dropping");
        assert_eq!(faults.told(), None, "nobody knows yet");
        let mut pauses = Vec::new();
        for _ in 0..8 {
            pauses.push(faults.met(SEAL, ended().await).as_secs());
            let told = "sealing was ended by a defect: an odd value; it is tried again";
            assert_eq!(faults.told(), Some(Some(told.to_owned())));
        }
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 600, 600]);
        faults.met("summarising", ended().await);
        faults.over(SEAL);
        assert!(faults.told().flatten().is_some_and(|told| told.starts_with("summarising was")));
        faults.over("summarising");
        assert_eq!(faults.told(), Some(None));
        assert_eq!(faults.met(SEAL, ended().await), PAUSE, "it begins anew");
    }
}
