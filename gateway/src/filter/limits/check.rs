//! The limits of a route are asked one after another.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot::Receiver;

use super::applied::Applied;
use super::failure::{BeyondLimit, NoAnswer};
use crate::exchange::{Asked, Exchange, Limited};
use crate::filter::{Resume, Verdict, Wait};
use crate::limit::concurrency::{Entry, Permit};
use crate::limit::shared::Question;
use crate::limit::{Counts, Decision, Standing};
use crate::redis::StoreError;
use crate::settings::StoreFail;
use crate::worker::Worker;

/// What a client is told when as many requests are in flight as may be: it may try again after a second.
const FULL: Standing = Standing { remaining: 0, reset: 1 };

/// Asks the limits with these numbers.
pub(super) fn check(all: &Arc<[Applied]>, numbers: Range<usize>, exchange: &mut Exchange<'_>) -> Verdict {
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

/// Applies the answer of a store. Returns the refusal, if it is one.
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
    let judged = shared.judge(&applied.limit, worker.index, &answer);
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
