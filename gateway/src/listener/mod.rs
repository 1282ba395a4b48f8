//! Where connections come in: sockets, TLS, and the life of a connection.

pub mod accept;
pub mod connection;
mod serve;
pub mod socket;
mod stream;
pub mod tls;
mod uptake;
mod wire;

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::{Request, Response};

pub use connection::{Connection, InFlight};

/// Answers the requests of all connections of a thread.
pub trait Handler: Send + Sync + 'static {
    /// The body of its responses.
    type Body: Body<Data = Bytes, Error: std::error::Error + Send + Sync> + Send + Unpin + 'static;

    /// Answers one request. `in_flight` is to be kept until the response has ended.
    fn handle(
        &self,
        connection: Arc<Connection>,
        in_flight: InFlight,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Self::Body>> + Send;
}
