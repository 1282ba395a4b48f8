//! The servers behind the gateway: which there are, how well each does, and which one takes the
//! next request.
//!
//! A [`Cluster`] is the immutable list of one upstream. What all workers know of an endpoint is its
//! [`EndpointState`]: atomics that are written only when something goes wrong or comes back. What one
//! worker knows is its [`Local`]: cells that no other thread sees. A request to a healthy endpoint
//! that succeeds therefore writes no memory that workers share.
//!
//! Every function takes the time as a [`Moment`], so that tests choose it.

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
