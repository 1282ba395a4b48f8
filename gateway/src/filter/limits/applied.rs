//! A limit of a route: its key, and the fields that tell clients about it.

use std::io::Write;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use serde_json::Value;

use super::Named;
use crate::exchange::Exchange;
use crate::limit::shared::Shared;
use crate::limit::{Counts, Limit};
use crate::settings::{Amount, KeyPart};

/// A limit of a route.
#[derive(Debug)]
pub(super) struct Applied {
    pub limit: Arc<Limit>,
    /// Where it counts, if not in this process.
    pub shared: Option<Shared>,
    /// The name of the route where the key has it.
    route: String,
    /// Its item of `RateLimit-Policy`, and the begin of its item of `RateLimit`.
    pub policy: String,
    pub begin: String,
}
impl Applied {
    pub fn new(route: &str, named: Named) -> Self {
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

    pub fn is_of_identity(&self) -> bool {
        self.limit.rule.key.iter().any(KeyPart::is_of_identity)
    }

    pub fn is_concurrency(&self) -> bool {
        matches!(self.limit.counts, Counts::Concurrency(..))
    }

    pub fn reason(&self) -> &'static str {
        match self.limit.counts {
            Counts::Rate(..) => "rate_limit",
            Counts::Quota(..) => "quota",
            Counts::Concurrency(..) => "concurrency_limit",
        }
    }

    /// Appends what the request is counted by, with a NUL behind each part.
    pub fn key(&self, exchange: &Exchange<'_>, out: &mut Vec<u8>) {
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
