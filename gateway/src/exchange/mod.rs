//! One request and its response: their heads, and the values for logs and metrics.

mod copied;
pub mod fault;
mod identity;
mod limited;
mod peer;
mod record;
mod traced;

pub use crate::http::heads::{Request, Response};
pub use copied::Copied;
pub use identity::{Identity, Kind};
pub use limited::{Asked, Counted, Limited};
pub use peer::{Peer, ShownCertificate};

use std::borrow::Cow;
use std::rc::Rc;
use std::time::{Instant, SystemTime};

use http::StatusCode;

use crate::http::coding::Encoder;
use crate::http::{Failure, Source};
use crate::observe::counter::{PerWorker, Requests};
use crate::observe::log_settings::LogRates;
use crate::observe::request_id::RequestId;
use crate::route::Parameters;
use crate::worker::Worker;

/// A request from its head to the end of its response. It is counted and logged when dropped.
#[derive(Debug)]
pub struct Exchange<'s> {
    /// The worker.
    pub worker: &'s Worker,
    /// The other end of the connection.
    pub peer: &'s Peer,
    /// The head of the request.
    pub request: &'s mut Request,
    /// The head of the response.
    pub response: &'s mut Response,
    /// The request id.
    pub id: RequestId,
    /// Time at which the head of the request was complete.
    pub started: Instant,
    time: SystemTime,
    /// The client's address as text: the peer, or the client behind trusted proxies.
    pub client: Cow<'s, str>,
    /// Positions of the route's parameters in the canonical path.
    pub parameters: Parameters,
    /// The client's identity, once known; later filters, limits and logs use it.
    pub identity: Option<Rc<Identity>>,
    /// The copy of the body for a mirror, if the request is mirrored.
    pub copied: Option<Box<Copied>>,
    /// Results of limits, if any were applied.
    pub limited: Option<Box<Limited>>,
    /// The trace, if the route is traced.
    traced: Option<traced::Traced<'s>>,
    /// The cross-site origin that may read the response (Fetch standard, section 3.3).
    pub origin: Option<Box<[u8]>>,
    /// The encoder of the response body, if it is compressed.
    pub encoder: Option<Box<Encoder>>,
    /// Length of the request body in bytes.
    pub received: u64,
    /// Length of the response body in bytes.
    pub sent: u64,
    /// Name and counters of the route.
    route: Option<(&'s str, &'s PerWorker<Requests>)>,
    log_rates: &'s LogRates,
    upstream: Option<&'s str>,
    endpoint: Option<&'s str>,
    attempts: u64,
    status: Option<StatusCode>,
    failure: Option<(Source, &'static str)>,
    /// Details of the failure beyond its reason; never shown to the client.
    detail: Option<String>,
    /// Whether the head of the request could be parsed.
    readable: bool,
    /// Whether the exchange has been counted and logged.
    ended: bool,
}

impl<'s> Exchange<'s> {
    /// Begins an exchange for a request head that is about to be read into `request`.
    pub fn begin(
        worker: &'s Worker,
        peer: &'s Peer,
        request: &'s mut Request,
        response: &'s mut Response,
    ) -> Self {
        worker.in_flight.of(worker.index).began.add(1);
        Self {
            worker,
            peer,
            request,
            response,
            id: worker.ids.next(),
            started: Instant::now(),
            time: SystemTime::now(),
            client: Cow::Borrowed(&peer.text),
            parameters: Parameters::default(),
            identity: None,
            copied: None,
            limited: None,
            traced: None,
            origin: None,
            encoder: None,
            received: 0,
            sent: 0,
            route: None,
            log_rates: worker.log.unrouted_rates(),
            upstream: None,
            endpoint: None,
            attempts: 0,
            status: None,
            failure: None,
            detail: None,
            readable: true,
            ended: false,
        }
    }

    /// Sets the route.
    pub fn set_route(&mut self, name: &'s str, counters: &'s PerWorker<Requests>, log_rates: &'s LogRates) {
        self.route = Some((name, counters));
        self.log_rates = log_rates;
    }

    /// The name of the route.
    pub fn route(&self) -> Option<&'s str> {
        self.route.map(|(name, _)| name)
    }

    /// Sets the endpoint to which the request is about to be sent.
    pub fn set_endpoint(&mut self, upstream: &'s str, endpoint: &'s str) {
        self.upstream = Some(upstream);
        self.endpoint = Some(endpoint);
        self.attempts += 1;
    }

    /// Sets the status of the response.
    pub fn set_status(&mut self, status: StatusCode) {
        self.status = Some(status);
    }

    /// Marks the head of the request as malformed: method and target are meaningless.
    pub fn set_unreadable(&mut self) {
        self.readable = false;
    }

    /// Whether method and target are valid.
    pub fn is_readable(&self) -> bool {
        self.readable
    }

    /// Records the failure of the request. The first failure is kept, since later ones are consequences.
    pub fn fail(&mut self, failure: &dyn Failure) {
        let first = self.fail_with(failure.origin(), failure.reason());
        if first && failure.origin() != Source::Downstream {
            self.detail = Some(without_links(&failure.to_string()).to_owned());
        }
    }

    /// Records a failure by its source and reason; false if one was already recorded.
    pub fn fail_with(&mut self, source: Source, reason: &'static str) -> bool {
        if self.failure.is_some() {
            return false;
        }
        self.failure = Some((source, reason));
        self.worker.metrics.failed(source, reason);
        true
    }

    /// Counts and logs the exchange.
    pub fn finish(mut self) {
        record::end(&mut self);
        self.ended = true;
    }
}

/// A text without a trailing link to documentation, which libraries add to their errors.
fn without_links(text: &str) -> &str {
    text.split("https://").next().unwrap_or(text).trim_end_matches([' ', ':', ',', ';', '('])
}

#[cfg(test)]
mod tests {
    #[test]
    fn details_contain_no_links() {
        let table = [
            ("closed without close_notify: https://docs.rs/x#y", "closed without close_notify"),
            ("no connection: refused", "no connection: refused"),
            ("see https://a and https://b", "see"),
        ];
        for (text, expected) in table {
            assert_eq!(super::without_links(text), expected);
        }
    }
}
