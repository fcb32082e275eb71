//! When the description of a stream's table is to be looked at again: when records or headers ask
//! for it, and every few seconds while records are loaded.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// While records are loaded, the description is no older than this.
const AGE_MAX: Duration = Duration::from_secs(5);

/// After a look that was asked for and has found nothing new, the next one may be asked for.
const AGAIN_AFTER: Duration = Duration::from_secs(2);

/// The looks at a table that the writers of a stream have taken.
#[derive(Debug)]
pub(super) struct Looks(Mutex<State>);

#[derive(Debug)]
struct State {
    last: Instant,
    /// Whether the last one was asked for in vain.
    was_vain: bool,
    /// Whether there are files whose header does not fit.
    has_misfits: bool,
}

impl Default for Looks {
    fn default() -> Looks {
        let last = Instant::now();
        Looks(Mutex::new(State { last, was_vain: false, has_misfits: false }))
    }
}

impl Looks {
    /// Whether to look now; `is_asked` says that something may fit if the table has changed.
    pub(super) fn is_due(&self, is_asked: bool) -> bool {
        let state = self.lock();
        let age = state.last.elapsed();
        age >= AGE_MAX || (is_asked && (!state.was_vain || age >= AGAIN_AFTER))
    }

    /// Takes note of a look.
    pub(super) fn note(&self, is_asked: bool, has_changed: bool) {
        let mut state = self.lock();
        state.last = Instant::now();
        state.was_vain = is_asked && !has_changed;
        state.has_misfits &= !has_changed;
    }

    /// Takes note of a file whose header does not fit.
    pub(super) fn note_misfit(&self) {
        self.lock().has_misfits = true;
    }

    /// Whether there are files that might fit another table.
    pub(super) fn has_misfits(&self) -> bool {
        self.lock().has_misfits
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
