//! The target table as the catalog describes it: columns, types, keys. The table is the schema.

mod columns;
mod keys;

use sqlx::postgres::types::Oid;
use sqlx::{PgConnection, Row};

pub use columns::Column;
pub use keys::{Key, KeyPart};

use crate::config::{Extra, Fitting, Provenance};
use crate::sql::quote;

/// A table that records go into.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// The table's full name, quoted: `"public"."user_events"`.
    pub quoted_name: String,
    /// Whether PostgreSQL itself keeps its rows in one heap: it is not partitioned, not foreign,
    /// not distributed by Citus, and of no other access method.
    pub is_one_heap: bool,
    /// Its columns in the table's order; dropped and generated ones are left out.
    pub columns: Vec<Column>,
    /// The names of its generated columns, whose values the table makes itself.
    pub generated: Vec<String>,
    /// The columns that the streamer fills.
    pub provenance: Vec<Provenance>,
    /// Its unique keys that can tell a duplicate: the primary key, then those of constraints, then
    /// those of other indexes.
    pub keys: Vec<Key>,
    /// The column that tells when an event was created.
    pub event_time: Option<String>,
}

/// Why a table can't be a target.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// No such table on the search path.
    #[error("there is no table {0} in the database; create it, or name another in streams.toml")]
    Missing(String),
    /// A view, an index, ... of that name.
    #[error("{name} is a {kind}, not a table")]
    NotATable {
        /// The name as the user wrote it.
        name: String,
        /// What it is.
        kind: &'static str,
    },
    /// Its rows are on the nodes of a cluster, which tell duplicates and refusals in ways of their
    /// own.
    #[error(
        "table {0} is distributed by Citus, which the streamer can't load yet; local tables of the same \
         database work: load one and insert from there, or make this one local by undistribute_table()"
    )]
    Distributed(String),
    /// There is no column to keep those that the table lacks.
    #[error(
        "table {table} has no column {column} of type jsonb, which extra = \"keep\" needs; add it, or \
         name another by extra_column in streams.toml"
    )]
    NoExtraColumn {
        /// The name as the user wrote it.
        table: String,
        /// The column.
        column: String,
    },
    /// A path leads to a column that is not there, or that the streamer fills itself.
    #[error(
        "table {table} has no column {column} to be filled by paths.{column} in streams.toml; add it, or \
         take the path out"
    )]
    NoPathColumn {
        /// The name as the user wrote it.
        table: String,
        /// The column.
        column: String,
    },
    /// A column that the streamer is to fill is not there, or of another type.
    #[error(
        "table {table} has no column {} of type {}, which provenance in streams.toml names: alter table \
         {table} add column {} {};",
        column.name(), column.type_name(), column.name(), column.type_name()
    )]
    NoProvenance {
        /// The name as the user wrote it.
        table: String,
        /// The column.
        column: Provenance,
    },
    /// The column that is to tell when an event was created is not there, or is no time.
    #[error(
        "table {table} has no column {column} that tells a time, which event_time in streams.toml names; it \
         is to be a timestamptz or timestamp, or a bigint that counts from 1970"
    )]
    NoEventTime {
        /// The name as the user wrote it.
        table: String,
        /// The column.
        column: String,
    },
    /// The catalog could not be read.
    #[error("read the description of table {table} from the catalog")]
    Catalog {
        /// The name as the user wrote it.
        table: String,
        /// What went wrong.
        source: sqlx::Error,
    },
}

/// The columns that tell when an event was created, the first that is there, unless a stream names
/// another.
const EVENT_TIMES: [&str; 2] = ["produce_time", "event_time"];

/// The numbers in pg_type of bigint, timestamp and timestamptz.
pub(crate) const BIGINT_OID: u32 = 20;
const EVENT_TIME_OIDS: [u32; 3] = [BIGINT_OID, 1114, 1184];

/// The number of date in pg_type.
const DATE_OID: u32 = 1082;

/// The number of jsonb in pg_type.
const JSONB_OID: u32 = 3802;

