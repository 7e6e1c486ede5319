//! Items that are made anew while their connection lives: those that are dead, and those beside a value that no message can
//! be read with.

use std::collections::BTreeSet;

use watchfire_config::Deadband;
use watchfire_model::GapCause;

use super::Publisher;
use crate::SourceError;
use crate::error::is_unreadable;
use crate::examine::Examined;
use crate::items::Item;
use crate::setup::Job;
use crate::watchdog::Look;

impl Publisher<'_> {
    /// Makes the items anew of those that have changed though nothing was reported.
    pub(super) async fn looked(&mut self, seen: Vec<Look>) -> Result<(), SourceError> {
        let mut dead = self.watch.looked(seen, self.slowest());
        dead.retain(|at| self.lent.converter.is_quiet(*at) && self.reports_changes(*at));
        if dead.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = dead.iter().filter_map(|at| Some(self.lent.roster.get(*at)?.name())).take(10).collect();
        let (source, signals) = (self.lent.reporter.source(), dead.len());
        let first = names.join(", ");
        tracing::error!(
            source,
            signals,
            first,
            "the server no longer reports these though they change; watching them anew"
        );
        for subscription in &mut self.subscriptions {
            subscription.remove(&self.session, self.setup.at_once(), |item| dead.contains(&item.at())).await?;
        }
        self.lent.converter.owe(dead.iter().copied(), GapCause::SourceLost);
        self.setup.examine(self.lent.roster.some(&dead));
        Ok(())
    }

    /// Sets aside the signals whose values cannot be read, and makes the others of their subscriptions anew: what was in
    /// a message with such a value is not sent again while it stands.
    pub(super) async fn searched(&mut self, mut examined: Examined) -> Result<(), SourceError> {
        let refused = examined.refused.iter().filter(|refused| is_unreadable(refused.status));
        let found: BTreeSet<usize> = refused.map(|refused| refused.at).collect();
        self.search.ended(!found.is_empty());
        let source = self.lent.reporter.source();
        if found.is_empty() {
            tracing::warn!(source, "no signal was found whose value cannot be read; what was lost may have been one");
            return Ok(());
        }
        let signals = found.len();
        tracing::error!(source, signals, "values that cannot be read are set aside; their neighbours are made anew");
        self.too_large = 0;
        let mut anew = BTreeSet::new();
        for subscription in &mut self.subscriptions {
            let parts_of = |item: &Item| self.lent.converter.parts_of(item.at());
            if subscription.items.iter().flat_map(parts_of).any(|at| found.contains(&at)) {
                subscription.streams.clear();
                let removed = subscription.remove(&self.session, self.setup.at_once(), |_| true).await?;
                anew.extend(removed.iter().flat_map(parts_of));
            }
        }
        self.lent.converter.owe(anew.iter().copied(), GapCause::SourceLost);
        examined.found.retain(|(found, ..)| anew.contains(&found.at));
        examined.refused.retain(|refused| anew.contains(&refused.at));
        let inlet = self.lent.inlet.clone();
        self.setup.done(Job::Searched(Ok(examined)), &mut self.subscriptions, &mut self.lent, &inlet).await
    }

    /// Whether each change of a signal's value is to be reported: not within a deadband, nor as a part of another value.
    fn reports_changes(&self, at: usize) -> bool {
        let watched = self.lent.roster.get(at);
        watched.is_some_and(|watched| watched.config.deadband == Deadband::None && watched.config.element.is_none())
    }
}
