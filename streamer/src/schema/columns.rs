//! The columns of a table as the catalog describes them.

use sqlx::postgres::PgRow;
use sqlx::postgres::types::Oid;
use sqlx::{Connection, PgConnection, Row};

use crate::config::{Fitting, Nan};
use crate::encode::{Rules, Type, TypeCatalog};
use crate::retry::{Remedy, remedy_of};
use crate::sql;

/// A column that a value can be written to.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// The name as the catalog spells it.
    pub name: String,
    /// The type as SQL spells it: `numeric(10,2)`.
    pub type_name: String,
    /// The same without what is in parentheses, for a cast that changes no value.
    pub cast: String,
    /// The type's number in pg_type.
    pub type_oid: u32,
    /// The number of the array type over it; 0 where there is none.
    pub array_oid: u32,
    /// How text becomes a value.
    pub encoding: Type,
    /// Whether NULL is refused.
    pub not_null: bool,
    /// Whether a row that leaves it out gets a value all the same.
    pub has_default: bool,
}

/// From this version on the server tells whether a text is a value without raising an error.
const PG_INPUT_IS_VALID: i32 = 160_000;

/// The columns of a table that can be written to, and the names of those that the table generates.
/// Identity columns can be written to by COPY, also those that are always generated.
pub(super) async fn load(
    conn: &mut PgConnection,
    table: u32,
    fitting: &Fitting,
) -> Result<(Vec<Column>, Vec<String>), sqlx::Error> {
    let rows = sqlx::query(
        "select a.attname, format_type(a.atttypid, a.atttypmod), a.atttypid, t.typarray, a.atttypmod,
                a.attnotnull, a.atthasdef or a.attidentity <> '' or t.typdefault is not null,
                format_type(a.atttypid, -1), a.attgenerated <> ''
           from pg_attribute a join pg_type t on t.oid = a.atttypid
          where a.attrelid = $1 and a.attnum > 0 and not a.attisdropped
          order by a.attnum",
    )
    .bind(Oid(table))
    .fetch_all(&mut *conn)
    .await?;
    let (generated, rows): (Vec<PgRow>, Vec<PgRow>) = rows.into_iter().partition(|row| row.get(8));
    let oid = |row: &PgRow, at: usize| row.get::<Oid, _>(at).0;
    let oids: Vec<u32> = rows.iter().map(|row| oid(row, 2)).collect();
    let types = TypeCatalog::load(&mut *conn, &oids).await?;
    let rules = Rules { zone: &fitting.zone, takes_nan: fitting.nan == Nan::Accept };
    let mut columns = Vec::with_capacity(rows.len());
    for row in &rows {
        let encoding = Type::resolve(&types, oid(row, 2), row.get(4), rules);
        let cast: String = row.get(7);
        let takes_empty = encoding.is_opaque() && takes_empty(conn, &cast).await?;
        columns.push(Column {
            name: row.get(0),
            type_name: row.get(1),
            cast,
            type_oid: oid(row, 2),
            array_oid: oid(row, 3),
            encoding: encoding.with_empty(takes_empty),
            not_null: row.get(5),
            has_default: row.get(6),
        });
    }
    Ok((columns, generated.iter().map(|row| row.get(0)).collect()))
}

/// Whether the empty text is a value of a type, which is named as in SQL.
async fn takes_empty(conn: &mut PgConnection, cast: &str) -> Result<bool, sqlx::Error> {
    let version = "select pg_catalog.current_setting('server_version_num')::int4";
    if sqlx::query_scalar::<_, i32>(version).fetch_one(&mut *conn).await? >= PG_INPUT_IS_VALID {
        let asked = sqlx::query_scalar("select pg_catalog.pg_input_is_valid('', $1)");
        return asked.bind(cast).fetch_one(conn).await;
    }
    // The name comes from format_type, which quotes it.
    let mut tx = conn.begin().await?;
    let tried = sqlx::raw_sql(sql::made(format!("select ''::{cast}"))).execute(&mut *tx).await;
    // A transaction that it is tried in goes on.
    tx.rollback().await?;
    match tried {
        Ok(_) => Ok(true),
        Err(sqlx::Error::Database(error)) if remedy_of(error.as_ref()) != Remedy::Retry => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}
