//! What is to be watched on a connection, and how far its making has come: examine nodes, make subscriptions, make
//! items, one request at a time beside the publishing.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use opcua::client::Session;
use opcua::types::{NodeId, StatusCode};
use tokio::time::Instant as Timer;
use watchfire_config::Profile;
use watchfire_model::{Kind, SourceState};
use watchfire_pipeline::{Arrival, Inlet, Terms};
use watchfire_ua::{Kinds, status_from_ua};

use crate::browse::{BrowseLimits, Browser};
use crate::convert::{Converter, Part};
use crate::error::is_lost;
use crate::events::EventReader;
use crate::examine::{Examined, examine};
use crate::items::{self, Created, Item, Subscription, Wanted};
use crate::publish::Lent;
use crate::watched::{Refused, Roster, Sought};
use crate::{SourceError, Timing, events, refresh};

mod lies;
mod made;

/// An answer to a request of the set-up.
pub(crate) enum Job {
    Examined(Result<Examined, SourceError>),
    Searched(Result<Examined, SourceError>),
    Subscribed(Result<Subscription, SourceError>),
    Created { subscription: u32, result: Result<Created, SourceError> },
    Deleted(Result<(), SourceError>),
    Refreshed(StatusCode),
}

/// The making of what is watched.
pub(crate) struct Setup {
    session: Arc<Session>,
    timing: Timing,
    profile: Profile,
    kinds: Kinds,
    url: String,
    /// How many items were given another sampling interval, by the one asked for and the one given, milliseconds.
    revised: BTreeMap<(u64, u64), usize>,
    /// What was asked for on this connection, and what the server gave.
    terms: Terms,
    /// Items whose server cannot report every sample, or knows no deadband.
    plain: usize,
    /// Subscriptions and items whose server says that their intervals are what they cannot be.
    implausible: usize,
    /// Whether the server has refused a request with no more items than it says that it takes.
    takes_fewer: bool,
    /// Whether structures are still to be learned.
    learn: bool,
    /// The server's namespaces.
    namespaces: Vec<String>,
    pending: VecDeque<Wanted>,
    /// Nodes to be examined once the request that is under way has been answered.
    sought: Vec<Sought>,
    /// Items in a request: fewer for a while where one of them may spoil it for the others, and the most.
    chunk: usize,
    chunk_max: usize,
    /// Nodes in a request to read.
    read_max: usize,
    job: Option<BoxFuture<'static, Job>>,
    retry_at: Timer,
    /// Subscriptions whose server is to tell which alarms stand, and when it may be asked.
    refresh: BTreeSet<u32>,
    refresh_at: Timer,
    told: bool,
}

impl Setup {
    pub(crate) fn new(session: Arc<Session>, timing: Timing, profile: Profile, kinds: Kinds, url: String) -> Self {
        let retry_at = Timer::now() + timing.refused_retry;
        Self {
            session,
            timing,
            profile,
            kinds,
            url,
            revised: BTreeMap::new(),
            terms: Terms::default(),
            plain: 0,
            implausible: 0,
            takes_fewer: false,
            learn: false,
            namespaces: Vec::new(),
            pending: VecDeque::new(),
            sought: Vec::new(),
            chunk: 1,
            chunk_max: usize::MAX,
            read_max: 1,
            job: None,
            retry_at,
            refresh: BTreeSet::new(),
            refresh_at: Timer::now(),
            told: false,
        }
    }

    /// Says that structures are to be learned before the first nodes are examined.
    pub(crate) const fn learn(&mut self) {
        self.learn = true;
    }

    /// Begins with these nodes, or goes on with them after what is under way: its answer is the only one that says what
    /// there is on the server.
    pub(crate) fn examine(&mut self, nodes: Vec<Sought>) {
        if self.job.is_some() {
            self.sought.extend(nodes);
            return;
        }
        let examination = examine(self.session.clone(), nodes, std::mem::take(&mut self.learn), self.profile);
        self.job = Some(async move { Job::Examined(examination.await) }.boxed());
    }

    /// Searches signals for those whose values cannot be read; the answer is [`Job::Searched`]. Not while a request is
    /// under way.
    pub(crate) fn search(&mut self, nodes: Vec<Sought>) {
        let examination = examine(self.session.clone(), nodes, false, self.profile);
        self.job = Some(async move { Job::Searched(examination.await) }.boxed());
    }

    /// How many items may be in one request.
    pub(crate) const fn at_once(&self) -> usize {
        self.chunk
    }

