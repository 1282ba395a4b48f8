//! Limits: how many requests of one key pass, how many are in flight, and what clients are told of it.
//!
//! A request that one limit refuses does not count for the others of its route. One that counts in a store
//! makes the request wait for its answer.

use std::io::Write;
use std::net::{IpAddr, Ipv6Addr};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use serde_json::Value;
use tokio::sync::oneshot::Receiver;

use super::{Filter, Phase, Resume, Verdict, Wait};
use crate::exchange::{Asked, Exchange, Limited};
use crate::http::name::Name;
use crate::http::{Failure, Source};
use crate::http1::encode::append_number;
use crate::limit::concurrency::{Entry, Permit};
use crate::limit::shared::{Question, Shared};
use crate::limit::{Counts, Decision, Limit, Standing};
use crate::redis::StoreError;
use crate::settings::{Amount, KeyPart, StoreFail};
use crate::worker::Worker;

/// What a client is told when as many requests are in flight as may be: it may try again after a second.
const FULL: Standing = Standing { remaining: 0, reset: 1 };

/// The limits of a route that are asked in one phase: those by who sent the request come after its
/// authentication.
#[derive(Debug)]
pub struct Limits {
    /// All limits of the route, in the order in which they are asked.
    all: Arc<[Applied]>,
    /// Those of this phase.
    range: Range<usize>,
    phase: Phase,
}

/// A limit of a route.
#[derive(Debug)]
struct Applied {
    limit: Arc<Limit>,
    /// Where it counts, if not in this process.
    shared: Option<Shared>,
    /// The name of the route where the key has it.
    route: String,
    /// Its item of `RateLimit-Policy`, and the begin of its item of `RateLimit`.
    policy: String,
    begin: String,
}

/// A request beyond a limit.
#[derive(Debug, Clone, Copy)]
pub struct BeyondLimit {
    reason: &'static str,
    /// Seconds until it may be sent again.
    retry_after: u64,
}

impl std::fmt::Display for BeyondLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.public())
    }
}

impl std::error::Error for BeyondLimit {}

impl Failure for BeyondLimit {
    fn origin(&self) -> Source {
        Source::Downstream
    }

    fn status(&self) -> StatusCode {
        StatusCode::TOO_MANY_REQUESTS
    }

    fn reason(&self) -> &'static str {
        self.reason
    }

    fn public(&self) -> &'static str {
        "Too many requests."
    }

    fn field(&self) -> Option<(Name, String)> {
        Some((Name::RetryAfter, self.retry_after.to_string()))
    }
}

/// A limit that must be asked gives no answer.
#[derive(Debug, Clone)]
pub struct NoAnswer(StoreError);

impl std::fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for NoAnswer {}

impl Failure for NoAnswer {
    fn origin(&self) -> Source {
        Source::Upstream
    }

    fn status(&self) -> StatusCode {
        StatusCode::SERVICE_UNAVAILABLE
    }

    fn reason(&self) -> &'static str {
        "limit_store"
    }

    fn public(&self) -> &'static str {
        "It could not be found out whether there are too many requests."
    }

    fn field(&self) -> Option<(Name, String)> {
        Some((Name::RetryAfter, "1".to_owned()))
    }
}

/// A limit that a route names: its name, and where it counts.
#[derive(Debug)]
pub struct Named {
    /// Its name, which clients see.
    pub name: String,
    /// The limit.
    pub limit: Arc<Limit>,
    /// Where it counts, if not in this process.
    pub shared: Option<Shared>,
}

impl Limits {
    /// The limits of a route, for the phases in which there are any.
    pub fn compile(route: &str, limits: Vec<Named>) -> impl Iterator<Item = Self> {
        let mut all: Vec<Applied> = limits.into_iter().map(|named| Applied::new(route, named)).collect();
        // A request that waits until another has ended is counted before it waits.
        all.sort_by_key(|applied| (applied.is_of_identity(), applied.is_concurrency()));
        let early = all.iter().filter(|applied| !applied.is_of_identity()).count();
        let ranges = [(0..early, Phase::Limits), (early..all.len(), Phase::IdentityLimits)];
        let all: Arc<[Applied]> = all.into();
        let some = ranges.into_iter().filter(|(range, _)| !range.is_empty());
        some.map(move |(range, phase)| Self { all: Arc::clone(&all), range, phase })
    }
}

