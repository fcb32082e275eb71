//! `streamer demo`: a file of events into an embedded PostgreSQL, before your eyes.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use comfy_table::CellAlignment;
use generator::{Generator, Settings as Events};
use sqlx::{Column, PgConnection, Row, TypeInfo, ValueRef};

use super::run::{Reporting, migrate_patiently, stream_all};
use super::table::{grouped, table};
use super::{Exit, make_folder, say, stop_on_signal};
use crate::cli::{DemoArgs, Global};
use crate::config::{Overrides, Settings};
use crate::database::Database;
use crate::engine::Plan;
use crate::health::Health;
use crate::ledger::micro_batch;
use crate::spool::Spools;
use crate::sql;

/// A pace that one can follow: 30,000 events take about twelve seconds.
const EVERY: Duration = Duration::from_millis(400);
const MICRO_BATCHES: u64 = 30;

/// What one might ask of the events.
const QUERIES: [(&str, &str); 3] = [
    (
        "How many users get how far?",
        "select event_type, count(*) as events, count(distinct user_id) as users
  from user_events
 group by event_type
 order by events desc",
    ),
    (
        "What sells best?",
        "select category, count(*) as purchases, sum(price) as revenue
  from user_events
 where event_type = 'purchase'
 group by category
 order by revenue desc
 limit 5",
    ),
    ("Where did the newest rows come from?", micro_batch::NEWEST),
];

pub(super) async fn run(global: &Global, args: &DemoArgs) -> Result<Exit> {
    make_folder(&global.data)?;
    say(format!("1. Starting an embedded PostgreSQL in {}", global.data.display()));
    let database = Arc::new(Database::embedded(&global.data).await?);
    let outcome = show(global, args, &database).await;
    if let Some(database) = Arc::into_inner(database) {
        database.close().await;
    }
    outcome
}

async fn show(global: &Global, args: &DemoArgs, database: &Arc<Database>) -> Result<Exit> {
    let max_rows = args.rows.div_ceil(MICRO_BATCHES).max(1000);
    let overrides =
        Overrides { every: Some(EVERY), max_rows: Some(max_rows), ..global.overrides() };
    let settings = Settings::shipped(overrides)?;
    let memory = settings.memory.shared();
    let plan = Plan {
        until_drained: true,
        give_up_after: None,
        stop: stop_on_signal()?,
        health: Health::with(database.connections().clone(), &memory),
        spools: Spools::default(),
        memory,
    };
    migrate_patiently(database, &plan, &settings.streams).await?;
    let events = Events { rows: args.rows, out: global.data.clone(), ..Events::default() };
    let path = tokio::task::spawn_blocking(move || {
        Generator::new(events)?.write_file(&mut |_| ControlFlow::Continue(()))
    });
    let written = path.await?.context("make events")?.context("making events was broken off")?;
    say(format!("2. Made {} events in {}", grouped(args.rows), written.path.display()));

    say(format!(
        "3. Streaming them into user_events, {} at a time, each exactly once",
        grouped(max_rows)
    ));
    let stop = plan.stop.clone();
    let (summary, wall) =
        stream_all(database, &settings.data, settings.streams, plan, true, &Reporting::default())
            .await?;
    say(summary.text(wall).trim_end());
    if stop.is_cancelled() {
        return Ok(Exit::Done);
    }
    say("\n4. Asking");
    let mut conn = database.connect_now().await?;
    for (question, query) in QUERIES {
        say(format!("\n{question}\n\n{query};"));
        say(answer(&mut conn, query).await.context("ask the database")?);
    }
    print_next(global, database).await;
    Ok(summary.exit())
}

/// A query's rows as a table.
async fn answer(conn: &mut PgConnection, query: &str) -> Result<String, sqlx::Error> {
    let rows = sqlx::raw_sql(sql::made(query.to_owned())).fetch_all(conn).await?;
    let Some(first) = rows.first() else { return Ok("(no rows)".to_owned()) };
    let names: Vec<&str> = first.columns().iter().map(Column::name).collect();
    let mut lines = table(&names, names.len());
    for (at, column) in first.columns().iter().enumerate() {
        let is_number = matches!(column.type_info().name(), "INT2" | "INT4" | "INT8" | "NUMERIC");
        if let Some(column) = lines.column_mut(at).filter(|_| is_number) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for row in &rows {
        let values = (0..row.len()).map(|at| {
            let value = row.try_get_raw(at)?;
            // Without bound values PostgreSQL answers in text.
            if value.is_null() { Ok(String::new()) } else { value.as_str().map(str::to_owned) }
        });
        let values = values.map(|value| {
            value.map_err(|error: sqlx::error::BoxDynError| sqlx::Error::Decode(error))
        });
        lines.add_row(values.collect::<Result<Vec<String>, sqlx::Error>>()?);
    }
    Ok(lines.to_string())
}

async fn print_next(global: &Global, database: &Database) {
    let data = match global.data.to_str() {
        Some("data") | None => String::new(),
        Some(folder) => format!(" --data {folder}"),
    };
    // Under `cargo run` the programs are not on PATH.
    let program = |name: &str| match std::env::var_os("CARGO") {
        Some(_) => format!("cargo run --release -p {name} --"),
        None => name.to_owned(),
    };
    let (streamer, generator) = (program("streamer"), program("generator"));
    let rows = [
        (format!("{streamer} run{data}"), "keep loading what lands there"),
        (
            format!("{generator} --out {}", global.data.display()),
            "make more events, in another terminal",
        ),
        (format!("{streamer} status{data}"), "see how far each file is"),
    ];
    let width = rows.iter().map(|(line, _)| line.len()).max().unwrap_or_default();
    say("\nWhat to type next");
    for (line, what) in rows {
        say(format!("  {line:<width$}   {what}"));
    }
    if let Some(psql) = database.psql_command().await {
        say(format!("  {psql}\n  {:width$}   look inside while `streamer run` is running", ""));
    }
}