    /// Examines again what was refused.
    pub(crate) fn retry(&mut self, refused: Vec<Sought>) {
        self.retry_at = Timer::now() + self.timing.refused_retry;
        if !refused.is_empty() && self.job.is_none() {
            self.examine(refused);
        }
    }

    pub(crate) const fn retry_at(&self) -> Timer {
        self.retry_at
    }

    pub(crate) const fn is_working(&self) -> bool {
        self.job.is_some()
    }

    /// The nodes of some signals, of those whose address says it or whose history is kept; at most as many as one request may have.
    pub(crate) fn nodes_of(&self, places: &[usize], roster: &Roster) -> Vec<(usize, NodeId)> {
        let addresses = roster.some(places).into_iter().take(self.chunk.min(self.read_max));
        // One that cannot be read would hide the others.
        let values = addresses.filter(|sought| !sought.events && !sought.doubtful);
        // Where a browse path leads is known where the node's history is.
        let node = |sought: &Sought| {
            sought.address.resolve(&self.namespaces).ok().or_else(|| roster.history(sought.at).cloned())
        };
        values.filter_map(|sought| Some((sought.at, node(&sought)?))).collect()
    }

    /// The server is to tell which alarms stand, wherever events come from.
    pub(crate) fn refresh(&mut self, subscriptions: &[Subscription]) {
        let with_streams = subscriptions.iter().filter(|subscription| !subscription.streams.is_empty());
        self.refresh.extend(with_streams.map(|subscription| subscription.id));
    }

    /// Whether all is made that can be made.
    pub(crate) fn is_done(&self) -> bool {
        self.told && self.job.is_none() && self.pending.is_empty() && self.sought.is_empty()
    }

    /// Waits for the request that is under way. Cancel-safe.
    pub(crate) async fn job(&mut self) -> Job {
        let done = match &mut self.job {
            Some(job) => job.await,
            None => pending().await,
        };
        self.job = None;
        done
    }

    /// Makes the next request, if there is anything left and none under way.
    pub(crate) fn go_on(&mut self, subscriptions: &mut [Subscription], converter: &mut Converter) {
        if self.job.is_some() {
            return;
        }
        if !self.sought.is_empty() {
            let sought = std::mem::take(&mut self.sought);
            self.examine(sought);
            return;
        }
        let session = self.session.clone();
        if self.pending.is_empty() {
            if Timer::now() >= self.refresh_at
                && let Some(subscription) = self.refresh.pop_first()
            {
                self.refresh_at = Timer::now() + self.timing.refresh;
                self.job = Some(refresh::refresh(session, subscription).map(Job::Refreshed).boxed());
            }
            return;
        }
        // Those of one publishing interval lie together.
        let Some(interval) = self.pending.front().map(|wanted| wanted.publishing_interval) else { return };
        match subscriptions.iter_mut().find(|s| s.interval == interval && s.items.len() < s.items_max) {
            None => {
                let (timing, (_, items_max, _)) = (self.timing, limits_of(self.profile));
                let subscribing = async move { items::subscribe(&session, interval, &timing, items_max).await };
                self.job = Some(subscribing.map(Job::Subscribed).boxed());
            }
            Some(subscription) => {
                let id = subscription.id;
                let room = subscription.items_max - subscription.items.len();
                let alike = self.pending.iter().take_while(|wanted| wanted.publishing_interval == interval);
                let count = alike.take(self.chunk.min(room)).count();
                let chunk: Vec<Wanted> = self.pending.drain(..count).collect();
                // From now on, since a server may send their first values before it answers.
                for wanted in chunk.iter().filter(|wanted| !wanted.is_stream()) {
                    converter.begin(wanted.at);
                }
                subscription.making = Some((Timer::now(), count));
                let creating = items::create(session, id, chunk);
                self.job = Some(creating.map(move |result| Job::Created { subscription: id, result }).boxed());
            }
        }
    }

