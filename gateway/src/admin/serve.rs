//! Answers `/livez`, `/readyz`, `/metrics`, `/-/reload` and the admin page at `/-/` over HTTP/1.1.

use std::borrow::Cow;
use std::future::poll_fn;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, ready};
use std::time::Duration;

use http::{Method, StatusCode, Version};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::exposed::expose;
use super::page;
use super::status::status;
use crate::http::Rejection;
use crate::http::fields::Fields;
use crate::http::message::{Broken, Sink};
use crate::http::name::Name;
use crate::http::target::Target;
use crate::http1::encode::{append_field, append_framing, append_status};
use crate::http1::head::{Framing, HeadLimits};
use crate::http1::request;
use crate::http1::wire::Wire;
use crate::net::Stream;
use crate::observe::format::Format;
use crate::observe::metrics::Metrics;
use crate::reload::{Cause, Outcome, Reload};
use crate::settings::Secret;

const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum duration of a connection. A client that needs more opens another one.
const CONNECTION_TIMEOUT: Duration = Duration::from_mins(1);
const MAX_CONNECTIONS: usize = 64;
const LIMITS: HeadLimits = HeadLimits { max_bytes: 16 << 10, max_fields: 64 };
/// How long to read after the last response, so that the client's TCP stack does not discard it (RFC 9112
/// section 9.6).
const LINGER: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(50);

/// The path that reloads the settings.
const RELOAD: &str = "/-/reload";

const PLAIN: &[u8] = b"text/plain; charset=utf-8";

/// State that the admin listener serves.
#[derive(Debug, Clone)]
pub struct Admin {
    /// Whether the gateway accepts requests.
    pub ready: Arc<AtomicBool>,
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// Reloads the settings.
    pub reload: Reload,
}

/// Serves the admin listener until the process exits.
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
                    let _ = timeout(CONNECTION_TIMEOUT, connection).await;
                    drop(slot);
                });
            }
            // A lack of file descriptors is temporary.
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn connection(stream: TcpStream, admin: Admin) {
    let peer = stream.peer_addr().ok();
    let mut wire = Wire::new(Stream::Tcp(stream), Vec::new(), LIMITS);
    let ended = async {
        while exchange(&mut wire, &admin, peer).await? {}
        poll_fn(|cx| wire.poll_shutdown(cx)).await.map_err(Broken::Io)
    };
    // The client asked for health and closed the connection early.
    if ended.await.is_ok() {
        let _ = timeout(LINGER, poll_fn(|cx| wire.poll_gone(cx, LIMITS.max_bytes))).await;
    }
}

/// The parts of a request that the admin listener uses.
struct Request {
    method: Method,
    target: Target,
    fields: Fields,
    persists: bool,
}

/// Answers one request; false if the connection ends after it.
async fn exchange(wire: &mut Wire, admin: &Admin, peer: Option<SocketAddr>) -> Result<bool, Broken> {
    let Ok(read) = timeout(HEADER_TIMEOUT, poll_fn(|cx| poll_request(wire, cx))).await else {
        return Ok(false);
    };
    let (answer, bodiless, persists) = match read {
        Ok(None) => return Ok(false),
        Ok(Some(request)) => {
            wire.discard_body();
            let answer = admin.answer(&request, peer).await;
            (answer, request.method == Method::HEAD, request.persists && wire.is_body_used())
        }
        Err(rejection) => (Answer::text(rejection.status, format!("{}\n", rejection.public)), false, false),
    };
    answer.write(wire, bodiless, persists);
    let body: &[u8] = if bodiless { b"" } else { &answer.body };
    let mut sent = 0;
    poll_fn(|cx| {
        while let Some(left) = body.get(sent..).filter(|left| !left.is_empty()) {
            sent += ready!(wire.poll_write(cx, left))?;
        }
        wire.poll_finish(cx, None)
    })
    .await?;
    Ok(persists)
}

/// Reads the head of a request; `None` if the connection ended.
fn poll_request(
    wire: &mut Wire,
    cx: &mut std::task::Context<'_>,
) -> Poll<Result<Option<Request>, Rejection>> {
    loop {
        let mut fields = Fields::new();
        if !wire.received().is_empty()
            && let Some(head) = request::parse(wire.received(), &LIMITS, &mut fields)?
        {
            let (start, end) = head.target;
            let raw = fields.bytes().get(start..end).unwrap_or_default();
            let http_10 = head.version == Version::HTTP_10;
            let mut target = Target::default();
            target.read_http1(head.method.as_str().as_bytes(), raw, fields.get(Name::Host), http_10)?;
            wire.begin_body(head.length, head.framing);
            let persists = !http_10 && !fields.lists(Name::Connection, b"close");
            return Poll::Ready(Ok(Some(Request { method: head.method, target, fields, persists })));
        }
        match ready!(wire.poll_fill(cx)) {
            Ok(count) if count > 0 => {}
            _ => return Poll::Ready(Ok(None)),
        }
    }
}

struct Answer {
    status: StatusCode,
    kind: &'static [u8],
    body: Cow<'static, [u8]>,
    /// Whether the response belongs to the admin page.
    is_page: bool,
    /// The allowed methods, in a response with status 405.
    allow: &'static str,
}

