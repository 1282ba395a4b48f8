//! The spans of one worker on their way to the collector.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

use super::span::Span;
use super::tracer::Tracer;

/// The spans of one request to the collector, at the most.
const BATCH: usize = 512;
/// Calls of [`Outbox::tick`] after which spans are sent, however few there are: a second.
const TICKS: u64 = 20;
/// How long the end of the worker waits for the collector.
const LAST: Duration = Duration::from_secs(2);

/// Spans that wait, and whether some are being sent.
#[derive(Debug, Default)]
pub struct Outbox(Rc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    worker: Cell<usize>,
    waiting: RefCell<Waiting>,
    sending: Cell<bool>,
    ticks: Cell<u64>,
    sent: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    tracer: Option<Arc<Tracer>>,
    spans: Vec<Span>,
}

impl Outbox {
    /// Of the worker with this number.
    pub fn of(worker: usize) -> Self {
        let outbox = Self::default();
        outbox.0.worker.set(worker);
        outbox
    }

    /// Takes the spans of a request; drops and counts them if too many wait. `dropped`: spans of the request
    /// that are lost already.
    pub fn push(&self, tracer: &Arc<Tracer>, spans: Vec<Span>, dropped: u64) {
        let counters = tracer.counters.of(self.0.worker.get());
        counters.dropped.add(dropped);
        let is_full = {
            let mut waiting = self.0.waiting.borrow_mut();
            if !waiting.tracer.as_ref().is_some_and(|known| Arc::ptr_eq(known, tracer)) {
                // The settings have changed: what waits goes where it was to go.
                let before = std::mem::replace(
                    &mut *waiting,
                    Waiting { tracer: Some(Arc::clone(tracer)), spans: Vec::new() },
                );
                if let Some(tracer) = before.tracer.filter(|_| !before.spans.is_empty()) {
                    let worker = self.0.worker.get();
                    tokio::task::spawn_local(async move { tracer.send(&before.spans, worker, false).await });
                }
            }
            if waiting.spans.len() + spans.len() > tracer.config.max_waiting {
                counters.dropped.add(spans.len() as u64);
                return;
            }
            waiting.spans.extend(spans);
            waiting.spans.len() >= BATCH
        };
        if is_full {
            self.begin();
        }
    }

    /// Sends what has waited for about a second; called 20 times in one.
    pub fn tick(&self) {
        let ticks = self.0.ticks.get().wrapping_add(1);
        self.0.ticks.set(ticks);
        if ticks.is_multiple_of(TICKS) {
            self.begin();
        }
    }

    /// Sends a batch, unless one is being sent or there is nothing.
    fn begin(&self) {
        if self.0.sending.get() {
            return;
        }
        let Some((tracer, batch)) = self.0.take() else { return };
        self.0.sending.set(true);
        let inner = Rc::clone(&self.0);
        tokio::task::spawn_local(async move {
            tracer.send(&batch, inner.worker.get(), false).await;
            // What came in the meantime, if it fills a batch.
            while inner.waiting.borrow().spans.len() >= BATCH {
                let Some((tracer, batch)) = inner.take() else { break };
                tracer.send(&batch, inner.worker.get(), false).await;
            }
            inner.sending.set(false);
            inner.sent.notify_waiters();
        });
    }

    /// Sends all that waits, for a short time.
    pub async fn close(&self) {
        let all = async {
            while self.0.sending.get() {
                self.0.sent.notified().await;
            }
            while let Some((tracer, batch)) = self.0.take() {
                tracer.send(&batch, self.0.worker.get(), true).await;
            }
        };
        if timeout(LAST, all).await.is_err() {
            let waiting = self.0.waiting.take();
            if let Some(tracer) = waiting.tracer {
                tracer.counters.of(self.0.worker.get()).dropped.add(waiting.spans.len() as u64);
            }
        }
    }
}

impl Inner {
    fn take(&self) -> Option<(Arc<Tracer>, Vec<Span>)> {
        let mut waiting = self.waiting.borrow_mut();
        let tracer = waiting.tracer.clone().filter(|_| !waiting.spans.is_empty())?;
        let count = waiting.spans.len().min(BATCH);
        Some((tracer, waiting.spans.drain(..count).collect()))
    }
}
