//! One request to a service and its response.

use std::future::poll_fn;
use std::task::{Poll, ready};
use std::time::Duration;

use http::{Method, StatusCode};
use tokio::time::{Instant, timeout_at};

use super::error::{Cause, FetchError};
use super::service::Service;
use crate::dial::dial;
use crate::http::fields::Fields;
use crate::http::message::{Progress, Sink, Source};
use crate::http1::client::{NoHead, poll_head};
use crate::http1::encode::{append_field, append_framing};
use crate::http1::head::{Framing, HeadLimits};
use crate::http1::wire::Wire;
use crate::proxy_protocol::Proxied;

/// Limits of a response head.
const HEAD: HeadLimits = HeadLimits { max_bytes: 32 << 10, max_fields: 100 };
/// Maximum number of interim responses before the final one.
const MAX_INTERIM: u32 = 8;

/// A request to a service.
#[derive(Debug, Clone)]
pub struct Call<'c> {
    /// The method.
    pub method: Method,
    /// The request target; default: path and query of the URL.
    pub target: Option<&'c str>,
    /// The header fields, without `Host`, `Connection`, `User-Agent` and those that frame the message.
    pub fields: &'c Fields,
    /// The body, if there is one.
    pub body: Option<&'c [u8]>,
    /// Total time, from name resolution to the last byte of the response.
    pub timeout: Duration,
    /// Maximum length of the response body, in bytes.
    pub max_bytes: usize,
}

/// A response.
#[derive(Debug)]
pub struct Reply {
    /// Its status, 200 or above.
    pub status: StatusCode,
    /// Its header fields, including those of the connection.
    pub fields: Fields,
    /// Its body.
    pub body: Vec<u8>,
}

impl Service {
    /// Sends a request and reads its response.
    ///
    /// # Errors
    ///
    /// No complete response before the timeout, or a response larger than allowed. A status such as 500 is
    /// not an error here.
    pub async fn call(&self, call: Call<'_>) -> Result<Reply, FetchError> {
        let deadline = Instant::now() + call.timeout;
        let done = timeout_at(deadline, self.exchange(&call, deadline)).await;
        done.unwrap_or(Err(Cause::Timeout)).map_err(|cause| FetchError { url: self.url.clone(), cause })
    }

    async fn exchange(&self, call: &Call<'_>, deadline: Instant) -> Result<Reply, Cause> {
        let dialed = dial(&self.endpoint, &self.dialing, &Proxied::Local, deadline).await;
        let mut wire = Wire::new(dialed.map_err(Cause::Dial)?.stream, Vec::new(), HEAD);
        self.write_head(&mut wire, call);
        let mut left = call.body.unwrap_or_default();
        let mut fields = Fields::new();
        let mut interims = 0;
        let mut broke = false;
        let head = poll_fn(|cx| {
            // A service may respond before it has read everything; a write failure shows in the response.
            while !broke && !left.is_empty() {
                match Sink::poll_write(&mut wire, cx, left) {
                    Poll::Ready(Ok(count)) => left = &left[count..],
                    Poll::Ready(Err(_)) => broke = true,
                    Poll::Pending => break,
                }
            }
            broke |= !broke && matches!(Sink::poll_flush(&mut wire, cx), Poll::Ready(Err(_)));
            loop {
                match ready!(poll_head(&mut wire, cx, &call.method, &HEAD, &mut fields)) {
                    Ok(head) if head.status.is_informational() => {
                        interims += 1;
                        if interims > MAX_INTERIM || head.status == StatusCode::SWITCHING_PROTOCOLS {
                            return Poll::Ready(Err(Cause::Malformed("it has no final response")));
                        }
                    }
                    Ok(head) => return Poll::Ready(Ok(head)),
                    Err(NoHead::Broken(broken, _)) => return Poll::Ready(Err(Cause::Broken(broken))),
                    Err(NoHead::Malformed(what)) => return Poll::Ready(Err(Cause::Malformed(what))),
                }
            }
        })
        .await?;
        let body = read_body(&mut wire, call.max_bytes).await?;
        Ok(Reply { status: head.status, fields, body })
    }

    fn write_head(&self, wire: &mut Wire, call: &Call<'_>) {
        let target = call.target.unwrap_or(&self.url.path_and_query);
        let framing = call.body.map_or(Framing::None, |body| Framing::Length(body.len() as u64));
        let output = wire.output();
        let out = output.head();
        for part in [call.method.as_str(), " ", target, " HTTP/1.1\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
        append_field(out, b"host", self.authority.as_bytes());
        append_field(out, b"user-agent", concat!("gateway/", env!("CARGO_PKG_VERSION")).as_bytes());
        call.fields.write_lines(out);
        append_framing(out, framing);
        out.extend_from_slice(b"connection: close\r\n\r\n");
        output.begin(framing);
    }
}

async fn read_body(wire: &mut Wire, most: usize) -> Result<Vec<u8>, Cause> {
    let mut body = Vec::new();
    poll_fn(|cx| {
        loop {
            match ready!(wire.poll_body(cx)).map_err(Cause::Broken)? {
                Progress::End => return Poll::Ready(Ok(())),
                Progress::Data => {
                    let piece = Source::body(wire);
                    if body.len() + piece.len() > most {
                        return Poll::Ready(Err(Cause::TooLarge(most)));
                    }
                    body.extend_from_slice(piece);
                    let count = piece.len();
                    wire.consume(count);
                }
            }
        }
    })
    .await?;
    Ok(body)
}