impl Filter for Limits {
    fn name(&self) -> &'static str {
        "limits"
    }

    fn phase(&self) -> Phase {
        self.phase
    }

    fn request(&self, exchange: &mut Exchange<'_>) -> Verdict {
        check(&self.all, self.range.clone(), exchange)
    }

    fn response(&self, exchange: &mut Exchange<'_>) {
        let Some(limited) = &exchange.limited else { return };
        let fields = &mut exchange.response.fields;
        let asked = self.all.iter().zip(&limited.asked).skip(self.range.start).take(self.range.len());
        let shown = asked
            .filter(|(applied, _)| applied.limit.rule.fields)
            .filter_map(|(applied, asked)| Some((applied, asked.standing?)));
        if shown.clone().next().is_none() {
            return;
        }
        fields.write(Name::RateLimitPolicy, |out| {
            for (number, (applied, _)) in shown.clone().enumerate() {
                out.extend_from_slice(if number == 0 { b"" } else { b", " });
                out.extend_from_slice(applied.policy.as_bytes());
            }
        });
        fields.write(Name::RateLimit, |out| {
            for (number, (applied, standing)) in shown.enumerate() {
                out.extend_from_slice(if number == 0 { b"" } else { b", " });
                out.extend_from_slice(applied.begin.as_bytes());
                append_number(out, standing.remaining);
                if standing.reset > 0 {
                    out.extend_from_slice(b";t=");
                    append_number(out, standing.reset);
                }
            }
        });
    }
}

/// Asks the limits with these numbers.
fn check(all: &Arc<[Applied]>, numbers: Range<usize>, exchange: &mut Exchange<'_>) -> Verdict {
    let mut limited = exchange.limited.take().unwrap_or_default();
    let mut verdict = Verdict::Continue;
    for number in numbers.clone() {
        let Some(applied) = all.get(number) else { break };
        limited.next_key(|out| applied.key(exchange, out));
        let key = limited.key(number);
        let question = applied.shared.as_ref().and_then(|shared| shared.question(&applied.limit, key, false));
        if let Some(question) = question {
            verdict = Verdict::Wait(ask(all, number, numbers.end, question, exchange.worker));
            break;
        }
        let decision = match &applied.limit.counts {
            Counts::Concurrency(concurrency, timeout) => match concurrency.enter(key) {
                Entry::Now(permit) => {
                    admit(&mut limited, permit);
                    continue;
                }
                Entry::Wait(waiting) => {
                    let rest = number + 1..numbers.end;
                    verdict = Verdict::Wait(wait(Arc::clone(all), rest, waiting, *timeout));
                    break;
                }
                Entry::Full => Decision::Refused(FULL),
            },
            _ => applied.limit.take(key, exchange.started),
        };
        match decision {
            Decision::Allowed(standing) => {
                limited.asked.push(Asked { standing: Some(standing), shared: false });
            }
            Decision::Refused(standing) => {
                verdict = refuse(all, number, standing, &mut limited, exchange.worker);
                break;
            }
        }
    }
    exchange.limited = Some(limited);
    verdict
}

fn admit(limited: &mut Limited, permit: Permit) {
    let standing = Standing { remaining: permit.remaining, reset: 0 };
    limited.asked.push(Asked { standing: Some(standing), shared: false });
    limited.permits.push(permit);
}

