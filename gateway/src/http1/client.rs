//! The client side of HTTP/1: writes requests and parses response heads.

use std::task::{Context, Poll, ready};

use http::{Method, Version};

use super::encode::{append_field, append_framing};
use super::head::{Framing, HeadLimits};
use super::response::{self, Head};
use super::wire::Wire;
use crate::http::fields::Fields;
use crate::http::message::Broken;
use crate::http::name::Name;
use crate::http::target::Target;
use crate::http::websocket::Key;
use crate::net::append;

/// Errors while waiting for a response head.
#[derive(Debug)]
pub enum NoHead {
    /// The connection broke; the flag is set if no byte of a response was received.
    Broken(Broken, bool),
    /// The response head is malformed.
    Malformed(&'static str),
}

/// Properties of a request that depend on the next hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Towards {
    /// The connection is encrypted.
    pub tls: bool,
    /// The request asks for an upgrade to WebSocket.
    pub websocket: bool,
    /// The gateway's WebSocket key, if the client sent none.
    pub key: Option<Key>,
    /// The client accepts trailers, according to `TE`.
    pub takes_trailers: bool,
}

/// Writes the head of a request into the write buffer.
pub fn write_head(
    wire: &mut Wire,
    method: &Method,
    target: &Target,
    fields: &Fields,
    framing: Framing,
    towards: Towards,
) {
    let output = wire.output();
    let out = output.head();
    append(out, method.as_str().as_bytes());
    out.push(b' ');
    target.write_to(out);
    append(out, b" HTTP/1.1\r\n");
    fields.write_lines(out);
    // A sender of TE must list it in Connection (RFC 9110 section 10.1.4).
    append(
        out,
        match (towards.websocket, towards.takes_trailers) {
            (true, true) => b"connection: upgrade, te\r\nupgrade: websocket\r\n",
            (true, false) => b"connection: upgrade\r\nupgrade: websocket\r\n",
            (false, true) => b"connection: te\r\n",
            (false, false) => b"",
        },
    );
    if let Some(key) = towards.key.filter(|_| towards.websocket) {
        append_field(out, b"sec-websocket-key", key.as_bytes());
    }
    // An explicit zero length where a body is expected (RFC 9110 section 8.6).
    if framing == Framing::None && matches!(*method, Method::POST | Method::PUT | Method::PATCH) {
        append_framing(out, Framing::Length(0));
    } else {
        append_framing(out, framing);
    }
    append(out, b"\r\n");
    output.begin(framing);
}

/// Waits for the head of a response and removes it from the read buffer. The body follows.
///
/// # Errors
///
/// The connection broke, or the response head is malformed.
pub fn poll_head(
    wire: &mut Wire,
    cx: &mut Context<'_>,
    method: &Method,
    limits: &HeadLimits,
    fields: &mut Fields,
) -> Poll<Result<Head, NoHead>> {
    loop {
        if !wire.received().is_empty()
            && let Some(head) =
                response::parse(wire.received(), method, limits, fields).map_err(NoHead::Malformed)?
        {
            wire.begin_body(head.length, head.framing);
            return Poll::Ready(Ok(head));
        }
        let silent = wire.received().is_empty();
        match ready!(wire.poll_fill(cx)) {
            Ok(0) => return Poll::Ready(Err(NoHead::Broken(Broken::Closed, silent))),
            Ok(_) => {}
            Err(error) => return Poll::Ready(Err(NoHead::Broken(Broken::Io(error), silent))),
        }
    }
}

/// Whether the connection can be reused after this response (RFC 9112 section 9.3), and the server's
/// keep-alive timeout in seconds.
pub fn persistence(head: &Head, fields: &Fields) -> (bool, Option<u64>) {
    let persists = if head.version == Version::HTTP_10 {
        fields.lists(Name::Connection, b"keep-alive")
    } else {
        !fields.lists(Name::Connection, b"close")
    };
    let hint = fields
        .all(Name::KeepAlive)
        .flat_map(crate::http::token::list)
        .find_map(|parameter| std::str::from_utf8(parameter).ok()?.strip_prefix("timeout=")?.parse().ok());
    (persists && head.framing != Framing::Close, hint)
}
