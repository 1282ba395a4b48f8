//! The way of a request: form, route, filters, upstream, and back.

pub mod answer;
pub mod downstream;
pub mod fault;
mod forward;
mod pump;
mod tunnel;
mod welcome;

use crate::exchange::Exchange;
use crate::filter::{Verdict, forwarded};
use crate::http::{Failure, hop};
use crate::snapshot::{Action, Snapshot};
use downstream::Downstream;

/// Why a request was not answered as it asked.
enum Failed {
    /// No response has begun: the client is told.
    Told(Box<dyn Failure>),
    /// The response has begun, or the client is gone: it is broken off.
    BrokenOff(Box<dyn Failure>),
}

impl<F: Failure + 'static> From<F> for Failed {
    fn from(failure: F) -> Self {
        Self::Told(Box::new(failure))
    }
}

/// Answers a request whose head was read.
pub async fn handle<'s, D: Downstream>(exchange: &mut Exchange<'s>, snapshot: &'s Snapshot, down: &mut D) {
    exchange.client = forwarded::client(&exchange.request.fields, exchange.peer);
    let route = match snapshot.find(&mut exchange.request) {
        Ok((route, parameters)) => {
            exchange.parameters = parameters;
            route
        }
        Err(refused) => return Box::pin(answer::failure(exchange, down, &[], &refused)).await,
    };
    exchange.set_route(&route.name, &route.counters);
    let failed = match run(exchange, route, down).await {
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
    let said = hop::strip(&mut exchange.request.fields)?;
    for filter in &route.filters {
        match filter.request(exchange) {
            Verdict::Continue => {}
            Verdict::Answer(answer) => {
                Box::pin(answer::send(exchange, down, &route.filters, answer)).await;
                return Ok(());
            }
            Verdict::Refuse(failure) => return Err(Failed::Told(failure)),
        }
    }
    match &route.action {
        Action::Forward(forward) => forward::forward(exchange, route, forward, said, down).await,
        Action::Welcome => {
            let answer = welcome::page(&exchange.request)?;
            Box::pin(answer::send(exchange, down, &route.filters, answer)).await;
            Ok(())
        }
    }
}
