//! Values that may be missing: of which items, and since when.

use watchfire_model::GapCause;

use super::Publisher;
use crate::items::Item;
use crate::ledger::Moment;

impl Publisher<'_> {
    /// Values may be missing of the items of a subscription that have a queue of one, which drops them without a mark.
    pub(super) fn owe_shallow(&mut self, at: usize, since: Option<Moment>) {
        let items = self.subscriptions.get(at).map(|subscription| subscription.items.iter());
        let shallow: Vec<_> = items.into_iter().flatten().filter(|item| item.queue_size <= 1).copied().collect();
        for item in shallow {
            let parts = self.lent.converter.parts_of(item.at());
            self.lent.converter.owe_from(parts, GapCause::SourceLost, since);
        }
    }

    /// Values of these items' signals may be missing from now on.
    pub(super) fn owe(&mut self, items: Vec<Item>, cause: GapCause) {
        for item in items {
            let parts = self.lent.converter.parts_of(item.at());
            self.lent.converter.owe(parts, cause);
        }
    }
}
