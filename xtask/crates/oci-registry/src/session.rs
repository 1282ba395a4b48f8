//! Requests to one registry. Its credentials are sent to no other host.

mod authorize;
mod content;
mod refused;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use ureq::http::header::{HeaderName, WWW_AUTHENTICATE};
use ureq::http::{HeaderValue, Method, StatusCode, Uri};

use super::auth::{self, Credential, Environment, FoundCredential, GivenCredential};
use super::challenge::{self, Challenge};
use super::retry::{Clock, RequestError};
use super::secret::Secret;
use super::token::{Cache, Scope};
use super::url;
use super::wire::{Ask, Payload, Redirects, Response, Wire};
use authorize::{best, header};
use cli_support::error::Fault;
use cli_support::mask;
pub(super) use content::{Content, Open};
use content::{Counted, open_at};

/// The most that is read of a refusal.
const MAX_REFUSAL_BYTES: u64 = 64 * 1024;

/// One registry, its credentials and tokens.
pub(super) struct Session {
    registry: String,
    base: Uri,
    wire: Arc<Wire>,
    clock: Arc<dyn Clock>,
    environment: Environment,
    given: Option<GivenCredential>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    found: BTreeMap<String, FoundCredential>,
    challenge: Option<Challenge>,
    tokens: Cache,
    /// By what a token is for; locked while it is asked for, so that requests at the same time ask once.
    orders: BTreeMap<String, Arc<Mutex<()>>>,
    /// Repositories that accepted a write.
    writable: BTreeSet<String>,
}

/// A request to the registry.
pub(super) struct Call<'a> {
    pub(super) method: Method,
    pub(super) url: Uri,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// The first one names the repository that the request is about.
    pub(super) scopes: &'a [Scope],
    pub(super) content: Content<'a>,
    pub(super) redirects: Redirects,
}

impl Session {
    pub(super) fn new(
        registry: &str,
        base: Uri,
        wire: Arc<Wire>,
        clock: Arc<dyn Clock>,
        environment: Environment,
        given: Option<GivenCredential>,
    ) -> Self {
        let state = Mutex::default();
        Self { registry: registry.to_owned(), base, wire, clock, environment, given, state }
    }

    /// The URL of a path below the registry's root.
    pub(super) fn url(&self, path: &str) -> Result<Uri, RequestError> {
        self.join(&self.base, path)
    }

    /// The URL that the registry points to from `from`.
    pub(super) fn join(&self, from: &Uri, location: &str) -> Result<Uri, RequestError> {
        let next = url::join(from, location).ok_or_else(|| {
            RequestError::permanent(
                Fault::failed("the registry points to a place that is no URL").at(url::shown(from)),
            )
        })?;
        if url::is_tls(&self.base) && !url::is_tls(&next) {
            // A registry behind a proxy that ends TLS may not know its own scheme.
            if next.host() == self.base.host() && matches!(next.port_u16(), None | Some(80)) {
                return self.own(&next);
            }
            let fault = Fault::failed(format!("the registry points from https to {}", url::shown(&next)))
                .at(url::shown(from))
                .hint("a proxy in front of the registry must pass on X-Forwarded-Proto");
            return Err(RequestError::permanent(fault));
        }
        Ok(next)
    }

    /// A URL's path and query on the registry itself.
    pub(super) fn own(&self, uri: &Uri) -> Result<Uri, RequestError> {
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        url::join(&self.base, path).ok_or_else(|| {
            RequestError::permanent(Fault::failed("the registry points to no URL").at(url::shown(uri)))
        })
    }

    /// Whether a repository took a write of this session, so that its refusals to read are about what is read.
    pub(super) fn is_writable(&self, repository: &str) -> bool {
        self.state().writable.contains(repository)
    }

    /// Whether a URL is on the registry itself.
    pub(super) fn is_own(&self, uri: &Uri) -> bool {
        url::same_origin(&self.base, uri)
    }

