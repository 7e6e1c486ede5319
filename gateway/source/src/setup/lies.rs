//! What a server answers that cannot be, told once all is made. What is done with it is for others.

use std::collections::HashSet;

use super::Setup;
use crate::items::Subscription;

impl Setup {
    pub(super) fn tell_lies(&mut self, source: &str, subscriptions: &[Subscription]) {
        let implausible = std::mem::take(&mut self.implausible);
        if implausible > 0 {
            tracing::warn!(
                source,
                implausible,
                "the server answers with intervals that cannot be; taken for those asked for"
            );
        }
        if std::mem::take(&mut self.takes_fewer) {
            let items = self.chunk_max;
            tracing::warn!(source, items, "the server takes fewer items in a request than it says; asking for so many");
        }
        let (items, ids) = shared_ids(subscriptions);
        if ids > 0 {
            tracing::warn!(source, items, ids, "the server gives one id for several items");
        }
    }
}

/// How many items have an id that another one of their subscription has as well, and how many such ids there are.
fn shared_ids(subscriptions: &[Subscription]) -> (usize, usize) {
    let (mut items, mut shared) = (0, 0);
    for subscription in subscriptions {
        let mut ids = HashSet::with_capacity(subscription.items.len());
        let twice: HashSet<u32> = subscription.items.iter().map(|item| item.id).filter(|id| !ids.insert(*id)).collect();
        items += subscription.items.iter().filter(|item| twice.contains(&item.id)).count();
        shared += twice.len();
    }
    (items, shared)
}
