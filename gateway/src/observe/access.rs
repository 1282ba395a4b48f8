//! The access log: one line per logged request, on standard output or in a file.
//!
//! A worker collects lines in a buffer and hands it over when it is full or a tenth of a second old. Writing
//! can block, and a worker must not: one thread writes for all workers. If it does not keep up, buffers are
//! dropped and their lines counted.

use std::cell::{Cell, RefCell};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::log_settings::{LogFormat, LogRates, LogSettings};
use super::stderr::say;

/// Maximum number of buffers that wait for the writing thread.
const WAITING_BUFFERS: usize = 64;
/// Buffer size at which it is handed over, in bytes.
const BATCH: usize = 64 << 10;
/// Extra capacity of a buffer for the line that fills it.
const LAST_LINE: usize = 16 << 10;
/// How long the shutdown waits for the writing thread.
const FLUSH: Duration = Duration::from_secs(1);

/// State shared by the workers and the writing thread.
#[derive(Debug)]
struct Shared {
    dropped: AtomicU64,
    /// The file must be reopened.
    reopen: AtomicBool,
    /// Empty buffers for reuse.
    spare: Mutex<Vec<Vec<u8>>>,
}

#[derive(Debug)]
enum Message {
    /// Lines, and their number.
    Lines(Vec<u8>, u64),
    /// Must be acknowledged when all earlier messages are written.
    Flush(SyncSender<()>),
    /// A flag in [`Shared`] has changed.
    Wake,
}

/// The log of the process.
#[derive(Debug, Clone)]
pub struct AccessLog {
    messages: Option<SyncSender<Message>>,
    waiting: Arc<Mutex<Option<Receiver<Message>>>>,
    shared: Arc<Shared>,
    format: Arc<LogFormat>,
    /// Sampling rates of requests without a route.
    rates: LogRates,
    file: Option<PathBuf>,
}

/// The log of one worker.
#[derive(Debug)]
pub struct WorkerLog {
    log: AccessLog,
    buffer: RefCell<Vec<u8>>,
    lines: Cell<u64>,
}

impl AccessLog {
    /// A log whose writing thread is not started yet; a disabled log accepts no lines.
    pub fn new(settings: impl Into<LogSettings>) -> Self {
        let settings = settings.into();
        let shared =
            Shared { dropped: AtomicU64::new(0), reopen: AtomicBool::new(false), spare: Mutex::default() };
        let (messages, waiting) = sync_channel(WAITING_BUFFERS);
        Self {
            messages: settings.enabled.then_some(messages),
            waiting: Arc::new(Mutex::new(Some(waiting))),
            shared: Arc::new(shared),
            format: Arc::new(settings.format()),
            rates: settings.rates(""),
            file: settings.file,
        }
    }

    /// Opens the file and starts the writing thread, if the log is enabled.
    ///
    /// # Errors
    ///
    /// The file cannot be opened, or the thread cannot be started.
    pub fn start(&self) -> io::Result<()> {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (Some(waiting), true) = (waiting, self.messages.is_some()) else {
            return Ok(());
        };
        let out = match &self.file {
            None => Out::Stdout,
            Some(path) => {
                let failed =
                    |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
                Out::File { path: path.clone(), file: open(path).map_err(failed)?, failing: false }
            }
        };
        let shared = Arc::clone(&self.shared);
        std::thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || write(&waiting, &shared, out))?;
        Ok(())
    }

    /// The number of lost lines, which were written too slowly or not at all.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// The log of one worker.
    pub fn worker(&self) -> WorkerLog {
        WorkerLog { log: self.clone(), buffer: RefCell::default(), lines: Cell::new(0) }
    }

    /// Reopens the file after log rotation has renamed it. Returns whether there is a file.
    pub fn reopen(&self) -> bool {
        if let (Some(messages), Some(_)) = (&self.messages, &self.file) {
            self.shared.reopen.store(true, Ordering::Relaxed);
            // If the channel is full, the writing thread sees the flag with the next message.
            let _ = messages.try_send(Message::Wake);
            return true;
        }
        false
    }

    /// Waits until everything handed over so far is written, with a short timeout.
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
    /// Whether the log is enabled.
    pub fn is_enabled(&self) -> bool {
        self.log.messages.is_some()
    }

    /// The format of a line.
    pub fn format(&self) -> &LogFormat {
        &self.log.format
    }

    /// Sampling rates of requests without a route.
    pub fn unrouted_rates(&self) -> &LogRates {
        &self.log.rates
    }

    /// Appends a line to the buffer.
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

    /// Hands the buffer to the writing thread.
    pub fn hand_over(&self) {
        let Some(messages) = &self.log.messages else {
            return;
        };
        let lines = self.lines.replace(0);
        if lines == 0 {
            return;
        }
        let next = self.log.shared.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        // Allocated with its final capacity, to avoid repeated growth.
        let next = next.unwrap_or_else(|| Vec::with_capacity(BATCH + LAST_LINE));
        let full = self.buffer.replace(next);
        if messages.try_send(Message::Lines(full, lines)).is_err() {
            self.log.shared.dropped.fetch_add(lines, Ordering::Relaxed);
        }
    }
}

impl Drop for WorkerLog {
    fn drop(&mut self) {
        self.hand_over();
    }
}

/// The output of the lines.
enum Out {
    Stdout,
    File {
        path: PathBuf,
        file: File,
        /// The last write failed.
        failing: bool,
    },
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

/// Writes lines until all senders are dropped.
fn write(waiting: &Receiver<Message>, shared: &Shared, mut out: Out) {
    while let Ok(message) = waiting.recv() {
        if shared.reopen.swap(false, Ordering::Relaxed) {
            out.reopen();
        }
        match message {
            Message::Lines(mut lines, count) => {
                if !out.write(&lines) {
                    shared.dropped.fetch_add(count, Ordering::Relaxed);
                    if matches!(out, Out::Stdout) {
                        // Standard output is closed; the senders count lost lines from here on.
                        return;
                    }
                }
                lines.clear();
                let mut spare = shared.spare.lock().unwrap_or_else(PoisonError::into_inner);
                if spare.len() < WAITING_BUFFERS {
                    spare.push(lines);
                }
            }
            Message::Flush(done) => {
                // The receiver may have timed out.
                let _ = done.try_send(());
            }
            Message::Wake => {}
        }
    }
}

impl Out {
    /// Reopens the file. If that fails, the old file stays in use.
    fn reopen(&mut self) {
        let Self::File { path, file, .. } = self else { return };
        match open(path) {
            Ok(opened) => *file = opened,
            Err(error) => {
                let path = path.display();
                say(format_args!(
                    "the access log {path} cannot be reopened: {error}; the old file stays in use"
                ));
            }
        }
    }

    /// Writes lines; false if they are lost.
    fn write(&mut self, lines: &[u8]) -> bool {
        match self {
            Self::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(lines).and_then(|()| out.flush()).is_ok()
            }
            Self::File { path, file, failing } => {
                let written = file.write_all(lines);
                if let Err(error) = &written
                    && !*failing
                {
                    say(format_args!(
                        "the access log {} cannot be written, lines are lost: {error}",
                        path.display()
                    ));
                }
                *failing = written.is_err();
                !*failing
            }
        }
    }
}
