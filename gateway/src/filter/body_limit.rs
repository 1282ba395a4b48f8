//! How long a request body may be.

use super::{Filter, Phase, Verdict};
use crate::exchange::Exchange;
use crate::exchange::fault::ClientFault;
use crate::http::Failure;

/// Refuses longer bodies with 413.
#[derive(Debug)]
pub struct BodyLimit {
    /// The longest body in bytes; none for the listener's limit.
    pub max_bytes: Option<u64>,
}

impl BodyLimit {
    fn max(&self, exchange: &Exchange<'_>) -> u64 {
        self.max_bytes.unwrap_or(exchange.peer.listener.max_body_bytes)
    }
}

impl Filter for BodyLimit {
    fn name(&self) -> &'static str {
        "max_body_bytes"
    }

    fn phase(&self) -> Phase {
        Phase::Limits
    }

    fn request(&self, exchange: &mut Exchange<'_>) -> Verdict {
        match exchange.request.framing.length() {
            Some(length) if length > self.max(exchange) => Verdict::Refuse(Box::new(ClientFault::TooLarge)),
            _ => Verdict::Continue,
        }
    }

    fn sees_request_data(&self) -> bool {
        true
    }

    fn request_data(&self, exchange: &Exchange<'_>, piece: &[u8]) -> Result<(), Box<dyn Failure>> {
        if exchange.received + piece.len() as u64 > self.max(exchange) {
            return Err(Box::new(ClientFault::TooLarge));
        }
        Ok(())
    }
}
