//! Requests to one registry, with the credentials that it asks for and that go nowhere else.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};
use ureq::http::header::{CONTENT_TYPE, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use ureq::http::{HeaderValue, Method, StatusCode, Uri};

use super::auth::{self, Credential, Environment, Found, Given, Source};
use super::challenge::{self, Challenge};
use super::failure::SourceFailed;
use super::reference::is_loopback;
use super::refusal::{Action, Evidence, Refusal};
use super::refusal_body::server_errors;
use super::retry::{self, Clock, Passing, Trouble};
use super::secret::Secret;
use super::token::{self, Cache, Scope, Token};
use super::url;
use super::wire::{Answer, Ask, Payload, Redirects, Wire};
use crate::error::Fault;
use crate::mask;

/// The most that is read of a refusal, and of a token service's answer.
const MOST_OF_REFUSAL: u64 = 64 * 1024;
const MOST_OF_TOKEN: u64 = 1024 * 1024;

/// One registry, its credentials and tokens.
pub(super) struct Session {
    registry: String,
    base: Uri,
    wire: Arc<Wire>,
    clock: Arc<dyn Clock>,
    environment: Environment,
    given: Option<Given>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    found: BTreeMap<String, Found>,
    challenge: Option<Challenge>,
    tokens: Cache,
}

/// Opens what is to be sent; again for each try.
pub type Open<'a> = dyn FnMut() -> io::Result<Box<dyn Read>> + 'a;

/// What a request sends, as often as it must be sent.
pub(super) enum Content<'a> {
    /// Nothing at all.
    None,
    /// These bytes.
    Bytes(&'a [u8]),
    /// A part of a source: so many bytes after so many others; told of each byte that was sent.
    Part { open: &'a mut Open<'a>, skip: u64, length: u64, sent: &'a dyn Fn(u64) },
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
        given: Option<Given>,
    ) -> Self {
        let state = Mutex::default();
        Self { registry: registry.to_owned(), base, wire, clock, environment, given, state }
    }

    /// The URL of a path below the registry's root.
    pub(super) fn url(&self, path: &str) -> Result<Uri, Trouble> {
        self.join(&self.base, path)
    }

    /// The URL that the registry points to from `from`.
    pub(super) fn join(&self, from: &Uri, location: &str) -> Result<Uri, Trouble> {
        let next = url::join(from, location).ok_or_else(|| {
            Trouble::lasting(
                Fault::failed("the registry points to a place that is no URL").at(url::shown(from)),
            )
        })?;
        if url::is_tls(&self.base) && !url::is_tls(&next) {
            let fault = Fault::failed(format!("the registry points from https to {}", url::shown(&next)))
                .at(url::shown(from))
                .cure("a proxy in front of the registry must pass on X-Forwarded-Proto");
            return Err(Trouble::lasting(fault));
        }
        Ok(next)
    }

    /// Whether a URL is on the registry itself.
    pub(super) fn is_own(&self, uri: &Uri) -> bool {
        url::same_origin(&self.base, uri)
    }

    /// The credential for a repository, looked up once.
    pub(super) fn found(&self, repository: &str) -> Result<Found> {
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
    pub(super) fn send(&self, call: &mut Call<'_>) -> Result<Answer, Trouble> {
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
        let Some(authorization) = self.authorization(&challenge, call.scopes, true)? else {
            return Ok(answer);
        };
        // Read to its end, the connection can be used again.
        answer.read_some(MOST_OF_REFUSAL);
        self.send_once(call, Some(&authorization))
    }

    /// Sends a request and takes these statuses for success; any other becomes a failure that says why.
    pub(super) fn expect(&self, call: &mut Call<'_>, wanted: &[u16]) -> Result<Answer, Trouble> {
        let answer = self.send(call)?;
        if wanted.contains(&answer.status.as_u16()) { Ok(answer) } else { Err(self.refused(answer, call)) }
    }

    fn send_once(&self, call: &mut Call<'_>, authorization: Option<&Secret>) -> Result<Answer, Trouble> {
        let authorization = authorization.map(header).transpose().map_err(Trouble::lasting)?;
        let mut part;
        let payload = match &mut call.content {
            Content::None => Payload::None,
            Content::Bytes(bytes) => Payload::Bytes(bytes),
            Content::Part { open, skip, length, sent } => {
                part = Counted { reader: open_at(*open, *skip).map_err(Trouble::lasting)?, sent: *sent };
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

    /// The `Authorization` that the registry has wanted so far; none before it first asked.
    fn standing(&self, scopes: &[Scope]) -> Result<Option<Secret>, Trouble> {
        let Some(challenge) = self.state().challenge.clone() else { return Ok(None) };
        self.authorization(&challenge, scopes, false)
    }

    /// The `Authorization` that answers a challenge; none without credentials. With `renew`, a token
    /// that is at hand was refused just now.
    fn authorization(
        &self,
        challenge: &Challenge,
        scopes: &[Scope],
        renew: bool,
    ) -> Result<Option<Secret>, Trouble> {
        let found = self.found(repository(scopes)).map_err(Trouble::lasting)?;
        if challenge.scheme == "basic" {
            return Ok(match &found.credential {
                Some(Credential::Basic { user, secret }) => Some(token::basic(user, secret)),
                _ => None,
            });
        }
        let bearer = |token: &Secret| Some(Secret::new(format!("Bearer {}", token.expose())));
        if let Some(Credential::Bearer(token)) = &found.credential {
            return Ok(bearer(token));
        }
        let key = key(challenge, scopes);
        if renew {
            self.state().tokens.forget(&key);
        } else if let Some(token) = self.state().tokens.get(&key, self.clock.now()) {
            return Ok(bearer(&token.value));
        }
        let token = self.order(challenge, scopes, &found)?;
        let value = bearer(&token.value);
        self.state().tokens.put(key, token);
        Ok(value)
    }

    /// Asks the token service for a token.
    fn order(&self, challenge: &Challenge, scopes: &[Scope], found: &Found) -> Result<Token, Trouble> {
        let realm = self.realm(challenge)?;
        let order = token::order(&realm, challenge.param("service"), scopes, found.credential.as_ref());
        let order = order.ok_or_else(|| {
            Trouble::lasting(Fault::failed("the registry's token service is no URL").at(url::shown(&realm)))
        })?;
        let mut headers = Vec::new();
        let (method, payload) = match &order.form {
            Some(form) => {
                headers.push((CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded")));
                (Method::POST, Payload::Bytes(form.expose().as_bytes()))
            }
            None => (Method::GET, Payload::None),
        };
        let authorization = order.basic.as_ref().map(header).transpose().map_err(Trouble::lasting)?;
        let ask = Ask { method, url: order.url, headers, authorization, payload, redirects: Redirects::Any };
        let answer = self.wire.send(ask)?;
        if answer.status != StatusCode::OK {
            return Err(self.refusal(answer, scopes, true));
        }
        let at = url::shown(&answer.url);
        let body = answer.read(MOST_OF_TOKEN)?;
        let token = token::read(&body, self.clock.now()).ok_or_else(|| {
            Trouble::lasting(Fault::failed("the token service's answer has no token").at(at))
        })?;
        mask::remember(token.value.expose());
        Ok(token)
    }

    /// The token service of a challenge, which must be as safe as the registry: what goes there is a
    /// password.
    fn realm(&self, challenge: &Challenge) -> Result<Uri, Trouble> {
        let named = challenge.param("realm").unwrap_or_default();
        let at = || url::shown(&self.base);
        let realm = url::parse(named).ok_or_else(|| {
            let named: String = named.chars().take(200).collect();
            Trouble::lasting(Fault::failed(format!("its token service is no URL: '{named}'")).at(at()))
        })?;
        let loopback = |uri: &Uri| is_loopback(uri.authority().map_or("", |authority| authority.as_str()));
        let safe =
            url::is_tls(&realm) || !url::is_tls(&self.base) && (loopback(&realm) || !loopback(&self.base));
        if safe {
            return Ok(realm);
        }
        let what = format!("its token service is not encrypted: {}", url::shown(&realm));
        Err(Trouble::lasting(Fault::failed(what).at(at()).cure("the registry must name one with https")))
    }

    /// The failure that an unwanted status stands for. The answer to a HEAD has no body (RFC 9110, section
    /// 9.3.2), and only the body tells a rate limit from a missing right: the reason is asked for with GET.
    pub(super) fn refused(&self, answer: Answer, call: &Call<'_>) -> Trouble {
        if call.method != Method::HEAD || !answer.status.is_client_error() {
            return self.refusal(answer, call.scopes, false);
        }
        let mut call = Call {
            method: Method::GET,
            url: call.url.clone(),
            headers: call.headers.clone(),
            scopes: call.scopes,
            content: Content::None,
            redirects: Redirects::None,
        };
        match self.send(&mut call) {
            Ok(told) if told.status == answer.status => self.refusal(told, call.scopes, false),
            // What is refused in two ways within a moment was not refused for good.
            Ok(told) if told.status.is_client_error() || told.status.is_server_error() => {
                Trouble::passing(Passing::Busy(None), self.refusal(told, call.scopes, false).error)
            }
            Ok(told) => {
                let what = format!("the registry refused HEAD (status {}) and not GET", answer.status);
                Trouble::passing(Passing::Busy(None), Fault::failed(what).at(url::shown(&told.url)))
            }
            Err(trouble) => trouble,
        }
    }

    fn refusal(&self, mut answer: Answer, scopes: &[Scope], by_token_service: bool) -> Trouble {
        let repository = repository(scopes);
        // A registry may refuse without ever having asked who it is.
        let found = self.found(repository).unwrap_or(Found { credential: None, source: Source::Nowhere });
        let token = {
            let state = self.state();
            let key = state.challenge.as_ref().map(|challenge| key(challenge, scopes));
            key.and_then(|key| state.tokens.get(&key, self.clock.now()).map(|token| token.value.clone()))
        };
        let shown = found.credential.iter().flat_map(Credential::secrets);
        let secrets: Vec<_> = token.iter().cloned().chain(shown).collect();
        let errors = server_errors(&answer.read_some(MOST_OF_REFUSAL), &secrets);
        let granted = token.as_ref().and_then(|token| token::granted(token.expose(), repository));
        let asked = answer.header(RETRY_AFTER).and_then(|value| retry::retry_after(value, self.clock.date()));
        let evidence = Evidence {
            status: answer.status.as_u16(),
            registry: &self.registry,
            repository,
            action: scopes.first().map_or(Action::Pull, |scope| scope.action),
            by_token_service,
            source: &found.source,
            errors: &errors,
            has_retry_after: answer.headers.contains_key(RETRY_AFTER),
            remaining: answer
                .header("x-ratelimit-remaining")
                .or_else(|| answer.header("ratelimit-remaining")),
            granted: granted.as_deref(),
            oauth_scopes: answer.header("x-oauth-scopes"),
            in_actions: self.environment.in_actions(),
        };
        let refusal = Refusal::of(&evidence);
        if !by_token_service && !self.is_own(&answer.url) && !refusal.may_pass() {
            // The place and its signature come from the registry anew with each try.
            let what = format!("the registry's storage refused (status {})", answer.status);
            let fault = Fault::failed(what)
                .at(url::shown(&answer.url))
                .cure("try again later; a proxy or firewall may also keep this machine from that host");
            return Trouble::passing(Passing::Broken, fault);
        }
        let said: Vec<_> = errors.iter().map(ToString::to_string).filter(|text| !text.is_empty()).collect();
        let said = if said.is_empty() { String::new() } else { format!(", {}", said.join("; ")) };
        let what = format!("{} (status {}{said})", evidence.fill(refusal.cause()), answer.status);
        let mut fault = Fault::failed(what).at(url::shown(&answer.url));
        if refusal != Refusal::Unexpected {
            fault = fault.cure(evidence.fill(refusal.cure()));
        }
        if refusal.may_pass() {
            Trouble::passing(Passing::Busy(asked), fault)
        } else {
            Trouble::lasting(fault)
        }
    }
}

fn repository(scopes: &[Scope]) -> &str {
    scopes.first().map_or("", |scope| &scope.repository)
}

/// Tokens before passwords, where a registry takes both.
fn best(challenges: &[Challenge]) -> Option<Challenge> {
    let of = |scheme: &str| challenges.iter().find(|challenge| challenge.scheme == scheme);
    of("bearer").or_else(|| of("basic")).cloned()
}

fn key(challenge: &Challenge, scopes: &[Scope]) -> String {
    let scopes: Vec<_> = scopes.iter().map(ToString::to_string).collect();
    let param = |name| challenge.param(name).unwrap_or_default();
    format!("{}\n{}\n{}", param("realm"), param("service"), scopes.join(" "))
}

fn header(secret: &Secret) -> Result<HeaderValue> {
    // The parser's error does not repeat the value.
    let mut value = HeaderValue::from_str(secret.expose())
        .context(Fault::failed("the credential has characters that no header can carry"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn open_at(open: &mut Open<'_>, skip: u64) -> Result<Box<dyn Read>> {
    let failed = |error| Fault::failed(SourceFailed(error).to_string());
    let mut reader = open().map_err(failed)?;
    let skipped = io::copy(&mut reader.by_ref().take(skip), &mut io::sink()).map_err(failed)?;
    if skipped < skip {
        let early = io::Error::other(format!("it ends after {skipped} bytes"));
        return Err(failed(early).into());
    }
    Ok(reader)
}

struct Counted<'a> {
    reader: Box<dyn Read>,
    sent: &'a dyn Fn(u64),
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        (self.sent)(read as u64);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_opened_behind_what_was_sent() {
        let mut open = || Ok(Box::new(&b"hello"[..]) as Box<dyn Read>);
        let mut text = String::new();
        open_at(&mut open, 3).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "lo");
        let error = open_at(&mut open, 6).err().unwrap();
        assert!(error.to_string().contains("ends after 5 bytes"), "{error}");
    }
}