/// Waits for a request in flight to end, and asks the limits with the numbers `rest` then.
fn wait(all: Arc<[Applied]>, rest: Range<usize>, waiting: Receiver<Permit>, timeout: Duration) -> Wait {
    Box::pin(async move {
        let entered = tokio::time::timeout(timeout, waiting).await;
        let resume: Resume = Box::new(move |exchange| {
            let limited = exchange.limited.get_or_insert_default();
            if let Ok(Ok(permit)) = entered {
                admit(limited, permit);
                return check(&all, rest, exchange);
            }
            refuse(&all, rest.start - 1, FULL, limited, exchange.worker)
        });
        resume
    })
}

/// Asks the store of limit `number`, and the limits behind it up to `end` then.
fn ask(all: &Arc<[Applied]>, number: usize, end: usize, question: Question, worker: &Worker) -> Wait {
    let all = Arc::clone(all);
    let client = all
        .get(number)
        .and_then(|applied| applied.shared.as_ref())
        .map(|shared| worker.stores.get(&shared.store));
    Box::pin(async move {
        let answer = match client {
            Some(client) => question.ask(client).await,
            None => Err(StoreError::Unavailable),
        };
        let resume: Resume = Box::new(move |exchange| {
            let refused = decide(&all, number, answer, exchange);
            refused.unwrap_or_else(|| check(&all, number + 1..end, exchange))
        });
        resume
    })
}

/// Goes by the answer of a store; gives the refusal, if it is one.
fn decide(
    all: &[Applied],
    number: usize,
    answer: Result<i64, StoreError>,
    exchange: &mut Exchange<'_>,
) -> Option<Verdict> {
    let applied = all.get(number)?;
    let shared = applied.shared.as_ref()?;
    let (worker, started) = (exchange.worker, exchange.started);
    let limited = exchange.limited.get_or_insert_default();
    let judged = shared.judge(&applied.limit, worker.index, answer.clone());
    let (decision, is_shared) = match (judged, shared.fail) {
        (Some((decision, counted)), fail) => {
            if fail == StoreFail::Local && matches!(decision, Decision::Allowed(_)) {
                applied.limit.note(limited.key(number), started, counted);
            }
            (decision, true)
        }
        (None, StoreFail::Local) => (applied.limit.take(limited.key(number), started), false),
        (None, StoreFail::Open) => {
            limited.asked.push(Asked { standing: None, shared: false });
            return None;
        }
        (None, StoreFail::Closed) => {
            take_back(all, number, limited, worker);
            return Some(Verdict::Refuse(Box::new(NoAnswer(
                answer.err().unwrap_or(StoreError::Unavailable),
            ))));
        }
    };
    match decision {
        Decision::Allowed(standing) => {
            limited.asked.push(Asked { standing: Some(standing), shared: is_shared });
            None
        }
        Decision::Refused(standing) => Some(refuse(all, number, standing, limited, worker)),
    }
}

/// Takes a request back from the limits before `number`.
fn take_back(all: &[Applied], number: usize, limited: &mut Limited, worker: &Worker) {
    for (before, (applied, asked)) in all.iter().zip(&limited.asked).enumerate().take(number) {
        let key = limited.key(before);
        match applied.shared.as_ref().filter(|_| asked.shared) {
            None if asked.standing.is_some() => applied.limit.give_back(key),
            None => {}
            Some(shared) => {
                if let Some(question) = shared.question(&applied.limit, key, true) {
                    let client = worker.stores.get(&shared.store);
                    // The client does not wait for it.
                    tokio::task::spawn_local(question.ask(client));
                }
            }
        }
    }
    limited.permits.clear();
}

/// Refuses a request by limit `number`, and takes it back from those before.
fn refuse(
    all: &[Applied],
    number: usize,
    standing: Standing,
    limited: &mut Limited,
    worker: &Worker,
) -> Verdict {
    take_back(all, number, limited, worker);
    limited.asked.push(Asked { standing: Some(standing), shared: false });
    let reason = all.get(number).map_or("rate_limit", Applied::reason);
    Verdict::Refuse(Box::new(BeyondLimit { reason, retry_after: standing.reset.max(1) }))
}

