//! What `pg_catalog` says about the types of a table's columns. Reads the catalog, decides nothing.

use std::collections::HashMap;

use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow, types::Oid};

/// The types of `pg_catalog` that a table's columns need, by oid, loaded once.
#[derive(Debug, Clone)]
pub struct TypeCatalog {
    types: HashMap<u32, TypeEntry>,
    /// The server's `server_version_num`; 0 where no server was asked.
    server_version: i32,
}

/// One row of `pg_type`, with what hangs on it.
#[derive(Debug, Clone, Default)]
pub struct TypeEntry {
    /// As `format_type` prints it, so schema-qualified where it must be.
    pub name: String,
    /// The C function behind the type's input function; empty unless it is one of the server's own.
    ///
    /// Extensions reuse these under other names: `citextin` is `textin` inside.
    pub input: String,
    /// The same for the function that reads the binary form.
    pub receive: String,
    /// Element type of an array, base type of a domain, bounds' type of a range; else 0.
    pub part: u32,
    /// The typmod a domain gives its base type.
    pub part_typmod: i32,
    /// What stands between the elements of an array *of this type*.
    pub delimiter: String,
    /// Labels of an enum in their order.
    pub labels: Vec<String>,
}

impl TypeEntry {
    fn from_row(row: &PgRow) -> Result<TypeEntry, sqlx::Error> {
        Ok(TypeEntry {
            name: row.try_get("name")?,
            input: row.try_get("input")?,
            receive: row.try_get("receive")?,
            part: row.try_get::<Oid, _>("part")?.0,
            part_typmod: row.try_get("part_typmod")?,
            delimiter: row.try_get("delimiter")?,
            labels: row.try_get("labels")?,
        })
    }
}

impl TypeCatalog {
    /// Loads the types with these oids and, recursively, element types of arrays, base types of
    /// domains and bounds' types of ranges, and the labels of enums.
    ///
    /// An oid without a type is left out: resolving it says so.
    ///
    /// # Errors
    /// Whatever the connection or the server reports.
    pub async fn load(conn: &mut PgConnection, oids: &[u32]) -> Result<TypeCatalog, sqlx::Error> {
        let oids: Vec<Oid> = oids.iter().copied().map(Oid).collect();
        let rows = sqlx::query(LOAD).bind(oids).persistent(false).fetch_all(conn).await?;
        let entries =
            rows.iter().map(|row| Ok((row.try_get::<Oid, _>("oid")?.0, TypeEntry::from_row(row)?)));
        let catalog = entries.collect::<Result<TypeCatalog, sqlx::Error>>()?;
        let server_version = rows.first().map(|row| row.try_get("server_version")).transpose()?;
        Ok(TypeCatalog { server_version: server_version.unwrap_or_default(), ..catalog })
    }

    /// Whether there are infinite intervals: from PostgreSQL 17 on.
    pub(super) fn has_infinite_intervals(&self) -> bool {
        self.server_version >= 170_000
    }

    pub(super) fn get(&self, oid: u32) -> Option<&TypeEntry> {
        self.types.get(&oid)
    }
}

impl FromIterator<(u32, TypeEntry)> for TypeCatalog {
    fn from_iter<I: IntoIterator<Item = (u32, TypeEntry)>>(types: I) -> TypeCatalog {
        TypeCatalog { types: types.into_iter().collect(), server_version: 0 }
    }
}

/// `typelem` is also set for a few types that are no arrays (`name`, `point`): the extra rows do no
/// harm, because an entry's meaning is told by its functions.
const LOAD: &str = "\
with recursive needed (oid) as (
    select unnest($1::oid[])
  union
    select coalesce(nullif(t.typelem, 0), nullif(t.typbasetype, 0), r.rngsubtype)
      from needed
      join pg_catalog.pg_type t on t.oid = needed.oid
      left join pg_catalog.pg_range r on r.rngtypid = t.oid
)
select t.oid,
       pg_catalog.format_type(t.oid, null) as name,
       coalesce((select p.prosrc
                   from pg_catalog.pg_proc p
                   join pg_catalog.pg_language l on l.oid = p.prolang and l.lanname = 'internal'
                  where p.oid = t.typinput), '') as input,
       coalesce((select p.prosrc
                   from pg_catalog.pg_proc p
                   join pg_catalog.pg_language l on l.oid = p.prolang and l.lanname = 'internal'
                  where p.oid = t.typreceive), '') as receive,
       coalesce(nullif(t.typelem, 0), nullif(t.typbasetype, 0), r.rngsubtype, 0) as part,
       t.typtypmod as part_typmod,
       t.typdelim::text as delimiter,
       array(select e.enumlabel::text
               from pg_catalog.pg_enum e
              where e.enumtypid = t.oid
              order by e.enumsortorder) as labels,
       pg_catalog.current_setting('server_version_num')::int4 as server_version
  from needed
  join pg_catalog.pg_type t on t.oid = needed.oid
  left join pg_catalog.pg_range r on r.rngtypid = t.oid";
