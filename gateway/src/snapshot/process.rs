//! State of the process, shared by all snapshots.

use std::sync::Arc;

use crate::dial::dns::Resolver;
use crate::observe::access::AccessLog;
use crate::observe::log_settings::LogSettings;
use crate::observe::metrics::Metrics;
use crate::observe::request_id::RequestIds;
use crate::state::StateStore;

/// State shared by all snapshots of the process.
#[derive(Debug)]
pub struct Process {
    /// The number of worker threads.
    pub threads: usize,
    /// A random name of this process.
    pub instance: String,
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// The access log.
    pub log: AccessLog,
    /// The DNS resolver.
    pub resolver: Arc<Resolver>,
    /// State of limits.
    pub states: StateStore,
}

impl Process {
    /// A process with `threads` worker threads.
    pub fn new(threads: usize, access_log: impl Into<LogSettings>) -> Self {
        let log = AccessLog::new(access_log);
        let metrics = Arc::new(Metrics::new(threads, log.clone()));
        let instance = String::from_utf8_lossy(&RequestIds::new(threads).next()).into_owned();
        Self {
            threads,
            instance,
            metrics,
            log,
            resolver: Arc::new(Resolver::default()),
            states: StateStore::default(),
        }
    }

    /// Drops state and counters of items that are in no snapshot.
    pub fn drop_unused(&self) {
        self.states.drop_unused();
        self.metrics.drop_unused();
    }
}
