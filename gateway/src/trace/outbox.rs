//! The span queue of one worker.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

use super::span::Span;
use super::tracer::Tracer;

/// Maximum number of spans in a request to the collector.
const BATCH: usize = 512;
/// Maximum time that spans wait in the queue.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long a worker waits for the collector when it stops.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Queued spans, and whether a batch is being sent.
#[derive(Debug, Default)]
pub struct Outbox(Rc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    worker: Cell<usize>,
    waiting: RefCell<Waiting>,
    /// A sending task is running.
    sending: Cell<bool>,
    /// Notified when a batch is full.
    full: Notify,
    closing: Cell<bool>,
    /// Notified when the task ends.
    sent: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    tracer: Option<Arc<Tracer>>,
    spans: Vec<Span>,
}

impl Outbox {
    /// The queue of the worker with this number.
    pub fn of(worker: usize) -> Self {
        let outbox = Self::default();
        outbox.0.worker.set(worker);
        outbox
    }

    /// Queues the spans of a request; drops and counts them if the queue is full. `dropped`: number of spans
    /// of the request that were already dropped.
    pub fn push(&self, tracer: &Arc<Tracer>, spans: Vec<Span>, dropped: u64) {
        let counters = tracer.counters.of(self.0.worker.get());
        counters.dropped.add(dropped);
        let mut waiting = self.0.waiting.borrow_mut();
        if !waiting.tracer.as_ref().is_some_and(|known| Arc::ptr_eq(known, tracer)) {
            // The settings have changed: queued spans still go to the old collector.
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
        if waiting.spans.len() >= BATCH {
            self.0.full.notify_one();
        }
        drop(waiting);
        if !self.0.sending.replace(true) {
            tokio::task::spawn_local(Inner::send(Rc::clone(&self.0)));
        }
    }

    /// Sends all queued spans, with a short timeout.
    pub async fn close(&self) {
        self.0.closing.set(true);
        self.0.full.notify_one();
        let all = async {
            while self.0.sending.get() {
                self.0.sent.notified().await;
            }
        };
        if timeout(CLOSE_TIMEOUT, all).await.is_err() {
            let waiting = self.0.waiting.take();
            if let Some(tracer) = waiting.tracer {
                tracer.counters.of(self.0.worker.get()).dropped.add(waiting.spans.len() as u64);
            }
        }
    }
}

impl Inner {
    /// Sends batches until the queue is empty.
    async fn send(self: Rc<Self>) {
        loop {
            if !self.closing.get() {
                let _ = timeout(INTERVAL, self.full.notified()).await;
            }
            let Some((tracer, batch)) = self.take() else { break };
            tracer.send(&batch, self.worker.get(), self.closing.get()).await;
        }
        self.sending.set(false);
        self.sent.notify_waiters();
    }

    fn take(&self) -> Option<(Arc<Tracer>, Vec<Span>)> {
        let mut waiting = self.waiting.borrow_mut();
        let tracer = waiting.tracer.clone().filter(|_| !waiting.spans.is_empty())?;
        let count = waiting.spans.len().min(BATCH);
        Some((tracer, waiting.spans.drain(..count).collect()))
    }
}