    /// Takes an answer over. An error ends the connection.
    pub(crate) async fn done(
        &mut self,
        job: Job,
        subscriptions: &mut Vec<Subscription>,
        lent: &mut Lent<'_>,
        inlet: &Inlet,
    ) -> Result<(), SourceError> {
        match job {
            // Who searched has taken out what concerns others.
            Job::Examined(examined) | Job::Searched(examined) => {
                let mut examined = examined?;
                let taken = examined.limits.create.clamp(1, limits_of(self.profile).0);
                self.chunk_max = self.chunk_max.min(taken).min(lent.roster.create_max()).max(1);
                self.chunk = self.chunk_max;
                self.read_max = examined.limits.read.max(1);
                self.namespaces = examined.namespaces;
                let now = lent.clock.now();
                lent.converter.set_behind(examined.time.map_or(Duration::ZERO, |time| time.behind(now)));
                if let Some(structures) = examined.structures {
                    lent.backfill.set_structures(structures.clone());
                    lent.converter.set_structures(structures);
                }
                lent.backfill.connected(examined.limits.history);
                let mut carriers: HashMap<NodeId, Wanted> = HashMap::new();
                for (found, kind, has_history) in examined.found {
                    lent.roster.set_history(found.at, has_history.then(|| found.node.clone()));
                    lent.backfill.known(found.at, has_history);
                    let Some(watched) = lent.roster.get(found.at) else { continue };
                    if let Some(events) = &watched.config.events {
                        let Some(filter) = events::filter(events, &self.namespaces) else {
                            let status = StatusCode::BadTypeDefinitionInvalid;
                            examined.refused.push(Refused { at: found.at, status });
                            continue;
                        };
                        let mut reader = EventReader::new(watched.id, events, &self.namespaces);
                        if has_history {
                            if let Some(of_type) = events::type_of(events, &self.namespaces) {
                                let limits = BrowseLimits::of(&self.session, self.profile).await?;
                                reader.set_types(Browser::new(self.session.clone(), limits).derived(of_type).await?);
                            }
                            lent.backfill.set_filter(found.at, filter.clone());
                        }
                        lent.converter.set_stream(found.at, reader);
                        self.kinds.set(watched.id, Kind::Text);
                        lent.converter.set_kind(found.at, Some(Kind::Text));
                        self.pending.push_back(Wanted::new(found, watched).with_events(filter));
                        continue;
                    }
                    let kind = kind.filter(|_| !watched.is_member());
                    lent.converter.set_kind(found.at, kind);
                    if let Some(kind) = kind {
                        self.kinds.set(watched.id, kind);
                    }
                    let Some(path) = watched.config.element.clone() else {
                        self.pending.push_back(Wanted::new(found, watched));
                        continue;
                    };
                    let part = Part { at: found.at, element: Some(path) };
                    match carriers.entry(found.node.clone()) {
                        Entry::Occupied(mut carrier) => {
                            carrier.get_mut().share(watched);
                            lent.converter.carry(carrier.get().at, part);
                        }
                        Entry::Vacant(vacant) => {
                            lent.converter.carry_first(part);
                            vacant.insert(Wanted::new(found, watched));
                        }
                    }
                }
                let finished = lent.backfill.finished(&lent.reporter.shared_source());
                lent.queue.extend(finished);
                self.pending.extend(carriers.into_values());
                let made: usize = subscriptions.iter().map(|subscription| subscription.items.len()).sum();
                let beyond = self.beyond(limits_of(self.profile).2.saturating_sub(made));
                let status = StatusCode::BadTooManyMonitoredItems;
                examined.refused.extend(beyond.iter().flat_map(|wanted| carried(wanted.at, status, lent.converter)));
                self.pending.make_contiguous().sort_by_key(|wanted| (wanted.publishing_interval, wanted.at));
                refuse(examined.refused, lent, inlet).await?;
            }
            Job::Subscribed(Ok(subscription)) => {
                self.implausible += usize::from(!subscription.is_plausible);
                self.terms.append(&subscription.terms);
                tell_revised(lent.reporter.source(), &subscription.terms);
                subscriptions.push(subscription);
            }
            Job::Subscribed(Err(error)) if subscriptions.is_empty() => return Err(error),
            Job::Subscribed(Err(error)) => {
                tracing::warn!(source = lent.reporter.source(), %error, "the server gives no further subscription");
                let refused = self.refuse_pending(StatusCode::BadTooManySubscriptions, lent.converter);
                refuse(refused, lent, inlet).await?;
            }
            Job::Created { subscription, result } => {
                // Without an answer the subscription stays in doubt.
                let created = result?;
                let Some(at) = subscriptions.iter().position(|s| s.id == subscription) else { return Ok(()) };
                if created.unanswered.is_empty() {
                    let Some(subscription) = subscriptions.get_mut(at) else { return Ok(()) };
                    self.created(created, subscription, lent, inlet).await?;
                } else {
                    let subscription = subscriptions.remove(at);
                    self.unanswered(created, &subscription, lent, inlet).await?;
                }
            }
            Job::Deleted(result) => result?,
            Job::Refreshed(status) if is_lost(status) => {
                return Err(SourceError::Request { doing: "asking which alarms stand", status });
            }
            Job::Refreshed(status) => {
                let source = lent.reporter.source();
                if status.is_bad() {
                    tracing::info!(source, %status, "the server does not tell which alarms stand");
                } else {
                    tracing::debug!(source, "the server tells which alarms stand");
                }
            }
        }
        self.tell(subscriptions, lent, inlet).await
    }

