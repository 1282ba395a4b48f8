//! Limits: how many requests of one key pass, how many are in flight, and what clients are told of it.
//!
//! A request that one limit refuses does not count for the others of its route.

use std::io::Write;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use http::StatusCode;

use super::{Filter, Phase, Resume, Verdict, Wait};
use crate::exchange::{Exchange, Limited};
use crate::http::name::Name;
use crate::http::{Failure, Source};
use crate::limit::concurrency::{Entry, Permit};
use crate::limit::{Counts, Decision, Limit, Standing};
use crate::settings::{Amount, KeyPart};

/// Seconds after which a client may try again that met as many requests in flight as may be.
const RETRY_CONCURRENT: u64 = 1;

/// The limits of a route.
#[derive(Debug)]
pub struct Limits(Arc<[Applied]>);

/// A limit of a route.
#[derive(Debug)]
struct Applied {
    limit: Arc<Limit>,
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

impl Limits {
    /// The limits of a route, if it has any.
    pub fn new(route: &str, limits: Vec<(String, Arc<Limit>)>) -> Option<Self> {
        let mut limits: Vec<Applied> =
            limits.into_iter().map(|(name, limit)| Applied::new(route, &name, limit)).collect();
        // A request that waits until another has ended is counted before it waits.
        limits.sort_by_key(|applied| matches!(applied.limit.counts, Counts::Concurrency(..)));
        (!limits.is_empty()).then(|| Self(limits.into()))
    }
}

impl Filter for Limits {
    fn name(&self) -> &'static str {
        "limits"
    }

    fn phase(&self) -> Phase {
        Phase::Limits
    }

    fn request(&self, exchange: &mut Exchange<'_>) -> Verdict {
        check(&self.0, 0, exchange)
    }

    fn response(&self, exchange: &mut Exchange<'_>) {
        let Some(limited) = &exchange.limited else { return };
        let fields = &mut exchange.response.fields;
        let shown = || self.0.iter().zip(&limited.standings).filter(|(applied, _)| applied.limit.rule.fields);
        if shown().next().is_none() {
            return;
        }
        fields.write(Name::RateLimitPolicy, |out| {
            for (number, (applied, _)) in shown().enumerate() {
                out.extend_from_slice(if number == 0 { b"" } else { b", " });
                out.extend_from_slice(applied.policy.as_bytes());
            }
        });
        fields.write(Name::RateLimit, |out| {
            for (number, (applied, standing)) in shown().enumerate() {
                out.extend_from_slice(if number == 0 { b"" } else { b", " });
                out.extend_from_slice(applied.begin.as_bytes());
                // Writing to a vector does not fail.
                let _ = write!(out, "{}", standing.remaining);
                if standing.reset > 0 {
                    let _ = write!(out, ";t={}", standing.reset);
                }
            }
        });
    }
}

/// Checks the limits from number `from` on.
fn check(limits: &Arc<[Applied]>, from: usize, exchange: &mut Exchange<'_>) -> Verdict {
    let mut key = Vec::new();
    for (number, applied) in limits.iter().enumerate().skip(from) {
        key.clear();
        applied.key(exchange, &mut key);
        let decision = match &applied.limit.counts {
            Counts::Concurrency(concurrency, _) => match concurrency.enter(&key) {
                Entry::Now(permit) => {
                    admitted(exchange, permit);
                    continue;
                }
                Entry::Wait(waiting) => return Verdict::Wait(wait(limits, number, waiting)),
                Entry::Full => None,
            },
            _ => applied.limit.take(&key, exchange.started),
        };
        match decision {
            Some(Decision::Allowed(standing)) => limited(exchange).standings.push(standing),
            Some(Decision::Refused(standing)) => return refuse(limits, number, standing, exchange),
            None => {
                let standing = Standing { remaining: 0, reset: RETRY_CONCURRENT };
                return refuse(limits, number, standing, exchange);
            }
        }
    }
    Verdict::Continue
}

fn limited<'e>(exchange: &'e mut Exchange<'_>) -> &'e mut Limited {
    exchange.limited.get_or_insert_default()
}

fn admitted(exchange: &mut Exchange<'_>, permit: Permit) {
    let limited = limited(exchange);
    limited.standings.push(Standing { remaining: permit.remaining, reset: 0 });
    limited.permits.push(permit);
}

/// Waits for a request in flight to end.
fn wait(limits: &Arc<[Applied]>, number: usize, waiting: tokio::sync::oneshot::Receiver<Permit>) -> Wait {
    let limits = Arc::clone(limits);
    Box::pin(async move {
        let timeout = match limits.get(number).map(|applied| &applied.limit.counts) {
            Some(Counts::Concurrency(_, timeout)) => *timeout,
            _ => std::time::Duration::ZERO,
        };
        let entered = tokio::time::timeout(timeout, waiting).await;
        let resume: Resume = Box::new(move |exchange| {
            if let Ok(Ok(permit)) = entered {
                admitted(exchange, permit);
                return check(&limits, number + 1, exchange);
            }
            let standing = Standing { remaining: 0, reset: RETRY_CONCURRENT };
            refuse(&limits, number, standing, exchange)
        });
        resume
    })
}

/// Refuses a request by limit `number`, and takes it back from those before.
fn refuse(limits: &[Applied], number: usize, standing: Standing, exchange: &mut Exchange<'_>) -> Verdict {
    let mut key = Vec::new();
    for applied in limits.iter().take(number) {
        key.clear();
        applied.key(exchange, &mut key);
        applied.limit.give_back(&key);
    }
    let limited = limited(exchange);
    limited.permits.clear();
    limited.standings.push(standing);
    let reason = limits.get(number).map_or("rate_limit", Applied::reason);
    Verdict::Refuse(Box::new(BeyondLimit { reason, retry_after: standing.reset.max(1) }))
}

impl Applied {
    fn new(route: &str, name: &str, limit: Arc<Limit>) -> Self {
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
        Self { limit, route: route.to_owned(), policy, begin: format!("\"{name}\";r=") }
    }

    fn reason(&self) -> &'static str {
        match self.limit.counts {
            Counts::Rate(..) => "rate_limit",
            Counts::Quota(..) => "quota",
            Counts::Concurrency(..) => "concurrency_limit",
        }
    }

    /// Appends what the request is counted by. No part holds a NUL, which stands between them.
    fn key(&self, exchange: &Exchange<'_>, out: &mut Vec<u8>) {
        for part in &self.limit.rule.key {
            match part {
                KeyPart::Route => out.extend_from_slice(self.route.as_bytes()),
                KeyPart::Client => client(&exchange.client, self.limit.rule.ipv6_prefix, out),
                KeyPart::Header(name) => {
                    let value = exchange.request.fields.named(name.as_bytes()).next();
                    out.extend_from_slice(value.unwrap_or_default());
                }
            }
            out.push(0);
        }
    }
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
