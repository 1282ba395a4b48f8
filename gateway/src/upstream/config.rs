//! Makes an upstream from its settings.

use std::sync::Arc;

use super::Upstream;
use crate::dial::dns::Resolver;
use crate::dial::{ClientTls, ClientTlsConfig, ClientTlsError, DialSettings, Roots};
use crate::endpoint::{
    Balance, BudgetSettings, CircuitSettings, Cluster, ClusterConfig, EndpointConfig, HealthSettings, Moment,
    Protocol, Scheme,
};
use crate::observe::metrics::Metrics;
use crate::probe::{ProbeKind, ProbeSettings};
use crate::settings;

/// A file of an upstream cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamProblem {
    /// The error.
    pub error: ClientTlsError,
}

impl Upstream {
    /// Makes an upstream, or returns the `previous` one if nothing has changed.
    ///
    /// A changed upstream keeps the endpoints that both have, with their health and connections, unless its
    /// TLS or PROXY protocol settings have changed: then no connection can be reused.
    ///
    /// # Errors
    ///
    /// The TLS files cannot be used.
    pub fn compile(
        settings: &settings::Upstream,
        resolver: &Arc<Resolver>,
        metrics: &Metrics,
        previous: Option<&Arc<Self>>,
    ) -> Result<Arc<Self>, Vec<UpstreamProblem>> {
        let encrypted = settings.endpoints.iter().any(|endpoint| endpoint.scheme == settings::Scheme::Https);
        let mut tls = if encrypted { Some(Arc::new(load(&settings.tls)?)) } else { None };
        let known = previous.filter(|previous| match (&tls, &previous.dialing.tls) {
            (Some(tls), Some(known)) => tls.is_same(known),
            (tls, known) => tls.is_none() && known.is_none(),
        });
        if let Some(known) = known {
            if known.settings.without_places() == settings.without_places() {
                return Ok(Arc::clone(known));
            }
            // Keeps the resumable TLS sessions.
            tls.clone_from(&known.dialing.tls);
        }
        let known = known.filter(|known| known.dialing.proxy_header == settings.proxy_protocol);
        let dialing =
            DialSettings { resolver: Arc::clone(resolver), tls, proxy_header: settings.proxy_protocol };
        let cluster = Cluster::new(config(settings), known.map(|known| &*known.cluster), Moment::now());
        Ok(Arc::new(Self::new(settings.clone(), metrics, Arc::new(cluster), dialing)))
    }
}

impl Upstream {
    /// Probe settings of its endpoints, if they are probed.
    pub fn probe(&self) -> Option<ProbeSettings> {
        let probe = self.settings.probe.as_ref()?;
        Some(ProbeSettings {
            kind: ProbeKind::Http {
                path: probe.path.clone(),
                host: probe.host.clone(),
                expected: probe.statuses.clone(),
            },
            interval: probe.interval,
            timeout: probe.timeout,
            healthy_threshold: probe.healthy_after,
            unhealthy_threshold: probe.unhealthy_after,
        })
    }
}

fn load(tls: &settings::UpstreamTls) -> Result<ClientTls, Vec<UpstreamProblem>> {
    let config = ClientTlsConfig {
        roots: tls.ca.as_ref().map_or(Roots::System, |file| Roots::File(file.path.clone())),
        identity: tls.identity.as_ref().map(|pair| (pair.certificate.path.clone(), pair.key.path.clone())),
    };
    ClientTls::load(&config)
        .map_err(|errors| errors.into_iter().map(|error| UpstreamProblem { error }).collect())
}

fn config(settings: &settings::Upstream) -> ClusterConfig {
    ClusterConfig {
        name: settings.name.clone(),
        endpoints: settings.endpoints.iter().map(|one| endpoint(one, settings)).collect(),
        balance: match settings.balance {
            settings::Balance::RoundRobin => Balance::RoundRobin,
            settings::Balance::LeastRequests => Balance::LeastRequests,
            settings::Balance::Hash { max_load_percent, .. } => Balance::ConsistentHash { max_load_percent },
        },
        health: health(settings),
        circuit: settings.circuit.map(|circuit| CircuitSettings {
            max_requests: circuit.max_requests as usize,
            max_pending: circuit.max_pending as usize,
            pending_timeout: circuit.queue_timeout,
        }),
        budget: BudgetSettings { percent: settings.retries.budget_percent, ..BudgetSettings::default() },
    }
}

fn endpoint(endpoint: &settings::Endpoint, settings: &settings::Upstream) -> EndpointConfig {
    let protocol = match (settings.protocol, endpoint.scheme) {
        (Protocol::Auto, settings::Scheme::H2c) => Protocol::Http2,
        (protocol, _) => protocol,
    };
    EndpointConfig {
        scheme: if endpoint.scheme == settings::Scheme::Https { Scheme::Https } else { Scheme::Http },
        address: endpoint.address.clone(),
        server_name: settings.tls.server_name.clone(),
        protocol,
        weight: endpoint.weight,
        priority: u8::try_from(endpoint.priority).unwrap_or(u8::MAX),
    }
}

fn health(settings: &settings::Upstream) -> HealthSettings {
    let Some(outlier) = &settings.outlier else {
        return HealthSettings {
            consecutive_failures: 0,
            consecutive_errors: 0,
            slow_start: settings.slow_start,
            ..HealthSettings::default()
        };
    };
    HealthSettings {
        error_statuses: outlier.statuses.clone(),
        consecutive_failures: outlier.connect_failures,
        consecutive_errors: outlier.failures,
        failure_share: None,
        ejection_time: outlier.base_ejection,
        max_ejection_time: outlier.max_ejection,
        max_ejected_percent: outlier.max_ejected_percent,
        slow_start: settings.slow_start,
    }
}
