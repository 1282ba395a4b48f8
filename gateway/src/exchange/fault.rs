//! Failures of a request on the client's side.

use http::StatusCode;

use crate::http::name::Name;
use crate::http::{Failure, Source};

/// A fault of the client, or of the network between client and gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientFault {
    /// The body is longer than allowed.
    TooLarge,
    /// The client paused for too long within the body.
    BodyTimeout,
    /// The body came too slowly.
    BodyRate,
    /// The body is malformed, or the client disconnected before its end.
    BodyAborted,
    /// The client disconnected, or does not read the response.
    Closed,
    /// The client sent data before the protocol upgrade was accepted.
    SwitchEarly,
    /// The WebSocket handshake does not have exactly one `Sec-WebSocket-Key`.
    NoKey,
    /// An extended CONNECT on a route without an upstream.
    NoTunnel,
}

impl std::fmt::Display for ClientFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.public())
    }
}

impl std::error::Error for ClientFault {}

impl Failure for ClientFault {
    fn origin(&self) -> Source {
        Source::Downstream
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTimeout | Self::BodyRate => StatusCode::REQUEST_TIMEOUT,
            Self::BodyAborted | Self::Closed | Self::SwitchEarly | Self::NoKey => StatusCode::BAD_REQUEST,
            Self::NoTunnel => StatusCode::NOT_IMPLEMENTED,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::TooLarge => "body_too_large",
            Self::BodyTimeout => "body_timeout",
            Self::BodyRate => "body_rate",
            Self::BodyAborted => "body_aborted",
            Self::Closed => "client_closed",
            Self::SwitchEarly => "switch_early",
            Self::NoKey => "websocket_key",
            Self::NoTunnel => "no_tunnel",
        }
    }

    fn public(&self) -> &'static str {
        match self {
            Self::TooLarge => "The request body is too large.",
            Self::BodyTimeout => "The request body did not arrive in time.",
            Self::BodyRate => "The request body arrives too slowly.",
            Self::BodyAborted => "The request body is malformed or incomplete.",
            Self::Closed => "The connection was closed.",
            Self::SwitchEarly => "The client sent data before the protocol switch.",
            Self::NoKey => "Exactly one Sec-WebSocket-Key is required.",
            Self::NoTunnel => "This path has no WebSocket.",
        }
    }

    fn ends_connection(&self) -> bool {
        true
    }
}

/// A request that the settings of its route refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PolicyRefusal {
    /// The status.
    pub status: StatusCode,
    /// A fixed word for logs and metric labels.
    pub reason: &'static str,
    /// A short sentence for the client.
    pub public: &'static str,
    /// Seconds after which the client may retry.
    pub retry_after: Option<u64>,
}

impl std::fmt::Display for PolicyRefusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.public)
    }
}

impl std::error::Error for PolicyRefusal {}

impl Failure for PolicyRefusal {
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

    fn field(&self) -> Option<(Name, String)> {
        Some((Name::RetryAfter, self.retry_after?.to_string()))
    }
}

/// A response that was aborted after its head was sent; the client sees that it is incomplete.
#[derive(Debug)]
pub enum ResponseFault {
    /// The upstream aborted it.
    Aborted(crate::http::message::Broken),
    /// The upstream paused for too long.
    Timeout,
    /// The request took longer than its route allows.
    RequestTimeout,
    /// No byte passed through the tunnel for `stream_timeout`.
    Silence,
    /// The body is longer than the route allows.
    TooLarge,
}

impl std::fmt::Display for ResponseFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Aborted(broken) => write!(f, "the response was aborted: {broken}"),
            Self::Timeout => f.write_str("the response paused for too long"),
            Self::RequestTimeout => f.write_str("the request took too long"),
            Self::Silence => f.write_str("no byte passed for stream_timeout"),
            Self::TooLarge => f.write_str("the response body is longer than max_response_bytes"),
        }
    }
}

impl std::error::Error for ResponseFault {}

impl Failure for ResponseFault {
    fn origin(&self) -> Source {
        Source::Upstream
    }

    fn status(&self) -> StatusCode {
        StatusCode::BAD_GATEWAY
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Aborted(_) => "response_aborted",
            Self::Timeout => "response_body_timeout",
            Self::RequestTimeout => "request_timeout",
            Self::Silence => "stream_timeout",
            Self::TooLarge => "response_too_large",
        }
    }

    fn public(&self) -> &'static str {
        "The service aborted its response."
    }
}
