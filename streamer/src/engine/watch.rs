//! Notifications of the folder's changes. They only make a listing come sooner: they may be lost,
//! and some file systems deliver none.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

use crate::partition::SPOOL;
use crate::partition::fingerprint::Stat;
use crate::source::folder::Folder;

/// The notifications of the data folder, which all streams share. Clones are of the same.
#[derive(Clone, Default)]
pub(super) struct Watches(Arc<Mutex<Watching>>);

/// Streams by the files that each is to be told of.
type Told = Vec<(Folder, Weak<Signal>)>;

#[derive(Default)]
struct Watching {
    /// The watcher, and what it watches.
    watcher: Option<(RecommendedWatcher, Watched)>,
    /// Who is to be told.
    streams: Arc<Mutex<Told>>,
    /// Whether the lack of notifications was told.
    is_told: bool,
}

/// A folder that was removed and made again is another.
#[derive(PartialEq, Eq)]
struct Watched {
    inode: u64,
    is_deep: bool,
}

/// A stream's part in it.
pub(super) struct Watch {
    all: Watches,
    /// The folder's path as events have it: from the root of the file system.
    root: PathBuf,
    signal: Arc<Signal>,
}

#[derive(Default)]
struct Signal {
    changed: AtomicBool,
    wake: Notify,
}

impl Watch {
    pub(super) fn new(folder: Folder, all: Watches) -> Watch {
        let root = std::path::absolute(folder.root());
        let root = root.unwrap_or_else(|_| folder.root().to_owned());
        let signal = Arc::new(Signal::default());
        all.lock().streams().push((folder, Arc::downgrade(&signal)));
        let watch = Watch { all, root, signal };
        watch.renew();
        watch
    }

    /// Watches anew if the folder is another one than before.
    pub(super) fn renew(&self) {
        self.all.lock().renew(&self.root);
    }

    /// Whether something has changed since the last call.
    pub(super) fn take_change(&self) -> bool {
        self.signal.changed.swap(false, Ordering::Relaxed)
    }

    /// Waits until something changes.
    pub(super) async fn changed(&self) {
        self.signal.wake.notified().await;
    }
}

impl Watches {
    fn lock(&self) -> MutexGuard<'_, Watching> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watching {
    fn streams(&self) -> MutexGuard<'_, Told> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn renew(&mut self, root: &Path) {
        let Ok(metadata) = std::fs::metadata(root) else {
            self.watcher = None;
            return;
        };
        let is_deep = {
            let mut streams = self.streams();
            streams.retain(|(_, signal)| signal.strong_count() > 0);
            streams.iter().any(|(folder, _)| folder.is_deep())
        };
        let watched = Watched { inode: Stat::of(&metadata).inode(), is_deep };
        if self.watcher.as_ref().is_some_and(|(_, before)| *before == watched) {
            return;
        }
        match self.watch(root, is_deep) {
            Ok(watcher) => self.watcher = Some((watcher, watched)),
            Err(error) if !self.is_told => {
                self.is_told = true;
                tracing::warn!(
                    "no notifications for {}: {error}; new files are found by listing it",
                    root.display()
                );
            }
            Err(_) => {}
        }
    }

    fn watch(&self, root: &Path, is_deep: bool) -> notify::Result<RecommendedWatcher> {
        let (streams, watched) = (self.streams.clone(), root.to_owned());
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let streams = streams.lock().unwrap_or_else(PoisonError::into_inner);
            for (folder, signal) in streams.iter() {
                // An error may mean lost events, so it calls for a listing too.
                let is_of = |event: &Event| concerns_files(event, folder, &watched);
                if let Some(signal) =
                    signal.upgrade().filter(|_| event.as_ref().map_or(true, is_of))
                {
                    signal.changed.store(true, Ordering::Relaxed);
                    signal.wake.notify_one();
                }
            }
        })?;
        let mode = if is_deep { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
        watcher.watch(root, mode)?;
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
