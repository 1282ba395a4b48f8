//! The limits of a route are asked one after another, those in one store together.

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot::Receiver;

use super::applied::Applied;
use super::failure::{BeyondLimit, NoAnswer};
use crate::exchange::{Asked, Counted, Exchange, Limited};
use crate::filter::{Resume, Verdict, Wait};
use crate::limit::concurrency::{Entry, Permit};
use crate::limit::shared::{Question, Shared};
use crate::limit::{Counts, Decision, Standing};
use crate::redis::{Client, StoreError};
use crate::settings::StoreFail;
use crate::worker::Worker;

/// What a client is told when as many requests are in flight as may be: it may try again after a second.
const FULL: Standing = Standing { remaining: 0, reset: 1 };

/// Asks the limits with these numbers.
pub(super) fn check(all: &Arc<[Applied]>, numbers: Range<usize>, exchange: &mut Exchange<'_>) -> Verdict {
    check_with(all, numbers, exchange, true)
}

/// The same; limits in one store are asked together only with `together`.
fn check_with(
    all: &Arc<[Applied]>,
    numbers: Range<usize>,
    exchange: &mut Exchange<'_>,
    together: bool,
) -> Verdict {
    let mut limited = exchange.limited.take().unwrap_or_default();
    let mut verdict = Verdict::Continue;
    for number in numbers.clone() {
        let Some(applied) = all.get(number) else { break };
        if let Some(shared) = applied.shared.as_ref().filter(|_| !applied.is_concurrency()) {
            let client = exchange.worker.stores.get(&shared.store);
            let (question, group) = question(all, number..numbers.end, exchange, &mut limited, together);
            let wait = ask(all, (group, numbers.end), question, client, exchange.worker.index);
            verdict = Verdict::Wait(wait);
            break;
        }
        limited.set_key(number, |out| applied.key(exchange, out));
        let key = limited.key(number);
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
                limited.asked.push(Asked { standing: Some(standing), counted: Counted::Here });
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

/// The question for the first of these limits and those behind it in the same store, and their numbers.
fn question(
    all: &[Applied],
    numbers: Range<usize>,
    exchange: &Exchange<'_>,
    limited: &mut Limited,
    together: bool,
) -> (Question, Range<usize>) {
    let mut question = Question::new(false);
    let store =
        all.get(numbers.start).and_then(|applied| applied.shared.as_ref()).map(|shared| &shared.store);
    let mut group = numbers.start..numbers.start;
    for number in numbers {
        let Some((applied, shared)) = all.get(number).and_then(|one| Some((one, one.shared.as_ref()?)))
        else {
            break;
        };
        let same = store.is_some_and(|store| Arc::ptr_eq(store, &shared.store));
        if !same || (!together && !question.is_empty()) {
            break;
        }
        limited.set_key(number, |out| applied.key(exchange, out));
        if !shared.ask_for(&applied.limit, limited.key(number), &mut question) {
            break;
        }
        group.end = number + 1;
    }
    (question, group)
}

fn admit(limited: &mut Limited, permit: Permit) {
    let standing = Standing { remaining: permit.remaining, reset: 0 };
    limited.asked.push(Asked { standing: Some(standing), counted: Counted::Here });
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

/// Asks the store of the limits `group`, and the limits behind them up to `end` then.
fn ask(
    all: &Arc<[Applied]>,
    (group, end): (Range<usize>, usize),
    question: Question,
    client: Rc<Client>,
    worker: usize,
) -> Wait {
    let all = Arc::clone(all);
    Box::pin(async move {
        let answer = question.ask(client, worker).await;
        let resume: Resume = Box::new(move |exchange| {
            if answer == Err(StoreError::Apart) {
                return check_with(&all, group.start..end, exchange, false);
            }
            let next = group.end..end;
            decide(&all, group, &answer, exchange).unwrap_or_else(|| check(&all, next, exchange))
        });
        resume
    })
}

/// Applies the answer of a store to the limits `group`. Returns the refusal, if it is one.
fn decide(
    all: &[Applied],
    group: Range<usize>,
    answer: &Result<Vec<i64>, StoreError>,
    exchange: &mut Exchange<'_>,
) -> Option<Verdict> {
    let (worker, started) = (exchange.worker, exchange.started);
    let limited = exchange.limited.get_or_insert_default();
    let judged: Vec<_> = group
        .clone()
        .map_while(|number| {
            let reply = *answer.as_ref().ok()?.get(number - group.start)?;
            Shared::judge(&all.get(number)?.limit, reply)
        })
        .collect();
    // If one refuses, the request was counted for none.
    let passed = judged.len() == group.len()
        && judged.iter().all(|(decision, _)| matches!(decision, Decision::Allowed(_)));
    let counted = if passed { Counted::Store } else { Counted::Nowhere };
    for number in group.clone() {
        let applied = all.get(number)?;
        let fail = applied.shared.as_ref()?.fail;
        let (decision, counted) = match (judged.get(number - group.start), fail) {
            (Some((decision, reply)), fail) => {
                if fail == StoreFail::Local && passed {
                    applied.limit.note(limited.key(number), started, *reply);
                }
                (*decision, counted)
            }
            (None, StoreFail::Local) => (applied.limit.take(limited.key(number), started), Counted::Here),
            (None, StoreFail::Open) => {
                limited.asked.push(Asked { standing: None, counted: Counted::Nowhere });
                continue;
            }
            (None, StoreFail::Closed) => {
                take_back(all, number, limited, worker);
                let why = answer.as_ref().err().cloned().unwrap_or(StoreError::Unavailable);
                return Some(Verdict::Refuse(Box::new(NoAnswer(why))));
            }
        };
        match decision {
            Decision::Allowed(standing) => {
                limited.asked.push(Asked { standing: Some(standing), counted });
            }
            Decision::Refused(standing) => return Some(refuse(all, number, standing, limited, worker)),
        }
    }
    None
}

/// Takes a request back from the limits before `number`.
fn take_back(all: &[Applied], number: usize, limited: &mut Limited, worker: &Worker) {
    for (before, (applied, asked)) in all.iter().zip(&limited.asked).enumerate().take(number) {
        let key = limited.key(before);
        match (asked.counted, &applied.shared) {
            (Counted::Here, _) => applied.limit.give_back(key),
            (Counted::Store, Some(shared)) => {
                let mut question = Question::new(true);
                if shared.ask_for(&applied.limit, key, &mut question) {
                    let client = worker.stores.get(&shared.store);
                    // The client does not wait for it.
                    tokio::task::spawn_local(question.ask(client, worker.index));
                }
            }
            (Counted::Store | Counted::Nowhere, _) => {}
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
    limited.asked.push(Asked { standing: Some(standing), counted: Counted::Nowhere });
    let reason = all.get(number).map_or("rate_limit", Applied::reason);
    Verdict::Refuse(Box::new(BeyondLimit { reason, retry_after: standing.reset.max(1) }))
}
