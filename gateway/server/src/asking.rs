//! Whether anybody still waits for what is read of history. Reading blocks a thread, which nothing ends from outside: so it
//! is asked before each page.

use std::sync::{Arc, Weak};

use opcua::server::node_manager::RequestContext;
use watchfire_model::{Instant, Unit};
use watchfire_pipeline::{CursorError, Page, PortError, Summaries, Traced};

/// Whoever asked.
#[derive(Clone)]
pub(crate) struct Asker(Arc<dyn Fn() -> bool + Send + Sync>);

impl Asker {
    /// The client of a request: it is there as long as its session is, over the same connection, since the answer goes
    /// the way on which the request came.
    pub(crate) fn of(context: &RequestContext) -> Self {
        let session = context.session.clone();
        let channel = session.read().secure_channel_id();
        Self(Arc::new(move || {
            let session = session.read();
            session.is_activated() && session.secure_channel_id() == channel
        }))
    }

    /// It waits for a request as long as that is held.
    pub(crate) fn waits_for(&self, request: &Arc<()>) -> Waiting {
        Waiting { asker: self.clone(), request: Arc::downgrade(request) }
    }
}

/// A client that waits for a request.
pub(crate) struct Waiting {
    asker: Asker,
    request: Weak<()>,
}

impl Waiting {
    /// Whether it still does.
    pub(crate) fn is_on(&self) -> bool {
        self.request.strong_count() > 0 && (self.asker.0)()
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
    use crate::history::{Asked, READS_AT_ONCE, while_waiting};

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

    fn asked(is_there: impl Fn() -> bool + Send + Sync + 'static) -> Asked {
        let (signal, kind, timestamps) = (SignalId(1), Kind::Real, TimestampsToReturn::Both);
        Asked { signal, kind, timestamps, values_max: 10, asker: Asker(Arc::new(is_there)) }
    }

    #[tokio::test]
    async fn a_read_ends_with_the_session_for_which_it_is() {
        let endless = Arc::new(Endless::default());
        let (recorded, counted): (Arc<dyn Recorded>, _) = (endless.clone(), endless.clone());
        let asked = asked(move || counted.0.load(Ordering::SeqCst) < 3);
        let read = asked.read(&recorded, |trace| -> Result<(), CursorError> {
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
        let read = asked.read(&recorded, move |trace| -> Result<(), CursorError> {
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
        let asker = Asker(Arc::new(move || counted.0.load(Ordering::SeqCst) < 3));
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
                asked(|| true).read(&recorded, read).await
            });
        }
        assert_eq!(reads.join_all().await, vec![Ok(()); ASKED]);
        let most = most.load(Ordering::SeqCst);
        assert!(most <= READS_AT_ONCE, "{most} of them at once");
    }
}
