//! One HTTP exchange at a time: connections, redirects, bounded bodies, failures told apart.
//!
//! Proxies are taken from `ALL_PROXY`, `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, never for this machine.

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use ureq::http::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderName, LOCATION};
use ureq::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use ureq::{Agent, BodyReader, Proxy, ProxyProtocol, SendBody};

use super::failure::{self, Place};
use super::min_throughput::{Pace, Paced};
use super::reference::is_loopback;
use super::retry::RequestError;
pub use super::timeouts::Timeouts;
use super::tls;
use super::url;
use cli_support::error::Fault;

/// Redirects that are followed for one request.
const MAX_REDIRECTS: usize = 5;

/// Connections that are kept open: as many as there are requests at the same time, else most of them would be
/// opened anew for each round trip.
const MAX_IDLE: usize = 32;

/// The connections of a client, kept open between requests.
pub(super) struct Wire {
    timeouts: Timeouts,
    roots: Option<PathBuf>,
    /// By TLS or not, and directly or through a proxy; each is made when it is first needed.
    agents: [Mutex<Option<Agent>>; 4],
}

/// The body of a request.
pub(super) enum Payload<'a> {
    /// Nothing at all.
    None,
    /// These bytes.
    Bytes(&'a [u8]),
    /// So many bytes from a reader, which must have them.
    Stream(&'a mut dyn Read, u64),
}

/// Which redirects are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Redirects {
    /// All of them, to other hosts without the credentials.
    Any,
    /// None; the redirect itself is the answer.
    None,
}

/// A request, ready to be sent once.
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    pub(super) url: Uri,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) authorization: Option<HeaderValue>,
    pub(super) payload: Payload<'a>,
    pub(super) redirects: Redirects,
}

/// An answer with an unread body.
pub(super) struct Response {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// Where it came from after all redirects.
    pub(super) url: Uri,
    pub(super) body: Paced<BodyReader<'static>>,
    place: Place,
}

impl Response {
    /// A header's value, where it is there and text.
    pub(super) fn header(&self, name: impl ureq::http::header::AsHeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The length that the server announced.
    pub(super) fn length(&self) -> Option<u64> {
        self.header(CONTENT_LENGTH)?.trim().parse().ok()
    }

    /// The whole body, which must not be longer than `limit` bytes.
    pub(super) fn read(mut self, limit: u64) -> Result<Vec<u8>, RequestError> {
        let too_long = || {
            let what = format!("the answer is longer than {limit} bytes");
            RequestError::permanent(Fault::failed(what).at(url::shown(&self.url)).of_content())
        };
        if self.length().is_some_and(|length| length > limit) {
            return Err(too_long());
        }
        let mut bytes = Vec::new();
        let read = self.body.by_ref().take(limit + 1).read_to_end(&mut bytes);
        read.map_err(|error| self.broke(error))?;
        if bytes.len() as u64 > limit { Err(too_long()) } else { Ok(bytes) }
    }

    /// The failure of a read from the body.
    pub(super) fn broke(&self, error: io::Error) -> RequestError {
        failure::while_reading(error, &self.place)
    }

    /// At most `limit` bytes of a body that only explains a refusal; whatever is wrong with it matters less.
    pub(super) fn read_some(&mut self, limit: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        // A body that breaks off still explains something.
        let _ = self.body.by_ref().take(limit).read_to_end(&mut bytes);
        bytes
    }
}

impl Wire {
    pub(super) fn new(timeouts: Timeouts, roots: Option<PathBuf>) -> Self {
        Self { timeouts, roots, agents: Default::default() }
    }

    /// Sends a request and follows its redirects; every status is an answer.
    pub(super) fn send(&self, ask: Ask<'_>) -> Result<Response, RequestError> {
        let Ask { method, mut url, headers, mut authorization, mut payload, redirects } = ask;
        for _ in 0..=MAX_REDIRECTS {
            let mut request = Request::builder().method(method.clone()).uri(url.clone());
            for (name, value) in &headers {
                request = request.header(name, value);
            }
            if let Some(value) = &authorization {
                request = request.header(AUTHORIZATION, value);
            }
            let answer = self.exchange(request, &mut payload, &url)?;
            let Some(next) = redirect(&answer, &method, redirects) else { return Ok(answer) };
            let next = next?;
            if !url::same_origin(&url, &next) {
                authorization = None;
            }
            url = next;
        }
        Err(RequestError::permanent(
            Fault::failed(format!("more than {MAX_REDIRECTS} redirects")).at(url::shown(&url)),
        ))
    }

