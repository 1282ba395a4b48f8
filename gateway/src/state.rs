//! State that survives a reload of the settings, such as the counts of a rate limit.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// States by type and name. The process has one store; it is used only while a snapshot is compiled.
#[derive(Debug, Default)]
pub struct StateStore(Mutex<HashMap<(TypeId, String), Vec<Entry>>>);

/// A state with the settings that it was made for.
#[derive(Debug)]
struct Entry {
    settings: Box<dyn Any + Send>,
    state: Arc<dyn Any + Send + Sync>,
}

impl StateStore {
    /// The state with this type and name if it was made for equal settings, otherwise a new one.
    ///
    /// Use a separate type for each kind of state. Compare settings without their
    /// [`Place`](crate::settings::Place), which changes when lines are added above.
    pub fn get<S, T>(&self, name: &str, settings: S, make: impl FnOnce(&S) -> T) -> Arc<T>
    where
        S: PartialEq + Send + 'static,
        T: Send + Sync + 'static,
    {
        let mut states = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entries = states.entry((TypeId::of::<T>(), name.to_owned())).or_default();
        let known = entries.iter().find(|entry| entry.settings.downcast_ref() == Some(&settings));
        if let Some(Ok(state)) = known.map(|entry| Arc::clone(&entry.state).downcast()) {
            return state;
        }
        let state = Arc::new(make(&settings));
        entries.push(Entry { settings: Box::new(settings), state: Arc::clone(&state) as _ });
        state
    }

    /// Drops unused states.
    ///
    /// Called after a reload, not before: a failed reload must not drop the state of the snapshot that stays
    /// in force.
    pub fn drop_unused(&self) {
        let mut states = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        states.retain(|_, entries| {
            entries.retain(|entry| Arc::strong_count(&entry.state) > 1);
            !entries.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicU32;

    use super::StateStore;

    #[test]
    fn state_is_kept_for_equal_name_and_settings() {
        let store = StateStore::default();
        let get = |name: &str, limit: u32| store.get(name, limit, |_| AtomicU32::new(0));
        let first = get("a", 5);
        assert!(Arc::ptr_eq(&first, &get("a", 5)));
        assert!(!Arc::ptr_eq(&first, &get("b", 5)));
        // A failed reload with other settings keeps the first state.
        drop(get("a", 6));
        assert!(Arc::ptr_eq(&first, &get("a", 5)));
        // The same name and settings with another type of state.
        assert_eq!(*store.get("a", 5_u32, |limit| u64::from(*limit)), 5);
        store.drop_unused();
        assert!(Arc::ptr_eq(&first, &get("a", 5)));
        assert_eq!(store.0.lock().expect("unpoisoned").len(), 1);
        drop(first);
        store.drop_unused();
        assert!(store.0.lock().expect("unpoisoned").is_empty());
    }
}
