//! When all that stood before a start is published: the surfaces are told, so that nobody who asks is told of less.
//! Conditions are known once their detectors have told them, or others stand in for them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use watchfire_alarms::Engine;

use crate::Surface;
use crate::notices::{Change, Gone, Notice};
use crate::publish::show;

/// How long that may take: a plugin may have to be compiled, and a disk that is full takes no record. What comes later is told
/// as what has appeared. Less than clients wait for an answer when they connect (asyncua: four seconds).
const BEGINNING_MAX: Duration = Duration::from_secs(3);

/// Whose conditions are on record and are yet to be told.
#[derive(Debug, Default)]
pub(crate) struct Beginning {
    /// `None` before the first word of what is configured, and once nothing is missing any more.
    awaited: Option<BTreeSet<String>>,
}

impl Beginning {
    /// Hears a notice, before anything follows from it.
    pub(crate) fn heed(&mut self, notice: &Notice, engine: &Engine) {
        if let Notice::Configured { plans, .. } = notice {
            let on_record: BTreeSet<&str> = engine.undefined().map(|(key, _)| key.binding()).collect();
            let names = plans.iter().map(|plan| &plan.spec.name);
            self.awaited = Some(names.filter(|name| on_record.contains(name.as_str())).cloned().collect());
        }
        let Some(awaited) = &mut self.awaited else { return };
        match notice {
            // Its last word of what its conditions are, or that of whoever stands in for it.
            Notice::Over { binding, .. }
            | Notice::Own { change: Some(Change::Detector(binding, true)), .. }
            | Notice::Gone { what: Gone::Detector(binding), .. } => drop(awaited.remove(binding)),
            _ => {}
        }
    }

    /// Whether all that stood before the start has been told; once.
    pub(crate) fn is_over(&mut self) -> bool {
        self.awaited.take_if(|awaited| awaited.is_empty()).is_some()
    }
}

/// Tells the surfaces when it has taken long enough, whatever it is that holds it up.
pub(crate) async fn at_last(surfaces: Vec<Arc<dyn Surface>>) {
    tokio::time::sleep(BEGINNING_MAX).await;
    surfaces.iter().for_each(|surface| show(|| surface.complete()));
}
