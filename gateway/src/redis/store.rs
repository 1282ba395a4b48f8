//! A store of the settings, shared by all workers.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::dial::dns::Resolver;
use crate::dial::{ClientTls, ClientTlsConfig, ClientTlsError, DialSettings};
use crate::endpoint::Address;
use crate::observe::counter::{PerWorker, StoreRequests};
use crate::observe::stderr::say;

/// The settings of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreConfig {
    /// Its name.
    pub name: String,
    /// Its servers: one, or some of a cluster.
    pub servers: Vec<Address>,
    /// TLS, if it speaks it.
    pub tls: Option<ClientTlsConfig>,
    /// The login.
    pub credentials: Option<Credentials>,
    /// The number of its database.
    pub database: u32,
    /// The longest time that a request waits for it.
    pub timeout: Duration,
    /// The prefix of all keys.
    pub prefix: String,
}

/// A user with its password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user; without one, the default user.
    pub user: Option<String>,
    /// The password.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// A store.
#[derive(Debug)]
pub struct Store {
    /// Its settings.
    pub config: StoreConfig,
    pub(super) dialing: DialSettings,
    /// Its counters.
    pub counters: PerWorker<StoreRequests>,
    /// Its last connection failed.
    failing: AtomicBool,
}

impl Store {
    /// A store without a connection.
    ///
    /// # Errors
    ///
    /// The files for TLS cannot be read, or this machine cannot do TLS.
    pub fn new(
        config: StoreConfig,
        resolver: &Arc<Resolver>,
        counters: PerWorker<StoreRequests>,
    ) -> Result<Self, Vec<ClientTlsError>> {
        let tls = config.tls.as_ref().map(ClientTls::load).transpose()?.map(Arc::new);
        let dialing = DialSettings { resolver: Arc::clone(resolver), tls, proxy_header: None };
        Ok(Self { config, dialing, counters, failing: AtomicBool::new(false) })
    }

    /// Whether both have the same settings, and files with the same contents.
    pub fn is_same(&self, other: &Self) -> bool {
        let same_tls = match (&self.dialing.tls, &other.dialing.tls) {
            (Some(one), Some(other)) => one.is_same(other),
            (None, None) => true,
            _ => false,
        };
        self.config == other.config && same_tls
    }

    /// Logs that a connection failed, unless the one before failed too.
    pub(super) fn failed(&self, why: &str) {
        if !self.failing.swap(true, Ordering::Relaxed) {
            let name = &self.config.name;
            say(format_args!("store '{name}': {why}; limits do what their 'fail' says"));
        }
    }

    /// Logs that there is a connection again.
    pub(super) fn connected(&self) {
        if self.failing.swap(false, Ordering::Relaxed) {
            say(format_args!("store '{}': connected again", self.config.name));
        }
    }
}
