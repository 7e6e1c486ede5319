//! Whether anybody still waits for what is read of history. Reading blocks a thread, which nothing ends from outside: so it
//! is asked before each page. And how much of that one session may have at a time, so that nobody waits for another's.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use opcua::server::node_manager::RequestContext;
use opcua::sync::Mutex;
use tokio::sync::Semaphore;
use watchfire_model::{Instant, Unit};
use watchfire_pipeline::{CursorError, Page, PortError, Summaries, Traced};

/// Reads of one session at a time, of all that there may be.
pub(crate) const READS_OF_ONE: usize = 2;
/// The shares of sessions that read now.
static SHARES: Mutex<BTreeMap<u32, Weak<Semaphore>>> = Mutex::new(BTreeMap::new());

/// Whoever asked.
#[derive(Clone)]
pub(crate) struct Asker {
    is_there: Arc<dyn Fn() -> bool + Send + Sync>,
    /// What reads for it holds one of these.
    pub(crate) share: Arc<Semaphore>,
}

impl Asker {
    /// The client of a request: it is there as long as its session is, over the same connection, since the answer goes
    /// the way on which the request came.
    pub(crate) fn of(context: &RequestContext) -> Self {
        let session = context.session.clone();
        let channel = session.read().secure_channel_id();
        let is_there = move || {
            let session = session.read();
            session.is_activated() && session.secure_channel_id() == channel
        };
        Self { is_there: Arc::new(is_there), share: share_of(context.session_id) }
    }

    /// It waits for a request as long as that is held.
    pub(crate) fn waits_for(&self, request: &Arc<()>) -> Waiting {
        Waiting { asker: self.clone(), request: Arc::downgrade(request) }
    }
}

/// A session's share, the same for all that it asks for at a time.
fn share_of(session: u32) -> Arc<Semaphore> {
    let mut shares = SHARES.lock();
    shares.retain(|_, share| share.strong_count() > 0);
    if let Some(share) = shares.get(&session).and_then(Weak::upgrade) {
        return share;
    }
    let share = Arc::new(Semaphore::new(READS_OF_ONE));
    shares.insert(session, Arc::downgrade(&share));
    share
}

/// A client that waits for a request.
pub(crate) struct Waiting {
    asker: Asker,
    request: Weak<()>,
}

impl Waiting {
    /// Whether it still does.
    pub(crate) fn is_on(&self) -> bool {
        self.request.strong_count() > 0 && (self.asker.is_there)()
    }
}

/// What was recorded, for as long as somebody waits for it.
pub(crate) struct WhileWaiting<'t>(pub(crate) &'t dyn Traced, pub(crate) &'t Waiting);

impl WhileWaiting<'_> {
    fn check(&self) -> Result<(), CursorError> {
        if self.1.is_on() {
            return Ok(());
        }
        let source = std::io::Error::other("nobody waits for it any more");
        Err(PortError::Io { doing: "reading for a client".to_owned(), source }.into())
    }
}

