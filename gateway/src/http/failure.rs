//! The common interface of all failures.

use http::StatusCode;

use super::name::Name;

/// The side that caused a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The client, or the network between it and the gateway.
    Downstream,
    /// The service behind the gateway, or the network to it.
    Upstream,
}

impl Source {
    /// The name in logs and metric labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Downstream => "downstream",
            Self::Upstream => "upstream",
        }
    }
}

/// A failure that ends a request.
pub trait Failure: std::error::Error {
    /// The side that caused it.
    fn origin(&self) -> Source;
    /// The response status, if no response was begun.
    fn status(&self) -> StatusCode;
    /// A fixed word for logs and metric labels, from a small set.
    fn reason(&self) -> &'static str;
    /// A short sentence for the client, without internal details.
    fn public(&self) -> &'static str;
    /// Whether the connection must be closed after the response. Ignored in HTTP/2, where the other streams
    /// continue.
    fn ends_connection(&self) -> bool {
        false
    }
    /// A field that the response must have, such as `Allow` with a 405 (RFC 9110 section 15.5.6).
    fn field(&self) -> Option<(Name, String)> {
        None
    }
}

/// A malformed request, which is never forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejection {
    /// The response status, a 4xx or 5xx.
    pub status: StatusCode,
    /// A fixed word for logs and metric labels.
    pub reason: &'static str,
    /// A short sentence for the client.
    pub public: &'static str,
}

impl Rejection {
    /// 400 for the given reason.
    pub const fn bad(reason: &'static str, public: &'static str) -> Self {
        Self { status: StatusCode::BAD_REQUEST, reason, public }
    }

    /// Another status for the given reason.
    pub const fn with(status: StatusCode, reason: &'static str, public: &'static str) -> Self {
        Self { status, reason, public }
    }
}

impl std::fmt::Display for Rejection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.public)
    }
}

impl std::error::Error for Rejection {}

impl Failure for Rejection {
    fn origin(&self) -> Source {
        Source::Downstream
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

    /// After a malformed request, client and gateway may disagree on where the next one begins.
    fn ends_connection(&self) -> bool {
        true
    }
}
