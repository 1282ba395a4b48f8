//! Scoped threads: several requests at the same time.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::ScopedJoinHandle;

use anyhow::Result;

/// Concurrent requests of a long list. With more, registries answer 429.
const MAX_CONCURRENT: usize = 8;

/// Concurrent requests about one image, so that they take the time of one round trip.
const MAX_AT_ONCE: usize = 32;

/// Calls `ask` for each item, for several at the same time, and returns the answers in the order of the items.
/// The first error ends it.
pub fn each<T: Sync, R: Send>(items: &[T], ask: impl Fn(&T) -> Result<R> + Sync) -> Result<Vec<R>> {
    each_of(MAX_CONCURRENT, items, ask)
}

/// The same for few items, up to 32 of them at the same time.
pub fn at_once<T: Sync, R: Send>(items: &[T], ask: impl Fn(&T) -> Result<R> + Sync) -> Result<Vec<R>> {
    each_of(MAX_AT_ONCE, items, ask)
}

fn each_of<T: Sync, R: Send>(
    most: usize,
    items: &[T],
    ask: impl Fn(&T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let next = AtomicUsize::new(0);
    let answers = Mutex::new((Vec::new(), None));
    let work = || {
        while let Some((number, item)) =
            Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|number| Some((number, items.get(number)?)))
        {
            let answer = ask(item);
            let mut answers = answers.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            match answer {
                Ok(answer) => answers.0.push((number, answer)),
                Err(error) => {
                    next.store(items.len(), Ordering::Relaxed);
                    answers.1.get_or_insert(error);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..most.min(items.len()) {
            scope.spawn(work);
        }
    });
    let (mut answers, error) = answers.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(error) = error {
        return Err(error);
    }
    answers.sort_by_key(|(number, _)| *number);
    Ok(answers.into_iter().map(|(_, answer)| answer).collect())
}

/// Joins a thread and resumes its panic, if any.
pub fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_in_order_and_an_error_ends_it() {
        let items: Vec<u32> = (0..100).collect();
        assert_eq!(
            each(&items, |item| Ok(item * 2)).unwrap(),
            items.iter().map(|i| i * 2).collect::<Vec<_>>()
        );
        assert!(each(&items, |item| if *item == 50 { anyhow::bail!("no") } else { Ok(()) }).is_err());
        assert!(each(&[], |item: &u32| Ok(*item)).unwrap().is_empty());
        let arrived = std::sync::Barrier::new(MAX_AT_ONCE);
        at_once(&items[..MAX_AT_ONCE], |_| Ok(arrived.wait())).unwrap();
    }
}
