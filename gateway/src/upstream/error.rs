//! Failures of requests at the upstream.

use std::fmt;

use http::StatusCode;

use crate::dial::DialError;
use crate::endpoint::CircuitError;
use crate::http::message::Broken;
use crate::http::{Failure, Source};

/// A request without a usable response from its upstream.
#[derive(Debug)]
pub enum UpstreamError {
    /// Name resolution or connecting failed.
    Connect(DialError),
    /// The connect timeout was reached.
    ConnectTimeout,
    /// The connection broke before the head of the response.
    Closed(Broken),
    /// The response violates RFC 9112.
    Malformed(&'static str),
    /// The response timeout was reached.
    ResponseTimeout,
    /// The request took longer than its route allows.
    RequestTimeout,
    /// The circuit breaker refused the request.
    Busy(CircuitError),
    /// The endpoint uses HTTP/2 and does not allow extended CONNECT (RFC 8441 section 3).
    NoWebSocket,
}

impl fmt::Display for UpstreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => error.fmt(f),
            Self::ConnectTimeout => f.write_str("no connection to the upstream in time"),
            Self::Closed(broken) => write!(f, "the connection to the upstream broke: {broken}"),
            Self::Malformed(what) => write!(f, "the upstream's response is malformed: {what}"),
            Self::ResponseTimeout => f.write_str("no response from the upstream in time"),
            Self::RequestTimeout => f.write_str("the request took too long"),
            Self::Busy(error) => error.fmt(f),
            Self::NoWebSocket => f.write_str(
                "the upstream uses HTTP/2 without SETTINGS_ENABLE_CONNECT_PROTOCOL, which WebSocket needs; \
                 let it announce that, or set protocol = \"http1\" of the upstream",
            ),
        }
    }
}

impl std::error::Error for UpstreamError {}

impl Failure for UpstreamError {
    fn origin(&self) -> Source {
        Source::Upstream
    }

    fn status(&self) -> StatusCode {
        match self {
            // Unlike after a 502, the client may retry any request.
            Self::Connect(_) | Self::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Closed(_) | Self::Malformed(_) | Self::NoWebSocket => StatusCode::BAD_GATEWAY,
            Self::ConnectTimeout | Self::ResponseTimeout | Self::RequestTimeout => {
                StatusCode::GATEWAY_TIMEOUT
            }
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Connect(_) => "connect",
            Self::ConnectTimeout => "connect_timeout",
            Self::Closed(_) => "closed",
            Self::Malformed(_) => "malformed",
            Self::ResponseTimeout => "response_timeout",
            Self::RequestTimeout => "request_timeout",
            Self::Busy(_) => "busy",
            Self::NoWebSocket => "no_websocket",
        }
    }

    fn public(&self) -> &'static str {
        match self {
            Self::Connect(_) | Self::ConnectTimeout => "The service cannot be reached.",
            Self::Closed(_) | Self::Malformed(_) => "The service sent no valid response.",
            Self::ResponseTimeout | Self::RequestTimeout => "The service did not respond in time.",
            Self::Busy(_) => "The service is busy.",
            Self::NoWebSocket => "The service does not support WebSocket.",
        }
    }
}
