//! A value that is made when it is first needed, by one thread, and can be given up.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Nothing, or a value that is shared. Threads that need it at once wait for the one that makes it.
pub(super) struct Slot<T> {
    state: Mutex<State<T>>,
    settled: Condvar,
}

enum State<T> {
    Empty,
    /// A thread makes it.
    Loading,
    Loaded(Arc<T>),
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self {
            state: Mutex::new(State::Empty),
            settled: Condvar::new(),
        }
    }
}

impl<T> Slot<T> {
    /// The value, if it is there.
    pub(super) fn get(&self) -> Option<Arc<T>> {
        match &*self.lock() {
            State::Loaded(value) => Some(Arc::clone(value)),
            State::Empty | State::Loading => None,
        }
    }

    /// The value, made by `load` if nobody has it or makes it. Where that fails, the next caller tries again.
    pub(super) fn get_or_load<E>(&self, load: impl FnOnce() -> Result<T, E>) -> Result<Arc<T>, E> {
        let mut state = self.settled();
        if let State::Loaded(value) = &*state {
            return Ok(Arc::clone(value));
        }
        *state = State::Loading;
        drop(state);
        let mut loading = Loading {
            slot: self,
            outcome: State::Empty,
        };
        let value = Arc::new(load()?);
        loading.outcome = State::Loaded(Arc::clone(&value));
        Ok(value)
    }

    /// Gives the value up; who still holds it keeps it. A value that is being made is waited for first.
    pub(super) fn clear(&self) {
        *self.settled() = State::Empty;
    }

    /// The state when nobody is making the value.
    fn settled(&self) -> MutexGuard<'_, State<T>> {
        let is_loading = |state: &mut State<T>| matches!(state, State::Loading);
        self.settled
            .wait_while(self.lock(), is_loading)
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Nothing that can panic happens under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Settles the slot when the making ends, whichever way.
struct Loading<'a, T> {
    slot: &'a Slot<T>,
    outcome: State<T>,
}

impl<T> Drop for Loading<'_, T> {
    fn drop(&mut self) {
        *self.slot.lock() = std::mem::replace(&mut self.outcome, State::Empty);
        self.slot.settled.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;
    use std::time::Duration;

    use super::Slot;

    #[test]
    fn threads_that_load_at_once_load_once() {
        let (slot, loads) = (Slot::<u32>::default(), AtomicUsize::new(0));
        let start = Barrier::new(8);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    start.wait();
                    let value = slot.get_or_load(|| {
                        thread::sleep(Duration::from_millis(30));
                        loads.fetch_add(1, Ordering::Relaxed);
                        Ok::<_, ()>(7)
                    });
                    assert_eq!(value.as_deref(), Ok(&7));
                });
            }
        });
        assert_eq!(loads.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_failure_or_a_panic_leaves_the_slot_empty_for_the_next_try() {
        let slot = Slot::<u32>::default();
        assert_eq!(slot.get_or_load(|| Err("no")), Err("no"));
        let panic = thread::scope(|scope| {
            let load = || slot.get_or_load(|| -> Result<u32, ()> { panic!("while loading") });
            scope.spawn(load).join()
        });
        assert!(panic.is_err() && slot.get().is_none());
        assert_eq!(slot.get_or_load(|| Ok::<_, ()>(7)).as_deref(), Ok(&7));
    }

    #[test]
    fn clearing_frees_the_value_when_the_last_user_is_done() {
        let slot = Slot::<u32>::default();
        let user = slot.get_or_load(|| Ok::<_, ()>(7)).unwrap();
        let watch = std::sync::Arc::downgrade(&user);
        slot.clear();
        assert!(slot.get().is_none());
        assert_eq!((*user, watch.strong_count()), (7, 1));
        drop(user);
        assert!(watch.upgrade().is_none());
        assert_eq!(*slot.get_or_load(|| Ok::<_, ()>(8)).unwrap(), 8);
    }
}
