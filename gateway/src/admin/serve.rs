//! Answers `/livez`, `/readyz` and `/metrics`.

use std::convert::Infallible;
use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::observe::metrics::Metrics;

const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// A whole connection takes no longer: whoever asks again connects again.
const CONNECTION_TIMEOUT: Duration = Duration::from_mins(1);
const MAX_CONNECTIONS: usize = 64;
const MAX_BUFFER: usize = 16 << 10;
const PAUSE: Duration = Duration::from_millis(50);

/// What the admin listener tells about.
#[derive(Debug, Clone)]
pub struct Admin {
    /// Whether requests are welcome.
    pub ready: Arc<AtomicBool>,
    /// The counters.
    pub metrics: Arc<Metrics>,
}

/// Serves the admin listener for as long as the process runs.
///
/// # Errors
///
/// The socket cannot be used.
pub async fn serve(socket: StdListener, admin: Admin) -> std::io::Result<()> {
    let socket = TcpListener::from_std(socket)?;
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let slot = Arc::clone(&slots).acquire_owned().await;
        match socket.accept().await {
            Ok((stream, _)) => {
                let connection = connection(stream, admin.clone());
                tokio::spawn(async move {
                    let _ = tokio::time::timeout(CONNECTION_TIMEOUT, connection).await;
                    drop(slot);
                });
            }
            // Want of file descriptors passes.
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn connection(stream: TcpStream, admin: Admin) {
    let service = service_fn(|request: Request<_>| {
        let response = admin.answer(request.method(), request.uri().path());
        async { Ok::<_, Infallible>(response) }
    });
    // Whoever asked for health and broke off has an answer of their own.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_BUFFER)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

impl Admin {
    fn answer(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        if method != Method::GET && method != Method::HEAD {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
            let allowed = HeaderValue::from_static("GET, HEAD");
            response.headers_mut().insert(ALLOW, allowed);
            return response;
        }
        match path {
            "/livez" => text(StatusCode::OK, "live\n"),
            "/readyz" if self.ready.load(Ordering::Relaxed) => text(StatusCode::OK, "ready\n"),
            "/readyz" => text(StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
            "/metrics" => {
                let mut response = text(StatusCode::OK, self.metrics.render());
                let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
                response.headers_mut().insert(CONTENT_TYPE, kind);
                response
            }
            _ => text(StatusCode::NOT_FOUND, "here are /livez, /readyz and /metrics\n"),
        }
    }
}

fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    let fields = response.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
