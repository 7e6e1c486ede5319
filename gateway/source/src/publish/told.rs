//! What is told now and then of a connection, and not with what comes.

use super::Publisher;
use crate::SourceError;

impl Publisher<'_> {
    /// Tells what is still to come of the source's signals, and ends what no server has: by now it may be known which there
    /// are.
    pub(super) async fn tell_awaited(&mut self) -> Result<(), SourceError> {
        let source = self.lent.reporter.shared_source();
        self.lent.backfill.end_what_nobody_has();
        self.lent.queue.extend(self.lent.backfill.finished(&source));
        self.lent.backfill.tell_given_up(&source);
        if self.lent.reporter.is_up() {
            self.queue_awaited(false);
        } else {
            self.lent.awaited.pause();
        }
        self.deliver().await
    }

    /// Tells it once more, since the source is to stop.
    pub(crate) async fn end(&mut self) {
        if self.lent.reporter.is_up() {
            self.queue_awaited(true);
            self.lent.inlet.deliver(self.lent.queue).await;
        }
    }

    fn queue_awaited(&mut self, is_end: bool) {
        let mut awaited = self.lent.converter.awaited();
        awaited.extend(self.lent.backfill.awaited());
        self.lent.queue.extend(self.lent.awaited.tell(self.lent.reporter.shared_source(), awaited, is_end));
    }
}
