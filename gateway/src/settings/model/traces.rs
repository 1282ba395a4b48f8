//! Traces: where they go, and of which requests.

use std::time::Duration;

use super::listener::NamedFile;
use crate::fetch::Url;
use crate::settings::{Place, Secret};

/// Where traces go, and of which requests.
#[derive(Debug, Clone)]
pub struct Traces {
    /// Where the settings define them.
    pub place: Place,
    /// The collector.
    pub url: Url,
    /// The authorities of its certificate; without them, those of the system.
    pub ca: Option<NamedFile>,
    /// Fields of the requests to it.
    pub headers: Vec<(String, Secret)>,
    /// Of so many requests without a caller's decision, one is recorded.
    pub one_in: u64,
    /// Whether the trace of the caller and its decision are kept.
    pub parent: bool,
    /// The name of this service.
    pub service_name: String,
    /// What else is known of it.
    pub resource: Vec<(String, String)>,
    /// The longest time of one request to the collector.
    pub timeout: Duration,
    /// The most spans that wait in a worker.
    pub max_waiting: usize,
}
