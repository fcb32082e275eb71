//! How far a database is for some streams, found out without changing anything.

use std::collections::HashMap;

use sqlx::PgConnection;

use super::MigrateError;
use super::history::{CORE, History, Progress, absent, progress};
use super::window::{Change, changes};
use crate::config::{Dataset, Stream};

// The search path is the session's: nothing here may be what somebody else has put into it.

/// The histories that there are, and whether each can be read. A role that loads need not know
/// those of other datasets.
const HISTORIES: &str = "
    select c.relname::text, pg_catalog.has_table_privilege(c.oid, 'select')
      from pg_catalog.pg_class c
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where n.nspname = 'streamer' and c.relkind = 'r'
       and (c.relname = 'schema_history' or c.relname::text like 'history\\_%')";

/// Whether something has the name of a dataset's table.
const IS_TAKEN: &str = "
    select pg_catalog.to_regclass($1) is not null or exists (
        select from pg_catalog.pg_class c
          join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         where n.nspname = 'public' and c.relname = $1)";

/// How far a database is.
#[derive(Debug)]
pub struct Inventory {
    pub(super) core: Progress,
    /// The datasets that are installed or to be installed.
    datasets: Vec<(Dataset, Progress)>,
    /// The datasets that streams name and whose table is the user's.
    pub foreign: Vec<Dataset>,
    /// The rollups of installed datasets that have other windows than the streams say.
    pub windows: Vec<Change>,
}

impl Inventory {
    /// Looks at the database.
    ///
    /// # Errors
    /// [`MigrateError::Refused`], or [`MigrateError::Database`] when the database can't be asked.
    pub async fn of(
        conn: &mut PgConnection,
        streams: &[Stream],
    ) -> Result<Inventory, MigrateError> {
        let histories = sqlx::query_as(HISTORIES).fetch_all(&mut *conn).await;
        let histories: Vec<(String, bool)> = histories.map_err(MigrateError::Database)?;
        let histories: HashMap<String, bool> = histories
            .into_iter()
            .map(|(name, reads)| (format!("streamer.{name}"), reads))
            .collect();
        let core = match histories.contains_key(CORE) {
            true => progress(conn, History::Core).await?,
            false => absent(History::Core),
        };
        let (mut datasets, mut foreign) = (Vec::new(), Vec::new());
        for dataset in Dataset::ALL {
            let history = History::Of(dataset);
            let is_wanted = streams.iter().any(|stream| stream.dataset == Some(dataset));
            match histories.get(&history.table()) {
                Some(is_readable) if is_wanted || *is_readable => {
                    datasets.push((dataset, progress(conn, history).await?));
                }
                None if is_wanted && core != Progress::Former => {
                    let is_taken = sqlx::query_scalar(IS_TAKEN).bind(dataset.name());
                    match is_taken.fetch_one(&mut *conn).await.map_err(MigrateError::Database)? {
                        true => foreign.push(dataset),
                        false => datasets.push((dataset, absent(history))),
                    }
                }
                Some(_) | None => {}
            }
        }
        let installed: Vec<Dataset> = datasets
            .iter()
            .filter(|(_, progress)| *progress == Progress::Missing(Vec::new()))
            .map(|(dataset, _)| *dataset)
            .collect();
        let windows = changes(conn, streams, &installed).await.map_err(MigrateError::Database)?;
        Ok(Inventory { core, datasets, foreign, windows })
    }

    /// Whether nothing is to be done.
    pub fn is_complete(&self) -> bool {
        self.pending().is_empty() && self.windows.is_empty()
    }

    /// What is to be done before the streams can be worked on, a line for each.
    pub fn pending(&self) -> Vec<String> {
        if self.core == Progress::Former {
            return vec!["the database of the streamer before is to be taken over".to_owned()];
        }
        let names = self.histories().flat_map(|(history, progress)| match progress {
            Progress::Missing(names) => {
                names.iter().map(|name| format!("{name} of {history} is missing")).collect()
            }
            Progress::Former => Vec::new(),
        });
        names.collect()
    }

    /// The histories that are there or to be there, the core's first.
    pub(super) fn histories(&self) -> impl Iterator<Item = (History, &Progress)> {
        let datasets = self.datasets.iter().map(|(one, progress)| (History::Of(*one), progress));
        [(History::Core, &self.core)].into_iter().chain(datasets)
    }
}
