//! Trace export.

use std::time::Duration;

use super::listener::NamedFile;
use crate::fetch::Url;
use crate::settings::{Place, Secret};

/// Trace export.
#[derive(Debug, Clone)]
pub struct Traces {
    /// Its place in the settings.
    pub place: Place,
    /// The collector's URL.
    pub url: Url,
    /// The certificate authorities for the collector; default: the system's.
    pub ca: Option<NamedFile>,
    /// Header fields for the collector.
    pub headers: Vec<(String, Secret)>,
    /// One of this number of requests without a caller's decision is sampled.
    pub one_in: u64,
    /// Whether the caller's trace and sampling decision are used.
    pub parent: bool,
    /// The name of this service.
    pub service_name: String,
    /// Further attributes of the process.
    pub resource: Vec<(String, String)>,
    /// Timeout of one request to the collector.
    pub timeout: Duration,
    /// Maximum number of spans queued per worker.
    pub max_waiting: usize,
}
