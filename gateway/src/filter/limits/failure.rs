//! Refusals of requests by limits.

use http::StatusCode;

use crate::http::name::Name;
use crate::http::{Failure, Source};
use crate::redis::StoreError;

/// A request beyond a limit.
#[derive(Debug, Clone, Copy)]
pub struct BeyondLimit {
    pub(super) reason: &'static str,
    /// Seconds until it may be sent again.
    pub(super) retry_after: u64,
}

impl std::fmt::Display for BeyondLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.public())
    }
}

impl std::error::Error for BeyondLimit {}

impl Failure for BeyondLimit {
    fn origin(&self) -> Source {
        Source::Downstream
    }

    fn status(&self) -> StatusCode {
        StatusCode::TOO_MANY_REQUESTS
    }

    fn reason(&self) -> &'static str {
        self.reason
    }

    fn public(&self) -> &'static str {
        "Too many requests."
    }

    fn field(&self) -> Option<(Name, String)> {
        Some((Name::RetryAfter, self.retry_after.to_string()))
    }
}

/// A limit that must be asked gives no answer.
#[derive(Debug, Clone)]
pub struct NoAnswer(pub(super) StoreError);

impl std::fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for NoAnswer {}

impl Failure for NoAnswer {
    fn origin(&self) -> Source {
        Source::Upstream
    }

    fn status(&self) -> StatusCode {
        StatusCode::SERVICE_UNAVAILABLE
    }

    fn reason(&self) -> &'static str {
        "limit_store"
    }

    fn public(&self) -> &'static str {
        "It could not be found out whether there are too many requests."
    }

    fn field(&self) -> Option<(Name, String)> {
        Some((Name::RetryAfter, "1".to_owned()))
    }
}
