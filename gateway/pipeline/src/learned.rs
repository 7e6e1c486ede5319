//! What a detector has learned, for a person who wants to see it, or to have it forgotten. The detector that runs is not
//! asked: an instance of its own reads the state that is saved, so that no answer can harm what is judged.

use std::sync::Arc;

use watchfire_model::{Control, Lsn, RecordBody, SignalId};

use crate::{BindingPlan, CreateError, CursorError, DetectorFactory, DetectorFault, Judge, Log, PortError};

/// What a detector has learned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Learned {
    /// The last record that is in it; what runs has learned some seconds more.
    pub upto: Lsn,
    /// In the plugin's own form.
    pub model: Vec<u8>,
}

/// Why nobody can be told.
#[derive(Debug, thiserror::Error)]
pub enum LearnedError {
    /// Its plugin does not export `learner`.
    #[error("detector `{0}`: its plugin has no `learner`: what it learns cannot be shown or forgotten")]
    NoLearner(String),
    /// Nothing is saved yet, or it is of another configuration.
    #[error("detector `{0}` has saved nothing that it has learned yet; it does so every minute, ask again")]
    NothingYet(String),
    /// It cannot be made.
    #[error(transparent)]
    Create(#[from] CreateError),
    /// It failed when it was asked.
    #[error("detector `{0}` failed when it was asked what it has learned: {1}")]
    Fault(String, DetectorFault),
    /// A store failed.
    #[error(transparent)]
    Log(#[from] CursorError),
}

impl From<PortError> for LearnedError {
    fn from(error: PortError) -> Self {
        Self::Log(error.into())
    }
}

/// What a detector had learned when its state was saved last: at the most a minute ago where it runs. Costs an instance
/// of it for a moment.
///
/// # Errors
/// [`LearnedError`].
pub async fn learned(
    log: &Arc<Log>,
    factory: &dyn DetectorFactory,
    plan: &BindingPlan,
) -> Result<Learned, LearnedError> {
    let name = &plan.spec.name;
    let mut judge = learner(factory, plan).await?;
    let (stores, kept_as) = (log.clone(), plan.kept_as.clone());
    let load = tokio::task::spawn_blocking(move || stores.history().load_checkpoint(&kept_as));
    let saved = load.await.map_err(CursorError::Ended)??;
    let saved = saved.filter(|saved| !saved.bytes.is_empty() && judge.fits(saved));
    let Some(saved) = saved else { return Err(LearnedError::NothingYet(name.clone())) };
    if !judge.restore(&saved).await {
        return Err(LearnedError::NothingYet(name.clone()));
    }
    let model = judge.model().await.map_err(|fault| LearnedError::Fault(name.clone(), fault))?;
    Ok(Learned { upto: saved.frame, model })
}

/// Has a detector forget what it has learned, of one of its signals or all: on record, and durable when it is answered.
/// The detector obeys when it comes to that record, as replay does.
///
/// # Errors
/// [`LearnedError`].
pub async fn forget(
    log: &Arc<Log>,
    factory: &dyn DetectorFactory,
    plan: &BindingPlan,
    signal: Option<SignalId>,
    by: &str,
) -> Result<Lsn, LearnedError> {
    drop(learner(factory, plan).await?);
    let forgot = Control::Forgot { binding: plan.spec.name.clone(), signal, by: by.to_owned() };
    let place = log.put(RecordBody::Control(forgot)).await?.lsn;
    log.hurry();
    log.durable(place).await;
    Ok(place)
}

/// A fresh instance, if its plugin learns.
async fn learner(factory: &dyn DetectorFactory, plan: &BindingPlan) -> Result<Judge, LearnedError> {
    let judge = Judge::create(factory, &plan.spec).await?;
    if judge.learns() { Ok(judge) } else { Err(LearnedError::NoLearner(plan.spec.name.clone())) }
}
