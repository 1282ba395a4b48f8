//! The access log: one JSON object in one line for every request, on standard output.

use std::io::Write;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use super::metrics::Metrics;

/// How many lines may wait for a slow reader of standard output.
const WAITING_LINES: usize = 8192;
/// How many bytes are written at a time, or a little more.
const BATCH: usize = 64 << 10;
/// How long the end of the process waits for a slow reader.
const FLUSH: Duration = Duration::from_secs(1);

/// Where threads leave their lines.
///
/// Writing to standard output can block, and a worker must not: the lines go to a thread of their
/// own, and are dropped and counted if it does not keep up.
#[derive(Debug, Clone)]
pub struct AccessLog {
    messages: Option<SyncSender<Message>>,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
enum Message {
    Line(String),
    /// To be acknowledged when everything before it is written.
    Flush(SyncSender<()>),
}

impl AccessLog {
    /// Starts the writing thread, unless the log is switched off.
    ///
    /// # Errors
    ///
    /// The thread cannot be started.
    pub fn start(enabled: bool, metrics: Arc<Metrics>) -> std::io::Result<Self> {
        if !enabled {
            return Ok(Self { messages: None, metrics });
        }
        let (messages, waiting) = sync_channel(WAITING_LINES);
        std::thread::Builder::new().name("access-log".to_owned()).spawn(move || write(&waiting))?;
        Ok(Self { messages: Some(messages), metrics })
    }

    /// Whether lines are wanted at all.
    pub fn is_enabled(&self) -> bool {
        self.messages.is_some()
    }

    /// Leaves a line to be written.
    pub fn write(&self, line: String) {
        if let Some(messages) = &self.messages
            && messages.try_send(Message::Line(line)).is_err()
        {
            self.metrics.log_line_dropped();
        }
    }

    /// Waits until all lines left so far are written, but not long.
    pub fn flush(&self) {
        if let Some(messages) = &self.messages {
            let (done, written) = sync_channel(1);
            if messages.try_send(Message::Flush(done)).is_ok() {
                let _ = written.recv_timeout(FLUSH);
            }
        }
    }
}

/// Writes lines until every sender is gone.
fn write(waiting: &Receiver<Message>) {
    let mut out = std::io::stdout().lock();
    let mut batch = String::new();
    let mut flushed = None;
    while let Ok(message) = waiting.recv() {
        let mut next = Some(message);
        while let Some(message) = next {
            match message {
                Message::Line(line) => batch.push_str(&line),
                Message::Flush(done) => flushed = Some(done),
            }
            next = if batch.len() < BATCH { waiting.try_recv().ok() } else { None };
        }
        if out.write_all(batch.as_bytes()).and_then(|()| out.flush()).is_err() {
            // Nobody reads any more; the senders count what is lost.
            return;
        }
        batch.clear();
        if let Some(done) = flushed.take() {
            // Whoever asked may have gone.
            let _ = done.try_send(());
        }
    }
}