impl Table {
    /// Reads the description of a table, whose name is written as in SQL: `user_events`,
    /// `shop."Orders"`. It must have what `fitting` asks for.
    ///
    /// # Errors
    /// [`SchemaError`] when there is no such table, it does not fit the stream's settings, or the
    /// catalog can't be read.
    pub async fn load(
        conn: &mut PgConnection,
        name: &str,
        fitting: &Fitting,
    ) -> Result<Table, SchemaError> {
        let failed = |source| SchemaError::Catalog { table: name.to_owned(), source };
        let Resolved { oid, quoted_name, is_one_heap, is_made_here } = resolve(conn, name).await?;
        let (columns, generated) = columns::load(conn, oid, fitting).await.map_err(failed)?;
        let keys = keys::load(conn, oid).await.map_err(failed)?;
        let provenance = provenance(&columns, name, fitting, is_made_here)?;
        let event_time = event_time(&columns, name, fitting)?;
        let table =
            Table { quoted_name, is_one_heap, columns, generated, provenance, keys, event_time };
        let is_kept =
            |column: &Column| column.name == fitting.extra_column && column.type_oid == JSONB_OID;
        if fitting.extra == Extra::Keep && !table.columns.iter().any(is_kept) {
            let column = fitting.extra_column.clone();
            return Err(SchemaError::NoExtraColumn { table: name.to_owned(), column });
        }
        let is_taken = |name: &String| table.column(name).is_some_and(|c| !table.fills(c));
        if let Some(column) = fitting.paths.keys().find(|name| !is_taken(name)) {
            let column = column.clone();
            return Err(SchemaError::NoPathColumn { table: name.to_owned(), column });
        }
        Ok(table)
    }

    /// A table without columns.
    #[cfg(test)]
    pub(crate) fn empty() -> Table {
        Table {
            quoted_name: String::new(),
            is_one_heap: true,
            columns: Vec::new(),
            generated: Vec::new(),
            provenance: Vec::new(),
            keys: Vec::new(),
            event_time: None,
        }
    }

    /// What is different in `now`, in words.
    pub fn difference(&self, now: &Table) -> String {
        let mut words = Vec::new();
        for column in &now.columns {
            words.extend(match self.column(&column.name) {
                None => Some(format!("column {} is new", column.name)),
                Some(before) if before.type_name != column.type_name => {
                    let (name, now, before) = (&column.name, &column.type_name, &before.type_name);
                    Some(format!("column {name} is {now} now, not {before}"))
                }
                Some(before) => {
                    (before != column).then(|| format!("column {} takes other values", column.name))
                }
            });
        }
        let gone = self.columns.iter().filter(|column| now.column(&column.name).is_none());
        words.extend(gone.map(|column| format!("column {} is gone", column.name)));
        if self.keys != now.keys {
            let keys: Vec<String> = now.keys.iter().map(ToString::to_string).collect();
            words.push(format!("its keys are [{}]", keys.join(", ")));
        }
        if words.is_empty() { "in detail".to_owned() } else { words.join(", ") }
    }

    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Whether the streamer fills `column` itself.
    pub fn fills(&self, column: &Column) -> bool {
        self.provenance.iter().any(|one| one.name() == column.name)
    }
}

/// The columns that the streamer fills: those of a table that it has made, and those that the
/// stream names, which must be there. Others of these names are the user's.
fn provenance(
    columns: &[Column],
    table: &str,
    fitting: &Fitting,
    is_made_here: bool,
) -> Result<Vec<Provenance>, SchemaError> {
    let is_there = |one: &Provenance| {
        columns.iter().any(|c| c.name == one.name() && c.type_oid == one.type_oid())
    };
    if let Some(&column) = fitting.provenance.iter().find(|one| !is_there(one)) {
        return Err(SchemaError::NoProvenance { table: table.to_owned(), column });
    }
    let is_ours = |one: &Provenance| is_made_here || fitting.provenance.contains(one);
    Ok(Provenance::ALL.into_iter().filter(|one| is_ours(one) && is_there(one)).collect())
}

