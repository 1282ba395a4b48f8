//! Which requests are copied for a mirror, and their bodies.

use super::{Filter, Phase, Verdict};
use crate::exchange::{Copied, Exchange};
use crate::http::Failure;
use crate::observe::counter::{Attempts, PerWorker};

/// Chooses requests, and keeps a copy of their bodies while they pass. The copies are sent by the
/// action that forwards the request.
#[derive(Debug)]
pub struct Mirror {
    /// How many requests are copied, in percent.
    pub percent: u32,
    /// The counters of the upstream that gets them.
    pub counters: PerWorker<Attempts>,
}

impl Filter for Mirror {
    fn name(&self) -> &'static str {
        "mirror"
    }

    fn phase(&self) -> Phase {
        Phase::Copy
    }

    fn request(&self, exchange: &mut Exchange<'_>) -> Verdict {
        let worker = exchange.worker;
        if worker.random(100) < u64::from(self.percent) {
            if exchange.request.framing.length().is_none_or(Copied::fits) {
                exchange.copied = Some(Box::default());
            } else {
                self.counters.of(worker.index).mirrors_skipped.add(1);
            }
        }
        Verdict::Continue
    }

    fn sees_request_data(&self) -> bool {
        true
    }

    fn request_data(&self, exchange: &Exchange<'_>, piece: &[u8]) -> Result<(), Box<dyn Failure>> {
        if let Some(copied) = &exchange.copied {
            copied.push(piece);
        }
        Ok(())
    }
}
