//! How far a database is for some streams, found out without changing anything.

use std::collections::HashSet;

use sqlx::PgConnection;

use super::history::{CORE, History, Standing, absent, standing};
use super::window::{Change, changes};
use super::{MigrateError, Refusal};
use crate::config::{Dataset, Stream};

/// The histories that there are and can be read. A role that loads need not know those of other
/// datasets.
const HISTORIES: &str = "
    select n.nspname || '.' || c.relname, has_table_privilege(c.oid, 'select')
      from pg_catalog.pg_class c
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where n.nspname = 'streamer' and c.relkind = 'r'
       and (c.relname = 'schema_history' or c.relname like 'history\\_%')";

/// Whether something has the name of a dataset's table.
const IS_TAKEN: &str = "
    select pg_catalog.to_regclass($1) is not null or exists (
        select from pg_catalog.pg_class c
          join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         where n.nspname = 'public' and c.relname = $1)";

/// How far a database is.
#[derive(Debug)]
pub struct Survey {
    pub(super) core: Standing,
    /// The datasets that are installed or to be installed.
    datasets: Vec<(Dataset, Standing)>,
    /// The datasets that streams name and whose table is the user's.
    pub foreign: Vec<Dataset>,
    /// The rollups of installed datasets that have other windows than the streams say.
    pub windows: Vec<Change>,
}

impl Survey {
    /// Looks at the database.
    ///
    /// # Errors
    /// [`MigrateError::Refused`], or [`MigrateError::Database`] when the database can't be asked.
    pub async fn of(conn: &mut PgConnection, streams: &[Stream]) -> Result<Survey, MigrateError> {
        let looked = look(conn, streams).await.map_err(MigrateError::Database)?;
        Ok(looked?)
    }

    /// Whether nothing is to be done.
    pub fn is_complete(&self) -> bool {
        self.pending().is_empty() && self.windows.is_empty()
    }

    /// What is to be done before the streams can be worked on, a line for each.
    pub fn pending(&self) -> Vec<String> {
        if self.core == Standing::Former {
            return vec!["the database of the streamer before is to be taken over".to_owned()];
        }
        let names = self.histories().flat_map(|(history, standing)| match standing {
            Standing::Missing(names) => {
                names.iter().map(|name| format!("{name} of {history} is missing")).collect()
            }
            Standing::Former => Vec::new(),
        });
        names.collect()
    }

    /// The histories that are there or to be there, the core's first.
    pub(super) fn histories(&self) -> impl Iterator<Item = (History, &Standing)> {
        let datasets = self.datasets.iter().map(|(one, standing)| (History::Of(*one), standing));
        [(History::Core, &self.core)].into_iter().chain(datasets)
    }
}

async fn look(
    conn: &mut PgConnection,
    streams: &[Stream],
) -> Result<Result<Survey, Refusal>, sqlx::Error> {
    let histories: Vec<(String, bool)> = sqlx::query_as(HISTORIES).fetch_all(&mut *conn).await?;
    let all: HashSet<&str> = histories.iter().map(|(table, _)| table.as_str()).collect();
    let readable = histories.iter().filter(|(_, is_readable)| *is_readable);
    let readable: HashSet<&str> = readable.map(|(table, _)| table.as_str()).collect();
    let core = match all.contains(CORE) {
        true => match standing(conn, History::Core).await? {
            Ok(core) => core,
            Err(refusal) => return Ok(Err(refusal)),
        },
        false => absent(History::Core),
    };
    let (mut datasets, mut foreign) = (Vec::new(), Vec::new());
    for dataset in Dataset::ALL {
        let (history, table) = (History::Of(dataset), History::Of(dataset).table());
        let is_wanted = streams.iter().any(|stream| stream.dataset == Some(dataset));
        if all.contains(table.as_str()) && (is_wanted || readable.contains(table.as_str())) {
            match standing(conn, history).await? {
                Ok(standing) => datasets.push((dataset, standing)),
                Err(refusal) => return Ok(Err(refusal)),
            }
        } else if is_wanted && core != Standing::Former {
            let is_taken = sqlx::query_scalar(IS_TAKEN).bind(dataset.name());
            match is_taken.fetch_one(&mut *conn).await? {
                true => foreign.push(dataset),
                false => datasets.push((dataset, absent(history))),
            }
        }
    }
    let installed: Vec<Dataset> = datasets
        .iter()
        .filter(|(_, standing)| *standing == Standing::Missing(Vec::new()))
        .map(|(dataset, _)| *dataset)
        .collect();
    let windows = changes(conn, streams, &installed).await?;
    Ok(Ok(Survey { core, datasets, foreign, windows }))
}
