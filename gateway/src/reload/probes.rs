//! Starts and stops health probes on reload.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::observe::stderr::say;
use crate::probe::{self, Change, ProbeTarget};
use crate::snapshot::Snapshot;
use crate::upstream::Upstream;

/// The running probes.
#[derive(Debug)]
pub struct Probes {
    runtime: Handle,
    running: Vec<(Arc<Upstream>, AbortHandle)>,
}

impl Probes {
    /// No probes; they will run on `runtime`.
    pub fn new(runtime: Handle) -> Self {
        Self { runtime, running: Vec::new() }
    }

    /// Probes the upstreams of a snapshot. Probes of unchanged upstreams continue.
    pub fn follow(&mut self, snapshot: &Snapshot) {
        let before = std::mem::take(&mut self.running);
        for upstream in &snapshot.upstreams {
            let known = before.iter().find(|(known, _)| Arc::ptr_eq(known, upstream));
            if let Some((_, task)) = known {
                self.running.push((Arc::clone(upstream), task.clone()));
            } else if let Some(target) = target(upstream) {
                let task = self.runtime.spawn(probe::run(vec![target], Arc::new(tell)));
                self.running.push((Arc::clone(upstream), task.abort_handle()));
            }
        }
        for (upstream, task) in before {
            if !self.running.iter().any(|(kept, _)| Arc::ptr_eq(kept, &upstream)) {
                task.abort();
            }
        }
    }
}

fn target(upstream: &Arc<Upstream>) -> Option<ProbeTarget> {
    let settings = Arc::new(upstream.probe()?);
    let (cluster, dial) = (Arc::clone(&upstream.cluster), upstream.dialing.clone());
    Some(ProbeTarget { cluster, settings, dial })
}

fn tell(change: &Change) {
    let Change { upstream, endpoint, down } = change;
    match down {
        None => say(format_args!("upstream '{upstream}': {endpoint} is up")),
        Some(reason) => say(format_args!("upstream '{upstream}': {endpoint} is down: {reason}")),
    }
}
