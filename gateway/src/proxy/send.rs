//! Sends a request until there is a response, with retries where they are safe.

use super::Failed;
use super::attempt::{NoResponse, Received};
use super::downstream::Downstream;
use super::forward::Forwarding;
use super::wait;
use crate::endpoint::{Endpoint, EndpointId, InFlight, Moment, Outcome, Permit, Pick};
use crate::http::name::Name;
use crate::observe::counter::Try;
use crate::upstream::UpstreamError;
use crate::upstream::backend::Backend;

/// A response, and the guards held until it was sent to the client.
pub(super) struct Answered<'s> {
    pub pick: Pick<'s>,
    pub received: Received,
    pub in_flight: InFlight,
    pub sent: Try<'s>,
    pub permit: Option<Permit>,
}

impl<'s, D: Downstream> Forwarding<'_, 's, D> {
    /// Sends the request until a response head was received.
    ///
    /// It is retried, at another endpoint if there is one, if no byte of it was sent; or if the connection
    /// broke without a response, the method is idempotent and there is no body (RFC 9110 section 9.2.2).
    pub(super) async fn send(&mut self) -> Result<Answered<'s>, Failed> {
        let upstream = self.upstream;
        let worker = self.exchange.worker;
        let counters = upstream.counters.of(worker.index);
        let repeatable = self.exchange.request.method.is_idempotent() && self.upload.is_done();
        let retries = &upstream.settings.retries;
        let mut attempts_left = retries.attempts;
        let mut tried: Vec<EndpointId> = Vec::new();
        let mut reusing = true;
        let local = upstream.local(worker);
        let started = Moment::from(self.exchange.started);
        local.budget.request(started);
        let permit = match &upstream.cluster.circuit {
            None => None,
            Some(circuit) => Some(match circuit.try_enter() {
                Some(permit) => permit,
                None => {
                    wait::end(Box::pin(circuit.enter()), self.down).await?.map_err(UpstreamError::Busy)?
                }
            }),
        };
        loop {
            let Some(pick) = upstream.pick(&local, self.exchange, &tried) else {
                return Err(UpstreamError::Malformed("there is no endpoint").into());
            };
            self.exchange.set_endpoint(&upstream.settings.name, &pick.endpoint.name);
            self.exchange.begin_attempt(pick.endpoint);
            if self.route.endpoint_host {
                let authority = pick.endpoint.config.authority();
                self.exchange.request.fields.set(Name::Host, authority.as_bytes());
            }
            let in_flight = local.enter(pick.index);
            let Some(endpoint_counters) = upstream.tries.get(pick.index) else {
                return Err(UpstreamError::Malformed("there is no endpoint").into());
            };
            let sent = Try::begin(endpoint_counters.of(worker.index));
            let open = if reusing { upstream.reuse(worker, pick.endpoint, !repeatable) } else { None };
            let reused = open.is_some();
            let connected = match open {
                Some(backend) => {
                    counters.reused.add(1);
                    Ok(backend)
                }
                None => self.connect(pick.endpoint).await.inspect(|_| counters.connections.add(1)),
            };
            let received = match connected {
                Ok(backend) => self.attempt(backend).await,
                Err(failed) => Err(failed),
            };
            self.exchange.end_attempt(match &received {
                Ok(received) => Ok(received.head.status),
                Err(error) => Err(error.failed.reason()),
            });
            match received {
                Ok(received) => {
                    counters.durations.add(sent.came_back(Some(received.head.status)));
                    let status = received.head.status.as_u16();
                    upstream.report(&local, pick.index, Outcome::Status(status), started);
                    let again = repeatable && attempts_left > 0 && retries.statuses.contains(status);
                    if !again || !local.budget.try_retry(Moment::now()) {
                        return Ok(Answered { pick, received, in_flight, sent, permit });
                    }
                    attempts_left -= 1;
                    tried.push(pick.endpoint.id);
                }
                Err(NoResponse { failed, broke, unsent, outcome }) => {
                    if outcome.is_some() {
                        counters.durations.add(sent.came_back(None));
                    }
                    if let Some(outcome) = outcome.filter(|_| !reused) {
                        upstream.report(&local, pick.index, outcome, Moment::now());
                    }
                    let whole = self.kept.has(self.upload.bytes) && !self.upload.has_trailers();
                    let again = (unsent && whole) || (broke && repeatable);
                    // If no byte was sent, a retry adds no load to the service, so the budget does not count
                    // it.
                    let may =
                        |left| reused || (left > 0 && (unsent || local.budget.try_retry(Moment::now())));
                    if !again || !may(attempts_left) {
                        return Err(failed);
                    }
                    if self.upload.bytes > 0 {
                        self.kept.rewind(self.upload.bytes);
                        self.upload.rewind();
                        // The client was already told to continue.
                        self.exchange.request.expects_continue = false;
                    }
                    if reused {
                        // If one reused connection is dead, others may be too: the endpoint may have
                        // restarted.
                        reusing = false;
                    } else {
                        attempts_left -= 1;
                        tried.push(pick.endpoint.id);
                    }
                }
            }
            counters.retries.add(1);
        }
    }

    /// Opens a connection to an endpoint.
    async fn connect(&mut self, endpoint: &Endpoint) -> Result<Backend, NoResponse> {
        let Self { exchange, upstream, down, .. } = self;
        // On the heap: it is large, and most requests reuse a connection.
        let dial = Box::pin(upstream.dial(exchange.worker, endpoint, exchange.peer));
        wait::end(dial, *down).await?.map_err(|error| {
            let outcome = Some(Outcome::ConnectFailed);
            NoResponse { failed: error.into(), broke: false, unsent: true, outcome }
        })
    }
}
