//! A rollup's last windows, by key.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
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
    window_s: f64,
    as_of: DateTime<Utc>,
    keys: Vec<String>,
    aggregates: Vec<Aggregate>,
    /// The oldest first.
    windows: Vec<Window>,
}

#[derive(Debug, Clone, Serialize)]
struct Aggregate {
    name: String,
    /// count, sum, average, min or max.
    kind: &'static str,
}

#[derive(Debug, Serialize)]
struct Window {
    from: DateTime<Utc>,
    to: DateTime<Utc>,
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

#[derive(Debug, sqlx::FromRow)]
struct Defined {
    /// As the server spells it.
    rollup: String,
    window_s: f64,
    keys: Vec<String>,
    aggregates: Vec<String>,
    time: String,
}

type Found = (DateTime<Utc>, Vec<Option<String>>, Vec<Option<f64>>);

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

pub(super) async fn read(
    conn: &mut PgConnection,
    stream: &Stream,
    name: &str,
    windows: i32,
) -> Result<RollupView, sqlx::Error> {
    let defined: Defined = sqlx::query_as(
        "select r.rollup::text as rollup, extract(epoch from r.window_size)::double precision as window_s,
                r.keys, r.aggregates, 'window_start' as time
           from streamer.rollup r
           join pg_class c on c.oid = r.rollup
           join pg_class t on t.oid = to_regclass($1)
          where to_regclass(r.source) = t.oid and c.relowner = t.relowner and r.rollup::text = $2
            and has_table_privilege(c.oid, 'select')",
    )
    .bind(&stream.table)
    .bind(name)
    .fetch_one(&mut *conn)
    .await?;
    let aggregates: Vec<Aggregate> =
        defined.aggregates.iter().filter_map(|one| Aggregate::of(one)).collect();
    let found = rows(conn, &defined, &aggregates, windows).await?;
    Ok(RollupView {
        windows: by_window(found, &aggregates, defined.window_s),
        rollup: defined.rollup,
        window_s: defined.window_s,
        as_of: Utc::now(),
        keys: defined.keys,
        aggregates,
    })
}

/// The rows of the last windows.
async fn rows(
    conn: &mut PgConnection,
    defined: &Defined,
    aggregates: &[Aggregate],
    windows: i32,
) -> Result<Vec<Found>, sqlx::Error> {
    let (table, time) = (&defined.rollup, quote(&defined.time));
    let keys = defined.keys.iter().map(|key| format!("left(r.{}::text, 100)", quote(key)));
    let values = aggregates.iter().map(|one| format!("r.{}::double precision", quote(&one.name)));
    let (keys, values): (Vec<String>, Vec<String>) = (keys.collect(), values.collect());
    let sql = format!(
        "select r.{time}::timestamptz, array[{}]::text[], array[{}]::double precision[]
           from {table} r
          where r.{time} > (select max({time}) from {table} where isfinite({time}))
                           - make_interval(secs => $1) and isfinite(r.{time})
          order by r.{time} desc limit $2",
        keys.join(", "),
        values.join(", ")
    );
    let span = defined.window_s * f64::from(windows);
    let found = sqlx::query(made(sql)).bind(span).bind(ROWS_MAX).fetch_all(conn).await?;
    found.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))).collect()
}

fn by_window(found: Vec<Found>, aggregates: &[Aggregate], window_s: f64) -> Vec<Window> {
    let mut weights: HashMap<Vec<Option<String>>, f64> = HashMap::new();
    for (_, key, values) in &found {
        let weight = values.first().copied().flatten().unwrap_or(0.0);
        *weights.entry(key.clone()).or_default() += weight;
    }
    let mut heaviest: Vec<(Vec<Option<String>>, f64)> = weights.into_iter().collect();
    heaviest.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    heaviest.truncate(KEYS_MAX);
    let is_shown = |key: &Vec<Option<String>>| heaviest.iter().any(|(one, _)| one == key);
    let mut windows: BTreeMap<DateTime<Utc>, Vec<Values>> = BTreeMap::new();
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
    let length = TimeDelta::milliseconds((window_s * 1000.0) as i64);
    let now = Utc::now();
    let shown = windows.into_iter().map(|(from, rows)| {
        let to = from + length;
        Window { from, to, open: to > now, rows }
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
            (at, key, vec![Some(f64::from(n)), Some(1.0)])
        };
        let windows = by_window((1..=12).map(row).collect(), &aggregates, 60.0);
        assert_eq!(windows.len(), 1);
        assert_eq!((windows[0].rows.len(), windows[0].open), (11, false));
        let rest = windows[0].rows.iter().find(|row| row.key.is_none()).unwrap();
        assert_eq!(rest.values, [Some(3.0), None]);
    }
}
