//! The spools of all streams.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::statvfs::statvfs;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::{Inner, Limits, SpoolReader, SpoolWriter, segment};
use crate::config::Stream;
use crate::health::Health;
use crate::partition::SPOOL;

/// How often it is looked for segments that no stream claims.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// The spools of all streams, by name. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Spools(Arc<All>);

#[derive(Debug, Default)]
struct All {
    root: PathBuf,
    by_stream: HashMap<String, Arc<Inner>>,
}

impl Spools {
    /// A spool for each of `streams`, in the folder `root`; each takes `backlog_bytes_max`. What
    /// ails one is noted in `health`.
    pub fn new(root: &Path, streams: &[Stream], backlog_bytes_max: u64, health: &Health) -> Spools {
        let spool = |stream: &Stream| {
            let record_bytes_max = stream.reading.record_bytes_max;
            let keep = stream.listeners.idempotency_keep;
            let limits = Limits { record_bytes_max, backlog_bytes_max, keep };
            Arc::new(Inner::new(root, &stream.name, limits, health.clone()))
        };
        let by_stream = streams.iter().map(|stream| (stream.name.clone(), spool(stream)));
        Spools(Arc::new(All { root: root.to_owned(), by_stream: by_stream.collect() }))
    }

    /// The handle of listeners on the spool of a stream, if it is one of those.
    pub fn writer(&self, stream: &str) -> Option<SpoolWriter> {
        self.0.by_stream.get(stream).cloned().map(SpoolWriter)
    }

    /// The handle of the engine on the spool of a stream, if it is one of those.
    pub fn reader(&self, stream: &str) -> Option<SpoolReader> {
        self.0.by_stream.get(stream).cloned().map(SpoolReader)
    }

    /// Notes in `health` until `stop` that there are segments in the folder of a stream that the
    /// settings do not name: nobody would load them.
    pub async fn watch_unclaimed(self, health: Health, stop: CancellationToken) {
        let mut ailment = None;
        loop {
            let spools = self.clone();
            let unclaimed = spawn_blocking(move || spools.unclaimed()).await.unwrap_or_default();
            if unclaimed.is_none() {
                ailment = None;
            } else if ailment.is_none()
                && let Some(words) = unclaimed
            {
                tracing::error!("{words}");
                ailment = Some(health.note_aside(words));
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// What there is to say of segments that nobody holds and no stream claims, if there are any.
    fn unclaimed(&self) -> Option<String> {
        let claimed: Vec<&Path> =
            self.0.by_stream.values().map(|inner| inner.folder.as_path()).collect();
        let folders = std::fs::read_dir(&self.0.root).into_iter().flatten().flatten();
        let mut folders = folders
            .map(|folder| folder.path())
            .filter(|folder| !claimed.contains(&folder.as_path()) && segment::has_unheld(folder));
        let first = folders.next()?;
        let name = first.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Some(format!(
            "{SPOOL}/{name} holds records that were accepted for a stream that the settings do not name: nobody \
             loads them; name that stream until they are loaded"
        ))
    }
}

/// How many bytes are left for a spool in the folder `root`; nothing, where that can't be told.
pub fn free_bytes(root: &Path) -> Option<u64> {
    // Before it is made, it would be made in the folder above.
    let there = root.ancestors().find(|folder| folder.exists())?;
    let stat = statvfs(there).ok()?;
    // The types differ between systems.
    #[allow(clippy::useless_conversion)]
    Some(u64::from(stat.blocks_available()).saturating_mul(u64::from(stat.fragment_size())))
}
