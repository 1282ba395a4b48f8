//! Probes all endpoints at their intervals.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::judge::Judge;
use super::{ProbeKind, ProbeSettings, http1, http2};
use crate::dial::{DialSettings, Dialed, dial_as};
use crate::endpoint::{Cluster, Endpoint, Moment, Protocol};
use crate::proxy_protocol::Proxied;

/// The first probes are spread over this time.
const SPREAD: Duration = Duration::from_secs(1);

/// An upstream to be probed.
#[derive(Debug, Clone)]
pub struct ProbeTarget {
    /// Its endpoints.
    pub cluster: Arc<Cluster>,
    /// How they are probed.
    pub settings: Arc<ProbeSettings>,
    /// Their connection settings.
    pub dial: DialSettings,
}

/// An endpoint changed between up and down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The upstream's name.
    pub upstream: String,
    /// The endpoint's address.
    pub endpoint: String,
    /// Why it is down; `None` if it is up.
    pub down: Option<String>,
}

/// Probes until dropped, with one task per endpoint on the caller's runtime.
///
/// The first result of an endpoint decides at once; until then it is considered up.
pub async fn run(targets: Vec<ProbeTarget>, on_change: Arc<dyn Fn(&Change) + Send + Sync>) {
    let mut tasks = JoinSet::new();
    let count: usize = targets.iter().map(|target| target.cluster.endpoints.len()).sum();
    for target in targets {
        let spread = SPREAD.min(target.settings.interval);
        for endpoint in &target.cluster.endpoints {
            let turn = u32::try_from(tasks.len()).unwrap_or(0);
            let offset = spread * turn / u32::try_from(count).unwrap_or(u32::MAX);
            let (target, endpoint) = (target.clone(), Arc::clone(endpoint));
            tasks.spawn(watch(target, endpoint, offset, Arc::clone(&on_change)));
        }
    }
    while tasks.join_next().await.is_some() {}
}

async fn watch(
    target: ProbeTarget,
    endpoint: Arc<Endpoint>,
    offset: Duration,
    on_change: Arc<dyn Fn(&Change) + Send + Sync>,
) {
    sleep(offset).await;
    let settings = &target.settings;
    let mut judge = Judge::default();
    loop {
        let start = Instant::now();
        let result = probe(&endpoint, settings, &target.dial).await;
        let news = judge.take(result.is_ok(), settings.healthy_threshold, settings.unhealthy_threshold);
        if let Some(up) = news
            && target.cluster.probed(endpoint.id, up, Moment::now())
        {
            let (upstream, endpoint) = (target.cluster.name.clone(), endpoint.name.clone());
            on_change(&Change { upstream, endpoint, down: result.err() });
        }
        sleep_until(start + settings.interval.max(Duration::from_millis(1))).await;
    }
}

/// One probe; the error is the reason for its failure.
async fn probe(endpoint: &Endpoint, settings: &ProbeSettings, dial: &DialSettings) -> Result<(), String> {
    let deadline = Instant::now() + settings.timeout;
    let dialed = dial_as(endpoint, endpoint.config.protocol, dial, &Proxied::Local, deadline).await;
    let Dialed { mut stream, protocol, .. } = dialed.map_err(|error| error.to_string())?;
    let ProbeKind::Http { path, host, expected } = &settings.kind else { return Ok(()) };
    let host = host.clone().or_else(|| endpoint.config.server_name.clone());
    let host = host.unwrap_or_else(|| endpoint.config.authority());
    let name = &endpoint.name;
    let get = async {
        if protocol == Protocol::Http2 {
            http2::get(stream, endpoint.config.scheme, path, &host, deadline).await
        } else {
            http1::get(&mut stream, path, &host).await
        }
    };
    match timeout_at(deadline, get).await.unwrap_or_else(|late| Err(late.into())) {
        Ok(status) if expected.contains(status) => Ok(()),
        Ok(status) => Err(format!("{name}: the probe was answered with {status}")),
        Err(error) if error.kind() == ErrorKind::TimedOut => {
            Err(format!("{name}: the probe got no answer in time"))
        }
        Err(error) => Err(format!("{name}: the probe failed: {error}")),
    }
}
