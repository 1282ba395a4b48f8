//! What there is once in the process, whatever snapshot is in force.

use std::sync::Arc;

use crate::dial::dns::Resolver;
use crate::observe::access::AccessLog;
use crate::observe::log_settings::LogSettings;
use crate::observe::metrics::Metrics;
use crate::observe::request_id::RequestIds;
use crate::state::StateStore;

/// What every snapshot of the process uses.
#[derive(Debug)]
pub struct Process {
    /// The number of worker threads.
    pub threads: usize,
    /// Its name among other processes, made at its start.
    pub instance: String,
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// The access log.
    pub log: AccessLog,
    /// Addresses of names.
    pub resolver: Arc<Resolver>,
    /// What limits have counted.
    pub states: StateStore,
}

impl Process {
    /// A process with so many worker threads.
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

    /// Drops state and counters of what is in no snapshot any more.
    pub fn drop_unused(&self) {
        self.states.drop_unused();
        self.metrics.drop_unused();
    }
}
