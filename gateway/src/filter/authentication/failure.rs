//! Refusals of requests by authentication and authorization.

use std::fmt;

use http::StatusCode;

use crate::http::name::Name;
use crate::http::{Failure, Source};
use crate::jose::TokenError;

/// It is not known who sent the request.
#[derive(Debug, Clone)]
pub struct Refused {
    status: StatusCode,
    reason: &'static str,
    public: &'static str,
    /// What the client is asked for.
    challenge: Option<String>,
    /// After how many seconds it may try again.
    retry_after: Option<u64>,
    /// What the log says beyond the reason.
    detail: Option<String>,
}

impl Refused {
    const fn with(status: StatusCode, reason: &'static str, public: &'static str) -> Self {
        Self { status, reason, public, challenge: None, retry_after: None, detail: None }
    }

    /// 401: there is no credential.
    pub fn missing(challenge: Option<String>) -> Self {
        let refused =
            Self::with(StatusCode::UNAUTHORIZED, "credentials_missing", "Credentials are required.");
        Self { challenge, ..refused }
    }

    /// 401: the credential is wrong.
    pub const fn wrong(reason: &'static str, public: &'static str) -> Self {
        Self::with(StatusCode::UNAUTHORIZED, reason, public)
    }

    /// 401 with what RFC 6750 section 3.1 says of a token.
    pub fn token(error: TokenError) -> Self {
        let challenge = format!(
            "Bearer error=\"invalid_token\", error_description=\"{}\"",
            error.public().trim_end_matches('.')
        );
        Self { challenge: Some(challenge), ..Self::wrong(error.reason(), error.public()) }
    }

    /// 503: it could not be decided.
    pub fn unsettled(reason: &'static str, retry_after: Option<u64>, detail: Option<String>) -> Self {
        let public = "It could not be found out who sent the request.";
        Self { retry_after, detail, ..Self::with(StatusCode::SERVICE_UNAVAILABLE, reason, public) }
    }

    /// With these challenges, if it has none.
    #[must_use]
    pub fn or_challenge(self, challenges: impl FnOnce() -> Option<String>) -> Self {
        Self { challenge: self.challenge.or_else(challenges), ..self }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.detail.as_deref().unwrap_or(self.public))
    }
}

impl std::error::Error for Refused {}

impl Failure for Refused {
    fn origin(&self) -> Source {
        if self.status == StatusCode::UNAUTHORIZED { Source::Downstream } else { Source::Upstream }
    }

    fn status(&self) -> StatusCode {
        self.status
    }

    fn reason(&self) -> &'static str {
        self.reason
    }

    fn public(&self) -> &'static str {
        self.public
    }

    fn field(&self) -> Option<(Name, String)> {
        let challenge = self.challenge.clone().map(|text| (Name::WwwAuthenticate, text));
        challenge.or_else(|| Some((Name::RetryAfter, self.retry_after?.to_string())))
    }
}

/// 403: the sender is known and may not do that.
#[derive(Debug, Clone, Copy)]
pub struct Denied {
    /// Whether the sender showed a token.
    pub by_token: bool,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.public())
    }
}

impl std::error::Error for Denied {}

impl Failure for Denied {
    fn origin(&self) -> Source {
        Source::Downstream
    }

    fn status(&self) -> StatusCode {
        StatusCode::FORBIDDEN
    }

    fn reason(&self) -> &'static str {
        "not_authorized"
    }

    fn public(&self) -> &'static str {
        "The request is not allowed."
    }

    fn field(&self) -> Option<(Name, String)> {
        self.by_token.then(|| (Name::WwwAuthenticate, "Bearer error=\"insufficient_scope\"".to_owned()))
    }
}
