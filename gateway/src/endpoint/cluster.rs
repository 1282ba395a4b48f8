//! The endpoints of one upstream.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::balance::{Balance, Candidates, hash_key};
use super::budget::BudgetSettings;
use super::circuit::{Circuit, CircuitSettings};
use super::health::{HealthSettings, Outcome, Verdict};
use super::identity::{Endpoint, EndpointConfig, EndpointId};
use super::local::Local;
use super::moment::Moment;
use super::state::{EndpointState, FULL, window};
use super::zones;

/// Settings of an upstream.
#[derive(Debug, Clone)]
pub struct ClusterConfig {
    /// The upstream's name.
    pub name: String,
    /// Its endpoints.
    pub endpoints: Vec<EndpointConfig>,
    /// Load balancing algorithm.
    pub balance: Balance,
    /// Ejection settings.
    pub health: HealthSettings,
    /// Circuit breaker; without it the number of requests in flight is not limited.
    pub circuit: Option<CircuitSettings>,
    /// Retry budget.
    pub budget: BudgetSettings,
}

/// An upstream with its endpoints; immutable except for their health.
#[derive(Debug)]
pub struct Cluster {
    /// The upstream's name.
    pub name: String,
    /// The endpoints, in the order of their priority.
    pub endpoints: Vec<Arc<Endpoint>>,
    /// The circuit breaker, shared by all workers.
    pub circuit: Option<Arc<Circuit>>,
    balance: Balance,
    health: HealthSettings,
    budget: BudgetSettings,
    zones: Vec<Zone>,
    /// The moment from which all endpoints are in service with full weight, as far as is known now.
    calm_from: AtomicU64,
    /// Locked during an ejection, so that two workers do not exceed the limit together.
    ejecting: Mutex<()>,
}

/// Endpoints of equal priority.
#[derive(Debug)]
struct Zone {
    range: Range<usize>,
    /// All have the same weight, which is not 0.
    uniform: bool,
}

/// The endpoint chosen for a request.
#[derive(Debug, Clone, Copy)]
pub struct Pick<'a> {
    /// Its index in this cluster, for [`Local`] and [`Cluster::report`].
    pub index: usize,
    /// The endpoint.
    pub endpoint: &'a Arc<Endpoint>,
}

/// An ejection of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ejection {
    /// Its duration.
    pub time: Duration,
}

impl Cluster {
    /// Makes a cluster from its settings.
    ///
    /// Endpoints that also exist in `previous` keep their id, so that their connections are reused, and their
    /// health; new ones begin with a slow start. The caller passes no `previous` if other connection settings
    /// (certificates, PROXY protocol) have changed.
    pub fn new(config: ClusterConfig, previous: Option<&Self>, now: Moment) -> Self {
        let mut configs = config.endpoints;
        configs.sort_by_key(|endpoint| endpoint.priority);
        let endpoints: Vec<_> = configs.into_iter().map(|endpoint| adopt(endpoint, previous, now)).collect();
        let zones = endpoints
            .chunk_by(|one, next| one.config.priority == next.config.priority)
            .scan(0, |start, zone| {
                let range = *start..*start + zone.len();
                *start = range.end;
                let weight = zone[0].config.weight;
                let uniform = weight != 0 && zone.iter().all(|endpoint| endpoint.config.weight == weight);
                Some(Zone { range, uniform })
            })
            .collect();
        let circuit = config.circuit.map(|settings| {
            previous
                .and_then(|previous| previous.circuit.as_ref())
                .filter(|circuit| *circuit.settings() == settings)
                .map_or_else(|| Arc::new(Circuit::new(settings)), Arc::clone)
        });
        let cluster = Self {
            name: config.name,
            endpoints,
            circuit,
            balance: config.balance,
            health: config.health,
            budget: config.budget,
            zones,
            calm_from: AtomicU64::new(0),
            ejecting: Mutex::new(()),
        };
        cluster.refresh();
        cluster
    }

    /// The part of worker number `worker` of `workers`.
    pub fn local(&self, worker: usize, workers: usize) -> Local {
        let local = Local::new(self.endpoints.len(), &self.budget, worker, workers);
        // With different weights, workers begin at different points of the same sequence.
        for _ in 0..worker % self.endpoints.len().max(1) {
            self.pick(&local, None, &[], Moment::NEVER);
        }
        local.cursor.set(worker);
        local
    }

