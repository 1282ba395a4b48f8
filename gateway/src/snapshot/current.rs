//! The current snapshot of one worker.

use std::cell::RefCell;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;

use super::Snapshot;

/// The current snapshot. The connections of one worker share it.
#[derive(Debug)]
pub struct Current(RefCell<Rc<WorkerSnapshot>>);

/// A snapshot as held by one worker. Exchanges use its reference count, so that no count is shared by all
/// cores.
#[derive(Debug)]
pub struct WorkerSnapshot(Arc<Snapshot>);

impl Deref for WorkerSnapshot {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        &self.0
    }
}

impl Current {
    /// Starts with a snapshot.
    pub fn new(snapshot: Arc<Snapshot>) -> Rc<Self> {
        Rc::new(Self(RefCell::new(Rc::new(WorkerSnapshot(snapshot)))))
    }

    /// The snapshot for an exchange that begins now. The exchange keeps it until its end.
    pub fn get(&self) -> Rc<WorkerSnapshot> {
        Rc::clone(&self.0.borrow())
    }

    /// Replaces the snapshot, for exchanges that begin from now on.
    pub fn replace(&self, snapshot: Arc<Snapshot>) {
        *self.0.borrow_mut() = Rc::new(WorkerSnapshot(snapshot));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Current, Snapshot};
    use crate::settings::parse;
    use crate::snapshot::{Parts, Process};

    #[test]
    fn exchange_keeps_its_first_snapshot() {
        let process = Process::new(1, false);
        let snapshot = |listeners: usize| {
            let listener = |number| format!("[[listeners]]\naddress = '127.0.0.1:{number}'\n");
            let mut text: String = (1..=listeners).map(listener).collect();
            text.push_str("[[routes]]\nrespond = { status = 204 }\n");
            let (settings, problems) = parse("f", &text);
            assert!(problems.is_empty(), "{problems:?}");
            Arc::new(Snapshot::compile(
                &settings,
                vec![None; listeners],
                Vec::new(),
                Parts::default(),
                &process,
            ))
        };
        let current = Current::new(snapshot(1));
        let began = current.get();
        current.replace(snapshot(2));
        assert_eq!((began.listeners.len(), current.get().listeners.len()), (1, 2));
    }
}
