//! The client's side of one exchange, whatever protocol it speaks.

use std::task::{Context, Poll};

use http::StatusCode;

use crate::exchange::Response;
use crate::http::Source;
use crate::http::fields::Fields;
use crate::http::message;
use crate::http1::head::Framing;
use crate::worker::watch::Deadlines;

/// A request that is received and a response that is sent.
pub trait Downstream: message::Source + message::Sink {
    /// The deadlines of the task that serves the exchange.
    fn deadlines(&self) -> &Deadlines;

    /// How a body of unknown length is sent.
    fn unknown_length(&self) -> Framing;

    /// Writes the head of the response; the body follows, where there is one. A response to HEAD says
    /// how its body would be framed, and has none.
    fn send_head(&mut self, response: &mut Response, framing: Framing, has_body: bool);

    /// Writes an interim response (RFC 9110 section 15.2), if the client can take one.
    fn send_interim(&mut self, status: StatusCode, fields: &Fields);

    /// Throws away what was received of the request body.
    fn discard_body(&mut self);

    /// Closes the connection after this exchange, where that ends no other.
    fn close_after(&mut self);

    /// Ready when the client has gone away while it is to wait.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// Breaks the response off, so that the client sees that it is not whole.
    fn abort(&mut self, at_fault: Source);

    /// Whether bytes of the client wait that could be taken for another request, were the switch to
    /// another protocol refused.
    fn is_early(&self) -> bool;

    /// Carries bytes without framing both ways, behind the head of a response that was sent.
    fn switch(&mut self);
}