    /// What is left is not made; returns all its signals.
    fn refuse_pending(&mut self, status: StatusCode, converter: &Converter) -> Vec<Refused> {
        self.pending.drain(..).flat_map(|wanted| carried(wanted.at, status, converter)).collect()
    }

    /// Says that the source is up; with all that it had, or as far as is told later.
    pub(crate) async fn up(&mut self, lent: &mut Lent<'_>) {
        if !lent.reporter.is_up() {
            lent.inlet.push(lent.awaited.begin(lent.reporter.shared_source())).await;
        }
        lent.reporter.report(lent.inlet, SourceState::Up, format!("connected to `{}`", self.url)).await;
    }

    /// Says that the source is up, as soon as values can come; and how many signals are watched once all is made.
    async fn tell(
        &mut self,
        subscriptions: &[Subscription],
        lent: &mut Lent<'_>,
        inlet: &Inlet,
    ) -> Result<(), SourceError> {
        if !subscriptions.is_empty() || self.pending.is_empty() {
            self.up(lent).await;
        }
        if self.pending.is_empty() && self.sought.is_empty() && !self.told {
            self.told = true;
            lent.roster.all_made();
            // The room of 100,000 items is given back.
            self.pending.shrink_to_fit();
            let carried = |item: &Item| lent.converter.parts_of(item.at()).len();
            let watched: usize = subscriptions.iter().flat_map(|s| &s.items).map(carried).sum();
            let (signals, all, subscriptions) = (lent.roster.len(), subscriptions, subscriptions.len());
            tracing::info!(
                source = lent.reporter.source(),
                url = self.url,
                signals,
                watched,
                subscriptions,
                "watching"
            );
            for ((asked_ms, revised_ms), items) in std::mem::take(&mut self.revised) {
                let source = lent.reporter.source();
                tracing::info!(source, asked_ms, revised_ms, items, "the server samples at an interval of its own");
            }
            let terms = Arrival::Terms { source: lent.reporter.shared_source(), terms: self.terms.clone() };
            inlet.push(terms).await;
            self.tell_lies(lent.reporter.source(), all);
            if self.plain > 0 {
                let (source, items) = (lent.reporter.source(), self.plain);
                tracing::warn!(
                    source,
                    items,
                    "the server reports changes alone of these: no repeated value, no deadband"
                );
            }
        }
        Ok(())
    }
}

/// Tells the log what a server has made of what a subscription asked for, where that is something else.
fn tell_revised(source: &str, terms: &Terms) {
    for (term, asked, given) in terms.iter().filter(|(_, asked, given)| (given.most - asked).abs() > 0.5) {
        tracing::info!(
            source,
            ?term,
            asked,
            revised = given.most,
            "the server has terms of its own for a subscription"
        );
    }
}

/// Nodes in a request, items in a subscription and items in all, at the most: a single subscription of 50,000 makes some
/// servers slow, and a small controller has room for a thousand.
pub(crate) const fn limits_of(profile: Profile) -> (usize, usize, usize) {
    match profile {
        Profile::Standard => (1_000, 10_000, usize::MAX),
        Profile::Small => (100, 1_000, 1_000),
    }
}

/// The signals of an item that was refused: the one at that place, or all that it was to carry.
fn carried(at: usize, status: StatusCode, converter: &Converter) -> Vec<Refused> {
    converter.parts_of(at).into_iter().map(|at| Refused { at, status }).collect()
}

/// Tells of each signal that it cannot be watched.
async fn refuse(refused: Vec<Refused>, lent: &mut Lent<'_>, inlet: &Inlet) -> Result<(), SourceError> {
    for refused in refused {
        let Some(signal) = lent.roster.refuse(refused) else { continue };
        let arrival = Arrival::Signal { signal, status: status_from_ua(refused.status), at: lent.clock.now() };
        if !inlet.push(arrival).await {
            return Err(SourceError::Lost("the gateway is stopping".to_owned()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
