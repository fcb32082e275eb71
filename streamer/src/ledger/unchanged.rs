//! Whether the table still has the types, and the defaults, that rows were encoded for. The binary
//! format names no types: PostgreSQL takes eight bytes of a bigint for a double precision without a
//! word, and rounds what has more digits than the column keeps. And a column that has a default by
//! now is not to get the NULL that stood for an absent value before.

use sqlx::postgres::PgArguments;
use sqlx::postgres::types::Oid;
use sqlx::query::QueryAs;
use sqlx::{PgConnection, Postgres};

use crate::batch::MicroBatch;
use crate::layout::SentColumn;
use crate::retry::TableChanged;

/// A column that is not what it was: its name, its type then, and its type now.
pub(crate) type Changed = (String, String, Option<String>);

/// Selects a column that is not what `$1` to `$5` say; see [`bind`].
macro_rules! changed {
    () => {
        "select v.name, v.type_name, format_type(a.atttypid, a.atttypmod)
           from unnest($2::text[], $3::text[], $4::oid[], $5::bool[])
                v (name, type_name, type_oid, has_default)
           left join pg_attribute a on a.attrelid = to_regclass($1) and a.attname = v.name
                                   and a.attnum > 0 and not a.attisdropped
           left join pg_type t on t.oid = a.atttypid
          where (a.atttypid, format_type(a.atttypid, a.atttypmod),
                 a.atthasdef or a.attidentity <> '' or t.typdefault is not null)
                is distinct from (v.type_oid, v.type_name, v.has_default)
          limit 1"
    };
}
pub(crate) use changed;

/// Binds the columns of `batch` to `$1` to `$5` of a statement with [`changed`] in it.
pub(crate) fn bind<'q>(
    statement: QueryAs<'q, Postgres, Changed, PgArguments>,
    batch: &'q MicroBatch,
) -> QueryAs<'q, Postgres, Changed, PgArguments> {
    let columns: Vec<&SentColumn> = batch.columns();
    statement
        .bind(batch.table())
        .bind(columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>())
        .bind(columns.iter().map(|column| column.type_name.as_str()).collect::<Vec<_>>())
        .bind(columns.iter().map(|column| Oid(column.type_oid)).collect::<Vec<_>>())
        .bind(columns.iter().map(|column| column.has_default).collect::<Vec<_>>())
}

/// Demands that no column of `batch` has changed.
pub(crate) fn refuse(batch: &MicroBatch, changed: Option<Changed>) -> Result<(), sqlx::Error> {
    let Some((column, before, now)) = changed else { return Ok(()) };
    let table = batch.table().to_owned();
    Err(sqlx::Error::Configuration(Box::new(TableChanged { table, column, before, now })))
}

/// Demands that the columns are what `batch` was encoded for. It holds for the whole transaction
/// once rows were copied in it: until its end nobody else can change the table.
pub(crate) async fn demand(tx: &mut PgConnection, batch: &MicroBatch) -> Result<(), sqlx::Error> {
    let statement = bind(sqlx::query_as(changed!()), batch);
    refuse(batch, statement.fetch_optional(tx).await?)
}
