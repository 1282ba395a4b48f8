//! How long a response body of an upstream may be.

use super::{Filter, Phase};
use crate::exchange::Exchange;
use crate::exchange::fault::ResponseFault;
use crate::http::Failure;

/// Refuses longer bodies: with 502 where the length is announced, or by breaking off.
#[derive(Debug)]
pub struct ResponseLimit(pub u64);

impl Filter for ResponseLimit {
    fn name(&self) -> &'static str {
        "max_response_bytes"
    }

    fn phase(&self) -> Phase {
        Phase::Response
    }

    fn sees_response_data(&self) -> bool {
        true
    }

    fn response_head(&self, exchange: &Exchange<'_>) -> Result<(), Box<dyn Failure>> {
        match exchange.response.framing.length() {
            Some(length) if length > self.0 => Err(Box::new(ResponseFault::TooLarge)),
            _ => Ok(()),
        }
    }

    fn response_data(
        &self,
        _exchange: &Exchange<'_>,
        so_far: u64,
        piece: &[u8],
    ) -> Result<(), Box<dyn Failure>> {
        if so_far + piece.len() as u64 > self.0 {
            return Err(Box::new(ResponseFault::TooLarge));
        }
        Ok(())
    }
}
