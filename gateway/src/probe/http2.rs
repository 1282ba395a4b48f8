//! One GET over HTTP/2; only the status is used.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;

use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};

use crate::endpoint::Scheme;
use crate::http::fields::Fields;
use crate::http2::{self, RequestLine, Settings};
use crate::net::Stream;

/// Sends the request and returns the status of the final response, before the deadline.
///
/// # Errors
///
/// The connection breaks, or the response is not HTTP/2.
pub(super) async fn get(
    stream: Stream,
    scheme: Scheme,
    path: &str,
    host: &str,
    deadline: Instant,
) -> io::Result<u16> {
    let (path, host) = (path.to_owned(), host.to_owned());
    // An HTTP/2 connection must stay on its thread; probe tasks need not.
    let ask = move || {
        Handle::current()
            .block_on(async { timeout_at(deadline, ask(stream, scheme, &path, &host)).await })
            .map_err(io::Error::from)
    };
    spawn_blocking(ask).await.map_err(io::Error::other)??
}

async fn ask(stream: Stream, scheme: Scheme, path: &str, host: &str) -> io::Result<u16> {
    let (driver, sender) = http2::connect(stream, Rc::new(Settings::default()));
    let status = async {
        poll_fn(|cx| sender.poll_ready(cx)).await.map_err(io::Error::other)?;
        let mut fields = Fields::new();
        fields.push(b"user-agent", b"gateway-probe");
        let line = RequestLine {
            method: b"GET",
            scheme: Some(if scheme == Scheme::Https { b"https" } else { b"http" }),
            authority: Some(host.as_bytes()),
            path: Some(path.as_bytes()),
            protocol: None,
            content_length: None,
        };
        let stream = sender.open(&line, &fields, true).map_err(io::Error::other)?;
        loop {
            let head = poll_fn(|cx| stream.poll_head(cx)).await.map_err(io::Error::other)?;
            if head.status >= 200 {
                return Ok(head.status);
            }
        }
    };
    tokio::select! {
        status = status => status,
        _ = driver => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed without an answer")),
    }
}