impl Applied {
    fn new(route: &str, named: Named) -> Self {
        let Named { name, limit, shared } = named;
        let policy = match limit.rule.amount {
            Amount::Rate { requests, per, .. } if per.as_secs() > 0 && per.subsec_nanos() == 0 => {
                format!("\"{name}\";q={requests};w={}", per.as_secs())
            }
            // The draft knows whole seconds only.
            Amount::Rate { requests, .. } => format!("\"{name}\";q={requests}"),
            Amount::Quota { requests, per } => match per.seconds() {
                Some(seconds) => format!("\"{name}\";q={requests};w={seconds}"),
                None => format!("\"{name}\";q={requests}"),
            },
            Amount::Concurrency { requests, .. } => {
                format!("\"{name}\";q={requests};qu=\"concurrent-requests\"")
            }
        };
        Self { limit, shared, route: route.to_owned(), policy, begin: format!("\"{name}\";r=") }
    }

    fn is_of_identity(&self) -> bool {
        self.limit.rule.key.iter().any(KeyPart::is_of_identity)
    }

    fn is_concurrency(&self) -> bool {
        matches!(self.limit.counts, Counts::Concurrency(..))
    }

    fn reason(&self) -> &'static str {
        match self.limit.counts {
            Counts::Rate(..) => "rate_limit",
            Counts::Quota(..) => "quota",
            Counts::Concurrency(..) => "concurrency_limit",
        }
    }

    /// Appends what the request is counted by, with a NUL behind each part.
    fn key(&self, exchange: &Exchange<'_>, out: &mut Vec<u8>) {
        for part in &self.limit.rule.key {
            match part {
                KeyPart::Route => out.extend_from_slice(self.route.as_bytes()),
                KeyPart::Client => client(&exchange.client, self.limit.rule.ipv6_prefix, out),
                KeyPart::Header(name) => {
                    let value = exchange.request.fields.named(name.as_bytes()).next();
                    out.extend_from_slice(value.unwrap_or_default());
                }
                KeyPart::Identity => {
                    if let Some(identity) = &exchange.identity {
                        // Two authenticators may know different senders by one name.
                        out.extend_from_slice(identity.authenticator.as_bytes());
                        out.push(b'/');
                        out.extend_from_slice(identity.subject.as_bytes());
                    }
                }
                KeyPart::Claim(name) => match claim(exchange, name) {
                    Some(Value::String(text)) => out.extend_from_slice(text.as_bytes()),
                    Some(other) => out.extend_from_slice(other.to_string().as_bytes()),
                    None => {}
                },
            }
            out.push(0);
        }
    }
}

fn claim<'e>(exchange: &'e Exchange<'_>, name: &str) -> Option<&'e Value> {
    exchange.identity.as_ref()?.claims.get(name)
}

/// Appends the address of a client, of IPv6 the prefix.
fn client(text: &str, ipv6_prefix: u32, out: &mut Vec<u8>) {
    match text.parse() {
        Ok(IpAddr::V6(address)) => {
            let mask = u128::MAX.checked_shl(128 - ipv6_prefix).unwrap_or(0);
            // Writing to a vector does not fail.
            let _ = write!(out, "{}", Ipv6Addr::from_bits(address.to_bits() & mask));
        }
        _ => out.extend_from_slice(text.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::client;

    #[test]
    fn clients_of_one_ipv6_prefix_are_one() {
        let table = [
            ("192.0.2.1", 64, "192.0.2.1"),
            ("2001:db8:1:2:3::4", 64, "2001:db8:1:2::"),
            ("2001:db8:1:2:3::4", 56, "2001:db8:1::"),
            ("2001:db8:1:2:3::4", 128, "2001:db8:1:2:3::4"),
            ("2001:db8:1:2:3::4", 1, "::"),
            ("unix", 64, "unix"),
        ];
        for (text, prefix, expected) in table {
            let mut key = Vec::new();
            client(text, prefix, &mut key);
            assert_eq!(String::from_utf8_lossy(&key), expected, "{text} {prefix}");
        }
    }
}
