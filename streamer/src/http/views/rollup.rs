//! A rollup's last windows by key; of one without windows, its largest keys.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use crate::config::Stream;
use crate::sql::{made, quote};

/// How many windows are shown.
pub(super) const WINDOWS: i32 = 24;
pub(super) const WINDOWS_MAX: i32 = 240;

/// How many keys are shown: the others are added up, where that makes sense.
const KEYS_MAX: usize = 10;

/// How many rows are looked at.
const ROWS_MAX: i64 = 20_000;

#[derive(Debug, Serialize)]
pub(super) struct RollupView {
    rollup: String,
    /// `None`: all of a key is in one row.
    window_s: Option<f64>,
    as_of: DateTime<Utc>,
    keys: Vec<String>,
    aggregates: Vec<Aggregate>,
    /// The oldest first.
    windows: Vec<Window>,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Aggregate {
    name: String,
    /// count, sum, average, min or max.
    kind: &'static str,
}

#[derive(Debug, Serialize)]
struct Window {
    /// `None` where the rollup has no windows.
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
    /// Whether it is not over yet.
    open: bool,
    rows: Vec<Values>,
}

/// The values of a key; of all others together, where there is none.
#[derive(Debug, Serialize)]
struct Values {
    key: Option<Vec<Option<String>>>,
    values: Vec<Option<f64>>,
}

/// A rollup of a table.
#[derive(Debug, Serialize)]
pub(super) struct Defined {
    /// As the server spells it.
    name: String,
    /// `None`: it has no windows.
    window_s: Option<f64>,
    keys: Vec<String>,
    aggregates: Vec<Aggregate>,
}

type Found = (Option<DateTime<Utc>>, Vec<Option<String>>, Vec<Option<f64>>);

impl Aggregate {
    /// What a definition such as `revenue = sum(price) where ...` makes.
    fn of(definition: &str) -> Option<Aggregate> {
        let (name, expression) = definition.split_once('=')?;
        let function = expression.trim_start().split('(').next()?.trim().to_ascii_lowercase();
        let kind = match function.as_str() {
            "count" => "count",
            "sum" => "sum",
            "avg" => "average",
            "min" => "min",
            "max" => "max",
            _ => return None,
        };
        Some(Aggregate { name: name.trim().to_owned(), kind })
    }

    /// Whether values of several keys can be added up.
    fn adds_up(&self) -> bool {
        matches!(self.kind, "count" | "sum")
    }
}

/// The windows that were asked for. Which keys are the largest says `by`, an aggregate; the first
/// one, if it is none of the rollup's.
pub(super) async fn read(
    conn: &mut PgConnection,
    stream: &Stream,
    name: &str,
    windows: i32,
    by: Option<&str>,
) -> Result<RollupView, sqlx::Error> {
    let mut all = of_table(conn, &stream.table).await?;
    let at = all.iter().position(|one| one.name == name).ok_or(sqlx::Error::RowNotFound)?;
    let defined = all.swap_remove(at);
    let aggregates = &defined.aggregates;
    let by = aggregates.iter().position(|one| by == Some(one.name.as_str())).unwrap_or(0);
    let found = match defined.window_s {
        Some(window_s) => last(conn, &defined, window_s * f64::from(windows)).await?,
        None => largest(conn, &defined, by).await?,
    };
    Ok(RollupView {
        windows: by_window(found, aggregates, by, defined.window_s),
        rollup: defined.name,
        window_s: defined.window_s,
        as_of: Utc::now(),
        keys: defined.keys,
        aggregates: defined.aggregates,
    })
}

/// The rollups of a table that belong to its owner, with those of their aggregates that are
/// numbers.
pub(super) async fn of_table(
    conn: &mut PgConnection,
    table: &str,
) -> Result<Vec<Defined>, sqlx::Error> {
    type Row = (String, Option<f64>, Vec<String>, Vec<String>, Vec<String>);
    let found: Vec<Row> = sqlx::query_as(
        "select r.rollup::text as name, extract(epoch from r.window_size)::double precision,
                r.keys, r.aggregates,
                array(select a.attname::text from pg_attribute a
                       where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
                         and a.atttypid in ('smallint'::regtype, 'integer'::regtype, 'bigint'::regtype,
                                            'numeric'::regtype, 'real'::regtype, 'double precision'::regtype))
           from streamer.rollup r
           join pg_class c on c.oid = r.rollup
           join pg_class t on t.oid = to_regclass($1)
          where to_regclass(r.source) = t.oid and c.relowner = t.relowner
            and has_table_privilege(c.oid, 'select')
          order by name limit 20",
    )
    .bind(table)
    .fetch_all(conn)
    .await?;
    let defined = found.into_iter().map(|(name, window_s, keys, definitions, numbers)| {
        let aggregates = definitions.iter().filter_map(|one| Aggregate::of(one));
        let aggregates = aggregates.filter(|one| numbers.contains(&one.name)).collect();
        Defined { name, window_s, keys, aggregates }
    });
    Ok(defined.collect())
}

/// The rows of the last windows, which cover `span` seconds.
async fn last(
    conn: &mut PgConnection,
    defined: &Defined,
    span: f64,
) -> Result<Vec<Found>, sqlx::Error> {
    let table = &defined.name;
    let sql = format!(
        "select r.window_start::timestamptz, {} from {table} r
          where r.window_start > (select max(window_start) from {table} where isfinite(window_start))
                                 - make_interval(secs => $1) and isfinite(r.window_start)
          order by r.window_start desc limit $2",
        selected(defined)
    );
    found(sqlx::query(made(sql)).bind(span).bind(ROWS_MAX).fetch_all(conn).await?)
}

/// The rows of the largest keys.
async fn largest(
    conn: &mut PgConnection,
    defined: &Defined,
    by: usize,
) -> Result<Vec<Found>, sqlx::Error> {
    let order =
        defined.aggregates.get(by).map(|one| format!("r.{} desc nulls last,", quote(&one.name)));
    let sql = format!(
        "select null::timestamptz, {} from {} r order by {} 2 limit $1",
        selected(defined),
        defined.name,
        order.unwrap_or_default()
    );
    let keys = i64::try_from(KEYS_MAX).unwrap_or(i64::MAX);
    found(sqlx::query(made(sql)).bind(keys).fetch_all(conn).await?)
}

/// A row's key, and its values as numbers.
fn selected(defined: &Defined) -> String {
    let keys = defined.keys.iter().map(|key| format!("left(r.{}::text, 100)", quote(key)));
    let aggregates = defined.aggregates.iter();
    let values = aggregates.map(|one| format!("r.{}::double precision", quote(&one.name)));
    let (keys, values): (Vec<String>, Vec<String>) = (keys.collect(), values.collect());
    format!("array[{}]::text[], array[{}]::double precision[]", keys.join(", "), values.join(", "))
}

fn found(rows: Vec<PgRow>) -> Result<Vec<Found>, sqlx::Error> {
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))).collect()
}