    /// The credential for a repository, looked up once.
    pub(super) fn found(&self, repository: &str) -> Result<FoundCredential> {
        if let Some(found) = self.state().found.get(repository) {
            return Ok(found.clone());
        }
        // Not under the lock: a helper may ask its owner something.
        let found = auth::find(&self.environment, self.given.as_ref(), &self.registry, repository)?;
        for secret in found.credential.iter().flat_map(Credential::secrets) {
            mask::remember(secret.expose());
        }
        self.state().found.insert(repository.to_owned(), found.clone());
        Ok(found)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a request; a 401 is answered once with a new token. Other statuses are the caller's.
    pub(super) fn send(&self, call: &mut Call<'_>) -> Result<Response, RequestError> {
        let answer = self.send_authorized(call)?;
        let writes = matches!(call.method, Method::POST | Method::PUT | Method::PATCH);
        if writes && answer.status.is_success() {
            self.state().writable.insert(repository(call.scopes).to_owned());
        }
        Ok(answer)
    }

    fn send_authorized(&self, call: &mut Call<'_>) -> Result<Response, RequestError> {
        let own = self.is_own(&call.url);
        let authorization = if own { self.standing(call.scopes)? } else { None };
        let mut answer = self.send_once(call, authorization.as_ref())?;
        if answer.status != StatusCode::UNAUTHORIZED || !own || !self.is_own(&answer.url) {
            return Ok(answer);
        }
        let values = answer.headers.get_all(WWW_AUTHENTICATE).iter();
        let challenges =
            values.filter_map(|value| value.to_str().ok()).flat_map(challenge::parse).collect::<Vec<_>>();
        let Some(challenge) = best(&challenges) else { return Ok(answer) };
        self.state().challenge = Some(challenge.clone());
        let Some(authorization) = self.authorization(&challenge, call.scopes, authorization.as_ref())? else {
            return Ok(answer);
        };
        // Read to its end, the connection can be used again.
        answer.read_some(MAX_REFUSAL_BYTES);
        self.send_once(call, Some(&authorization))
    }

    /// Sends a request with these statuses as success; any other is an error with its cause.
    pub(super) fn expect(&self, call: &mut Call<'_>, wanted: &[u16]) -> Result<Response, RequestError> {
        let answer = self.send(call)?;
        if wanted.contains(&answer.status.as_u16()) { Ok(answer) } else { Err(self.refused(answer, call)) }
    }

    /// Sends a write. Any 2xx is success (RFC 9110, section 15.3): registries differ in which one they choose.
    pub(super) fn write(&self, call: &mut Call<'_>) -> Result<Response, RequestError> {
        let answer = self.send(call)?;
        if answer.status.is_success() { Ok(answer) } else { Err(self.refused(answer, call)) }
    }

    fn send_once(
        &self,
        call: &mut Call<'_>,
        authorization: Option<&Secret>,
    ) -> Result<Response, RequestError> {
        let authorization = authorization.map(header).transpose().map_err(RequestError::permanent)?;
        let mut part;
        let payload = match &mut call.content {
            Content::None => Payload::None,
            Content::Bytes(bytes) => Payload::Bytes(bytes),
            Content::Part { open, skip, length, sent } => {
                part =
                    Counted { reader: open_at(*open, *skip).map_err(RequestError::permanent)?, sent: *sent };
                Payload::Stream(&mut part, *length)
            }
        };
        self.wire.send(Ask {
            method: call.method.clone(),
            url: call.url.clone(),
            headers: call.headers.clone(),
            authorization,
            payload,
            redirects: call.redirects,
        })
    }
}

/// The `Authorization` header with a bearer token (RFC 6750, section 2.1).
pub(super) fn bearer(token: &Secret) -> Result<HeaderValue> {
    header(&Secret::new(format!("Bearer {}", token.expose())))
}

fn repository(scopes: &[Scope]) -> &str {
    scopes.first().map_or("", |scope| &scope.repository)
}
