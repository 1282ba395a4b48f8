//! Validation of the claims of a token (RFC 7519 section 4.1).

use std::borrow::Cow;
use std::time::Duration;

use serde_json::{Map, Value};

use super::algorithm::Algorithm;
use super::token::{Token, TokenError};

/// The claims of a token.
pub type Claims = Map<String, Value>;

/// Requirements for a token.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Accepted algorithms.
    pub algorithms: Vec<Algorithm>,
    /// Accepted issuers; empty for any.
    pub issuers: Vec<String>,
    /// Accepted audiences, one of which the token must name; empty if it must name none.
    pub audiences: Vec<String>,
    /// Accepted types, in lower case; empty for any.
    pub kinds: Vec<String>,
    /// Maximum clock difference.
    pub leeway: Duration,
    /// Whether tokens without `exp` are accepted.
    pub endless: bool,
}

impl Rules {
    /// Checks everything except the signature, at a time in seconds since 1970. Returns the time until which
    /// the token is valid, leeway included.
    ///
    /// # Errors
    ///
    /// The reason of the refusal.
    pub fn check(&self, token: &Token<'_>, now: f64) -> Result<f64, TokenError> {
        if !self.kinds.is_empty() {
            let kind = token.kind.as_deref().unwrap_or_default().to_ascii_lowercase();
            // The prefix is optional (RFC 7515 section 4.1.9).
            let kind = kind.strip_prefix("application/").unwrap_or(&kind);
            if !self.kinds.iter().any(|known| known == kind) {
                return Err(TokenError::Kind);
            }
        }
        let claims = &token.claims;
        if !self.issuers.is_empty() {
            let issuer = claims.get("iss").and_then(Value::as_str);
            if !issuer.is_some_and(|issuer| self.issuers.iter().any(|known| known == issuer)) {
                return Err(TokenError::Issuer);
            }
        }
        // A recipient that is not in the audience must refuse the token (RFC 7519 section 4.1.3).
        let named = match claims.get("aud") {
            None => self.audiences.is_empty(),
            Some(Value::String(audience)) => self.audiences.contains(audience),
            Some(Value::Array(all)) => all
                .iter()
                .filter_map(Value::as_str)
                .any(|one| self.audiences.iter().any(|known| known == one)),
            Some(_) => return Err(TokenError::Malformed),
        };
        if !named {
            return Err(TokenError::Audience);
        }
        let leeway = self.leeway.as_secs_f64();
        if date(claims, "nbf")?.is_some_and(|begin| now + leeway < begin) {
            return Err(TokenError::NotYet);
        }
        let until = match date(claims, "exp")? {
            None if self.endless => f64::INFINITY,
            None => return Err(TokenError::NoExpiry),
            Some(end) => end + leeway,
        };
        if now >= until { Err(TokenError::Expired) } else { Ok(until) }
    }
}

/// A time in seconds since 1970, possibly with a fraction (RFC 7519 section 2, `NumericDate`).
fn date(claims: &Claims, name: &str) -> Result<Option<f64>, TokenError> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => value.as_f64().map(Some).ok_or(TokenError::Malformed),
    }
}

/// The values of a claim as text, by its name or by a JSON pointer such as `/realm_access/roles` (RFC 6901).
/// A list gives its elements; `scope` and `scp` are lists of words (RFC 8693 section 4.2). Objects and null
/// give none.
pub fn values<'c>(claims: &'c Claims, name: &str) -> Vec<Cow<'c, str>> {
    let found = if name.starts_with('/') { pointed(claims, name) } else { claims.get(name) };
    match found {
        Some(Value::String(words)) if matches!(name, "scope" | "scp" | "/scope" | "/scp") => {
            words.split(' ').filter(|word| !word.is_empty()).map(Cow::Borrowed).collect()
        }
        Some(Value::Array(all)) => all.iter().filter_map(text).collect(),
        Some(one) => text(one).into_iter().collect(),
        None => Vec::new(),
    }
}

fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        Value::Bool(switch) => Some(Cow::Borrowed(if *switch { "true" } else { "false" })),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn pointed<'c>(claims: &'c Claims, pointer: &str) -> Option<&'c Value> {
    let (first, rest) = match pointer[1..].split_once('/') {
        Some((first, _)) => (first, &pointer[1 + first.len()..]),
        None => (&pointer[1..], ""),
    };
    // The order matters (RFC 6901 section 4).
    claims.get(&first.replace("~1", "/").replace("~0", "~"))?.pointer(rest)
}
