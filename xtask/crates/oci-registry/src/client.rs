//! The client: one for all registries of a command, shared by its threads.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;

use super::auth::{Environment, FoundCredential, GivenCredential};
use super::reference::{Reference, is_loopback};
use super::retry::{Clock, OnWait, Policy, RequestError, SystemClock};
use super::session::Session;
use super::url;
use super::wire::{Timeouts, Wire};
use cli_support::error::Fault;

/// How a client behaves.
#[derive(Clone)]
pub struct Options {
    /// Registries, as in image names, that are requested over plain HTTP. Those on this machine always are.
    pub plain_http: Vec<String>,
    /// A token from the caller, for its registry only.
    pub given: Option<GivenCredential>,
    /// The other sources of credentials.
    pub environment: Environment,
    /// How often failed requests are repeated.
    pub policy: Policy,
    /// Time limits of one exchange.
    pub timeouts: Timeouts,
    /// A PEM file of the only trusted certificates; without it those of the machine.
    pub roots: Option<PathBuf>,
    /// The clock and random numbers.
    pub clock: Arc<dyn Clock>,
    /// Called before each wait for a retry.
    pub on_wait: Option<OnWait>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            plain_http: Vec::new(),
            given: None,
            environment: Environment::of_process(),
            policy: Policy::default(),
            timeouts: Timeouts::default(),
            roots: None,
            clock: Arc::new(SystemClock),
            on_wait: None,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("plain_http", &self.plain_http)
            .field("given", &self.given)
            .field("policy", &self.policy)
            .field("timeouts", &self.timeouts)
            .field("roots", &self.roots)
            .finish_non_exhaustive()
    }
}

/// A client of the OCI distribution API, version 1.1. Blocking; may be used by several threads at once.
pub struct Client {
    pub(super) options: Options,
    wire: Arc<Wire>,
    sessions: Mutex<BTreeMap<String, Arc<Session>>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Client {
    /// A client. It reads files and connects only when a request needs that.
    pub fn new(options: Options) -> Self {
        let wire = Arc::new(Wire::new(options.timeouts, options.roots.clone()));
        Self { options, wire, sessions: Mutex::default() }
    }

    /// Where the credentials for this image come from. Asks files and helpers, and no registry.
    pub fn credentials(&self, reference: &Reference) -> Result<FoundCredential> {
        let session = self.session(reference).map_err(|failure| failure.error)?;
        session.found(reference.repository())
    }

    pub(super) fn wire(&self) -> &Wire {
        &self.wire
    }

    /// The session with an image's registry.
    pub(super) fn session(&self, reference: &Reference) -> Result<Arc<Session>, RequestError> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = sessions.get(reference.registry()) {
            return Ok(Arc::clone(session));
        }
        let registry = reference.registry();
        let plain = is_loopback(registry) || self.options.plain_http.iter().any(|one| one == registry);
        let scheme = if plain { "http" } else { "https" };
        let text = format!("{scheme}://{}/", reference.authority());
        let base = url::parse(&text).ok_or_else(|| {
            RequestError::permanent(Fault::failed("this registry's name makes no URL").at(registry))
        })?;
        let session = Arc::new(Session::new(
            registry,
            base,
            Arc::clone(&self.wire),
            Arc::clone(&self.options.clock),
            self.options.environment.clone(),
            self.options.given.clone(),
        ));
        sessions.insert(registry.to_owned(), Arc::clone(&session));
        Ok(session)
    }

    /// Repeats a request as the policy says.
    pub(super) fn retry<T>(&self, attempt: impl FnMut() -> Result<T, RequestError>) -> Result<T> {
        self.retry_transfer(0, attempt)
    }

    /// The same; the inner error is a permanent refusal, for callers that have
    /// another way.
    pub(super) fn retry_or_refusal<T>(
        &self,
        mut attempt: impl FnMut() -> Result<T, RequestError>,
    ) -> Result<Result<T>> {
        self.retry(|| match attempt() {
            Err(RequestError { transient: None, error }) => Ok(Err(error)),
            Err(failure) => Err(failure),
            Ok(value) => Ok(Ok(value)),
        })
    }

    /// The same for a request that moves so many bytes.
    pub(super) fn retry_transfer<T>(
        &self,
        bytes: u64,
        attempt: impl FnMut() -> Result<T, RequestError>,
    ) -> Result<T> {
        let policy = self.options.policy.for_transfer(bytes);
        policy.run(&*self.options.clock, self.options.on_wait.as_ref(), attempt)
    }
}
