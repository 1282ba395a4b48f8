//! Endpoints of upstreams: identity, health and load balancing.
//!
//! A [`Cluster`] is the immutable list of one upstream. The state that all workers share about an endpoint is
//! its [`EndpointState`]: atomics that are written only on failures and recoveries. The state of one worker
//! is its [`Local`]: cells that no other thread accesses. A successful request to a healthy endpoint
//! therefore writes no shared memory.
//!
//! Every function takes the time as a [`Moment`], so that tests can set it.

mod balance;
mod budget;
mod circuit;
mod cluster;
mod health;
mod identity;
mod local;
mod moment;
mod state;
mod statuses;
#[cfg(test)]
mod tests;
mod zones;

pub use balance::{Balance, hash_key};
pub use budget::{Budget, BudgetSettings};
pub use circuit::{Circuit, CircuitError, CircuitSettings, Permit};
pub use cluster::{Cluster, ClusterConfig, Ejection, Pick};
pub use health::{FailureShare, HealthSettings, Outcome};
pub use identity::{Address, Endpoint, EndpointConfig, EndpointId, Protocol, Scheme};
pub use local::{InFlight, Local};
pub use moment::Moment;
pub use state::{EndpointState, Standing};
pub use statuses::Statuses;
