//! The partitions of a table that PostgreSQL divides: which one a row would need, and whether there
//! is one for tomorrow.
//!
//! What is said of a partition that is missing is a guess by those that are there, for a person to
//! look at. Nothing is decided by it.

mod gap;

use sqlx::PgConnection;
use sqlx::error::DatabaseError;
use sqlx::postgres::PgDatabaseError;

use crate::retry::{Remedy, remedy as remedy_of};
use crate::sql::quote;
use gap::{Gap, cut, plain};

/// Rows of a micro-batch have no partition, and are to wait for one. It comes as a
/// [`sqlx::Error::Configuration`].
#[derive(Debug, thiserror::Error)]
#[error("table {table} has no partition for records")]
pub struct NoPartition {
    /// The full name, quoted, of the table that lacks it: the target, or a partition of it that is
    /// divided further.
    table: String,
    /// The value of the partition key of one of the rows, as PostgreSQL shows it, where it does.
    value: Option<String>,
}

/// A partition that a table lacks, and its partitions of today.
#[derive(Debug, Clone, thiserror::Error)]
#[error(
    "table {table} has no partition for records to be loaded; the stream goes on once it has: {remedy}"
)]
pub struct Missing {
    /// The full name of the table that lacks it.
    pub table: String,
    /// What to do: a statement, where it can be guessed.
    pub remedy: String,
    /// See [`state`].
    pub state: Option<String>,
}

/// How a table is divided.
#[derive(Debug, sqlx::FromRow)]
struct Parent {
    schema: String,
    table: String,
    strategy: String,
    has_default: bool,
    /// What the only column of its partition key is, where it has one: time, number or other.
    kind: Option<String>,
    /// Its type.
    type_name: Option<String>,
}

impl NoPartition {
    /// What PostgreSQL says of a row that has no partition; `target` is the table that it was to go
    /// into.
    pub fn of(error: &dyn DatabaseError, target: &str) -> NoPartition {
        let postgres = error.try_downcast_ref::<PgDatabaseError>();
        let table = postgres.and_then(|error| {
            Some(format!("{}.{}", quote(error.schema()?), quote(error.table()?)))
        });
        let value = postgres.and_then(|error| error.detail()).and_then(value_in);
        NoPartition {
            table: table.unwrap_or_else(|| target.to_owned()),
            value: value.map(str::to_owned),
        }
    }
}

/// The value of a partition key of one column in an error's detail: `Partition key of the failing
/// row contains (at) = (2025-05-01).` A long one is cut off, and none; nor is one that a log or a
/// terminal could obey.
fn value_in(detail: &str) -> Option<&str> {
    let (_, rest) = detail.split_once(") = (")?;
    let (value, _) = rest.rsplit_once(')')?;
    Some(value).filter(|value| !value.ends_with("...") && !value.contains(char::is_control))
}

/// The partition that is missing.
///
/// # Errors
/// When the database can't be asked.
pub async fn missing(
    conn: &mut PgConnection,
    no_partition: &NoPartition,
) -> Result<Missing, sqlx::Error> {
    let table = no_partition.table.clone();
    let state = state(conn, &table).await?;
    let Some(parent) = parent(conn, &table).await? else {
        let remedy = "it has changed meanwhile".to_owned();
        return Ok(Missing { table, remedy, state });
    };
    let remedy = remedy(conn, &table, &parent, no_partition.value.as_deref()).await?;
    Ok(Missing { table, remedy, state })
}

/// A number that changes when the table gets or loses partitions, at any depth; `None` of a table
/// that is not divided.
///
/// # Errors
/// When the database can't be asked.
pub async fn state(conn: &mut PgConnection, table: &str) -> Result<Option<String>, sqlx::Error> {
    // Not pg_partition_tree(), which locks what it finds.
    sqlx::query_scalar(
        "with recursive tree as (
             select c.oid from pg_class c where c.oid = to_regclass($1) and c.relkind = 'p'
             union all
             select i.inhrelid from pg_inherits i join tree t on i.inhparent = t.oid
         )
         select md5(string_agg(concat(c.oid, pg_get_expr(c.relpartbound, c.oid)), ',' order by c.oid))
           from tree t join pg_class c on c.oid = t.oid",
    )
    .bind(table)
    .fetch_one(conn)
    .await
}

