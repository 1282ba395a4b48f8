//! The access log: one JSON object in one line for every request, on standard output.
//!
//! A worker gathers its lines in a buffer and hands it over when it is full or a tenth of a second
//! old. Writing to standard output can block, and a worker must not: one thread writes for all of
//! them, and buffers are dropped and their lines counted if it does not keep up.

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How many buffers may wait for a slow reader of standard output.
const WAITING_BUFFERS: usize = 64;
/// When a buffer is handed over, in bytes.
const BATCH: usize = 64 << 10;
/// Room behind a full buffer for its last line.
const LAST_LINE: usize = 16 << 10;
/// How long the end of the process waits for a slow reader.
const FLUSH: Duration = Duration::from_secs(1);

/// What workers and the writing thread share.
#[derive(Debug)]
struct Shared {
    dropped: AtomicU64,
    /// Written buffers, to be used again.
    spare: Mutex<Vec<Vec<u8>>>,
}

#[derive(Debug)]
enum Message {
    Lines(Vec<u8>),
    /// To be acknowledged when everything before it is written.
    Flush(SyncSender<()>),
}

/// The log of the process.
#[derive(Debug, Clone)]
pub struct AccessLog {
    messages: Option<SyncSender<Message>>,
    waiting: Arc<Mutex<Option<Receiver<Message>>>>,
    shared: Arc<Shared>,
}

/// The log of one worker.
#[derive(Debug)]
pub struct WorkerLog {
    log: AccessLog,
    buffer: RefCell<Vec<u8>>,
    lines: Cell<u64>,
}

impl AccessLog {
    /// A log that nothing writes out yet; one that is not enabled takes no lines.
    pub fn new(enabled: bool) -> Self {
        let shared = Arc::new(Shared { dropped: AtomicU64::new(0), spare: Mutex::default() });
        let (messages, waiting) = sync_channel(WAITING_BUFFERS);
        let waiting = Arc::new(Mutex::new(Some(waiting)));
        Self { messages: enabled.then_some(messages), waiting, shared }
    }

    /// Starts the writing thread, if the log is enabled.
    ///
    /// # Errors
    ///
    /// The thread cannot be started.
    pub fn start(&self) -> std::io::Result<()> {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (Some(waiting), true) = (waiting, self.messages.is_some()) else {
            return Ok(());
        };
        let shared = Arc::clone(&self.shared);
        std::thread::Builder::new().name("access-log".to_owned()).spawn(move || write(&waiting, &shared))?;
        Ok(())
    }

    /// Lines that were lost, since standard output took them too slowly or not at all.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// The log of one worker.
    pub fn worker(&self) -> WorkerLog {
        WorkerLog { log: self.clone(), buffer: RefCell::default(), lines: Cell::new(0) }
    }

    /// Waits until everything handed over so far is written, but not long.
    pub fn flush(&self) {
        if let Some(messages) = &self.messages {
            let (done, written) = sync_channel(1);
            if messages.try_send(Message::Flush(done)).is_ok() {
                let _ = written.recv_timeout(FLUSH);
            }
        }
    }
}

impl WorkerLog {
    /// Whether lines are wanted at all.
    pub fn is_enabled(&self) -> bool {
        self.log.messages.is_some()
    }

    /// Writes one line into the buffer.
    pub fn line(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let full = {
            let mut buffer = self.buffer.borrow_mut();
            write(&mut buffer);
            buffer.len() >= BATCH
        };
        self.lines.set(self.lines.get() + 1);
        if full {
            self.hand_over();
        }
    }

    /// Hands the gathered lines to the writing thread.
    pub fn hand_over(&self) {
        let Some(messages) = &self.log.messages else {
            return;
        };
        let lines = self.lines.replace(0);
        if lines == 0 {
            return;
        }
        let next = self.log.shared.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        // Of its final size at once: growing would ask the system for memory again and again.
        let next = next.unwrap_or_else(|| Vec::with_capacity(BATCH + LAST_LINE));
        let full = self.buffer.replace(next);
        if messages.try_send(Message::Lines(full)).is_err() {
            self.log.shared.dropped.fetch_add(lines, Ordering::Relaxed);
        }
    }
}

impl Drop for WorkerLog {
    fn drop(&mut self) {
        self.hand_over();
    }
}

/// Writes lines until every sender is gone.
fn write(waiting: &Receiver<Message>, shared: &Shared) {
    let mut out = std::io::stdout().lock();
    while let Ok(message) = waiting.recv() {
        match message {
            Message::Lines(mut lines) => {
                if out.write_all(&lines).and_then(|()| out.flush()).is_err() {
                    // No reader is left; the senders count what is lost.
                    return;
                }
                lines.clear();
                let mut spare = shared.spare.lock().unwrap_or_else(PoisonError::into_inner);
                if spare.len() < WAITING_BUFFERS {
                    spare.push(lines);
                }
            }
            Message::Flush(done) => {
                // The receiver may have given up.
                let _ = done.try_send(());
            }
        }
    }
}
