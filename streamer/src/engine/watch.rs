//! Notifications of the folder's changes. They only make a listing come sooner: they may be lost, and
//! some file systems deliver none.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

use crate::source::fingerprint::Stat;
use crate::source::folder::SPOOL;

/// Watches one folder.
pub(super) struct Watch {
    root: PathBuf,
    is_deep: bool,
    signal: Arc<Signal>,
    /// The watcher, and which folder it watches: one that was removed and made again is another.
    watching: Option<(RecommendedWatcher, u64)>,
    /// Whether the lack of notifications was told.
    is_told: bool,
}

#[derive(Default)]
struct Signal {
    changed: AtomicBool,
    wake: Notify,
}

impl Watch {
    pub(super) fn new(root: PathBuf, is_deep: bool) -> Watch {
        let mut watch =
            Watch { root, is_deep, signal: Arc::default(), watching: None, is_told: false };
        watch.renew();
        watch
    }

    /// Watches anew if the folder is another one than before.
    pub(super) fn renew(&mut self) {
        let Ok(metadata) = std::fs::metadata(&self.root) else {
            self.watching = None;
            return;
        };
        let inode = Stat::of(&metadata).inode();
        if self.watching.as_ref().is_some_and(|(_, watched)| *watched == inode) {
            return;
        }
        match self.watch() {
            Ok(watcher) => self.watching = Some((watcher, inode)),
            Err(error) if !self.is_told => {
                self.is_told = true;
                tracing::warn!(
                    "no notifications for {}: {error}; new files are found by listing it",
                    self.root.display()
                );
            }
            Err(_) => {}
        }
    }

    /// Whether something has changed since the last call.
    pub(super) fn take_change(&self) -> bool {
        self.signal.changed.swap(false, Ordering::Relaxed)
    }

    /// Waits until something changes.
    pub(super) async fn changed(&self) {
        self.signal.wake.notified().await;
    }

    fn watch(&self) -> notify::Result<RecommendedWatcher> {
        let (signal, root) = (self.signal.clone(), self.root.clone());
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // An error may mean lost events, so it calls for a listing too.
            if event.is_ok_and(|event| !concerns_files(&event, &root)) {
                return;
            }
            signal.changed.store(true, Ordering::Relaxed);
            signal.wake.notify_one();
        })?;
        let mode =
            if self.is_deep { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
        watcher.watch(&self.root, mode)?;
        Ok(watcher)
    }
}

/// Whether an event can mean new records: not mere reading, not in a hidden folder such as the embedded
/// server's, and not in the spool, which tells by itself.
fn concerns_files(event: &Event, root: &Path) -> bool {
    let is_reading = match event.kind {
        EventKind::Access(kind) => kind != AccessKind::Close(AccessMode::Write),
        _ => false,
    };
    let is_hidden = |path: &PathBuf| {
        path.strip_prefix(root).is_ok_and(|below| {
            below.starts_with(SPOOL)
                || below
                    .components()
                    .any(|part| part.as_os_str().as_encoded_bytes().starts_with(b"."))
        })
    };
    !is_reading && (event.paths.is_empty() || !event.paths.iter().all(is_hidden))
}
