//! The access log: one JSON object in one line for every request, on standard output.

use std::io::Write;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use super::metrics::Metrics;

/// How many lines may wait for a slow reader of standard output.
const WAITING_LINES: usize = 8192;

/// Where threads leave their lines.
///
/// Writing to standard output can block, and a worker must not: the lines go to a thread of their
/// own, and are dropped and counted if it does not keep up.
#[derive(Debug, Clone)]
pub struct AccessLog {
    lines: Option<SyncSender<String>>,
    metrics: Arc<Metrics>,
}

impl AccessLog {
    /// Starts the writing thread, unless the log is switched off.
    ///
    /// # Errors
    ///
    /// The thread cannot be started.
    pub fn start(enabled: bool, metrics: Arc<Metrics>) -> std::io::Result<(Self, Option<JoinHandle<()>>)> {
        if !enabled {
            let lines = None;
            return Ok((Self { lines, metrics }, None));
        }
        let (lines, waiting) = sync_channel(WAITING_LINES);
        let thread =
            std::thread::Builder::new().name("access-log".to_owned()).spawn(move || write(&waiting))?;
        let lines = Some(lines);
        Ok((Self { lines, metrics }, Some(thread)))
    }

    /// Whether lines are wanted at all.
    pub fn is_enabled(&self) -> bool {
        self.lines.is_some()
    }

    /// Leaves a line to be written.
    pub fn write(&self, line: String) {
        if let Some(lines) = &self.lines
            && let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = lines.try_send(line)
        {
            self.metrics.log_line_dropped();
        }
    }
}

/// Writes lines until every sender is gone.
fn write(waiting: &Receiver<String>) {
    let mut out = std::io::stdout().lock();
    let mut batch = String::new();
    while let Ok(line) = waiting.recv() {
        batch.push_str(&line);
        while batch.len() < 64 << 10
            && let Ok(line) = waiting.try_recv()
        {
            batch.push_str(&line);
        }
        if out.write_all(batch.as_bytes()).and_then(|()| out.flush()).is_err() {
            // Nobody reads any more; the senders count what is lost.
            return;
        }
        batch.clear();
    }
}
