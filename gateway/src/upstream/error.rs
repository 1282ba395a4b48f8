//! What can go wrong on the way to an upstream.

use std::fmt;

use http::StatusCode;

use crate::dial::DialError;
use crate::endpoint::CircuitError;
use crate::http::message::Broken;
use crate::http::{Failure, Source};

/// A request got no usable response from its upstream.
#[derive(Debug)]
pub enum UpstreamError {
    /// The endpoint's name could not be resolved or no connection was made.
    Connect(DialError),
    /// No connection was made in time.
    ConnectTimeout,
    /// The connection broke before the head of the response.
    Closed(Broken),
    /// What came back is not HTTP as RFC 9112 has it.
    Malformed(&'static str),
    /// The head of the response did not arrive in time.
    ResponseTimeout,
    /// The request took longer than its route allows.
    RequestTimeout,
    /// The upstream has as many requests as its circuit allows.
    Busy(CircuitError),
    /// The endpoint speaks HTTP/2 and does not allow extended CONNECT (RFC 8441 section 3).
    NoWebSocket,
}

impl fmt::Display for UpstreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => error.fmt(f),
            Self::ConnectTimeout => f.write_str("no connection to the upstream in time"),
            Self::Closed(broken) => write!(f, "the upstream broke off: {broken}"),
            Self::Malformed(what) => write!(f, "the upstream's response is malformed: {what}"),
            Self::ResponseTimeout => f.write_str("no response from the upstream in time"),
            Self::RequestTimeout => f.write_str("the request took too long"),
            Self::Busy(error) => error.fmt(f),
            Self::NoWebSocket => f.write_str(
                "the upstream speaks HTTP/2 without SETTINGS_ENABLE_CONNECT_PROTOCOL, which WebSocket needs; \
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
            // Unlike after a 502 the client may send the request again, whatever it is.
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
            Self::Closed(_) | Self::Malformed(_) => "The service gave no valid response.",
            Self::ResponseTimeout | Self::RequestTimeout => "The service did not respond in time.",
            Self::Busy(_) => "The service is busy.",
            Self::NoWebSocket => "The service takes no WebSocket.",
        }
    }
}
