//! A request on one connection to an endpoint, up to the head of its response.

use std::future::poll_fn;
use std::time::Duration;

use super::downstream::Downstream;
use super::forward::Forwarding;
use super::waiting::Waiting;
use super::{Failed, grpc, tunnel};
use crate::endpoint::Outcome;
use crate::exchange::Exchange;
use crate::http::hop::{self, HopOptions};
use crate::http1::client::{self, Towards};
use crate::http1::response::Head;
use crate::upstream::UpstreamError;
use crate::upstream::backend::Backend;
use crate::worker::watch::For;

/// How long the client waits for the upstream's `100 Continue` before the gateway sends one, since a server
/// need not send it (RFC 9110 section 10.1.1).
const CONTINUE_TIMEOUT: Duration = Duration::from_secs(1);

/// A connection to an endpoint, with the head of the response received on it.
pub(super) struct Received {
    pub backend: Backend,
    pub head: Head,
    /// Whether the connection can be reused, and the server's keep-alive timeout in seconds.
    pub persistence: (bool, Option<u64>),
    /// The hop-by-hop options of the response.
    pub hop_options: HopOptions,
}

/// A failed attempt on one connection.
pub(super) struct NoResponse {
    pub failed: Failed,
    /// The endpoint closed the connection before any byte of a response.
    pub broke: bool,
    /// No byte of the request was sent.
    pub unsent: bool,
    /// The outcome to report for the endpoint.
    pub outcome: Option<Outcome>,
}

impl From<Failed> for NoResponse {
    fn from(failed: Failed) -> Self {
        Self { failed, broke: false, unsent: false, outcome: None }
    }
}

/// Whether the request asks for a tunnel.
pub(super) fn is_switching(exchange: &Exchange<'_>, hop_options: HopOptions) -> bool {
    hop_options.websocket && tunnel::may_open(exchange.request)
}

impl<D: Downstream> Forwarding<'_, '_, D> {
    /// Sends the request on one connection and waits for the head of its response.
    pub(super) async fn attempt(&mut self, mut backend: Backend) -> Result<Received, NoResponse> {
        let worker = self.exchange.worker;
        if let Backend::Http1(wire) = &mut backend {
            wire.output().lend(worker.buffers.take());
            wire.input().lend(worker.buffers.take());
        }
        let written = backend.written();
        let towards = Towards {
            tls: self.upstream.dialing.tls.is_some(),
            websocket: is_switching(self.exchange, self.hop_options),
            key: self.exchange.request.connect,
            takes_trailers: self.hop_options.takes_trailers,
        };
        if towards.websocket {
            tunnel::ready(self.exchange, self.upstream, self.down, &backend).await?;
        }
        if let Err(broken) = backend.send_head(self.exchange.request, towards) {
            let failed = UpstreamError::Closed(broken).into();
            return Err(NoResponse { failed, broke: true, unsent: true, outcome: None });
        }
        let body_waits = self.exchange.request.expects_continue && !self.upload.is_done();
        if body_waits {
            self.down.deadlines().set(For::Check, CONTINUE_TIMEOUT);
        }
        let streams = !self.upload.is_done() && grpc::asks(self.exchange);
        let mut waiting = Waiting::new(body_waits, streams);
        let found = poll_fn(|cx| waiting.poll(cx, self, &mut backend)).await;
        for what in [For::Client, For::Upstream] {
            self.down.deadlines().unset(what);
        }
        match found {
            Ok(head) => {
                let fields = &mut self.exchange.response.fields;
                let persistence = client::persistence(&head, fields);
                let hop_options = hop::strip(fields).map_err(|_| {
                    Failed::from(UpstreamError::Malformed("its Connection field is not a list"))
                })?;
                Ok(Received { backend, head, persistence, hop_options })
            }
            Err(ended) => {
                let unsent = ended.broke && backend.written() == written;
                Err(NoResponse { unsent, ..ended })
            }
        }
    }
}
