//! Where the logs of a stream are: files below the data folder, and segments of the stream's spool.

use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::io;
use std::path::PathBuf;

use sqlx::PgConnection;
use tokio::task::spawn_blocking;

use crate::config::Reading;
use crate::ledger::repertoire;
use crate::partition::fingerprint::Stat;
use crate::partition::standing::Survey;
use crate::partition::{Kind, Name};
use crate::source::folder::{Folder, Unlisted};
use crate::spool::SpoolReader;

/// The folder and the spool that a stream is read from.
#[derive(Debug, Clone)]
pub struct Places {
    folder: Folder,
    /// What comes by the stream's listeners.
    spool: Option<SpoolReader>,
}

impl Places {
    /// The files that `reading` means below `data`, and what is in `spool`.
    pub fn new(data: PathBuf, reading: &Reading, spool: Option<SpoolReader>) -> Places {
        Places { folder: Folder::new(data, reading), spool }
    }

    /// The same, with names of files that the database at `conn` can keep, whatever its encoding.
    ///
    /// # Errors
    /// When the database can't be asked.
    pub async fn named_for(self, conn: &mut PgConnection) -> Result<Places, sqlx::Error> {
        if !repertoire::is_limited(conn).await? {
            return Ok(self);
        }
        let Places { folder, spool } = self;
        let listing = spawn_blocking(move || {
            let (folder, mut chars) = (folder.without(HashSet::new()), BTreeSet::new());
            // Who lists the folder next tells why it can't be listed.
            drop(folder.visit(|name, _| chars.extend(name.chars().filter(|c| !c.is_ascii()))));
            (folder, chars)
        });
        let (folder, chars) = listing.await.map_err(|_panic| sqlx::Error::WorkerCrashed)?;
        let lacking = repertoire::lacking(conn, &chars).await?;
        Ok(Places { folder: folder.without(lacking), spool })
    }

    /// The folder alone.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// The spool alone.
    pub fn spool(&self) -> Option<&SpoolReader> {
        self.spool.as_ref()
    }

    /// Shows all logs to `see`, those of the spool behind those of the folder: the kind, the name
    /// as [`Name::as_str`] has it, and what the log looks like. Returns what kept from listing a
    /// folder.
    ///
    /// # Errors
    /// As [`Folder::visit`].
    pub fn visit(&self, mut see: impl FnMut(Kind, &str, Stat)) -> io::Result<Vec<Unlisted>> {
        let unlisted = self.folder.visit(|name, stat| see(Kind::File, name, stat))?;
        for found in self.spool.iter().flat_map(SpoolReader::survey) {
            see(Kind::Segment, found.name.as_str(), found.stat);
        }
        Ok(unlisted)
    }

    /// Opens a log for reading: never by way of a link, and only a regular file, so that nothing
    /// blocks.
    ///
    /// # Errors
    /// When it can't be opened, or is no regular file.
    pub fn open(&self, name: &Name) -> io::Result<(File, Stat)> {
        match (name.kind(), &self.spool) {
            (Kind::File, _) => self.folder.open_below(&name.path()),
            (Kind::Segment, Some(spool)) => spool.open_segment(name),
            (Kind::Segment, None) => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Looks at what is there; nothing, if the folder can't be listed.
    pub fn survey(&self) -> Survey {
        let mut survey = Survey::default();
        // Who lists the folder next tells why it can't be listed.
        drop(self.visit(|kind, name, stat| survey.note(kind, name, stat)));
        survey
    }
}
