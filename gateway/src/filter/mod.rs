//! Filters: what a route does to its requests and responses besides forwarding them.
//!
//! A filter is made when a snapshot is compiled and lives as long as it. What must outlive it, or is
//! shared by all workers, it holds by an `Arc`. To add one: a file here, its settings, and a line in
//! the list that compiles a route.

pub mod body_limit;
pub mod forwarded;

use std::fmt;

use bytes::Bytes;
use http::StatusCode;

use crate::exchange::Exchange;
use crate::http::Failure;
use crate::http::fields::Fields;

/// What a filter decides on a request head.
pub enum Verdict {
    /// The next filter sees the request.
    Continue,
    /// This response answers the request.
    Answer(Answer),
    /// The request is refused.
    Refuse(Box<dyn Failure>),
}

/// A response that the gateway makes itself.
#[derive(Debug, Default)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The fields, without those that frame the body.
    pub fields: Fields,
    /// The body.
    pub body: Bytes,
}

/// One thing that a route does.
pub trait Filter: fmt::Debug + Send + Sync {
    /// Its name, as it stands in the settings and in documents.
    fn name(&self) -> &'static str;

    /// Sees the head of a request. It may change it.
    fn request(&self, exchange: &mut Exchange<'_>) -> Verdict {
        let _ = exchange;
        Verdict::Continue
    }

    /// Sees the head of a response, also of one that the gateway makes. It may change it.
    fn response(&self, exchange: &mut Exchange<'_>) {
        let _ = exchange;
    }

    /// Whether [`Filter::request_data`] is to be called.
    fn sees_request_data(&self) -> bool {
        false
    }

    /// Sees a piece of the request body before it is forwarded; `exchange.received` counts what came
    /// before it.
    ///
    /// # Errors
    ///
    /// Why the request ends here.
    fn request_data(&self, exchange: &Exchange<'_>, piece: &[u8]) -> Result<(), Box<dyn Failure>> {
        let _ = (exchange, piece);
        Ok(())
    }

    /// Whether [`Filter::response_data`] is to be called.
    fn sees_response_data(&self) -> bool {
        false
    }

    /// Sees a piece of the response body before it is forwarded.
    fn response_data(&self, exchange: &Exchange<'_>, piece: &[u8]) {
        let _ = (exchange, piece);
    }
}

impl fmt::Debug for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Continue => f.write_str("Continue"),
            Self::Answer(answer) => answer.fmt(f),
            Self::Refuse(failure) => f.write_str(failure.reason()),
        }
    }
}