/// The column that tells when an event was created: the one that the stream names, which must be
/// there.
fn event_time(
    columns: &[Column],
    table: &str,
    fitting: &Fitting,
) -> Result<Option<String>, SchemaError> {
    let is_time = |name: &str| {
        columns.iter().any(|c| c.name == name && EVENT_TIME_OIDS.contains(&c.type_oid))
    };
    match &fitting.event_time {
        None => Ok(EVENT_TIMES.into_iter().find(|name| is_time(name)).map(str::to_owned)),
        Some(name) if is_time(name) => Ok(Some(name.clone())),
        // A day tells how old an event is, not how late.
        Some(name) if columns.iter().any(|c| c.name == *name && c.type_oid == DATE_OID) => Ok(None),
        Some(name) => {
            let (table, column) = (table.to_owned(), name.clone());
            Err(SchemaError::NoEventTime { table, column })
        }
    }
}

/// A table that was found by its name.
struct Resolved {
    oid: u32,
    /// See [`Table::quoted_name`].
    quoted_name: String,
    /// See [`Table::is_one_heap`].
    is_one_heap: bool,
    /// Whether it is a dataset's, made by `streamer migrate`.
    is_made_here: bool,
}

/// Finds the table.
async fn resolve(conn: &mut PgConnection, name: &str) -> Result<Resolved, SchemaError> {
    let failed = |source| SchemaError::Catalog { table: name.to_owned(), source };
    let found = sqlx::query(
        "select c.oid, c.relkind::text, n.nspname, c.relname,
                c.relkind = 'r' and a.amname = 'heap',
                n.nspname = 'public' and exists (
                    select from pg_class h join pg_namespace s on s.oid = h.relnamespace
                     where s.nspname = 'streamer' and h.relname = 'history_' || c.relname),
                to_regclass('pg_catalog.pg_dist_partition') is not null
           from pg_class c join pg_namespace n on n.oid = c.relnamespace
           left join pg_am a on a.oid = c.relam
          where c.oid = to_regclass($1)",
    )
    .bind(name)
    .fetch_optional(&mut *conn)
    .await
    .map_err(failed)?;
    let Some(row) = found else {
        demand_usage(conn, name).await.map_err(failed)?;
        return Err(SchemaError::Missing(name.to_owned()));
    };
    let kind = match row.get::<&str, _>(1) {
        "r" | "p" | "f" => {
            let (oid, has_citus) = (row.get::<Oid, _>(0), row.get(6));
            if has_citus && is_distributed(conn, oid).await.map_err(failed)? {
                return Err(SchemaError::Distributed(name.to_owned()));
            }
            return Ok(Resolved {
                oid: oid.0,
                quoted_name: format!("{}.{}", quote(row.get(2)), quote(row.get(3))),
                is_one_heap: row.get::<Option<bool>, _>(4).unwrap_or(false) && !has_citus,
                is_made_here: row.get(5),
            });
        }
        "v" | "m" => "view",
        "i" | "I" => "index",
        "S" => "sequence",
        _ => "type",
    };
    Err(SchemaError::NotATable { name: name.to_owned(), kind })
}

/// The error of the server where a table of this name is in a schema of the search path that the
/// role may not use: PostgreSQL passes over such a schema without a word.
async fn demand_usage(conn: &mut PgConnection, name: &str) -> Result<(), sqlx::Error> {
    let hidden: Option<String> = sqlx::query_scalar(
        "select format('%I.%I', n.nspname, c.relname)
           from parse_ident($1) name
           join pg_class c on cardinality(name) = 1 and c.relname = name[1]
           join pg_namespace n on n.oid = c.relnamespace
          where not has_schema_privilege(n.oid, 'usage') and n.nspname = any(
                    select btrim(replace(part, '$user', current_user), '\" ')
                      from unnest(string_to_array(current_setting('search_path'), ',')) part)
          limit 1",
    )
    .bind(name)
    .fetch_optional(&mut *conn)
    .await?;
    if let Some(hidden) = hidden {
        sqlx::query("select cast($1::text as regclass)").bind(hidden).execute(conn).await?;
    }
    Ok(())
}

/// Whether Citus, which is there, has the table in its care.
async fn is_distributed(conn: &mut PgConnection, table: Oid) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "select exists (select from pg_catalog.pg_dist_partition where logicalrelid = $1)",
    )
    .bind(table)
    .fetch_one(conn)
    .await
}
