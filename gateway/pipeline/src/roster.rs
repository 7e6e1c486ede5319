//! The detectors that run: started together, then replaced and ended one by one while everything else goes on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use watchfire_model::{Control, Lsn, RecordBody};

use crate::changes::{Asked, Change};
use crate::compare::Comparing;
use crate::notices::{Gone, Notice};
use crate::supervise::Detection;
use crate::{BindingPlan, PortError};

/// How long one detector may take to end before it is dropped where it stands: its last call and its checkpoint.
const ENDING_MAX: Duration = Duration::from_secs(10);

/// The detectors.
pub(crate) struct Roster {
    detection: Arc<Detection>,
    threads: Handle,
    members: BTreeMap<String, Member>,
}

struct Member {
    stop: CancellationToken,
    task: JoinHandle<()>,
    /// Compares it with the detector beside which it runs.
    comparing: Option<(CancellationToken, JoinHandle<()>)>,
}

impl Roster {
    pub(crate) fn new(detection: Detection, threads: Handle) -> Self {
        Self { detection: Arc::new(detection), threads, members: BTreeMap::new() }
    }

    /// Runs detectors, and changes them as asked, until `stop`; then ends them all.
    pub(crate) async fn run(
        mut self,
        plans: Vec<Arc<BindingPlan>>,
        begin: Lsn,
        mut asked: mpsc::Receiver<Asked>,
        stop: CancellationToken,
    ) {
        for plan in plans {
            self.start(plan, begin);
        }
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(Asked { change, done }) = asked.recv() => {
                    if let Err(error) = self.change(change).await {
                        tracing::error!(%error, "a change of the detectors could not be recorded");
                    }
                    // Whoever asked may have gone.
                    let _ = done.send(());
                }
            }
        }
        self.members.values().for_each(|member| member.stop.cancel());
        for (_, member) in std::mem::take(&mut self.members) {
            member.ended().await;
        }
    }

    fn start(&mut self, plan: Arc<BindingPlan>, begin: Lsn) {
        let (stop, name, beside) = (CancellationToken::new(), plan.spec.name.clone(), plan.beside.clone());
        let task = self.threads.spawn(self.detection.clone().run(plan, begin, stop.clone()));
        let comparing = beside.map(|beside| {
            let (stop, detection) = (CancellationToken::new(), self.detection.clone());
            let comparing = Comparing { detection, name: name.clone(), beside };
            (stop.clone(), tokio::spawn(comparing.run(stop)))
        });
        self.members.insert(name, Member { stop, task, comparing });
    }

    async fn change(&mut self, change: Change) -> Result<(), PortError> {
        match change {
            Change::Detector(plan) => {
                self.end(&plan.spec.name).await;
                if plan.beside.is_none() {
                    let defined = self.detection.notices.own().detector_def(&plan.spec.name);
                    self.detection.notices.send(Notice::Define(vec![defined])).await;
                }
                self.start(plan, self.detection.log.tail());
            }
            Change::EndDetector(binding) => {
                let Some(beside) = self.end(&binding).await else { return Ok(()) };
                let reason = if beside { "it runs beside no detector any more" } else { "it is no longer configured" };
                let ended = Control::DetectorEnded { binding: binding.clone(), reason: reason.to_owned() };
                let cause = self.detection.log.put(RecordBody::Control(ended)).await?.lsn;
                self.detection.stats.detectors.lock().remove(&binding);
                self.detection.stats.compared.lock().remove(&binding);
                self.detection.progress.lock().remove(&binding);
                if !beside {
                    let now = self.detection.clock.now();
                    self.detection.notices.send(Notice::Gone { cause, now, what: Gone::Detector(binding) }).await;
                }
            }
            Change::Source(..) | Change::EndSource(_) => {}
        }
        Ok(())
    }

    /// Ends a detector, which saves its state; answers whether it ran beside another, `None` when there is none.
    async fn end(&mut self, name: &str) -> Option<bool> {
        let member = self.members.remove(name)?;
        let beside = member.comparing.is_some();
        member.stop.cancel();
        member.ended().await;
        Some(beside)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.task.abort();
        if let Some((_, comparing)) = &self.comparing {
            comparing.abort();
        }
    }
}

impl Member {
    async fn ended(mut self) {
        match tokio::time::timeout(ENDING_MAX, &mut self.task).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) if error.is_panic() => tracing::error!(%error, "a detector's supervisor has failed"),
            Ok(Err(_)) => {}
            Err(_) => tracing::warn!("a detector did not end in time and is dropped; its last saved state stays"),
        }
        // Last: what it said to its end is compared as well.
        if let Some((stop, comparing)) = &mut self.comparing {
            stop.cancel();
            if tokio::time::timeout(ENDING_MAX, comparing).await.is_err() {
                tracing::warn!("comparing two versions did not end in time; it is done again from the log");
            }
        }
    }
}
