//! Limits: how many requests of one key may pass.

use std::time::Duration;

use super::listener::NamedFile;
use crate::endpoint::Address;
use crate::settings::{Place, Secret};

/// A limit that routes name.
#[derive(Debug, Clone)]
pub struct Limit {
    /// Its name, which clients see in `RateLimit`.
    pub name: String,
    /// Where the settings define it.
    pub place: Place,
    /// What it says.
    pub rule: LimitRule,
    /// The name of the store in which it counts; without one, each process counts for itself.
    pub store: Option<String>,
    /// What holds while the store gives no answer.
    pub fail: StoreFail,
}

/// What a limit does while its store gives no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreFail {
    /// Requests pass.
    Open,
    /// Requests are refused with 503.
    Closed,
    /// The process counts for itself.
    Local,
}

/// A store that limits name: Redis, Valkey or a cluster of them.
#[derive(Debug, Clone)]
pub struct Store {
    /// Its name.
    pub name: String,
    /// Where the settings define it.
    pub place: Place,
    /// Its servers.
    pub servers: Vec<Address>,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// The authorities of its certificates; without them, those of the system.
    pub ca: Option<NamedFile>,
    /// The user, if it is not the default one.
    pub user: Option<String>,
    /// The password.
    pub password: Option<Secret>,
    /// The number of its database.
    pub database: u32,
    /// The longest time that a request waits for it.
    pub timeout: Duration,
    /// What all keys begin with.
    pub prefix: String,
}

/// What a limit says. Limits with equal names and rules share what they have counted, also across a
/// reload of the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitRule {
    /// How many requests.
    pub amount: Amount,
    /// Of what they are counted; nothing for all requests together.
    pub key: Vec<KeyPart>,
    /// The bits of an IPv6 address that stand for a client.
    pub ipv6_prefix: u32,
    /// The most keys that are remembered.
    pub max_keys: usize,
    /// Whether clients are told by `RateLimit` and `RateLimit-Policy`.
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

/// How many requests may pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Amount {
    /// A token bucket.
    Rate {
        /// So many requests
        requests: u64,
        /// in this time,
        per: Duration,
        /// of which so many may come at once.
        burst: u64,
    },
    /// A number in each window of the calendar, in UTC.
    Quota {
        /// The number.
        requests: u64,
        /// The windows.
        per: Calendar,
    },
    /// Requests in flight.
    Concurrency {
        /// The most of them.
        requests: u64,
        /// The most that wait for one of them to end.
        queue: usize,
        /// How long one may wait.
        queue_timeout: Duration,
    },
}

/// Windows of the calendar.
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
    /// The length of a window in seconds, where all have the same.
    pub const fn seconds(self) -> Option<u64> {
        match self {
            Self::Hour => Some(3600),
            Self::Day => Some(86400),
            Self::Month => None,
        }
    }
}

/// A part of what requests are counted by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyPart {
    /// The name of the route.
    Route,
    /// The address of the client.
    Client,
    /// The first field of this name, which is in lower case.
    Header(String),
    /// Who sent the request, as its authentication found.
    Identity,
    /// A claim of the token that the request was authenticated by.
    Claim(String),
}

impl KeyPart {
    /// Whether it is known only after the authentication.
    pub const fn is_of_identity(&self) -> bool {
        matches!(self, Self::Identity | Self::Claim(_))
    }
}
