//! What becomes of items that were asked for: made, refused, or to be asked for again.

use std::collections::VecDeque;

use futures::FutureExt;
use opcua::types::StatusCode;
use watchfire_model::GapCause;
use watchfire_pipeline::{Arrival, Inlet};

use super::{Job, Setup, carried, refuse};
use crate::SourceError;
use crate::items::{self, Created, Subscription, Wanted};
use crate::publish::Lent;
use crate::watched::Refused;

impl Setup {
    pub(super) async fn created(
        &mut self,
        created: Created,
        subscription: &mut Subscription,
        lent: &mut Lent<'_>,
        inlet: &Inlet,
    ) -> Result<(), SourceError> {
        subscription.making = None;
        self.plain += created.plain;
        self.implausible += created.implausible;
        subscription.slowest = subscription.slowest.max(created.slowest);
        self.terms.append(&created.terms);
        for (both, count) in created.revised {
            *self.revised.entry(both).or_default() += count;
        }
        for item in created.made {
            for at in lent.converter.parts_of(item.at()) {
                lent.roster.accept(at);
            }
            if lent.converter.is_stream(item.at()) {
                let seen = lent.converter.begin_stream(item.at(), lent.clock.now(), false);
                for gap in seen.gaps() {
                    if lent.roster.history(item.at()).is_some() {
                        lent.backfill.add(item.at(), &gap, None, lent.history_lag);
                    } else {
                        lent.backfill.leave_to_others(item.at(), &gap, None);
                    }
                    lent.queue.push_back(Arrival::Gaps(vec![gap]));
                }
                subscription.streams.push(item.at());
                self.refresh.insert(subscription.id);
            }
            subscription.items.push(item);
        }
        if created.too_many.is_empty() && created.spoiled.is_empty() {
            self.chunk = self.chunk.saturating_mul(2).min(self.chunk_max);
        }
        if !created.too_many.is_empty() {
            self.chunk_max = (created.too_many.len() / 2).max(1);
            self.chunk = self.chunk_max;
            self.takes_fewer = true;
            self.put_back(created.too_many);
        }
        if !created.spoiled.is_empty() {
            self.chunk = (created.spoiled.len() / 2).max(1);
            self.put_back(created.spoiled);
        }
        let of_carrier = |refused: Refused| carried(refused.at, refused.status, lent.converter);
        let mut refused: Vec<Refused> = created.refused.into_iter().flat_map(of_carrier).collect();
        if !created.no_room.is_empty() {
            if subscription.items.is_empty() {
                // It stays, for the next try: one more each time would use up the subscriptions as well.
                let status = StatusCode::BadTooManyMonitoredItems;
                refused.extend(created.no_room.iter().flat_map(|wanted| carried(wanted.at, status, lent.converter)));
                refused.extend(self.refuse_pending(status, lent.converter));
            } else {
                subscription.items_max = subscription.items.len();
                self.put_back(created.no_room);
            }
        }
        refuse(refused, lent, inlet).await
    }

    /// Makes the items of a subscription anew, fewer at once, in which the server may have made some without an answer. One
    /// that was alone in the request is refused.
    pub(super) async fn unanswered(
        &mut self,
        created: Created,
        subscription: &Subscription,
        lent: &mut Lent<'_>,
        inlet: &Inlet,
    ) -> Result<(), SourceError> {
        let items = created.unanswered.len();
        let alone = if items == 1 { created.unanswered.first().map(|wanted| wanted.at) } else { None };
        let all =
            subscription.items.iter().map(|item| item.at()).chain(created.places()).filter(|at| Some(*at) != alone);
        let anew: Vec<usize> = all.flat_map(|at| lent.converter.parts_of(at)).collect();
        let (source, signals) = (lent.reporter.source(), anew.len());
        tracing::warn!(
            source,
            items,
            signals,
            "the server does not answer for items that it was to make; watching the signals of their subscription anew"
        );
        self.refresh.remove(&subscription.id);
        lent.roster.was_slow(items);
        self.chunk_max = self.chunk_max.min(lent.roster.create_max());
        self.chunk = self.chunk_max;
        lent.converter.owe(anew.iter().copied(), GapCause::SourceLost);
        self.sought.extend(lent.roster.some(&anew));
        self.job = Some(items::delete(self.session.clone(), vec![subscription.id]).map(Job::Deleted).boxed());
        let mut refused: Vec<Refused> = created.refused;
        refused.extend(alone.map(|at| Refused { at, status: StatusCode::BadTimeout }));
        let parts =
            |refused: Refused| lent.converter.parts_of(refused.at).into_iter().map(move |at| Refused { at, ..refused });
        let refused: Vec<Refused> = refused.into_iter().flat_map(parts).collect();
        for at in alone.into_iter().flat_map(|at| lent.converter.parts_of(at)) {
            lent.roster.unanswered(at);
        }
        refuse(refused, lent, inlet).await
    }

    /// What is beyond so many items, by the order of the configuration; it is not made.
    pub(super) fn beyond(&mut self, room: usize) -> VecDeque<Wanted> {
        if self.pending.len() <= room {
            return VecDeque::new();
        }
        self.pending.make_contiguous().sort_by_key(|wanted| wanted.at);
        self.pending.split_off(room)
    }

    fn put_back(&mut self, wanted: Vec<Wanted>) {
        for wanted in wanted.into_iter().rev() {
            self.pending.push_front(wanted);
        }
    }
}
