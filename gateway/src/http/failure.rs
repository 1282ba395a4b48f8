//! What every failure of the gateway can say about itself.

use http::StatusCode;

use super::name::Name;

/// The side on which something went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The client, or the network between it and the gateway.
    Downstream,
    /// The service behind the gateway, or the network to it.
    Upstream,
}

impl Source {
    /// The word used in logs and metric labels.
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
    /// The status to answer with, should the response not have begun.
    fn status(&self) -> StatusCode;
    /// A fixed word for logs and metric labels; the set of all reasons is small.
    fn reason(&self) -> &'static str;
    /// A short sentence for the client that says nothing about the inside.
    fn public(&self) -> &'static str;
    /// Whether the connection is closed after the answer, where that takes no more than its
    /// requests in order: not in HTTP/2.
    fn ends_connection(&self) -> bool {
        false
    }
    /// A field the response must carry, such as `Allow` with a 405 (RFC 9110 section 15.5.6).
    fn field(&self) -> Option<(Name, String)> {
        None
    }
}

/// A request refused for its form: it is never forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejection {
    /// The status to answer with, a 4xx or 5xx.
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

    /// Any other status for the given reason.
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

    /// Who sends one malformed request may hold another view of where the next one begins.
    fn ends_connection(&self) -> bool {
        true
    }
}
