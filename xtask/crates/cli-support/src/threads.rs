//! Several things at once, on threads that end before their caller goes on.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::ScopedJoinHandle;

use anyhow::Result;

/// Requests under way at the same time: enough to fill a line, and more of them make registries say 429.
const AT_ONCE: usize = 8;

/// What `ask` says to each of `items`, in their order; the first error ends it.
pub fn each<T: Sync, R: Send>(items: &[T], ask: impl Fn(&T) -> Result<R> + Sync) -> Result<Vec<R>> {
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
        for _ in 0..AT_ONCE.min(items.len()) {
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

/// What a thread came to; its panic goes on in this one.
pub fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_in_order_and_an_error_ends_it() {
        let items: Vec<u32> = (0..100).collect();
        assert_eq!(
            each(&items, |item| Ok(item * 2)).unwrap(),
            items.iter().map(|i| i * 2).collect::<Vec<_>>()
        );
        assert!(each(&items, |item| if *item == 50 { anyhow::bail!("no") } else { Ok(()) }).is_err());
        assert!(each(&[], |item: &u32| Ok(*item)).unwrap().is_empty());
    }
}
