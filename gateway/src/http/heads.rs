//! Heads of messages, for every HTTP version.

use http::{Method, StatusCode, Version};

use super::fields::Fields;
use super::framing::Framing;
use super::target::Target;
use super::websocket::Key;

/// Larger buffers are released after a request.
const KEPT: usize = 8 << 10;

/// The head of a request.
#[derive(Debug, Default)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The HTTP version.
    pub version: Version,
    /// The request target.
    pub target: Target,
    /// The header fields.
    pub fields: Fields,
    /// The framing of the body; [`Framing::Chunked`] if its length is unknown.
    pub framing: Framing,
    /// The client waits for `100 Continue` before it sends the body (RFC 9110 section 10.1.1).
    pub expects_continue: bool,
    /// Set for an extended CONNECT for WebSocket (RFC 8441), which is represented as the equivalent HTTP/1.1
    /// GET. The key is for an HTTP/1 upstream.
    pub connect: Option<Key>,
}

/// The head of a response.
#[derive(Debug, Default)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The header fields.
    pub fields: Fields,
    /// The framing of the body.
    pub framing: Framing,
}

impl Request {
    /// Removes everything and keeps small allocations.
    pub fn clear(&mut self) {
        self.method = Method::GET;
        self.version = Version::HTTP_11;
        self.target.clear();
        self.fields.clear();
        self.fields.shrink(KEPT);
        self.framing = Framing::None;
        self.expects_continue = false;
        self.connect = None;
    }
}

impl Response {
    /// Removes everything and keeps small allocations.
    pub fn clear(&mut self) {
        self.fields.clear();
        self.fields.shrink(KEPT);
        self.framing = Framing::None;
    }
}
