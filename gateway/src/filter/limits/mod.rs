//! Limits: how many requests of one key pass, how many are in flight, and what clients are told of it.
//!
//! A request that one limit refuses does not count for the others of its route. One that counts in a store
//! makes the request wait for its answer.

mod applied;
mod check;
mod failure;

use std::ops::Range;
use std::sync::Arc;

use super::{Filter, Phase, Verdict};
use crate::exchange::Exchange;
use crate::http::name::Name;
use crate::http1::encode::append_number;
use crate::limit::Limit;
use crate::limit::shared::Shared;
use applied::Applied;
use check::check;
pub use failure::{BeyondLimit, NoAnswer};

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
        // Limits in stores are asked together. A request that waits until another has ended is counted before it
        // waits.
        all.sort_by_key(|applied| {
            (applied.is_of_identity(), applied.is_concurrency(), applied.shared.is_some())
        });
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
