//! Limits of requests per key.

use std::time::Duration;

use super::listener::NamedFile;
use crate::endpoint::Address;
use crate::settings::{Place, Secret};

/// A limit that routes refer to by name.
#[derive(Debug, Clone)]
pub struct Limit {
    /// Its name, which clients see in `RateLimit`.
    pub name: String,
    /// Its place in the settings.
    pub place: Place,
    /// Its rule.
    pub rule: LimitRule,
    /// The name of its store; without one, each process counts separately.
    pub store: Option<String>,
    /// Behaviour while the store does not answer.
    pub fail: StoreFail,
}

/// Behaviour of a limit while its store does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreFail {
    /// Requests are allowed.
    Open,
    /// Requests are refused with 503.
    Closed,
    /// The process counts separately.
    Local,
}

/// A store for limits: Redis, Valkey or a cluster of them.
#[derive(Debug, Clone)]
pub struct Store {
    /// Its name.
    pub name: String,
    /// Its place in the settings.
    pub place: Place,
    /// Its servers.
    pub servers: Vec<Address>,
    /// Whether it uses TLS.
    pub tls: bool,
    /// The certificate authorities of its servers; default: the system's.
    pub ca: Option<NamedFile>,
    /// The user, if it is not the default one.
    pub user: Option<String>,
    /// The password.
    pub password: Option<Secret>,
    /// The number of its database.
    pub database: u32,
    /// Maximum time that a request waits for it.
    pub timeout: Duration,
    /// Prefix of all keys.
    pub prefix: String,
}

/// The rule of a limit. Limits with equal names and rules share their counts, also across a reload of the
/// settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitRule {
    /// How many requests.
    pub amount: Amount,
    /// The parts of the key; empty to count all requests together.
    pub key: Vec<KeyPart>,
    /// Number of bits of an IPv6 address that identify a client.
    pub ipv6_prefix: u32,
    /// Maximum number of stored keys.
    pub max_keys: usize,
    /// Whether responses have `RateLimit` and `RateLimit-Policy`.
    pub fields: bool,
}

impl Default for LimitRule {
    fn default() -> Self {
        Self {
            amount: Amount::Rate { requests: 1, per: Duration::from_secs(1), burst: 1 },
            key: vec![KeyPart::Client],
            ipv6_prefix: 64,
            max_keys: 100_000,
            fields: true,
        }
    }
}

/// The number of allowed requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Amount {
    /// A token bucket.
    Rate {
        /// The number of requests
        requests: u64,
        /// per period,
        per: Duration,
        /// and the maximum burst.
        burst: u64,
    },
    /// A quota per calendar window, in UTC.
    Quota {
        /// The number.
        requests: u64,
        /// The windows.
        per: Calendar,
    },
    /// A limit of requests in flight.
    Concurrency {
        /// Maximum number of requests in flight.
        requests: u64,
        /// Maximum number of waiting requests.
        queue: usize,
        /// Maximum wait.
        queue_timeout: Duration,
    },
}

/// Calendar windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Calendar {
    /// From minute 0 of an hour.
    Hour,
    /// From midnight.
    Day,
    /// From midnight of the first day.
    Month,
}

impl Calendar {
    /// The length of a window in seconds, if all windows have the same length.
    pub const fn seconds(self) -> Option<u64> {
        match self {
            Self::Hour => Some(3600),
            Self::Day => Some(86400),
            Self::Month => None,
        }
    }
}

/// A part of the key by which requests are counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyPart {
    /// The name of the route.
    Route,
    /// The client's address.
    Client,
    /// The first header field of this name, in lower case.
    Header(String),
    /// The authenticated identity.
    Identity,
    /// A claim of the authenticated token.
    Claim(String),
}

impl KeyPart {
    /// Whether it is known only after authentication.
    pub const fn is_of_identity(&self) -> bool {
        matches!(self, Self::Identity | Self::Claim(_))
    }
}