impl Answer {
    fn text(status: StatusCode, body: impl Into<Cow<'static, str>>) -> Self {
        let body = match body.into() {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        };
        Self { status, kind: PLAIN, body, is_page: false, allow: "" }
    }

    /// Writes the head into the write buffer.
    fn write(&self, wire: &mut Wire, bodiless: bool, persists: bool) {
        let framing = Framing::Length(self.body.len() as u64);
        let output = wire.output();
        let out = output.head();
        append_status(out, self.status);
        append_field(out, b"content-type", self.kind);
        append_field(out, b"cache-control", b"no-store");
        if self.is_page {
            append_field(out, b"content-security-policy", page::POLICY.as_bytes());
            append_field(out, b"x-content-type-options", b"nosniff");
            append_field(out, b"referrer-policy", b"no-referrer");
            append_field(out, b"cross-origin-resource-policy", b"same-origin");
        }
        append_field(out, b"date", httpdate::fmt_http_date(std::time::SystemTime::now()).as_bytes());
        if self.status == StatusCode::UNAUTHORIZED {
            // One field for each, since browsers differ in how they read several challenges in one field.
            append_field(out, b"www-authenticate", b"Bearer realm=\"gateway\"");
            append_field(out, b"www-authenticate", b"Basic realm=\"gateway\", charset=\"UTF-8\"");
        }
        if !self.allow.is_empty() {
            append_field(out, b"allow", self.allow.as_bytes());
        }
        if !persists {
            append_field(out, b"connection", b"close");
        }
        append_framing(out, framing);
        out.extend_from_slice(b"\r\n");
        output.begin(if bodiless { Framing::None } else { framing });
    }
}

impl Admin {
    /// A file of the admin page with its media type.
    fn page(&self, path: &str) -> Option<(&'static str, Cow<'static, [u8]>)> {
        let snapshot = self.reload.snapshot();
        match path {
            "/-/status" => {
                let status = status(&self.metrics, &snapshot, self.ready.load(Ordering::Relaxed));
                Some(("application/json", status.to_string().into_bytes().into()))
            }
            "/-/settings" => Some(("text/plain; charset=utf-8", snapshot.shown.clone().into_bytes().into())),
            _ => page::file(path).map(|(kind, text)| (kind, text.as_bytes().into())),
        }
    }

    async fn answer(&self, request: &Request, peer: Option<SocketAddr>) -> Answer {
        let path = request.target.path.as_str();
        if path.starts_with("/-/")
            && let Some((status, why)) = {
                let snapshot = self.reload.snapshot();
                let token = snapshot.admin_token.as_ref().map(Secret::expose);
                page::refused(peer, &request.target, &request.fields, token)
            }
        {
            return Answer { is_page: true, ..Answer::text(status, why) };
        }
        let allowed = if path == RELOAD { "POST" } else { "GET, HEAD" };
        if !allowed.split(", ").any(|one| one == request.method.as_str()) {
            let text = format!("only {}\n", allowed.replace(", ", " and "));
            return Answer { allow: allowed, ..Answer::text(StatusCode::METHOD_NOT_ALLOWED, text) };
        }
        match path {
            "/livez" => Answer::text(StatusCode::OK, "live\n"),
            "/readyz" if self.ready.load(Ordering::Relaxed) => Answer::text(StatusCode::OK, "ready\n"),
            "/readyz" => Answer::text(StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
            "/metrics" => {
                let format = Format::negotiate(request.fields.named(b"accept"));
                let body = expose(&self.metrics, &self.reload.snapshot()).finish(format).into();
                let kind = format.content_type().as_bytes();
                Answer { kind, body, ..Answer::text(StatusCode::OK, "") }
            }
            RELOAD => reloaded(self.reload.reload(Cause::Admin).await),
            _ => match self.page(path) {
                Some((kind, body)) => {
                    Answer { kind: kind.as_bytes(), body, is_page: true, ..Answer::text(StatusCode::OK, "") }
                }
                None => Answer::text(
                    StatusCode::NOT_FOUND,
                    "available paths: /livez, /readyz, /metrics, /-/ and /-/reload\n",
                ),
            },
        }
    }
}

/// The response to a reload request: the outcome, with one line for each problem and warning.
fn reloaded(outcome: Option<Outcome>) -> Answer {
    let Some(Outcome { problems, warnings, duration }) = outcome else {
        return Answer::text(
            StatusCode::SERVICE_UNAVAILABLE,
            "the gateway is stopping; settings are not reloaded\n",
        );
    };
    let (status, end) = if problems.is_empty() {
        (StatusCode::OK, format!("settings reloaded in {duration:.1?}\n"))
    } else {
        (
            StatusCode::UNPROCESSABLE_ENTITY,
            "settings not reloaded; the previous settings stay in force\n".to_owned(),
        )
    };
    let problems = problems.iter().map(|problem| format!("{problem}\n"));
    let warnings = warnings.iter().map(|warning| format!("{warning} (warning)\n"));
    Answer::text(status, warnings.chain(problems).chain([end]).collect::<String>())
}
