//! `streamer report`: what was loaded, as tables, CSV or JSON.

mod latency;
mod section;
mod write;

use anyhow::{Context, Result, bail};
use sqlx::{Executor, PgConnection};

use super::{Exit, connect, open};
use crate::cli::{Global, OtherReport, ReportArgs};
use crate::config::{Settings, Stream};
use crate::sql::quote;
use section::{Query, Section};

/// How many rows of a view are shown in a table.
const ROWS_SHOWN: i64 = 10;

/// A rollup or view of a dataset.
#[derive(Debug, sqlx::FromRow)]
struct View {
    schema: String,
    name: String,
    comment: Option<String>,
    /// The column that tells the window, where there is one.
    window_column: Option<String>,
    /// Whether it is of several datasets, which its column `dataset` tells.
    is_shared: bool,
}

pub(super) async fn run(global: &Global, args: &ReportArgs) -> Result<Exit> {
    let output = match &args.other {
        Some(OtherReport::Latency(args)) => &args.output,
        None => &args.output,
    };
    write::check(output)?;
    let (settings, database) = open(global).await?;
    let outcome = async {
        let mut conn = connect(&database, &settings.streams).await?;
        conn.execute("set timezone = 'UTC'; set datestyle = 'ISO'; set intervalstyle = 'postgres'")
            .await?;
        match &args.other {
            Some(OtherReport::Latency(args)) => latency::gather(&mut conn, &settings, args).await,
            None => gather(&mut conn, &settings, args).await,
        }
    }
    .await;
    database.close().await;
    write::write(&outcome?, output)
}

/// The views of the stream's table: those over its rollups and over itself, and the rollups. What
/// is per window comes last.
async fn gather(
    conn: &mut PgConnection,
    settings: &Settings,
    args: &ReportArgs,
) -> Result<Vec<Section>> {
    let stream = named(settings, args.name.as_deref().unwrap_or_default())?;
    let views = views(conn, &stream.table).await.context("look for the views")?;
    if views.is_empty() {
        bail!(
            "table {} has no rollup and no view; streamer.create_rollup makes one, see README.md",
            stream.table
        );
    }
    let names: Vec<String> = views.iter().map(|view| view.name.clone()).collect();
    let chosen =
        views.into_iter().filter(|view| args.view.as_ref().is_none_or(|name| *name == view.name));
    let rows = args.rows.or((!args.output.csv && !args.output.json).then_some(ROWS_SHOWN));
    let table = stream.table.rsplit('.').next().unwrap_or(&stream.table).replace('"', "");
    let mut sections = Vec::new();
    for view in chosen {
        let failed = format!("read {}", view.name);
        sections.push(view.read(conn, &table, rows, args.output.json).await.context(failed)?);
    }
    if sections.is_empty() {
        bail!("there is no such view; there are {}", names.join(", "));
    }
    Ok(sections)
}

/// The stream of this name, which may be a dataset's as the generator has it.
fn named<'s>(settings: &'s Settings, name: &str) -> Result<&'s Stream> {
    let typed = name.replace('-', "_");
    let streams = &settings.streams;
    let begins = |stream: &&Stream| stream.name.starts_with(&format!("{typed}_"));
    let found = streams.iter().find(|stream| stream.name == name);
    let found = found.or_else(|| streams.iter().find(|stream| stream.name == typed));
    found.or_else(|| streams.iter().find(begins)).with_context(|| {
        let names: Vec<&str> = streams.iter().map(|stream| stream.name.as_str()).collect();
        format!("there is no stream {name:?}; there are {}", names.join(", "))
    })
}

/// The views to show. What a view calls runs with the rights of whoever reads it, so only those are
/// read whose owner is trusted with that: the table's owner, a superuser, or the reader.
async fn views(conn: &mut PgConnection, table: &str) -> Result<Vec<View>, sqlx::Error> {
    sqlx::query_as(
        "with recursive shown (oid) as (
             select to_regclass($1)::oid
              union
             select r.rollup::oid from streamer.rollup r where to_regclass(r.source) = to_regclass($1)
              union
             select w.ev_class
               from shown s
               join pg_depend d on d.refclassid = 'pg_class'::regclass and d.refobjid = s.oid
                               and d.classid = 'pg_rewrite'::regclass
               join pg_rewrite w on w.oid = d.objid
         )
         select n.nspname as schema, c.relname as name, obj_description(c.oid, 'pg_class') as comment,
                a.window_column, a.is_shared
           from (select distinct oid from shown) s
           join pg_class c using (oid)
           join pg_namespace n on n.oid = c.relnamespace
          cross join lateral (
             select max(a.attname::text) filter (where a.attname in ('window_start', 'window_end')),
                    bool_or(a.attname = 'dataset')
               from pg_attribute a where a.attrelid = c.oid and a.attnum > 0) a (window_column, is_shared)
          where c.oid <> to_regclass($1) and has_table_privilege(c.oid, 'select')
            and c.relpersistence <> 't'
            and c.relowner in (select r.oid from pg_roles r
                                where r.rolsuper or r.rolname = current_user
                                   or r.oid = (select t.relowner from pg_class t where t.oid = to_regclass($1)))
          order by a.window_column is not null, a.is_shared, c.relname",
    )
    .bind(table)
    .fetch_all(conn)
    .await
}

impl View {
    async fn read(
        &self,
        conn: &mut PgConnection,
        dataset: &str,
        rows: Option<i64>,
        is_json: bool,
    ) -> Result<Section, sqlx::Error> {
        let name = format!("{}.{}", quote(&self.schema), quote(&self.name));
        let condition = if self.is_shared { "v.dataset = $1" } else { "$1 <> ''" };
        // Of windows the newest are shown; other views have an order of their own.
        let (newest, order) = match self.window_column.as_deref().map(quote) {
            Some(window) => (format!("order by v.{window} desc"), format!("order by r.{window}")),
            None => (String::new(), String::new()),
        };
        let query = Query {
            columns: section::columns(conn, &name).await?,
            from: format!(
                "(select * from {name} v where {condition} {newest} limit $2::text::bigint) r {order}"
            ),
            parameters: vec![Some(dataset.to_owned()), rows.map(|rows| rows.to_string())],
        };
        let read = query.read(conn, is_json).await?;
        Ok(Section { name: self.name.clone(), comment: self.comment.clone(), ..read })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Overrides;

    #[test]
    fn a_stream_may_be_named_as_the_generator_names_its_dataset() {
        let settings = Settings::shipped(Overrides::default()).unwrap();
        for (typed, stream) in [
            ("user_events", "user_events"),
            ("ad-events", "ad_events"),
            ("emoji", "emoji_reactions"),
            ("transfers", "transfers"),
        ] {
            assert_eq!(named(&settings, typed).unwrap().name, stream);
        }
        let error = named(&settings, "ads").unwrap_err().to_string();
        assert!(error.contains("there are ad_events, "), "{error}");
    }
}
