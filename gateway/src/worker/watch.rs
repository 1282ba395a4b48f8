//! Deadlines of the connections of one worker.
//!
//! Setting a deadline writes one cell; nothing is registered with the runtime's timers. One task checks all
//! deadlines every [`TICK`] and wakes the tasks whose deadline has passed. A deadline therefore passes up to
//! two ticks after its time, never before it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// Interval of the check.
pub const TICK: Duration = Duration::from_millis(50);

/// The purpose of a deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum For {
    /// The client's next action.
    Client,
    /// The upstream's next action.
    Upstream,
    /// The whole request.
    Request,
    /// A periodic check, such as of a body's rate.
    Check,
}

const SLOTS: usize = 4;
const UNSET: u64 = u64::MAX;

/// The deadlines of one task.
#[derive(Debug)]
struct Watch {
    deadlines: [Cell<u64>; SLOTS],
    passed: [Cell<bool>; SLOTS],
    waker: RefCell<Option<Waker>>,
}

/// All deadlines of a worker, and its clock.
#[derive(Debug)]
pub struct Watches {
    epoch: Instant,
    /// Milliseconds since the epoch at the last tick.
    now: Cell<u64>,
    tasks: RefCell<Vec<Option<Rc<Watch>>>>,
    free: RefCell<Vec<usize>>,
    /// Notified when the first watch is added.
    added: Notify,
}

/// The deadlines of one task, removed when dropped.
#[derive(Debug)]
pub struct Deadlines {
    watch: Rc<Watch>,
    place: usize,
    all: Rc<Watches>,
}

impl Watches {
    /// No deadlines.
    pub fn new() -> Rc<Self> {
        Rc::new(Self {
            epoch: Instant::now(),
            now: Cell::new(0),
            tasks: RefCell::default(),
            free: RefCell::default(),
            added: Notify::new(),
        })
    }

    /// Milliseconds since the worker started, at the last tick.
    pub fn now(&self) -> u64 {
        self.now.get()
    }

    /// Adds a task.
    pub fn add(self: &Rc<Self>) -> Deadlines {
        let watch = Rc::new(Watch {
            deadlines: [const { Cell::new(UNSET) }; SLOTS],
            passed: [const { Cell::new(false) }; SLOTS],
            waker: RefCell::new(None),
        });
        let mut watches = self.tasks.borrow_mut();
        let place = if let Some(place) = self.free.borrow_mut().pop() {
            watches[place] = Some(Rc::clone(&watch));
            place
        } else {
            watches.push(Some(Rc::clone(&watch)));
            watches.len() - 1
        };
        if self.is_single(&watches) {
            // The clock is stopped while there is nothing to watch.
            self.now.set(self.millis());
            self.added.notify_one();
        }
        Deadlines { watch, place, all: Rc::clone(self) }
    }

    fn is_single(&self, watches: &[Option<Rc<Watch>>]) -> bool {
        watches.len() - self.free.borrow().len() == 1
    }

    fn is_empty(&self) -> bool {
        self.tasks.borrow().len() == self.free.borrow().len()
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(UNSET)
    }

    /// Checks all deadlines, and calls `each` after every check; calls `rest` before an idle period.
    pub async fn run(&self, mut each: impl FnMut(), mut rest: impl FnMut()) {
        loop {
            if self.is_empty() {
                rest();
                self.added.notified().await;
            }
            tokio::time::sleep(TICK).await;
            self.tick();
            each();
        }
    }

    fn tick(&self) {
        let now = self.millis();
        self.now.set(now);
        for watch in self.tasks.borrow().iter().flatten() {
            let mut late = false;
            for (deadline, passed) in watch.deadlines.iter().zip(&watch.passed) {
                if deadline.get() <= now {
                    deadline.set(UNSET);
                    passed.set(true);
                    late = true;
                }
            }
            if late {
                watch.wake();
            }
        }
    }

    /// Wakes every task, so that it checks the state of the worker.
    pub fn wake_all(&self) {
        for watch in self.tasks.borrow().iter().flatten() {
            watch.wake();
        }
    }
}

impl Watch {
    fn wake(&self) {
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

impl Deadlines {
    /// Sets a deadline, counted from now.
    pub fn set(&self, what: For, after: Duration) {
        let after = u64::try_from(after.as_millis()).unwrap_or(UNSET);
        let tick = u64::try_from(TICK.as_millis()).unwrap_or_default();
        // The clock may be late by a tick.
        self.watch.deadlines[what as usize].set(self.all.now().saturating_add(after).saturating_add(tick));
        self.watch.passed[what as usize].set(false);
    }

    /// Sets a deadline unless there is one.
    pub fn set_once(&self, what: For, after: Duration) {
        if self.watch.deadlines[what as usize].get() == UNSET && !self.watch.passed[what as usize].get() {
            self.set(what, after);
        }
    }

    /// Removes a deadline.
    pub fn unset(&self, what: For) {
        self.watch.deadlines[what as usize].set(UNSET);
        self.watch.passed[what as usize].set(false);
    }

    /// Whether a deadline has passed.
    pub fn has_passed(&self, what: For) -> bool {
        self.watch.passed[what as usize].get()
    }

    /// Sets the task to wake when a deadline passes or the worker's state changes.
    pub fn register(&self, cx: &Context<'_>) {
        let mut waker = self.watch.waker.borrow_mut();
        match &mut *waker {
            Some(known) if known.will_wake(cx.waker()) => {}
            other => *other = Some(cx.waker().clone()),
        }
    }
}

impl Drop for Deadlines {
    fn drop(&mut self) {
        if let Some(place) = self.all.tasks.borrow_mut().get_mut(self.place) {
            *place = None;
        }
        self.all.free.borrow_mut().push(self.place);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;
    use std::time::{Duration, Instant};

    use super::{For, Watches};

    #[tokio::test(flavor = "current_thread")]
    async fn deadline_passes_after_its_time() {
        let watches = Watches::new();
        let begun = Instant::now();
        let waits = async {
            let deadlines = watches.add();
            deadlines.set(For::Client, Duration::from_millis(80));
            deadlines.set(For::Upstream, Duration::from_mins(1));
            poll_fn(|cx| {
                deadlines.register(cx);
                if deadlines.has_passed(For::Client) { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            assert!(!deadlines.has_passed(For::Upstream));
            deadlines.unset(For::Client);
            assert!(!deadlines.has_passed(For::Client));
        };
        tokio::select! {
            () = waits => {}
            () = watches.run(|| {}, || {}) => {}
        }
        assert!(begun.elapsed() >= Duration::from_millis(80));
        assert!(watches.is_empty());
    }
}