    /// The endpoint for a request; `None` if every weight is 0.
    ///
    /// `key` is for the consistent hash; `tried` are endpoints that failed this request. The order of
    /// preference: endpoints in service that were not tried, in the chosen zone and then in the others;
    /// endpoints in service that were tried; all endpoints, since an attempt is better than a refusal.
    pub fn pick(
        &self,
        local: &Local,
        key: Option<u64>,
        tried: &[EndpointId],
        now: Moment,
    ) -> Option<Pick<'_>> {
        let calm = self.calm_from.load(Ordering::Relaxed) <= now.millis();
        let whole = |index: usize| u64::from(self.endpoints[index].config.weight) * FULL;
        let weight = |index: usize| {
            let endpoint = &self.endpoints[index];
            let share = if calm { FULL } else { endpoint.state.share(self.health.slow_start, now) };
            u64::from(endpoint.config.weight) * share
        };
        let fresh = |index: usize| !tried.contains(&self.endpoints[index].id);
        let untried = |index: usize| if fresh(index) { weight(index) } else { 0 };
        let first = if calm || self.zones.len() == 1 {
            self.zones.first()?
        } else {
            let weights = self
                .zones
                .iter()
                .map(|zone| (zone.range.clone().map(weight).sum(), zone.range.clone().map(whole).sum()));
            &self.zones[zones::choose(weights, local.random(zones::PARTS)).unwrap_or(0)]
        };
        let uniform = calm && tried.is_empty() && first.uniform;
        if let Some(pick) = self.among(local, key, first.range.clone(), uniform, untried) {
            return Some(pick);
        }
        let ranges = || self.zones.iter().map(|zone| zone.range.clone());
        let all = 0..self.endpoints.len();
        let any_untried = |index: usize| if fresh(index) { whole(index) } else { 0 };
        ranges()
            .find_map(|range| self.among(local, key, range, false, untried))
            .or_else(|| ranges().find_map(|range| self.among(local, key, range, false, weight)))
            .or_else(|| self.among(local, key, all.clone(), false, any_untried))
            .or_else(|| self.among(local, key, all, false, whole))
    }

    fn among(
        &self,
        local: &Local,
        key: Option<u64>,
        range: Range<usize>,
        uniform: bool,
        weight: impl Fn(usize) -> u64,
    ) -> Option<Pick<'_>> {
        let index = Candidates { range, weight, uniform, local }
            .pick(self.balance, key, |index| self.endpoints[index].hash)?;
        Some(Pick { index, endpoint: &self.endpoints[index] })
    }

    /// Records the outcome of an attempt; returns the ejection if it causes one.
    ///
    /// `index` is that of the [`Pick`]. A success at a healthy endpoint writes to no shared memory.
    pub fn report(&self, local: &Local, index: usize, outcome: Outcome, now: Moment) -> Option<Ejection> {
        let state = &self.endpoints.get(index)?.state;
        let rule = self.health.failure_share.as_ref();
        let told = rule.map(|rule| {
            let window = window(rule, now);
            let (of, count) = local.successes[index].get();
            (window, if of == window { count } else { 0 })
        });
        let verdict = self.health.verdict(outcome);
        if verdict == Verdict::Good {
            if let Some((window, count)) = told {
                local.successes[index].set((window, count.saturating_add(1)));
            }
            state.succeeded(now);
            return None;
        }
        if !state.in_service(now) {
            return None;
        }
        let in_a_row = state.failed(verdict, &self.health);
        let by_share = rule.zip(told).is_some_and(|(rule, (window, count))| {
            local.successes[index].set((window, 0));
            state.failed_in_window(rule, count, now)
        });
        if in_a_row || by_share { self.eject(state, now) } else { None }
    }

    fn eject(&self, state: &EndpointState, now: Moment) -> Option<Ejection> {
        let _guard = self.ejecting.lock().unwrap_or_else(PoisonError::into_inner);
        let out = self.endpoints.iter().filter(|endpoint| endpoint.state.ejected(now)).count();
        if state.ejected(now) || out >= self.health.may_be_ejected(self.endpoints.len()) {
            return None;
        }
        let time = state.eject(&self.health, now);
        self.refresh();
        Some(Ejection { time })
    }

    /// Applies the result of active probes to an endpoint; returns whether it changed the state.
    pub fn probed(&self, id: EndpointId, up: bool, now: Moment) -> bool {
        let _guard = self.ejecting.lock().unwrap_or_else(PoisonError::into_inner);
        let endpoint = self.endpoints.iter().find(|endpoint| endpoint.id == id);
        let news = endpoint.is_some_and(|endpoint| endpoint.state.probed(up, now));
        self.refresh();
        news
    }

    /// The number of endpoints in service, and of all endpoints.
    pub fn in_service(&self, now: Moment) -> (usize, usize) {
        let count = self.endpoints.iter().filter(|endpoint| endpoint.state.in_service(now)).count();
        (count, self.endpoints.len())
    }

    fn refresh(&self) {
        let settled = |endpoint: &Arc<Endpoint>| match endpoint.state.in_service_since() {
            Moment::START => Moment::START,
            since => since.after(self.health.slow_start),
        };
        let calm = self.endpoints.iter().map(settled).max().unwrap_or_default();
        self.calm_from.store(calm.millis(), Ordering::Relaxed);
    }
}

/// The endpoint of `previous` with this configuration, or a new one.
fn adopt(config: EndpointConfig, previous: Option<&Cluster>, now: Moment) -> Arc<Endpoint> {
    let known = previous.and_then(|previous| {
        previous.endpoints.iter().find(|endpoint| endpoint.config.same_connection(&config))
    });
    if let Some(known) = known.filter(|known| known.config == config) {
        return Arc::clone(known);
    }
    let since = if previous.is_some() { now } else { Moment::START };
    let name = config.address.to_string();
    Arc::new(Endpoint {
        id: known.map_or_else(EndpointId::next, |known| known.id),
        state: known.map_or_else(|| Arc::new(EndpointState::new(since)), |known| Arc::clone(&known.state)),
        hash: hash_key(name.as_bytes()),
        name,
        config,
    })
}
