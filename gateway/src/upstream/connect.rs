//! Opens a connection to an endpoint.

use std::io;
use std::time::Duration;

use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::error::UpstreamError;
use super::pool::Sender;

/// What the head of a response may measure, in bytes and fields.
const MAX_RESPONSE_HEAD: usize = 64 << 10;
const MAX_RESPONSE_FIELDS: usize = 128;

/// Connects to `host:port` within the timeout; an HTTP/1.1 connection runs in a task of its own
/// afterwards.
///
/// # Errors
///
/// [`UpstreamError::Connect`] and [`UpstreamError::ConnectTimeout`].
pub async fn connect(authority: &str, timeout: Duration) -> Result<Sender, UpstreamError> {
    let stream = tokio::time::timeout(timeout, open(authority))
        .await
        .map_err(|_| UpstreamError::ConnectTimeout)?
        .map_err(UpstreamError::Connect)?;
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_RESPONSE_HEAD)
        .max_headers(MAX_RESPONSE_FIELDS)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(UpstreamError::Closed)?;
    tokio::spawn(async move {
        // A broken connection shows where its request waits.
        let _ = connection.with_upgrades().await;
    });
    Ok(sender)
}

async fn open(authority: &str) -> io::Result<TcpStream> {
    let mut last = None;
    for address in tokio::net::lookup_host(authority).await? {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address")))
}
