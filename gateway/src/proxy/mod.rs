//! The request path: checks, route, filters, upstream, response.

pub mod answer;
mod attempt;
pub mod downstream;
mod encoded;
mod forward;
mod grpc;
mod kept;
mod memory;
mod mirror;
mod pump;
mod respond;
mod send;
mod tunnel;
mod wait;
mod waiting;
mod welcome;
mod whole;

use http::{Method, StatusCode, Version};

use crate::exchange::{Exchange, Request};
use crate::filter::{Answer, Verdict, forwarded};
use crate::http::fields::Fields;
use crate::http::name::Name;
use crate::http::{Failure, Rejection, hop};
use crate::http1::head::content_length;
use crate::snapshot::{Action, Snapshot};
use crate::worker::watch::For;
use downstream::Downstream;
use memory::LacksMemory;

/// The reason why a request failed.
enum Failed {
    /// No response was begun: the client gets an error response.
    Told(Box<dyn Failure>),
    /// The response was begun, or the client disconnected: the exchange is aborted.
    BrokenOff(Box<dyn Failure>),
}

impl Failed {
    /// The reason.
    fn reason(&self) -> &'static str {
        match self {
            Self::Told(failure) | Self::BrokenOff(failure) => failure.reason(),
        }
    }
}

impl<F: Failure + 'static> From<F> for Failed {
    fn from(failure: F) -> Self {
        Self::Told(Box::new(failure))
    }
}

/// Answers a request whose head is malformed, too long or too slow.
pub async fn refuse<'s, D: Downstream>(
    exchange: &mut Exchange<'s>,
    snapshot: &'s Snapshot,
    down: &mut D,
    rejection: &Rejection,
) {
    exchange.set_unreadable();
    unrouted(exchange, snapshot, down, rejection).await;
}

/// Answers a request without a route.
async fn unrouted<'s, D: Downstream>(
    exchange: &mut Exchange<'s>,
    snapshot: &'s Snapshot,
    down: &mut D,
    failure: &dyn Failure,
) {
    if let Some(traces) = &snapshot.unrouted_traces {
        exchange.begin_trace(traces);
    }
    answer::failure(exchange, down, &[], failure).await;
}

/// Handles a request whose head was read.
pub async fn handle<'s, D: Downstream>(exchange: &mut Exchange<'s>, snapshot: &'s Snapshot, down: &mut D) {
    exchange.client = forwarded::client(&exchange.request.fields, exchange.peer);
    let route = match snapshot.find(exchange.request) {
        Ok((route, parameters)) => {
            exchange.parameters = parameters;
            route
        }
        Err(refused) => return Box::pin(unrouted(exchange, snapshot, down, &refused)).await,
    };
    exchange.set_route(&route.name, &route.counters, &route.log_rates);
    if let Some(traces) = &route.traces {
        exchange.begin_trace(traces);
    }
    let done = run(exchange, route, down).await;
    // The deadline belongs to this request; the connection may carry another one.
    down.deadlines().unset(For::Request);
    let failed = match done {
        Ok(()) => return,
        Err(failed) => failed,
    };
    match failed {
        Failed::Told(failure) => Box::pin(answer::failure(exchange, down, &route.filters, &*failure)).await,
        Failed::BrokenOff(failure) => {
            exchange.fail(&*failure);
            down.abort(failure.origin());
        }
    }
}

async fn run<'s, D: Downstream>(
    exchange: &mut Exchange<'s>,
    route: &'s crate::snapshot::Route,
    down: &mut D,
) -> Result<(), Failed> {
    if exchange.worker.lacks_memory() {
        return Err(Failed::Told(Box::new(LacksMemory)));
    }
    let mut hop_options = hop::strip(&mut exchange.request.fields)?;
    hop_options.websocket |= exchange.request.connect.is_some();
    expectations(exchange.request)?;
    if exchange.request.method == Method::OPTIONS
        && let Some(answer) = max_forwards(&mut exchange.request.fields)?
    {
        Box::pin(answer::send(exchange, down, &route.filters, answer)).await;
        return Ok(());
    }
    for filter in &route.filters {
        let mut verdict = filter.request(exchange);
        loop {
            match verdict {
                Verdict::Continue => break,
                Verdict::Answer(answer) => {
                    Box::pin(answer::send(exchange, down, &route.filters, answer)).await;
                    return Ok(());
                }
                Verdict::Refuse(failure) => return Err(Failed::Told(failure)),
                Verdict::Wait(wait) => {
                    wait::begin(exchange, route, down);
                    let begin = exchange.begin_wait();
                    let resume = wait::end(wait, down).await?;
                    exchange.end_wait(filter.name(), begin);
                    verdict = resume(exchange);
                }
            }
        }
    }
    match &route.action {
        Action::Forward(forward) => forward::forward(exchange, route, forward, hop_options, down).await,
        Action::Redirect(redirect) => {
            let answer = redirect.answer(exchange)?;
            Box::pin(answer::send(exchange, down, &route.filters, answer)).await;
            Ok(())
        }
        Action::Respond(answer) => {
            Box::pin(answer::send(exchange, down, &route.filters, answer.clone())).await;
            Ok(())
        }
        Action::Welcome => {
            let answer = welcome::page(exchange.request)?;
            Box::pin(answer::send(exchange, down, &route.filters, answer)).await;
            Ok(())
        }
    }
}

/// Refuses expectations that the gateway does not support (RFC 9110 section 10.1.1).
fn expectations(request: &Request) -> Result<(), Rejection> {
    const UNKNOWN: Rejection = Rejection::with(
        StatusCode::EXPECTATION_FAILED,
        "expectation",
        "The only expectation supported is 100-continue.",
    );
    let known = |value: &[u8]| {
        let mut items = value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
        items.all(|item| item.is_empty() || item.eq_ignore_ascii_case(b"100-continue"))
    };
    let knows_all = request.version == Version::HTTP_10 || request.fields.all(Name::Expect).all(known);
    if knows_all { Ok(()) } else { Err(UNKNOWN) }
}

/// Decrements `Max-Forwards` of an `OPTIONS` request. The gateway responds itself if it is 0 (RFC 9110
/// section 7.6.2).
fn max_forwards(fields: &mut Fields) -> Result<Option<Answer>, Rejection> {
    const NAME: &[u8] = b"max-forwards";
    const MALFORMED: Rejection = Rejection::bad("max_forwards", "The Max-Forwards field is malformed.");
    let Some(value) = fields.named(NAME).next() else {
        return Ok(None);
    };
    let left = content_length(value).ok_or(MALFORMED)?;
    let Some(less) = left.checked_sub(1) else {
        let mut answer = Answer { status: StatusCode::OK, ..Answer::default() };
        answer.fields.add(Name::Allow, b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
        return Ok(Some(answer));
    };
    fields.set_named(NAME, less.to_string().as_bytes());
    Ok(None)
}
