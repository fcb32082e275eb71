//! The target table as the catalog describes it: columns, types, keys. The table is the schema.

use std::collections::HashMap;
use std::fmt;

use sqlx::{PgConnection, Row};

use crate::config::{Extra, Fitting};
use crate::encode::{Type, TypeCatalog, Zone};
use crate::sql::quote;

/// A table that records go into.
#[derive(Debug)]
pub struct Table {
    /// The table's full name, quoted: `"public"."user_events"`.
    pub quoted_name: String,
    /// Whether PostgreSQL itself keeps its rows in one heap: it is not partitioned, not foreign,
    /// not distributed by Citus, and of no other access method.
    pub is_one_heap: bool,
    /// Its columns in the table's order; dropped and generated ones are left out.
    pub columns: Vec<Column>,
    /// Its unique keys that can tell a duplicate, the primary key first. Each is a list of column
    /// names.
    pub keys: Vec<Key>,
    /// The column that tells when an event was created.
    pub event_time: Option<String>,
}

/// A column that a value can be written to.
#[derive(Debug)]
pub struct Column {
    /// The name as the catalog spells it.
    pub name: String,
    /// The type as SQL spells it: `numeric(10,2)`.
    pub type_name: String,
    /// The type's number in pg_type.
    pub type_oid: u32,
    /// The number of the array type over it; 0 where there is none.
    pub array_oid: u32,
    /// How text becomes a value, or `None` for a type that can't be loaded.
    pub encoding: Option<Type>,
    /// Whether NULL is refused.
    pub not_null: bool,
    /// Whether a row that leaves it out gets a value all the same.
    pub has_default: bool,
}

/// A unique key without conditions or expressions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The constraint or index name, which a duplicate-key error reports.
    pub name: String,
    /// The columns, in the index's order.
    pub columns: Vec<String>,
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

/// The columns that the streamer itself fills where a table offers them.
pub const BATCH_ID: (&str, u32) = ("batch_id", 20);
/// See [`BATCH_ID`]: the name, and the type's number in pg_type.
pub const INGESTED_AT: (&str, u32) = ("ingested_at", 1184);

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
        let (oid, quoted_name, is_one_heap) = resolve(conn, name).await?;
        let columns = load_columns(conn, oid, &fitting.zone).await.map_err(failed)?;
        let keys = load_keys(conn, oid).await.map_err(failed)?;
        let is_kept =
            |column: &Column| column.name == fitting.extra_column && column.type_oid == JSONB_OID;
        if fitting.extra == Extra::Keep && !columns.iter().any(is_kept) {
            let column = fitting.extra_column.clone();
            return Err(SchemaError::NoExtraColumn { table: name.to_owned(), column });
        }
        let is_taken = |name: &String| columns.iter().any(|c| c.name == *name && !Table::fills(c));
        if let Some(column) = fitting.paths.keys().find(|name| !is_taken(name)) {
            let column = column.clone();
            return Err(SchemaError::NoPathColumn { table: name.to_owned(), column });
        }
        let event_time = event_time(&columns, name, fitting)?;
        Ok(Table { quoted_name, is_one_heap, columns, keys, event_time })
    }

    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Whether the streamer fills `column` itself.
    pub fn fills(column: &Column) -> bool {
        [BATCH_ID, INGESTED_AT].contains(&(column.name.as_str(), column.type_oid))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.columns.join(", "))
    }
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