impl Traced for WhileWaiting<'_> {
    fn page(&self, from: Instant, to: Instant) -> Result<Page, CursorError> {
        self.check()?;
        self.0.page(from, to)
    }

    fn summaries(&self, unit: Unit, from: Instant, to: Instant) -> Result<Summaries, CursorError> {
        self.check()?;
        self.0.summaries(unit, from, to)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use opcua::types::{StatusCode, TimestampsToReturn};
    use watchfire_model::{Kind, SignalId};
    use watchfire_pipeline::{Past, PastWanted, Recorded};

    use super::*;
    use crate::history::{Ahead, Asked, READS_AT_ONCE, while_waiting};

    /// Counts how often it was looked at.
    #[derive(Default)]
    struct Endless(AtomicUsize);

    impl Recorded for Endless {
        fn trace(&self, _: SignalId) -> Result<Box<dyn Traced + '_>, CursorError> {
            Ok(Box::new(Pages(&self.0)))
        }

        fn past(
            &self,
            _: &PastWanted,
            goes_on: &dyn Fn() -> bool,
            _: &mut dyn FnMut(Past) -> bool,
        ) -> Result<(), CursorError> {
            while goes_on() {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
            Err(PortError::Io { doing: "reading".to_owned(), source: std::io::Error::other("it is over") }.into())
        }
    }

    struct Pages<'r>(&'r AtomicUsize);

    impl Traced for Pages<'_> {
        fn page(&self, _: Instant, _: Instant) -> Result<Page, CursorError> {
            self.0.fetch_add(1, Ordering::SeqCst);
            Ok(Page::default())
        }
    }

    /// Somebody of a session of his own.
    fn asker(is_there: impl Fn() -> bool + Send + Sync + 'static) -> Asker {
        Asker { is_there: Arc::new(is_there), share: Arc::new(Semaphore::new(READS_OF_ONE)) }
    }

    fn asked(is_there: impl Fn() -> bool + Send + Sync + 'static) -> Asked {
        let (signal, kind, timestamps) = (SignalId(1), Kind::Real, TimestampsToReturn::Both);
        Asked { signal, kind, timestamps, values_max: 10, lost: None, asker: asker(is_there) }
    }

    #[test]
    fn a_session_has_one_share_while_it_reads() {
        let (one, again, other) = (share_of(u32::MAX), share_of(u32::MAX), share_of(u32::MAX - 1));
        assert!(Arc::ptr_eq(&one, &again) && !Arc::ptr_eq(&one, &other));
    }

    #[tokio::test]
    async fn whoever_asks_for_much_is_not_waited_for_by_others() {
        let recorded: Arc<dyn Recorded> = Arc::new(Endless::default());
        let (much, other) = (Arc::new(asked(|| true)), asked(|| true));
        let (let_go, held) = std::sync::mpsc::channel::<()>();
        let (held, mut reads) = (Arc::new(Mutex::new(held)), tokio::task::JoinSet::new());
        for _ in 0..20 {
            let (much, recorded, held) = (much.clone(), recorded.clone(), held.clone());
            let read = move |_: &dyn Traced| {
                // Until the other end is dropped.
                held.lock().recv().unwrap_or_default();
                Ok(())
            };
            reads.spawn(async move { much.read(&recorded, None, read).await });
        }
        tokio::task::yield_now().await;
        assert_eq!(other.read(&recorded, None, |_| Ok(())).await, Ok(()));
        drop(let_go);
        assert_eq!(reads.join_all().await, vec![Ok(()); 20]);
    }

    /// Prepares until the other end is dropped.
    struct Slow(Mutex<std::sync::mpsc::Receiver<()>>);

    impl Recorded for Slow {
        fn prepare(&self, _: &[SignalId]) -> Result<(), CursorError> {
            self.0.lock().recv().unwrap_or_default();
            Ok(())
        }

        fn trace(&self, _: SignalId) -> Result<Box<dyn Traced + '_>, CursorError> {
            Err(PortError::Io { doing: "reading".to_owned(), source: std::io::Error::other("it only prepares") }.into())
        }

        fn past(
            &self,
            _: &PastWanted,
            _: &dyn Fn() -> bool,
            _: &mut dyn FnMut(Past) -> bool,
        ) -> Result<(), CursorError> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn whoever_has_much_prepared_is_not_waited_for_by_others() {
        let (let_go, held) = std::sync::mpsc::channel::<()>();
        let slow: Arc<dyn Recorded> = Arc::new(Slow(Mutex::new(held)));
        let (much, mut reads) = (asker(|| true), tokio::task::JoinSet::new());
        for _ in 0..20 {
            let (much, slow) = (much.clone(), slow.clone());
            reads.spawn(async move { Ahead(vec![Some(SignalId(1)); 2]).prepare(&slow, &much, 0).await });
        }
        tokio::task::yield_now().await;
        let recorded: Arc<dyn Recorded> = Arc::new(Endless::default());
        let read = tokio::time::timeout(std::time::Duration::from_secs(120), async {
            asked(|| true).read(&recorded, None, |_| Ok(())).await
        });
        assert_eq!(read.await, Ok(Ok(())));
        drop(let_go);
        reads.join_all().await;
    }

    #[tokio::test]
    async fn a_read_ends_with_the_session_for_which_it_is() {
        let endless = Arc::new(Endless::default());
        let (recorded, counted): (Arc<dyn Recorded>, _) = (endless.clone(), endless.clone());
        let asked = asked(move || counted.0.load(Ordering::SeqCst) < 3);
        let read = asked.read(&recorded, None, |trace| -> Result<(), CursorError> {
            loop {
                trace.page(Instant::MIN, Instant::MAX)?;
            }
        });
        assert_eq!(read.await, Err(StatusCode::BadSessionClosed));
        assert_eq!(endless.0.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn a_read_that_is_given_up_leaves_no_thread_behind() {
        let recorded: Arc<dyn Recorded> = Arc::new(Endless::default());
        let asked = asked(|| true);
        let (told, mut heard) = tokio::sync::mpsc::channel(1);
        let read = asked.read(&recorded, None, move |trace| -> Result<(), CursorError> {
            loop {
                trace.page(Instant::MIN, Instant::MAX)?;
                let _gone = told.blocking_send(());
            }
        });
        tokio::select! {
            read = read => panic!("it never ends by itself: {read:?}"),
            Some(()) = heard.recv() => {}
        }
        // As when a request takes longer than it may.
        while heard.recv().await.is_some() {}
    }

    #[tokio::test]
    async fn a_read_of_events_ends_with_the_session_for_which_it_is() {
        let endless = Arc::new(Endless::default());
        let (recorded, counted) = (endless.clone(), endless.clone());
        let asker = asker(move || counted.0.load(Ordering::SeqCst) < 3);
        let all = PastWanted { from: Instant::MIN, to: Instant::MAX, backwards: false, begin: None };
        let read = while_waiting(&asker, move |waiting| recorded.past(&all, &|| waiting.is_on(), &mut |_| true));
        assert_eq!(read.await, Err(StatusCode::BadSessionClosed));
        assert_eq!(endless.0.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn however_many_reads_are_asked_for_a_few_threads_read() {
        const ASKED: usize = 600;
        let recorded: Arc<dyn Recorded> = Arc::new(Endless::default());
        let (at_once, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut reads = tokio::task::JoinSet::new();
        for _ in 0..ASKED {
            let (recorded, at_once, most) = (recorded.clone(), at_once.clone(), most.clone());
            reads.spawn(async move {
                let read = move |_: &dyn Traced| {
                    most.fetch_max(at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    (0..1_000).for_each(|_| std::thread::yield_now());
                    at_once.fetch_sub(1, Ordering::SeqCst);
                    Ok(())
                };
                asked(|| true).read(&recorded, None, read).await
            });
        }
        assert_eq!(reads.join_all().await, vec![Ok(()); ASKED]);
        let most = most.load(Ordering::SeqCst);
        assert!(most <= READS_AT_ONCE, "{most} of them at once");
    }
}
