//! The way of a request through the rooms: form, route, rules, upstream, and back.

mod forward;
mod respond;
mod tunnel;
mod welcome;

use std::sync::Arc;

use hyper::body::{Body, Incoming};
use hyper::http::request::Parts;
use hyper::{Request, Response};
use tokio::time::Instant;

use crate::http::fields::Fields;
use crate::http::head;
use crate::http::request;
use crate::http::target::Target;
use crate::http::{Failure, Rejection};
use crate::listener::{Connection, Handler, InFlight};
use crate::observe::exchange::{Begin, Ending, Exchange, Observer};
use crate::policy::forwarded;
use crate::policy::request_body::{BodyFault, BodyLimits, RequestBody};
use crate::policy::response_body::ResponseBody;
use crate::route::{Refused, Table};
use crate::settings::{Action, Listener, Route, Settings};
use crate::upstream::{Upstream, UpstreamError};

/// A response on its way to the client.
pub type Reply = Response<ResponseBody<InFlight>>;

/// Answers all requests of one thread.
#[derive(Debug)]
pub struct Proxy {
    settings: Arc<Settings>,
    table: Arc<Table<usize>>,
    upstreams: Vec<Upstream>,
    observer: Arc<Observer>,
}

/// What is kept of a request until its response has ended.
struct Pending {
    exchange: Arc<Exchange>,
    ending: Ending,
    in_flight: InFlight,
}

impl Proxy {
    /// The proxy of one thread.
    pub fn new(
        settings: Arc<Settings>,
        table: Arc<Table<usize>>,
        observer: Arc<Observer>,
        thread: usize,
    ) -> Self {
        let upstreams = settings
            .upstreams
            .iter()
            .enumerate()
            .map(|(number, upstream)| Upstream::new(upstream, number, thread, Arc::clone(&observer.metrics)))
            .collect();
        Self { settings, table, upstreams, observer }
    }

    /// Everything before the action: form, host and path, route.
    fn admit(
        &self,
        connection: &Connection,
        listener: &Listener,
        parts: &Parts,
        exchange: &Exchange,
    ) -> Result<(Target, &Route), Box<dyn Failure + Send>> {
        // The guard counts the fields of HTTP/1; the codec of HTTP/2 only their bytes.
        if parts.headers.len() > listener.head.max_fields {
            return Err(boxed(head::TOO_LARGE));
        }
        let client = forwarded::client(&parts.headers, connection.peer.ip(), &listener.trusted_proxies);
        exchange.set_client(client);
        let mut target = request::target(parts).map_err(boxed::<Rejection>)?;
        exchange.set_target(&target.host, target.path.as_str());
        let mut fields = Fields::new();
        for (name, value) in &parts.headers {
            fields.push(name.as_str().as_bytes(), value.as_bytes());
        }
        let found = self.table.resolve(&mut target, &parts.method, &fields).map_err(boxed::<Refused>)?;
        let number = *found.route;
        exchange.set_route(number);
        Ok((target, &self.settings.routes[number]))
    }

    async fn run(
        &self,
        connection: &Connection,
        refused: Option<Rejection>,
        pending: Pending,
        request: Request<Incoming>,
    ) -> Reply {
        if let Some(rejection) = refused {
            return respond::failure(&rejection, pending);
        }
        let listener = &self.settings.listeners[connection.listener];
        let (parts, body) = request.into_parts();
        let (target, route) = match self.admit(connection, listener, &parts, &pending.exchange) {
            Ok(admitted) => admitted,
            Err(failure) => return respond::failure(&*failure, pending),
        };
        let upstream = match &route.action {
            Action::Forward(forward) => forward
                .split
                .first()
                .and_then(|share| self.upstreams.iter().find(|upstream| upstream.name() == share.upstream)),
            _ => None,
        };
        let Some(upstream) = upstream else {
            return welcome::page(&parts.headers, target.path.as_str(), pending);
        };
        let limits = BodyLimits {
            max_bytes: route.max_body_bytes.unwrap_or(listener.max_body_bytes),
            pause: listener.body_timeout,
        };
        if body.size_hint().lower() > limits.max_bytes {
            pending.exchange.fail(&BodyFault::TooLarge);
            return respond::failure(&BodyFault::TooLarge, pending);
        }
        let expects = forward::expects_continue(&parts);
        let body = RequestBody::new(body, limits, expects, Arc::clone(&pending.exchange));
        let upload = body.upload();
        let deadline =
            route.request_timeout.map(|limit| Instant::from_std(pending.exchange.started()) + limit);
        let forwarded =
            forward::forward(upstream, listener, connection, parts, target, body, &pending.exchange);
        let outcome = match deadline {
            Some(deadline) => tokio::time::timeout_at(deadline, forwarded)
                .await
                .unwrap_or(Err(forward::Failed::Upstream(UpstreamError::RequestTimeout))),
            None => forwarded.await,
        };
        match outcome {
            Ok(forwarded) => forwarded.into_reply(connection, deadline, pending),
            Err(failed) => {
                // A fault of the client shows at the upstream as a connection that broke off.
                if let Some(fault) = upload.fault() {
                    return respond::failure(&fault, pending);
                }
                respond::failure(failed.as_failure(), pending)
            }
        }
    }
}

fn boxed<F: Failure + Send + 'static>(failure: F) -> Box<dyn Failure + Send> {
    Box::new(failure)
}

impl Handler for Proxy {
    type Body = ResponseBody<InFlight>;

    async fn handle(
        &self,
        connection: Arc<Connection>,
        in_flight: InFlight,
        request: Request<Incoming>,
    ) -> Reply {
        let listener = &self.settings.listeners[connection.listener];
        let refused = connection.handle().err();
        let begin = Begin {
            listener: listener.name.clone(),
            client: connection.peer.ip(),
            version: request.version(),
            // A refused request is not what the codec was given in its place.
            method: refused.is_none().then(|| request.method().clone()),
        };
        let (exchange, ending) = Exchange::begin(Arc::clone(&self.observer), begin);
        let pending = Pending { exchange: Arc::clone(&exchange), ending, in_flight };
        let reply = self.run(&connection, refused, pending, request).await;
        exchange.set_status(reply.status());
        reply
    }
}
