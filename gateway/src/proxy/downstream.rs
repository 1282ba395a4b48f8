//! The client side of one exchange, for every HTTP version.

use std::task::{Context, Poll};

use http::StatusCode;

use crate::exchange::Response;
use crate::http::Source;
use crate::http::fields::Fields;
use crate::http::message;
use crate::http1::head::Framing;
use crate::worker::watch::Deadlines;

/// Receives a request and sends a response.
pub trait Downstream: message::Source + message::Sink {
    /// The deadlines of the task that serves the exchange.
    fn deadlines(&self) -> &Deadlines;

    /// The framing of a body with unknown length.
    fn unknown_length(&self) -> Framing;

    /// Writes the head of the response; the body follows, if there is one. A response to HEAD has the framing
    /// fields of its body, but no body.
    fn send_head(&mut self, response: &mut Response, framing: Framing, has_body: bool);

    /// Writes an interim response (RFC 9110 section 15.2), if the client supports it.
    fn send_interim(&mut self, status: StatusCode, fields: &Fields);

    /// Discards the received part of the request body.
    fn discard_body(&mut self);

    /// Closes the connection after this exchange, unless it carries others.
    fn close_after(&mut self);

    /// Ready when the client has disconnected during a wait.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// Aborts the response, so that the client sees that it is incomplete.
    fn abort(&mut self, at_fault: Source);

    /// Whether unread bytes of the client could be taken for another request if the protocol switch is
    /// refused.
    fn is_early(&self) -> bool;

    /// Turns the connection into a tunnel after the response head.
    fn switch(&mut self);
}
