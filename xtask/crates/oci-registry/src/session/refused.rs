//! The error for an unexpected status.

use ureq::http::Method;
use ureq::http::header::RETRY_AFTER;

use super::super::auth::{Credential, CredentialSource, FoundCredential};
use super::super::refusal::{Action, Evidence, Refusal};
use super::super::refusal_body::server_errors;
use super::super::retry::{self, RequestError, Transient};
use super::super::token::{self, Scope};
use super::super::url;
use super::super::wire::{Redirects, Response};
use super::authorize::key;
use super::{Call, Content, MAX_REFUSAL_BYTES, Session, repository};
use cli_support::error::Fault;

impl Session {
    /// The error for an unexpected status. The answer to a HEAD has no body (RFC 9110, section
    /// 9.3.2), and only the body tells a rate limit from a missing right: the reason is asked for with GET.
    pub(in super::super) fn refused(&self, answer: Response, call: &Call<'_>) -> RequestError {
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
            // Two different refusals of the same request are transient.
            Ok(told) if told.status.is_client_error() || told.status.is_server_error() => {
                RequestError::transient(Transient::Busy(None), self.refusal(told, call.scopes, false).error)
            }
            Ok(told) => {
                let what = format!("the registry refused HEAD (status {}) and not GET", answer.status);
                RequestError::transient(Transient::Busy(None), Fault::failed(what).at(url::shown(&told.url)))
            }
            Err(failure) => failure,
        }
    }

    pub(super) fn refusal(
        &self,
        mut answer: Response,
        scopes: &[Scope],
        by_token_service: bool,
    ) -> RequestError {
        let repository = repository(scopes);
        // A registry may refuse without ever having asked who it is.
        let found = self
            .found(repository)
            .unwrap_or(FoundCredential { credential: None, source: CredentialSource::Nowhere });
        let token = {
            let state = self.state();
            let key = state.challenge.as_ref().map(|challenge| key(challenge, scopes));
            key.and_then(|key| state.tokens.get(&key, self.clock.now()).map(|token| token.value.clone()))
        };
        let shown = found.credential.iter().flat_map(Credential::secrets);
        let secrets: Vec<_> = token.iter().cloned().chain(shown).collect();
        let errors = server_errors(&answer.read_some(MAX_REFUSAL_BYTES), &secrets);
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
                .hint("try again later; a proxy or firewall may also keep this machine from that host");
            return RequestError::transient(Transient::Broken, fault);
        }
        let messages: Vec<_> =
            errors.iter().map(ToString::to_string).filter(|text| !text.is_empty()).collect();
        let messages = if messages.is_empty() { String::new() } else { format!(", {}", messages.join("; ")) };
        let what = format!("{} (status {}{messages})", evidence.fill(refusal.cause()), answer.status);
        let fault = Fault::failed(what).at(url::shown(&answer.url)).hint(evidence.fill(refusal.hint()));
        if refusal.may_pass() {
            RequestError::transient(Transient::Busy(asked), fault)
        } else {
            RequestError::permanent(fault)
        }
    }
}
