//! Notifications of the folder's changes. They only make a listing come sooner: they may be lost,
//! and some file systems deliver none.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

use crate::partition::SPOOL;
use crate::partition::fingerprint::Stat;
use crate::source::folder::Folder;

/// Watches one folder.
pub(super) struct Watch {
    folder: Folder,
    /// The folder's path as events have it: from the root of the file system.
    root: PathBuf,
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
    pub(super) fn new(folder: Folder) -> Watch {
        let root = std::path::absolute(folder.root());
        let root = root.unwrap_or_else(|_| folder.root().to_owned());
        let mut watch =
            Watch { folder, root, signal: Arc::default(), watching: None, is_told: false };
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
        let (signal, folder, root) = (self.signal.clone(), self.folder.clone(), self.root.clone());
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // An error may mean lost events, so it calls for a listing too.
            if event.is_ok_and(|event| !concerns_files(&event, &folder, &root)) {
                return;
            }
            signal.changed.store(true, Ordering::Relaxed);
            signal.wake.notify_one();
        })?;
        let mode = if self.folder.is_deep() {
            RecursiveMode::Recursive
        } else {
            RecursiveMode::NonRecursive
        };
        watcher.watch(&self.root, mode)?;
        Ok(watcher)
    }
}

/// Whether an event can mean new records: not mere reading, not in a hidden folder such as the
/// embedded server's, not in the spool, which tells by itself, and not of another stream's files.
fn concerns_files(event: &Event, folder: &Folder, root: &Path) -> bool {
    let is_reading = match event.kind {
        EventKind::Access(kind) => kind != AccessKind::Close(AccessMode::Write),
        _ => false,
    };
    let is_hidden = |below: &Path| {
        let mut parts = below.components();
        below.starts_with(SPOOL)
            || parts.any(|part| part.as_os_str().as_encoded_bytes().starts_with(b"."))
    };
    let may_be = |path: &PathBuf| {
        let below = path.strip_prefix(root);
        below.map_or(true, |below| folder.is_concerned(below) && !is_hidden(below))
    };
    !is_reading && (event.paths.is_empty() || event.paths.iter().any(may_be))
}
