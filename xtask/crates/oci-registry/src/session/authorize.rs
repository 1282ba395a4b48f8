//! Authorization of requests: challenges and tokens.

use std::sync::{Arc, PoisonError};

use anyhow::{Context as _, Result};
use ureq::http::header::CONTENT_TYPE;
use ureq::http::{HeaderValue, Method, Uri};

use super::super::auth::{Credential, FoundCredential};
use super::super::challenge::Challenge;
use super::super::reference::is_loopback;
use super::super::retry::RequestError;
use super::super::secret::Secret;
use super::super::token::{self, Scope, Token};
use super::super::url;
use super::super::wire::{Ask, Payload, Redirects, Response};
use super::{Session, repository};
use cli_support::error::Fault;
use cli_support::mask;

/// The most that is read of a token service's answer.
const MAX_TOKEN_BYTES: u64 = 1024 * 1024;

impl Session {
    /// The `Authorization` that the registry has wanted so far; none before it first asked.
    pub(super) fn standing(&self, scopes: &[Scope]) -> Result<Option<Secret>, RequestError> {
        let Some(challenge) = self.state().challenge.clone() else { return Ok(None) };
        self.authorization(&challenge, scopes, None)
    }

    /// The `Authorization` that answers a challenge; none without credentials. `refused` is one that was
    /// refused just now.
    pub(super) fn authorization(
        &self,
        challenge: &Challenge,
        scopes: &[Scope],
        refused: Option<&Secret>,
    ) -> Result<Option<Secret>, RequestError> {
        let found = self.found(repository(scopes)).map_err(RequestError::permanent)?;
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
        let order = Arc::clone(self.state().orders.entry(key.clone()).or_default());
        let _turn = order.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.state().tokens.get(&key, self.clock.now()).and_then(|token| bearer(&token.value));
        match (known, refused) {
            (Some(known), Some(refused)) if known.expose() == refused.expose() => {
                self.state().tokens.forget(&key);
            }
            (Some(known), _) => return Ok(Some(known)),
            (None, _) => {}
        }
        let token = self.order(challenge, scopes, &found)?;
        let value = bearer(&token.value);
        self.state().tokens.put(key, token);
        Ok(value)
    }

    /// Asks the token service for a token.
    fn order(
        &self,
        challenge: &Challenge,
        scopes: &[Scope],
        found: &FoundCredential,
    ) -> Result<Token, RequestError> {
        let realm = self.realm(challenge)?;
        let order = token::order(&realm, challenge.param("service"), scopes, found.credential.as_ref());
        let order = order.ok_or_else(|| {
            RequestError::permanent(
                Fault::failed("the registry's token service is no URL").at(url::shown(&realm)),
            )
        })?;
        let mut answer = self.send_order(&order)?;
        if matches!(answer.status.as_u16(), 404 | 405 | 501)
            && let Some(order) = token::order_by_password(
                &realm,
                challenge.param("service"),
                scopes,
                found.credential.as_ref(),
            )
        {
            answer = self.send_order(&order)?;
        }
        if !answer.status.is_success() {
            return Err(self.refusal(answer, scopes, true));
        }
        let at = url::shown(&answer.url);
        let body = answer.read(MAX_TOKEN_BYTES)?;
        let token = token::read(&body, self.clock.now()).ok_or_else(|| {
            RequestError::permanent(Fault::failed("the token service's answer has no token").at(at))
        })?;
        mask::remember(token.value.expose());
        Ok(token)
    }

    fn send_order(&self, order: &token::Order) -> Result<Response, RequestError> {
        let mut headers = Vec::new();
        let (method, payload) = match &order.form {
            Some(form) => {
                headers.push((CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded")));
                (Method::POST, Payload::Bytes(form.expose().as_bytes()))
            }
            None => (Method::GET, Payload::None),
        };
        let authorization = order.basic.as_ref().map(header).transpose().map_err(RequestError::permanent)?;
        let url = order.url.clone();
        self.wire.send(Ask { method, url, headers, authorization, payload, redirects: Redirects::Any })
    }

    /// The token service of a challenge, which must be as safe as the registry: what goes there is a
    /// password.
    fn realm(&self, challenge: &Challenge) -> Result<Uri, RequestError> {
        let named = challenge.param("realm").unwrap_or_default();
        let at = || url::shown(&self.base);
        let realm = url::parse(named).ok_or_else(|| {
            let named: String = named.chars().take(200).collect();
            RequestError::permanent(Fault::failed(format!("its token service is no URL: '{named}'")).at(at()))
        })?;
        let loopback = |uri: &Uri| is_loopback(uri.authority().map_or("", |authority| authority.as_str()));
        let safe =
            url::is_tls(&realm) || !url::is_tls(&self.base) && (loopback(&realm) || !loopback(&self.base));
        if safe {
            return Ok(realm);
        }
        let what = format!("its token service is not encrypted: {}", url::shown(&realm));
        Err(RequestError::permanent(
            Fault::failed(what).at(at()).hint("the registry must name one with https"),
        ))
    }
}

/// Tokens before passwords, where a registry takes both.
pub(super) fn best(challenges: &[Challenge]) -> Option<Challenge> {
    let of = |scheme: &str| challenges.iter().find(|challenge| challenge.scheme == scheme);
    of("bearer").or_else(|| of("basic")).cloned()
}

pub(super) fn key(challenge: &Challenge, scopes: &[Scope]) -> String {
    let scopes: Vec<_> = scopes.iter().map(ToString::to_string).collect();
    let param = |name| challenge.param(name).unwrap_or_default();
    format!("{}\n{}\n{}", param("realm"), param("service"), scopes.join(" "))
}

pub(super) fn header(secret: &Secret) -> Result<HeaderValue> {
    // The parser's error does not repeat the value.
    let mut value = HeaderValue::from_str(secret.expose())
        .context(Fault::failed("the credential has characters that no header can carry"))?;
    value.set_sensitive(true);
    Ok(value)
}