/// Finds the table: its number, its quoted full name, and whether it is one heap.
async fn resolve(conn: &mut PgConnection, name: &str) -> Result<(u32, String, bool), SchemaError> {
    let failed = |source| SchemaError::Catalog { table: name.to_owned(), source };
    let found = sqlx::query(
        "select c.oid, c.relkind::text, n.nspname, c.relname, c.relkind = 'r' and a.amname = 'heap',
                to_regclass('pg_catalog.pg_dist_partition') is not null
           from pg_class c join pg_namespace n on n.oid = c.relnamespace
           left join pg_am a on a.oid = c.relam
          where c.oid = to_regclass($1)",
    )
    .bind(name)
    .fetch_optional(&mut *conn)
    .await
    .map_err(failed)?;
    let Some(row) = found else { return Err(SchemaError::Missing(name.to_owned())) };
    let kind = match row.get::<&str, _>(1) {
        "r" | "p" | "f" => {
            let quoted = format!("{}.{}", quote(row.get(2)), quote(row.get(3)));
            let oid: sqlx::postgres::types::Oid = row.get(0);
            let has_citus = row.get(5);
            if has_citus && is_distributed(conn, oid).await.map_err(failed)? {
                return Err(SchemaError::Distributed(name.to_owned()));
            }
            let is_heap = row.get::<Option<bool>, _>(4).unwrap_or(false);
            return Ok((oid.0, quoted, is_heap && !has_citus));
        }
        "v" | "m" => "view",
        "i" | "I" => "index",
        "S" => "sequence",
        _ => "type",
    };
    Err(SchemaError::NotATable { name: name.to_owned(), kind })
}

/// Whether Citus, which is there, has the table in its care.
async fn is_distributed(
    conn: &mut PgConnection,
    table: sqlx::postgres::types::Oid,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "select exists (select from pg_catalog.pg_dist_partition where logicalrelid = $1)",
    )
    .bind(table)
    .fetch_one(conn)
    .await
}

async fn load_columns(
    conn: &mut PgConnection,
    table: u32,
    zone: &Zone,
) -> Result<Vec<Column>, sqlx::Error> {
    let rows = sqlx::query(
        "select a.attname, format_type(a.atttypid, a.atttypmod), a.atttypid, t.typarray, a.atttypmod,
                a.attnotnull, a.atthasdef or a.attidentity <> '' or t.typdefault is not null
           from pg_attribute a join pg_type t on t.oid = a.atttypid
          where a.attrelid = $1 and a.attnum > 0 and not a.attisdropped
            and a.attgenerated = '' and a.attidentity <> 'a'
          order by a.attnum",
    )
    .bind(sqlx::postgres::types::Oid(table))
    .fetch_all(&mut *conn)
    .await?;
    let oid =
        |row: &sqlx::postgres::PgRow, at: usize| row.get::<sqlx::postgres::types::Oid, _>(at).0;
    let oids: Vec<u32> = rows.iter().map(|row| oid(row, 2)).collect();
    let types = TypeCatalog::load(conn, &oids).await?;
    Ok(rows
        .iter()
        .map(|row| Column {
            name: row.get(0),
            type_name: row.get(1),
            type_oid: oid(row, 2),
            array_oid: oid(row, 3),
            encoding: Type::resolve(&types, oid(row, 2), row.get(4), zone).ok(),
            not_null: row.get(5),
            has_default: row.get(6),
        })
        .collect())
}

/// The unique keys over plain columns that are checked at once, the primary key first.
async fn load_keys(conn: &mut PgConnection, table: u32) -> Result<Vec<Key>, sqlx::Error> {
    let rows = sqlx::query(
        "select c.relname, a.attname
           from pg_index i
           join pg_class c on c.oid = i.indexrelid
           cross join lateral unnest(i.indkey::int2[]) with ordinality k(attnum, position)
           join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
          where i.indrelid = $1 and i.indisunique and i.indimmediate and i.indisvalid
            and i.indpred is null and i.indexprs is null and k.position <= i.indnkeyatts
          order by i.indisprimary desc, c.relname, k.position",
    )
    .bind(sqlx::postgres::types::Oid(table))
    .fetch_all(conn)
    .await?;
    let mut keys: Vec<Key> = Vec::new();
    let mut at: HashMap<String, usize> = HashMap::new();
    for row in rows {
        let name: String = row.get(0);
        let index = *at.entry(name.clone()).or_insert_with(|| {
            keys.push(Key { name, columns: Vec::new() });
            keys.len() - 1
        });
        keys[index].columns.push(row.get(1));
    }
    Ok(keys)
}
