//! What a detector has learned, as a running gateway answers it: shown to be reviewed, or forgotten on record.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use watchfire_model::{RecordBody, SignalId};
use watchfire_pipeline::{BindingPlan, CursorError, forget, learned};

use crate::control::Done;
use crate::live::Live;
use crate::upgrades::plans_of;

impl Live {
    /// What a detector has learned, in its plugin's own form.
    pub async fn model(&self, detector: &str) -> Result<Done> {
        let plan = self.as_it_runs(detector)?;
        let learned = learned(&self.data.log, &*self.factory, &plan).await?;
        let (log, upto) = (self.data.log.clone(), learned.upto);
        let read = tokio::task::spawn_blocking(move || log.read(upto, 1)).await.map_err(CursorError::Ended)?;
        let at = read.ok().and_then(|records| match &records.first()?.body {
            RecordBody::Data(frame) => Some(format!(", of {}", frame.now)),
            _ => None,
        });
        let told = format!(
            "what detector `{detector}` has learned up to record {upto}{}: {} bytes",
            at.unwrap_or_default(),
            learned.model.len()
        );
        Ok(Done { told, model: Some(learned.model) })
    }

    /// Has a detector forget what it has learned, of one of its signals or all; what was done, for people.
    pub async fn forget(&self, detector: &str, signal: Option<&str>, by: &str) -> Result<String> {
        let plan = self.as_it_runs(detector)?;
        let id = signal.map(|signal| id_of(&plan, signal)).transpose()?;
        let place = forget(&self.data.log, &*self.factory, &plan, id, by).await?;
        let what = signal.map_or_else(|| "all that it has learned".to_owned(), |signal| format!("`{signal}`"));
        Ok(format!("detector `{detector}` forgets {what}; on record as {place}"))
    }

    /// A detector's plan with the version that runs.
    fn as_it_runs(&self, detector: &str) -> Result<Arc<BindingPlan>> {
        let base = self.configured(detector)?;
        let plans = plans_of(base, self.plugins.now().upgrade(detector));
        plans.into_iter().next().context("the detector is gone")
    }
}

/// One of a detector's signals.
fn id_of(plan: &BindingPlan, signal: &str) -> Result<SignalId> {
    let watched = &plan.spec.signals;
    let found = watched.iter().find(|watched| *watched.name == *signal);
    let Some(found) = found else {
        let some: Vec<_> = watched.iter().take(5).map(|watched| format!("`{}`", watched.name)).collect();
        let more = if watched.len() > some.len() { " and others" } else { "" };
        bail!("detector `{}` watches no signal `{signal}`; it has {}{more}", plan.spec.name, some.join(", "));
    };
    Ok(found.id)
}
