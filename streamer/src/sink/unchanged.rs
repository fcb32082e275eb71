//! Whether the table still has the types that rows were encoded for. The binary format names no types:
//! PostgreSQL takes eight bytes of a bigint for a double precision without a word, and rounds what has
//! more digits than the column keeps.

use sqlx::PgConnection;
use sqlx::postgres::types::Oid;

use crate::layout::Layout;
use crate::retry::TableChanged;

/// Demands that the columns are what `layout` was made for. It holds for the whole transaction once rows
/// were copied in it: until its end nobody else can change the table.
pub(super) async fn demand(tx: &mut PgConnection, layout: &Layout) -> Result<(), sqlx::Error> {
    let columns = &layout.columns;
    let changed: Option<(String, String, Option<String>)> = sqlx::query_as(
        "select v.name, v.type_name, format_type(a.atttypid, a.atttypmod)
           from unnest($2::text[], $3::text[], $4::oid[]) v (name, type_name, type_oid)
           left join pg_attribute a on a.attrelid = to_regclass($1) and a.attname = v.name
                                   and a.attnum > 0 and not a.attisdropped
          where (a.atttypid, format_type(a.atttypid, a.atttypmod))
                is distinct from (v.type_oid, v.type_name)
          limit 1",
    )
    .bind(&layout.table)
    .bind(columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>())
    .bind(columns.iter().map(|column| column.type_name.as_str()).collect::<Vec<_>>())
    .bind(columns.iter().map(|column| Oid(column.type_oid)).collect::<Vec<_>>())
    .fetch_optional(tx)
    .await?;
    let Some((column, before, now)) = changed else { return Ok(()) };
    let table = layout.table.clone();
    Err(sqlx::Error::Configuration(Box::new(TableChanged { table, column, before, now })))
}