fn by_window(
    found: Vec<Found>,
    aggregates: &[Aggregate],
    by: usize,
    window_s: Option<f64>,
) -> Vec<Window> {
    let mut weights: HashMap<Vec<Option<String>>, f64> = HashMap::new();
    for (_, key, values) in &found {
        let weight = values.get(by).copied().flatten().unwrap_or(0.0);
        *weights.entry(key.clone()).or_default() += weight;
    }
    let mut heaviest: Vec<(Vec<Option<String>>, f64)> = weights.into_iter().collect();
    heaviest.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    heaviest.truncate(KEYS_MAX);
    let is_shown = |key: &Vec<Option<String>>| heaviest.iter().any(|(one, _)| one == key);
    let mut windows: BTreeMap<Option<DateTime<Utc>>, Vec<Values>> = BTreeMap::new();
    for (from, key, values) in found {
        let rows = windows.entry(from).or_default();
        if is_shown(&key) {
            rows.push(Values { key: Some(key), values });
            continue;
        }
        let sums =
            aggregates.iter().zip(values).map(|(one, value)| value.filter(|_| one.adds_up()));
        match rows.iter_mut().find(|row| row.key.is_none()) {
            Some(rest) => rest.values.iter_mut().zip(sums).for_each(|(sum, value)| {
                *sum = sum.zip(value).map(|(sum, value)| sum + value).or(*sum).or(value);
            }),
            None => rows.push(Values { key: None, values: sums.collect() }),
        }
    }
    #[expect(clippy::cast_possible_truncation, reason = "windows are of less than some years")]
    let length = TimeDelta::milliseconds((window_s.unwrap_or(0.0) * 1000.0) as i64);
    let now = Utc::now();
    let shown = windows.into_iter().map(|(from, rows)| {
        let to = from.map(|from| from + length);
        Window { from, to, open: to.is_none_or(|to| to > now), rows }
    });
    shown.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_the_keys_is_added_up_where_that_makes_sense() {
        let definitions = ["events = count(*)", "most = max(price) where a = 1", "odd = f(x)"];
        let aggregates: Vec<Aggregate> =
            definitions.iter().filter_map(|one| Aggregate::of(one)).collect();
        assert_eq!(aggregates.len(), 2);
        let at = DateTime::from_timestamp(0, 0).unwrap();
        let row = |n: u32| {
            let key = vec![Some(format!("{n:02}"))];
            (Some(at), key, vec![Some(f64::from(n)), Some(1.0)])
        };
        let windows = by_window((1..=12).map(row).collect(), &aggregates, 0, Some(60.0));
        assert_eq!(windows.len(), 1);
        assert_eq!((windows[0].rows.len(), windows[0].open), (11, false));
        let rest = windows[0].rows.iter().find(|row| row.key.is_none()).unwrap();
        assert_eq!(rest.values, [Some(3.0), None]);
    }
}
