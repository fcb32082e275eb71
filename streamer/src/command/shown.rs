//! What a person sees of the work: a bar while it lasts, and a summary at its end.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::progress::Progress;
use super::summary::Summary;
use crate::event::{Event, Observer};

/// Takes events in for the bar and the summary.
pub(super) struct Shown {
    summary: Mutex<Summary>,
    progress: Option<Mutex<Progress>>,
}

impl Shown {
    pub(super) fn new(shows_progress: bool) -> Shown {
        Shown {
            summary: Mutex::default(),
            progress: shows_progress.then(|| Mutex::new(Progress::new())),
        }
    }

    /// Ends the bar, and hands the summary over.
    pub(super) fn finish(&self) -> Summary {
        if let Some(progress) = &self.progress {
            lock(progress).finish();
        }
        std::mem::take(&mut *lock(&self.summary))
    }
}

impl Observer for Shown {
    fn note(&self, event: &Event<'_>) {
        lock(&self.summary).note(event);
        if let Some(progress) = &self.progress {
            lock(progress).note(event);
        }
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
