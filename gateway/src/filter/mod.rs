//! Filters: what a route does to its requests and responses besides forwarding them.
//!
//! A filter is made when a snapshot is compiled and lives as long as it. What must outlive it, or is
//! shared by all workers, it holds by an `Arc`. To add one: a file here, its settings, a line in the
//! list that compiles a route, and a row in `docs/gateway.md`. Where it stands among the others is
//! decided by its [`Phase`], not by the list or the settings.

pub mod authentication;
pub mod authorization;
pub mod body_limit;
pub mod clients;
pub mod compression;
pub mod cors;
pub mod forwarded;
pub mod header_edits;
pub mod limits;
pub mod maintenance;
pub mod mirror;
pub mod path_rewrite;
pub mod query_edits;
pub mod redirect;
pub mod respond;
pub mod response_limit;
pub mod rewrite;
pub mod security_headers;
pub mod template;

use std::fmt;
use std::future::Future;
use std::pin::Pin;

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
    /// The filter waits for something, and decides then.
    Wait(Wait),
}

/// What a filter waits for. It is dropped when the client goes away or the request has taken as long
/// as its route allows; any other limit is set by the filter itself.
pub type Wait = Pin<Box<dyn Future<Output = Resume>>>;

/// What a filter decides once it has waited. It may wait again.
pub type Resume = Box<dyn FnOnce(&mut Exchange<'_>) -> Verdict>;

/// When a filter sees a request. Filters of one phase stand in the order of the list that compiles a
/// route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Requests are refused by address or for maintenance; preflights are answered.
    Entry,
    /// What is too much is refused.
    Limits,
    /// It is found out who sent the request.
    Authentication,
    /// Whether the sender may do that.
    Authorization,
    /// What is too much of one sender is refused.
    IdentityLimits,
    /// The upstream is told who asks.
    Client,
    /// The fields of the request are changed.
    Headers,
    /// Path, query and host are changed.
    Target,
    /// The request is copied.
    Copy,
    /// The response is changed.
    Response,
}

impl Phase {
    /// Its name in documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Entry => "entry",
            Self::Limits => "limits",
            Self::Authentication => "authentication",
            Self::Authorization => "authorization",
            Self::IdentityLimits => "identity limits",
            Self::Client => "client",
            Self::Headers => "headers",
            Self::Target => "target",
            Self::Copy => "copy",
            Self::Response => "response",
        }
    }
}

/// A response that the gateway makes itself.
#[derive(Debug, Clone, Default)]
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

    /// When it sees a request.
    fn phase(&self) -> Phase;

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

    /// Whether [`Filter::response_head`] and [`Filter::response_data`] are to be called.
    fn sees_response_data(&self) -> bool {
        false
    }

    /// Sees the head of a response of an upstream before [`Filter::response`] does.
    ///
    /// # Errors
    ///
    /// Why the response is not sent to the client.
    fn response_head(&self, exchange: &Exchange<'_>) -> Result<(), Box<dyn Failure>> {
        let _ = exchange;
        Ok(())
    }

    /// Sees a piece of the response body before it is forwarded; `so_far` bytes came before it.
    ///
    /// # Errors
    ///
    /// Why the response ends here.
    fn response_data(
        &self,
        exchange: &Exchange<'_>,
        so_far: u64,
        piece: &[u8],
    ) -> Result<(), Box<dyn Failure>> {
        let _ = (exchange, so_far, piece);
        Ok(())
    }
}

impl fmt::Debug for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Continue => f.write_str("Continue"),
            Self::Answer(answer) => answer.fmt(f),
            Self::Refuse(failure) => f.write_str(failure.reason()),
            Self::Wait(_) => f.write_str("Wait"),
        }
    }
}