/// The statement that makes the partition for tomorrow, of a table that is divided by a time and
/// has neither it nor a default partition.
///
/// # Errors
/// When the database can't be asked.
pub async fn missing_tomorrow(
    conn: &mut PgConnection,
    table: &str,
) -> Result<Option<String>, sqlx::Error> {
    let Some(parent) = parent(conn, table).await? else { return Ok(None) };
    let is_by_time = parent.strategy == "r" && parent.kind.as_deref() == Some("time");
    if !is_by_time || parent.has_default {
        return Ok(None);
    }
    let tomorrow: Option<String> = sqlx::query_scalar(include_str!("no_tomorrow.sql"))
        .bind(table)
        .fetch_optional(&mut *conn)
        .await?;
    match tomorrow {
        Some(tomorrow) => remedy(conn, table, &parent, Some(&tomorrow)).await.map(Some),
        None => Ok(None),
    }
}

async fn parent(conn: &mut PgConnection, table: &str) -> Result<Option<Parent>, sqlx::Error> {
    sqlx::query_as(
        "select n.nspname::text as schema, c.relname::text as table, p.partstrat::text as strategy,
                p.partdefid <> 0 as has_default,
                case when a.atttypid in ('date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype) then 'time'
                     when a.atttypid in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'numeric'::regtype)
                     then 'number' when a.atttypid is not null then 'other' end as kind,
                format_type(a.atttypid, null) as type_name
           from pg_class c
           join pg_namespace n on n.oid = c.relnamespace
           join pg_partitioned_table p on p.partrelid = c.oid
           left join pg_attribute a on a.attrelid = c.oid and p.partnatts = 1 and a.attnum = p.partattrs[0]
                                   and a.attnum > 0
          where c.oid = to_regclass($1)",
    )
    .bind(table)
    .fetch_optional(conn)
    .await
}

/// The statement that makes the partition for `value`.
async fn remedy(
    conn: &mut PgConnection,
    table: &str,
    parent: &Parent,
    value: Option<&str>,
) -> Result<String, sqlx::Error> {
    let known = value.filter(|value| *value != "null");
    let guess = match (parent.strategy.as_str(), parent.kind.as_deref(), known) {
        ("r", Some("time"), Some(value)) if value.starts_with(|c: char| c.is_ascii_digit()) => {
            Gap::of_time(conn, table, value, parent).await
        }
        ("r", Some("number"), Some(value)) => Gap::of_number(conn, table, value, parent).await,
        _ => Ok(None),
    };
    let gap = match guess {
        // Where it can't be reckoned, as at the ends of what PostgreSQL knows, it is not guessed.
        Err(error) if remedy_of(&error) == Remedy::Data => None,
        guess => guess?,
    };
    let (name, form, values) = match (gap, parent.strategy.as_str(), value) {
        (Some(gap), ..) => {
            let name = gap.name(&parent.table);
            (name, "for values from (%L) to (%L)", [Some(gap.lower), Some(gap.upper)])
        }
        (None, "l", Some(value)) if parent.kind.is_some() => {
            let name = format!("{}_{}", cut(&parent.table), plain(value));
            (name, "for values in (%L)", [known.map(str::to_owned), None])
        }
        (None, "h", _) => return Ok("make the partitions that its modulus lacks".to_owned()),
        _ => (format!("{}_default", cut(&parent.table)), "default", [None, None]),
    };
    let [first, second] = values;
    sqlx::query_scalar(
        "select format('create table %I.%I partition of %I.%I ' || $4 || ';', $1::text,
                       case when to_regclass(format('%I.%I', $1::text, $2::text)) is null then $2::text
                            else $2::text || '_2' end, $1::text, $3::text, $5::text, $6::text)",
    )
    .bind(&parent.schema)
    .bind(name)
    .bind(&parent.table)
    .bind(form)
    .bind(first)
    .bind(second)
    .fetch_one(conn)
    .await
}

#[cfg(test)]
mod tests {
    use super::value_in;

    #[test]
    fn the_value_of_a_key_is_found_whatever_the_language() {
        for (detail, value) in [
            ("Partition key of the failing row contains (at) = (2025-05-01).", Some("2025-05-01")),
            ("Schlüssel enthält (lower(a)) = (x) = (y).", Some("x) = (y")),
            ("contains (a) = (aaaa...).", None),
            ("contains (a) = (a\u{1b}[2J).", None),
            ("", None),
        ] {
            assert_eq!(value_in(detail), value);
        }
    }
}