    fn exchange(
        &self,
        mut request: ureq::http::request::Builder,
        payload: &mut Payload<'_>,
        url: &Uri,
    ) -> Result<Response, RequestError> {
        let agent = self.agent(url).map_err(RequestError::permanent)?;
        if let Payload::Stream(_, length) = payload {
            request = request.header(CONTENT_LENGTH, *length);
        }
        let unsound = |error: ureq::http::Error| {
            RequestError::permanent(Fault::failed(format!("cannot ask this: {error}")).at(url::shown(url)))
        };
        let outcome = match payload {
            Payload::None => agent.run(request.body(()).map_err(unsound)?),
            Payload::Bytes(bytes) => agent.run(request.body(*bytes).map_err(unsound)?),
            Payload::Stream(reader, length) => {
                let pace = Pace::new(self.timeouts.transfer());
                let mut exact = Exact { reader: *reader, left: *length, pace };
                agent.run(request.body(SendBody::from_reader(&mut exact)).map_err(unsound)?)
            }
        };
        let proxy = agent.config().proxy().filter(|proxy| !proxy.is_no_proxy(url));
        let proxy = proxy.map(|proxy| format!("{}:{}", proxy.host(), proxy.port()));
        let place = Place { url: url.clone(), proxy, timeouts: self.timeouts };
        let response = outcome.map_err(|error| failure::while_asking(error, &place))?;
        let (parts, body) = response.into_parts();
        // The size of what is read is bounded where it is read.
        let body = body.into_with_config().limit(u64::MAX).reader();
        let body = Paced { inner: body, pace: Pace::new(self.timeouts.transfer()) };
        Ok(Response { status: parts.status, headers: parts.headers, url: url.clone(), body, place })
    }

    fn agent(&self, url: &Uri) -> Result<Agent> {
        let authority = url.authority().map_or("", |authority| authority.as_str());
        let (with_tls, direct) = (url::is_tls(url), is_loopback(authority));
        let slot = &self.agents[usize::from(with_tls) * 2 + usize::from(direct)];
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(agent) = &*slot {
            return Ok(agent.clone());
        }
        let proxy = if direct { None } else { Proxy::try_from_env() };
        if proxy.as_ref().is_some_and(|proxy| !is_http(proxy) && !proxy.is_no_proxy(url)) {
            return Err(Fault::failed("the environment names a SOCKS proxy, which is not supported")
                .at(url::shown(url))
                .hint("set HTTPS_PROXY and ALL_PROXY to an HTTP proxy, or name the host in NO_PROXY")
                .into());
        }
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("xtask/", env!("CARGO_PKG_VERSION")))
            .proxy(proxy)
            .max_idle_connections(MAX_IDLE)
            .max_idle_connections_per_host(MAX_IDLE)
            .timeout_resolve(Some(self.timeouts.connect))
            .timeout_connect(Some(self.timeouts.connect))
            .timeout_recv_response(Some(self.timeouts.transfer()))
            .timeout_per_read(Some(self.timeouts.idle))
            .timeout_per_write(Some(self.timeouts.idle));
        if with_tls {
            config = config.tls_config(tls::config(self.roots.as_deref())?).https_only(true);
        }
        let agent = config.build().new_agent();
        *slot = Some(agent.clone());
        Ok(agent)
    }
}

fn is_http(proxy: &Proxy) -> bool {
    matches!(proxy.protocol(), ProxyProtocol::Http | ProxyProtocol::Https)
}

/// Where an answer sends the request on to; none where it is no redirect or is not to be followed.
fn redirect(answer: &Response, method: &Method, redirects: Redirects) -> Option<Result<Uri, RequestError>> {
    let asks_again = *method == Method::GET || *method == Method::HEAD;
    if redirects == Redirects::None
        || !asks_again
        || !matches!(answer.status.as_u16(), 301 | 302 | 303 | 307 | 308)
    {
        return None;
    }
    let from = || url::shown(&answer.url);
    let Some(next) = answer.header(LOCATION).and_then(|location| url::join(&answer.url, location)) else {
        return Some(Err(RequestError::permanent(Fault::failed("a redirect to no usable place").at(from()))));
    };
    if url::is_tls(&answer.url) && !url::is_tls(&next) {
        let what = format!("a redirect from https to {}", url::shown(&next));
        return Some(Err(RequestError::permanent(Fault::failed(what).at(from()))));
    }
    Some(Ok(next))
}

/// Reads exactly so many bytes: an end before that is the source's fault and not the connection's.
struct Exact<'a> {
    reader: &'a mut dyn Read,
    left: u64,
    pace: Pace,
}

impl Read for Exact<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if most == 0 {
            return Ok(0);
        }
        let read = match self.reader.read(&mut buffer[..most]) {
            Ok(0) => Err(io::Error::other(format!("it ends {} bytes early", self.left))),
            outcome => outcome,
        };
        let read = read.map_err(|error| io::Error::other(failure::SourceFailed(error)))?;
        self.left -= read as u64;
        // The next read starts after the server accepted the bytes before it.
        self.pace.came(read)?;
        Ok(read)
    }
}
