//! Heads of messages, whatever protocol carried them.

use http::{Method, StatusCode, Version};

use super::fields::Fields;
use super::framing::Framing;
use super::target::Target;
use super::websocket::Key;

/// Buffers above this size are given up after a request.
const KEPT: usize = 8 << 10;

/// The head of a request.
#[derive(Debug, Default)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The version in which it came.
    pub version: Version,
    /// What it is meant for.
    pub target: Target,
    /// Its fields.
    pub fields: Fields,
    /// How its body is delimited; [`Framing::Chunked`] if its length is not known.
    pub framing: Framing,
    /// The client waits for `100 Continue` before it sends the body (RFC 9110 section 10.1.1).
    pub expects_continue: bool,
    /// The request is an extended CONNECT for WebSocket (RFC 8441), read as the GET that opens one in
    /// HTTP/1.1. With the key for an upstream of HTTP/1.
    pub connect: Option<Key>,
}

/// The head of a response.
#[derive(Debug, Default)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// Its fields.
    pub fields: Fields,
    /// How its body is delimited.
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
